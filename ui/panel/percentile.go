package panel

import (
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"pitwall/ui/figure"
)

// PercentileOf gives the selector of the buckets that an expression reads a percentile from; false for every other one. The
// expression must be PromQL as it is asked, without names and variables to be filled in.
func PercentileOf(expr string) (*parser.VectorSelector, bool) {
	if !strings.Contains(expr, "histogram_quantile") {
		return nil, false
	}
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, false
	}
	for {
		p, ok := e.(*parser.ParenExpr)
		if !ok {
			break
		}
		e = p.Expr
	}
	call, ok := e.(*parser.Call)
	if !ok || call.Func.Name != "histogram_quantile" {
		return nil, false // of something computed from a percentile no bucket is known
	}
	var found *parser.VectorSelector
	one := true
	parser.Inspect(call.Args[1], func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			one = one && (found == nil || found.Name == n.Name)
			found = n
		case *parser.BinaryExpr:
			one = one && n.Op == parser.LOR // what else is done to buckets may move their bounds' meaning
		}
		return nil
	})
	if found == nil || !one || !strings.HasSuffix(found.Name, "_bucket") {
		return nil, false
	}
	return found, true
}

// bucketOf gives the upper bound of the bucket that a percentile lies in. PromQL interpolates within a bucket, so that is
// the next bound; of the last, open bucket it gives the lower bound, and over is true.
func bucketOf(bounds []float64, v float64) (bound float64, over bool) {
	const near = 1e-9 // interpolation ends at a bound but for rounding
	last := bounds[len(bounds)-1]
	for _, b := range bounds {
		if v <= b*(1+near) && b != last {
			return b, false
		}
	}
	return last, v >= last*(1-near)
}

// write writes one of the row's numbers; of a percentile, the bucket that it lies in, because more is not known.
func (r Row) write(v figure.Value, number func(figure.Value) string) string {
	return bounded(r.bounds, v, number)
}

func bounded(bounds []float64, v figure.Value, number func(figure.Value) string) string {
	if !v.OK || len(bounds) == 0 {
		return number(v)
	}
	bound, over := bucketOf(bounds, v.V)
	if over {
		return ">" + number(figure.Of(bound))
	}
	return "≤" + number(figure.Of(bound))
}

// change writes by how much a number rose between two moments. Of percentiles only their buckets are known: the same one is
// no change, and between two the difference of the bounds is about right.
func (r Row) change() string {
	d := change(r)
	about := ""
	if len(r.bounds) > 0 && d.OK {
		a, overA := bucketOf(r.bounds, r.Before.V)
		b, overB := bucketOf(r.bounds, r.After.V)
		if a == b && overA == overB {
			return "="
		}
		d, about = figure.Of(b-a), "~"
	}
	text := bareText(r.Unit, d)
	if d.V > 0 {
		text = "+" + text
	}
	return about + text
}
