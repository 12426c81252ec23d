package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxYAML is the most bytes that a point's YAML may have.
const maxYAML = 1 << 20

// Parse reads one point in YAML. file is only used in errors. An unknown key is an error with its line and the
// nearest key there is. Nothing is filled in and nothing checked beyond the form: Filled and Validate do.
func Parse(file string, data []byte) (Point, error) {
	node, err := document(file, data)
	if err != nil || node == nil {
		return Point{}, err
	}
	return ParseNode(file, node)
}

// document reads one YAML document; nil: it is empty.
func document(file string, data []byte) (*yaml.Node, error) {
	if len(data) > maxYAML {
		return nil, &Problem{Where: file, What: fmt.Sprintf("%d bytes", len(data)), Hint: fmt.Sprintf("at most %d", maxYAML)}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, yamlProblems(file, 1, err)
	}
	if err := dec.Decode(&more); err == nil {
		return nil, &Problem{Where: fmt.Sprintf("%s:%d", file, more.Line), What: "a second YAML document", Hint: "only one counts"}
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlProblems(file, 1, err)
	}
	return doc.Content[0], nil
}

// ParseNode is Parse for a part of a larger file, whose lines the node knows.
func ParseNode(file string, n *yaml.Node) (Point, error) {
	var p Point
	if err := decodeStrict(file, n, &p); err != nil {
		return Point{}, err
	}
	return p, nil
}

// decodeStrict decodes a node, with unknown and doubled keys as errors.
func decodeStrict(file string, n *yaml.Node, into any) error {
	if err := knownKeys(file, n, reflect.TypeOf(into).Elem(), 0); err != nil {
		return err
	}
	if err := n.Decode(into); err != nil {
		return yamlProblems(file, n.Line, err)
	}
	return nil
}

var textUnmarshaler = reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()

// knownKeys walks a node beside the type that it is decoded into. yaml's own check for known fields ends where a type decodes
// itself, and names no nearest word.
func knownKeys(file string, n *yaml.Node, t reflect.Type, deep int) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if deep > 20 {
		return &Problem{Where: fmt.Sprintf("%s:%d", file, n.Line), What: "nested too deeply"}
	}
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return nil
	}
	var errs []error
	switch {
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, e := range n.Content {
			errs = append(errs, knownKeys(file, e, t.Elem(), deep+1))
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		fields := map[string]reflect.Type{}
		var names []string
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			fields[name] = f.Type
			names = append(names, name)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			where := fmt.Sprintf("%s:%d", file, k.Line)
			ft, ok := fields[k.Value]
			switch {
			case k.Kind != yaml.ScalarNode || k.Tag == "!!merge":
				errs = append(errs, &Problem{Where: where, What: "a plain key expected"})
			case !ok:
				errs = append(errs, &Problem{Where: where, What: fmt.Sprintf("unknown key %.40q", k.Value) + didYouMean(k.Value, names)})
			default:
				errs = append(errs, knownKeys(file, n.Content[i+1], ft, deep+1))
			}
		}
	}
	return errors.Join(errs...)
}

var (
	yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)
	yamlInto = regexp.MustCompile(` into (shape\.\w+|\w+\.\w+|\w+)$`)
)

// yamlProblems puts yaml's own errors into our form; line is where they are when they don't say.
func yamlProblems(file string, line int, err error) error {
	all := []string{err.Error()}
	var types *yaml.TypeError
	if errors.As(err, &types) {
		all = types.Errors
	}
	var errs []error
	for _, s := range all {
		at := line
		s, _, _ = strings.Cut(s, "\n")
		if m := yamlLine.FindStringSubmatch(s); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				at = n
			}
			s = m[2]
		}
		s = strings.Replace(s, "cannot unmarshal ", "cannot use ", 1)
		s = strings.ReplaceAll(s, "!!", "")
		if m := yamlInto.FindStringSubmatch(s); m != nil {
			s = strings.TrimSuffix(s, m[0]) + " as " + kindWord(m[1])
		}
		errs = append(errs, &Problem{Where: fmt.Sprintf("%s:%d", file, at), What: s})
	}
	return errors.Join(errs...)
}

