package capture

import (
	"fmt"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"pitwall/ui/grid"
	"pitwall/ui/overlay"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// Save is the box that asks for the format and the name of a picture of the screen. The picture is that of the moment
// when the box was opened, without the box.
type Save struct {
	sheet  Sheet
	format Format
	input  textinput.Model
}

// NewSave makes the box; path is a proposal without an ending.
func NewSave(s Sheet, path string) *Save {
	in := textinput.New()
	in.Prompt, in.CharLimit = "", 1000
	in.SetVirtualCursor(false)
	in.SetValue(grid.Clean(path) + SVG.Extension())
	in.CursorEnd()
	in.Focus()
	return &Save{sheet: s, format: SVG, input: in}
}

// Size implements screen.Overlay.
func (s *Save) Size(w, h int) (int, int) { return min(96, w-4), 6 }

// Draw implements screen.Overlay.
func (s *Save) Draw(p grid.Pane, f screen.Frame) {
	in := overlay.Box(p, "save the screen")
	x := in.Text(1, 0, theme.Dim, "as    ")
	for k := Text; k <= PNG; k++ {
		ink, word := theme.Dim, "  "+k.String()+"  "
		if k == s.format {
			ink, word = theme.Selected, "▸ "+k.String()+"  "
		}
		x = in.Text(x, 0, ink, word) + 1
	}
	in.Text(1, 1, theme.Dim, "file  ")
	input := s.input
	input.SetWidth(max(in.W()-9, 1))
	input.SetCursor(input.Position()) // so that it scrolls to the cursor at this width
	in.Text(7, 1, theme.Strong, ansi.Strip(input.View()))
	at := 7
	if c := input.Cursor(); c != nil {
		at += c.X
	}
	in.Caret(at, 1, theme.Selected)
	w, h := s.sheet.Canvas.Size()
	note := map[Format]string{Text: "the characters alone", SVG: "with colours; text stays text", PNG: "with colours, as a picture"}[s.format]
	in.Text(1, 3, theme.Faint, grid.Cut(strings.Join([]string{fmt.Sprintf("%d×%d cells", w, h), note, "a new file, readable by you alone"}, " · "), in.W()-2))
}

// Key implements screen.Overlay.
func (s *Save) Key(msg tea.Msg) (tea.Cmd, bool) {
	name := ""
	if k, ok := msg.(tea.KeyPressMsg); ok {
		name = k.String()
	}
	switch name {
	case "esc":
		return nil, true
	case "tab", "down", "ctrl+n":
		s.choose((s.format + 1) % 3)
		return nil, false
	case "shift+tab", "up", "ctrl+p":
		s.choose((s.format + 2) % 3)
		return nil, false
	case "enter":
		path, sheet := strings.TrimSpace(s.input.Value()), s.sheet
		return func() tea.Msg {
			at, err := File(path, sheet)
			if err != nil {
				return screen.Say{Text: err.Error(), Bad: true}
			}
			return screen.Say{Text: "saved " + at}
		}, true
	}
	var cmd tea.Cmd
	s.input, cmd = s.input.Update(msg)
	if f, ok := FormatOf(s.input.Value()); ok {
		s.format = f
	}
	return cmd, false
}

// choose changes the format and the name's ending with it.
func (s *Save) choose(f Format) {
	path := s.input.Value()
	if old, ok := FormatOf(path); ok {
		path = path[:len(path)-len(old.Extension())]
	}
	s.format = f
	s.input.SetValue(path + f.Extension())
	s.input.CursorEnd()
}

// Hint implements screen.Overlay.
func (s *Save) Hint() [][2]string {
	return [][2]string{{"enter", "save"}, {"tab", "format"}, {"esc", "back"}}
}
