package live

import (
	"math"
	"strings"
	"time"

	"pitwall/sessions"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// view is what drawing functions read: the model as it stands and the frame. Nothing in it is changed.
type view struct {
	m *Model
	s *snapshot // nil before the first answer
	f screen.Frame
	// now is the moment that is shown: the cursor's; while live it is the clock's, or the end of a saved session.
	now time.Time
	// edge is the right end of the time axes: the newest tick while there is a fresh one, so that charts move when numbers
	// come and have no gap till then; else now. While the cursor is frozen it is the end of the span.
	edge time.Time
	// marked keeps the events of time axes while one picture is drawn.
	marked map[plot.Timeline][]mark
	// asKnown tells that events are shown as they are known now, not as they were at the moment.
	asKnown bool
	// line is where a line is drawn through the charts; zero while live, when the cursor is at their end.
	line time.Time
}

// geometry says where a panel's chart and numbers go.
type geometry struct {
	chart    grid.Pane // inside of the axis
	axis     grid.Pane
	numbers  grid.Pane
	timeline plot.Timeline
}

func (m *Model) viewNow(f screen.Frame) view {
	v := view{m: m, s: m.snap, f: f, now: f.Now, marked: make(map[plot.Timeline][]mark)}
	if m.cursor.mode != live && m.snap != nil && !m.snap.at.IsZero() {
		v.now, v.edge = m.snap.at, m.until
		if m.cursor.mode == frozen {
			v.line = m.snap.at
		}
		return v
	}
	if m.snap != nil && !m.snap.at.IsZero() && m.snap.info.Recording == sessions.Saved && m.snap.at.Before(v.now) {
		v.now = m.snap.at // a saved session ends where it ends
	}
	v.edge = v.now
	if m.snap != nil {
		if age := v.now.Sub(m.snap.at); age > 0 && age < m.every+2*time.Second {
			v.edge = m.snap.at
		}
	}
	return v
}

// shape tells the layout what there is.
func (m *Model) shape() Shape {
	s := Shape{}
	if m.snap == nil {
		return Shape{Engine: true, GPUs: 1}
	}
	s.GPUs = len(m.snap.gpus)
	if e, ok := m.snap.chosen(); ok {
		// Panels of an engine that never answered would be empty for the whole of its start. Of one that is gone they
		// show what it did until then.
		s.Engine = e.state != "no_engine" && e.state != "starting" || m.hasHistory()
	}
	return s
}

// hasHistory tells whether the engine has given any number within the window.
func (m *Model) hasHistory() bool {
	r := m.history["running"]
	if r == nil {
		return false
	}
	to := m.now
	if m.cursor.mode != live && m.snap != nil {
		to = m.snap.at
	}
	_, _, ok := r.span(to.Add(-m.length), to)
	return ok
}

// Draw fills the pane.
func (m *Model) Draw(p grid.Pane, f screen.Frame) {
	v := m.viewNow(f)
	plan := m.plan(p.W(), p.H())
	if plan.TooSmall {
		drawTooSmall(p)
		return
	}
	v.drawTop(p.Sub(0, 0, p.W(), 1))
	if !v.drawBarLine(p.Sub(0, 1, p.W(), 1)) {
		v.drawStatus(p.Sub(0, 1, p.W(), 1), m.zoom < 0 && plan.has("events"))
	}
	if m.snap == nil || m.snap.at.IsZero() {
		v.drawNothingYet(p.Sub(0, 0, p.W(), plan.H), plan)
		v.drawBottom(p)
		return
	}
	if m.zoom >= 0 {
		v.drawZoom(p.Sub(0, head, p.W(), plan.H-head))
		v.drawBottom(p)
		return
	}
	e := newEdges(p.W(), p.H())
	for _, r := range plan.Rows {
		e.across(r.X, r.Y, r.W)
	}
	for _, c := range plan.Cuts {
		e.downward(c.X, c.Y, c.H)
	}
	e.draw(p, theme.Border)
	var g geometry
	for _, b := range plan.Boxes {
		box := p.Sub(b.X, b.Y, b.W, b.H)
		g = v.geometry(box)
		tx := v.titleX(b, plan, g)
		switch b.Panel {
		case "events":
			v.drawTitle(p, tx, b.Y-1, b.TitleX+b.TitleW-tx, "", "events", v.eventsHeading(), false)
			v.drawEvents(box)
		case "engine":
			v.drawTitle(p, tx, b.Y-1, b.TitleX+b.TitleW-tx, "", "engine", "", false)
			v.drawNoEngine(box)
		default:
			i := m.panelIndex(b.Panel)
			spec := m.panels[i]
			heading := ""
			if spec.heading != nil {
				heading = spec.heading(v, g.numbers.W())
			}
			if old := v.age(spec.scope); old != "" {
				heading = old
			}
			v.drawTitle(p, tx, b.Y-1, b.TitleX+b.TitleW-tx, spec.key, v.titleOf(spec), heading, m.focus == i)
			spec.draw(v, box, g)
			if v.age(spec.scope) != "" {
				// Held values are not to be taken for new ones.
				for y := range g.numbers.H() {
					g.numbers.Ink(0, y, g.numbers.W(), theme.Faint)
				}
			}
		}
	}
	if plan.Strip.Panel != "" {
		b := plan.Strip
		x := v.drawTitle(p, b.TitleX, b.Y, b.TitleW, "5", "GPU", "", m.focus == 4)
		p.Text(x+1, b.Y, theme.Dim, grid.Cut(" "+v.noGPU()+" ", b.TitleX+b.TitleW-x-2))
	}
	for _, a := range plan.Axes {
		v.drawTimeAxis(p, a)
	}
	v.drawBottom(p)
}

// titleX is where a panel's title begins: at the corner, or right of a time axis that has the same line.
func (v view) titleX(b Box, plan Plan, g geometry) int {
	for _, a := range plan.Axes {
		if a.Y == b.Y-1 && a.X == b.TitleX {
			ag := v.geometryAt(a.W)
			return b.TitleX + axisW + ag.timeline.Columns + 5
		}
	}
	return b.TitleX
}

// geometry divides a box into axis, chart and numbers.
func (v view) geometry(box grid.Pane) geometry {
	g := v.geometryAt(box.W())
	cols := g.timeline.Columns
	g.axis = box.Sub(0, 0, axisW, box.H())
	g.chart = box.Sub(axisW, 0, cols, box.H())
	g.numbers = box.Sub(axisW+cols+1, 0, box.W()-axisW-cols-1, box.H())
	return g
}

// geometryAt gives the time axis for boxes of a width; a box that fills a wide screen has the charts of half of it, so
// that they stand under the others.
func (v view) geometryAt(w int) geometry {
	if full := v.m.w - 2; v.m.w >= wideFrom && w >= full-1 {
		w = (v.m.w-1)/2 - 1
	}
	cols := max(w-axisW-1-numbersWidth(w), 4)
	return geometry{timeline: plot.NewTimeline(v.edge, v.m.length, cols)}
}

// drawTitle writes a panel's title on the border and gives the column after it; the heading stands at the right end.
func (v view) drawTitle(p grid.Pane, x, y, w int, key, title, heading string, focused bool) int {
	ink := theme.Title
	if focused {
		ink = theme.Selected
		p.Line(x, y, w, theme.Focus, '━')
	}
	end := x + w
	at := x
	if key != "" {
		at = p.Text(at, y, theme.Key, superscript(key))
	}
	at = p.Text(at, y, ink, grid.Cut(title, max(end-at-1, 0)))
	if heading != "" {
		hw := grid.Width(heading)
		if end-hw-1 > at+1 {
			hx := end - hw
			p.Text(hx, y, theme.Faint, heading)
			// Blanks in a heading show the border through.
			for i, r := range []rune(heading) {
				if r == ' ' && (i == 0 || i == hw-1 || doubleBlank(heading, i)) {
					p.Rune(hx+i, y, theme.Border, '─')
				}
			}
		}
	}
	return at
}

func doubleBlank(s string, i int) bool {
	rs := []rune(s)
	return i > 0 && i < len(rs)-1 && (rs[i-1] == ' ' || rs[i+1] == ' ')
}

func superscript(key string) string {
	if len(key) == 1 && key[0] >= '0' && key[0] <= '9' {
		return string([]rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[key[0]-'0'])
	}
	return key
}

// chart gives a query's columns.
func (v view) chart(id string, t plot.Timeline, how pick) []float64 {
	r := v.m.history[id]
	if r == nil {
		return nil
	}
	return r.columns(t, how)
}

// most gives the greatest value within the window, as text; with the cursor in the past, that of the charts up to it.
func (v view) most(id string, format func(float64) string) string {
	r := v.m.history[id]
	if r == nil {
		return ""
	}
	_, high, ok := r.span(v.edge.Add(-v.m.length), v.now)
	if !ok {
		return ""
	}
	return format(high)
}

// windowName is how the window is called on the screen.
func (m *Model) windowName() string {
	if m.custom != 0 {
		return figure.Ago(m.custom)
	}
	if windows[m.window].length == 0 {
		return "all " + figure.Ago(m.length.Truncate(time.Minute))
	}
	return windows[m.window].name
}

// drawTimeAxis writes the ticks on a border line and the marks of events.
func (v view) drawTimeAxis(p grid.Pane, a Rect) {
	t := v.geometryAt(a.W).timeline
	for x := range t.Columns {
		p.Rune(a.X+axisW+x, a.Y, theme.Border, '─')
	}
	marks := v.marks(t)
	v.drawTicks(p, a.X+axisW, a.Y, t, columnsOf(marks))
	v.drawMarks(p, a.X+axisW, a.Y, marks)
	v.cursorTime(p, a.X+axisW, a.Y, t)
}

func columnsOf(marks []mark) []int {
	var out []int
	for _, m := range marks {
		for i := range 1 + len(m.label) {
			out = append(out, m.column+i)
		}
	}
	return out
}

// age says that the source of a panel is old, "" while it is not.
func (v view) age(sc scope) string {
	job, instance := "", ""
	switch sc {
	case engineScope:
		e, ok := v.s.chosen()
		if !ok {
			return ""
		}
		job, instance = e.dialect, e.instance
	case gpuScope:
		job = "dcgm"
	default:
		job = "node"
	}
	t, ok := v.s.target(job, instance)
	if !ok || t.LastOK.IsZero() {
		return ""
	}
	switch d := v.now.Sub(t.LastOK); {
	case d > 2*t.Every+2*time.Second:
		return " " + figure.Span(d) + " old "
	case v.m.cursor.mode != live && d >= t.Every+time.Second:
		// A gap too short to be empty: what stands here is the reading before it. While live it is only a late one.
		return " held " + figure.Span(d) + " "
	}
	return ""
}

func (m *Model) panelIndex(id string) int {
	for i, p := range m.panels {
		if p.id == id {
			return i
		}
	}
	return 0
}

// bar draws a level.
func bar(p grid.Pane, ratio float64, ink theme.Ink) { plot.Bar(p, ratio, ink, theme.Border) }

// area draws a chart with its axis: one or more layers on a scale that holds them all.
func (v view) area(g geometry, top float64, format func(float64) string, layers ...plot.Layer) {
	plot.Axis{Top: top, Format: format}.Draw(g.axis, theme.Faint, theme.Border)
	v.gridlines(g)
	plot.Area(g.chart, top, layers...)
	v.cursorLine(g.chart, g.timeline)
}

// name writes what a chart shows into a corner of it that is empty; the mark beside the numbers says it too.
func name(chart grid.Pane, s string) {
	w := grid.Width(s)
	for x := 1; x+w < chart.W(); x++ {
		free := true
		for i := -1; i <= w && free; i++ {
			r, _ := chart.At(x+i, 0)
			free = r == ' '
		}
		if free {
			chart.Text(x, 0, theme.Faint, s)
			return
		}
	}
}

// gridlines draws the events as thin lines through the chart, under the data.
func (v view) gridlines(g geometry) {
	for _, e := range v.marks(g.timeline) {
		if e.line {
			for y := range g.chart.H() {
				g.chart.Rune(e.column, y, theme.Border, '┊')
			}
		}
	}
}

func join(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, " · ")
}

// peakOf is plot.Peak with zero for nothing.
func peakOf(series ...[]float64) float64 {
	if p := plot.Peak(series...); !math.IsNaN(p) {
		return p
	}
	return 0
}
