package live

import (
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/common/model"

	"pitwall/sessions"
	form "pitwall/ui/panel"
)

// boundsOf gives the finite upper bounds of the buckets that an expression reads a percentile from; nil for every other
// expression. known are those found before, by expression: the labels of a histogram's buckets don't change.
func boundsOf(r sessions.Reader, expr string, known map[string][]float64) []float64 {
	if b, ok := known[expr]; ok && b != nil {
		return b
	}
	sel, ok := form.PercentileOf(expr)
	if !ok {
		return nil
	}
	var out []float64
next:
	for _, x := range r.Series(sel.Name) {
		for _, m := range sel.LabelMatchers {
			if m.Name != model.MetricNameLabel && !m.Matches(x.Labels[m.Name]) {
				continue next
			}
		}
		if le, err := strconv.ParseFloat(x.Labels[model.BucketLabel], 64); err == nil && !math.IsInf(le, 0) && !math.IsNaN(le) && !slices.Contains(out, le) {
			out = append(out, le)
		}
	}
	slices.Sort(out)
	return out
}
