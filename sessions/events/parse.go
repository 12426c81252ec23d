package events

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// SyntaxError says what is wrong in a file of rules, and where.
type SyntaxError struct {
	// File and Line are where, Rule the kind of the rule ("" before it is known), Key which of its keys.
	File      string
	Line      int
	Rule, Key string
	Err       error
}

// Error gives "rules.yaml:12: engine.slow: expr: …".
func (e *SyntaxError) Error() string {
	s := fmt.Sprintf("%s:%d: ", e.File, e.Line)
	for _, part := range []string{e.Rule, e.Key} {
		if part != "" {
			s += part + ": "
		}
	}
	return s + e.Err.Error()
}

// Unwrap gives what is wrong.
func (e *SyntaxError) Unwrap() error { return e.Err }

// text is a scalar that remembers its line.
type text struct {
	s    string
	line int
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *text) UnmarshalYAML(n *yaml.Node) error {
	t.line = n.Line
	return n.Decode(&t.s)
}

type fileNumber struct {
	Name text   `yaml:"name"`
	Expr text   `yaml:"expr"`
	Unit string `yaml:"unit"`
	Text string `yaml:"text"`
	Else string `yaml:"else"`
}

type fileRule struct {
	Kind      text         `yaml:"kind"`
	Scope     text         `yaml:"scope"`
	Subject   string       `yaml:"subject"`
	Title     text         `yaml:"title"`
	Severity  text         `yaml:"severity"`
	Expr      text         `yaml:"expr"`
	Window    text         `yaml:"window"`
	Trailing  bool         `yaml:"trailing"`
	Unit      string       `yaml:"unit"`
	Threshold string       `yaml:"threshold"`
	Critical  text         `yaml:"critical"`
	For       text         `yaml:"for"`
	Keep      text         `yaml:"keep"`
	Every     text         `yaml:"every"`
	DependsOn []text       `yaml:"depends_on"`
	Cause     []text       `yaml:"cause"`
	With      []fileNumber `yaml:"with"`
	Help      string       `yaml:"help"`
	Off       bool         `yaml:"off"`
}

type rulesFile struct {
	Rules []yaml.Node `yaml:"rules"`
}

// Limits of a file of rules: whoever writes more has made a mistake, and each rule costs something every second.
const (
	maxRules = 200
	maxFile  = 1 << 20
)

var (
	kindRE   = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)
	nameRE   = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	yamlLine = regexp.MustCompile(`line (\d+): `)
)

// taken are the kinds of typed events, which no rule may have.
func taken() []string {
	return []string{probes.KindEngineState, kindStarting, kindReady, kindRestarted, kindSleeping, kindStalled, kindDead, kindNoAnswer, kindNone,
		"engine.changed", "gpu.xid", "gpu.lost", "gpu.back", "gpu.hang", "gpu.throttle", "host.oom_kill", "recorder.gap", "recorder.clock"}
}

// Parse reads a file of rules; name is only used in errors. Unknown keys are errors, and so is an expression that does not
// parse, that compares nothing, or that asks for an engine: name that no dialect has. The error is a *SyntaxError, or several
// joined.
func Parse(name string, data []byte) ([]Rule, error) {
	if len(data) > maxFile {
		return nil, &SyntaxError{File: name, Line: 1, Err: fmt.Errorf("%d bytes are no file of rules: at most %d", len(data), maxFile)}
	}
	var f rulesFile
	if err := decode(data, &f); err != nil {
		return nil, yamlErrors(name, 0, err)
	}
	if len(f.Rules) > maxRules {
		return nil, &SyntaxError{File: name, Line: f.Rules[maxRules].Line, Err: fmt.Errorf("more than %d rules", maxRules)}
	}
	var out []Rule
	var errs []error
	for i := range f.Rules {
		r, err := parseRule(name, &f.Rules[i])
		if err == nil && slices.ContainsFunc(out, func(o Rule) bool { return o.Kind == r.Kind }) {
			err = &SyntaxError{File: name, Line: f.Rules[i].Line, Rule: r.Kind, Key: "kind", Err: errors.New("there is such a rule already")}
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}

// decode reads one YAML document, with unknown keys as errors. An empty one has no rules.
func decode(data []byte, into any) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		return errors.New("more than one YAML document")
	}
	return nil
}

