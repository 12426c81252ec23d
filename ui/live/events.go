package live

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"pitwall/probes"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// mark is an event on the time axis.
type mark struct {
	column int
	glyph  rune
	ink    theme.Ink
	line   bool // also a line through the charts
}

// marks gives the events of the timeline, one per column: the gravest.
func (v view) marks(t plot.Timeline) []mark {
	byColumn := make(map[int]probes.Event)
	for _, e := range v.m.events {
		c, ok := t.Column(e.Time)
		if !ok || e.Time.After(v.now) {
			continue
		}
		if old, there := byColumn[c]; there && weight(old) > weight(e) {
			continue
		}
		byColumn[c] = e
	}
	var out []mark
	for c, e := range byColumn {
		g, ink := glyphOf(e)
		out = append(out, mark{column: c, glyph: g, ink: ink, line: e.Severity > probes.Note || e.Kind == probes.KindMark || e.Kind == probes.KindEngineState && !v.found(e)})
	}
	slices.SortFunc(out, func(a, b mark) int { return cmp.Compare(a.column, b.column) })
	return out
}

// found tells of a state that was there when the recording began: it is no news, and how long it lasts is not known.
func (v view) found(e probes.Event) bool {
	return e.Kind == probes.KindEngineState && v.s != nil && e.Severity == probes.Note && e.Time.Sub(v.s.first) <= 3*time.Second
}

func weight(e probes.Event) int {
	w := int(e.Severity) * 2
	if e.Kind == probes.KindMark {
		w++
	}
	return w
}

// glyphOf gives the sign of an event and its ink; the sign alone tells the grade.
func glyphOf(e probes.Event) (rune, theme.Ink) {
	switch {
	case e.Severity == probes.Critical:
		return '✗', theme.Bad
	case e.Severity == probes.Warning:
		return '▲', theme.Warn
	case e.Kind == probes.KindMark:
		return '◆', theme.Key
	}
	return '●', theme.Info
}

func (v view) eventsHeading() string {
	n := 0
	for _, e := range v.m.events {
		if !e.Time.After(v.now) && v.now.Sub(e.Time) < 24*time.Hour {
			n++
		}
	}
	if n > 0 {
		return " " + itoa(n) + " in 24h "
	}
	return ""
}

// line is an event as it is listed.
type eventLine struct {
	e       probes.Event
	lasted  string
	ongoing bool
}

// lines lists the events, newest first, with how long what they began lasted.
func (v view) lines() []eventLine {
	var out []eventLine
	last := make(map[string]time.Time) // subject of states: when the state after it began
	for i := len(v.m.events) - 1; i >= 0; i-- {
		e := v.m.events[i]
		if e.Time.After(v.now) {
			continue
		}
		l := eventLine{e: e}
		if e.Kind == probes.KindEngineState {
			if next, ok := last[e.Subject]; ok {
				l.lasted = figure.Span(next.Sub(e.Time))
			} else {
				l.lasted, l.ongoing = figure.Span(v.now.Sub(e.Time)), true
			}
			last[e.Subject] = e.Time
		} else if d, err := time.ParseDuration(e.Attrs["lasted"]); err == nil && d > 0 {
			l.lasted = figure.Span(d)
		}
		out = append(out, l)
	}
	return out
}

// newest gives the last event of the last ten minutes, for screens without the list.
func (v view) newest() (eventLine, bool) {
	for _, l := range v.lines() {
		if v.now.Sub(l.e.Time) > 10*time.Minute {
			break
		}
		if !v.found(l.e) {
			return l, true
		}
	}
	return eventLine{}, false
}

func (v view) drawEvents(p grid.Pane) {
	lines := v.lines()
	if len(lines) == 0 {
		p.Text(2, 0, theme.Dim, grid.Cut("nothing has happened yet; m sets a mark", p.W()-3))
		return
	}
	for y := range min(p.H(), len(lines)) {
		v.drawEvent(p.Sub(0, y, p.W(), 1), lines[y])
	}
}

// drawEvent writes one event and gives the column after it.
func (v view) drawEvent(p grid.Pane, l eventLine) int {
	g, ink := glyphOf(l.e)
	p.Rune(1, 0, ink, g)
	at := l.e.Time.Local()
	stamp := at.Format("15:04:05")
	if v.now.Sub(l.e.Time) > 20*time.Hour {
		stamp = at.Format("Jan _2 15:04")
	}
	x := p.Text(3, 0, theme.Dim, stamp) + 1
	text := theme.Plain
	if l.e.Severity > probes.Note {
		text = ink
	}
	subject := strings.TrimPrefix(l.e.Subject, "engine/")
	if l.e.Kind == probes.KindMark {
		subject = "mark"
	}
	if subject != "" {
		x = p.Text(x, 0, theme.Dim, grid.Cut(subject, 22)) + 1
	}
	tail := ""
	switch {
	case l.ongoing && l.e.Severity > probes.Note:
		tail = "ongoing, " + l.lasted
	case l.ongoing && v.found(l.e):
		tail = "so when the recording began"
	case l.ongoing:
		tail = "for " + l.lasted
	case l.lasted != "":
		tail = "lasted " + l.lasted
	}
	room := p.W() - x - 1
	if tail != "" {
		room -= grid.Width(tail) + 3
	}
	title := l.e.Title
	if r := l.e.Attrs["reason"]; r != "" && !strings.Contains(title, r) {
		title += ": " + r
	}
	x = p.Text(x, 0, text, grid.Cut(title, max(room, 0)))
	if tail != "" {
		tink := theme.Dim
		if l.ongoing && l.e.Severity > probes.Note {
			tink = ink
		}
		x = p.Text(x, 0, theme.Faint, " · ")
		x = p.Text(x, 0, tink, tail)
	}
	return x
}
