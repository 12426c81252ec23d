package panel

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"pitwall/probes/engine/dialect"
)

// variables are what a reader substitutes in an expression, with a stand-in that parses where they may stand.
func variables() map[string]string {
	return map[string]string{
		"sel": `job="x"`, "w": "1m", "__rate_interval": "1m", "__interval": "15s", "__interval_ms": "15000",
		"__range": "5m", "__range_s": "300", "__range_ms": "300000",
	}
}

// variableRE finds $name and ${name}.
var variableRE = regexp.MustCompile(`\$(?:\{(\w+)(?::\w+)?\}|(\w+))`)

// checkPanel looks at what a panel says of itself. What it leaves out may stand in the one that it changes.
func (r *reader) checkPanel(n *yaml.Node, at string, s *Spec) {
	where := func(key string) *yaml.Node {
		if c := child(n, key); c != nil {
			return c
		}
		return n
	}
	if s.Draw != "" && !slices.Contains(Drawings(), s.Draw) {
		r.fail(where("draw"), at+".draw", fmt.Sprintf("%q is no way to draw", s.Draw), oneOf(s.Draw, Drawings()))
	}
	r.checkScope(where("scope"), at+".scope", s.Scope)
	if w := unitDoubt(s.Unit); w != "" && !s.InGo() {
		r.warn(where("unit"), at+".unit", w)
	}
	if s.given["queries"] && s.Unit == "" && !s.given["unit"] && !s.InGo() {
		r.warn(n, at, "no unit: its numbers are written bare; unit: none says that they have none")
	}
	if s.Sort != "" && !slices.Contains(sorts(), s.Sort) {
		r.fail(where("sort"), at+".sort", fmt.Sprintf("%q is no order", s.Sort), oneOf(s.Sort, sorts()))
	}
	if s.Limit < 0 || s.Limit > 1000 {
		r.fail(where("limit"), at+".limit", fmt.Sprintf("%d is not between 1 and 1000", s.Limit), "")
	}
	if s.Min != nil && s.Max != nil && !(*s.Max > *s.Min) {
		r.fail(where("max"), at+".max", "not above min", "")
	}
	for _, v := range []*float64{s.Min, s.Max, &s.Least} {
		if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
			r.fail(n, at, "an end of the axis is no finite number", "")
		}
	}
	if s.Key != "" && (len(s.Key) != 1 || s.Key[0] < '1' || s.Key[0] > '9') {
		r.fail(where("key"), at+".key", fmt.Sprintf("%q is no digit from 1 to 9", s.Key), "")
	}
	if s.given["title"] && where("title").Kind == yaml.ScalarNode && strings.TrimSpace(s.Title) == "" {
		r.fail(where("title"), at+".title", "empty", "")
	}
	for i, t := range s.Thresholds {
		key := fmt.Sprintf("%s.thresholds[%d]", at, i)
		if t.Level != "warn" && t.Level != "bad" {
			r.fail(item(where("thresholds"), i), key+".level", fmt.Sprintf("%q is neither warn nor bad", t.Level), "")
		}
		if math.IsNaN(t.From) || math.IsInf(t.From, 0) {
			r.fail(item(where("thresholds"), i), key+".from", "no finite number", "")
		}
	}
	seen := map[string]bool{}
	for i := range s.Queries {
		q := &s.Queries[i]
		key := fmt.Sprintf("%s.queries[%s]", at, q.ID)
		node := item(where("queries"), i)
		bad := func(n *yaml.Node, key, what, hint string) {
			r.fail(n, key, what, hint)
			if q.broken == "" {
				q.broken = what
			}
		}
		if seen[q.ID] {
			bad(node, key, "a second query with this id", "")
		}
		seen[q.ID] = true
		r.checkScope(node, key+".scope", q.Scope)
		if q.Pick != "" && q.Pick != "mean" && q.Pick != "most" {
			bad(node, key+".pick", fmt.Sprintf("%q is neither mean nor most", q.Pick), "")
		}
		if q.given["expr"] || q.Expr != "" {
			r.checkExpr(s, q, key)
		}
		if s.Draw == DrawHeat && q.Expr != "" && q.broken == "" && dropsLe(q.Expr) {
			bad(node, key+".expr", "a heat map needs the buckets by le, and the expression drops that label", "sum by (le)(rate(x_bucket{$sel}[$w]))")
		}
	}
	for i, c := range s.Charts {
		for _, id := range append(slices.Clone(c.Queries), c.Heat) {
			if id != "" && s.given["queries"] && s.given["draw"] && !seen[id] {
				r.fail(item(where("charts"), i), fmt.Sprintf("%s.charts[%d]", at, i), fmt.Sprintf("the panel has no query %q", id), "")
			}
		}
	}
}

