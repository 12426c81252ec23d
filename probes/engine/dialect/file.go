package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// SyntaxError says what is wrong in a dialect's file, and where.
type SyntaxError struct {
	// File and Line are where, Key which key of the file: "names[engine:running].expr".
	File string
	Line int
	Key  string
	Err  error
}

func (e *SyntaxError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
	}
	return fmt.Sprintf("%s:%d: %s: %v", e.File, e.Line, e.Key, e.Err)
}

func (e *SyntaxError) Unwrap() error { return e.Err }

// text is a scalar that remembers its line.
type text struct {
	s    string
	line int
}

func (t *text) UnmarshalYAML(n *yaml.Node) error {
	t.line = n.Line
	return n.Decode(&t.s)
}

// oneOrMore is a name, or a list of names.
type oneOrMore Alternatives

func (a *oneOrMore) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*a = oneOrMore{n.Value}
		return nil
	}
	var l []string
	if err := n.Decode(&l); err != nil {
		return err
	}
	*a = l
	return nil
}

type fileName struct {
	Name text `yaml:"name"`
	Kind text `yaml:"kind"`
	Unit text `yaml:"unit"`
	Help text `yaml:"help"`
	Expr text `yaml:"expr"`
}

type fileInfo struct {
	Metric string     `yaml:"metric"`
	Facts  []InfoFact `yaml:"facts"`
}

type fileState struct {
	Running  oneOrMore   `yaml:"running"`
	Waiting  oneOrMore   `yaml:"waiting"`
	Progress []oneOrMore `yaml:"progress"`
	Steps    []oneOrMore `yaml:"steps"`
	Start    string      `yaml:"start"`
	Sleep    Sleep       `yaml:"sleep"`
	Model    string      `yaml:"model"`
	Note     Note        `yaml:"note"`
}

type file struct {
	Name     text       `yaml:"name"`
	Title    string     `yaml:"title"`
	Verified verified   `yaml:"verified"`
	Detect   []string   `yaml:"detect"`
	Port     int        `yaml:"port"`
	Paths    Paths      `yaml:"paths"`
	State    fileState  `yaml:"state"`
	Info     []fileInfo `yaml:"info"`
	Flags    []Flag     `yaml:"flags"`
	NoStats  string     `yaml:"no_stats"`
	Expect   []Expect   `yaml:"expect"`
	Names    []fileName `yaml:"names"`
}

var (
	yamlLine = regexp.MustCompile(`line (\d+): `)
	// engineName is what a name of a template looks like; the prefix keeps it apart from every exporter's metrics.
	engineName = regexp.MustCompile(`^engine:[a-z][a-z0-9_]*$`)
	dialectRE  = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
)

// Parse reads a dialect's file; name is only used in errors. Unknown keys are errors, and so is a template that does not
// parse or that stands for a counter. The error is a *SyntaxError, or several joined.
func Parse(name string, data []byte) (*Dialect, error) {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return nil, yamlErrors(name, err)
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, &SyntaxError{File: name, Line: 1, Err: errors.New("more than one YAML document")}
	}
	d := &Dialect{
		Name: f.Name.s, Title: f.Title, Detect: f.Detect, Paths: f.Paths, Port: f.Port, Flags: f.Flags,
		Expect: f.Expect, NoStats: f.NoStats, verified: f.Verified, byName: map[string]int{},
		State: State{
			Running: Alternatives(f.State.Running), Waiting: Alternatives(f.State.Waiting), Start: f.State.Start,
			Sleep: f.State.Sleep, Model: f.State.Model, Note: f.State.Note,
		},
	}
	for _, p := range f.State.Progress {
		d.State.Progress = append(d.State.Progress, Alternatives(p))
	}
	for _, p := range f.State.Steps {
		d.State.Steps = append(d.State.Steps, Alternatives(p))
	}
	for _, i := range f.Info {
		d.Info = append(d.Info, Info(i))
	}
	var errs []error
	fail := func(line int, key, format string, args ...any) {
		errs = append(errs, &SyntaxError{File: name, Line: max(line, 1), Key: key, Err: fmt.Errorf(format, args...)})
	}
	if !dialectRE.MatchString(d.Name) {
		fail(f.Name.line, "name", "%q is not a short name of small letters", d.Name)
	}
	if len(d.Detect) == 0 || slices.Contains(d.Detect, "") {
		fail(1, "detect", "no prefix of metric names given")
	}
	if d.Paths.Metrics == "" {
		fail(1, "paths.metrics", "missing")
	}
	if len(f.Names) == 0 {
		fail(1, "names", "missing")
	}
	for i, n := range f.Names {
		key := fmt.Sprintf("names[%d]", i)
		if n.Name.s != "" {
			key = "names[" + n.Name.s + "]"
		}
		line := n.Name.line
		if !engineName.MatchString(n.Name.s) {
			fail(line, key+".name", "%q does not look like engine:word", n.Name.s)
			continue
		}
		if _, twice := d.byName[n.Name.s]; twice {
			fail(line, key+".name", "given twice")
			continue
		}
		if n.Unit.s == "" {
			fail(line, key+".unit", "missing")
		}
		if n.Help.s == "" {
			fail(line, key+".help", "missing")
		}
		nm := Name{Name: n.Name.s, Kind: n.Kind.s, Unit: n.Unit.s, Help: strings.TrimSpace(n.Help.s),
			Expr: strings.TrimSpace(n.Expr.s), line: n.Expr.line}
		if !slices.Contains([]string{KindGauge, KindRate, KindBuckets}, nm.Kind) {
			fail(max(n.Kind.line, line), key+".kind", "%q is none of gauge, rate, buckets", nm.Kind)
			continue
		}
		if err := check(nm); err != nil {
			fail(max(n.Expr.line, line), key+".expr", "%w", err)
			continue
		}
		d.byName[nm.Name] = len(d.names)
		d.names = append(d.names, nm)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return d, nil
}

