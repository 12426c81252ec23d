package panel

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// tableRow is one line of a table: the labels that its series share, and a value for each query.
type tableRow struct {
	labels labels.Labels
	values []figure.Value
	of     []Answer // that the values are of
}

// drawTable draws the values of this moment in lines, one for each set of labels, one column for each query.
func drawTable(s Spec, d Data, r Room) {
	p := r.Box
	rows, heads, more := tableRows(s, d)
	names := s.Columns
	if len(names) == 0 {
		var all []Series
		for _, row := range rows {
			all = append(all, Series{Labels: row.labels})
		}
		names = differing(all)
	}
	// A column that is empty in every row takes room for nothing.
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return !slices.ContainsFunc(rows, func(row tableRow) bool { return row.labels.Get(n) != "" })
	})
	valueW := make([]int, len(heads))
	for i, h := range heads {
		valueW[i] = grid.Width(h)
		for _, row := range rows {
			valueW[i] = max(valueW[i], grid.Width(row.text(s, i)))
		}
		valueW[i] = min(valueW[i], 16)
	}
	left := p.W()
	for _, w := range valueW {
		left -= w + 2
	}
	widths := shareOut(left, names, rows)
	x := 0
	for i, n := range names {
		p.Text(x, 0, theme.Dim, grid.Cut(n, widths[i]))
		x += widths[i] + 2
	}
	end := max(x-2, 0)
	for i, h := range heads {
		end += valueW[i] + 2
		p.Right(min(end, p.W()), 0, theme.Dim, grid.Cut(h, valueW[i]))
	}
	rows = rows[min(r.Skip, max(len(rows)-1, 0)):]
	h := p.H() - 1
	if len(rows) > h || more > 0 && len(rows) >= h {
		h--
		more += len(rows) - min(len(rows), max(h, 0))
	}
	for y, row := range rows[:min(len(rows), max(h, 0))] {
		x := 0
		for i, n := range names {
			p.Text(x, y+1, theme.Plain, grid.Cut(row.labels.Get(n), widths[i]))
			x += widths[i] + 2
		}
		end := max(x-2, 0)
		for i := range heads {
			end += valueW[i] + 2
			level, _ := s.level(row.values[i])
			p.Right(min(end, p.W()), y+1, inkOf(level, theme.Strong), grid.Cut(row.text(s, i), valueW[i]))
		}
	}
	if more > 0 {
		p.Text(0, p.H()-1, theme.Faint, "+"+strconv.Itoa(more)+" more")
	}
}

func (t tableRow) text(s Spec, i int) string {
	v := t.values[i]
	text := bounded(t.of[i].Bounds, v, func(v figure.Value) string { return v.Text(func(f float64) string { return Text(s.Unit, f) }) })
	if _, word := s.level(v); word != "" {
		text = word + " " + text
	}
	return text
}

// tableRows joins the answers of all queries by their labels. heads names the columns of values; more is how many rows
// were left out because of the limit.
func tableRows(s Spec, d Data) (rows []tableRow, heads []string, more int) {
	byLabels := map[string]int{}
	named := severalNames(d)
	n := min(len(s.Queries), len(d.Answers))
	for i := range n {
		head := s.Queries[i].Legend
		if head == "" || legendLabel.MatchString(head) {
			head = s.Queries[i].ID
			if n == 1 {
				head = "now"
			}
		}
		heads = append(heads, head)
		more += d.Answers[i].More
		for _, x := range d.Answers[i].Series {
			ls := x.Labels
			if !named {
				ls = labels.NewBuilder(ls).Del(model.MetricNameLabel).Labels()
			}
			key := ls.String()
			at, ok := byLabels[key]
			if !ok {
				at = len(rows)
				byLabels[key] = at
				rows = append(rows, tableRow{labels: ls, values: make([]figure.Value, n), of: d.Answers})
			}
			rows[at].values[i] = x.Now
		}
	}
	// Rows are sorted by their first value; those without any come last.
	value := func(t tableRow) figure.Value {
		for _, v := range t.values {
			if v.OK {
				return v
			}
		}
		return figure.Value{}
	}
	absent := func(a, b tableRow) int { return sign(!value(a).OK) - sign(!value(b).OK) }
	slices.SortStableFunc(rows, func(a, b tableRow) int {
		switch s.Sort {
		case "none":
			return 0
		case "name":
			return compareNames(a.labels.String(), b.labels.String())
		case "-value":
			return cmp.Or(absent(a, b), cmp.Compare(value(a).V, value(b).V), compareNames(a.labels.String(), b.labels.String()))
		}
		return cmp.Or(absent(a, b), cmp.Compare(value(b).V, value(a).V), compareNames(a.labels.String(), b.labels.String()))
	})
	if limit := cmp.Or(s.Limit, DefaultLimit); len(rows) > limit {
		more += len(rows) - limit
		rows = rows[:limit]
	}
	return rows, heads, more
}

// severalNames tells whether one query's series are of several metrics: then the name is what tells their rows apart.
func severalNames(d Data) bool {
	for _, a := range d.Answers {
		for _, x := range a.Series {
			if x.Labels.Get(model.MetricNameLabel) != a.Series[0].Labels.Get(model.MetricNameLabel) {
				return true
			}
		}
	}
	return false
}

// shareOut gives the label columns the width they need, or, where there is not enough, an equal part of what there is.
func shareOut(room int, names []string, rows []tableRow) []int {
	out := make([]int, len(names))
	total := 0
	for i, n := range names {
		out[i] = grid.Width(n)
		for _, row := range rows {
			out[i] = min(max(out[i], grid.Width(row.labels.Get(n))), 60)
		}
		total += out[i] + 2
	}
	for total > room+2 && total > 0 {
		widest := 0
		for i := range out {
			if out[i] > out[widest] {
				widest = i
			}
		}
		if len(out) == 0 || out[widest] <= 3 {
			break
		}
		out[widest]--
		total--
	}
	return out
}
