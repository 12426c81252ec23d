package live

import (
	"cmp"
	"strings"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/load"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// seriesInks are the inks of the lines of one chart, in order.
var seriesInks = []theme.Ink{theme.A.Crest(), theme.B.Crest(), theme.C.Crest(), theme.D.Crest()}

// drawZoom fills the screen with one panel: its charts as lines, every number, and where each comes from.
func (v view) drawZoom(p grid.Pane) {
	spec := v.m.panels[v.m.zoom]
	border(p, theme.Border)
	title := v.titleOf(spec)
	if spec.id == "gpu" {
		if g, ok := v.gpuAt(); ok {
			title = "GPU " + itoa(g.index) + "  " + g.name
		}
	}
	heading := " " + spec.unit + "  window " + v.m.windowName() + "  rates over " + figure.Ago(v.s.window) + " "
	v.drawTitle(p, 1, 0, p.W()-2, spec.key, title, heading, false)
	inner := p.Sub(1, 1, p.W()-2, p.H()-2)
	if spec.scope == gpuScope && len(v.s.gpus) == 0 {
		inner.Text(2, 1, theme.Dim, grid.Cut(v.noGPU(), inner.W()-4))
		return
	}
	if _, ok := v.s.chosen(); spec.scope == engineScope && !ok {
		v.drawNoEngine(inner)
		return
	}
	if !spec.goes() {
		v.zoomForm(inner, spec)
		return
	}
	rows := v.rowsOf(spec.rows)
	nw := zoomNumbers(inner.W())
	cw := inner.W() - nw - 1
	if inner.W() < zoomBeside {
		// Numbers below the charts.
		h := max(inner.H()-len(rows)-1, inner.H()/2)
		v.zoomCharts(inner.Sub(0, 0, inner.W(), h), spec)
		drawRows(inner.Sub(1, h, inner.W()-2, inner.H()-h), rows[min(v.m.scroll, max(len(rows)-1, 0)):])
		return
	}
	v.zoomCharts(inner.Sub(0, 0, cw, inner.H()), spec)
	side := inner.Sub(cw+1, 0, nw, inner.H())
	lines := v.zoomText(spec, rows, nw)
	skip := min(v.m.scroll, max(len(lines)-side.H(), 0))
	for y := range min(side.H(), len(lines)-skip) {
		lines[skip+y](side.Sub(0, y, nw, 1))
	}
	if more := len(lines) - skip - side.H(); more > 0 {
		side.Right(nw, side.H()-1, theme.Key, " j "+itoa(more)+" more lines ")
	}
}

// zoomText is the right half of a zoomed panel, one drawing function a line.
func (v view) zoomText(spec panel, rows []row, w int) []func(grid.Pane) {
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
	for _, r := range rows {
		out = append(out, func(p grid.Pane) { drawRow(p, r) })
	}
	blank()
	if spec.id == "latency" {
		text(theme.Title, 0, 0, "formulas")
		for _, ph := range phases {
			text(theme.Dim, 0, 9, grid.Pad(ph.name, 9)+ph.long+": "+ph.formula)
		}
		if v.client() {
			blank()
			text(theme.Title, 0, 0, "our client's, by its own clock")
			for _, f := range load.FormulasOf("ttft", "tpot", "itl", "e2e") {
				text(theme.Dim, 0, 2, f)
			}
		}
		blank()
	}
	if spec.id == "host" {
		list := v.processes()
		n := max(len(list), 1) + 1
		full := grid.New(w, n)
		v.drawProcesses(full.Pane(), list)
		for y := range n {
			out = append(out, func(p grid.Pane) { p.Copy(full, y) })
		}
		blank()
	}
	text(theme.Dim, 0, 0, spec.about)
	blank()
	text(theme.Title, 0, 0, "where it comes from (PromQL)")
	if e, ok := v.s.chosen(); ok && spec.scope == engineScope && v.s.fact("verified") != "" {
		text(theme.Dim, 0, 2, engineTitle(e)+": "+v.s.fact("verified"))
	}
	for _, q := range spec.queries {
		text(theme.Plain, 0, 2, q.expr)
		if ex := v.s.exprs[q.id]; ex != "" && ex != q.expr && q.scope == engineScope {
			text(theme.Faint, 2, 2, ex)
		}
		for _, why := range v.s.caveats(q.expr) {
			text(theme.Dim, 2, 2, why)
		}
		if q.name != "" {
			continue
		}
		if er := cmp.Or(v.s.errs[q.id], v.m.pastErrs[q.id]); er != "" {
			text(theme.Bad, 2, 2, er)
		}
	}
	return out
}

// zoomCharts stacks the panel's charts; all have one time axis, on the last line.
func (v view) zoomCharts(p grid.Pane, spec panel) {
	groups := spec.groups
	most := max((p.H()-1)/5, 1)
	groups = groups[:min(len(groups), most)]
	if len(groups) == 0 || p.H() < 4 {
		return
	}
	index := ""
	if spec.scope == gpuScope {
		if g, ok := v.gpuAt(); ok {
			index = "\x00" + itoa(g.index)
		}
	}
	axis := axisW + 1
	t := v.zoomAxis(p.W())
	heights := make([]int, len(groups))
	for i := range heights {
		heights[i] = (p.H() - 1) / len(groups)
	}
	heights[0] += p.H() - 1 - heights[0]*len(groups)
	y := 0
	for i, gr := range groups {
		v.zoomChart(p.Sub(0, y, p.W(), heights[i]), gr, spec, index, t, axis)
		y += heights[i]
	}
	v.zoomTicks(p.Sub(0, p.H()-1, p.W(), 1), t, axis)
}

// zoomTicks writes the time axis of a zoomed panel's charts.
func (v view) zoomTicks(line grid.Pane, t plot.Timeline, axis int) {
	line.Line(axis, 0, t.Columns, theme.Border, '─')
	marks := v.marks(t)
	v.drawTicks(line, axis, 0, t, columnsOf(marks))
	v.drawMarks(line, axis, 0, marks)
	v.cursorTime(line, axis, 0, t)
}

// zoomAxis is the time axis of a zoomed panel's charts in a pane of a width.
func (v view) zoomAxis(w int) plot.Timeline {
	return plot.NewTimeline(v.edge, v.m.length, max(w-axisW-1-4, 4))
}

// zoomTimeline is that axis for the width of the whole zoomed panel.
func (v view) zoomTimeline(w int) plot.Timeline {
	if w >= zoomBeside {
		w -= zoomNumbers(w) + 1
	}
	return v.zoomAxis(w)
}

// From zoomBeside columns on, numbers stand beside the charts of a zoomed panel; zoomNumbers is how wide they are then.
const zoomBeside = 100

func zoomNumbers(w int) int { return min(max(w*2/5, 40), 76) }

func (v view) zoomChart(p grid.Pane, gr group, spec panel, index string, t plot.Timeline, axis int) {
	if gr.heat != "" {
		v.zoomHeat(p, gr, t, axis)
		return
	}
	// The legend has a line of its own, so that it hides nothing.
	x := p.Text(axis+1, 0, theme.Title, grid.Cut(gr.title, p.W()-axis-2)) + 2
	var series, low, high [][]float64
	peak := 0.0
	for i, id := range gr.ids {
		q := spec.query(id)
		how := q.pick
		s := v.chart(id+index, t, how)
		series = append(series, s)
		low, high = append(low, v.chart(id+index, t, least)), append(high, v.chart(id+index, t, most))
		peak = max(peak, peakOf(high[i]))
		if len(gr.ids) > 1 {
			x = p.Text(x, 0, seriesInks[i%len(seriesInks)], strings.Repeat(string(plot.Stroke(i)), 2))
			x = p.Text(x+1, 0, theme.Dim, q.legend) + 2
		}
	}
	top := plot.Scale(peak, gr.least)
	if gr.most > 0 {
		top = min(top, gr.most)
	}
	format := gr.format
	if spec.id == "latency" {
		format = axisSeconds(top)
	}
	chart := p.Sub(axis, 1, t.Columns, p.H()-1)
	plot.Axis{Top: top, Format: func(f float64) string { return tight(format(f)) }}.Draw(p.Sub(0, 1, axis, p.H()-1), theme.Faint, theme.Border)
	v.gridlines(geometry{chart: chart, timeline: t})
	if len(series) == 1 {
		plot.Band(chart, top, low[0], high[0], theme.A)
	}
	plot.Lines(chart, top, series, seriesInks)
	v.cursorLine(chart, t)
	if plot.Peak(series...) != plot.Peak(series...) { // NaN: nothing at all
		chart.Text(2, chart.H()/2, theme.Faint, grid.Cut("nothing in this window", chart.W()-3))
	}
}

// query finds a panel's query.
func (p panel) query(id string) query {
	for _, q := range p.queries {
		if q.id == id {
			return q
		}
	}
	return query{id: id}
}
