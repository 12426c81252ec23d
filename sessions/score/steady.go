package score

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// The rules of the steady window. It is found in three steps, each by what it can see best:
//
//  1. The load: a closed loop is at its load while at least 95 % of its clients have a request in flight, an open loop from its
//     last ramp until its last request was due. What comes before is warm-up, what comes after is the tail.
//  2. The answers: they lag behind the load (all clients start in one moment, caches and batches fill). The window does not
//     begin before the first answer is complete, and not before the end of the transient in TTFT and E2E as MSER-5 finds it
//     (White, An effective truncation heuristic for bias reduction in simulation output, 1997; chosen because it needs no
//     parameter and no assumption on the shape of the transient). MSER alone also cuts noise and stalls, so a cut counts only
//     where what is cut off differs from the rest, and does so from its beginning.
//  3. The doubt: what is left must not trend. Requests in flight and latency, in blocks, are tested for a slope; a server that
//     is asked for more than it can do fails here, because its queue grows for as long as it is asked, and no percentile of it
//     means anything.
const (
	fullShare = 0.95
	// mserBatch is how many requests make one of MSER-5's batches; below mserLeast requests it isn't asked.
	mserBatch, mserLeast = 5, 50
	// apart is how many standard errors a transient must stand off.
	apart = 3
	// A trend is one of at least a quarter of the mean over the window, with a slope that chance gives 1 time in 100.
	trendShare, trendLevel = 0.25, 0.01
	trendBlocks, trendEach = 10, 4
)

// steady finds the steady window. Without one it says why.
func steady(in Input, own []*request.Record, f flight) (Window, string, bool) {
	w := in.Whole
	if w.From == 0 || w.To <= w.From {
		return Window{}, "not steady: the load was cut before its own requests were alone", false
	}
	if len(own) == 0 {
		return Window{}, "not steady: no request was sent", false
	}
	var said []string
	a := in.Point.Arrival
	fixed := a.Kind == shape.Closed && a.Think == nil && len(a.Steps) == 0
	need := 1
	if fixed {
		need = max(1, int(math.Ceil(fullShare*float64(a.Clients)-1e-9)))
		full, ok := f.reaches(need, w)
		if !ok {
			return Window{}, fmt.Sprintf("not steady: there never were %d requests in flight, 95 %% of %d clients", need, a.Clients), false
		}
		w = full
		said = append(said, fmt.Sprintf("%d of %d clients in flight", need, a.Clients))
	} else {
		var ramp time.Duration
		for _, s := range a.Steps {
			ramp = max(ramp, s.After+s.Over)
		}
		if ramp > 0 {
			w.From += request.Time(ramp)
			if w.From >= w.To {
				return Window{}, "not steady: the load itself changed until the end", false
			}
			said = append(said, fmt.Sprintf("after the load's last step at %s", ramp))
		}
		if to, cut := lastDue(own, w, a); cut {
			w.To = to
			said = append(said, "until the last request was due")
		}
	}
	if a.Kind != shape.Closed || a.Clients > 1 {
		if first := firstAnswer(own, w); first > w.From && first < w.To {
			w.From = first
			said = append(said, "first answer complete")
		}
	}
	if n, from := transient(own, w); n > 0 {
		w.From = from
		said = append(said, fmt.Sprintf("%d requests of warm-up cut (MSER-5)", n))
	}
	if w.To <= w.From {
		return Window{}, "not steady: warm-up and tail are all there is", false
	}
	if fixed {
		if mean := f.mean(w); mean < 0.9*float64(a.Clients) {
			why := fmt.Sprintf("not steady: %.1f requests in flight in the mean for %d clients", mean, a.Clients)
			if failed := failedIn(own, w); 2*failed > sentIn(own, w) {
				why += fmt.Sprintf("; %d of %d requests failed, and a client waits before it tries again", failed, sentIn(own, w))
			}
			return Window{}, why, false
		}
	}
	sent := sentIn(own, w)
	if sent == 0 {
		return Window{}, fmt.Sprintf("not steady: no request was sent in the %s that warm-up and tail leave", short(w.To.Sub(w.From))), false
	}
	if a.Kind != shape.Closed {
		if more := overrun(f, w, sent, a); more > 0 {
			return Window{}, fmt.Sprintf("not steady: of %d requests that were sent from %s on %d piled up: the server is asked for more than it can do",
				sent, short(w.From.Sub(in.Whole.From)), more), false
		}
	}
	trends, looked := trend(own, f, w, !fixed)
	if len(trends) > 0 {
		return Window{}, "not steady: " + strings.Join(trends, ", "), false
	}
	if looked {
		said = append(said, "no trend in latency or requests in flight")
	} else {
		said = append(said, fmt.Sprintf("too few requests to look for a trend (%d)", sent))
	}
	from, to := w.From.Sub(in.Whole.From), w.To.Sub(in.Whole.From)
	return w, fmt.Sprintf("%s to %s of %s: %s", short(from), short(to), short(in.Whole.To.Sub(in.Whole.From)), strings.Join(said, "; ")), true
}

