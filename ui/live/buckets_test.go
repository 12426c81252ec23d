package live

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/promql"

	"pitwall/ui/internal/staged"
)

func TestQuantileBucket(t *testing.T) {
	inf := math.Inf(1)
	b := func(pairs ...float64) []bucket {
		var out []bucket
		for i := 0; i+1 < len(pairs); i += 2 {
			out = append(out, bucket{pairs[i], pairs[i+1]})
		}
		return out
	}
	for _, tc := range []struct {
		name      string
		b         []bucket
		q         float64
		low, high float64
		ok        bool
	}{
		{"half of the requests are in the first bucket: the median is in it", b(.01, 5, .025, 8, inf, 10), .5, 0, .01, true},
		{"one more than half above: the median is in the second", b(.01, 4, .025, 8, inf, 10), .5, .01, .025, true},
		{"empty buckets at the foot are passed over", b(.01, 0, .025, 0, .05, 10, inf, 10), .5, .025, .05, true},
		{"what is beyond the last bound is only known to be above it", b(.01, 1, 60, 9, inf, 10), .99, 60, inf, true},
		{"everything in the last bucket", b(.01, 0, inf, 3), .5, .01, inf, true},
		{"p99 of a rate of one request in a long while", b(.01, 0, .3, .05, inf, .05), .99, .01, .3, true},
		{"no requests have no percentile", b(.01, 0, inf, 0), .5, 0, 0, false},
		{"no buckets have none either", nil, .5, 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			low, high, ok := quantileBucket(tc.b, tc.q)
			if low != tc.low || high != tc.high || ok != tc.ok {
				t.Errorf("got (%v, %v], %v; want (%v, %v], %v", low, high, ok, tc.low, tc.high, tc.ok)
			}
		})
	}
}

func TestBucketsAreSortedAndCumulative(t *testing.T) {
	got := bucketsOf(promql.Vector{staged.V(7, "le", "+Inf"), staged.V(5, "le", "0.1"), staged.V(4, "le", "1.0"), staged.V(math.NaN(), "le", "2.0"), staged.V(1, "le", "x")})
	want := []bucket{{.1, 5}, {1, 5}, {math.Inf(1), 7}}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("bucket %d is %v, want %v", i, got[i], want[i])
		}
	}
}
