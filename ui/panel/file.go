package panel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is one file of panels, as it stands: what it says of panels and pages that exist is joined to them by a Book.
type File struct {
	// Name is the file's path, for the places of faults.
	Name   string
	Panels []Spec
	Pages  []PageChange
	// Hide are ids of panels that no page shows; Order are page names that come first, in this order.
	Hide  []string
	Order []string
}

// PageChange is what a file says of a page: a new one, or one that exists, of which it changes what it names.
type PageChange struct {
	Page `yaml:",inline"`
	// Add are panels put at the page's end, Hide panels taken from it.
	Add  []string `yaml:"add,omitempty"`
	Hide []string `yaml:"hide,omitempty"`
	// Remove takes the whole page away.
	Remove bool `yaml:"remove,omitempty"`

	given map[string]bool
	line  int
}

// The most that a file may hold. A file of panels is written by people; what is larger is something else.
const (
	maxFile   = 4 << 20
	maxPanels = 500
)

var (
	idRE     = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s+)?line (\d+): (.*)`)
)

// Read reads a file of panels from disk.
func Read(path string) (*File, []*Fault) {
	f, err := os.Open(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return &File{Name: path}, []*Fault{{File: path, What: err.Error()}}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return &File{Name: path}, []*Fault{{File: path, What: err.Error()}}
	}
	return Parse(path, data)
}

// Parse reads the text of a file of panels; name is only used for places. What can be read of a faulty file is given
// beside its faults, and a panel that cannot be shown as it stands says so in its Broken.
func Parse(name string, data []byte) (*File, []*Fault) {
	f := &File{Name: name}
	if len(data) > maxFile {
		return f, []*Fault{{File: name, What: fmt.Sprintf("larger than %d MiB: no file of panels", maxFile>>20)}}
	}
	var doc yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(data))
	if err := in.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) { // empty, or comments only
			return f, nil
		}
		return f, []*Fault{yamlFault(name, err)}
	}
	var more yaml.Node
	if err := in.Decode(&more); !errors.Is(err, io.EOF) {
		return f, []*Fault{{File: name, Line: more.Line, What: "more than one YAML document", Hint: "take the line --- out"}}
	}
	if len(doc.Content) == 0 {
		return f, nil
	}
	return ParseNode(name, doc.Content[0])
}

// ParseNode is Parse for a part of another file, such as the panels: section of the configuration.
func ParseNode(name string, root *yaml.Node) (*File, []*Fault) {
	f := &File{Name: name}
	r := &reader{file: name}
	root = follow(root)
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return f, nil
	}
	if root.Kind != yaml.MappingNode {
		r.fail(root, "", "keys with values expected", "a file of panels begins with panels: or pages:")
		return f, r.faults
	}
	r.mapping(root, "", map[string]func(*yaml.Node, string){
		"panels": func(n *yaml.Node, key string) {
			r.sequence(n, key, func(n *yaml.Node, i int) {
				if len(f.Panels) == maxPanels {
					r.fail(n, key, fmt.Sprintf("more than %d panels", maxPanels), "")
				}
				if len(f.Panels) < maxPanels {
					if s, ok := r.panel(n, key, i, f); ok {
						f.Panels = append(f.Panels, s)
					}
				}
			})
		},
		"pages": func(n *yaml.Node, key string) {
			r.sequence(n, key, func(n *yaml.Node, i int) {
				if p, ok := r.page(n, key, i, f); ok {
					f.Pages = append(f.Pages, p)
				}
			})
		},
		"hide":  func(n *yaml.Node, key string) { r.decode(n, key, &f.Hide) },
		"order": func(n *yaml.Node, key string) { r.decode(n, key, &f.Order) },
	})
	slices.SortStableFunc(r.faults, byLine)
	return f, r.faults
}

// reader gathers faults while it walks the nodes of a file.
type reader struct {
	file   string
	faults []*Fault
}

func (r *reader) fail(n *yaml.Node, key, what, hint string) {
	r.faults = append(r.faults, &Fault{File: r.file, Line: n.Line, Key: key, What: what, Hint: hint})
}

func follow(n *yaml.Node) *yaml.Node {
	for i := 0; n.Kind == yaml.AliasNode && n.Alias != nil && i < 8; i++ {
		n = n.Alias
	}
	return n
}

// mapping hands each key's value to its function; keys that have none, and keys given twice, are faults.
func (r *reader) mapping(n *yaml.Node, at string, known map[string]func(*yaml.Node, string)) map[string]bool {
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], follow(n.Content[i+1])
		key := strings.TrimPrefix(at+"."+k.Value, ".")
		f, ok := known[k.Value]
		switch {
		case !ok:
			words := make([]string, 0, len(known))
			for w := range known {
				words = append(words, w)
			}
			slices.Sort(words)
			r.fail(k, at, fmt.Sprintf("unknown key %q", k.Value), oneOf(k.Value, words))
		case given[k.Value]:
			r.fail(k, key, "given a second time", "")
		default:
			given[k.Value] = true
			if v.Kind != yaml.ScalarNode || v.Tag != "!!null" {
				f(v, key)
			}
		}
	}
	return given
}

func (r *reader) sequence(n *yaml.Node, key string, each func(*yaml.Node, int)) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, key, "a list expected", "each entry begins with a dash")
		return
	}
	for i, e := range n.Content {
		each(follow(e), i)
	}
}

// decode reads a plain value or a list of such; wrong types are faults with their lines.
func (r *reader) decode(n *yaml.Node, key string, into any) bool {
	err := n.Decode(into)
	if err == nil {
		return true
	}
	var te *yaml.TypeError
	msgs := []string{err.Error()}
	if errors.As(err, &te) {
		msgs = te.Errors
	}
	for _, m := range msgs {
		at := *n
		if x := yamlLine.FindStringSubmatch(m); x != nil {
			at.Line, _ = strconv.Atoi(x[1]) // the expression allows digits only
			m = x[2]
		}
		r.fail(&at, key, plainType(m), "")
	}
	return false
}

var cannot = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: (`.*`))? into (.*)$")

// plainType says in words what yaml says with its own and Go's types.
func plainType(m string) string {
	x := cannot.FindStringSubmatch(m)
	if x == nil {
		return m
	}
	want := map[string]string{"float64": "a number", "int": "a whole number", "bool": "true or false", "string": "text", "[]string": "a list of words", "[]int": "a list of whole numbers",
		"panel.Scope": "a word"}[x[3]]
	if want == "" {
		want = "keys with values"
	}
	got := map[string]string{"seq": "a list", "map": "keys with values"}[x[1]]
	if got == "" {
		got = strings.Trim(x[2], "`")
	}
	return fmt.Sprintf("%s expected, not %s", want, got)
}