// overrun is by how many the requests in flight grew over an open loop's window, if that is more than a tenth of what was sent and
// more than chance does; else 0. A slope alone misses a queue that was long when the window began, because it then grows by a
// small share of itself. What arrives and what leaves are at most as uncertain as two Poisson counts, or a burstier process's.
func overrun(f flight, w Window, sent int, a shape.Arrival) int {
	more := f.at(w.To) - f.at(w.From)
	scatter := 1.0
	switch {
	case a.Kind == shape.Gamma && a.Burstiness > 0 && a.Burstiness < 1:
		scatter = 1 / a.Burstiness
	case a.Kind == shape.Trace:
		scatter = 10 // other people's traffic comes in bursts of its own
	}
	if float64(more) <= max(0.1*float64(sent), 4*math.Sqrt(float64(sent)*(1+scatter))) {
		return 0
	}
	return more
}

func short(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// lastDue gives when an open loop's last request was due, if that is much before the end: the point was at its end and its
// last answers were waited for.
func lastDue(own []*request.Record, w Window, a shape.Arrival) (request.Time, bool) {
	if a.Kind == shape.Closed {
		return 0, false
	}
	last := began(own[len(own)-1])
	gap := time.Duration(0)
	if len(own) > 1 {
		gap = last.Sub(began(own[0])) / time.Duration(len(own)-1)
	}
	return last, w.To.Sub(last) > 5*gap && last > w.From
}

// firstAnswer is when the first answer to a request sent in the whole run was complete, within w.
func firstAnswer(own []*request.Record, w Window) request.Time {
	var first request.Time
	for _, r := range own {
		if done := r.Done(); r.Class == request.OK && done >= w.From && (first == 0 || done < first) {
			first = done
		}
	}
	return first
}

func sentIn(own []*request.Record, w Window) int {
	n := 0
	for _, r := range own {
		if r.Sent >= w.From && r.Sent < w.To {
			n++
		}
	}
	return n
}

func failedIn(own []*request.Record, w Window) int {
	n := 0
	for _, r := range own {
		if r.Class.Failed() && r.Sent >= w.From && r.Sent < w.To {
			n++
		}
	}
	return n
}

// answered lists one latency of the requests that were sent in w and went well, in the order in which they were sent.
func answered(own []*request.Record, w Window, latency func(*request.Record) (time.Duration, bool)) (at, value []float64) {
	for _, r := range own {
		if r.Class != request.OK || r.Sent < w.From || r.Sent >= w.To {
			continue
		}
		if d, ok := latency(r); ok {
			at = append(at, r.Sent.Sub(w.From).Seconds())
			value = append(value, d.Seconds())
		}
	}
	return at, value
}

// transient gives how many requests belong to the warm-up, and when the first one after it was sent.
func transient(own []*request.Record, w Window) (int, request.Time) {
	best, from := 0, w.From
	for _, latency := range []func(*request.Record) (time.Duration, bool){(*request.Record).TTFT, (*request.Record).E2E} {
		at, value := answered(own, w, latency)
		n := mser(value)
		if n == 0 || n >= len(value) {
			continue
		}
		if t := w.From + request.Time(at[n]*1e9); t > from {
			best, from = n, t
		}
	}
	return best, from
}

// mser is MSER-5's truncation: of means of five the number d to leave out that makes the rest's variance by the square of its
// length, an estimate of the mean's squared error, the least. Not more than half is cut.
func mser(value []float64) int {
	if len(value) < mserLeast {
		return 0
	}
	m := len(value) / mserBatch
	y := make([]float64, m)
	for i := range y {
		for _, v := range value[i*mserBatch : (i+1)*mserBatch] {
			y[i] += v / mserBatch
		}
	}
	best, cut := math.Inf(1), 0
	var sum, squares float64
	for d := m - 1; d >= 0; d-- { // from the end, so that the sums grow
		sum += y[d]
		squares += y[d] * y[d]
		n := float64(m - d)
		if d > m/2 {
			continue
		}
		if e := (squares - sum*sum/n) / (n * n); e <= best {
			best, cut = e, d
		}
	}
	if cut == 0 {
		return 0
	}
	head, _ := meanVar(y[:cut])
	rest, spread := meanVar(y[cut:])
	z := make([]float64, 0, m-cut)
	for _, v := range y[cut:] {
		z = append(z, v-rest)
	}
	// A transient stands off from the beginning. What stands off later only is an incident in mid-run: to cut it would hide it.
	tau := inertia(z)
	early := (cut + 2) / 3
	first, _ := meanVar(y[:early])
	off := func(mean float64, n int) bool { return math.Abs(mean-rest) > apart*math.Sqrt(spread*tau/float64(n)) }
	if !off(head, cut) || !off(first, early) || (head > rest) != (first > rest) {
		return 0
	}
	return cut * mserBatch
}

func meanVar(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(max(1, len(x)-1))
}

// trend tests latency, and in an open loop the requests in flight, for a slope over the window. It says whether there were
// enough requests to look.
func trend(own []*request.Record, f flight, w Window, open bool) (found []string, looked bool) {
	at, value := answered(own, w, (*request.Record).E2E)
	blocks := min(trendBlocks, len(value)/trendEach)
	if blocks < 5 {
		return nil, false
	}
	if open {
		x, y := make([]float64, 0, trendBlocks), make([]float64, 0, trendBlocks)
		for i := range trendBlocks {
			b := Window{w.From + (w.To-w.From)*request.Time(i)/trendBlocks, w.From + (w.To-w.From)*request.Time(i+1)/trendBlocks}
			x, y = append(x, float64(i)), append(y, f.mean(b))
		}
		if change, mean, sure := slope(x, y); sure && math.Abs(change) > max(trendShare*mean, 0.5) {
			found = append(found, fmt.Sprintf("requests in flight went from %.1f to %.1f", mean-change/2, mean+change/2))
		}
	}
	x, y := make([]float64, 0, blocks), make([]float64, 0, blocks)
	for i := range blocks {
		from, to := len(value)*i/blocks, len(value)*(i+1)/blocks
		t, _ := meanVar(at[from:to])
		v, _ := meanVar(value[from:to])
		x, y = append(x, t), append(y, v)
	}
	if change, mean, sure := slope(x, y); sure && math.Abs(change) > trendShare*mean {
		found = append(found, fmt.Sprintf("E2E went from %.3g to %.3g s", max(0, mean-change/2), mean+change/2))
	}
	return found, true
}

// slope fits a line and gives its change from the first x to the last, the mean, and whether chance is ruled out.
func slope(x, y []float64) (change, mean float64, sure bool) {
	mx, vx := meanVar(x)
	my, _ := meanVar(y)
	n := float64(len(x))
	var xy float64
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
	}
	sxx := vx * (n - 1)
	if sxx == 0 {
		return 0, my, false
	}
	b := xy / sxx
	var rest float64
	for i := range x {
		e := y[i] - my - b*(x[i]-mx)
		rest += e * e
	}
	change = b * (x[len(x)-1] - x[0])
	deviation := math.Sqrt(rest / (n - 2) / sxx)
	if deviation == 0 {
		return change, my, b != 0
	}
	p := 2 * (1 - distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 2}.CDF(math.Abs(b/deviation)))
	return change, my, p < trendLevel
}

// bySent orders requests as they were sent; one that never was, by when it was due.
func bySent(own []*request.Record) {
	slices.SortStableFunc(own, func(a, b *request.Record) int {
		return cmp.Or(cmp.Compare(began(a), began(b)), cmp.Compare(a.Seq, b.Seq))
	})
}

// began is when a request was sent, or due if it never was.
func began(r *request.Record) request.Time {
	if r.Sent != 0 {
		return r.Sent
	}
	return r.Scheduled
}
