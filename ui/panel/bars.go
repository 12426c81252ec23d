package panel

import (
	"math"
	"strconv"

	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// drawBars draws the values of this moment as bars from zero, one a line.
func drawBars(s Spec, rows []Row, more int, r Room) {
	p := r.Box
	top := 0.0
	nameW, valueW := 4, 4
	for _, row := range rows {
		if row.Now.OK && !math.IsInf(row.Now.V, 0) {
			top = max(top, row.Now.V)
		}
		nameW = max(nameW, grid.Width(row.Name))
		valueW = max(valueW, grid.Width(row.Text(row.Now)))
	}
	top = max(top, s.Least)
	if s.Max != nil {
		top = *s.Max
	}
	nameW = min(nameW, max(p.W()/3, 8))
	valueW = min(valueW, max(p.W()/3, 8))
	barW := p.W() - nameW - valueW - 3
	rows = rows[min(r.Skip, max(len(rows)-1, 0)):]
	h := p.H()
	if len(rows) > h || more > 0 && len(rows) >= h {
		h--
		more += len(rows) - min(len(rows), h)
	}
	// Where there is room a line between bars keeps them apart.
	each := 1
	if more == 0 && len(rows)*2-1 <= h {
		each = 2
	}
	for i, row := range rows[:min(len(rows), max(h, 0))] {
		y := i * each
		p.Text(0, y, theme.Dim, grid.Cut(row.Name, nameW))
		ink := theme.A.Crest()
		switch row.Level {
		case "warn":
			ink = theme.W.Crest()
		case "bad":
			ink = theme.X.Crest()
		}
		if barW > 2 && row.Now.OK && top > 0 {
			plot.Bar(p.Sub(nameW+1, y, barW, 1), row.Now.V/top, ink, theme.Border)
		}
		p.Right(nameW+barW+2+valueW, y, inkOf(row.Level, theme.Strong), grid.Cut(row.Text(row.Now), valueW))
		if row.Word != "" {
			p.Text(p.W()-grid.Width(row.Word)-valueW-2, y, inkOf(row.Level, theme.Dim), row.Word)
		}
	}
	if more > 0 && h >= 0 {
		p.Text(0, max(h, 0), theme.Faint, "+"+strconv.Itoa(more)+" more")
	}
}