func yamlFault(file string, err error) *Fault {
	f := &Fault{File: file, Line: 1, What: strings.TrimPrefix(err.Error(), "yaml: ")}
	if x := yamlLine.FindStringSubmatch(err.Error()); x != nil {
		f.Line, _ = strconv.Atoi(x[1])
		f.What = x[2]
	}
	return f
}

// fields hands the keys of a struct's yaml tags to its fields, except those that special handles.
func (r *reader) fields(v reflect.Value, special map[string]func(*yaml.Node, string)) map[string]func(*yaml.Node, string) {
	out := map[string]func(*yaml.Node, string){}
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		name, opts, _ := strings.Cut(tag, ",")
		if opts == "inline" {
			for k, f := range r.fields(v.Field(i), nil) {
				out[k] = f
			}
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		field := v.Field(i).Addr().Interface()
		out[name] = func(n *yaml.Node, key string) { r.decode(n, key, field) }
	}
	for k, f := range special {
		out[k] = f
	}
	return out
}

// panel reads one panel.
func (r *reader) panel(n *yaml.Node, list string, i int, f *File) (Spec, bool) {
	at := fmt.Sprintf("%s[%d]", list, i)
	if n.Kind != yaml.MappingNode {
		r.fail(n, at, "keys with values expected", "a panel has an id, a title and queries")
		return Spec{}, false
	}
	s := Spec{File: r.file, Line: n.Line}
	if id := child(n, "id"); id != nil && id.Kind == yaml.ScalarNode {
		at = fmt.Sprintf("%s[%s]", list, id.Value)
	}
	before := len(r.faults)
	s.given = r.mapping(n, at, r.fields(reflect.ValueOf(&s).Elem(), map[string]func(*yaml.Node, string){
		"queries": func(n *yaml.Node, key string) {
			if n.Kind == yaml.ScalarNode { // one expression may stand alone
				s.Queries = []Query{{ID: "q1", Expr: n.Value, line: n.Line, column: n.Column, block: isBlock(n), given: map[string]bool{"expr": true}}}
				return
			}
			r.sequence(n, key, func(n *yaml.Node, i int) { s.Queries = append(s.Queries, r.query(n, key, i)) })
		},
		"thresholds": func(n *yaml.Node, key string) {
			r.sequence(n, key, func(n *yaml.Node, i int) {
				var t Threshold
				if r.part(n, fmt.Sprintf("%s[%d]", key, i), &t) {
					s.Thresholds = append(s.Thresholds, t)
				}
			})
		},
		"charts": func(n *yaml.Node, key string) {
			r.sequence(n, key, func(n *yaml.Node, i int) {
				var c Chart
				if r.part(n, fmt.Sprintf("%s[%d]", key, i), &c) {
					s.Charts = append(s.Charts, c)
				}
			})
		},
	}))
	if !s.given["id"] && s.Title != "" {
		s.ID = slug(s.Title)
	}
	if !idRE.MatchString(s.ID) {
		what := fmt.Sprintf("id %q is not small letters, digits, - and _", s.ID)
		if s.ID == "" {
			what = "it has neither an id nor a title"
		}
		r.fail(n, at, what, "id: my-panel")
		return s, false
	}
	if slices.ContainsFunc(f.Panels, func(o Spec) bool { return o.ID == s.ID }) {
		r.fail(n, at, "a second panel with this id", "")
		return s, false
	}
	r.checkPanel(n, at, &s)
	for _, x := range r.faults[before:] {
		if !x.Warning && s.broken == "" && !strings.Contains(x.Key, ".queries[") {
			s.broken = x.What
		}
	}
	return s, true
}

