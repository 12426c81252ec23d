package dialect

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
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
	Note text `yaml:"note"`
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
	Still    string      `yaml:"still"`
	Copies   []string    `yaml:"copies"`
	Steps    []oneOrMore `yaml:"steps"`
	Start    string      `yaml:"start"`
	Sleep    Sleep       `yaml:"sleep"`
	Model    string      `yaml:"model"`
	Note     Note        `yaml:"note"`
}

// file is the form of a dialect's file. Only name, paths.metrics, detect and names must be there; what a key means stands at
// the field of Dialect that has its name.
type file struct {
	Name      text            `yaml:"name"`
	Title     string          `yaml:"title"`
	Verified  verified        `yaml:"verified"`
	Detect    []string        `yaml:"detect"`
	Owner     string          `yaml:"owner"`
	Fallback  bool            `yaml:"fallback"`
	Port      int             `yaml:"port"`
	Paths     Paths           `yaml:"paths"`
	Patience  text            `yaml:"patience"`
	Late      string          `yaml:"late"`
	Loading   Loading         `yaml:"loading"`
	Dead      []int           `yaml:"dead"`
	NoPage    NoPage          `yaml:"no_page"`
	Process   Process         `yaml:"process"`
	Documents []Document      `yaml:"documents"`
	State     fileState       `yaml:"state"`
	Info      []fileInfo      `yaml:"info"`
	Flags     []Flag          `yaml:"flags"`
	NoStats   string          `yaml:"no_stats"`
	Expect    []Expect        `yaml:"expect"`
	Absent    map[string]text `yaml:"absent"`
	Otherwise string          `yaml:"otherwise"`
	Names     []fileName      `yaml:"names"`
	// Counts are the counters behind the words of count.go; CountsNote is what keeps them from being exact.
	Counts     map[string]oneOrMore `yaml:"counts"`
	CountsNote string               `yaml:"counts_note"`
}

var (
	yamlLine = regexp.MustCompile(`line (\d+): `)
	// engineName is what a name of a template looks like; the prefix keeps it apart from every exporter's metrics.
	engineName = regexp.MustCompile(`^engine:[a-z][a-z0-9_]*$`)
	dialectRE  = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	pathRE     = regexp.MustCompile(`^/[A-Za-z0-9_./-]*$`)
	factRE     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
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
		Expect: f.Expect, NoStats: f.NoStats, verified: f.Verified, byName: map[string]int{}, absent: map[string]string{},
		Owner: f.Owner, Fallback: f.Fallback, Loading: f.Loading, Dead: f.Dead, NoPage: f.NoPage, Process: f.Process,
		source: bytes.Clone(data), Late: f.Late, Documents: f.Documents, otherwise: f.Otherwise,
		State: State{
			Running: Alternatives(f.State.Running), Waiting: Alternatives(f.State.Waiting), Start: f.State.Start,
			Sleep: f.State.Sleep, Model: f.State.Model, Note: f.State.Note, Still: f.State.Still, Copies: f.State.Copies,
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
	if !d.Fallback && len(d.Detect) == 0 || slices.Contains(d.Detect, "") {
		fail(1, "detect", "no prefix of metric names given")
	}
	checkPaths(f, fail)
	d.counts, d.countsNote = countsOf(f.Counts, fail), strings.TrimSpace(f.CountsNote)
	if len(f.Names) == 0 && !d.Fallback {
		fail(1, "names", "missing")
	}
	if f.Patience.s != "" {
		p, err := model.ParseDuration(f.Patience.s)
		if err != nil || p == 0 {
			fail(f.Patience.line, "patience", "%q is not a time such as 30s", f.Patience.s)
		}
		d.Patience = time.Duration(p)
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
		nm := Name{Name: n.Name.s, Kind: n.Kind.s, Unit: n.Unit.s, Help: strings.TrimSpace(n.Help.s), Note: strings.TrimSpace(n.Note.s),
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
	for name, why := range f.Absent {
		key := "absent[" + name + "]"
		switch _, there := d.byName[name]; {
		case !engineName.MatchString(name):
			fail(why.line, key, "%q does not look like engine:word", name)
		case there:
			fail(why.line, key, "it is among the names too")
		case strings.TrimSpace(why.s) == "":
			fail(why.line, key, "no reason given")
		default:
			d.absent[name] = strings.TrimSpace(why.s)
		}
	}
	if len(errs) > 0 {
		// The absent ones come out of a map; the report must not depend on its order.
		slices.SortStableFunc(errs, func(a, b error) int {
			return cmp.Compare(a.(*SyntaxError).Line, b.(*SyntaxError).Line)
		})
		return nil, errors.Join(errs...)
	}
	return d, nil
}

// checkPaths looks at everything that is asked for over HTTP: it goes into requests to somebody's server.
func checkPaths(f file, fail func(line int, key, format string, args ...any)) {
	if f.Paths.Metrics == "" {
		fail(1, "paths.metrics", "missing")
	}
	for key, p := range map[string]string{"metrics": f.Paths.Metrics, "health": f.Paths.Health, "version": f.Paths.Version, "models": f.Paths.Models} {
		if p != "" && !pathRE.MatchString(p) {
			fail(1, "paths."+key, "%q is not a path such as /metrics", p)
		}
	}
	for i, doc := range f.Documents {
		if !pathRE.MatchString(doc.Path) {
			fail(1, fmt.Sprintf("documents[%d].path", i), "%q is not a path such as /props", doc.Path)
		}
		for _, fact := range doc.Facts {
			if !factRE.MatchString(fact.Fact) || fact.At == "" {
				fail(1, fmt.Sprintf("documents[%d].facts", i), "a fact needs a name of small letters and a place (at); this one has %q and %q", fact.Fact, fact.At)
			}
		}
	}
	for i, c := range f.Process.Commands {
		if (c.Program == "") == (c.Module == "") {
			fail(1, fmt.Sprintf("process.commands[%d]", i), "either a program or a module")
		}
	}
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
