package live

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"pitwall/sessions"
	"pitwall/ui/figure"
)

// totals gives, by query id, by how much the counters under rates rose between two moments: exactly, from the samples
// themselves, because PromQL's increase extrapolates. A counter that fell was set back and began again at zero, as in PromQL.
func totals(ctx context.Context, r sessions.Reader, asked []query, from, to *snapshot) map[string]figure.Value {
	out := make(map[string]figure.Value)
	for _, q := range asked {
		if !q.total {
			continue
		}
		for _, sel := range countersOf(to.exprs[q.id]) {
			if v, ok := increase(ctx, r, sel, from.at, to.at); ok {
				out[q.id] = figure.Of(v)
				break
			}
		}
	}
	return out
}

// increase is the exact rise of all counters of a selector between two moments.
func increase(ctx context.Context, r sessions.Reader, sel string, from, to time.Time) (float64, bool) {
	// A little more than the span, so that the sample which held at its beginning is there.
	res, err := r.Query(ctx, fmt.Sprintf("%s[%ds]", sel, int(to.Sub(from).Seconds())+longestInterval), to, sessions.Scope{})
	if err != nil {
		return 0, false
	}
	sum, any := 0.0, false
	for _, series := range res.Matrix() {
		sum += rise(series.Floats, from.UnixMilli())
		any = true
	}
	return sum, any
}

// longestInterval is the longest time in seconds between two samples of a counter.
const longestInterval = 15

// rise adds up by how much a counter rose after the moment from: the sample before it is where it begins. A series that
// begins later begins at its first sample: what it counted before that is not known to be of this span.
func rise(points []promql.FPoint, from int64) float64 {
	sum := 0.0
	for i, p := range points {
		if i == 0 || p.T <= from {
			continue
		}
		before := points[i-1].F
		if p.F < before {
			before = 0
		}
		sum += p.F - before
	}
	return sum
}

// countersOf gives the selectors of the counters whose sum an expression is the rate of, the preferred one first; none for
// anything but such sums: of a ratio there is no total.
func countersOf(expr string) []string {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil
	}
	var out []string
	var walk func(e parser.Expr) bool
	walk = func(e parser.Expr) bool {
		switch e := e.(type) {
		case *parser.ParenExpr:
			return walk(e.Expr)
		case *parser.StepInvariantExpr:
			return walk(e.Expr)
		case *parser.AggregateExpr:
			return e.Op == parser.SUM && walk(e.Expr)
		case *parser.BinaryExpr:
			return e.Op == parser.LOR && walk(e.LHS) && walk(e.RHS)
		case *parser.Call:
			if m, ok := e.Args[0].(*parser.MatrixSelector); ok && (e.Func.Name == "rate" || e.Func.Name == "increase") {
				out = append(out, m.VectorSelector.String())
				return true
			}
		}
		return false
	}
	if !walk(e) || strings.TrimSpace(expr) == "" {
		return nil
	}
	return out
}