// part reads a mapping into a struct, unknown keys being faults.
func (r *reader) part(n *yaml.Node, at string, into any) bool {
	if n.Kind != yaml.MappingNode {
		r.fail(n, at, "keys with values expected", "")
		return false
	}
	r.mapping(n, at, r.fields(reflect.ValueOf(into).Elem(), nil))
	return true
}

func (r *reader) query(n *yaml.Node, list string, i int) Query {
	q := Query{ID: "q" + strconv.Itoa(i+1), line: n.Line}
	if n.Kind == yaml.ScalarNode {
		q.Expr, q.column, q.block, q.given = n.Value, n.Column, isBlock(n), map[string]bool{"expr": true}
		return q
	}
	at := fmt.Sprintf("%s[%d]", list, i)
	if id := child(n, "id"); id != nil && id.Kind == yaml.ScalarNode && id.Value != "" {
		at = fmt.Sprintf("%s[%s]", list, id.Value)
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, at, "keys with values expected", "a query has an expr and may have an id and a legend")
		q.broken = "keys with values expected"
		return q
	}
	before := len(r.faults)
	q.given = r.mapping(n, at, r.fields(reflect.ValueOf(&q).Elem(), nil))
	if len(r.faults) > before {
		q.broken = r.faults[before].What
	}
	if e := child(n, "expr"); e != nil {
		q.line, q.column, q.block = e.Line, e.Column, isBlock(e)
	}
	return q
}

// isBlock tells whether a scalar's text begins on the line below its key.
func isBlock(n *yaml.Node) bool { return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

// page reads one page; a panel written out in its list becomes a panel of the file.
func (r *reader) page(n *yaml.Node, list string, i int, f *File) (PageChange, bool) {
	at := fmt.Sprintf("%s[%d]", list, i)
	if n.Kind != yaml.MappingNode {
		r.fail(n, at, "keys with values expected", "a page has a name and panels")
		return PageChange{}, false
	}
	p := PageChange{line: n.Line}
	if name := child(n, "name"); name != nil && name.Kind == yaml.ScalarNode {
		at = fmt.Sprintf("%s[%s]", list, name.Value)
	}
	panels := func(into *[]string) func(*yaml.Node, string) {
		return func(n *yaml.Node, key string) {
			r.sequence(n, key, func(n *yaml.Node, i int) {
				if n.Kind == yaml.MappingNode {
					if s, ok := r.panel(n, key, i, f); ok && len(f.Panels) < maxPanels {
						f.Panels = append(f.Panels, s)
						*into = append(*into, s.ID)
					}
					return
				}
				var id string
				if r.decode(n, key, &id) {
					*into = append(*into, id)
				}
			})
		}
	}
	p.given = r.mapping(n, at, r.fields(reflect.ValueOf(&p).Elem(), map[string]func(*yaml.Node, string){
		"panels": panels(&p.Panels), "add": panels(&p.Add),
	}))
	if strings.TrimSpace(p.Name) == "" {
		r.fail(n, at, "a page without a name", "name: mine")
		return p, false
	}
	if len([]rune(p.Name)) > 40 {
		r.fail(n, at, "the name is longer than 40 characters", "")
		return p, false
	}
	if p.Columns < 0 || p.Columns > 6 {
		r.fail(n, at+".columns", fmt.Sprintf("%d is not between 1 and 6", p.Columns), "leave it out for as many as the width allows")
		p.Columns = 0
	}
	for _, w := range p.Weights {
		if w < 1 || w > 100 {
			r.fail(n, at+".weights", fmt.Sprintf("%d is not between 1 and 100", w), "")
			p.Weights = nil
			break
		}
	}
	return p, true
}

// child gives the value of a key, nil if it isn't there.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return follow(n.Content[i+1])
		}
	}
	return nil
}

// slug makes an id out of a title.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 48 {
			break
		}
	}
	return strings.Trim(b.String(), "-")
}
