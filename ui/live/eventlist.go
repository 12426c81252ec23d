package live

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes"
	"pitwall/sessions/events"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/overlay"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// eventList is the box of all events of the session, as they are known now: searched, filtered, and jumped to.
type eventList struct {
	m      *Model
	filter events.Filter
	// chosen is the episode that the bar is on; the list may grow above it.
	chosen chosenEpisode
	top    int
}

type chosenEpisode struct {
	kind, subject string
	start         time.Time
}

func chosenOf(e events.Episode) chosenEpisode { return chosenEpisode{e.Kind, e.Subject, e.Start} }

// newEventList makes the box with the bar on the last event that had begun at the moment that is shown.
func newEventList(m *Model) *eventList {
	l := &eventList{m: m}
	at := m.place()
	for _, e := range l.list() {
		if !momentOf(e).After(at) {
			l.chosen = chosenOf(e)
			break
		}
	}
	return l
}

// list gives what the filter leaves, newest first.
func (l *eventList) list() []events.Episode {
	out := l.filter.Choose(l.m.happened)
	slices.Reverse(out)
	return out
}

func (l *eventList) index(list []events.Episode) int {
	return max(slices.IndexFunc(list, func(e events.Episode) bool { return chosenOf(e) == l.chosen }), 0)
}

// Size implements screen.Overlay.
func (l *eventList) Size(w, h int) (int, int) {
	return min(w-4, 150), min(h-4, max(len(l.m.happened)+14, 20))
}

// Draw implements screen.Overlay.
func (l *eventList) Draw(p grid.Pane, f screen.Frame) {
	in := overlay.Box(p, "events of this session")
	list := l.list()
	v := l.m.viewNow(f)
	// How long something has lasted is told as of now, not of the cursor: it is a list of what is known.
	v.asKnown = true
	if v.s != nil {
		v.now = v.s.last
	}
	x := in.Text(1, 0, theme.Dim, "search ")
	x = in.Text(x, 0, theme.Strong, grid.Cut(l.filter.Text, max(in.W()-50, 8)))
	in.Rune(x, 0, theme.Selected, ' ')
	in.Right(in.W()-1, 0, theme.Dim, itoa(len(list))+" of "+itoa(len(l.m.happened))+", "+map[probes.Severity]string{probes.Note: "all", probes.Warning: "▲ warnings and worse", probes.Critical: "✗ critical only"}[l.filter.MinSeverity])
	at := l.index(list)
	detail := l.detail(v, list, at, in.W()-2)
	// The list keeps a third of the box at least.
	if most := in.H() - 3 - max(in.H()/3, 3); most < 2 {
		detail = nil
	} else if len(detail) > most {
		detail = append(detail[:most-1:most-1], said{text: "… more in a larger terminal, and in pitwall events -v", ink: theme.Faint})
	}
	rows := in.H() - 2
	if len(detail) > 0 {
		rows -= len(detail) + 1
	}
	body := in.Sub(0, 2, in.W(), rows)
	if len(list) == 0 {
		text := "nothing has happened yet"
		if len(l.m.happened) > 0 {
			text = "no event has that in it"
		}
		body.Text(2, 0, theme.Dim, text)
		return
	}
	top := min(max(l.top, at-rows+1), at)
	top = max(min(top, len(list)-rows), 0)
	for y := range min(rows, len(list)-top) {
		e := list[top+y]
		line := body.Sub(0, y, body.W(), 1)
		v.drawEvent(line, e)
		if momentOf(e).After(l.m.place()) {
			line.Ink(0, 0, line.W(), theme.Faint) // beyond the cursor
		}
		if top+y == at {
			line.Ink(0, 0, line.W(), theme.Selected)
		}
	}
	if len(detail) > 0 {
		in.Line(0, 2+rows, in.W(), theme.Border, '─')
	}
	for i, d := range detail {
		in.Text(1, 3+rows+i, d.ink, grid.Cut(d.text, in.W()-2))
	}
}