func (r *reader) warn(n *yaml.Node, key, what string) {
	r.fail(n, key, what, "")
	r.faults[len(r.faults)-1].Warning = true
}

func (r *reader) checkScope(n *yaml.Node, key string, s Scope) {
	if s == "" || slices.Contains(Scopes(), s) {
		return
	}
	words := make([]string, 0, 4)
	for _, x := range Scopes() {
		words = append(words, string(x))
	}
	r.fail(n, key, fmt.Sprintf("%q is no scope", s), oneOf(string(s), words))
}

func item(list *yaml.Node, i int) *yaml.Node {
	if list.Kind == yaml.SequenceNode && i < len(list.Content) {
		return list.Content[i]
	}
	return list
}

func sorts() []string { return []string{"value", "-value", "name", "query", "none"} }

// checkExpr finds what is wrong in an expression and says where: the line of the file, the character, and a caret under it.
func (r *reader) checkExpr(s *Spec, q *Query, key string) {
	for _, x := range CheckExpr(q.Expr) {
		n := &yaml.Node{Line: q.line}
		line, col := position(q.Expr, x.At)
		if q.block {
			n.Line = q.line + line + 1 // the text begins below its key
		}
		what := x.What
		if x.At >= 0 {
			what = fmt.Sprintf("character %d: %s", utf8.RuneCountInString(q.Expr[:min(x.At, len(q.Expr))])+1, x.What)
		}
		hint := x.Hint
		if hint == "" && x.At >= 0 {
			hint = caret(q.Expr, line, col)
		}
		r.fail(n, key+".expr", what, hint)
		if q.broken == "" {
			q.broken = what
		}
	}
}

// ExprFault is one fault of an expression; At is the byte at which it begins, -1 where there is none.
type ExprFault struct {
	At         int
	What, Hint string
}

