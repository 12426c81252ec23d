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
}

type lagAt struct {
	at  request.Time
	lag time.Duration
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
	// The bounds of keeping up. A lag of 10 ms is a tenth of the TTFT that people notice; a scheduler that is 20 ms late
	// answers no socket in time. Arrivals are stamped by the kernel and do not suffer from the latter, sending does.
	mostLag   = 10 * time.Millisecond
	mostSched = 20 * time.Millisecond
	mostCPU   = 0.9 // of what this process may use
	mostFiles = 0.95
)

func newOwn() *own { return &own{} }

// lagged takes a request's lag.
func (w *own) lagged(at request.Time, lag time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lags) < lagsKept {
		w.lags = append(w.lags, lagAt{at, lag})
		return
	}
	w.lags[w.next] = lagAt{at, lag}
	w.next = (w.next + 1) % lagsKept
}

// lagsSince gives the lags of the requests that were sent after a moment, smallest first.
func (w *own) lagsSince(from request.Time) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []time.Duration
	for _, l := range w.lags {
		if l.at >= from {
			out = append(out, l.lag)
		}
	}
	slices.Sort(out)
	return out
}

// read takes a reading of the process.
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
	lags := w.lagsSince(now - request.Time(window))
	if p99 := quantile(lags, 0.99); len(lags) >= fewLags && p99 > mostLag {
		what := "a client that is free sends its next request %v late"
		if openLoop {
			what = "requests leave %v late"
		}
		return fmt.Sprintf("client-bound: "+what+" (99th percentile of the last %v; up to %v is well)", p99.Round(100*time.Microsecond), window, mostLag)
	}
	cores, ok := w.cores()
	if limit := mostCPU * float64(runtime.GOMAXPROCS(0)); ok && cores > limit {
		return fmt.Sprintf("client-bound: this process uses %.1f of the %d cores that it may (the last %v)", cores, runtime.GOMAXPROCS(0), window)
	}
	if p99, ok := w.schedule(); ok && p99 > mostSched {
		return fmt.Sprintf("client-bound: goroutines of this process wait %v for a core (99th percentile of the last %v): the host's cores are busy", p99.Round(time.Millisecond), window)
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
	lags := w.lagsSince(now - request.Time(window))
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
	w.samples, w.bound = []reading{r}, ""
}
