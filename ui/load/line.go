package load

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"pitwall/probes/load/shape"
	"pitwall/ui/grid"
	"pitwall/ui/overlay"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// maxLine bounds what can be typed, in characters.
const maxLine = 300

// line is what is typed into the bar; under it stands what it would make of the load.
type line struct {
	bar   *Bar
	input textinput.Model
}

func newInput(text string) textinput.Model {
	in := textinput.New()
	in.Prompt, in.CharLimit = "", maxLine
	in.SetVirtualCursor(false)
	in.SetValue(text)
	in.CursorEnd()
	in.Focus()
	return in
}

// typeIn opens the line with a word in it. What was typed last and refused stands there again.
func (b *Bar) typeIn(text string) tea.Cmd {
	if b.again != "" && strings.HasPrefix(b.again, text) {
		text, b.again = b.again, ""
	}
	return open(&line{bar: b, input: newInput(text)})
}

// Dock implements screen.Docked: the line stands where the bar is.
func (l *line) Dock(w, h int) (x, y, width, height int) {
	height = 4 + len(grid.Wrap(Hint, max(w-4, 10)))
	height = min(max(height, 5), max(h-2, 3))
	return 0, h - 1 - height, w, height
}

// Size implements screen.Overlay.
func (l *line) Size(w, h int) (int, int) { _, _, width, height := l.Dock(w, h); return width, height }

// Draw implements screen.Overlay.
func (l *line) Draw(p grid.Pane, f screen.Frame) {
	in := overlay.Box(p, "load: type what to change")
	overlay.Input(in.Sub(0, 0, in.W(), 1), l.input)
	says, ok := l.says()
	ink := theme.Good
	if !ok {
		ink = theme.Warn
	}
	if l.text() == "" {
		ink = theme.Dim
	}
	in.Text(1, 1, ink, grid.Cut(says, in.W()-2))
	hint := grid.Wrap(Hint, max(in.W()-2, 10))
	if room := max(in.H()-2, 0); len(hint) > room {
		hint = hint[:room]
		if room > 0 {
			hint[room-1] = grid.Cut(hint[room-1]+" …", in.W()-2)
		}
	}
	for i, s := range hint {
		in.Text(1, 2+i, theme.Dim, s)
	}
}

func (l *line) text() string { return strings.TrimSpace(grid.Clean(l.input.Value())) }

// says tells what enter would do.
func (l *line) says() (string, bool) {
	if l.text() == "" {
		return "now: " + l.bar.draft.Filled().String(), true
	}
	p, err := Change(l.bar.draft, l.text(), l.bar.presets)
	if err != nil {
		return err.Error(), false
	}
	if why := wrong(p); why != "" {
		return why, false
	}
	return l.bar.whatChanges(p), true
}

// whatChanges says what the load would be, and what that does.
func (b *Bar) whatChanges(p shape.Point) string {
	now, then := b.draft.Filled().String(), p.Filled().String()
	s := now + " → " + then
	if now == then {
		s = then
	}
	if b.sending() {
		return s + "; a new run begins"
	}
	return s + "; s starts it"
}

// Key implements screen.Overlay.
func (l *line) Key(msg tea.Msg) (tea.Cmd, bool) {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		switch k.String() {
		case "esc":
			return nil, true
		case "enter":
			if l.text() == "" {
				return nil, true
			}
			p, err := Change(l.bar.draft, l.text(), l.bar.presets)
			if err != nil || wrong(p) != "" {
				return nil, false
			}
			cmd := l.bar.change(p)
			l.bar.typed = l.text()
			return cmd, true
		}
	}
	var cmd tea.Cmd
	l.input, cmd = l.input.Update(msg)
	return cmd, false
}

// Hint implements screen.Overlay.
func (l *line) Hint() [][2]string { return [][2]string{{"enter", "do it"}, {"esc", "back"}} }
