package panel

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"pitwall/probes/engine/dialect"
)

// boardVariable finds $name, ${name}, ${name:format} and [[name]].
var boardVariable = regexp.MustCompile(`\$\{(\w+)(?::[\w-]+)?\}|\$(\w+)|\[\[(\w+)(?::[\w-]+)?\]\]`)

// Grafana's own variables parse nowhere in PromQL, so durations and numbers that nobody writes stand for them while an
// expression is taken apart.
type standIn struct {
	name, text string
}

func standIns() []standIn {
	var out []standIn
	for i, n := range []string{"__rate_interval", "__interval", "__range"} {
		out = append(out, standIn{n, model.Duration(time.Duration(31557600000+(i+1)*7919) * time.Millisecond).String()})
	}
	for i, n := range []string{"__interval_ms", "__range_ms", "__range_s"} {
		out = append(out, standIn{n, strconv.Itoa(987654321 + i)})
	}
	return out
}

const (
	varMark = "pitwall_variable_"
	selMark = "pitwall_selector"
)

// rewrite turns a board's expression into ours: the board's variables go, $sel comes where they chose among engines.
func (im *importer) rewrite(expr string) (out, why string) {
	text, why := im.fill(expr)
	if why != "" {
		return "", why
	}
	e, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return "", "it does not parse: " + oneLine(err.Error())
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			if strings.Contains(n.Name, varMark) {
				why = "a variable stands in a metric's name"
			}
			if w := dropVariables(n); w != "" {
				why = w
			}
		case *parser.StringLiteral:
			if strings.Contains(n.Val, varMark) {
				why = "a variable stands in a text outside of a matcher"
			}
		}
		return nil
	})
	if why != "" {
		return "", why
	}
	out = e.String()
	for _, s := range standIns() {
		out = strings.ReplaceAll(out, s.text, "$"+s.name)
	}
	// An interval holds one reading here, of which nothing can be told; the least that holds enough is meant.
	if strings.Contains(out, "[$__interval]") {
		im.widened = true
		out = strings.ReplaceAll(out, "[$__interval]", "[$__rate_interval]")
	}
	out = strings.ReplaceAll(out, selMark+`="x"`, "$sel")
	if strings.Contains(out, varMark) {
		return "", "a variable stands where only a label's value may"
	}
	return out, ""
}

// dropVariables takes the matchers with variables out of a selector: which engine is shown is chosen on the screen.
func dropVariables(v *parser.VectorSelector) (why string) {
	kept := slices.DeleteFunc(slices.Clone(v.LabelMatchers), func(m *labels.Matcher) bool { return strings.Contains(m.Value, varMark) })
	if len(kept) == len(v.LabelMatchers) {
		return ""
	}
	name := v.Name
	for _, m := range kept {
		if m.Name == model.MetricNameLabel && name == "" {
			name = m.Value
		}
	}
	if name == "" {
		return "without the variable it would select every series"
	}
	for _, d := range dialect.All() {
		if d.Owns(name) {
			kept = append(kept, labels.MustNewMatcher(labels.MatchEqual, selMark, "x"))
			break
		}
	}
	v.LabelMatchers = kept
	return ""
}

// fill puts stand-ins in the places of variables: inside of quotes a mark that is found again, outside their values.
func (im *importer) fill(expr string) (text, why string) {
	var out strings.Builder
	last := 0
	for _, m := range boardVariable.FindAllStringSubmatchIndex(expr, -1) {
		name := ""
		for i := 2; i < len(m); i += 2 {
			if m[i] >= 0 {
				name = expr[m[i]:m[i+1]]
			}
		}
		out.WriteString(expr[last:m[0]])
		last = m[1]
		if i := slices.IndexFunc(standIns(), func(s standIn) bool { return s.name == name }); i >= 0 {
			out.WriteString(standIns()[i].text)
			continue
		}
		if strings.HasPrefix(name, "__") {
			return "", "it uses $" + name + ", which only Grafana fills"
		}
		if quoted(expr[:m[0]]) {
			if _, err := strconv.Atoi(name); err == nil { // $1 of label_replace
				out.WriteString(expr[m[0]:m[1]])
				continue
			}
			out.WriteString(varMark + name)
			continue
		}
		value, ok := im.value(name)
		if !ok {
			return "", fmt.Sprintf("variable $%s stands outside of a label's value, and has none of its own", name)
		}
		out.WriteString(value)
	}
	out.WriteString(expr[last:])
	return out.String(), ""
}

// value gives the chosen value of a board's variable where it may stand in an expression as it is: a number, a duration, a
// word.
func (im *importer) value(name string) (string, bool) {
	for _, v := range im.board.Templating.List {
		if v.Name != name {
			continue
		}
		var s string
		if json.Unmarshal(v.Current.Value, &s) != nil {
			return "", false
		}
		if v.Type == "interval" && (s == "" || strings.HasPrefix(s, "$__auto")) {
			return standIns()[1].text, true
		}
		return s, plainValue.MatchString(s)
	}
	return "", false
}

var plainValue = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

// quoted tells whether a text ends inside of a PromQL string.
func quoted(s string) bool {
	var in byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case in == 0 && (c == '"' || c == '\'' || c == '`'):
			in = c
		case in != 0 && c == '\\' && in != '`':
			i++
		case c == in:
			in = 0
		}
	}
	return in != 0
}
