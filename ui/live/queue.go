package live

import (
	"math"
	"strings"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

func maxHeading(v view, w int) string { return v.mostName() }

func drawQueue(v view, p grid.Pane, g geometry) {
	running, waiting := v.chart("running", g.timeline, most), v.chart("waiting", g.timeline, most)
	top := plot.Scale(peakOf(plot.Sum(running, waiting)), 4)
	if limit := v.s.number("max_num_seqs"); limit.OK && peakOf(running) > limit.V/2 && peakOf(plot.Sum(running, waiting)) <= limit.V {
		top = limit.V
	}
	v.area(g, top, figure.Short, plot.Layer{Values: running, Ink: theme.A}, plot.Layer{Values: waiting, Ink: theme.B})
	v.drawNumbers(g.numbers, queueRows)
}

func queueRows(v view) []row {
	s := v.s
	running, waiting := s.one("running"), s.one("waiting")
	limit := s.number("max_num_seqs")
	r := row{label: "running", query: "running", num: running, format: figure.Whole, ink: theme.Strong, right: v.most("running", figure.Whole), glyph: '█', key: theme.A.Crest()}
	if limit.OK {
		r.note = "of " + figure.Whole(limit.V)
		if running.OK && running.V >= limit.V {
			r.note, r.noteInk = r.note+" FULL", theme.Warn
		}
	}
	w := row{label: "waiting", query: "waiting", num: waiting, format: figure.Whole, ink: theme.Strong, right: v.most("waiting", figure.Whole), glyph: '▒', key: theme.B.Crest()}
	if waiting.OK && waiting.V > 0 {
		w.ink = theme.Warn
		var why []string
		for _, x := range s.labelled("why_waiting", "reason") {
			if x.value > 0 {
				why = append(why, x.label+" "+figure.Whole(x.value))
			}
		}
		w.note = strings.Join(why, ", ")
	}
	pre := s.one("preemptions")
	rows := []row{r, w, rateRow("preempted", "preemptions", pre, v.most("preemptions", figure.Rate), theme.Warn)}
	done := row{label: "finished", query: "finished", total: "finished", ink: theme.Plain}
	fin := s.labelled("finished", "finished_reason")
	sum := math.NaN()
	var parts []string
	for _, x := range fin {
		if math.IsNaN(sum) {
			sum = 0
		}
		sum += x.value
		if x.value > 0 {
			parts = append(parts, strings.Replace(x.label, "length", "len", 1)+" "+figure.Rate(x.value))
		}
	}
	done.num, done.format = figure.Of(sum), perSecond
	done.note = strings.Join(parts, ", ")
	rows = append(rows, done)
	rows = append(rows, rateRow("errors", "errors", s.one("errors"), "", theme.Bad), rateRow("rejected", "rejections", s.one("rejections"), "", theme.Warn))
	if v.m.zoom >= 0 {
		r := rateRow("aborted", "aborts", s.one("aborts"), "", theme.Warn)
		r.note = "estimated: clients that left"
		rows = append(rows, r)
	}
	return s.explain(rows)
}

// perSecond writes a rate with its unit.
func perSecond(f float64) string { return figure.Rate(f) + "/s" }

// rateRow is a rate that should be zero: quiet then, in ink otherwise.
func rateRow(label, query string, value figure.Value, most string, ink theme.Ink) row {
	r := row{label: label, query: query, total: query, num: value, format: perSecond, right: most}
	if value.OK && value.V > 0 {
		r.ink = ink
	}
	if !value.OK {
		r.ink = theme.Faint
	}
	return r
}
