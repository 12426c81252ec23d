package live

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"pitwall/sessions"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	form "pitwall/ui/panel"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// maxSeries is how many series of one query of a page are kept. Labels come from outside, and there may be any number.
const maxSeries = 200

// fullKey tells series apart by all of their labels, so that these can be read from it again.
func fullKey(ls labels.Labels) string {
	var b strings.Builder
	ls.Range(func(l labels.Label) {
		b.WriteString(l.Name)
		b.WriteByte(0xff) // in no valid label
		b.WriteString(l.Value)
		b.WriteByte(0xff)
	})
	return b.String()
}

func labelsOf(key string) labels.Labels {
	parts := strings.Split(key, "\xff")
	return labels.FromStrings(parts[:len(parts)/2*2]...)
}

// largest keeps the series with the greatest values where there are more than are kept, and gives how many there were more.
func largest(v promql.Vector) (kept promql.Vector, more int) {
	if len(v) <= maxSeries {
		return v, 0
	}
	v = slices.Clone(v)
	slices.SortStableFunc(v, func(a, b promql.Sample) int { return cmp.Compare(b.F, a.F) })
	return v[:maxSeries], len(v) - maxSeries
}

// tooManyBuckets is why a heat map is not drawn of part of its buckets: the shares would be of something else.
func tooManyBuckets(n int) string {
	return itoa(n) + " series of buckets, more than " + itoa(maxSeries) + ": add them up, sum by (le)(…)"
}

// mayKeep tells whether a series of a page's query gets a history: there is a bound for each query.
func (m *Model) mayKeep(q query, key string) bool {
	if !q.full || m.history[key] != nil {
		return true
	}
	n := 0
	for k := range m.history {
		if strings.HasPrefix(k, q.id+"\x00") {
			n++
		}
	}
	return n < maxSeries
}

// formData gathers what is known of a panel: its numbers at the moment, at the marked times, and over the span.
func (v view) formData(p panel, t plot.Timeline) form.Data {
	d := form.Data{Reason: v.formReason(p)}
	for _, q := range p.queries {
		d.Answers = append(d.Answers, v.formAnswer(q, t))
	}
	return d
}

func (v view) formAnswer(q query, t plot.Timeline) form.Answer {
	a := form.Answer{More: v.s.dropped[q.id], Err: shortError(q, cmp.Or(v.s.errs[q.id], v.m.pastErrs[q.id])), Reason: v.s.missing[q.id]}
	a.Bounds = v.s.bounds[v.s.exprs[q.id]]
	if a.Err == "" {
		a.Reason = cmp.Or(v.s.whyQuery(q.id), a.Reason)
	}
	at := map[string]int{}
	add := func(ls labels.Labels) *form.Series {
		key := fullKey(ls)
		i, ok := at[key]
		if !ok {
			i = len(a.Series)
			at[key] = i
			a.Series = append(a.Series, form.Series{Labels: ls})
		}
		return &a.Series[i]
	}
	for _, x := range v.s.values[q.id] {
		add(x.Metric).Now = figure.Of(x.F)
	}
	if v.m.comparing() {
		one, two := v.m.sorted()
		for _, x := range one.snap.values[q.id] {
			add(x.Metric).Before = figure.Of(x.F)
		}
		for _, x := range two.snap.values[q.id] {
			add(x.Metric).After = figure.Of(x.F)
		}
	}
	if !q.chart {
		return a
	}
	from := v.edge.Add(-v.m.length)
	var keys []string
	for key := range v.m.history {
		if strings.HasPrefix(key, q.id+"\x00") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys) // a map has no order, and lines must not change their inks
	for _, key := range keys {
		r := v.m.history[key]
		low, high, ok := r.span(from, v.now)
		if _, _, inSpan := r.span(from, v.edge); !inSpan {
			continue // a series that ended before the span
		}
		s := add(labelsOf(key[len(q.id)+1:]))
		if s.Values = r.columns(t, q.pick); ok {
			s.Low, s.Peak = figure.Of(low), figure.Of(high)
		}
	}
	return a
}

// formReason says why a panel may have nothing to show, "" if nothing is known.
func (v view) formReason(p panel) string {
	switch p.scope {
	case engineScope:
		e, ok := v.s.chosen()
		if !ok {
			return "no engine found"
		}
		if t, ok := v.s.target(e.dialect, e.instance); ok && !t.Up {
			return "no answer from " + e.instance
		}
	case gpuScope:
		if len(v.s.gpus) == 0 {
			return v.noGPU()
		}
	}
	return v.s.gap
}

// shortError leaves out of an error what stands beside it anyway: the expression.
func shortError(q query, e string) string {
	if q.broken != "" {
		return q.broken
	}
	e = strings.TrimPrefix(e, "query "+q.expr+": ")
	if i := strings.Index(e, "\": "); i >= 0 && strings.HasPrefix(e, "expanding ") {
		e = e[i+3:]
	}
	return e
}

// drawForm draws a panel that is not drawn in Go.
func (v view) drawForm(p panel, box grid.Pane, g geometry) {
	r := form.Room{Box: box, Axis: g.axis, Chart: g.chart, Numbers: g.numbers, Timeline: g.timeline, ASCII: v.f.ASCII, Marked: v.m.comparing()}
	r.Under = func(chart grid.Pane) { v.gridlines(geometry{chart: chart, timeline: g.timeline}) }
	r.Over = func(chart grid.Pane) { v.cursorLine(chart, g.timeline) }
	form.Draw(p.form, v.formData(p, g.timeline), r)
}

