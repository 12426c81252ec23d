package plot

import (
	"math"
	"strings"

	"github.com/guptarohit/asciigraph"

	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// strokes are the characters of the lines, by series: lines are told apart without colour too.
var strokes = []asciigraph.CharSet{
	asciigraph.DefaultCharSet,
	{Horizontal: "┄", VerticalLine: "┆", ArcDownRight: "╭", ArcDownLeft: "╮", ArcUpRight: "╰", ArcUpLeft: "╯", EndCap: "┄", StartCap: "┄"},
	{Horizontal: "═", VerticalLine: "║", ArcDownRight: "╔", ArcDownLeft: "╗", ArcUpRight: "╚", ArcUpLeft: "╝", EndCap: "═", StartCap: "═"},
	{Horizontal: "━", VerticalLine: "┃", ArcDownRight: "┏", ArcDownLeft: "┓", ArcUpRight: "┗", ArcUpLeft: "┛", EndCap: "━", StartCap: "━"},
}

// Stroke gives the character of a series' horizontal pieces, for legends.
func Stroke(i int) rune { return []rune(strokes[i%len(strokes)].Horizontal)[0] }

// Lines draws several series as lines with asciigraph, each in its own ink and stroke; where two meet the later one is on top. The
// chart fills p; its value axis is drawn by Axis.
//
// asciigraph panics on an empty slice and on infinities, lets flat data collapse to one line, widens its bounds rather
// than cutting, and drops spikes when it resamples. So it is given exactly one finite or NaN value a column, both bounds,
// and one series at a time, from whose picture the glyphs are taken; its axis is drawn away and its colours unused.
func Lines(p grid.Pane, top float64, series [][]float64, inks []theme.Ink) {
	w, h := p.W(), p.H()
	if w < 2 || h < 2 || !(top > 0) {
		return
	}
	for i, s := range series {
		// One value more than columns: asciigraph draws the steps between values.
		values := make([]float64, w+1)
		some := false
		for x := range w {
			values[x] = math.NaN()
			if j := len(s) - w + x; j >= 0 && !math.IsNaN(s[j]) {
				values[x] = min(max(s[j], 0), top)
				some = true
			}
		}
		values[w] = values[w-1]
		if !some {
			continue
		}
		text := asciigraph.Plot(values, asciigraph.Height(h-1), asciigraph.LowerBound(0), asciigraph.UpperBound(top), asciigraph.Offset(1), asciigraph.SeriesChars(strokes[i%len(strokes)]),
			asciigraph.YAxisValueFormatter(func(float64) string { return "" }))
		for y, line := range strings.Split(text, "\n") {
			// The plot begins after the axis character, whatever its offset.
			cells := []rune(line)
			at := axisWidth(cells)
			for x, r := range cells[min(at, len(cells)):] {
				if r != ' ' && x < w {
					p.Rune(x, y, inks[i%len(inks)], r)
				}
			}
		}
	}
}

// axisWidth is how many characters of a line belong to asciigraph's axis.
func axisWidth(cells []rune) int {
	for i, r := range cells {
		if r == '┤' || r == '┼' {
			return i + 1
		}
	}
	return len(cells)
}

// Band draws the space between two series faintly, for the least and the greatest value within a column. Where the two
// are within a row of each other there is nothing to draw.
func Band(p grid.Pane, top float64, low, high []float64, ink theme.Ink) {
	w, h := p.W(), p.H()
	if !(top > 0) || h == 0 {
		return
	}
	// The row that asciigraph gives a value.
	row := func(v float64) int { return h - 1 - int(math.Round(min(max(v/top, 0), 1)*float64(h-1))) }
	for x := range w {
		i, j := len(low)-w+x, len(high)-w+x
		if i < 0 || j < 0 || math.IsNaN(low[i]) || math.IsNaN(high[j]) {
			continue
		}
		if row(low[i])-row(high[j]) < 2 {
			continue
		}
		for y := row(high[j]); y <= row(low[i]); y++ {
			p.Rune(x, y, ink, '░')
		}
	}
}
