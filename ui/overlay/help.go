package overlay

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"pitwall/ui/grid"
	"pitwall/ui/keys"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// Help is the list of all bindings, made from them; typing searches it.
type Help struct {
	title  string
	list   func() []keys.Binding
	notes  []string
	search string
	scroll int
}

// NewHelp makes the help of a list of bindings; notes stand below them.
func NewHelp(title string, list func() []keys.Binding, notes []string) *Help {
	return &Help{title: title, list: list, notes: notes}
}

// helpLine is one line: a group's name, a binding, or a note.
type helpLine struct {
	group  string
	b      keys.Binding
	note   string
	reason string
}

func (h *Help) lines(w int) []helpLine {
	want := strings.ToLower(h.search)
	list := h.list()
	var groups []string
	by := make(map[string][]helpLine)
	for _, b := range list {
		reason := b.Reason()
		if want != "" && !strings.Contains(strings.ToLower(b.Label()+" "+b.Help+" "+b.Group+" "+reason), want) {
			continue
		}
		if by[b.Group] == nil {
			groups = append(groups, b.Group)
		}
		by[b.Group] = append(by[b.Group], helpLine{b: b, reason: reason})
	}
	var out []helpLine
	for _, g := range groups {
		out = append(out, helpLine{group: g})
		out = append(out, by[g]...)
	}
	var notes []helpLine
	for _, n := range h.notes {
		if want == "" || strings.Contains(strings.ToLower(n), want) {
			for _, l := range grid.Wrap(n, w-4) {
				notes = append(notes, helpLine{note: l})
			}
		}
	}
	if len(notes) > 0 {
		out = append(out, helpLine{group: "signs"})
		out = append(out, notes...)
	}
	return out
}

// Size implements screen.Overlay.
func (h *Help) Size(w, height int) (int, int) {
	width := min(104, w-4)
	return width, min(len((&Help{list: h.list, notes: h.notes}).lines(width-2))+4, height-2)
}

// Draw implements screen.Overlay.
func (h *Help) Draw(p grid.Pane, f screen.Frame) {
	in := frame(p, h.title)
	x := in.Text(1, 0, theme.Dim, "search ")
	x = in.Text(x, 0, theme.Strong, h.search)
	in.Rune(x, 0, theme.Selected, ' ')
	body := in.Sub(0, 2, in.W(), in.H()-2)
	lines := h.lines(in.W())
	from := min(h.scroll, max(len(lines)-body.H(), 0))
	for y := range min(body.H(), len(lines)-from) {
		l := lines[from+y]
		switch {
		case l.group != "":
			body.Text(1, y, theme.Title, l.group)
		case l.note != "":
			body.Text(3, y, theme.Dim, l.note)
		default:
			k, t := theme.Key, theme.Plain
			if l.reason != "" {
				k, t = theme.Faint, theme.Faint
			}
			body.Text(3, y, k, l.b.Label())
			x := body.Text(13, y, t, grid.Cut(l.b.Help, body.W()-14))
			if l.b.Danger {
				x = body.Text(x, y, theme.Warn, " (cannot be undone)")
			}
			if l.reason != "" {
				body.Text(x+2, y, theme.Warn, grid.Cut("not now: "+l.reason, body.W()-x-3))
			}
		}
	}
	if len(lines) == 0 {
		body.Text(3, 0, theme.Dim, "no key has that in its description")
	}
	if more := len(lines) - from - body.H(); more > 0 {
		p.Text(3, p.H()-1, theme.Dim, " ↓ "+"more ")
	}
}

// Key implements screen.Overlay.
func (h *Help) Key(msg tea.Msg) (tea.Cmd, bool) {
	switch k := keyOf(msg); k {
	case "esc":
		if h.search != "" {
			h.search, h.scroll = "", 0
			return nil, false
		}
		return nil, true
	case "enter", "?", "f1":
		return nil, true
	case "q":
		if h.search == "" {
			return nil, true
		}
		h.search += "q"
	case "down", "ctrl+n":
		h.scroll = min(h.scroll+1, len(h.lines(80)))
	case "up", "ctrl+p":
		h.scroll = max(h.scroll-1, 0)
	case "pgdown":
		h.scroll = min(h.scroll+10, len(h.lines(80)))
	case "pgup":
		h.scroll = max(h.scroll-10, 0)
	case "backspace":
		if rs := []rune(h.search); len(rs) > 0 {
			h.search = string(rs[:len(rs)-1])
		}
	default:
		if press, ok := msg.(tea.KeyPressMsg); ok && press.Text != "" && len(h.search) < 40 {
			h.search, h.scroll = h.search+grid.Clean(press.Text), 0
		}
	}
	return nil, false
}

// Hint implements screen.Overlay.
func (h *Help) Hint() [][2]string {
	return [][2]string{{"type", "search"}, {"↑ ↓", "scroll"}, {"esc", "back"}}
}