// detail says everything of the chosen episode, and how often there was one like it.
func (l *eventList) detail(v view, list []events.Episode, at, w int) []said {
	if at >= len(list) {
		return nil
	}
	e := list[at]
	var out []said
	add := func(ink theme.Ink, text string, most int) {
		for i, line := range grid.Wrap(text, max(w, 10)) {
			if i == most {
				break
			}
			out = append(out, said{text: line, ink: ink})
		}
	}
	g, ink := glyphOf(e)
	when := e.Start.Local().Format("2006-01-02 15:04:05")
	if v.s != nil {
		when += " · " + into(e.Start.Sub(v.s.first)) + " into the session"
	}
	add(ink, string(g)+" "+join(e.Severity.String()+" "+e.Kind, e.Subject, when, v.eventTail(e)), 2)
	add(theme.Strong, e.Text(), 3)
	often := l.often(v, e)
	if len(often) > 0 {
		add(theme.Info, often[0], 1)
	}
	for _, x := range e.Evidence {
		text := x.Expr
		if x.Value != "" {
			text += " = " + x.Value
		}
		if x.Threshold != "" {
			text += ", and the rule fires at " + x.Threshold
		}
		add(theme.Plain, text, 3)
	}
	if len(often) > 1 {
		add(theme.Dim, often[1], 2)
	}
	return out
}

// often gives the frequencies of the last hour up to the cursor: the chosen event's first, then what took most of the time.
func (l *eventList) often(v view, e events.Episode) []string {
	if v.s == nil {
		return nil
	}
	to := l.m.place()
	from := to.Add(-time.Hour)
	name := "the last hour"
	if from.Before(v.s.first) {
		from, name = v.s.first, "the session so far"
	}
	if l.m.cursor.mode != live {
		name += " before " + to.Local().Format("15:04:05")
	}
	known := l.m.episodes
	all := events.Frequencies(known, from, to)
	var out []string
	write := func(f events.Frequency) string {
		s := f.Title
		if sub := strings.TrimPrefix(f.Subject, "engine/"); sub != "" {
			s = sub + " " + s
		}
		if f.Times == 1 {
			s += " once"
		} else {
			s += " " + itoa(f.Times) + " times"
		}
		if f.Active > 0 {
			s += ", " + figure.Percent(f.Share)
		}
		return s
	}
	for _, f := range all {
		if f.Kind == e.Kind && f.Subject == e.Subject && f.Title == e.Title {
			out = append(out, write(f)+" of "+name)
		}
	}
	if len(out) == 0 {
		out = append(out, "none like it in "+name)
	}
	var rest []string
	for _, f := range all {
		if f.Severity > probes.Note && len(rest) < 6 {
			rest = append(rest, write(f))
		}
	}
	if len(rest) > 0 {
		out = append(out, "in "+name+": "+strings.Join(rest, " · "))
	}
	return out
}

// Key implements screen.Overlay.
func (l *eventList) Key(msg tea.Msg) (tea.Cmd, bool) {
	press, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil, false
	}
	list := l.list()
	at := l.index(list)
	move := func(to int) {
		if len(list) > 0 {
			l.chosen = chosenOf(list[min(max(to, 0), len(list)-1)])
		}
	}
	switch k := press.String(); k {
	case "esc":
		if l.filter.Text == "" {
			return nil, true
		}
		l.filter.Text = ""
	case "enter":
		if len(list) == 0 {
			return nil, true
		}
		return l.m.jump(momentOf(list[at])), true
	case "down", "ctrl+n":
		move(at + 1)
	case "up", "ctrl+p":
		move(at - 1)
	case "pgdown", "ctrl+f":
		move(at + 10)
	case "pgup", "ctrl+b":
		move(at - 10)
	case "home":
		move(0)
	case "end":
		move(len(list) - 1)
	case "tab":
		l.filter.MinSeverity = (l.filter.MinSeverity + 1) % (probes.Critical + 1)
	case "backspace":
		if rs := []rune(l.filter.Text); len(rs) > 0 {
			l.filter.Text = string(rs[:len(rs)-1])
		}
	default:
		if press.Text != "" && len(l.filter.Text) < 60 {
			l.filter.Text += grid.Clean(press.Text)
		}
	}
	return nil, false
}

// Hint implements screen.Overlay.
func (l *eventList) Hint() [][2]string {
	return [][2]string{{"type", "search"}, {"↑ ↓", "choose"}, {"tab", "severity"}, {"enter", "go there"}, {"esc", "back"}}
}
