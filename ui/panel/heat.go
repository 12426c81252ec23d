package panel

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// Buckets is how the buckets of a histogram fill over time: for each bound the share of a column's observations that
// fell between it and the one before.
type Buckets struct {
	// Bounds are the upper bounds, rising; the last may be infinite.
	Bounds []float64
	// Shares has a row for each bound: a share from 0 to 1 for each column, NaN where nothing is known or happened.
	Shares [][]float64
}

// BucketsOf makes shares out of cumulative series by le. Series with the same bound are added; buckets that nothing fell
// in are left out at both ends.
func BucketsOf(series []Series, columns int) Buckets {
	sums := map[float64][]float64{}
	for _, s := range series {
		le, err := strconv.ParseFloat(s.Labels.Get("le"), 64)
		if err != nil || math.IsNaN(le) {
			continue
		}
		row := sums[le]
		if row == nil {
			row = make([]float64, columns)
			for i := range row {
				row[i] = math.NaN()
			}
			sums[le] = row
		}
		for x := range row {
			if k := len(s.Values) - columns + x; k >= 0 && !math.IsNaN(s.Values[k]) {
				row[x] = addTo(row[x], s.Values[k])
			}
		}
	}
	bounds := make([]float64, 0, len(sums))
	for le := range sums {
		bounds = append(bounds, le)
	}
	slices.SortFunc(bounds, cmp.Compare[float64])
	if len(bounds) == 0 {
		return Buckets{}
	}
	all := sums[bounds[len(bounds)-1]]
	out := Buckets{Bounds: bounds}
	first, last := -1, -1
	for i, le := range bounds {
		row := make([]float64, columns)
		for x := range row {
			row[x] = math.NaN()
			// A bound that says nothing here leaves its share to the next one that does.
			below := 0.0
			for j := i - 1; j >= 0; j-- {
				if v := sums[bounds[j]][x]; !math.IsNaN(v) {
					below = v
					break
				}
			}
			if v := sums[le][x]; all[x] > 0 && !math.IsNaN(v) {
				row[x] = max(v-below, 0) / all[x]
				if row[x] >= 0.01 {
					last = i
					if first < 0 {
						first = i
					}
				}
			}
		}
		out.Shares = append(out.Shares, row)
	}
	if first < 0 {
		return Buckets{}
	}
	return Buckets{out.Bounds[first : last+1], out.Shares[first : last+1]}
}

func addTo(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	}
	return a + b
}

// fit joins neighbouring buckets until at most n are left, always those that change the picture least.
func (b Buckets) fit(n int) Buckets {
	for len(b.Bounds) > max(n, 1) {
		best, at := math.Inf(1), 0
		for i := range len(b.Shares) - 1 {
			sum := 0.0
			for x := range b.Shares[i] {
				if s := addTo(b.Shares[i][x], b.Shares[i+1][x]); !math.IsNaN(s) {
					sum += s
				}
			}
			if sum < best {
				best, at = sum, i
			}
		}
		joined := make([]float64, len(b.Shares[at]))
		for x := range joined {
			joined[x] = addTo(b.Shares[at][x], b.Shares[at+1][x])
		}
		b.Bounds = slices.Delete(slices.Clone(b.Bounds), at, at+1)
		shares := slices.Delete(slices.Clone(b.Shares), at, at+1)
		shares[at] = joined
		b.Shares = shares
	}
	return b
}

// HeatLegend says what the shades of a heat map mean.
const HeatLegend = "░ 1 %  ▒ 10 %  ▓ 33 %  █ 66 %"

