package browse

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"pitwall/sessions"
)

// catalogue is every series by its name.
type catalogue struct {
	families []*family
	read     time.Time
}

// family is one metric name with its series.
type family struct {
	name, help, typ string
	search          string // in lower case, what words are looked for in
	series          []*entry
}

// entry is one series.
type entry struct {
	labels map[string]string // without the name
	names  []string          // of the labels, in the order they are shown
	text   string            // labels as they are shown
	search string
}

func newCatalogue(list []sessions.SeriesInfo) catalogue {
	by := make(map[string]*family)
	var c catalogue
	rank := ranks(list)
	for _, s := range list {
		name := s.Labels[model.MetricNameLabel]
		f := by[name]
		if f == nil {
			f = &family{name: name, help: s.Help, typ: s.Type, search: strings.ToLower(name + " " + s.Help + " " + s.Type + shortNames(name))}
			by[name] = f
			c.families = append(c.families, f)
		}
		e := &entry{labels: s.Labels}
		e.names = make([]string, 0, len(s.Labels))
		for l := range s.Labels {
			if l != model.MetricNameLabel {
				e.names = append(e.names, l)
			}
		}
		slices.SortFunc(e.names, func(a, b string) int {
			if d := rank[a] - rank[b]; d != 0 {
				return d
			}
			return cmp.Compare(a, b)
		})
		var t strings.Builder
		for i, l := range e.names {
			if i > 0 {
				t.WriteString("  ")
			}
			t.WriteString(l)
			t.WriteByte('=')
			t.WriteString(s.Labels[l])
		}
		e.text = t.String()
		e.search = strings.ToLower(e.text)
		f.series = append(f.series, e)
	}
	for _, f := range c.families {
		slices.SortFunc(f.series, func(a, b *entry) int { return natural(a, b) })
	}
	slices.SortFunc(c.families, func(a, b *family) int { return cmp.Compare(a.name, b.name) })
	return c
}

// ranks says which labels stand last: those with one value in the whole session tell nothing, job and instance where a
// series comes from.
func ranks(list []sessions.SeriesInfo) map[string]int {
	first, out := map[string]string{}, map[string]int{}
	for _, s := range list {
		for l, v := range s.Labels {
			if was, ok := first[l]; !ok {
				first[l], out[l] = v, 1
			} else if was != v {
				out[l] = 0
			}
		}
	}
	out["instance"], out["job"] = 2, 3
	return out
}

// shortNames are what people call a series whose name spells it out.
func shortNames(name string) string {
	out := ""
	for _, p := range [][2]string{{"time_to_first_token", "ttft"}, {"inter_token_latency", "itl tpot"}, {"time_per_output_token", "tpot"}, {"e2e_request_latency", "e2e"}, {"num_requests_waiting", "queue"}} {
		if strings.Contains(name, p[0]) {
			out += " " + p[1]
		}
	}
	return out
}

// natural sorts series by their text, numbers by their value: gpu=2 before gpu=10.
func natural(a, b *entry) int {
	x, y := a.text, b.text
	for x != "" && y != "" {
		dx, dy := digits(x), digits(y)
		if dx > 0 && dy > 0 {
			nx, ny := strings.TrimLeft(x[:dx], "0"), strings.TrimLeft(y[:dy], "0")
			if d := cmp.Or(cmp.Compare(len(nx), len(ny)), cmp.Compare(nx, ny)); d != 0 {
				return d
			}
			x, y = x[dx:], y[dy:]
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Compare(len(x), len(y))
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// size is the number of series.
func (c catalogue) size() int {
	n := 0
	for _, f := range c.families {
		n += len(f.series)
	}
	return n
}

// order is how the list is sorted.
type order int

const (
	byName order = iota
	bySize
	byType
)

func (o order) String() string { return [...]string{"name", "most series", "type"}[o] }

// row is one line of the list: a family, or one of its series below it.
type row struct {
	f *family
	e *entry // nil for the family's own line
	// found are the family's series that the filter lets through.
	found []*entry
}

// only gives the series that a row stands for, if it is a single one: that is what the filter leaves of a family, too.
func (r row) only() *entry {
	switch {
	case r.e != nil:
		return r.e
	case len(r.found) == 1:
		return r.found[0]
	}
	return nil
}

// word is one condition of a filter.
type word struct {
	text string
	// label, where it is set, is the label whose value must hold text.
	label string
	not   bool
}

// words reads a filter: words that must all be there, "-word" for one that must not, "label=value" for a label.
func words(filter string) []word {
	var out []word
	for _, s := range strings.Fields(strings.ToLower(filter)) {
		var w word
		s, w.not = strings.CutPrefix(s, "-")
		if s == "" {
			continue
		}
		w.text = s
		if l, v, ok := strings.Cut(s, "="); ok && l != "" {
			w.label, w.text = l, strings.Trim(v, `"`)
		}
		out = append(out, w)
	}
	return out
}

// in tells whether the word is in a family's own text; a label never is.
func (w word) in(f *family) bool {
	return w.label == "" && strings.Contains(f.search, w.text)
}

// of tells whether a series of a family fulfils the word.
func (w word) of(f *family, e *entry) bool {
	has := w.in(f) || w.label == "" && strings.Contains(e.search, w.text)
	if w.label != "" {
		for _, l := range e.names {
			if strings.ToLower(l) == w.label {
				has = strings.Contains(strings.ToLower(e.labels[l]), w.text)
				break
			}
		}
	}
	return has != w.not
}

// list gives the rows that a filter lets through.
func (c catalogue) list(filter string, o order, open map[string]bool) []row {
	ws := words(filter)
	var out []row
	for _, f := range c.families {
		rest := make([]word, 0, len(ws))
		for _, w := range ws {
			if w.not || !w.in(f) {
				rest = append(rest, w)
			}
		}
		found := f.series
		if len(rest) > 0 {
			found = nil
		next:
			for _, e := range f.series {
				for _, w := range rest {
					if !w.of(f, e) {
						continue next
					}
				}
				found = append(found, e)
			}
		}
		if len(found) > 0 {
			out = append(out, row{f: f, found: found})
		}
	}
	switch o {
	case bySize:
		slices.SortStableFunc(out, func(a, b row) int { return cmp.Compare(len(b.found), len(a.found)) })
	case byType:
		slices.SortStableFunc(out, func(a, b row) int { return cmp.Compare(a.f.typ, b.f.typ) })
	}
	if len(open) == 0 {
		return out
	}
	wide := make([]row, 0, len(out))
	for _, r := range out {
		wide = append(wide, r)
		if open[r.f.name] {
			for _, e := range r.found {
				wide = append(wide, row{f: r.f, e: e})
			}
		}
	}
	return wide
}