// kindWord says what a Go type is to who writes YAML.
func kindWord(t string) string {
	switch t {
	case "int", "uint64", "int64":
		return "a whole number"
	case "float64":
		return "a number"
	case "bool":
		return "true or false"
	case "time.Duration":
		return "a time (30s, 1m30s)"
	case "string", "shape.Kind", "shape.API", "shape.Cache":
		return "a word"
	case "shape.Length":
		return "a length"
	}
	return "keys and values"
}

// UnmarshalYAML brings a point's further body fields into the form that UnmarshalJSON gives them too, so that a point read back is
// the same point.
func (p *Point) UnmarshalYAML(n *yaml.Node) error {
	type plain Point
	var q plain
	if err := n.Decode(&q); err != nil {
		return err
	}
	*p = Point(q)
	p.Body, _ = plainly(p.Body).(map[string]any)
	if _, err := json.Marshal(p.Body); err != nil {
		return fmt.Errorf("line %d: body: %w", n.Line, err)
	}
	return nil
}

// UnmarshalJSON reads what json.Marshal wrote. Unlike Parse it passes over keys that it doesn't know: sessions are read by older
// pitwalls too.
func (p *Point) UnmarshalJSON(data []byte) error {
	type plain Point
	var q plain
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&q); err != nil {
		return err
	}
	*p = Point(q)
	p.Body, _ = plainly(p.Body).(map[string]any)
	return nil
}

// plainly gives JSON's and YAML's values one form: whole numbers as int64, others as float64, maps by strings. What JSON has no
// value for is left, for the encoder to refuse.
func plainly(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return map[string]any(nil)
		}
		for k, e := range v {
			v[k] = plainly(e)
		}
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[fmt.Sprint(k)] = plainly(e)
		}
		return out
	case []any:
		for i, e := range v {
			v[i] = plainly(e)
		}
	case int:
		return int64(v)
	case uint64:
		return float64(v) // yaml gives it only above int64's range
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 && (v != 0 || !math.Signbit(v)) {
			return int64(v)
		}
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v
		}
		return plainly(f)
	}
	return v
}

// Preset is a point with a name, and a sentence about what it is like.
type Preset struct {
	Name  string `yaml:"name" json:"name"`
	About string `yaml:"about,omitempty" json:"about,omitempty"`
	Point Point  `yaml:"point" json:"point"`
}

// ParsePresets reads a list of presets out of a larger file: each a name, a sentence about it, and a point. Each point must be
// valid; the files that points name are not read yet.
func ParsePresets(file string, n *yaml.Node) ([]Preset, error) {
	var out []Preset
	if n.Kind != yaml.SequenceNode {
		return nil, &Problem{Where: fmt.Sprintf("%s:%d", file, n.Line), What: "a list of presets expected", Hint: "- name: mine"}
	}
	var errs []error
	for _, e := range n.Content {
		var p Preset
		where := fmt.Sprintf("%s:%d", file, e.Line)
		if err := decodeStrict(file, e, &p); err != nil {
			errs = append(errs, err)
			continue
		}
		switch {
		case strings.TrimSpace(p.Name) == "":
			errs = append(errs, &Problem{Where: where, What: "a preset without a name"})
			continue
		case slices.ContainsFunc(out, func(o Preset) bool { return o.Name == p.Name }):
			errs = append(errs, &Problem{Where: where, What: fmt.Sprintf("a second preset %.40q", p.Name)})
			continue
		}
		c := &critic{noFiles: true}
		c.all(p.Point.Filled())
		for _, q := range Problems(errors.Join(c.found...)) {
			errs = append(errs, &Problem{Where: where, What: fmt.Sprintf("preset %.40q: %s: %s", p.Name, q.Where, q.What), Hint: q.Hint})
		}
		out = append(out, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}