// drawHeat draws how buckets fill over time, one band a bucket: all that a histogram knows, and nothing in between.
func drawHeat(s Spec, d Data, r Room) {
	chart, axis := r.Chart, r.Axis
	var series []Series
	for i := range d.Answers {
		series = append(series, d.Answers[i].Series...)
	}
	for y := range axis.H() {
		axis.Rune(axis.W()-1, y, theme.Border, '│')
	}
	if r.Under != nil {
		r.Under(chart)
	}
	b := BucketsOf(series, r.Timeline.Columns)
	if len(b.Bounds) == 0 {
		chart.Text(1, chart.H()/2, theme.Faint, grid.Cut("nothing happened in this window", chart.W()-2))
		return
	}
	b = b.fit(chart.H())
	each := max(min(chart.H()/len(b.Bounds), 3), 1)
	var rows [][]float64
	le := "≤"
	if r.ASCII {
		le = "<"
	}
	for i, label := range boundLabels(s.Unit, le, b.Bounds, axis.W()-1) {
		for range each {
			rows = append(rows, b.Shares[i])
		}
		axis.Right(axis.W()-1, chart.H()-len(rows), theme.Faint, label)
	}
	plot.Heat(chart, rows, theme.C)
	if r.Over != nil {
		r.Over(chart)
	}
	heatNumbers(s, d, r)
}

// boundLabels writes the bounds of buckets in at most w cells, all in one style: with le before them if there is room.
func boundLabels(unit, le string, bounds []float64, w int) []string {
	write := func(le string) (out []string, fits bool) {
		fits = true
		for _, bound := range bounds {
			label := "more"
			if !math.IsInf(bound, 1) {
				label = le + Tick(unit, bound, bound)
			}
			fits = fits && grid.Width(label) <= w
			out = append(out, grid.Cut(label, w))
		}
		return out, fits
	}
	if out, fits := write(le); fits {
		return out
	}
	out, _ := write("")
	return out
}

// Percentile is a percentile as a histogram knows it.
type Percentile struct{ Name, Text string }

// Percentiles gives the buckets that p50, p95 and p99 of this moment fall in; nil where nothing happened.
func Percentiles(s Spec, d Data, ascii bool) []Percentile {
	le := "≤"
	if ascii {
		le = "<="
	}
	now := map[float64]float64{}
	for _, a := range d.Answers {
		for _, x := range a.Series {
			if bound, err := strconv.ParseFloat(x.Labels.Get("le"), 64); err == nil && x.Now.OK {
				now[bound] += x.Now.V
			}
		}
	}
	bounds := make([]float64, 0, len(now))
	for k := range now {
		bounds = append(bounds, k)
	}
	slices.SortFunc(bounds, cmp.Compare[float64])
	if len(bounds) == 0 || !(now[bounds[len(bounds)-1]] > 0) {
		return nil
	}
	var out []Percentile
	for _, q := range []int{50, 95, 99} {
		out = append(out, Percentile{"p" + strconv.Itoa(q), quantile(s.Unit, bounds, now, float64(q)/100, le)})
	}
	return out
}

// heatNumbers writes where the requests of this moment lie, and what the shades mean.
func heatNumbers(s Spec, d Data, r Room) {
	p := r.Numbers
	if p.W() < 10 || p.H() < 1 {
		return
	}
	list := Percentiles(s, d, r.ASCII)
	if list == nil {
		p.Text(0, 0, theme.Faint, grid.Cut("nothing just now", p.W()))
	}
	for y, q := range list {
		p.Text(0, y, theme.Dim, q.Name)
		p.Right(min(p.W(), 18), y, theme.Strong, q.Text)
	}
	y := max(len(list), 1)
	if p.H() <= y+4 {
		return
	}
	for i, l := range []string{"█ 66 % of a column", "▓ 33 %", "▒ 10 %", "░  1 %"} {
		p.Text(0, p.H()-4+i, theme.Faint, grid.Cut(l, p.W()))
	}
}

// quantile writes the bucket that a quantile falls in: all that such a histogram knows of it.
func quantile(unit string, bounds []float64, cumulative map[float64]float64, q float64, le string) string {
	// An exact boundary belongs to the lower bucket.
	rank := q * cumulative[bounds[len(bounds)-1]] * (1 - 1e-12)
	for i, b := range bounds {
		if cumulative[b] < rank {
			continue
		}
		if math.IsInf(b, 1) {
			if i == 0 {
				return "?"
			}
			return ">" + Text(unit, bounds[i-1])
		}
		return le + Text(unit, b)
	}
	return "?"
}
