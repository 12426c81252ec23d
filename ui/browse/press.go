package browse

import (
	"slices"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/ui/capture"
	"pitwall/ui/figure"
	"pitwall/ui/screen"
)

// Key implements screen.Overlay. Every action has a plain letter; arrows and the rest are beside them.
func (b *Browser) Key(msg tea.Msg) (tea.Cmd, bool) {
	name := ""
	if k, ok := msg.(tea.KeyPressMsg); ok {
		name = k.String()
	}
	b.note = ""
	switch {
	case b.charted != nil:
		return b.chartKey(name)
	case b.typing:
		return b.typingKey(msg, name)
	}
	return b.listKey(name)
}

func (b *Browser) typingKey(msg tea.Msg, name string) (tea.Cmd, bool) {
	switch name {
	case "esc":
		if b.input.Value() == "" {
			return nil, true
		}
		b.input.SetValue("")
		b.refilter()
		return b.ask(), false
	case "enter", "tab":
		b.typing = false
		return b.ask(), false
	case "down", "ctrl+n":
		return b.move(1), false
	case "up", "ctrl+p":
		return b.move(-1), false
	case "pgdown":
		return b.move(b.page()), false
	case "pgup":
		return b.move(-b.page()), false
	}
	was := b.input.Value()
	var cmd tea.Cmd
	b.input, cmd = b.input.Update(msg)
	if b.input.Value() != was {
		b.refilter()
	}
	return tea.Batch(cmd, b.ask()), false
}

func (b *Browser) listKey(name string) (tea.Cmd, bool) {
	switch name {
	case "esc", "q":
		return nil, true
	case "/":
		b.typing = true
	case "j", "down", "ctrl+n":
		return b.move(1), false
	case "k", "up", "ctrl+p":
		return b.move(-1), false
	case "pgdown", "ctrl+d", "f":
		return b.move(b.page()), false
	case "pgup", "ctrl+u", "b":
		return b.move(-b.page()), false
	case "g", "home":
		return b.move(-len(b.rows)), false
	case "G", "end":
		return b.move(len(b.rows)), false
	case "s":
		b.order = (b.order + 1) % 3
		b.refilter()
		return b.ask(), false
	case "enter":
		r, ok := b.current()
		if !ok {
			return nil, false
		}
		if r.only() != nil {
			return b.draw(r), false
		}
		b.open[r.f.name] = !b.open[r.f.name]
		if !b.open[r.f.name] {
			delete(b.open, r.f.name)
		}
		b.refilter()
		return b.ask(), false
	case "space":
		if r, ok := b.current(); ok {
			return b.draw(r), false
		}
	case "a":
		if r, ok := b.current(); ok {
			return b.add(newChart(r)), false
		}
	case "[", "]":
		return b.resize(name), false
	}
	return nil, false
}

func (b *Browser) chartKey(name string) (tea.Cmd, bool) {
	switch name {
	case "esc", "q", "enter", "space":
		b.charted, b.asking = nil, false
		b.gen++
		return b.ask(), false
	case "[", "]":
		return b.resize(name), false
	case "a":
		return b.add(b.charted), false
	case "j", "down", "k", "up":
		by := 1
		if name == "k" || name == "up" {
			by = -1
		}
		b.move(by)
		if r, ok := b.current(); ok {
			return b.draw(r), false
		}
	case "y":
		return b.copy(), false
	}
	return nil, false
}

// draw charts a row.
func (b *Browser) draw(r row) tea.Cmd {
	c := newChart(r)
	if c.meaning.expr == "" {
		b.note = c.meaning.drawn
		return nil
	}
	b.charted, b.asking = c, false
	return b.ask()
}

// resize chooses the next window.
func (b *Browser) resize(key string) tea.Cmd {
	at := 0
	for at < len(windows)-1 && windows[at] < b.window {
		at++
	}
	if key == "]" {
		at++
	} else {
		at--
	}
	b.window = windows[min(max(at, 0), len(windows)-1)]
	b.asking = false
	clear(b.values)
	if b.charted != nil {
		b.charted.asked = time.Time{}
	}
	return b.ask()
}

// add puts a chart on a page, or says why it cannot be.
func (b *Browser) add(c *chart) tea.Cmd {
	if b.o.Add == nil {
		b.note = "not added to a page: " + b.cannotAdd()
		return nil
	}
	if c.meaning.expr == "" {
		b.note = c.meaning.drawn
		return nil
	}
	return b.o.Add(c.toAdd())
}

func (b *Browser) cannotAdd() string {
	if b.o.CannotAdd != "" {
		return b.o.CannotAdd
	}
	return "this screen has no pages of one's own"
}

// copy gives the chart's points to the clipboard.
func (b *Browser) copy() tea.Cmd {
	a := b.charted.answer
	if len(a.lines) == 0 {
		b.note = "there is nothing to copy"
		return nil
	}
	t := capture.Table{Title: b.charted.f.name, Of: "last " + figure.Ago(a.span), At: a.at, Columns: []string{"time"}, Notes: []string{a.expr}}
	rows := map[int64][]string{}
	var times []int64
	for i, l := range a.lines {
		t.Columns = append(t.Columns, l.name)
		for _, p := range l.points {
			if rows[p.T] == nil {
				rows[p.T] = make([]string, len(a.lines)+1)
				rows[p.T][0] = time.UnixMilli(p.T).Format(time.RFC3339)
				times = append(times, p.T)
			}
			rows[p.T][i+1] = strconv.FormatFloat(p.F, 'g', -1, 64)
		}
	}
	slices.Sort(times)
	for _, at := range times {
		t.Rows = append(t.Rows, rows[at])
	}
	text, cut := capture.Fit(t.TSV())
	said := capture.Copied(len(times), cut)
	return tea.Batch(tea.SetClipboard(text), func() tea.Msg { return screen.Say{Text: said} })
}

// refilter makes the rows anew and keeps the cursor on what it was on.
func (b *Browser) refilter() {
	was, had := b.current()
	b.rows = b.all.list(b.input.Value(), b.order, b.open)
	clear(b.meanings)
	b.chosen = 0
	if !had {
		return
	}
	for i, r := range b.rows {
		if r.f.name != was.f.name {
			continue
		}
		if r.e == nil && (was.e == nil || b.chosen == 0) || was.e != nil && r.e != nil && r.e.text == was.e.text {
			b.chosen = i
			if was.e == nil {
				return
			}
		}
	}
}

func (b *Browser) current() (row, bool) {
	if b.chosen < 0 || b.chosen >= len(b.rows) {
		return row{}, false
	}
	return b.rows[b.chosen], true
}

func (b *Browser) move(by int) tea.Cmd {
	b.chosen = min(max(b.chosen+by, 0), max(len(b.rows)-1, 0))
	return b.ask()
}
