package load

import (
	tea "charm.land/bubbletea/v2"

	"pitwall/probes/load/shape"
	"pitwall/sessions/steer"
	"pitwall/ui/grid"
	"pitwall/ui/overlay"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// warn is the box before the first load on a server that is not simulated: what it will do, to whom, and who else is there.
type warn struct {
	warning steer.Warning
	point   shape.Point
	yes     func() tea.Cmd
	scroll  int
}

func newWarn(w steer.Warning, p shape.Point, yes func() tea.Cmd) *warn {
	return &warn{warning: w, point: p, yes: yes}
}

// lines says it all, for a width.
func (q *warn) lines(w int) []text {
	var out []text
	add := func(ink theme.Ink, hang int, s string) { out = append(out, wrapped(ink, hang, s, w)...) }
	if s := q.warning.Server; s != nil {
		title := s.Title
		if title == "" {
			title = s.Engine
		}
		if title == "" {
			title = "an OpenAI-compatible server"
		}
		if s.Version != "" {
			title += " " + s.Version
		}
		add(theme.Strong, 0, title+" at "+s.URL+" serves "+s.Model)
	}
	add(theme.Plain, 0, q.point.Filled().String())
	out = append(out, text{})
	for _, d := range q.warning.Does {
		add(theme.Plain, 2, "· "+d)
	}
	out = append(out, text{})
	ink := theme.Good
	switch o := q.warning.Others; {
	case o.Busy():
		ink = theme.Warn
		add(ink, 2, "▲ "+o.Text)
	case !o.Known:
		s := o.Text
		if s == "" {
			s = "whether others use it is not known: " + o.Why
		}
		add(theme.Warn, 2, "▲ "+s)
	default:
		add(ink, 2, "● "+o.Text)
	}
	if len(q.warning.Lacks) > 0 {
		out = append(out, text{})
		add(theme.Title, 0, "what it can't do")
		for _, l := range q.warning.Lacks {
			add(theme.Plain, 2, "· "+l.What+": "+l.Instead)
		}
	}
	return out
}

// Size implements screen.Overlay.
func (q *warn) Size(w, h int) (int, int) {
	width := min(96, w-4)
	return width, min(len(q.lines(width-4))+2, h-2)
}

// Draw implements screen.Overlay.
func (q *warn) Draw(p grid.Pane, f screen.Frame) {
	in := overlay.Box(p, "start load on this server?")
	drawTexts(in.Sub(1, 0, in.W()-2, in.H()), q.lines(in.W()-2), q.scroll)
}

// Key implements screen.Overlay. Enter is not yes: it is pressed too easily.
func (q *warn) Key(msg tea.Msg) (tea.Cmd, bool) {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil, false
	}
	switch k.String() {
	case "y":
		return q.yes(), true
	case "n", "esc", "q":
		return say("nothing was started", false), true
	case "j", "down":
		q.scroll++
	case "k", "up":
		q.scroll = max(q.scroll-1, 0)
	}
	return nil, false
}

// Hint implements screen.Overlay.
func (q *warn) Hint() [][2]string {
	return [][2]string{{"y", "start it"}, {"j k", "scroll"}, {"n", "don't"}}
}
