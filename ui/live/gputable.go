package live

import (
	"strconv"
	"strings"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// gpuColumns are the table's columns for several GPUs, the most important first; what does not fit is left out.
type gpuColumn struct {
	title string
	w     int
	text  func(v view, i string) (string, theme.Ink)
}

func gpuColumns() []gpuColumn {
	num := func(name string, f func(float64) string) func(v view, i string) (string, theme.Ink) {
		return func(v view, i string) (string, theme.Ink) {
			return v.s.metric(name, "gpu", i).Text(f), theme.Plain
		}
	}
	n0 := func(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) }
	return []gpuColumn{
		{"kern%", 5, func(v view, i string) (string, theme.Ink) {
			return v.s.metric("DCGM_FI_DEV_GPU_UTIL", "gpu", i).Text(n0), theme.Strong
		}},
		{"power W", 7, func(v view, i string) (string, theme.Ink) {
			p, l := v.s.metric("DCGM_FI_DEV_POWER_USAGE", "gpu", i), v.s.metric("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "gpu", i)
			ink := theme.Plain
			if p.OK && l.OK && p.V >= 0.95*l.V {
				ink = theme.Warn
			}
			if !l.OK || l.V >= 1000 {
				return p.Text(n0), ink
			}
			return p.Text(n0) + "/" + n0(l.V), ink
		}},
		{"mem GiB", 9, func(v view, i string) (string, theme.Ink) {
			used, total := v.s.metric("DCGM_FI_DEV_FB_USED", "gpu", i), v.s.metric("DCGM_FI_DEV_FB_TOTAL", "gpu", i)
			digits := 1
			if total.V >= 100*1024 {
				digits = 0
			}
			gib := func(f float64) string { return strconv.FormatFloat(f/1024, 'f', digits, 64) }
			return used.Text(gib) + "/" + total.Text(gib), theme.Plain
		}},
		{"°C", 3, func(v view, i string) (string, theme.Ink) {
			t := v.s.metric("DCGM_FI_DEV_GPU_TEMP", "gpu", i)
			return t.Text(n0), tempInk(t, v.limitOr(i, "DCGM_FI_DEV_SLOWDOWN_TEMP", 90))
		}},
		{"HBM", 3, func(v view, i string) (string, theme.Ink) {
			t := v.s.metric("DCGM_FI_DEV_MEMORY_TEMP", "gpu", i)
			return t.Text(n0), tempInk(t, v.limitOr(i, "DCGM_FI_DEV_MEM_MAX_OP_TEMP", 95))
		}},
		{"held", 5, func(v view, i string) (string, theme.Ink) {
			worst, bad := v.heldBy(i)
			return worst, [3]theme.Ink{theme.Dim, theme.Warn, theme.Bad}[bad]
		}},
		{"SM MHz", 6, num("DCGM_FI_DEV_SM_CLOCK", n0)},
		{"limits, 1m", 16, func(v view, i string) (string, theme.Ink) {
			t, bad := v.limits(i)
			t = strings.TrimSuffix(t, " of 1m")
			return t, [3]theme.Ink{theme.Dim, theme.Warn, theme.Bad}[bad]
		}},
		{"engine", 15, func(v view, i string) (string, theme.Ink) { return v.s.facts["gpu/"+i+"/engine"], theme.Dim }},
	}
}

// gpuChanges are the columns that show numbers, with what each was at the first marked time and is at the second.
func (v view) gpuChanges(cols []gpuColumn) []gpuColumn {
	a, b := v.m.sorted()
	before, after := v.of(a.snap), v.of(b.snap)
	// Levels without their limits: two of those don't fit, and the limits seldom change.
	used := func(v view, i string) (string, theme.Ink) {
		gib := func(f float64) string { return strconv.FormatFloat(f/1024, 'f', 1, 64) }
		return v.s.metric("DCGM_FI_DEV_FB_USED", "gpu", i).Text(gib), theme.Plain
	}
	watts := func(v view, i string) (string, theme.Ink) {
		return v.s.metric("DCGM_FI_DEV_POWER_USAGE", "gpu", i).Text(figure.Whole), theme.Plain
	}
	var out []gpuColumn
	for _, c := range cols {
		text := c.text
		switch c.title {
		case "power W":
			text = watts
		case "mem GiB":
			text = used
		case "held", "limits, 1m", "engine":
			continue
		}
		out = append(out, gpuColumn{title: c.title, w: max(2*c.w, 7), text: func(_ view, i string) (string, theme.Ink) {
			from, _ := text(before, i)
			to, ink := text(after, i)
			if from == to {
				return to, theme.Dim
			}
			return from + v.arrow() + to, ink
		}})
	}
	return out
}

func (v view) limitOr(i, name string, otherwise float64) figure.Value {
	if l := v.s.metric(name, "gpu", i); l.OK {
		return l
	}
	return figure.Of(otherwise)
}

// drawGPUTable draws one line a GPU, with its activity on the panel's time axis; the chosen one's charts below where
// there is room.
func drawGPUTable(v view, p grid.Pane, g geometry) {
	n := len(v.s.gpus)
	cols := gpuColumns()
	if v.m.comparing() {
		cols = v.gpuChanges(cols)
	}
	first := 5
	spark := g.chart.W()
	x0 := first + 1
	// The sparklines stand exactly under the other charts of the column.
	if spark > 0 {
		p.Text(axisW, 0, theme.Faint, grid.Cut("kernel-active", spark))
		x0 = axisW + spark + 1
	}
	x := x0
	shown := 0
	for _, c := range cols {
		if x+c.w > p.W() {
			break
		}
		p.Right(x+c.w, 0, theme.Faint, c.title)
		x += c.w + 1
		shown++
	}
	rows := min(p.H()-1, n)
	if rows < n {
		p.Text(0, 0, theme.Warn, itoa(rows)+"/"+itoa(n))
	}
	from := max(0, min(v.m.gpu-rows/2, n-rows))
	for y := range rows {
		d := v.s.gpus[from+y]
		i := itoa(d.index)
		line := p.Sub(0, y+1, p.W(), 1)
		chosen := from+y == v.m.gpu
		mark := " "
		if chosen {
			mark = "▸"
		}
		line.Text(0, 0, theme.Focus, mark)
		line.Text(1, 0, theme.Strong, "GPU"+i)
		plot.Spark(line.Sub(axisW, 0, spark, 1), 100, v.chart("gpu_util\x00"+i, g.timeline, mean), theme.A+theme.Shades/2)
		v.cursorLine(line.Sub(axisW, 0, spark, 1), g.timeline)
		x := x0
		for _, c := range cols[:shown] {
			t, ink := c.text(v, i)
			line.Right(x+c.w, 0, ink, grid.Cut(t, c.w))
			x += c.w + 1
		}
		if chosen {
			line.Ink(0, 0, axisW-1, theme.Selected)
		}
	}
	below := p.H() - 1 - rows
	if d, ok := v.gpuAt(); ok && below >= 6 {
		// A blank line, then the chosen one.
		y := rows + 2
		sub := geometry{axis: g.axis.Sub(0, y, axisW, p.H()-y), chart: g.chart.Sub(0, y, g.chart.W(), p.H()-y),
			numbers: g.numbers.Sub(0, y, g.numbers.W(), p.H()-y), timeline: g.timeline}
		v.gpuCharts(sub, itoa(d.index))
		v.drawNumbers(sub.numbers, gpuRows)
	}
}
