package live

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"pitwall/probes"
	"pitwall/sessions/events"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// mark is an event on the time axis.
type mark struct {
	// column is where it began, -1 before the axis does; to is the last column that it reaches into, equal for a moment.
	column, to int
	glyph      rune
	ink        theme.Ink
	line       bool // also a line through the charts
	// label stands behind the glyph, where there is room: which run it is.
	label string
	e     events.Episode
}

// marks gives the events of the timeline, one per column: the gravest. They are drawn for the whole of the charts, also right
// of the cursor: there the charts show what came, and so do the marks.
func (v view) marks(t plot.Timeline) []mark {
	if out, ok := v.marked[t]; ok {
		return out
	}
	out := v.findMarks(t)
	if v.marked != nil {
		v.marked[t] = out // a dozen charts have the same axis
	}
	return out
}

func (v view) findMarks(t plot.Timeline) []mark {
	byColumn := make(map[int]events.Episode)
	list := v.m.happened
	if v.m.cursor.mode == live {
		list = v.m.episodes
	}
	var out []mark
	for _, e := range list {
		if strings.HasPrefix(e.Kind, runKind) {
			continue // drawn from the runs themselves
		}
		c, ok := t.Column(e.Start)
		if lasts := presses(e) && !e.Moment && e.Start.Before(t.Begin()); lasts && (e.Ongoing() || e.End.After(t.Begin())) {
			// It began before the charts do, and reaches into them.
			_, ink := glyphOf(e)
			out = append(out, mark{column: -1, to: v.lastColumn(t, e), ink: ink, e: e})
			continue
		}
		if !ok || v.m.cursor.mode == live && e.Start.After(v.now) || e.Start.After(v.edge) {
			continue
		}
		if old, there := byColumn[c]; there && weight(old) > weight(e) {
			continue
		}
		byColumn[c] = e
	}
	for c, e := range byColumn {
		g, ink := glyphOf(e)
		k := mark{column: c, to: c, glyph: g, ink: ink, e: e, line: e.Severity > probes.Note || e.Kind == probes.KindMark || strings.HasPrefix(e.Kind, "engine.") && stateOfKind(e.Kind) && !v.found(e)}
		if presses(e) && !e.Moment {
			k.to = max(v.lastColumn(t, e), c)
		}
		out = append(out, k)
	}
	out = v.addRuns(out, t)
	slices.SortStableFunc(out, func(a, b mark) int { return cmp.Compare(a.column, b.column) })
	return out
}

// lastColumn is the column in which an episode ends, or that of the newest data while it goes on.
func (v view) lastColumn(t plot.Timeline, e events.Episode) int {
	end := e.End
	if e.Ongoing() || end.After(v.edge) {
		end = v.edge
	}
	if c, ok := columnOf(t, end); ok {
		return c
	}
	return t.Columns - 1
}

// stateOfKind tells whether a kind is one of an engine's states.
func stateOfKind(kind string) bool {
	switch kind {
	case "engine.starting", "engine.ready", "engine.restarted", "engine.sleeping", "engine.stalled", "engine.dead", "engine.no_answer", "engine.none":
		return true
	}
	return false
}

// found tells of a state that was there when the recording began: it is no news, and how long it lasts is not known.
func (v view) found(e events.Episode) bool {
	return stateOfKind(e.Kind) && v.s != nil && e.Severity == probes.Note && e.Start.Sub(v.s.first) <= 3*time.Second
}

func weight(e events.Episode) int {
	w := int(e.Severity) * 2
	if e.Kind == probes.KindMark {
		w++
	}
	return w
}

// glyphOf gives the sign of an event and its ink; the sign alone tells the grade.
func glyphOf(e events.Episode) (rune, theme.Ink) {
	switch {
	case strings.HasPrefix(e.Kind, runKind) && e.Severity == probes.Note:
		return runGlyph(e.Kind), theme.Brand
	case e.Severity == probes.Critical:
		return '✗', theme.Bad
	case e.Severity == probes.Warning:
		return '▲', theme.Warn
	case e.Kind == probes.KindMark:
		return '◆', theme.Key
	}
	return '●', theme.Info
}

