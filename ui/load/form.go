package load

import (
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"pitwall/probes/load/shape"
	"pitwall/ui/grid"
	"pitwall/ui/overlay"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// form is everything of a point on one page. A field is taken when it is left, so that what hangs together (a rate and the
// way of arriving) changes together; nothing is done to the load before enter.
type form struct {
	bar   *Bar
	point shape.Point
	at    int
	input textinput.Model
	bad   string // of the field that one is in
}

func newForm(b *Bar) *form {
	f := &form{bar: b, point: b.draft.Filled()}
	if b.draft.Cache == "" {
		f.point.Cache = "" // it follows from what prompts share, which may change here
	}
	f.enter(slices.IndexFunc(fields, func(x field) bool {
		return x.words[0] == map[bool]string{true: "c", false: "r"}[kindOf(b.draft) == shape.Closed]
	}))
	return f
}

// enter goes into a field.
func (f *form) enter(i int) {
	f.at = (i + len(fields)) % len(fields)
	f.input, f.bad = newInput(fields[f.at].get(f.point)), ""
}

// take takes what was typed into the field that one is in. It says whether it could be taken.
func (f *form) take() bool {
	x := fields[f.at]
	typed := strings.TrimSpace(grid.Clean(f.input.Value()))
	if f.bad = ""; typed == x.get(f.point) {
		return true
	}
	p := f.point
	if err := x.apply(&p, typed); err != nil {
		f.bad = err.Error()
		return false
	}
	f.point = p
	return true
}

// cycle goes on to the next of a field's choices.
func (f *form) cycle(by int) {
	x := fields[f.at]
	i := slices.Index(x.choices, x.get(f.point))
	for range len(x.choices) {
		i = (i + by + len(x.choices)) % len(x.choices)
		p := f.point
		if err := x.apply(&p, x.choices[i]); err == nil {
			f.point = p
			break
		}
	}
	f.enter(f.at)
}

// Size implements screen.Overlay.
func (f *form) Size(w, h int) (int, int) { return min(w-2, 120), min(h-2, len(f.rows())+5) }

// formRow is a line of the form: the name of a group, or a field.
type formRow struct {
	group string
	field int
}

func (f *form) rows() []formRow {
	var out []formRow
	last := ""
	for i, x := range fields {
		if x.group != last {
			last = x.group
			out = append(out, formRow{group: x.group, field: -1})
		}
		out = append(out, formRow{field: i})
	}
	return out
}

// The columns of the form.
const (
	nameW  = 21
	inputW = 22
)

// Draw implements screen.Overlay.
func (f *form) Draw(p grid.Pane, fr screen.Frame) {
	in := overlay.Box(p, "load: everything of it")
	rows := f.rows()
	body := in.Sub(0, 0, in.W(), in.H()-3)
	at := slices.IndexFunc(rows, func(r formRow) bool { return r.field == f.at })
	top := min(max(at-body.H()/2, 0), max(len(rows)-body.H(), 0))
	for y := range min(body.H(), len(rows)-top) {
		r := rows[top+y]
		if r.field < 0 {
			body.Text(1, y, theme.Title, r.group)
			continue
		}
		x := fields[r.field]
		body.Text(3, y, theme.Dim, grid.Cut(x.name, nameW-4))
		cell := body.Sub(nameW, y, inputW, 1)
		switch {
		case r.field == f.at && x.choices == nil:
			cell.Line(0, 0, inputW, theme.Selected, ' ')
			overlay.Input(cell, f.input)
		case x.get(f.point) == "":
			cell.Text(1, 0, theme.Faint, "·")
		default:
			cell.Text(1, 0, theme.Strong, grid.Cut(x.get(f.point), inputW-2))
		}
		if r.field == f.at && x.choices != nil {
			cell.Text(1, 0, theme.Selected, " "+firstOf(x.get(f.point), "as it is served")+" ")
		}
		ink := theme.Faint
		if r.field == f.at {
			ink = theme.Plain
		}
		body.Text(nameW+inputW+1, y, ink, grid.Cut(x.help, in.W()-nameW-inputW-2))
	}
	in.Line(0, in.H()-3, in.W(), theme.Border, '─')
	ink, says := theme.Good, f.bar.whatChanges(f.point)
	if why := wrong(f.point); why != "" {
		ink, says = theme.Warn, why
	}
	if f.bad != "" {
		ink, says = theme.Bad, f.bad
	}
	for i, l := range grid.Wrap(says, max(in.W()-2, 10)) {
		if i < 2 {
			in.Text(1, in.H()-2+i, ink, l)
		}
	}
}

func firstOf(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// Key implements screen.Overlay.
func (f *form) Key(msg tea.Msg) (tea.Cmd, bool) {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		var cmd tea.Cmd
		f.input, cmd = f.input.Update(msg)
		return cmd, false
	}
	choices := fields[f.at].choices != nil
	switch s := k.String(); {
	case s == "esc":
		return nil, true
	case s == "enter":
		if !f.take() || wrong(f.point) != "" {
			return nil, false
		}
		return f.bar.change(f.point), true
	case s == "down", s == "tab", s == "ctrl+n":
		if f.take() {
			f.enter(f.at + 1)
		}
	case s == "up", s == "shift+tab", s == "ctrl+p":
		if f.take() {
			f.enter(f.at - 1)
		}
	case choices && (s == "space" || s == "right" || s == "l"):
		f.cycle(1)
	case choices && (s == "left" || s == "h"):
		f.cycle(-1)
	case choices && s == "j":
		f.enter(f.at + 1)
	case choices && s == "k":
		f.enter(f.at - 1)
	case choices:
	default:
		var cmd tea.Cmd
		f.input, cmd = f.input.Update(msg)
		return cmd, false
	}
	return nil, false
}

// Hint implements screen.Overlay.
func (f *form) Hint() [][2]string {
	enter := "take it; s starts it"
	if f.bar.sending() {
		enter = "change to it"
	}
	return [][2]string{{"tab ↓", "next"}, {"↑", "before"}, {"space", "choose"}, {"enter", enter}, {"esc", "back"}}
}