// CheckExpr finds what keeps an expression from being asked: variables that nobody fills, what PromQL cannot parse, what
// gives no numbers, and engine: names that no dialect knows.
func CheckExpr(expr string) []ExprFault {
	if strings.TrimSpace(expr) == "" {
		return []ExprFault{{At: -1, What: "no expression", Hint: "expr: sum(rate(x_total{$sel}[$w]))"}}
	}
	vars := variables()
	var faults []ExprFault
	var out strings.Builder
	type shift struct{ at, by int } // from this byte of the filled text on, it is by bytes longer than the file's
	var shifts []shift
	last, grown := 0, 0
	for _, m := range variableRE.FindAllStringSubmatchIndex(expr, -1) {
		name, braces := "", m[2] >= 0
		if braces {
			name = expr[m[2]:m[3]]
		} else {
			name = expr[m[4]:m[5]]
		}
		if _, err := strconv.Atoi(name); err == nil {
			continue // a group, of label_replace
		}
		to, ok := vars[name]
		if ok && braces && !slices.Contains([]string{"__rate_interval", "__interval", "__range"}, name) {
			ok = false
		}
		if !ok {
			known := make([]string, 0, len(vars))
			for k := range vars {
				known = append(known, "$"+k)
			}
			slices.Sort(known)
			faults = append(faults, ExprFault{At: m[0], What: "unknown variable " + expr[m[0]:m[1]], Hint: oneOf("$"+name, known)})
			continue
		}
		out.WriteString(expr[last:m[0]])
		out.WriteString(to)
		grown += len(to) - (m[1] - m[0])
		shifts = append(shifts, shift{out.Len(), grown})
		last = m[1]
	}
	if len(faults) > 0 {
		return faults
	}
	out.WriteString(expr[last:])
	back := func(pos int) int {
		by := 0
		for _, s := range shifts {
			if pos >= s.at {
				by = s.by
			}
		}
		return min(max(pos-by, 0), len(expr))
	}
	e, err := parser.NewParser(parser.Options{}).ParseExpr(out.String())
	if err != nil {
		var pe parser.ParseErrors
		if !errors.As(err, &pe) || len(pe) == 0 {
			return []ExprFault{{At: -1, What: err.Error()}}
		}
		// What follows the first is its consequence more often than not.
		at, what := back(int(pe[0].PositionRange.Start)), pe[0].Err.Error()
		if strings.HasPrefix(what, "unexpected right parenthesis") && at > 0 && expr[at-1] == ')' {
			at-- // the lexer is behind it already
		}
		return []ExprFault{{At: at, What: what}}
	}
	switch t := e.Type(); t {
	case parser.ValueTypeVector, parser.ValueTypeScalar:
	default:
		return []ExprFault{{At: -1, What: fmt.Sprintf("it gives a %s, not numbers at a moment", parser.DocumentedType(t)), Hint: "a range belongs into rate(…[$w]) or the like"}}
	}
	return unknownNames(out.String())
}

// unknownNames finds engine: names that no dialect knows, and uses of them that none allows. A name that only another
// engine's dialect has is no fault: on this engine the panel says so.
func unknownNames(expr string) []ExprFault {
	if !strings.Contains(expr, "engine:") {
		return nil
	}
	var first error
	for _, d := range dialect.All() {
		_, err := d.Expand(expr, "", time.Minute)
		if err == nil {
			return nil
		}
		if first == nil || d.Name == "vllm" {
			first = err
		}
	}
	if first == nil {
		return nil
	}
	what := first.Error()
	if i := strings.Index(what, "\": "); i >= 0 && strings.HasPrefix(what, "expanding ") {
		what = what[i+3:] // the expression stands beside it anyway
	}
	return []ExprFault{{At: -1, What: what}}
}

// dropsLe tells whether an expression surely answers without the label le.
func dropsLe(expr string) bool {
	filled := variableRE.ReplaceAllStringFunc(expr, func(v string) string { return variables()[strings.Trim(v, "${}")] })
	e, err := parser.NewParser(parser.Options{}).ParseExpr(filled)
	for err == nil {
		switch n := e.(type) {
		case *parser.ParenExpr:
			e = n.Expr
			continue
		case *parser.AggregateExpr:
			return slices.Contains(n.Grouping, "le") == n.Without
		case *parser.Call:
			return n.Func.Name == "histogram_quantile"
		}
		break
	}
	return false
}

// position gives the line (from 0) and the character (from 0) of a byte of an expression.
func position(expr string, at int) (line, col int) {
	if at < 0 {
		return 0, 0
	}
	before := expr[:min(at, len(expr))]
	return strings.Count(before, "\n"), utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// caret shows a piece of an expression's line with a mark before the character.
func caret(expr string, line, col int) string {
	text := []rune(strings.Split(expr, "\n")[line])
	const around = 30
	from, to := max(col-around, 0), min(col+around, len(text))
	left, right := string(text[from:min(col, len(text))]), string(text[min(col, len(text)):to])
	if from > 0 {
		left = "…" + left
	}
	if to < len(text) {
		right += "…"
	}
	return "here: " + left + " ▸ " + right
}
