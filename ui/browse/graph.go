package browse

import (
	"fmt"
	"math"
	"strings"
	"time"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/overlay"
	"pitwall/ui/plot"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// axisW is the width of a chart's value axis.
const axisW = 10

// inks are those of a chart's lines.
var inks = []theme.Ink{theme.A.Crest(), theme.C.Crest(), theme.B.Crest(), theme.D.Crest(), theme.A + 3, theme.C + 3}

func (b *Browser) drawChart(p grid.Pane, f screen.Frame) {
	c := b.charted
	in := overlay.Box(p, short(c.f.name))
	at, live := b.moment()
	when := "now"
	if !live {
		when = at.Format("15:04:05")
	}
	p.Right(p.W()-2, 0, theme.Dim, " "+figure.Ago(b.window)+" to "+when+" ")
	w := in.W() - 2
	y := 0
	for i, l := range grid.Wrap(short(c.f.help), w) {
		if i == 2 {
			break
		}
		in.Text(1, y, theme.Dim, grid.Cut(l, w))
		y++
	}
	if c.e != nil {
		in.Text(1, y, theme.Plain, grid.Cut(short(c.e.text), w))
		y++
	}
	what := strings.ReplaceAll(c.meaning.drawn, "$w", figure.Span(c.answer.window))
	if c.answer.window == 0 {
		what = strings.ReplaceAll(c.meaning.drawn, "$w", "$w")
	}
	if typ := c.f.typ; typ != "" {
		what = "type " + typ + " · " + what
	}
	in.Text(1, y, theme.Faint, grid.Cut(what, w))
	x := in.Text(1, y+1, theme.Faint, "expr ")
	expr := c.answer.expr
	if expr == "" {
		expr = c.meaning.expr
	}
	in.Text(x, y+1, theme.Info, grid.Cut(short(expr), w-5))
	y += 3
	legend := min(len(c.answer.lines), maxLines)
	if c.meaning.draw == "heat" {
		legend = 1
	}
	foot := legend + 1
	if b.note != "" {
		in.Text(1, in.H()-1, theme.Warn, grid.Cut(b.note, w))
		foot++
	}
	body := in.Sub(0, y, in.W(), in.H()-y-foot)
	switch a := c.answer; {
	case a.err != "":
		for i, l := range grid.Wrap(short(a.err), w) {
			in.Text(1, y+i, theme.Bad, l)
		}
		return
	case a.at.IsZero():
		in.Text(1, y, theme.Dim, "asking…")
		return
	case len(a.lines) == 0:
		in.Text(1, y, theme.Dim, grid.Cut("no value in the last "+figure.Ago(a.span)+" before "+a.at.Format("15:04:05"), w))
		return
	}
	if body.H() < 3 || body.W() < axisW+12 {
		return
	}
	t := plot.NewTimeline(c.answer.at, c.answer.span, body.W()-axisW-5)
	if !live {
		t.Last = c.answer.at.Format("15:04:05")
	}
	area := body.Sub(axisW, 0, t.Columns, body.H()-1)
	t.Draw(body, axisW, body.H()-1, theme.Faint, theme.Border)
	key := in.Sub(1, y+body.H(), w, legend)
	if c.meaning.draw == "heat" {
		b.drawHeat(body.Sub(0, 0, axisW, area.H()), area, key, t, f.ASCII)
		return
	}
	b.drawLines(body.Sub(0, 0, axisW, area.H()), area, key, t)
}

// drawLines draws the series, each a line of its own stroke, over an axis that begins at zero, or below where they do.
func (b *Browser) drawLines(axis, area, key grid.Pane, t plot.Timeline) {
	a, m := b.charted.answer, b.charted.meaning
	least, most := 0.0, math.Inf(-1)
	for _, l := range a.lines {
		if v := l.least(); !math.IsInf(v, 0) {
			least = min(least, v)
		}
		if v := l.greatest(); !math.IsInf(v, 0) {
			most = max(most, v)
		}
	}
	if least < 0 {
		least = -plot.Scale(-least, 0)
	}
	if far := a.lines[len(a.lines)-1].least(); (m.unit == "" || m.unit == "time") && far > 1e8 && most < far*1.01 {
		least = far // moments: from zero they all look the same
	}
	top := plot.Scale(most-least, 0)
	plot.Axis{Top: top, Format: func(v float64) string { return tight(m.written(v + least)) }}.Draw(axis, theme.Faint, theme.Border)
	var series [][]float64
	for _, l := range a.lines {
		s := columns(l.points, t.Begin(), t.Step, t.Columns, max(a.step, 5*time.Second))
		for i := range s {
			s[i] -= least
		}
		series = append(series, s)
	}
	if len(series) == 1 && least == 0 {
		plot.Area(area, top, plot.Layer{Values: series[0], Ink: theme.A})
	} else {
		plot.Lines(area, top, series, inks)
	}
	for i, l := range a.lines {
		if i >= key.H() {
			break
		}
		glyph := plot.Stroke(i)
		if len(series) == 1 && least == 0 {
			glyph = '█'
		}
		key.Rune(0, i, inks[i], glyph)
		now := figure.Absent
		if n := len(l.points); n > 0 && a.at.UnixMilli()-l.points[n-1].T <= a.step.Milliseconds() {
			now = m.written(l.points[n-1].F)
		}
		numbers := fmt.Sprintf("now %s  min %s  max %s", now, m.written(l.least()), m.written(l.greatest()))
		if a.more > 0 && i == len(a.lines)-1 {
			numbers += fmt.Sprintf("  and %d more series with smaller peaks", a.more)
		}
		x := key.Text(2, i, theme.Strong, numbers) + 2
		key.Text(x, i, theme.Dim, grid.Cut(short(l.name), key.W()-x))
	}
}

// drawHeat draws how the observations of each moment were spread over the buckets, one band a bucket.
func (b *Browser) drawHeat(axis, area, key grid.Pane, t plot.Timeline, ascii bool) {
	a := b.charted.answer
	total := make([]float64, t.Columns)
	below := make([]float64, t.Columns) // what the bounds so far have counted; one that says nothing changes nothing
	var bands [][]float64
	var edges []float64
	for _, l := range a.lines {
		s := columns(l.points, t.Begin(), t.Step, t.Columns, max(a.step, 5*time.Second))
		band := make([]float64, t.Columns)
		for x := range band {
			band[x] = max(s[x]-below[x], 0)
			if v := s[x]; !math.IsNaN(v) {
				total[x], below[x] = v, v
			}
		}
		bands, edges = append(bands, band), append(edges, edge(l.name))
	}
	// Empty buckets at either end would only take room.
	some := func(band []float64) bool {
		for x, v := range band {
			if v > 0 && v/total[x] >= 0.01 {
				return true
			}
		}
		return false
	}
	for len(bands) > 1 && !some(bands[len(bands)-1]) {
		bands, edges = bands[:len(bands)-1], edges[:len(edges)-1]
	}
	first := 0
	for first < len(bands)-1 && !some(bands[first]) {
		first++
	}
	bands, edges = bands[first:], edges[first:]
	if len(bands) == 1 && !some(bands[0]) {
		area.Text(2, area.H()/2, theme.Faint, grid.Cut("no observation in this window", area.W()-3))
		return
	}
	for len(bands) > area.H() && len(bands) > 1 {
		// More buckets than rows: the lowest two are joined under the higher edge.
		for x, v := range bands[0] {
			if !math.IsNaN(v) {
				bands[1][x] += v
			}
		}
		bands, edges = bands[1:], edges[1:]
	}
	each := max(area.H()/len(bands), 1)
	le := "≤"
	if ascii {
		le = "<="
	}
	for y := range axis.H() {
		axis.Rune(axis.W()-1, y, theme.Border, '│')
	}
	var rows [][]float64
	for i, band := range bands {
		for x := range band {
			if total[x] > 0 {
				band[x] /= total[x]
			} else {
				band[x] = math.NaN()
			}
		}
		for range each {
			rows = append(rows, band)
		}
		label := le + tight(b.charted.meaning.format(edges[i]))
		if math.IsInf(edges[i], 1) {
			label = "more"
		}
		axis.Right(axis.W()-1, axis.H()-len(rows), theme.Faint, label)
	}
	plot.Heat(area, rows, theme.C)
	key.Text(0, 0, theme.Dim, grid.Cut("░ 1 %  ▒ 10 %  ▓ 33 %  █ 66 % of a moment's observations", key.W()))
}

func tight(s string) string { return strings.ReplaceAll(s, " ", "") }
