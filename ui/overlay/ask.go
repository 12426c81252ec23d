package overlay

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"pitwall/ui/grid"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// Ask is one line of text to be typed, with what it is taken for shown under it at every key.
type Ask struct {
	title, hint string
	input       textinput.Model
	explain     func(text string) (means string, ok bool)
	done        func(text string) tea.Cmd
	enter       string
}

// AskOptions make an Ask.
type AskOptions struct {
	// Title stands on the border, Placeholder in the empty line, Hint below all, Enter names what enter does.
	Title, Placeholder, Hint, Enter string
	// Explain says what the text means; ok is false for what can't be used, which enter then leaves alone.
	Explain func(text string) (means string, ok bool)
	// Done is called with a text that can be used.
	Done func(text string) tea.Cmd
}

// NewAsk makes an empty line.
func NewAsk(o AskOptions) *Ask {
	in := textinput.New()
	in.Prompt, in.Placeholder, in.CharLimit = "", o.Placeholder, maxNote
	in.SetVirtualCursor(false)
	in.Focus()
	return &Ask{title: o.Title, hint: o.Hint, enter: o.Enter, input: in, explain: o.Explain, done: o.Done}
}

// Size implements screen.Overlay.
func (a *Ask) Size(w, h int) (int, int) {
	width := min(84, w-4)
	return width, 5 + len(grid.Wrap(a.hint, max(width-4, 10)))
}

// Draw implements screen.Overlay.
func (a *Ask) Draw(p grid.Pane, f screen.Frame) {
	in := frame(p, a.title)
	drawInput(in, a.input)
	if text := a.value(); text != "" {
		means, ok := a.explain(text)
		ink := theme.Good
		if !ok {
			ink = theme.Warn
		}
		lines := grid.Wrap(means, max(in.W()-2, 8))
		for i, l := range lines[:min(len(lines), 2)] {
			if i == 1 && len(lines) > 2 {
				l = grid.Cut(l+"…", in.W()-2)
			}
			in.Text(1, 1+i, ink, l)
		}
	}
	for i, l := range grid.Wrap(a.hint, max(in.W()-2, 8)) {
		in.Text(1, 3+i, theme.Dim, l)
	}
}

func (a *Ask) value() string { return strings.TrimSpace(grid.Clean(a.input.Value())) }

// drawInput writes a line that is being typed. The cursor is drawn as a cell, so that it looks the same everywhere.
func drawInput(in grid.Pane, input textinput.Model) {
	input.SetWidth(max(in.W()-4, 1))
	input.SetCursor(input.Position()) // so that it scrolls to the cursor at this width
	ink := theme.Strong
	if input.Value() == "" {
		ink = theme.Faint
	}
	in.Text(1, 0, ink, ansi.Strip(input.View()))
	at := 1
	if c := input.Cursor(); c != nil {
		at = 1 + c.X
	}
	in.Caret(at, 0, theme.Selected)
}

// Key implements screen.Overlay.
func (a *Ask) Key(msg tea.Msg) (tea.Cmd, bool) {
	switch keyOf(msg) {
	case "esc":
		return nil, true
	case "enter":
		text := a.value()
		if _, ok := a.explain(text); !ok {
			return nil, text == ""
		}
		return a.done(text), true
	}
	var cmd tea.Cmd
	a.input, cmd = a.input.Update(msg)
	return cmd, false
}

// Hint implements screen.Overlay.
func (a *Ask) Hint() [][2]string { return [][2]string{{"enter", a.enter}, {"esc", "back"}} }