// yamlErrors puts YAML's own errors into our form; at is the line that they count from.
func yamlErrors(file string, at int, err error) error {
	var types *yaml.TypeError
	all := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if errors.As(err, &types) {
		all = types.Errors
	}
	var errs []error
	for _, s := range all {
		e := &SyntaxError{File: file, Line: max(at, 1)}
		if m := yamlLine.FindStringSubmatchIndex(s); m != nil {
			if n, err := strconv.Atoi(s[m[2]:m[3]]); err == nil {
				e.Line = n
			}
			s = s[:m[0]] + s[m[1]:]
		}
		s = strings.ReplaceAll(s, " in type events.fileRule", "")
		e.Err = errors.New(strings.ReplaceAll(strings.ReplaceAll(s, " in type events.rulesFile", ""), " in type events.fileNumber", ""))
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// knownKeys refuses a key that a rule has not got. A node can't be decoded with known fields only.
func knownKeys(file, rule string, n *yaml.Node, keys []string) []error {
	var errs []error
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if !slices.Contains(keys, k.Value) {
			errs = append(errs, &SyntaxError{File: file, Line: k.Line, Rule: rule, Key: k.Value, Err: fmt.Errorf("no such key; there are %s", strings.Join(keys, ", "))})
		}
	}
	return errs
}

func ruleKeys() []string {
	return []string{"kind", "scope", "subject", "title", "severity", "expr", "window", "trailing", "unit", "threshold", "critical", "for", "keep",
		"every", "depends_on", "cause", "with", "help", "off"}
}

func parseRule(file string, n *yaml.Node) (Rule, error) {
	if n.Kind != yaml.MappingNode {
		return Rule{}, &SyntaxError{File: file, Line: n.Line, Err: errors.New("a rule is a list of keys and values")}
	}
	var f fileRule
	if err := n.Decode(&f); err != nil {
		return Rule{}, yamlErrors(file, n.Line, err)
	}
	errs := knownKeys(file, f.Kind.s, n, ruleKeys())
	fail := func(line int, key, format string, args ...any) {
		if line == 0 {
			line = n.Line
		}
		errs = append(errs, &SyntaxError{File: file, Line: line, Rule: f.Kind.s, Key: key, Err: fmt.Errorf(format, args...)})
	}
	r := Rule{Kind: f.Kind.s, Scope: Where(f.Scope.s), Subject: f.Subject, Title: strings.TrimSpace(f.Title.s), Expr: strings.TrimSpace(f.Expr.s),
		Trailing: f.Trailing, Unit: f.Unit, Threshold: f.Threshold, Help: strings.TrimSpace(f.Help), Off: f.Off}
	switch {
	case !kindRE.MatchString(r.Kind):
		fail(f.Kind.line, "kind", "%q is not a dotted word such as engine.slow", r.Kind)
	case slices.Contains(taken(), r.Kind):
		fail(f.Kind.line, "kind", "%s is what a probe tells by itself", r.Kind)
	}
	if r.Off {
		return r, errors.Join(errs...)
	}
	switch r.Scope {
	case PerEngine, PerGPU, PerHost, PerSession:
	default:
		fail(f.Scope.line, "scope", "%q is none of engine, gpu, host, session", f.Scope.s)
	}
	if r.Title == "" {
		fail(f.Title.line, "title", "it needs one: what the screen says, in a few words")
	}
	sev := map[string]probes.Severity{"": probes.Warning, "note": probes.Note, "warning": probes.Warning, "critical": probes.Critical}
	var ok bool
	if r.Severity, ok = sev[f.Severity.s]; !ok {
		fail(f.Severity.line, "severity", "%q is none of note, warning, critical", f.Severity.s)
	}
	if err := checkExpr(r.Expr, r.Scope, true); err != nil {
		fail(f.Expr.line, "expr", "%w", err)
	}
	span := func(t text, key string, def time.Duration) time.Duration {
		if t.s == "" {
			return def
		}
		d, err := model.ParseDuration(t.s)
		if err != nil || time.Duration(d) > 24*time.Hour {
			fail(t.line, key, "%q is not a time such as 5s or 2m, at most a day", t.s)
		}
		return time.Duration(d)
	}
	r.For, r.Keep = span(f.For, "for", 0), span(f.Keep, "keep", 30*time.Second)
	r.Window, r.Every = span(f.Window, "window", 0), max(time.Second, span(f.Every, "every", time.Second).Truncate(time.Second))
	if f.Critical.s != "" {
		v, err := strconv.ParseFloat(f.Critical.s, 64)
		if err != nil {
			fail(f.Critical.line, "critical", "%q is not a number", f.Critical.s)
		}
		r.Critical, r.HasCritical = v, true
	}
	for _, d := range f.DependsOn {
		if !kindRE.MatchString(d.s) || d.s == r.Kind {
			fail(d.line, "depends_on", "%q is not the kind of another event", d.s)
		}
		r.DependsOn = append(r.DependsOn, d.s)
	}
	for i, w := range f.With {
		if !nameRE.MatchString(w.Name.s) || w.Name.s == "value" || w.Name.s == "error" {
			fail(w.Name.line, "with", "%q is not a name of small letters (value and error are taken)", w.Name.s)
		}
		if err := checkExpr(w.Expr.s, r.Scope, false); err != nil {
			fail(w.Expr.line, "with["+w.Name.s+"].expr", "%w", err)
		}
		if slices.ContainsFunc(f.With[:i], func(o fileNumber) bool { return o.Name.s == w.Name.s }) {
			fail(w.Name.line, "with", "%s is there twice", w.Name.s)
		}
		r.With = append(r.With, Number{Name: w.Name.s, Expr: strings.TrimSpace(w.Expr.s), Unit: w.Unit, Text: w.Text, Else: w.Else})
	}
	if with := mapValue(n, "with"); with != nil && with.Kind == yaml.SequenceNode {
		for _, item := range with.Content {
			errs = append(errs, knownKeys(file, r.Kind, item, []string{"name", "expr", "unit", "text", "else"})...)
		}
	}
	for _, c := range f.Cause {
		if err := checkTemplate(c.s); err != nil {
			fail(c.line, "cause", "%w", err)
		}
		r.Cause = append(r.Cause, c.s)
	}
	if err := checkTemplate(r.Subject); err != nil {
		fail(0, "subject", "%w", err)
	}
	slices.SortStableFunc(errs, func(a, b error) int { return lineOf(a) - lineOf(b) })
	return r, errors.Join(errs...)
}

func lineOf(err error) int {
	var s *SyntaxError
	if errors.As(err, &s) {
		return s.Line
	}
	return 0
}

func mapValue(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// checkExpr parses an expression as it would be asked. The expression of a rule itself must compare something: without that
// it would hold for ever.
func checkExpr(expr string, scope Where, condition bool) error {
	if expr == "" {
		return errors.New("it needs one, in PromQL")
	}
	plain, err := expandOver(expr, scope, 10*time.Second)
	if err != nil {
		return err
	}
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(plain)
	if err != nil {
		return err
	}
	if t := parsed.Type(); t != parser.ValueTypeVector {
		return fmt.Errorf("it gives a %s, and not a value for each series now", parser.DocumentedType(t))
	}
	if condition && !compares(parsed) {
		return errors.New("it compares nothing, so it would always hold: add > 0 or the like")
	}
	return nil
}

// expandOver fills the placeholders in, with a window, and the engine: names by the first dialect that knows them all.
func expandOver(expr string, scope Where, window time.Duration) (string, error) {
	if scope != PerEngine {
		if strings.Contains(expr, "engine:") {
			return "", errors.New("engine: names need scope: engine")
		}
		w := model.Duration(window).String()
		return strings.NewReplacer("{$sel,", "{", "$sel", "", "$w", w, "$__rate_interval", w, "$__interval", "1s", "$__range", w).Replace(expr), nil
	}
	var first error
	for _, d := range dialect.All() {
		out, err := d.Expand(expr, "", window)
		if err == nil {
			return out, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

// compares tells whether an expression filters by a comparison.
func compares(e parser.Expr) bool {
	found := false
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if b, ok := n.(*parser.BinaryExpr); ok && b.Op.IsComparisonOperator() && !b.ReturnBool {
			found = true
		}
		return nil
	})
	return found
}
