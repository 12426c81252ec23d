package overlay

import (
	tea "charm.land/bubbletea/v2"

	"pitwall/ui/grid"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// Item is one line of a List.
type Item struct {
	Name, Note string
	// Sign stands before the name in Ink; 0 for none.
	Sign rune
	Ink  theme.Ink
}

// List is a choice of one item.
type List struct {
	title  string
	items  []Item
	cursor int
	pick   func(i int) tea.Cmd
}

// NewList makes a list with the cursor on chosen; pick is called with the choice.
func NewList(title string, items []Item, chosen int, pick func(i int) tea.Cmd) *List {
	return &List{title, items, min(max(chosen, 0), max(len(items)-1, 0)), pick}
}

// Size implements screen.Overlay.
func (l *List) Size(w, h int) (int, int) {
	most := grid.Width(l.title) + 6
	for _, it := range l.items {
		most = max(most, grid.Width(it.Name)+grid.Width(it.Note)+12)
	}
	return min(most, w-4), min(len(l.items)+2, h-4)
}

// Draw implements screen.Overlay.
func (l *List) Draw(p grid.Pane, f screen.Frame) {
	in := frame(p, l.title)
	from := max(0, min(l.cursor-in.H()/2, len(l.items)-in.H()))
	name := 0
	for _, it := range l.items {
		name = max(name, grid.Width(it.Name))
	}
	for y := range min(in.H(), len(l.items)) {
		i := from + y
		it := l.items[i]
		line := in.Sub(0, y, in.W(), 1)
		x := 1
		if i < 9 {
			line.Text(x, 0, theme.Key, string(rune('1'+i)))
		}
		if it.Sign != 0 {
			line.Rune(3, 0, it.Ink, it.Sign)
		}
		line.Text(5, 0, theme.Strong, grid.Cut(it.Name, in.W()-6))
		line.Text(5+name+2, 0, theme.Dim, grid.Cut(it.Note, in.W()-name-8))
		if i == l.cursor {
			line.Ink(0, 0, in.W(), theme.Selected)
		}
	}
}

// Key implements screen.Overlay.
func (l *List) Key(msg tea.Msg) (tea.Cmd, bool) {
	switch k := keyOf(msg); k {
	case "esc", "q":
		return nil, true
	case "enter", "space":
		if len(l.items) == 0 {
			return nil, true
		}
		return l.pick(l.cursor), true
	case "down", "j", "tab", "ctrl+n":
		l.cursor = min(l.cursor+1, len(l.items)-1)
	case "up", "k", "shift+tab", "ctrl+p":
		l.cursor = max(l.cursor-1, 0)
	case "home":
		l.cursor = 0
	case "end", "G":
		l.cursor = len(l.items) - 1
	default:
		if len(k) == 1 && k[0] >= '1' && k[0] <= '9' && int(k[0]-'1') < len(l.items) {
			return l.pick(int(k[0] - '1')), true
		}
	}
	return nil, false
}

// Hint implements screen.Overlay.
func (l *List) Hint() [][2]string {
	return [][2]string{{"j k", "move"}, {"enter", "choose"}, {"esc", "back"}}
}
