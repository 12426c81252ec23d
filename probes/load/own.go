package load

import (
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"pitwall/probes/request"
)

// own watches this process: whether it keeps up with what it is to send, and what that costs.
type own struct {
	mu      sync.Mutex
	lags    []lagAt // a ring
	next    int
	samples []reading // of the last window, a second apart, oldest first
	bound   string
	// answers is how many answers came, and unstamped how many of them without the kernel's stamps: this process's lateness is
	// in those.
	answers, unstamped int
}

// lagAt is one request's lag, and how long the request took, where that is known.
type lagAt struct {
	at        request.Time
	lag, took time.Duration
}

// reading is what the process had used at one moment.
type reading struct {
	at    time.Time
	cpu   time.Duration
	gc    time.Duration
	files int
	sched *metrics.Float64Histogram
}

const (
	// window is how far back the client looks when it judges itself.
	window = 10 * time.Second
	// lagsKept is how many send lags are kept for that: those of the last window at up to 800 requests a second, else the
	// latest.
	lagsKept = 8192
	// fewLags is how many there must be before they mean something.
	fewLags = 20
	// The bounds of keeping up. An open loop's lag of 10 ms is a tenth of the TTFT that people notice. A closed loop's clients
	// that wait for this process are missing on the server: above 2 % of their time the load is no longer what it says. A
	// scheduler that is 5 ms late counts only where arrivals are not the kernel's stamps: else no number suffers from it.
	mostLag   = 10 * time.Millisecond
	mostShare = 0.02
	mostSched = 5 * time.Millisecond
	mostCPU   = 0.9 // of what this process may use
	mostFiles = 0.95
)

func newOwn() *own { return &own{} }

// lagged takes a request's lag; took is how long it took, 0 where it goes on.
func (w *own) lagged(at request.Time, lag, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lags) < lagsKept {
		w.lags = append(w.lags, lagAt{at, lag, took})
		return
	}
	w.lags[w.next] = lagAt{at, lag, took}
	w.next = (w.next + 1) % lagsKept
}

// lagsSince gives the lags that were taken after a moment, smallest first, and which share they are of the time that their
// requests took with them.
func (w *own) lagsSince(from request.Time) (out []time.Duration, share float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lags, all time.Duration
	for _, l := range w.lags {
		if l.at >= from {
			out = append(out, l.lag)
			lags += l.lag
			all += l.lag + l.took
		}
	}
	slices.Sort(out)
	if all > 0 {
		share = float64(lags) / float64(all)
	}
	return out, share
}

