package live

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// zoomHeat draws how the buckets of a histogram fill over time, one band a bucket: all that the server knows, and nothing
// made up in between.
func (v view) zoomHeat(p grid.Pane, gr group, t plot.Timeline, axis int) {
	x := p.Text(axis+1, 0, theme.Title, grid.Cut(gr.title, p.W()-axis-2)) + 2
	p.Text(x, 0, theme.Faint, grid.Cut("░ 1 %  ▒ 10 %  ▓ 33 %  █ 66 %", p.W()-x-1))
	chart := p.Sub(axis, 1, t.Columns, p.H()-1)
	left := p.Sub(0, 1, axis, p.H()-1)
	for y := range left.H() {
		left.Rune(axis-1, y, theme.Border, '│')
	}
	v.gridlines(geometry{chart: chart, timeline: t})
	bounds, shares := v.bucketShares(gr.heat, t)
	if len(bounds) == 0 {
		chart.Text(2, chart.H()/2, theme.Faint, grid.Cut("no requests in this window", chart.W()-3))
		return
	}
	// Neighbouring buckets are joined where there are more than rows, and given several rows where there are fewer.
	for len(bounds) > chart.H() && len(bounds) > 1 {
		i := joinAt(shares)
		for x := range shares[i] {
			shares[i+1][x] = addShare(shares[i][x], shares[i+1][x])
		}
		bounds, shares = slices.Delete(bounds, i, i+1), slices.Delete(shares, i, i+1)
	}
	each := max(min(chart.H()/len(bounds), 3), 1)
	var rows [][]float64
	le := "≤"
	if v.f.ASCII {
		le = "<"
	}
	for i, b := range bounds {
		for range each {
			rows = append(rows, shares[i])
		}
		label := le + tight(figure.Seconds(b))
		if math.IsInf(b, 1) {
			label = "more"
		}
		left.Right(axis-1, chart.H()-len(rows), theme.Faint, label)
	}
	plot.Heat(chart, rows, theme.C)
	v.cursorLine(chart, t)
}

// bucketShares gives the buckets that anything fell in within the timeline, and the share of each column's requests in
// them. Empty buckets at either end are left out.
func (v view) bucketShares(id string, t plot.Timeline) (bounds []float64, shares [][]float64) {
	type series struct {
		le     float64
		values []float64
	}
	var all []series
	for key, r := range v.m.history {
		if le, ok := strings.CutPrefix(key, id+"\x00"); ok {
			if f, err := strconv.ParseFloat(le, 64); err == nil {
				all = append(all, series{f, r.columns(t, mean)})
			}
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	slices.SortFunc(all, func(a, b series) int { return cmp.Compare(a.le, b.le) })
	last := all[len(all)-1].values
	first, end := -1, -1
	for i, s := range all {
		row := make([]float64, t.Columns)
		any := false
		for x := range row {
			below := 0.0
			if i > 0 && !math.IsNaN(all[i-1].values[x]) {
				below = all[i-1].values[x]
			}
			row[x] = math.NaN()
			if last[x] > 0 && !math.IsNaN(s.values[x]) {
				row[x] = max(s.values[x]-below, 0) / last[x]
				any = any || row[x] >= 0.01
			}
		}
		bounds, shares = append(bounds, s.le), append(shares, row)
		if any {
			end = i
			if first < 0 {
				first = i
			}
		}
	}
	if first < 0 {
		return nil, nil
	}
	return bounds[first : end+1], shares[first : end+1]
}

// joinAt gives the index of the bucket that, joined with the next one, changes the picture least: the emptiest pair.
func joinAt(shares [][]float64) int {
	best, at := math.Inf(1), 0
	for i := range len(shares) - 1 {
		sum := 0.0
		for x := range shares[i] {
			if s := addShare(shares[i][x], shares[i+1][x]); !math.IsNaN(s) {
				sum += s
			}
		}
		if sum < best {
			best, at = sum, i
		}
	}
	return at
}

func addShare(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	}
	return a + b
}
