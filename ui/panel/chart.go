package panel

import (
	"math"

	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// ramps are the inks of a chart's series, in order, each the foot of a ramp.
var ramps = [...]theme.Ink{theme.A, theme.B, theme.C, theme.D}

// inkAt is the ramp of the i-th series. With the stroke, which goes round by itself, sixteen lines are told apart.
func inkAt(i int) theme.Ink { return ramps[(i+i/len(ramps))%len(ramps)] }

// fills are the glyphs of stacked layers, so that they are told apart without colour.
var fills = [...]rune{'█', '▒', '▓', '░'}

// drawChart draws lines, areas and stacked areas with their axis, thresholds and legend.
func drawChart(s Spec, rows []Row, more int, r Room) {
	draw := s.Drawing()
	peak, low := extremes(draw, rows)
	from, to := ends(s, peak, low)
	plot.Axis{Top: to - from, Format: func(v float64) string { return Tick(s.Unit, v+from, to) }}.Draw(r.Axis, theme.Faint, theme.Border)
	if r.Under != nil {
		r.Under(r.Chart)
	}
	some := false
	for _, row := range rows {
		some = some || !math.IsNaN(plot.Peak(row.values))
	}
	thresholdLines(s, r.Chart, from, to)
	switch {
	case !some:
		r.Chart.Text(1, r.Chart.H()/2, theme.Faint, grid.Cut("nothing in this window", r.Chart.W()-2))
	case draw == DrawStacked:
		stacked(r.Chart, rows, from, to)
	case filled(s, rows):
		l := plot.Layer{Values: moved(rows[0].values, from), Ink: theme.A}
		for _, t := range s.Thresholds {
			if t.Below {
				continue
			}
			if t.Level == "bad" {
				l.Bad = t.From - from
			} else {
				l.Warn = t.From - from
			}
		}
		plot.Area(r.Chart, to-from, l)
	default:
		drawLines(r.Chart, rows, from, to)
	}
	if r.Over != nil {
		r.Over(r.Chart)
	}
	r.legend(r.Numbers, rows, more, markOf(s, filled(s, rows)))
}

// filled tells whether an area is filled: that of one series, from zero up. Several would hide each other, and from the
// bottom of an axis that begins below zero the largest would look the smallest.
func filled(s Spec, rows []Row) bool {
	if s.Drawing() != DrawArea || len(rows) != 1 {
		return false
	}
	from, _ := ends(s, math.NaN(), plot.Low(rows[0].values))
	return from >= 0
}

func drawLines(p grid.Pane, rows []Row, from, to float64) {
	series := make([][]float64, len(rows))
	inks := make([]theme.Ink, len(rows))
	for i, row := range rows {
		series[i], inks[i] = moved(row.values, from), inkAt(row.place).Crest()
	}
	if p.H() == 1 && len(series) > 0 {
		plot.Spark(p, to-from, series[0], inks[0])
		return
	}
	plot.Lines(p, to-from, series, inks)
}

// extremes gives the peak and the low of what is drawn, which for a stack is the sum.
func extremes(draw string, rows []Row) (peak, low float64) {
	var all [][]float64
	for _, row := range rows {
		all = append(all, row.values)
	}
	if draw == DrawStacked {
		return plot.Peak(plot.Sum(all...)), 0
	}
	return plot.Peak(all...), plot.Low(all...)
}

// moved gives values counted from the bottom of the axis.
func moved(values []float64, from float64) []float64 {
	if from == 0 {
		return values
	}
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v - from
	}
	return out
}

// thresholdLines draws the thresholds that lie within the axis.
func thresholdLines(s Spec, p grid.Pane, from, to float64) {
	for _, t := range s.Thresholds {
		if !(t.From > from) || t.From > to || p.H() < 3 {
			continue
		}
		y := int(math.Floor(float64(p.H()) * (1 - (t.From-from)/(to-from))))
		p.Line(0, min(max(y, 0), p.H()-1), p.W(), inkOf(t.Level, theme.Border), '╌')
	}
}

// stacked draws series on top of each other, each with a glyph of its own; a cell belongs to the layer that fills most of
// it, and the crest is drawn to an eighth.
func stacked(p grid.Pane, rows []Row, from, to float64) {
	h := p.H()
	if h == 0 || !(to > from) {
		return
	}
	for x := range p.W() {
		tops := make([]float64, len(rows)) // in cells, from the bottom
		sum := 0.0
		for i, row := range rows {
			k := len(row.values) - p.W() + x
			if k >= 0 && !math.IsNaN(row.values[k]) {
				sum += max(row.values[k], 0)
			}
			tops[i] = min(max((sum-from)/(to-from), 0), 1) * float64(h)
		}
		if sum <= 0 {
			continue
		}
		crest := tops[len(tops)-1]
		for cell := 0; float64(cell) < crest || cell == 0; cell++ {
			if cell >= h {
				break
			}
			best, most, below := 0, -1.0, 0.0
			for i, t := range tops {
				if in := min(t, float64(cell+1)) - max(below, float64(cell)); in > most && t > below {
					best, most = i, in
				}
				below = t
			}
			ink := inkAt(rows[best].place)
			glyph := fills[rows[best].place%len(fills)]
			if part := crest - float64(cell); part < 0.94 {
				eighths := max(int(math.Round(part*8)), 1)
				p.Rune(x, h-1-cell, ink+theme.Shades/2, '▀'+rune(eighths))
				continue
			}
			p.Rune(x, h-1-cell, ink.Crest(), glyph)
		}
	}
}
