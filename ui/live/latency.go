package live

import (
	"fmt"
	"math"
	"strings"
	"time"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// phase is one latency that the engine measures.
type phase struct {
	id, name, long string
	zoom           bool
	formula        string
	// none says what did not happen when there are no observations.
	none string
}

var phases = []phase{
	{"ttft", "TTFT", "time to first token", false, "arrival at the API server → first token out", "no first token"},
	{"itl", "ITL", "inter-token latency", false, "time between two outputs of one request, per gap", "no tokens"},
	{"e2e", "E2E", "whole request", false, "arrival → last token", "none finished"},
	{"queue", "queue", "wait in the scheduler", false, "queued → scheduled; without the wait for a running step", "none finished"},
	{"prefill", "prefill", "prompt computed", true, "scheduled → first token", "none finished"},
	{"decode", "decode", "output computed", true, "first token → last token", "none finished"},
	{"tpot", "TPOT", "time per output token", true, "decode time / (output tokens − 1), per request", "none finished"},
}

// latencyHeading writes the columns' names above the numbers.
func latencyHeading(v view, w int) string {
	if v.m.comparing() {
		return strings.TrimSuffix(v.mostName(), " ") + ", mean "
	}
	cw := latencyColumn(w)
	var b strings.Builder
	for _, q := range latencyQuantiles(w) {
		name := fmt.Sprintf("p%g", 100*q)
		b.WriteString(strings.Repeat(" ", max(cw-len(name), 0)) + name)
	}
	b.WriteString(strings.Repeat(" ", max(cw-len("mean"), 0)) + "mean")
	return b.String()
}

// latencyQuantiles are the percentiles that have columns beside the mean: on the narrowest screens the median has none, or the
// numbers would touch.
func latencyQuantiles(w int) []float64 {
	if (w-7)/4 < 7 {
		return []float64{0.95, 0.99}
	}
	return []float64{0.5, 0.95, 0.99}
}

// latencyColumn is how wide the columns are.
func latencyColumn(w int) int { return min(max((w-7)/(len(latencyQuantiles(w))+1), 6), 11) }

// quantileInk makes the 95th percentile stand out.
func quantileInk(q float64) theme.Ink {
	if q == 0.95 {
		return theme.Strong
	}
	return theme.Plain
}

func drawLatency(v view, p grid.Pane, g geometry) {
	first, second := g, g
	h := g.chart.H()
	upper := h
	if h >= 8 {
		upper = h - h/2
	}
	first.axis, first.chart = g.axis.Sub(0, 0, axisW, upper), g.chart.Sub(0, 0, g.chart.W(), upper)
	v.means(first, "ttft_mean", "TTFT, mean", 0.02, theme.C)
	if upper < h {
		second.axis, second.chart = g.axis.Sub(0, upper, axisW, h-upper), g.chart.Sub(0, upper, g.chart.W(), h-upper)
		v.means(second, "itl_mean", "ITL, mean", 0.01, theme.A)
	}
	n := g.numbers
	if v.m.comparing() {
		v.drawNumbers(n, latencyRows)
		return
	}
	cw := latencyColumn(n.W())
	y := 0
	for i, ph := range phases {
		if y >= n.H() {
			return
		}
		if ph.zoom && len(v.s.values[ph.id+"_buckets"]) == 0 {
			continue
		}
		mark := theme.Ink(0)
		switch {
		case i == 0:
			mark = theme.C.Crest()
		case i == 1 && upper < h:
			mark = theme.A.Crest()
		}
		v.drawPhase(n.Sub(0, y, n.W(), 1), ph, cw, mark)
		y++
		if y < n.H() && v.drawClient(n.Sub(0, y, n.W(), 1), ph.id, cw) {
			y++
		}
	}
	if b := bucketsOf(v.s.values["ttft_buckets"]); y < n.H() && total(b) > 0 {
		n.Text(2, y, theme.Dim, grid.Cut("first tokens for "+figure.Rate(total(b))+" requests/s", n.W()-2))
	}
}

// means draws one latency's mean.
func (v view) means(g geometry, id, title string, least float64, ink theme.Ink) {
	s := v.chart(id, g.timeline, most)
	top := plot.Scale(peakOf(s), least)
	v.area(g, top, axisSeconds(top), plot.Layer{Values: s, Ink: ink})
	name(g.chart, title)
}

func (v view) drawPhase(p grid.Pane, ph phase, cw int, mark theme.Ink) {
	b := bucketsOf(v.s.values[ph.id+"_buckets"])
	if mark != 0 {
		p.Rune(0, 0, mark, '█')
	}
	p.Text(2, 0, theme.Dim, ph.name)
	mean := v.s.one(ph.id + "_mean")
	if len(b) == 0 && mean.OK {
		// An engine without histograms may know its means.
		p.Right(p.W()-cw, 0, theme.Faint, grid.Cut(strings.TrimSpace(figure.Absent+" "+v.s.whyQuery(ph.id+"_buckets")), p.W()-9-cw))
		p.Right(p.W(), 0, theme.Plain, mean.Text(figure.Seconds))
		return
	}
	if len(b) == 0 {
		p.Right(p.W(), 0, theme.Faint, grid.Cut(strings.TrimSpace(figure.Absent+" "+v.s.whyQuery(ph.id+"_buckets")), p.W()-9))
		return
	}
	if total(b) == 0 {
		p.Right(p.W(), 0, theme.Faint, ph.none+" in "+figure.Ago(v.s.window))
		return
	}
	quantiles := latencyQuantiles(p.W())
	end := p.W() - len(quantiles)*cw
	for _, q := range quantiles {
		p.Right(end, 0, quantileInk(q), v.bound(b, q))
		end += cw
	}
	p.Right(end, 0, theme.Plain, v.s.one(ph.id+"_mean").Text(figure.Seconds))
}

// bound writes the bucket a quantile falls in.
func (v view) bound(b []bucket, q float64) string {
	low, high, ok := quantileBucket(b, q)
	le := "≤"
	if v.f.ASCII {
		le = "<="
	}
	switch {
	case !ok:
		return figure.Absent
	case math.IsInf(high, 1):
		return ">" + tight(figure.Seconds(low))
	}
	if high >= 100 && high == math.Trunc(high) {
		return le + figure.Ago(time.Duration(high)*time.Second)
	}
	return le + tight(figure.Seconds(high))
}

// tight leaves the blank before the unit out, for narrow columns.
func tight(s string) string { return strings.ReplaceAll(s, " ", "") }

// axisSeconds writes a time axis' numbers in one unit.
func axisSeconds(top float64) func(float64) string {
	return func(v float64) string {
		switch {
		case v == 0:
			return "0"
		case top < 1:
			return figure.Short(v*1000) + "ms"
		}
		return figure.Short(v) + "s"
	}
}

func latencyRows(v view) []row {
	var rows []row
	for _, ph := range phases {
		b := bucketsOf(v.s.values[ph.id+"_buckets"])
		r := row{label: ph.name, num: v.s.one(ph.id + "_mean"), format: figure.Seconds, ink: theme.Strong}
		switch {
		case len(b) == 0:
			r.note = v.s.whyQuery(ph.id + "_buckets")
		case total(b) == 0:
			r.num, r.note = figure.Value{}, ph.none+" in "+figure.Ago(v.s.window)
		default:
			r.note = "p50 " + v.bound(b, .5) + "  p95 " + v.bound(b, .95) + "  p99 " + v.bound(b, .99)
		}
		rows = append(rows, r)
	}
	rows = append(rows, v.clientRows()...)
	if v.m.comparing() {
		rows = append(rows, v.boundRows()...)
	}
	ttft, queue, prefill := v.s.one("ttft_mean"), v.s.one("queue_mean"), v.s.one("prefill_mean")
	if ttft.OK && queue.OK && prefill.OK {
		rows = append(rows, row{label: "elsewhere", num: figure.Of(max(ttft.V-queue.V-prefill.V, 0)), format: figure.Seconds, note: "TTFT − queue − prefill, steady load only"})
	}
	return rows
}

// boundRows give the buckets of percentiles a row each, so that two moments can stand beside each other: the phases that a
// user feels, the tails first.
func (v view) boundRows() []row {
	var rows []row
	for _, q := range []struct {
		name string
		q    float64
	}{{"p95", .95}, {"p99", .99}, {"p50", .5}} {
		for _, ph := range phases[:3] {
			r := row{label: ph.name + " " + q.name, value: figure.Absent, ink: theme.Plain}
			if b := bucketsOf(v.s.values[ph.id+"_buckets"]); total(b) > 0 {
				r.value = v.bound(b, q.q)
			}
			rows = append(rows, r)
		}
	}
	return rows
}
