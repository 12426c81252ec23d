package panel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrNoFile is what Add gives where there is no file to write to.
var ErrNoFile = errors.New("no file of panels to add to: neither HOME nor XDG_CONFIG_HOME is set, and panels: names none")

// Add puts a panel at the end of a page, in the user's file and in the book. A page that doesn't exist is made; an id that
// is taken gets a number. Comments and order of the file are kept; it is replaced in one step, and never by one with more
// faults.
func (b *Book) Add(page string, s Spec) error {
	if b.user == "" {
		return ErrNoFile
	}
	s = clone(s)
	if s.ID == "" {
		s.ID = slug(s.Title)
	}
	if s.ID == "" {
		s.ID = "panel"
	}
	// Two that add at once, here or in another console, must not take each other's panel away.
	unlock, err := lockBeside(b.user)
	if err != nil {
		return fmt.Errorf("adding a panel: %w", err)
	}
	defer unlock()
	old, err := os.ReadFile(b.user)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("adding a panel: %w", err)
	}
	// The file may hold panels that were written since the book was made.
	onDisk, before := Parse(b.user, old)
	for base, i := s.ID, 2; ; i++ {
		_, taken := b.Panel(s.ID)
		if !taken && !slices.ContainsFunc(onDisk.Panels, func(o Spec) bool { return o.ID == s.ID }) {
			break
		}
		s.ID = base + "-" + strconv.Itoa(i)
	}
	text, err := withPanel(old, page, s)
	if err != nil {
		return fmt.Errorf("adding a panel to %s: %w", b.user, err)
	}
	file, faults := Parse(b.user, text)
	if len(faults) > len(before) {
		return fmt.Errorf("adding a panel: %w", faults[len(faults)-1])
	}
	if err := Save(b.user, text); err != nil {
		return fmt.Errorf("adding a panel: %w", err)
	}
	b.mu.Lock()
	i := slices.IndexFunc(b.files, func(f *File) bool { return f.Name == b.user })
	if i >= 0 {
		b.files[i] = file
	} else {
		b.files = append(b.files, file)
	}
	files := slices.Clone(b.files)
	b.mu.Unlock()
	b.join(files)
	return nil
}

// withPanel gives a file's text with one more panel on a page.
func withPanel(old []byte, page string, s Spec) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(old, &doc); err != nil {
		return nil, fmt.Errorf("it cannot be read as it stands: %w", err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].Tag == "!!null" {
		head := doc.HeadComment
		doc = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}, HeadComment: head}
		if head == "" && len(bytes.TrimSpace(old)) > 0 {
			doc.Content[0].HeadComment = strings.TrimSpace(string(old)) // a file of comments only
		}
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("it is no file of panels: keys with values expected")
	}
	var node yaml.Node
	if err := node.Encode(s); err != nil {
		return nil, err
	}
	panels, err := list(root, "panels")
	if err != nil {
		return nil, err
	}
	panels.Content = append(panels.Content, &node)
	pages, err := list(root, "pages")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(pages.Content, func(n *yaml.Node) bool {
		name := child(follow(n), "name")
		return name != nil && name.Value == page
	})
	var on *yaml.Node
	if i >= 0 {
		on = follow(pages.Content[i])
	} else {
		on = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{word("name"), word(page)}}
		pages.Content = append(pages.Content, on)
	}
	key := "add"
	if child(on, "panels") != nil {
		key = "panels"
	}
	ids, err := list(on, key)
	if err != nil {
		return nil, err
	}
	if len(ids.Content) == 0 {
		ids.Style = yaml.FlowStyle
	}
	ids.Content = append(ids.Content, word(s.ID))
	return encode(&doc)
}

// list gives the list under a key, making it where there is none.
func list(n *yaml.Node, key string) (*yaml.Node, error) {
	v := child(n, key)
	switch {
	case v == nil:
		v = &yaml.Node{Kind: yaml.SequenceNode}
		n.Content = append(n.Content, word(key), v)
	case v.Kind == yaml.ScalarNode && v.Tag == "!!null":
		*v = yaml.Node{Kind: yaml.SequenceNode}
	case v.Kind != yaml.SequenceNode:
		return nil, fmt.Errorf("line %d: %s is no list", v.Line, key)
	}
	return v, nil
}

func word(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// YAML writes panels and pages in the form that Parse reads. head is a comment before them, may be empty.
func YAML(head string, panels []Spec, pages []Page) ([]byte, error) {
	type form struct {
		Pages  []Page `yaml:"pages,omitempty"`
		Panels []Spec `yaml:"panels,omitempty"`
	}
	var doc yaml.Node
	if err := doc.Encode(form{pages, panels}); err != nil {
		return nil, err
	}
	text, err := encode(&doc)
	if err != nil {
		return nil, err
	}
	if head == "" {
		return text, nil
	}
	var out bytes.Buffer
	for _, l := range strings.Split(strings.TrimRight(head, "\n"), "\n") {
		out.WriteString(strings.TrimRight("# "+l, " ") + "\n")
	}
	out.Write(text)
	return out.Bytes(), nil
}
