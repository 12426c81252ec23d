// Package plot draws series of numbers on a pane of cells.
//
// In go values by column (one column is one slice of time, NaN where nothing is known), the top of the value axis, and
// inks. Out come charts that start at zero, keep their frame whatever the data do, and show gaps as gaps. It chooses no
// colours, knows no units beyond the function that writes a tick, and never fails: infinite values are cut to the frame,
// empty series leave it empty.
package plot

import (
	"math"

	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// Scale gives the top of an axis that starts at zero and holds peak: a round number, at least least.
func Scale(peak, least float64) float64 {
	if math.IsNaN(peak) || math.IsInf(peak, 0) || peak < least {
		peak = least
	}
	if !(peak > 0) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(peak)))
	for _, m := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8, 10} {
		// Not m*unit < peak with the division's rounding in it: a peak that is exactly round keeps its own top.
		if m*unit >= peak*(1-1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}

// Peak gives the largest finite value of several series; NaN if there is none.
func Peak(series ...[]float64) float64 {
	peak := math.NaN()
	for _, s := range series {
		for _, v := range s {
			if !math.IsInf(v, 0) && !(v <= peak) && !math.IsNaN(v) {
				peak = v
			}
		}
	}
	return peak
}

// Low gives the least finite value of several series; NaN if there is none.
func Low(series ...[]float64) float64 {
	low := math.NaN()
	for _, s := range series {
		for _, v := range s {
			if !math.IsInf(v, 0) && !(v >= low) && !math.IsNaN(v) {
				low = v
			}
		}
	}
	return low
}

// Sum adds series column by column; a column is NaN only where all are.
func Sum(series ...[]float64) []float64 {
	n := 0
	for _, s := range series {
		n = max(n, len(s))
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
		for _, s := range series {
			if i < len(s) && !math.IsNaN(s[i]) {
				if math.IsNaN(out[i]) {
					out[i] = 0
				}
				out[i] += s[i]
			}
		}
	}
	return out
}

// Axis is the value axis of a chart: its top and how its ticks are written.
type Axis struct {
	Top    float64
	Format func(float64) string
	// Marks are the values to write; nil means top, half and zero as far as there is room.
	Marks []float64
	// Hangs says that zero is at the upper edge and Top at the lower one, as Hang draws.
	Hangs bool
}

// Draw writes the axis at the right edge of p: the numbers, right-aligned, and a line.
func (a Axis) Draw(p grid.Pane, number, line theme.Ink) {
	if p.W() < 2 || p.H() < 1 {
		return
	}
	x := p.W() - 1
	for y := range p.H() {
		p.Rune(x, y, line, '│')
	}
	marks := a.Marks
	if marks == nil {
		switch {
		case p.H() >= 5:
			marks = []float64{a.Top, a.Top / 2, 0}
		case p.H() >= 2:
			marks = []float64{a.Top, 0}
		default:
			marks = []float64{a.Top}
		}
	}
	for _, m := range marks {
		y := a.row(m, p.H())
		p.Rune(x, y, line, '┤')
		p.Right(x, y, number, a.Format(m))
	}
}

// row is the line on which a value stands in a chart of h lines.
func (a Axis) row(v float64, h int) int {
	if !(a.Top > 0) {
		return h - 1
	}
	if a.Hangs {
		return min(max(int(math.Ceil(float64(h)*v/a.Top))-1, 0), h-1)
	}
	y := int(math.Floor(float64(h) * (1 - v/a.Top)))
	return min(max(y, 0), h-1)
}

// Layer is one series of an area chart.
type Layer struct {
	Values []float64
	// Ink is the foot of a ramp of theme.Shades.
	Ink theme.Ink
	// Warn and Bad, where they are above zero, are the values from which rows are drawn in theme.W and theme.X.
	Warn, Bad float64
}

// Area draws layers on top of each other as filled columns. The last column is the rightmost cell.
func Area(p grid.Pane, top float64, layers ...Layer) {
	h := p.H()
	if !(top > 0) || h == 0 {
		return
	}
	steps := float64(h * 8)
	for x := range p.W() {
		below := 0
		sum := 0.0
		for li, l := range layers {
			i := len(l.Values) - p.W() + x
			if i < 0 || math.IsNaN(l.Values[i]) {
				continue
			}
			sum += max(l.Values[i], 0)
			level := int(math.Round(min(sum/top, 1) * steps))
			if level == 0 && l.Values[i] > 0 {
				level = 1 // small is not nothing
			}
			if level <= below {
				continue
			}
			fill(p, x, below, level, l, top, li > 0)
			below = level
		}
	}
}

// fill draws one column from eighth below to eighth level.
func fill(p grid.Pane, x, below, level int, l Layer, top float64, stacked bool) {
	h := p.H()
	for row := below / 8; row*8 < level; row++ {
		y := h - 1 - row
		ink := shade(l, row, h, top)
		part := min(level-row*8, 8)
		full, whole := '█', ink
		if stacked {
			// Told apart without colour too. The shading shows half of the ink, so that is the brightest one, and the parts of
			// cells are in the middle one, which looks the same.
			full, whole = '▒', l.Ink.Crest()
			ink = l.Ink + theme.Shades/2
		}
		if from := below - row*8; from > 0 {
			// The cell is shared: the lower layer keeps its blocks, the upper one is its background if it fills the rest.
			if part == 8 {
				if r, old := p.At(x, y); r != ' ' {
					p.Rune(x, y, old.On(ink), r)
				}
			}
			continue
		}
		if part == 8 {
			p.Rune(x, y, whole, full)
		} else {
			p.Rune(x, y, ink, '▀'+rune(part))
		}
	}
}

// shade is the ink of a row: brighter towards the crest of the frame, and that of a threshold past it.
func shade(l Layer, row, h int, top float64) theme.Ink {
	step := theme.Ink(theme.Shades - 1)
	if h > 1 {
		step = theme.Ink(math.Round(float64(row) / float64(h-1) * float64(theme.Shades-1)))
	}
	foot := float64(row) / float64(h) * top
	switch {
	case l.Bad > 0 && foot >= l.Bad-top/float64(h)/2:
		return theme.X + step
	case l.Warn > 0 && foot >= l.Warn-top/float64(h)/2:
		return theme.W + step
	}
	return l.Ink + step
}

// Spark draws one line of columns; values beyond top are cut. A full column leaves an eighth free, so that sparklines
// below each other stay apart.
func Spark(p grid.Pane, top float64, values []float64, ink theme.Ink) {
	if !(top > 0) {
		return
	}
	for x := range p.W() {
		i := len(values) - p.W() + x
		if i < 0 || math.IsNaN(values[i]) || values[i] < 0 {
			continue
		}
		level := int(math.Ceil(min(values[i]/top, 1) * 7))
		if level == 0 {
			level = 1 // zero is a line, absence is a gap
		}
		p.Rune(x, 0, ink, '▀'+rune(level))
	}
}

// Bar draws a level from the left, to an eighth of a cell; what is empty is a faint line.
func Bar(p grid.Pane, ratio float64, ink, rest theme.Ink) {
	w := p.W()
	p.Line(0, 0, w, rest, '─')
	if math.IsNaN(ratio) || ratio <= 0 {
		return
	}
	n := int(math.Round(min(ratio, 1) * float64(w) * 8))
	p.Line(0, 0, n/8, ink, '█')
	if n%8 > 0 {
		p.Rune(n/8, 0, ink, []rune("▏▎▍▌▋▊▉")[n%8-1])
	}
}

// Heat draws shares (0..1) as shaded cells, one row of the pane for each of rows, the first at the bottom. Shade and colour
// both tell the share: from a hundredth, a tenth, a third, two thirds.
func Heat(p grid.Pane, rows [][]float64, ink theme.Ink) {
	for i, row := range rows {
		for x := range p.W() {
			j := len(row) - p.W() + x
			if j < 0 || !(row[j] >= 0.01) {
				continue
			}
			step := 0
			for _, from := range []float64{0.1, 0.33, 0.66} {
				if row[j] >= from {
					step++
				}
			}
			p.Rune(x, p.H()-1-i, ink+theme.Ink(theme.Shades-5+step+step/2), []rune("░▒▓█")[step])
		}
	}
}

// Hang draws one series downwards from the upper edge.
func Hang(p grid.Pane, top float64, l Layer) {
	h := p.H()
	if !(top > 0) || h == 0 {
		return
	}
	steps := float64(h * 8)
	for x := range p.W() {
		i := len(l.Values) - p.W() + x
		if i < 0 || math.IsNaN(l.Values[i]) {
			continue
		}
		level := int(math.Round(min(max(l.Values[i], 0)/top, 1) * steps))
		if level == 0 && l.Values[i] > 0 {
			level = 1 // small is not nothing
		}
		for row := 0; row*8 < level; row++ {
			ink := shade(l, row, h, top)
			if part := level - row*8; part < 8 {
				// There are no upper eighths: the lower ones inverted are.
				p.Rune(x, row, ink.Reversed(), '▀'+rune(8-part))
			} else {
				p.Rune(x, row, ink, '█')
			}
		}
	}
}
