package load

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"pitwall/sessions"
	"pitwall/sessions/score"
	"pitwall/sessions/validity"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// column is one column of the table of runs.
type column struct {
	name string
	w    int
	// rank says how soon it is left out on a narrow screen, 0 never; right aligns it at its right end.
	rank  int
	right bool
	cell  func(r sessions.Run, w int, ascii bool) text
}

// one makes a cell of one text.
func one(ink theme.Ink, s string) text { return text{{ink, s}} }

// scored makes a cell of a score, or a dash where there is none yet.
func scored(f func(s *score.Score, ascii bool) text) func(sessions.Run, int, bool) text {
	return func(r sessions.Run, _ int, ascii bool) text {
		if r.Score == nil || r.Score.Sent == 0 {
			return one(theme.Faint, figure.Absent)
		}
		return f(r.Score, ascii)
	}
}

func percentile(of func(*score.Score) score.Quantile, unit string) func(sessions.Run, int, bool) text {
	return scored(func(s *score.Score, ascii bool) text {
		t, ink := quantile(of(s), unit, ascii)
		return one(ink, t)
	})
}

func rate(of func(*score.Score) score.Rate, unit string) func(sessions.Run, int, bool) text {
	return scored(func(s *score.Score, ascii bool) text {
		return one(theme.Plain, bare(estimate(rateOf(s, of(s)), unit, ascii), unit))
	})
}

// rateOf is a rate of a score, none where no request has ended well.
func rateOf(s *score.Score, r score.Rate) score.Estimate {
	if s.OK == 0 {
		return score.Estimate{Value: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	return r.Estimate
}

// bare leaves out of a number the unit that the column's name has.
func bare(s, unit string) string {
	return strings.Replace(s, glue(scaleOf(1, unit).name), "", 1)
}

// columns are those of the table, in their order.
var columns = []column{
	{"run", 4, 0, true, func(r sessions.Run, _ int, _ bool) text { return one(theme.Strong, itoa(int(r.ID))) }},
	{"began", 8, 5, false, func(r sessions.Run, _ int, _ bool) text {
		return one(theme.Dim, r.Began.Local().Format("15:04:05"))
	}},
	{"load", 18, 0, false, func(r sessions.Run, w int, _ bool) text { return one(theme.Plain, grid.Cut(nameOf(r), w)) }},
	{"for", 6, 6, true, func(r sessions.Run, _ int, _ bool) text {
		if d := lasted(r); d > 0 {
			return one(theme.Dim, figure.Span(d))
		}
		return one(theme.Faint, figure.Absent)
	}},
	{"ok ✗failed", 10, 0, true, scored(func(s *score.Score, _ bool) text {
		t := one(theme.Plain, figure.Whole(float64(s.OK)))
		if s.Failed > 0 {
			t = append(t, span{theme.Bad, " ✗" + figure.Whole(float64(s.Failed))})
		}
		return t
	})},
	{"requests/s", 12, 4, true, rate(func(s *score.Score) score.Rate { return s.Requests }, "1/s")},
	{"output tok/s", 12, 2, true, rate(func(s *score.Score) score.Rate { return s.Output }, "tokens/s")},
	{"TTFT p50", 14, 3, true, percentile(func(s *score.Score) score.Quantile { return s.TTFT.P50 }, "s")},
	{"TTFT p95", 14, 1, true, percentile(func(s *score.Score) score.Quantile { return s.TTFT.P95 }, "s")},
	{"TTFT p99", 15, 7, true, percentile(func(s *score.Score) score.Quantile { return s.TTFT.P99 }, "s")},
	{"TPOT p50", 14, 3, true, percentile(func(s *score.Score) score.Quantile { return s.TPOT.P50 }, "s/token")},
	{"TPOT p99", 15, 9, true, percentile(func(s *score.Score) score.Quantile { return s.TPOT.P99 }, "s/token")},
	{"E2E p50", 14, 10, true, percentile(func(s *score.Score) score.Quantile { return s.E2E.P50 }, "s")},
	{"E2E p95", 15, 8, true, percentile(func(s *score.Score) score.Quantile { return s.E2E.P95 }, "s")},
	{"good", 8, 4, true, scored(func(s *score.Score, _ bool) text {
		if !s.Goodput.Asked {
			return one(theme.Faint, "no SLO")
		}
		if math.IsNaN(s.Goodput.Share.Value) {
			return one(theme.Faint, figure.Absent)
		}
		ink := theme.Good
		if !s.Goodput.Met {
			ink = theme.Warn
		}
		return one(ink, value(s.Goodput.Share.Value, "share"))
	})},
	{"flags", 9, 0, false, func(r sessions.Run, w int, _ bool) text { return flagsCell(r, w) }},
}

// flagsCell says how a run stands: its state while it goes on, its flags when it is over.
func flagsCell(r sessions.Run, w int) text {
	switch r.State {
	case sessions.Settling, sessions.Measuring, sessions.Draining:
		return one(theme.Info, grid.Cut("● "+string(r.State), w))
	case sessions.Broken:
		return one(theme.Bad, grid.Cut("✗ broken: "+r.Why, w))
	}
	if r.Score == nil {
		return one(theme.Faint, "not scored")
	}
	if r.Score.Sent == 0 {
		return one(theme.Warn, grid.Cut("▲ no request was sent", w))
	}
	if len(r.Score.Flags) == 0 && r.Reconciled == nil {
		return one(theme.Dim, grid.Cut("verdict waits", w))
	}
	if len(r.Score.Flags) == 0 {
		return one(theme.Good, "● none")
	}
	return flagsShort(r.Score.Flags, w)
}

// nameOf is what a run is called.
func nameOf(r sessions.Run) string {
	if r.Label != "" {
		return r.Label
	}
	return r.Point.Filled().String()
}

// lasted is how long its load was on: from when it was alone until it was cut.
func lasted(r sessions.Run) time.Duration {
	from, to := r.Settled, r.Cut
	if from.IsZero() {
		from = r.Began
	}
	if to.IsZero() {
		to = r.Ended
	}
	if to.IsZero() || from.IsZero() {
		return 0
	}
	return to.Sub(from)
}

// layout chooses the columns that have room and gives what is left to the load's name and the flags.
func layout(w int) []column {
	out := append([]column{}, columns...)
	width := func() int {
		n := -1
		for _, c := range out {
			n += c.w + 1
		}
		return n
	}
	for width() > w {
		worst := -1
		for i, c := range out {
			if c.rank > 0 && (worst < 0 || c.rank > out[worst].rank) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		out = append(out[:worst:worst], out[worst+1:]...)
	}
	spare := w - width()
	give := func(name string, most int) {
		for i := range out {
			if out[i].name == name {
				n := min(max(most, 0), max(spare, 0))
				out[i].w += n
				spare -= n
			}
		}
	}
	give("flags", 16)
	for range 2 { // the percentiles' intervals
		for i := range out {
			if spare > 0 && strings.HasPrefix(out[i].name, "T") || spare > 0 && strings.HasPrefix(out[i].name, "E2E") {
				out[i].w++
				spare--
			}
		}
	}
	give("load", 30)
	give("flags", spare)
	for i := range out { // a screen that is too narrow for the least
		if out[i].name == "flags" {
			out[i].w = max(out[i].w+min(spare, 0), 6)
		}
	}
	return out
}

// tableOf reads the reconciliation of a run; false where there is none.
func tableOf(r sessions.Run) (validity.Table, bool) {
	var t validity.Table
	if len(r.Reconciled) == 0 || json.Unmarshal(r.Reconciled, &t) != nil {
		return validity.Table{}, false
	}
	return t, true
}
