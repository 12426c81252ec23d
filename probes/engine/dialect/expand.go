package dialect

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// promql gives a parser; Prometheus's own default language, without experimental functions.
func promql() parser.Parser { return parser.NewParser(parser.Options{}) }

var (
	placeholder = regexp.MustCompile(`\$(sel|w)\b`)
	windowRE    = regexp.MustCompile(`\$w\b`)
)

func hasWindow(template string) bool { return windowRE.MatchString(template) }

// substitute fills a template's placeholders. An empty $sel leaves {} or {a="b",}, both of which PromQL accepts.
func substitute(template, sel, window string) string {
	return placeholder.ReplaceAllStringFunc(template, func(p string) string {
		if p == "$sel" {
			return sel
		}
		return window
	})
}

// Expand replaces each engine: name in a PromQL expression by its template in parentheses. sel is a list of label matchers
// without braces and becomes $sel, in the templates and in expr; window becomes $w, and must be at least a millisecond.
// Matchers that a name carries itself, engine:running{model_name="x"}, are added to sel for that name; offset and @ are
// handed on to the selectors inside. A word of the vocabulary that this engine has no template for (Absent) stays as a
// selector of that name: no series has it, so it gives nothing, and the name stands in the expression for who looks for the
// reason. Expressions without engine: names come back as they parse. Errors say what is wrong in the words of who wrote
// expr.
func (d *Dialect) Expand(expr, sel string, window time.Duration) (string, error) {
	if window < time.Millisecond {
		return "", fmt.Errorf("expanding %q: the window %v is below a millisecond", expr, window)
	}
	sel, err := cleanSelector(sel)
	if err != nil {
		return "", fmt.Errorf("expanding %q: %w", expr, err)
	}
	x := expansion{d: d, sel: sel, window: model.Duration(window.Truncate(time.Millisecond)).String()}
	e, err := promql().ParseExpr(substitute(expr, sel, x.window))
	if err != nil {
		return "", fmt.Errorf("expanding %q: %w", expr, err)
	}
	out, err := x.walk(e)
	if err != nil {
		return "", fmt.Errorf("expanding %q: %w", expr, err)
	}
	return out.String(), nil
}

// cleanSelector parses matchers and writes them again, so that what is put into templates as text is known to be matchers
// and nothing else.
func cleanSelector(sel string) (string, error) {
	if strings.TrimSpace(sel) == "" {
		return "", nil
	}
	ms, err := promql().ParseMetricSelector("x{" + sel + "}")
	if err != nil {
		return "", fmt.Errorf("selector {%s}: %w", sel, err)
	}
	return matcherText(ms), nil
}

// matcherText lists matchers, that of the name left out.
func matcherText(ms []*labels.Matcher) string {
	var parts []string
	for _, m := range ms {
		if m.Name != model.MetricNameLabel {
			parts = append(parts, m.String())
		}
	}
	return strings.Join(parts, ",")
}

type expansion struct {
	d           *Dialect
	sel, window string
}

// walk gives e with its engine: names replaced. parser.Inspect only visits, so this is the switch over the node types that
// the parser can produce.
func (x *expansion) walk(e parser.Expr) (parser.Expr, error) {
	var err error
	switch n := e.(type) {
	case *parser.VectorSelector:
		return x.name(n)
	case *parser.MatrixSelector:
		if v, ok := n.VectorSelector.(*parser.VectorSelector); ok {
			if name := engineNameOf(v); name != "" {
				return nil, x.rangeOverName(name, n.String())
			}
			_, err = x.name(v)
		}
		return n, err
	case *parser.SubqueryExpr:
		n.Expr, err = x.walk(n.Expr)
		return n, err
	case *parser.Call:
		if name := rateOfName(n); name != "" {
			return nil, fmt.Errorf("%s() over %s: it is no counter, its rates are inside; ask for %s itself", n.Func.Name, name, name)
		}
		for i, a := range n.Args {
			if n.Args[i], err = x.walk(a); err != nil {
				return nil, err
			}
		}
		return n, nil
	case *parser.AggregateExpr:
		if n.Expr, err = x.walk(n.Expr); err != nil {
			return nil, err
		}
		if n.Param != nil {
			n.Param, err = x.walk(n.Param)
		}
		return n, err
	case *parser.BinaryExpr:
		if n.LHS, err = x.walk(n.LHS); err != nil {
			return nil, err
		}
		n.RHS, err = x.walk(n.RHS)
		return n, err
	case *parser.UnaryExpr:
		n.Expr, err = x.walk(n.Expr)
		return n, err
	case *parser.ParenExpr:
		n.Expr, err = x.walk(n.Expr)
		return n, err
	case *parser.StepInvariantExpr:
		n.Expr, err = x.walk(n.Expr)
		return n, err
	case *parser.NumberLiteral, *parser.StringLiteral, *parser.DurationExpr:
		return n, nil
	}
	return nil, fmt.Errorf("%s: a %T is not known here", e, e)
}

