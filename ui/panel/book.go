package panel

import (
	_ "embed"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed builtin.yaml
var builtinYAML []byte

// BuiltinName is the file name in the places of the panels that pitwall comes with.
const BuiltinName = "built in"

// OwnPage is the page of the panels that no page names.
const OwnPage = "own"

// builtin parses the embedded file once. It is part of the program and tested, so a broken one is a broken build.
var builtin = sync.OnceValue(func() *File {
	f, faults := Parse(BuiltinName, builtinYAML)
	if Faulty(faults) {
		panic(faults[0])
	}
	return f
})

// Book is all panels and pages in force. Its methods may be called from several goroutines.
type Book struct {
	mu      sync.RWMutex // guards the next
	panels  []Spec
	pages   []Page
	version uint64

	files []*File
	// user is the file that Add writes to, "" for none.
	user string
}

// NewBook joins files to the built-in panels, in their order: a panel or page of a name that exists changes it, others are
// added. user is the file that Add writes to; it need not exist. The faults are those between the files: what a panel
// lacks, names that nobody has. A book with faults is still good for everything else in it.
func NewBook(user string, files ...*File) (*Book, []*Fault) {
	b := &Book{user: user, files: files}
	return b, b.join(files)
}

func (b *Book) join(files []*File) []*Fault {
	j := &joining{}
	j.file(builtin())
	for _, f := range files {
		j.file(f)
	}
	faults := j.finish()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.panels, b.pages = j.panels, j.pages
	b.version++
	return faults
}

// joining is the work of NewBook.
type joining struct {
	panels []Spec
	pages  []Page
	hidden []string
	faults []*Fault
	order  []string
}

func (j *joining) fail(file string, line int, key, what, hint string) {
	j.faults = append(j.faults, &Fault{File: file, Line: line, Key: key, What: what, Hint: hint})
}

func (j *joining) index(id string) int {
	return slices.IndexFunc(j.panels, func(s Spec) bool { return s.ID == id })
}

func (j *joining) file(f *File) {
	for _, s := range f.Panels {
		if i := j.index(s.ID); i >= 0 {
			j.panels[i] = merged(j.panels[i], s)
			continue
		}
		j.panels = append(j.panels, clone(s))
	}
	for _, p := range f.Pages {
		j.page(f.Name, p)
	}
	for _, id := range f.Hide {
		if j.index(id) < 0 {
			j.fail(f.Name, 0, "hide", "no panel "+strconv.Quote(id), j.panelHint(id))
			continue
		}
		j.hidden = append(j.hidden, id)
	}
	if len(f.Order) > 0 {
		j.order = f.Order
		for _, name := range f.Order {
			if !slices.ContainsFunc(j.pages, func(p Page) bool { return p.Name == name }) {
				j.fail(f.Name, 0, "order", "no page "+strconv.Quote(name), j.pageHint(name))
			}
		}
	}
}

// merged is a panel with another's changes. One that is drawn in another way is another panel: it inherits its digit only.
func merged(old, by Spec) Spec {
	if by.given["draw"] && by.Draw != old.Drawing() {
		out := clone(by)
		if !by.given["key"] {
			out.Key = old.Key
		}
		if !by.given["title"] {
			out.Title = old.Title
		}
		return out
	}
	out := clone(old)
	from, to := reflect.ValueOf(by), reflect.ValueOf(&out).Elem()
	for i := range from.NumField() {
		name, _, _ := strings.Cut(from.Type().Field(i).Tag.Get("yaml"), ",")
		if by.given[name] && name != "queries" {
			to.Field(i).Set(from.Field(i))
		}
	}
	for _, q := range by.Queries {
		i := slices.IndexFunc(out.Queries, func(o Query) bool { return o.ID == q.ID })
		if i < 0 {
			out.Queries = append(out.Queries, q)
			continue
		}
		qf, qt := reflect.ValueOf(q), reflect.ValueOf(&out.Queries[i]).Elem()
		for k := range qf.NumField() {
			name, _, _ := strings.Cut(qf.Type().Field(k).Tag.Get("yaml"), ",")
			if q.given[name] {
				qt.Field(k).Set(qf.Field(k))
			}
		}
		if q.given["expr"] {
			out.Queries[i].broken = q.broken
			// The metric was the old expression's: its answer must not stand for the new one's.
			if !q.given["metric"] {
				out.Queries[i].Metric = ""
			}
		}
	}
	out.File, out.Line, out.broken = by.File, by.Line, by.broken
	return out
}

func clone(s Spec) Spec {
	s.Queries = slices.Clone(s.Queries)
	s.Thresholds = slices.Clone(s.Thresholds)
	s.Charts = slices.Clone(s.Charts)
	return s
}

func (j *joining) page(file string, c PageChange) {
	i := slices.IndexFunc(j.pages, func(p Page) bool { return p.Name == c.Name })
	if i < 0 {
		if c.Remove {
			j.fail(file, c.line, "pages["+c.Name+"]", "there is no such page to remove", j.pageHint(c.Name))
			return
		}
		j.pages = append(j.pages, Page{Name: c.Name})
		i = len(j.pages) - 1
	}
	p := &j.pages[i]
	if c.Remove {
		j.pages = slices.Delete(j.pages, i, i+1)
		return
	}
	known := func(ids []string, key string) []string {
		var out []string
		for _, id := range ids {
			switch {
			case j.index(id) < 0:
				j.fail(file, c.line, fmt.Sprintf("pages[%s].%s", c.Name, key), "no panel "+strconv.Quote(id), j.panelHint(id))
			case slices.Contains(out, id):
				j.fail(file, c.line, fmt.Sprintf("pages[%s].%s", c.Name, key), strconv.Quote(id)+" is named twice", "")
			default:
				out = append(out, id)
			}
		}
		return out
	}
	if c.given["panels"] {
		p.Panels = known(c.Panels, "panels")
	} else {
		p.Panels = slices.Clone(p.Panels)
	}
	for _, id := range known(c.Add, "add") {
		if !slices.Contains(p.Panels, id) {
			p.Panels = append(p.Panels, id)
		}
	}
	for _, id := range known(c.Hide, "hide") {
		p.Panels = slices.DeleteFunc(p.Panels, func(x string) bool { return x == id })
	}
	if c.given["columns"] {
		p.Columns = c.Columns
	}
	if c.given["weights"] {
		p.Weights = c.Weights
	}
	if c.given["about"] {
		p.About = c.About
	}
}

func (j *joining) panelHint(id string) string {
	words := make([]string, 0, len(j.panels))
	for _, s := range j.panels {
		words = append(words, s.ID)
	}
	if near := nearest(id, words); near != "" {
		return "did you mean " + near + "?"
	}
	return "pitwall panels list shows them"
}

func (j *joining) pageHint(name string) string {
	words := make([]string, 0, len(j.pages))
	for _, p := range j.pages {
		words = append(words, p.Name)
	}
	return oneOf(name, words)
}

// finish looks at what only the whole can tell.
func (j *joining) finish() []*Fault {
	shown := map[string]bool{}
	for _, p := range j.pages {
		for _, id := range p.Panels {
			shown[id] = true
		}
	}
	var own []string
	inGo := map[string]string{} // the queries of the panels drawn in Go, with their panels
	for i := range j.panels {
		s := &j.panels[i]
		at := "panels[" + s.ID + "]"
		say := func(line int, what, hint string) {
			j.fail(s.File, line, at, what, hint)
			if s.broken == "" {
				s.broken = what
			}
		}
		if s.Title == "" {
			s.Title = s.ID
		}
		if len(s.Queries) == 0 {
			say(s.Line, "it has no queries", "queries: [{expr: up}]")
		}
		for k := range s.Queries {
			if q := &s.Queries[k]; q.Expr == "" && q.broken == "" {
				q.broken = "no expression"
				j.fail(s.File, max(q.line, s.Line), fmt.Sprintf("%s.queries[%s]", at, q.ID), "no expression", "expr: sum(rate(x_total{$sel}[$w]))")
			}
		}
		if s.InGo() {
			for _, q := range s.Queries {
				if other, taken := inGo[q.ID]; taken {
					say(s.Line, fmt.Sprintf("panel %s has a query %q already; the drawings queue, latency, throughput, cache, gpu and host share their queries' names", other, q.ID),
						"change the built-in panel instead, or draw: line")
					break
				}
			}
			for _, q := range s.Queries {
				if _, taken := inGo[q.ID]; !taken {
					inGo[q.ID] = s.ID
				}
			}
		}
		for _, id := range Needs(s.Draw) {
			if _, ok := s.Query(id); !ok {
				say(s.Line, fmt.Sprintf("drawn as %s it needs a query %q", s.Draw, id), "its queries are those of the built-in panel: pitwall panels show "+s.Draw)
			}
		}
		if !shown[s.ID] && !slices.Contains(j.hidden, s.ID) && s.File != BuiltinName {
			own = append(own, s.ID)
		}
	}
	if len(own) > 0 {
		if i := slices.IndexFunc(j.pages, func(p Page) bool { return p.Name == OwnPage }); i >= 0 {
			j.pages[i].Panels = append(j.pages[i].Panels, own...)
		} else {
			j.pages = append(j.pages, Page{Name: OwnPage, Panels: own, About: "panels that no page names"})
		}
	}
	var pages []Page
	for _, p := range j.pages {
		p.Panels = slices.DeleteFunc(slices.Clone(p.Panels), func(id string) bool { return slices.Contains(j.hidden, id) })
		if len(p.Panels) > 0 {
			pages = append(pages, p)
		}
	}
	slices.SortStableFunc(pages, func(a, b Page) int { return place(j.order, a.Name) - place(j.order, b.Name) })
	j.pages = pages
	slices.SortStableFunc(j.faults, byLine)
	return j.faults
}

func place(order []string, name string) int {
	if i := slices.Index(order, name); i >= 0 {
		return i
	}
	return len(order)
}

// Pages lists the pages that have panels, in their order. There may be none, if a file hides everything.
func (b *Book) Pages() []Page {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Clone(b.pages)
}

// Panels lists every panel, shown or not.
func (b *Book) Panels() []Spec {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Clone(b.panels)
}

// Panel gives one panel by its id.
func (b *Book) Panel(id string) (Spec, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	i := slices.IndexFunc(b.panels, func(s Spec) bool { return s.ID == id })
	if i < 0 {
		return Spec{}, false
	}
	return b.panels[i], true
}

// Version grows with every change, so that a screen knows when to look again.
func (b *Book) Version() uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.version
}

// UserFile is the file that Add writes to, "" if there is none.
func (b *Book) UserFile() string { return b.user }

// Builtin gives a panel as pitwall comes with it, whatever files say.
func Builtin(id string) (Spec, bool) {
	i := slices.IndexFunc(builtin().Panels, func(s Spec) bool { return s.ID == id })
	if i < 0 {
		return Spec{}, false
	}
	return clone(builtin().Panels[i]), true
}
