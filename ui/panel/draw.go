package panel

import (
	"math"
	"strconv"
	"strings"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// Room is where a panel is drawn, and how its time axis lies.
type Room struct {
	// Box is the whole inside of the panel; Axis, Chart and Numbers are its parts for drawings with a chart: Chart has
	// one column of cells for each of the Timeline. Without them Draw divides Box itself.
	Box, Axis, Chart, Numbers grid.Pane
	Timeline                  plot.Timeline
	// Under draws what lies under the data (events), Over what lies on them (the cursor). Both may be nil.
	Under, Over func(chart grid.Pane)
	// ASCII says that glyphs beyond ASCII will be replaced; Marked that two times are marked, whose values are shown
	// instead of extremes. Skip is how many rows of a table or a list were scrolled away.
	ASCII, Marked bool
	Skip          int
}

// axisW is the width of a value axis.
const axisW = 6

// Split divides a box into axis, chart and numbers, for a caller that has no columns to keep to.
func Split(box grid.Pane, t func(columns int) plot.Timeline) Room {
	nw := numbersW(box.W())
	cols := max(box.W()-axisW-nw-1, 4)
	r := Room{Box: box, Timeline: t(cols)}
	r.Axis, r.Chart = box.Sub(0, 0, axisW, box.H()), box.Sub(axisW, 0, cols, box.H())
	r.Numbers = box.Sub(axisW+cols+1, 0, box.W()-axisW-cols-1, box.H())
	return r
}

// numbersW is how wide the numbers beside a chart are, by the width of the box.
func numbersW(w int) int { return min(max(w*2/5, 16), 40) }

// Draw draws a panel of any kind but those in Go. A fault of the panel or of a query stands inside of it; the rest goes on.
func Draw(s Spec, d Data, r Room) {
	if s.Broken() != "" {
		say(r.Box, theme.Bad, "✗ "+s.Broken())
		return
	}
	errs, asked := faults(s, d), 0
	for i, a := range d.Answers {
		if a.Err == "" && (i >= len(s.Queries) || s.Queries[i].Broken() == "") {
			asked++
		}
	}
	if asked == 0 && len(errs) > 0 {
		y := 0
		for _, e := range errs {
			y += say(r.Box.Sub(0, y, r.Box.W(), r.Box.H()-y), theme.Bad, "✗ "+e)
		}
		return
	}
	if len(errs) > 0 && r.Box.H() > 1 {
		// The queries that cannot be asked are named on the last line; the zoomed panel has all of the text.
		last := r.Box.H() - 1
		text := "✗ " + errs[0]
		if len(errs) > 1 {
			text = "✗ " + strconv.Itoa(len(errs)) + " queries: " + errs[0]
		}
		r.Box.Text(0, last, theme.Bad, grid.Cut(text, r.Box.W()))
		r = r.cut(last)
	}
	rows, more := Rows(s, d)
	if len(rows) == 0 {
		r.empty(s, d)
		return
	}
	switch s.Drawing() {
	case DrawTable:
		drawTable(s, d, r)
	case DrawBars:
		drawBars(s, rows, more, r)
	case DrawNumber:
		drawNumber(s, rows, r)
	case DrawHeat:
		drawHeat(s, d, r)
	default:
		drawChart(s, rows, more, r)
	}
}

// cut gives the room with fewer lines.
func (r Room) cut(h int) Room {
	less := func(p grid.Pane) grid.Pane { return p.Sub(0, 0, p.W(), min(p.H(), h)) }
	r.Box, r.Axis, r.Chart, r.Numbers = less(r.Box), less(r.Axis), less(r.Chart), less(r.Numbers)
	return r
}

// faults lists the errors of a panel's queries.
func faults(s Spec, d Data) []string {
	var out []string
	for i, q := range s.Queries {
		e := q.Broken()
		if e == "" && i < len(d.Answers) {
			e = d.Answers[i].Err
		}
		if e == "" {
			continue
		}
		if len(s.Queries) > 1 {
			e = q.ID + ": " + e
		}
		out = append(out, e)
	}
	return out
}

// say writes a sentence over as many lines as it takes, and gives how many that were.
func say(p grid.Pane, ink theme.Ink, text string) int {
	lines := grid.Wrap(text, p.W()-2)
	for y, l := range lines {
		if y == p.H()-1 && len(lines) > p.H() {
			l = grid.Cut(l+" …", p.W()-2)
		}
		p.Text(1, y, ink, l)
	}
	return len(lines)
}

// empty says why a panel has no numbers.
func (r Room) empty(s Spec, d Data) {
	reason := d.Reason
	for _, a := range d.Answers {
		if reason == "" {
			reason = a.Reason
		}
	}
	if reason == "" {
		reason = "nothing answers to it here"
	}
	if r.charted(s) {
		plot.Axis{Top: 1, Format: func(float64) string { return "" }, Marks: []float64{}}.Draw(r.Axis, theme.Faint, theme.Border)
		if r.Under != nil {
			r.Under(r.Chart)
		}
	}
	say(r.Box.Sub(axisW, r.Box.H()/3, r.Box.W()-axisW, r.Box.H()-r.Box.H()/3), theme.Faint, figure.Absent+" "+reason)
}

func (r Room) charted(s Spec) bool {
	return s.Charted() && s.Drawing() != DrawNumber && r.Axis.W() > 0 && r.Chart.W() > 0
}

// inkOf is the ink of a threshold's level.
func inkOf(level string, otherwise theme.Ink) theme.Ink {
	switch level {
	case "warn":
		return theme.Warn
	case "bad":
		return theme.Bad
	}
	return otherwise
}

// Heading names the columns of numbers beside a panel's chart, for the line of its title; w is the width of the numbers.
func Heading(s Spec, w int, window string, marked bool) string {
	switch s.Drawing() {
	case DrawHeat, DrawNumber, DrawTable, DrawBars:
		if s.Unit != "" && s.Unit != "none" && s.Drawing() != DrawHeat {
			return " " + s.Unit + " "
		}
		return ""
	}
	head := columnsFor(w, marked).heading(window)
	if unitOf(s.Unit).bare != nil {
		head = " " + s.Unit + "  " + strings.TrimLeft(head, " ")
	}
	return head
}

// columns are the numbers of a legend's line: which, and how wide.
type columns struct {
	names  []string
	pick   []func(Row) figure.Value
	w      int
	window bool // the last one is "max"
}

func columnsFor(w int, marked bool) columns {
	now := func(r Row) figure.Value { return r.Now }
	c := columns{w: 11}
	switch {
	case marked && w >= 44:
		c.names, c.pick = []string{"1", "2", "change"}, []func(Row) figure.Value{before, after, change}
	case marked:
		c.names, c.pick = []string{"2", "change"}, []func(Row) figure.Value{after, change}
	case w >= 54:
		c.names, c.pick, c.window = []string{"now", "min", "max"}, []func(Row) figure.Value{now, func(r Row) figure.Value { return r.Low }, func(r Row) figure.Value { return r.Peak }}, true
	case w >= 30:
		c.names, c.pick, c.window = []string{"now", "max"}, []func(Row) figure.Value{now, func(r Row) figure.Value { return r.Peak }}, true
	default:
		c.names, c.pick = []string{"now"}, []func(Row) figure.Value{now}
	}
	if w < 26 {
		c.w = 10
	}
	return c
}

func before(r Row) figure.Value { return r.Before }
func after(r Row) figure.Value  { return r.After }

func change(r Row) figure.Value {
	return r.Before.Map(func(f float64) float64 { return -f }).Add(r.After)
}

func (c columns) heading(window string) string {
	out := ""
	for i, n := range c.names {
		if c.window && i == len(c.names)-1 && window != "" {
			n += " " + window
		}
		out += padLeft(n, c.w)
	}
	return out
}

func padLeft(s string, w int) string {
	for grid.Width(s) < w {
		s = " " + s
	}
	return s
}

// legend writes a line for each row: mark, name, numbers. What doesn't fit is counted on the last line.
func (r Room) legend(p grid.Pane, rows []Row, more int, mark func(p grid.Pane, row Row)) {
	c := columnsFor(p.W(), r.Marked)
	rows = rows[min(r.Skip, max(len(rows)-1, 0)):]
	h := p.H()
	if len(rows) > h || more > 0 && len(rows) >= h {
		h--
		more += len(rows) - min(len(rows), h)
	}
	for y, row := range rows[:min(len(rows), max(h, 0))] {
		line := p.Sub(0, y, p.W(), 1)
		mark(line.Sub(0, 0, 2, 1), row)
		end := p.W()
		for i := len(c.pick) - 1; i >= 0; i-- {
			text := row.write(c.pick[i](row), func(v figure.Value) string { return bareText(row.Unit, v) })
			if c.names[i] == "change" {
				text = row.change()
			}
			ink := theme.Dim
			if c.names[i] == "now" || c.names[i] == "2" {
				ink = inkOf(row.Level, theme.Strong)
			}
			line.Right(end, 0, ink, grid.Cut(text, c.w-1))
			end -= c.w
		}
		name := row.Name
		x := line.Text(2, 0, theme.Dim, grid.Cut(name, max(end-3, 0)))
		if row.Word != "" && x+1+grid.Width(row.Word) < end {
			line.Text(x+1, 0, inkOf(row.Level, theme.Dim), row.Word)
		}
	}
	if more > 0 && h >= 0 {
		p.Text(2, max(h, 0), theme.Faint, "+"+strconv.Itoa(more)+" more")
	}
}

// ends gives the bottom and the top of a value axis.
func ends(s Spec, peak, low float64) (from, to float64) {
	if s.Min != nil {
		from = *s.Min
	} else if low < 0 {
		from = -plot.Scale(-low, 0)
	}
	switch {
	case s.Max != nil && *s.Max > from:
		return from, *s.Max
	case from < 0 && !(peak > 0):
		return from, 0
	}
	to = roundTop(s.Unit, peak, s.Least)
	if to <= from {
		to = from + plot.Scale(math.Abs(from)/10, s.Least)
	}
	return from, to
}

// Legend draws every series of a panel with its numbers, a line each under a line that names them, for the zoomed panel. It
// gives the sheet and how many lines it has.
func Legend(s Spec, d Data, w int, window string, marked bool) (*grid.Canvas, int) {
	rows, more := Rows(s, d)
	if len(rows) == 0 || s.Drawing() == DrawHeat {
		return grid.New(0, 0), 0
	}
	h := len(rows) + 1
	if more > 0 {
		h++
	}
	c := grid.New(w, h)
	p := c.Pane()
	p.Right(w-1, 0, theme.Dim, columnsFor(w-1, marked).heading(window))
	Room{Marked: marked}.legend(p.Sub(0, 1, w-1, h-1), rows, more, markOf(s, filled(s, rows)))
	return c, h
}

// markOf gives what ties a line of the legend to its line in the chart, whose area may be filled.
func markOf(s Spec, filled bool) func(p grid.Pane, row Row) {
	return func(p grid.Pane, row Row) {
		ink := inkAt(row.place).Crest()
		switch draw := s.Drawing(); {
		case draw == DrawStacked:
			p.Rune(0, 0, ink, fills[row.place%len(fills)])
		case filled:
			p.Rune(0, 0, ink, '█')
		case draw == DrawLine || draw == DrawArea:
			p.Rune(0, 0, ink, plot.Stroke(row.place))
		}
	}
}
