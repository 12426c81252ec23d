package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"
)

// fileValue is one key's value in the file; line counts from 1.
type fileValue struct {
	values []string
	line   int
	// section is a value that has keys of its own, of the key that may.
	section *yaml.Node
}

// yamlLine finds the place in the yaml package's own messages ("yaml: line 3: …").
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// parse reads the file's text. Every mistake in it becomes one *Problem in the error; none of the values count then.
func parse(path string, b []byte) (map[string]fileValue, error) {
	var doc yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(b))
	err := in.Decode(&doc)
	if errors.Is(err, io.EOF) { // an empty file, or only comments
		return nil, nil
	}
	if err != nil {
		p := &Problem{Where: path, What: err.Error(), Hint: `a line looks like this: window: 15m`}
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			p.What = m[2]
			p.Where += ":" + cmp.Or(m[1], "1") // the package leaves the first line's number out
		}
		return nil, p
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	var second yaml.Node
	if err := in.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, &Problem{Where: path, What: "more than one YAML document", Hint: "only one counts: take the line --- out"}
	}
	root := doc.Content[0]
	at := func(n *yaml.Node) string { return path + ":" + strconv.Itoa(n.Line) }
	if root.Kind != yaml.MappingNode {
		return nil, &Problem{Where: at(root), What: "keys with values expected", Hint: "a line looks like this: window: 15m"}
	}
	out := make(map[string]fileValue)
	var problems []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		name, value := root.Content[i], root.Content[i+1]
		k, known := byName(name.Value)
		if !known {
			problems = append(problems, &Problem{Where: at(name), What: fmt.Sprintf("unknown key %q", name.Value), Hint: unknownHint(name.Value)})
			continue
		}
		if first, twice := out[k.name]; twice {
			problems = append(problems, &Problem{Where: at(name), What: fmt.Sprintf("%s is set a second time", k.name), Hint: fmt.Sprintf("the first is in line %d", first.line)})
			continue
		}
		if k.section && value.Kind == yaml.MappingNode {
			out[k.name] = fileValue{values: []string{}, line: name.Line, section: value}
			continue
		}
		values, err := k.read(value)
		if err != nil {
			problems = append(problems, &Problem{Where: at(value), What: fmt.Sprintf("%s: %v", k.name, err), Hint: k.hint()})
			continue
		}
		if values != nil {
			out[k.name] = fileValue{values: values, line: name.Line}
		}
	}
	return out, errors.Join(problems...)
}

// read takes a key's value: a scalar, and for lists a sequence of scalars. Nil is a key without a value, which counts as
// not set.
func (k key) read(n *yaml.Node) ([]string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return nil, nil
		}
		return []string{n.Value}, nil
	case yaml.SequenceNode:
		if !k.list {
			return nil, errOne
		}
		values := []string{}
		for _, e := range n.Content {
			if e.Kind == yaml.AliasNode {
				e = e.Alias
			}
			if e.Kind != yaml.ScalarNode || e.Tag == "!!null" {
				return nil, fmt.Errorf("entry %d is not a plain value", len(values)+1)
			}
			values = append(values, e.Value)
		}
		return values, nil
	}
	return nil, errors.New("a plain value expected, not keys")
}

func byName(name string) (key, bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

func unknownHint(name string) string {
	if name == "api_key" {
		return "a key doesn't belong into this file: use api_key_file, or the environment variable PITWALL_API_KEY"
	}
	if near := Nearest(strings.ReplaceAll(strings.ToLower(name), "-", "_"), names()); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "known keys: " + strings.Join(names(), ", ")
}

// Nearest gives the word with the least edit distance, if that is at most a third of the word's length (at least
// 2); "" if none is near.
func Nearest(word string, words []string) string {
	best, at := "", max(2, len(word)/3)+1
	for _, w := range words {
		if d := levenshtein.ComputeDistance(word, w); d < at {
			best, at = w, d
		}
	}
	return best
}