// reading takes a reading of the process.
func (w *own) reading() reading {
	s := []metrics.Sample{{Name: "/sched/latencies:seconds"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	r := reading{at: time.Now(), cpu: cpuTime(), files: openFiles()}
	if s[0].Value.Kind() == metrics.KindFloat64Histogram {
		h := s[0].Value.Float64Histogram()
		r.sched = &metrics.Float64Histogram{Counts: slices.Clone(h.Counts), Buckets: h.Buckets}
	}
	if s[1].Value.Kind() == metrics.KindFloat64 {
		r.gc = time.Duration(s[1].Value.Float64() * float64(time.Second))
	}
	return r
}

// look takes a reading and judges. now is by the client's clock, inFlight how many requests are under way.
func (w *own) look(now request.Time, openLoop bool) {
	r := w.reading()
	w.mu.Lock()
	w.samples = append(w.samples, r)
	for len(w.samples) > 2 && r.at.Sub(w.samples[1].at) >= window {
		w.samples = w.samples[1:]
	}
	w.mu.Unlock()
	why := w.judge(now, openLoop)
	w.mu.Lock()
	w.bound = why
	w.mu.Unlock()
}

// judge says why the client does not keep up, with the evidence; empty if it does.
func (w *own) judge(now request.Time, openLoop bool) string {
	lags, share := w.lagsSince(now - request.Time(window))
	p99 := quantile(lags, 0.99)
	switch {
	case len(lags) < fewLags || p99 <= mostLag:
	case openLoop:
		return fmt.Sprintf("client-bound: requests leave %v late (99th percentile of the last %v; up to %v is well)", p99.Round(100*time.Microsecond), window, mostLag)
	case share > mostShare:
		return fmt.Sprintf("client-bound: clients that are free wait %.1f %% of their time for this process (up to %.0f %% is well; 99th percentile %v, the last %v)",
			100*share, 100*mostShare, p99.Round(100*time.Microsecond), window)
	}
	cores, ok := w.cores()
	if limit := mostCPU * float64(runtime.GOMAXPROCS(0)); ok && cores > limit {
		return fmt.Sprintf("client-bound: this process uses %.1f of the %d cores that it may (the last %v)", cores, runtime.GOMAXPROCS(0), window)
	}
	if p99, ok := w.schedule(); ok && p99 > mostSched && w.readsItself() {
		return fmt.Sprintf("client-bound: goroutines of this process wait %v for a core (99th percentile of the last %v), and arrivals are not stamped by the kernel", p99.Round(time.Millisecond), window)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.samples); n > 0 {
		if may := openFileLimit(); may > 0 && float64(w.samples[n-1].files) > mostFiles*float64(may) {
			return fmt.Sprintf("client-bound: %d of the %d files that this process may have open are (ulimit -n)", w.samples[n-1].files, may)
		}
	}
	return ""
}

func (w *own) readsItself() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return float64(w.unstamped) > fewUnstamped*float64(w.answers)
}

// fewUnstamped is the share of answers that may have no stamps: the kernel begins to stamp some milliseconds after it was
// asked for the first time.
const fewUnstamped = 0.1

// answered notes that an answer came, with the kernel's stamps or without.
func (w *own) answered(stamped bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers++
	if !stamped {
		w.unstamped++
	}
}

// cores is how many cores the process used over the window.
func (w *own) cores() (float64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.samples)
	if n < 2 {
		return 0, false
	}
	a, b := w.samples[0], w.samples[n-1]
	return (b.cpu - a.cpu).Seconds() / b.at.Sub(a.at).Seconds(), true
}

// schedule is the 99th percentile of the time that goroutines waited for a core over the window.
func (w *own) schedule() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.samples)
	if n < 2 || w.samples[0].sched == nil || w.samples[n-1].sched == nil {
		return 0, false
	}
	a, b := w.samples[0].sched, w.samples[n-1].sched
	var all, sum uint64
	for i := range b.Counts {
		all += b.Counts[i] - a.Counts[i]
	}
	if all == 0 {
		return 0, false
	}
	for i := range b.Counts {
		if sum += b.Counts[i] - a.Counts[i]; float64(sum) >= 0.99*float64(all) {
			upper := b.Buckets[i+1]
			if math.IsInf(upper, 1) {
				upper = b.Buckets[i]
			}
			return time.Duration(upper * float64(time.Second)), true
		}
	}
	return 0, false
}

// tell completes a State.
func (w *own) tell(st *State, now request.Time) {
	lags, _ := w.lagsSince(now - request.Time(window))
	st.LagP50, st.LagP99, st.LagMax = quantile(lags, 0.5), quantile(lags, 0.99), quantile(lags, 1)
	st.CPU, _ = w.cores() // 0 before two readings
	w.mu.Lock()
	defer w.mu.Unlock()
	st.Bound = w.bound
}

// quantile of sorted values, by rank; 0 of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// watch looks once a second while load is on, and marks the run.
func (c *client) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	c.own.restart()
	for {
		c.mu.Lock()
		quiet, ph := c.quiet, c.last
		c.mu.Unlock()
		select {
		case <-tick.C:
		case <-quiet:
			c.mu.Lock()
			over := c.quiet == quiet // else another Set has begun meanwhile
			if over {
				c.watching = false
			}
			c.mu.Unlock()
			if over {
				return
			}
			continue
		}
		c.own.look(c.clock.Now(), !ph.closed)
		c.own.mu.Lock()
		bound := c.own.bound
		c.own.mu.Unlock()
		if bound != "" {
			ph.mu.Lock()
			if ph.tally.Bound == "" {
				ph.tally.Bound = bound
			}
			ph.mu.Unlock()
		}
	}
}

// restart forgets what was before a pause.
func (w *own) restart() {
	r := w.reading()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples, w.bound, w.answers, w.unstamped = []reading{r}, "", 0, 0
}