// The kinds of a name.
const (
	KindGauge   = "gauge"
	KindRate    = "rate"
	KindBuckets = "buckets"
)

// check tells whether a template may stand for its kind. It is tried with and without a selector.
func check(n Name) error {
	if n.Expr == "" {
		return errors.New("missing")
	}
	if n.Kind != KindGauge && !hasWindow(n.Expr) {
		return fmt.Errorf("a %s needs its window: there is no $w", n.Kind)
	}
	var e parser.Expr
	for _, sel := range []string{"", `job="x"`} {
		var err error
		if e, err = promql().ParseExpr(substitute(n.Expr, sel, "1m")); err != nil {
			return err
		}
	}
	if t := e.Type(); t != parser.ValueTypeVector {
		return fmt.Errorf("it gives a %s, not an instant vector", parser.DocumentedType(t))
	}
	if c, bad := bareCounter(e); bad {
		return fmt.Errorf("%s is a counter and stands outside a rate: a name never stands for a counter", c)
	}
	if n.Kind == KindBuckets && !byLe(e) {
		return errors.New("buckets must be sum by (le)(rate(…[$w])), or several of these with or")
	}
	return nil
}

// byLe says whether every branch of an or gives exactly the label le.
func byLe(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return byLe(e.Expr)
	case *parser.BinaryExpr:
		if e.Op == parser.LUNLESS {
			return byLe(e.LHS)
		}
		return e.Op == parser.LOR && byLe(e.LHS) && byLe(e.RHS)
	case *parser.AggregateExpr:
		return e.Op == parser.SUM && !e.Without && slices.Equal(e.Grouping, []string{"le"})
	}
	return false
}

// bareCounter finds an instant selector of a series that only ever grows, by the suffixes that the exposition formats
// reserve for those.
func bareCounter(e parser.Expr) (string, bool) {
	var found string
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		if len(path) > 0 {
			if _, inRange := path[len(path)-1].(*parser.MatrixSelector); inRange {
				return nil
			}
		}
		for _, s := range []string{"_total", "_count", "_sum", "_bucket"} {
			if strings.HasSuffix(v.Name, s) {
				found = v.Name
			}
		}
		return nil
	})
	return found, found != ""
}

func yamlErrors(name string, err error) error {
	var te *yaml.TypeError
	msgs := []string{err.Error()}
	if errors.As(err, &te) {
		msgs = te.Errors
	}
	var errs []error
	for _, m := range msgs {
		line := 1
		if x := yamlLine.FindStringSubmatchIndex(m); x != nil {
			fmt.Sscanf(m[x[2]:x[3]], "%d", &line)
			m = m[:x[0]] + m[x[1]:]
		}
		errs = append(errs, &SyntaxError{File: name, Line: line, Err: errors.New(strings.TrimPrefix(m, "yaml: "))})
	}
	return errors.Join(errs...)
}