func (v view) formHeading(p panel, w int) string {
	return form.Heading(p.form, w, v.maxOver(), v.m.comparing())
}

// maxOver is what stands behind "max": the window, or nothing while it counts only up to the cursor.
func (v view) maxOver() string {
	if v.m.cursor.mode != live {
		return ""
	}
	return v.m.windowName()
}

// formRows gives a panel's numbers as rows.
func (v view) formRows(p panel) []row {
	rows, _ := form.Rows(p.form, v.formData(p, plot.NewTimeline(v.edge, v.m.length, 1)))
	var out []row
	for _, r := range rows {
		format := func(f float64) string { return r.Text(figure.Of(f)) }
		if v.m.comparing() { // a difference lies in no bucket
			format = func(f float64) string { return form.Text(r.Unit, f) }
		}
		x := row{label: r.Name, num: r.Now, format: format, note: r.Word}
		if r.Peak.OK {
			x.right = format(r.Peak.V)
		}
		out = append(out, x)
	}
	return out
}

// zoomForm fills the screen with a panel that is not drawn in Go: its drawing, every series, and where each comes from.
func (v view) zoomForm(inner grid.Pane, p panel) {
	w := inner.W()
	beside := w >= zoomBeside
	nw, ch := zoomNumbers(w), inner.H()
	cw := w - nw - 1
	if !beside {
		cw, ch = w, max(inner.H()/2, 5)
	}
	t := v.zoomAxis(cw)
	axis := axisW + 1
	d := v.formData(p, t)
	left := inner.Sub(0, 0, cw, ch)
	r := form.Room{Box: left, Timeline: t, ASCII: v.f.ASCII, Marked: v.m.comparing()}
	charted := hasAxis(p)
	if charted {
		r.Axis, r.Chart = left.Sub(0, 0, axis, ch-1), left.Sub(axis, 0, t.Columns, ch-1)
		r.Numbers = left.Sub(cw, 0, 0, 0)
		r.Box = left.Sub(0, 0, cw, ch-1)
		r.Under = func(chart grid.Pane) { v.gridlines(geometry{chart: chart, timeline: t}) }
		r.Over = func(chart grid.Pane) { v.cursorLine(chart, t) }
	}
	form.Draw(p.form, d, r)
	if charted {
		v.zoomTicks(left.Sub(0, ch-1, cw, 1), t, axis)
	}
	side := inner.Sub(cw+1, 0, nw, inner.H())
	if !beside {
		side = inner.Sub(1, ch, w-2, inner.H()-ch)
	}
	lines := v.formText(p, d, side.W())
	skip := min(v.m.scroll, max(len(lines)-side.H(), 0))
	for y := range min(side.H(), len(lines)-skip) {
		lines[skip+y](side.Sub(0, y, side.W(), 1))
	}
	if more := len(lines) - skip - side.H(); more > 0 {
		side.Right(side.W(), side.H()-1, theme.Key, " j "+itoa(more)+" more lines ")
	}
}

// formText is the text half of a zoomed panel, one drawing function a line.
func (v view) formText(p panel, d form.Data, w int) []func(grid.Pane) {
	var out []func(grid.Pane)
	text := func(ink theme.Ink, indent, hang int, s string) {
		for i, l := range grid.Wrap(s, w-1-indent-hang) {
			in := indent
			if i > 0 {
				in += hang
			}
			out = append(out, func(p grid.Pane) { p.Text(in, 0, ink, l) })
		}
	}
	blank := func() { out = append(out, func(grid.Pane) {}) }
	list, h := form.Legend(p.form, d, w, v.maxOver(), v.m.comparing())
	for y := range h {
		out = append(out, func(p grid.Pane) { p.Copy(list, y) })
	}
	if h > 0 {
		blank()
	}
	if p.form.Drawing() == form.DrawHeat {
		for _, q := range form.Percentiles(p.form, d, v.f.ASCII) {
			text(theme.Strong, 0, 0, q.Name+"  "+q.Text)
		}
		text(theme.Faint, 0, 0, form.HeatLegend)
		blank()
	}
	if p.form.Broken() != "" {
		text(theme.Bad, 0, 2, "✗ "+p.form.Broken())
		blank()
	}
	if p.about != "" {
		text(theme.Dim, 0, 0, p.about)
		blank()
	}
	text(theme.Title, 0, 0, "where it comes from (PromQL)")
	for i, q := range p.queries {
		text(theme.Plain, 0, 2, q.expr)
		if ex := v.s.exprs[q.id]; ex != "" && ex != q.expr && q.scope == engineScope {
			text(theme.Faint, 2, 2, ex)
		}
		if e := d.Answers[i].Err; e != "" {
			text(theme.Bad, 2, 2, "✗ "+e)
		}
	}
	from := p.form.File
	if p.form.Line > 0 && from != form.BuiltinName {
		from += ":" + strconv.Itoa(p.form.Line)
	}
	blank()
	text(theme.Faint, 0, 2, join("panel "+p.id, from, p.form.Source))
	return out
}

// notRecorded names the metrics of an expression that this recording has no series of, "" if it has them all: the answer
// is empty for another reason then.
func notRecorded(r sessions.Reader, expr string) string {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return ""
	}
	var out []string
	found := false
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok && s.Name != "" && !slices.Contains(out, s.Name) {
			if len(r.Series(s.Name)) == 0 {
				out = append(out, s.Name)
			} else {
				found = true
			}
		}
		return nil
	})
	if len(out) == 0 || found {
		return ""
	}
	return out[0] + " is not recorded here"
}
