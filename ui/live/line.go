package live

import (
	"slices"
	"time"

	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// cursorLine draws the cursor and the marked times through a chart, over the data.
func (v view) cursorLine(chart grid.Pane, t plot.Timeline) {
	for _, l := range v.linesAcross() {
		c, ok := columnOf(t, l.at)
		if !ok {
			continue
		}
		for y := range chart.H() {
			// What is under the line keeps its colour as the background, so that the level can still be read.
			r, ink := chart.At(c, y)
			switch {
			case r == '█' || r == '▓' || r == '▒':
				chart.Rune(c, y, l.ink.On(ink), l.glyph)
			case ink.Back() != 0: // another line is here
				chart.Rune(c, y, l.ink.On(ink.Back()), l.glyph)
			default:
				chart.Rune(c, y, l.ink, l.glyph)
			}
		}
	}
}

// cursorTime writes the moments of the lines on the time axis, the cursor's with its seconds.
func (v view) cursorTime(p grid.Pane, x, y int, t plot.Timeline) {
	for _, l := range v.linesAcross() {
		if at, ok := labelAt(t, l); ok {
			p.Text(x+at, y, l.badge, l.name)
		}
	}
}

// labelAt is the column in which the name of a line begins.
func labelAt(t plot.Timeline, l lineAcross) (int, bool) {
	c, ok := columnOf(t, l.at)
	return min(max(c-len(l.name)/2, 0), max(t.Columns-len(l.name), 0)), ok
}

// lineAcross is a moment that all charts show.
type lineAcross struct {
	at    time.Time
	name  string
	glyph rune
	ink   theme.Ink
	badge theme.Ink
}

// linesAcross gives the lines, the cursor last: it is on top.
func (v view) linesAcross() []lineAcross {
	var out []lineAcross
	for i, k := range v.m.marks {
		out = append(out, lineAcross{at: k.at, name: string(rune('A' + i)), glyph: '╎', ink: theme.Info, badge: theme.Badge})
	}
	if !v.line.IsZero() {
		out = append(out, lineAcross{at: v.line, name: v.line.Local().Format("15:04:05"), glyph: '│', ink: theme.Key, badge: theme.Selected})
	}
	return out
}

// roundedBy is by how much a time axis may begin after its span does: it moves by so much at once.
const roundedBy = 3 * time.Second

// columnOf is the column of a moment. A moment that ends a span belongs to its last column, and one that begins it to the
// first, though the axis is rounded.
func columnOf(t plot.Timeline, at time.Time) (int, bool) {
	switch d := t.Begin().Sub(at); {
	case at.Equal(t.End):
		return t.Columns - 1, true
	case d > 0 && d <= max(roundedBy, t.Step):
		return 0, true
	}
	return t.Column(at)
}

// mostName heads the column of the greatest values. With the cursor in the past they are those of the charts up to it.
func (v view) mostName() string {
	switch {
	case v.m.comparing() && v.f.ASCII:
		return " A -> B "
	case v.m.comparing():
		return " A → B "
	case v.m.cursor.mode == frozen:
		return " max to cursor "
	}
	return " max " + v.m.windowName() + " "
}

// drawTicks writes the ticks of a time axis: how long ago while the screen is live, else times of day.
func (v view) drawTicks(p grid.Pane, x, y int, t plot.Timeline, taken []int) {
	taken = slices.Clone(taken)
	for _, l := range v.linesAcross() {
		if at, ok := labelAt(t, l); ok {
			for i := -1; i <= len(l.name); i++ {
				taken = append(taken, at+i)
			}
		}
	}
	if v.m.cursor.mode == live {
		t.Draw(p, x, y, theme.Faint, theme.Border, taken...)
		return
	}
	window := time.Duration(t.Columns) * t.Step
	first := len(tickSpans) - 1
	for i, s := range tickSpans {
		if int(s/t.Step) >= 11 || s >= window {
			first = i
			break
		}
	}
	// Where signs of events stand in the way of all ticks, nearer ones are tried: an axis without a time is none.
	for i := first; i >= 0; i-- {
		if drawTicksEvery(p, x, y, t, tickSpans[i], taken) {
			return
		}
	}
}

// drawTicksEvery writes a tick at every whole multiple of a length of time, except over the columns that are taken. False if
// none found a place.
func drawTicksEvery(p grid.Pane, x, y int, t plot.Timeline, every time.Duration, taken []int) bool {
	layout := "15:04"
	switch {
	case every < time.Minute:
		layout = "15:04:05"
	case every >= 24*time.Hour:
		layout = "Jan _2"
	}
	edge, drawn := 0, false
next:
	for at := nextRound(t.Begin(), every); at.Before(t.End); at = nextRound(at.Add(time.Second), every) {
		c, ok := t.Column(at)
		if !ok {
			continue
		}
		text := at.Local().Format(layout)
		from := c - len(text)/2
		if from < edge || from+len(text) > t.Columns {
			continue
		}
		for _, taken := range taken {
			if taken >= from && taken < from+len(text) {
				continue next
			}
		}
		p.Text(x+from, y, theme.Faint, text)
		edge, drawn = from+len(text)+1, true
	}
	return drawn
}

// tickSpans are the distances that ticks may have.
var tickSpans = []time.Duration{
	5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// nextRound gives the first moment from at on that is a whole multiple of every on the local clock.
func nextRound(at time.Time, every time.Duration) time.Time {
	_, zone := at.Local().Zone()
	shift := time.Duration(zone) * time.Second
	round := at.Add(shift).Truncate(every)
	if round.Before(at.Add(shift)) {
		round = round.Add(every)
	}
	return round.Add(-shift)
}
