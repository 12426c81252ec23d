package live

import (
	"context"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// marked is a time that was marked in order to be compared, with everything that is known of it.
type marked struct {
	at   time.Time
	snap *snapshot // nil until it is answered
}

// compared brings what is known of both marked times.
type compared struct {
	gen    uint64
	snaps  [2]*snapshot
	totals map[string]figure.Value
}

// setMark marks the moment that is shown: the first time, then the second; again, it moves the second.
func (m *Model) setMark() tea.Cmd {
	at := m.snap.at
	switch len(m.marks) {
	case 0:
		m.marks = []marked{{at: at}}
		text := "first time marked: " + at.Local().Format("15:04:05") + "; x marks the second, X clears"
		return func() tea.Msg { return screen.Say{Text: text} }
	case 1:
		m.marks = append(m.marks, marked{at: at})
	default:
		m.marks[1] = marked{at: at}
	}
	if m.marks[0].at.Equal(m.marks[1].at) {
		m.marks = m.marks[:1]
		return func() tea.Msg {
			return screen.Say{Text: "that is the first marked time: move the cursor, then x", Bad: true}
		}
	}
	return m.compare()
}

func (m *Model) clearMarks() tea.Cmd {
	m.marks, m.totals = nil, nil
	m.markGen++
	return nil
}

// sorted gives both marked times in their order.
func (m *Model) sorted() (a, b marked) {
	a, b = m.marks[0], m.marks[1]
	if b.at.Before(a.at) {
		a, b = b, a
	}
	return a, b
}

// compare asks for both marked times; after a change of engine, panel or reader it asks anew.
func (m *Model) compare() tea.Cmd {
	m.markGen++
	if len(m.marks) < 2 || m.reader == nil {
		return nil
	}
	m.totals = nil
	for i := range m.marks {
		m.marks[i].snap = nil
	}
	a, b := m.sorted()
	gen, panels := m.markGen, m.questions()
	r := request{reader: m.reader, engine: m.wanted, detail: true, zoom: m.zoomed(), length: m.spanLength()}
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		out := compared{gen: gen}
		for i, at := range []time.Time{a.at, b.at} {
			r.at, r.eventsFrom = at, at
			out.snaps[i] = ask(ctx, r, panels)
		}
		out.totals = totals(ctx, r.reader, queriesFor(panels, r.zoom, true), out.snaps[0], out.snaps[1])
		return out
	}
}

func (m *Model) takeCompared(c compared) {
	if c.gen != m.markGen || len(m.marks) < 2 {
		return
	}
	a, b := m.sorted()
	a.snap, b.snap = c.snaps[0], c.snaps[1]
	m.marks, m.totals = []marked{a, b}, c.totals
}

// comparing tells whether panels show the change between two times.
func (m *Model) comparing() bool {
	return len(m.marks) == 2 && m.marks[0].snap != nil && m.marks[1].snap != nil
}

// arrow stands between what something was and what it is.
func (v view) arrow() string {
	if v.f.ASCII {
		return "->"
	}
	return "→"
}

// pair writes what something was and what it is, once where that is the same.
func (v view) pair(from, to string) string {
	if from == to {
		return to
	}
	return from + " " + v.arrow() + " " + to
}

// of is the view of another moment, for the numbers of panels.
func (v view) of(s *snapshot) view {
	v.s, v.now = s, s.at
	return v
}

// drawNumbers writes a panel's rows: those of the moment, or with two times marked the change between them.
func (v view) drawNumbers(p grid.Pane, rows func(v view) []row) { drawRows(p, v.rowsOf(rows)) }

// rowsOf gives a panel's rows as they are to be shown.
func (v view) rowsOf(rows func(v view) []row) []row {
	if !v.m.comparing() {
		return rows(v)
	}
	a, b := v.m.sorted()
	return v.changes(rows(v.of(a.snap)), rows(v.of(b.snap)))
}

// changes puts the rows of two moments beside each other, by label. What only one of them has is shown with a dash.
func (v view) changes(before, after []row) []row {
	type place struct {
		label string
		n     int
	}
	count := map[string]int{}
	first := map[place]row{}
	for _, r := range before {
		first[place{r.label, count[r.label]}] = r
		count[r.label]++
	}
	clear(count)
	var out []row
	for _, b := range after {
		k := place{b.label, count[b.label]}
		count[b.label]++
		a, ok := first[k]
		delete(first, k)
		if !ok {
			a = row{label: b.label, format: b.format}
			if b.format == nil {
				a.value = figure.Absent
			}
		}
		out = append(out, v.change(a, b))
	}
	for _, a := range before {
		for k, r := range first {
			if k.label == a.label {
				gone := row{label: r.label, format: r.format}
				if r.format == nil {
					gone.value = figure.Absent
				}
				out = append(out, v.change(r, gone))
				delete(first, k)
			}
		}
	}
	return out
}

// change is one row of two moments: what it was, what it is, and the difference.
func (v view) change(a, b row) row {
	out := row{label: b.label, key: b.key, glyph: b.glyph, pair: true}
	from, to := a.text(), b.text()
	if b.format == nil || a.format == nil {
		// A sentence, or a fact.
		out.value, out.ink, out.note, out.noteInk = to, b.ink, b.note, b.noteInk
		if from != to {
			out.value, out.note = v.pair(from, to), ""
		}
		return out
	}
	out.value = from + " " + v.arrow() + " " + to
	for _, unit := range []string{"tok/s", "tokens", "J/output token"} {
		if strings.HasPrefix(b.note, unit) && b.total == "" {
			out.value += " " + unit // by how much a total rose needs its room
		}
	}
	switch {
	case !a.num.OK && !b.num.OK:
		out.value, out.note, out.noteInk = figure.Absent, b.note, theme.Faint
		return out
	case !b.num.OK:
		out.note = b.note
	case !a.num.OK:
		out.note = a.note
	default:
		d := b.num.V - a.num.V
		out.ink = theme.Strong
		switch {
		case from == to:
			out.note, out.ink = "=", theme.Plain
		case d < 0:
			out.note = "Δ −" + b.format(-d)
		default:
			out.note = "Δ +" + b.format(d)
		}
		if v.f.ASCII && len(out.note) > 1 {
			out.note = "d " + map[bool]string{true: "-", false: "+"}[d < 0] + b.format(max(d, -d))
		}
	}
	if total, ok := v.m.totals[b.total]; ok && total.OK && b.total != "" {
		out.note = join(figure.Count(total.V)+" in all", out.note)
	}
	return out
}
