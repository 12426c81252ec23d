package live

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/promql"
)

// bucket is one step of a cumulative histogram: the rate of observations at most le.
type bucket struct {
	le    float64
	count float64
}

// bucketsOf sorts an answer by le. Buckets that are not cumulative because of rates over a restart are raised to the one
// before.
func bucketsOf(v promql.Vector) []bucket {
	out := make([]bucket, 0, len(v))
	for _, x := range v {
		le, err := strconv.ParseFloat(x.Metric.Get("le"), 64)
		if err != nil || math.IsNaN(x.F) {
			continue
		}
		out = append(out, bucket{le, x.F})
	}
	slices.SortFunc(out, func(a, b bucket) int { return cmp.Compare(a.le, b.le) })
	for i := 1; i < len(out); i++ {
		out[i].count = max(out[i].count, out[i-1].count)
	}
	return out
}

// quantileBucket gives the bounds of the bucket that the q-quantile (0..1) falls in: above low, at most high. It is all that
// such a histogram knows; a number in between would be made up. False when there were no observations.
func quantileBucket(b []bucket, q float64) (low, high float64, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	total := b[len(b)-1].count
	if !(total > 0) {
		return 0, 0, false
	}
	// Observations are rates here, so the rank is a share of the total; an exact boundary belongs to the lower bucket.
	rank := q * total * (1 - 1e-12)
	low = 0
	for _, x := range b {
		if x.count >= rank && x.count > 0 {
			return low, x.le, true
		}
		low = x.le
	}
	return low, math.Inf(1), true
}

// total gives the rate of all observations, per second.
func total(b []bucket) float64 {
	if len(b) == 0 {
		return 0
	}
	return b[len(b)-1].count
}
