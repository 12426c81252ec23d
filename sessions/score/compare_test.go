package score

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// lottery is a run of n requests with lognormal times to first token around a median.
func lottery(rng *rand.Rand, n int, median time.Duration) Score {
	var records []request.Record
	for i := range n {
		ttft := time.Duration(float64(median) * math.Exp(0.3*rng.NormFloat64()))
		records = append(records, answer(1, uint32(i), time.Duration(i)*100*ms, 0, ttft, 10*ms, 20))
	}
	return Of(Input{Records: records, Run: 1, Whole: whole(0, time.Duration(n)*100*ms), Point: shape.Point{Arrival: shape.Arrival{Kind: shape.Constant, Rate: 10}}})
}

func row(t *testing.T, c Comparison, name string) Difference {
	t.Helper()
	for _, d := range c.Rows {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("no row %s", name)
	return Difference{}
}

func TestTwoRunsDifferOnlyByMoreThanTheirNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	base := lottery(rng, 800, 100*ms)
	for _, c := range []struct {
		what   string
		other  Score
		name   string
		want   Verdict
		needs  bool
		within string
	}{
		{"a server twice as slow is worse", lottery(rng, 800, 200*ms), "TTFT p50", Worse, false, "+"},
		{"a server twice as fast is better", lottery(rng, 800, 50*ms), "TTFT p50", Better, false, "-"},
		{"the same server with many requests shows no difference", lottery(rng, 20_000, 100*ms), "TPOT p50", NoDifference, false, "would have been"},
		{"the same server with few requests needs more runs", lottery(rng, 60, 100*ms), "TTFT p50", NeedsRuns, true, "more runs"},
		{"too few for an interval is not compared", lottery(rng, 100, 100*ms), "TTFT p99", Incomparable, false, "too few"},
	} {
		d := row(t, Compare(base, c.other), c.name)
		if d.Verdict != c.want || (d.Needs > 0) != c.needs || !strings.Contains(d.Why, c.within) {
			t.Errorf("%s: %s, needs %d: %s", c.what, d.Verdict, d.Needs, d.Why)
		}
	}
	if !strings.Contains(Compare(base, base).Note, "one run each") {
		t.Error("a comparison of two runs doesn't say that they are two")
	}
}

func TestMoreThroughputIsBetterAndAFailedPercentileIsWorse(t *testing.T) {
	e := func(v float64) Estimate { return Estimate{v, 0.99 * v, 1.01 * v} }
	none := Summary{Mean: noEstimate()}
	for _, q := range none.quantiles() {
		q.Estimate = noEstimate()
	}
	blank := Score{TTFT: none, TTFTSched: none, TPOT: none, ITL: none, Gap: none, E2E: none, E2ESched: none, Normalized: none, Lag: none,
		Queue: none, Prefill: none, Rest: none, Requests: Rate{noEstimate()}, Output: Rate{noEstimate()}, Total: Rate{noEstimate()}, Goodput: Goodput{Share: noEstimate()}}
	a, b := blank, blank
	a.Output, b.Output = Rate{e(100)}, Rate{e(150)}
	a.TTFT.P99 = Quantile{Estimate: e(1)}
	b.TTFT.P99 = Quantile{Estimate: noEstimate(), Failed: true}
	c := Compare(a, b)
	if len(c.Rows) != 2 {
		t.Errorf("%d rows, want the two numbers that there are: %+v", len(c.Rows), c.Rows)
	}
	if d := row(t, c, "output tokens"); d.Verdict != Better || math.Abs(d.Relative.Value-0.5) > 1e-9 {
		t.Errorf("half as much again: %s %s", d.Verdict, d.Why)
	}
	if d := row(t, c, "TTFT p99"); d.Verdict != Worse || !d.BFailed {
		t.Errorf("p99 failed: %s %s", d.Verdict, d.Why)
	}
	if d := row(t, Compare(b, a), "TTFT p99"); d.Verdict != Better {
		t.Errorf("p99 failed before: %s %s", d.Verdict, d.Why)
	}
}

func TestEqualServersAreSeldomSaidToDiffer(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	const trials = 150
	wrong := map[string]int{}
	for range trials {
		c := Compare(lottery(rng, 400, 100*ms), lottery(rng, 400, 100*ms))
		for _, name := range []string{"TTFT mean", "TTFT p50", "TTFT p90"} {
			if d := row(t, c, name); d.Verdict == Better || d.Verdict == Worse {
				wrong[name]++
			}
		}
	}
	for name, n := range wrong {
		if share := float64(n) / trials; share > 0.09 {
			t.Errorf("%s of two equal servers is said to differ in %.1f %%, nominal 5 %%", name, 100*share)
		}
	}
	t.Log(wrong)
}

// queueRun is a run of n requests to a server with one queue that is busy for a share of its time: those that meet in the queue
// wait together, so they are far from independent.
func queueRun(rng *rand.Rand, n int, busy float64) Score {
	var records []request.Record
	var due, free float64
	for i := range n {
		due += rng.ExpFloat64() / busy / 10
		free = max(free, due) + rng.ExpFloat64()/10
		records = append(records, answer(1, uint32(i), time.Duration(due*1e9), 0, time.Duration((free-due)*1e9), ms, 3))
	}
	// The window is given, so that only the intervals are on trial.
	w := whole(0, time.Duration(due*1e9)+1)
	var s Score
	s.latencies(Input{Records: records, Run: 1, Whole: whole(0, time.Duration(due*2e9))}, pointers(records), w)
	s.Requests, s.Output, s.Total, s.Goodput.Share = Rate{noEstimate()}, Rate{noEstimate()}, Rate{noEstimate()}, noEstimate()
	return s
}

// By a U-test that takes every request for independent, two equal queues of 1,000 requests differ in 44 % of the pairs at 60 %
// of utilisation, in 72 % at 80 %.
func TestTwoEqualQueuesAreSeldomSaidToDiffer(t *testing.T) {
	for _, c := range []struct{ busy, most float64 }{{0.3, 0.13}, {0.6, 0.13}, {0.8, 0.15}} {
		rng := rand.New(rand.NewPCG(12, uint64(10*c.busy)))
		const trials = 120
		wrong := map[string]int{}
		for range trials {
			x := Compare(queueRun(rng, 1000, c.busy), queueRun(rng, 1000, c.busy))
			for _, name := range []string{"TTFT mean", "TTFT p50", "TTFT p90"} {
				if d := row(t, x, name); d.Verdict == Better || d.Verdict == Worse {
					wrong[name]++
				}
			}
		}
		t.Logf("%.0f %% busy: of %d pairs %v", 100*c.busy, trials, wrong)
		for name, n := range wrong {
			if share := float64(n) / trials; share > c.most {
				t.Errorf("%.0f %% busy: %s is said to differ in %.1f %%, want at most %.0f %%", 100*c.busy, name, 100*share, 100*c.most)
			}
		}
	}
}

func BenchmarkScoringAMillionRequests(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	records := make([]request.Record, 1_000_000)
	for i := range records {
		records[i] = answer(1, uint32(i), time.Duration(i)*ms, 0, time.Duration(50+rng.IntN(50))*ms, 10*ms, 4)
	}
	in := Input{Records: records, Run: 1, Whole: whole(0, 1001*time.Second), Point: shape.Point{Arrival: shape.Arrival{Kind: shape.Constant, Rate: 1000}}}
	for b.Loop() {
		if s := Of(in); s.TTFT.Count == 0 {
			b.Fatal(s.SteadyWhy)
		}
	}
}
