package load

import (
	"math"
	"testing"

	"pitwall/sessions/score"
)

func TestANumberIsWrittenAsFarAsItIsKnown(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, tc := range []struct {
		name           string
		v, low, high   float64
		unit, want     string
		ascii, noRange bool
	}{
		{"an even interval is a half of it", 0.3124, 0.303, 0.3214, "s", "312 ms ±9", false, false},
		{"in ASCII too", 0.3124, 0.303, 0.3214, "s", "312 ms +-9", true, false},
		{"a narrow one gives more digits", 0.02143, 0.02139, 0.02147, "s/token", "21.43 ms ±0.04", false, false},
		{"a lopsided one has two sides", 0.312, 0.303, 0.355, "s", "312 ms −9+43", false, false},
		{"one that reaches into the failures says so", 0.312, 0.303, inf, "s", "312 ms −9+✗", false, false},
		{"a wide one takes digits away", 2.94, 1.2, 4.7, "s", "3 s ±2", false, false},
		{"seconds from one on", 1.924, 1.89, 1.96, "s", "1.92 s ±0.04", false, false},
		{"microseconds below a millisecond", 0.00019, 0.00018, 0.0002, "s", "190 µs ±10", false, false},
		{"rates have their unit", 5812.4, 5772, 5853, "tokens/s", "5,812 tok/s ±41", false, false},
		{"requests a second", 41.23, 40.1, 42.3, "1/s", "41/s ±1", false, false},
		{"a share is in percent", 0.982, 0.97, 0.99, "share", "98 % ±1", false, false},
		{"without an interval three digits", 0.3124, nan, nan, "s", "312 ms", false, false},
		{"without a value a dash", nan, nan, nan, "s", "—", false, false},
		{"no spread at all", 0.25, 0.25, 0.25, "s", "250 ms ±0", false, false},
		{"nothing is nothing", 0, 0, 0, "1/s", "0/s ±0", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := estimate(score.Estimate{Value: tc.v, Low: tc.low, High: tc.high}, tc.unit, tc.ascii); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAPercentileThatIsNoneSaysWhy(t *testing.T) {
	e := score.Estimate{Value: 0.3, Low: math.NaN(), High: math.NaN()}
	for _, tc := range []struct {
		name string
		q    score.Quantile
		want string
	}{
		{"among the failures", score.Quantile{Estimate: e, Failed: true}, "failed"},
		{"too few", score.Quantile{Estimate: e, Needs: 1204}, "needs 1,204"},
		{"failed comes first", score.Quantile{Estimate: e, Failed: true, Needs: 3}, "failed"},
		{"a number", score.Quantile{Estimate: e}, "300 ms"},
	} {
		if got, _ := quantile(tc.q, "s", false); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if got, _ := plain(tc.q, "s"); got != tc.want {
			t.Errorf("%s, in short: %q, want %q", tc.name, got, tc.want)
		}
	}
}
