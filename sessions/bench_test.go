package sessions

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
)

// box is a source that looks like one busy vLLM with 8 GPUs and its host: 425 engine series of which a third are
// counters that move, 560 GPU series, 60 host series. Its shape, not its names, decides what it costs.
func box(engine, gpu, host int) *page {
	rng := rand.New(rand.NewPCG(1, 2))
	n := engine + gpu + host
	ls := make([]labels.Labels, n)
	v := make([]float64, n)
	for i := range ls {
		ls[i] = labels.FromStrings("__name__", fmt.Sprintf("family_%d", i/12), "i", fmt.Sprint(i), "model_name", "m", "engine", "0")
	}
	return &page{job: "box", instance: "i", read: func(t int) probes.Reading {
		out := make([]probes.Sample, n)
		for i := range n {
			switch {
			case i < engine: // buckets and counters: a third of them move at any second
				if i%3 == 0 {
					v[i] += float64(rng.IntN(40))
				}
			case i < engine+gpu: // gauges in whole units: some move, most stand
				if i%3 == 0 {
					v[i] = float64(300 + rng.IntN(20))
				}
			default: // CPU seconds in steps of 0.01
				v[i] += float64(rng.IntN(100)) / 100
			}
			out[i] = probes.Sample{Labels: ls[i], Value: v[i]}
		}
		return probes.Reading{Samples: out}
	}}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u) //nolint:errcheck // it can't fail for RUSAGE_SELF
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRecorder5000 gives the share of one core that recording 5,000 series at 1 s takes (budget: 3 %), and the bytes a
// sample has on disk (budget: 2.5).
func BenchmarkRecorder5000(b *testing.B) {
	src := box(3000, 1600, 400)
	r := newTestRecorder(b, Options{Dir: b.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(b, r, 0, 10)
	start := cpu()
	b.ResetTimer()
	ticks := 0
	for b.Loop() {
		drive(b, r, 10+ticks, 1)
		ticks++
	}
	b.ReportMetric((cpu()-start).Seconds()/float64(ticks)*100, "%core")
	path := r.path
	r.Close()
	if st, err := os.Stat(path); err == nil && ticks > 240 {
		b.ReportMetric(float64(st.Size())/float64(5000*(ticks+10)), "B/sample")
	}
}

// BenchmarkDay records 24 hours of one vLLM with 8 GPUs at 1 s and opens them again (budgets: 250 MB, 1 s to open).
// PITWALL_BENCH_HOURS makes the day shorter; the size is scaled to 24 h.
func BenchmarkDay(b *testing.B) {
	hours := 24
	if s := os.Getenv("PITWALL_BENCH_HOURS"); s != "" {
		fmt.Sscan(s, &hours) //nolint:errcheck // a wrong value leaves the day
	}
	for b.Loop() {
		src := box(425, 560, 60)
		r := newTestRecorder(b, Options{Dir: b.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
		drive(b, r, 0, hours*3600)
		path := r.path
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(st.Size())/1e6*24/float64(hours), "MB/day")
		start := time.Now()
		s, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/open")
		start = time.Now()
		first, last := s.Bounds()
		step := last.Sub(first) / 150
		if _, err := s.QueryRange(context.Background(), "sum(rate(family_0[$w]))", first, last, step.Truncate(time.Second), Scope{}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/whole-day-panel")
		s.Close()
	}
}

// TestADayFitsTheBudget holds what BenchmarkDay measures against the budget, on one simulated hour; under the race detector,
// which changes no size, on a quarter of one.
func TestADayFitsTheBudget(t *testing.T) {
	hours := 1.0
	if raced {
		hours = 0.25
	}
	src := box(425, 560, 60)
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, int(hours*3600))
	path := r.path
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	day := float64(st.Size()) / 1e6 * 24 / hours
	perSample := float64(st.Size()) / (1045 * hours * 3600)
	t.Logf("%.0f MB a day, %.2f bytes a sample", day, perSample)
	if day > 250 || perSample > 2.5 {
		t.Errorf("%.0f MB a day (budget 250), %.2f bytes a sample (budget 2.5)", day, perSample)
	}
}
