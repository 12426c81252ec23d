package load

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"pitwall/sessions"
	"pitwall/sessions/score"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// difference puts two runs beside each other: what was asked differently, what has changed with its interval, and what that
// means; the flags of both, because a spoiled run spoils a difference.
func difference(a, b sessions.Run, w int, ascii bool) []text {
	p := &page{w: w, ascii: ascii}
	for _, x := range []struct {
		name string
		r    sessions.Run
	}{{"A", a}, {"B", b}} {
		t := text{{theme.Key, x.name}, {theme.Strong, "  run " + itoa(int(x.r.ID)) + "  "}, {theme.Plain, nameOf(x.r) + "  "}}
		p.line(append(t, flagsCell(x.r, max(w-t.width(), 10))...))
	}
	for _, r := range []sessions.Run{a, b} {
		if ink, s := spoils(r); s != "" {
			p.say(ink, s)
		}
	}
	p.title("what differs in what was asked")
	diffs := asked(a, b)
	for _, d := range diffs {
		p.say(theme.Plain, d)
	}
	if len(diffs) == 0 {
		p.say(theme.Dim, "nothing: the same load on the same server, again")
	}
	p.title("what differs in what came of it")
	if a.Score == nil || b.Score == nil || a.Score.Sent == 0 || b.Score.Sent == 0 {
		p.say(theme.Warn, "▲ one of them has no score: only runs that are over, and sent something, can be compared")
		return p.lines
	}
	c := score.Compare(told(*a.Score), told(*b.Score))
	nameW, cellW, changeW := 23, 17, 26
	wide := w >= nameW+2*cellW+changeW+24
	if !wide {
		nameW, cellW, changeW = 23, 12, 0
	}
	head := text{left(theme.Dim, "", nameW), right(theme.Dim, "A", cellW), right(theme.Dim, "B", cellW)}
	if wide {
		head = append(head, right(theme.Dim, "B − A", changeW))
	}
	p.line(append(head, span{theme.Dim, "  verdict"}))
	for _, d := range sorted(c.Rows) {
		p.row(d, nameW, cellW, changeW)
	}
	p.lines = append(p.lines, nil)
	p.say(theme.Dim, c.Note)
	p.formulas()
	return p.lines
}

// leastToCompare is how many requests a run must have: below it one of them decides.
const leastToCompare = 10

// spoils says why a run is not to be compared; "" if nothing is against it.
func spoils(r sessions.Run) (theme.Ink, string) {
	name := "run " + itoa(int(r.ID))
	if r.State == sessions.Broken {
		return theme.Bad, "✗ " + name + " must not be used: it broke: " + r.Why
	}
	s := r.Score
	if s == nil {
		return 0, ""
	}
	var why []string
	for _, f := range s.Flags {
		if f.Invalid {
			why = append(why, f.Kind+" ("+f.Title+")")
		}
	}
	switch {
	case len(why) > 0:
		return theme.Bad, "✗ " + name + " must not be used: " + strings.Join(why, "; ")
	case s.OK < leastToCompare:
		return theme.Warn, "▲ too few requests to compare: " + name + " has " + itoa(s.OK) + " ok"
	}
	return 0, ""
}

// told is a score without the rates that it can't have.
func told(s score.Score) score.Score {
	for _, r := range []*score.Rate{&s.Requests, &s.Output, &s.Total} {
		r.Estimate = rateOf(&s, *r)
	}
	return s
}

// first are the numbers that decide most; the others follow in the order of their formulas.
var first = []string{"output_rate", "request_rate", "goodput", "ttft", "tpot", "e2e"}

func sorted(rows []score.Difference) []score.Difference {
	out := slices.Clone(rows)
	place := func(d score.Difference) int {
		if i := slices.Index(first, d.Key); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortStableFunc(out, func(a, b score.Difference) int { return place(a) - place(b) })
	return out
}

// verdicts are the signs and inks of what a difference means; the word stands beside the sign.
var verdicts = map[score.Verdict]struct {
	sign string
	ink  theme.Ink
}{score.Better: {"✓ ", theme.Good}, score.Worse: {"✗ ", theme.Bad}, score.NoDifference: {"= ", theme.Plain}, score.NeedsRuns: {"? ", theme.Warn}, score.Incomparable: {"— ", theme.Faint}}

func (p *page) row(d score.Difference, nameW, cellW, changeW int) {
	cell := func(e score.Estimate, failed bool) span {
		if failed {
			return right(theme.Bad, "failed", cellW)
		}
		if changeW == 0 {
			return right(theme.Plain, value(e.Value, d.Unit), cellW)
		}
		return right(theme.Plain, estimate(e, d.Unit, p.ascii), cellW)
	}
	t := text{left(theme.Plain, d.Name, nameW), cell(d.A, d.AFailed), cell(d.B, d.BFailed)}
	if changeW > 0 {
		t = append(t, right(theme.Plain, changed(d, p.ascii), changeW))
	}
	v := verdicts[d.Verdict]
	// What to do stands at a verdict's end: it is never cut.
	at := t.width() + 2 + grid.Width(v.sign)
	for i, l := range grid.Wrap(d.Why, max(p.w-at, 10)) {
		if i > 0 {
			p.line(text{{v.ink, strings.Repeat(" ", at) + l}})
			continue
		}
		p.line(append(t, span{v.ink, "  " + v.sign + l}))
	}
}

// changed writes a change with its interval.
func changed(d score.Difference, ascii bool) string {
	if math.IsNaN(d.Change.Value) {
		return figure.Absent
	}
	e := d.Change
	sign := "+"
	if e.Value < 0 {
		sign = "−"
		if ascii {
			sign = "-"
		}
		e = score.Estimate{Value: -e.Value, Low: -e.High, High: -e.Low}
	}
	return sign + estimate(e, d.Unit, ascii)
}

// asked lists what differs in the points and the servers of two runs. What is hidden in a difference must be said: a run on
// another version is no run with another setting.
func asked(a, b sessions.Run) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(union(a.Target, b.Target))) {
		if a.Target[k] != b.Target[k] {
			out = append(out, "▲ server's "+k+": "+said(a.Target[k])+" → "+said(b.Target[k]))
		}
	}
	x, y := flat(a), flat(b)
	for _, k := range slices.Sorted(maps.Keys(union(x, y))) {
		if x[k] != y[k] {
			out = append(out, k+": "+said(x[k])+" → "+said(y[k]))
		}
	}
	return out
}

func said(s string) string {
	if s == "" {
		return figure.Absent
	}
	return s
}

func union(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, b)
	return out
}

// flat gives a run's point as keys of its stored form and texts.
func flat(r sessions.Run) map[string]string {
	out := map[string]string{}
	b, err := json.Marshal(r.Point.Filled())
	var v map[string]any
	if err != nil || json.Unmarshal(b, &v) != nil {
		return out
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if m, ok := v.(map[string]any); ok {
			for k, x := range m {
				walk(strings.TrimPrefix(path+"."+k, "."), x)
			}
			return
		}
		out[path] = strings.Trim(fmt.Sprint(v), `"`)
	}
	walk("", v)
	delete(out, "label")
	return out
}
