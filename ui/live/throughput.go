package live

import (
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

func drawThroughput(v view, p grid.Pane, g geometry) {
	decode, prefill := v.chart("decode", g.timeline, mean), v.chart("prefill", g.timeline, mean)
	h := p.H()
	if h < 4 {
		top := plot.Scale(peakOf(decode), 10)
		v.area(g, top, figure.Short, plot.Layer{Values: decode, Ink: theme.A})
	} else {
		// Each half has its own scale: prefill is often ten times decode, and would flatten it.
		half := h / 2
		upper, lower := g, g
		upper.axis, upper.chart = g.axis.Sub(0, 0, axisW, h-half), g.chart.Sub(0, 0, g.chart.W(), h-half)
		lower.axis, lower.chart = g.axis.Sub(0, h-half, axisW, half), g.chart.Sub(0, h-half, g.chart.W(), half)
		v.gridlines(g)
		upTop, downTop := plot.Scale(peakOf(decode), 10), plot.Scale(peakOf(prefill), 10)
		plot.Axis{Top: upTop, Format: figure.Short}.Draw(upper.axis, theme.Faint, theme.Border)
		plot.Axis{Top: downTop, Format: figure.Short, Hangs: true, Marks: []float64{downTop}}.Draw(lower.axis, theme.Faint, theme.Border)
		plot.Area(upper.chart, upTop, plot.Layer{Values: decode, Ink: theme.A})
		plot.Hang(lower.chart, downTop, plot.Layer{Values: prefill, Ink: theme.C})
		v.cursorLine(g.chart, g.timeline)
	}
	v.drawNumbers(g.numbers, throughputRows)
}

func throughputRows(v view) []row {
	s := v.s
	decode, prefill, cached := s.one("decode"), s.one("prefill"), s.one("cached")
	rows := []row{
		{label: "decode", query: "decode", total: "decode", num: decode, format: figure.Count, ink: theme.Strong, note: s.noted("tok/s", "engine:decode_tokens"), right: v.most("decode", figure.Count), glyph: '█', key: theme.A.Crest()},
		{label: "prefill", query: "prefill", total: "prefill", num: prefill, format: figure.Count, ink: theme.Strong, note: s.noted("tok/s", "engine:prefill_tokens"), right: v.most("prefill", figure.Count), glyph: '█', key: theme.C.Crest()},
	}
	share := row{label: "from cache", query: "cached", num: cached.Div(prefill), format: figure.Percent, note: "of prefill"}
	if !share.num.OK && prefill.OK {
		share.note = "no prompts in " + figure.Ago(s.window)
	}
	rows = append(rows, share)
	if len(s.gpus) > 0 {
		j := row{label: "energy", note: "J/output token"}
		energy, reason := v.joules()
		if j.num, j.format = energy, three; !energy.OK {
			j.note = reason
		}
		rows = append(rows, j)
	}
	if _, asked := s.values["request"]; asked {
		for _, x := range []struct {
			label, note, none string
			format            func(float64) string
		}{
			{"each", "tok/s a request", "nothing ran", figure.Rate}, {"prompt", "tokens, mean", "none finished", figure.Count}, {"output", "tokens, mean", "none finished", figure.Count},
		} {
			r := row{label: x.label, query: "request", num: s.pair("request", "of", x.label), format: x.format, note: x.note}
			if !r.num.OK && decode.OK {
				r.note = x.none + " in " + figure.Ago(s.window)
			}
			rows = append(rows, r)
		}
	}
	return s.explain(rows)
}

// joules is the energy of an output token: the mean power of the engine's GPUs over its output rate, both over the same
// window. Without it there is a reason.
func (v view) joules() (figure.Value, string) {
	e, ok := v.s.chosen()
	decode := v.s.one("decode")
	switch {
	case !ok || !decode.OK:
		return figure.Value{}, v.s.whyQuery("decode")
	case decode.V < 1:
		return figure.Value{}, "no output in " + figure.Ago(v.s.window)
	}
	sum := figure.Value{}
	for _, g := range v.s.gpus {
		if g.engine != "" && g.engine != e.instance || g.engine == "" && len(v.s.gpus) > 1 {
			continue
		}
		if w := v.s.pair("gpu_power_mean", "gpu", itoa(g.index)); w.OK {
			sum = figure.Of(sum.V + w.V)
		}
	}
	if !sum.OK {
		return sum, "its GPUs are not known"
	}
	return sum.Div(decode), ""
}
