package score

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What an interval is for: over many runs it holds the truth as often as it says. Values are lognormal, exp(g), g a standard
// Gaussian AR(1) series, so every percentile is known and independence is φ = 0.
func TestIntervalsHoldTheTruthAsOftenAsTheySay(t *testing.T) {
	const trials = 400
	quantiles := map[float64]float64{0.5: 0, 0.9: 1.2815515655446, 0.99: 2.3263478740408}
	cases := []struct {
		what   string
		phi    float64
		n      int
		p      float64 // 0: the mean
		lowest float64
	}{
		// An exact binomial interval covers at least 95 %; 400 trials of that are below 92 % once in 200.
		{"the median of 200 independent requests", 0, 200, 0.5, 0.92},
		{"p90 of 200 independent requests", 0, 200, 0.9, 0.92},
		{"p99 of 1,000 independent requests", 0, 1000, 0.99, 0.92},
		// That of the mean leans on the central limit: it is short for a skewed latency (the third moment of these is 6).
		{"the mean of 400 independent requests", 0, 400, 0, 0.90},
		// Correlated ones have the inertia to be estimated besides; what that costs is said here and in the README.
		{"the median of 1,000 requests, each half like the one before", 0.5, 1000, 0.5, 0.91},
		{"p90 of 1,000 requests, each half like the one before", 0.5, 1000, 0.9, 0.91},
		{"p99 of 2,000 requests, each half like the one before", 0.5, 2000, 0.99, 0.90},
		{"the mean of 1,000 requests, each half like the one before", 0.5, 1000, 0, 0.89},
		{"the median of 2,000 requests that hang together for 20", 0.9, 2000, 0.5, 0.89},
		{"p90 of 2,000 requests that hang together for 20", 0.9, 2000, 0.9, 0.88},
		{"the mean of 2,000 requests that hang together for 20", 0.9, 2000, 0, 0.85},
	}
	for i, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, uint64(i)))
			held, naive := 0, 0
			for range trials {
				s := series1(rng, c.phi, c.n)
				sum := s.summary()
				e, truth := sum.Mean, math.Exp(0.5)
				switch c.p {
				case 0.5:
					e, truth = sum.P50.Estimate, math.Exp(quantiles[0.5])
				case 0.9:
					e, truth = sum.P90.Estimate, math.Exp(quantiles[0.9])
				case 0.99:
					e, truth = sum.P99.Estimate, math.Exp(quantiles[0.99])
				}
				if math.IsNaN(e.Low) || math.IsNaN(e.High) {
					continue // no interval holds nothing
				}
				if e.Low <= truth && truth <= e.High {
					held++
				}
				if c.p != 0 && blind(s.values, c.p, truth) {
					naive++
				}
			}
			share := float64(held) / trials
			t.Logf("held in %.1f %% (taken for independent: %.1f %%)", 100*share, 100*float64(naive)/trials)
			if share < c.lowest {
				t.Errorf("held in %.1f %%, want at least %.0f %%", 100*share, 100*c.lowest)
			}
			if share > 0.995 {
				t.Errorf("held in %.1f %%: an interval that always holds says nothing", 100*share)
			}
		})
	}
}

// series1 is n lognormal values of an AR(1) series, one a request.
func series1(rng *rand.Rand, phi float64, n int) *sample {
	var s sample
	g := rng.NormFloat64()
	for range n {
		s.one(math.Exp(g))
		g = phi*g + math.Sqrt(1-phi*phi)*rng.NormFloat64()
	}
	return &s
}

// blind is the interval that takes every request for independent.
func blind(values []float64, p, truth float64) bool {
	low, high, ok := ranks(len(values), p)
	if !ok {
		return false
	}
	below := 0
	for _, v := range values {
		if v <= truth {
			below++
		}
	}
	return below >= low && below < high
}

// Gaps of one answer are alike: a fast request has many short ones. An interval over pooled gaps that forgot it would be
// narrower by the root of 100.
func TestPooledGapsAreWorthTheirRequestsAndNotTheirNumber(t *testing.T) {
	const trials, requests, each = 300, 200, 50
	rng := rand.New(rand.NewPCG(11, 1))
	held := map[string]int{}
	for range trials {
		var s sample
		for range requests {
			own := math.Exp(0.5 * rng.NormFloat64())
			for range each {
				s.values = append(s.values, own*math.Exp(0.3*rng.NormFloat64()))
			}
			s.close()
		}
		sum := s.summary()
		sigma := math.Hypot(0.5, 0.3)
		for what, c := range map[string]struct {
			e     Estimate
			truth float64
		}{
			"mean": {sum.Mean, math.Exp(sigma * sigma / 2)},
			"p50":  {sum.P50.Estimate, 1},
			"p90":  {sum.P90.Estimate, math.Exp(1.2815515655446 * sigma)},
		} {
			if c.e.Low <= c.truth && c.truth <= c.e.High {
				held[what]++
			}
		}
	}
	for what, n := range held {
		share := float64(n) / trials
		t.Logf("%s held in %.1f %%", what, 100*share)
		if share < 0.90 || share > 0.995 {
			t.Errorf("%s held in %.1f %%, want 95 %%", what, 100*share)
		}
	}
	if len(held) != 3 {
		t.Errorf("never held: %v", held)
	}
}

func TestThroughputIntervalsHoldTheTruth(t *testing.T) {
	const trials = 400
	for _, c := range []struct {
		what   string
		phi    float64
		lowest float64
	}{{"independent arrivals", 0, 0.92}, {"arrivals in bursts", 0.6, 0.87}} {
		rng := rand.New(rand.NewPCG(5, 2))
		held := 0
		for range trials {
			s := newSeries(Window{1, 1 + 100e9}) // 100 s, 1 s a part
			g := rng.NormFloat64()
			for i := range s.part {
				s.part[i] = 50 + 10*g
				g = c.phi*g + math.Sqrt(1-c.phi*c.phi)*rng.NormFloat64()
			}
			if r := s.rate(); r.Low <= 50 && 50 <= r.High {
				held++
			}
		}
		share := float64(held) / trials
		t.Logf("%s: held in %.1f %%", c.what, 100*share)
		if share < c.lowest || share > 0.995 {
			t.Errorf("%s: held in %.1f %%, want at least %.0f %%", c.what, 100*share, 100*c.lowest)
		}
	}
}