// drawMarks writes the events on a time axis: a sign where one began, and a line as long as it lasted.
func (v view) drawMarks(p grid.Pane, x, y int, marks []mark) {
	for _, k := range marks {
		for c := k.column + 1; c <= k.to; c++ {
			if r, _ := p.At(x+c, y); r == '─' || r == ' ' { // not over a tick's number
				p.Rune(x+c, y, k.ink, '━')
			}
		}
	}
	for _, k := range marks {
		if k.column >= 0 && k.label == "" {
			p.Rune(x+k.column, y, k.ink, k.glyph)
		}
	}
	drawRunMarks(p, x, y, marks)
}

func (v view) eventsHeading() string {
	n := 0
	for _, e := range v.m.episodes {
		if v.now.Sub(e.Start) < 24*time.Hour {
			n++
		}
	}
	if n > 0 {
		return " " + itoa(n) + " in 24h, v lists "
	}
	return ""
}

// newest gives the last event of the last ten minutes, for screens without the list.
func (v view) newest() (events.Episode, bool) {
	for _, e := range inOrder(v.m.episodes) {
		if !v.found(e) && (v.now.Sub(e.Start) <= 10*time.Minute || e.Ongoing() && presses(e)) {
			return e, true
		}
	}
	return events.Episode{}, false
}

func (v view) drawEvents(p grid.Pane) {
	list := inOrder(v.m.episodes)
	if len(list) == 0 {
		p.Text(2, 0, theme.Dim, grid.Cut("nothing has happened yet; m sets a mark", p.W()-3))
		return
	}
	for y := range min(p.H(), len(list)) {
		v.drawEvent(p.Sub(0, y, p.W(), 1), list[y])
	}
}

// eventTail says how long an episode lasted, or that it goes on, and how often it came.
func (v view) eventTail(e events.Episode) string {
	tail := ""
	switch {
	case v.m.later[chosenOf(e)] && !v.asKnown:
		return "had begun, seen later"
	case e.Ongoing() && v.found(e):
		tail = "so when the recording began"
		if strings.Contains(e.Cause, tail) {
			tail = ""
		}
	case e.Ongoing() && presses(e):
		tail = "ongoing, " + figure.Span(v.now.Sub(e.Start))
	case e.Ongoing():
		tail = "for " + figure.Span(v.now.Sub(e.Start))
	case e.Lasted(v.now) > 0:
		tail = "lasted " + figure.Span(e.Lasted(v.now))
	}
	if e.Count > 1 {
		if tail != "" {
			tail += ", "
		}
		tail += itoa(e.Count) + " times"
	}
	return tail
}

// subjectName is whom an event is about, for people.
func subjectName(e events.Episode) string {
	if e.Kind == probes.KindMark {
		return "mark"
	}
	if strings.HasPrefix(e.Kind, runKind) {
		return "load" // its title names the run
	}
	return strings.TrimPrefix(e.Subject, "engine/")
}

// drawEvent writes one event and gives the column after it.
func (v view) drawEvent(p grid.Pane, e events.Episode) int {
	g, ink := glyphOf(e)
	p.Rune(1, 0, ink, g)
	at := e.Start.Local()
	stamp := at.Format("15:04:05")
	if v.now.Sub(e.Start) > 20*time.Hour {
		stamp = at.Format("Jan _2 15:04")
	}
	x := p.Text(3, 0, theme.Dim, stamp) + 1
	text := theme.Plain
	if e.Severity > probes.Note {
		text = ink
	}
	if subject := subjectName(e); subject != "" && p.W() >= 50 { // else what happened needs the room
		x = p.Text(x, 0, theme.Dim, grid.Cut(subject, 22)) + 1
	}
	tail := v.eventTail(e)
	room := p.W() - x - 1
	if tail != "" {
		room -= grid.Width(tail) + 3
	}
	x = p.Text(x, 0, text, grid.Cut(e.Text(), max(room, 0)))
	if tail != "" {
		tink := theme.Dim
		if e.Ongoing() && presses(e) {
			tink = ink
		}
		x = p.Text(x, 0, theme.Faint, " · ")
		x = p.Text(x, 0, tink, tail)
	}
	return x
}