// rateOfName finds rate(engine:x[5m:1s]) and its like: parse-clean, and wrong by design.
func rateOfName(c *parser.Call) string {
	switch c.Func.Name {
	case "rate", "irate", "increase", "resets":
	default:
		return ""
	}
	if len(c.Args) == 0 {
		return ""
	}
	s, ok := c.Args[0].(*parser.SubqueryExpr)
	if !ok {
		return ""
	}
	inner := s.Expr
	for {
		p, ok := inner.(*parser.ParenExpr)
		if !ok {
			break
		}
		inner = p.Expr
	}
	if v, ok := inner.(*parser.VectorSelector); ok {
		return engineNameOf(v)
	}
	return ""
}

// engineNameOf gives the engine: name that a selector asks for, "" if it asks for something else.
func engineNameOf(v *parser.VectorSelector) string {
	if strings.HasPrefix(v.Name, "engine:") {
		return v.Name
	}
	for _, m := range v.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && strings.HasPrefix(m.Value, "engine:") {
			return m.Value
		}
	}
	return ""
}

// nothing is the selector of a name that no series has, with the scope's matchers and the selector's own.
func (x *expansion) nothing(name string, v *parser.VectorSelector) (parser.Expr, error) {
	sel := x.sel
	if own := matcherText(v.LabelMatchers); own != "" {
		sel = strings.Trim(sel+","+own, ",")
	}
	e, err := promql().ParseExpr(name + "{" + sel + "}")
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", name, x.d, err)
	}
	return e, nil
}

func (x *expansion) rangeOverName(name, text string) error {
	n, ok := x.d.Template(name)
	if !ok && !x.d.lacks(name) {
		return x.unknown(name)
	}
	hint := fmt.Sprintf("or max_over_time(%s[5m:1s]) for a statistic over time, never rate()", name)
	if n.Kind != KindGauge {
		hint = fmt.Sprintf("its window is $w already; %s", hint)
	}
	return fmt.Errorf("%s: a range cannot be taken of %s, which is a template and not a series; say %s itself, %s", text, name, name, hint)
}

func (x *expansion) name(v *parser.VectorSelector) (parser.Expr, error) {
	for _, m := range v.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type != labels.MatchEqual && strings.Contains(m.Value, "engine:") {
			return nil, fmt.Errorf("%s: engine: names are templates and cannot be matched by a pattern", v)
		}
	}
	name := engineNameOf(v)
	if name == "" {
		return v, nil
	}
	n, ok := x.d.Template(name)
	if !ok && x.d.lacks(name) {
		return x.nothing(name, v)
	}
	if !ok {
		return nil, x.unknown(name)
	}
	if v.Anchored || v.Smoothed {
		return nil, fmt.Errorf("%s: anchored and smoothed belong to a series, %s is a template", v, name)
	}
	if v.OriginalOffsetExpr != nil {
		return nil, fmt.Errorf("%s: the offset of %s must be a plain duration", v, name)
	}
	sel := x.sel
	if own := matcherText(v.LabelMatchers); own != "" {
		if sel != "" {
			sel += ","
		}
		sel += own
	}
	e, err := promql().ParseExpr(substitute(n.Expr, sel, x.window))
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", name, x.d, err)
	}
	shift(e, v)
	if p, ok := e.(*parser.ParenExpr); ok {
		return p, nil
	}
	return &parser.ParenExpr{Expr: e}, nil
}

// shift moves the modifiers of a name onto the outermost selectors of its template: a function of series at another time is
// the same function of the series taken at that time.
func shift(e parser.Expr, by *parser.VectorSelector) {
	if by.OriginalOffset == 0 && by.Timestamp == nil && by.StartOrEnd == 0 {
		return
	}
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		for _, p := range path {
			if _, inside := p.(*parser.SubqueryExpr); inside {
				return nil
			}
		}
		switch n := n.(type) {
		case *parser.VectorSelector:
			n.OriginalOffset += by.OriginalOffset
			n.Timestamp, n.StartOrEnd = by.Timestamp, by.StartOrEnd
		case *parser.SubqueryExpr:
			n.OriginalOffset += by.OriginalOffset
			n.Timestamp, n.StartOrEnd = by.Timestamp, by.StartOrEnd
		}
		return nil
	})
}

func (x *expansion) unknown(name string) error {
	best, near := 1<<30, ""
	for _, n := range x.d.names {
		if k := levenshtein.ComputeDistance(name, n.Name); k < best {
			best, near = k, n.Name
		}
	}
	return fmt.Errorf("%s does not know %s; the nearest name is %s", x.d, name, near)
}
