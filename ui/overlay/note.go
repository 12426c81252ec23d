package overlay

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"pitwall/ui/grid"
	"pitwall/ui/screen"
)

// maxNote bounds what can be typed, in characters.
const maxNote = 200

// Note is one line of text to be typed.
type Note struct {
	title string
	input textinput.Model
	done  func(note string) tea.Cmd
}

// NewNote makes an empty line; done is called with what was typed when enter is pressed.
func NewNote(title, placeholder string, done func(note string) tea.Cmd) *Note {
	in := textinput.New()
	in.Prompt, in.Placeholder, in.CharLimit = "", placeholder, maxNote
	in.SetVirtualCursor(false)
	in.Focus()
	return &Note{title, in, done}
}

// Size implements screen.Overlay.
func (n *Note) Size(w, h int) (int, int) { return min(76, w-4), 3 }

// Draw implements screen.Overlay.
func (n *Note) Draw(p grid.Pane, f screen.Frame) {
	in := frame(p, n.title)
	drawInput(in, n.input)
}

// Key implements screen.Overlay.
func (n *Note) Key(msg tea.Msg) (tea.Cmd, bool) {
	switch keyOf(msg) {
	case "esc":
		return nil, true
	case "enter":
		note := strings.TrimSpace(grid.Clean(n.input.Value()))
		if note == "" {
			note = "mark"
		}
		return n.done(note), true
	}
	var cmd tea.Cmd
	n.input, cmd = n.input.Update(msg)
	return cmd, false
}

// Hint implements screen.Overlay.
func (n *Note) Hint() [][2]string {
	return [][2]string{{"enter", "set the mark"}, {"esc", "back"}}
}
