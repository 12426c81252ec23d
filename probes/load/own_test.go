package load

import (
	"math"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"pitwall/probes/request"
)

func TestTheClientSaysWhenItIsTheBottleneck(t *testing.T) {
	const ms = time.Millisecond
	now := request.Time(time.Hour)
	hist := func(counts ...uint64) *metrics.Float64Histogram {
		return &metrics.Float64Histogram{Counts: counts, Buckets: []float64{0, 0.001, 0.02, 1}}
	}
	start := time.Unix(1000, 0)
	lags := func(n int, lag, took time.Duration) func(*own) {
		return func(w *own) {
			for i := range n {
				w.lagged(now-request.Time(i)*request.Time(ms), lag, took)
			}
		}
	}
	for _, c := range []struct {
		name string
		open bool
		do   func(*own)
		want string
	}{
		{"nothing was sent", true, func(*own) {}, ""},
		{"an open loop that is on time", true, lags(100, ms, 0), ""},
		{"an open loop that is late", true, lags(100, 25*ms, 0), "requests leave 25ms late"},
		{"late, but too few to tell", true, lags(10, 25*ms, 0), ""},
		{"late, but long ago", true, func(w *own) {
			for range 100 {
				w.lagged(now-request.Time(time.Minute), 25*ms, 0)
			}
		}, ""},
		{"a closed loop whose clients lose little by it", false, lags(100, 25*ms, 5*time.Second), ""},
		{"a closed loop whose clients wait for this process", false, lags(100, 25*ms, 100*ms), "wait 20.0 % of their time"},
		{"a process that uses all cores", true, func(w *own) {
			w.samples = []reading{{at: start}, {at: start.Add(time.Second), cpu: time.Hour}}
		}, "cores that it may"},
		{"late goroutines do not matter where the kernel stamps", true, func(w *own) {
			w.samples = []reading{{at: start, sched: hist(0, 0, 0)}, {at: start.Add(time.Second), sched: hist(50, 50, 0)}}
		}, ""},
		{"they do where it doesn't", true, func(w *own) {
			w.samples = []reading{{at: start, sched: hist(0, 0, 0)}, {at: start.Add(time.Second), sched: hist(50, 50, 0)}}
			w.answered(false)
		}, "wait 20ms for a core"},
		{"the first answers, before the kernel has begun to stamp, are no reason", true, func(w *own) {
			w.samples = []reading{{at: start, sched: hist(0, 0, 0)}, {at: start.Add(time.Second), sched: hist(50, 50, 0)}}
			for i := range 120 {
				w.answered(i >= 6)
			}
		}, ""},
		{"files are running out", true, func(w *own) {
			w.samples = []reading{{at: start, files: openFileLimit()}}
		}, "ulimit -n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newOwn()
			c.do(w)
			got := w.judge(now, c.open)
			if c.want == "" && got != "" || !strings.Contains(got, c.want) || got != "" && !strings.HasPrefix(got, "client-bound: ") {
				t.Errorf("it says %q, want %q", got, c.want)
			}
		})
	}
}

func TestTheRingOfLagsKeepsTheLatest(t *testing.T) {
	w := newOwn()
	for i := range lagsKept + 10 {
		w.lagged(request.Time(i), time.Duration(i), 0)
	}
	got, _ := w.lagsSince(0)
	if len(got) != lagsKept || got[0] != 10 {
		t.Errorf("%d kept, the oldest is number %d", len(got), got[0])
	}
	if quantile(nil, 0.5) != 0 || quantile(got, 1) != lagsKept+9 || quantile(got[:100], 0.5) != got[49] {
		t.Error("quantiles by rank")
	}
}

func TestRequestsAreMadeAheadAsFarAsTheirSizeAllows(t *testing.T) {
	big := func() *order { o := &order{}; o.req.Body = make([]byte, aheadBytes/3); return o }
	a := newAhead(100)
	made := make(chan int)
	go func() {
		n := 0
		for a.put(big()) {
			n++
		}
		made <- n
	}()
	a.filled(50)
	a.mu.Lock()
	n, bytes := len(a.ready), a.bytes
	a.mu.Unlock()
	if n != aheadLeast || bytes < aheadBytes {
		t.Errorf("%d ready with %d bytes", n, bytes)
	}
	if a.take() == nil {
		t.Error("none to take")
	}
	a.close()
	if got := <-made; got < aheadLeast || got > aheadLeast+2 {
		t.Errorf("%d were put", got)
	}
	if a.take() != nil {
		t.Error("one to take after the close")
	}
	b := newAhead(10)
	b.finish()
	if b.take() != nil {
		t.Error("one to take where none will be made")
	}
}

func TestPatienceGrowsAndEnds(t *testing.T) {
	for fails, want := range map[int]time.Duration{0: 0, 1: 50 * time.Millisecond, 2: 100 * time.Millisecond, 5: 800 * time.Millisecond, 6: time.Second, 1000: time.Second} {
		if got := patience(fails); got != want {
			t.Errorf("after %d failures a client waits %v, want %v", fails, got, want)
		}
	}
}

func TestBatchMeansGiveTheIntervalOfTheMean(t *testing.T) {
	v := make([]float64, 400)
	for i := range v {
		v[i] = float64(i % 2) // every batch has the same mean
	}
	if mean, half := batchMeans(v); math.Abs(mean-0.5) > 1e-9 || half > 1e-9 {
		t.Errorf("%v ± %v", mean, half)
	}
	for i := range v {
		v[i] = float64(i / 20 % 2) // the batches differ as much as they can: 0, 1, 0, 1 …
	}
	// s = sqrt(20·0.25/19), half = 2.093·s/sqrt(20)
	if mean, half := batchMeans(v); math.Abs(mean-0.5) > 1e-9 || half < 0.240 || half > 0.2401 {
		t.Errorf("%v ± %v", mean, half)
	}
}

func TestOneLineIsShortValidAndOneLine(t *testing.T) {
	long := oneLine("a\r\n\tb \x00\xff " + strings.Repeat("é", 500))
	if !strings.HasPrefix(long, "a b \x00� é") || len(long) > maxMessage+len("…") || strings.ContainsAny(long, "\r\n\t") || !strings.HasSuffix(long, "é…") {
		t.Errorf("%q", long)
	}
}
