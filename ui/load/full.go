package load

import (
	"fmt"
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

// full is one run with everything that is known of it: its flags first, then what it gave, how its requests ended, what the
// server counted, and how each number is defined.
func full(r sessions.Run, w int, ascii bool) []text {
	p := &page{w: w, ascii: ascii}
	p.heading(r)
	p.title("flags")
	p.lines = append(p.lines, flagLines(r, w, true)...)
	s := r.Score
	switch {
	case s == nil && r.State == sessions.Broken:
	case s == nil:
		p.say(theme.Dim, "It is scored when its last request is over.")
	case s.Sent == 0:
		p.say(theme.Warn, "No request was sent: there is nothing to score.")
	default:
		p.requests(s)
		p.latencies(s)
		p.rates(s)
		p.errors(s)
	}
	p.reconciled(r)
	p.server(r)
	p.formulas()
	return p.lines
}

// page gathers lines of a width.
type page struct {
	lines []text
	w     int
	ascii bool
}

func (p *page) line(t text) { p.lines = append(p.lines, cut(t, p.w)) }

func (p *page) say(ink theme.Ink, s string) { p.lines = append(p.lines, wrapped(ink, 2, s, p.w)...) }

func (p *page) title(s string) {
	if len(p.lines) > 0 {
		p.lines = append(p.lines, nil)
	}
	p.line(text{{theme.Title, s}})
}

func (p *page) heading(r sessions.Run) {
	p.say(theme.Strong, nameOf(r))
	if s := r.Point.Filled().String(); s != nameOf(r) {
		p.say(theme.Plain, s)
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return figure.Absent
		}
		return t.Local().Format("15:04:05")
	}
	when := r.Began.Local().Format("2006-01-02") + " began " + at(r.Began) + " · alone from " + at(r.Settled) + " · cut " + at(r.Cut) + " · last request over " + at(r.Ended)
	if d := lasted(r); d > 0 {
		when += " · scored " + figure.Span(d)
	}
	p.say(theme.Dim, when)
	state := string(r.State)
	ink := theme.Info
	switch r.State {
	case sessions.Done:
		ink = theme.Dim
	case sessions.Broken:
		ink = theme.Bad
	}
	if r.Why != "" {
		state += ": " + r.Why
	}
	p.say(ink, state)
}

// flagLines are the flags of a run, each with what shows it; deep adds what to do about it.
func flagLines(r sessions.Run, w int, deep bool) []text {
	if r.State == sessions.Broken {
		if r.Score == nil {
			return wrapped(theme.Bad, 2, "✗ it broke, and has no score: "+r.Why, w)
		}
		return append(wrapped(theme.Bad, 2, "✗ broken: "+r.Why, w), flagList(r.Score.Flags, w, deep)...)
	}
	if r.Score == nil {
		return wrapped(theme.Dim, 2, "flags come when it is over", w)
	}
	if len(r.Score.Flags) == 0 {
		if r.Reconciled == nil {
			return wrapped(theme.Dim, 2, "the verdict waits for the engine's page after the run", w)
		}
		return wrapped(theme.Good, 2, "● none: nothing was found that spoils these numbers", w)
	}
	return flagList(r.Score.Flags, w, deep)
}

func flagList(flags []score.Flag, w int, deep bool) []text {
	var out []text
	for _, f := range flags {
		sign, ink := "▲ ", theme.Warn
		if f.Invalid {
			sign, ink = "✗ INVALID ", theme.Bad
		}
		s := sign + f.Kind + ": " + f.Title
		if !deep {
			if f.Evidence != "" {
				s += " (" + f.Evidence + ")"
			}
			out = append(out, cut(text{{ink, s}}, w))
			continue
		}
		out = append(out, wrapped(ink, 2, s, w)...)
		if f.Evidence != "" {
			out = append(out, indented(theme.Plain, f.Evidence, w)...)
		}
		if f.Do != "" {
			out = append(out, indented(theme.Info, "do: "+f.Do, w)...)
		}
	}
	return out
}

// indented is a sentence whose lines all stand two columns in.
func indented(ink theme.Ink, s string, w int) []text {
	var out []text
	for _, l := range grid.Wrap(s, max(w-2, 10)) {
		out = append(out, text{{ink, "  " + l}})
	}
	return out
}

// tail of a cell in a table of the page: right aligned in its width.
func right(ink theme.Ink, s string, w int) span {
	s = grid.Cut(s, w)
	return span{ink, strings.Repeat(" ", max(w-grid.Width(s), 0)) + s}
}

func left(ink theme.Ink, s string, w int) span { return span{ink, grid.Pad(grid.Cut(s, w), w)} }

func (p *page) requests(s *score.Score) {
	p.title("requests")
	t := text{{theme.Plain, figure.Whole(float64(s.Sent)) + " sent: " + figure.Whole(float64(s.OK)) + " ok"}}
	for _, x := range []struct {
		n    int
		word string
		ink  theme.Ink
	}{{s.Failed, "failed", theme.Bad}, {s.Cancelled, "cancelled by us", theme.Warn}, {s.Crossing, "across an edge, in no latency", theme.Dim}} {
		if x.n > 0 {
			t = append(t, span{theme.Dim, " · "}, span{x.ink, figure.Whole(float64(x.n)) + " " + x.word})
		}
	}
	if s.Dropped > 0 {
		t = append(t, span{theme.Dim, " · "}, span{theme.Warn, figure.Whole(float64(s.Dropped)) + " due and dropped by the cap"})
	}
	p.line(t)
	tokens := func(n int64) string {
		if n < 0 {
			return figure.Absent
		}
		return figure.Thousands(n)
	}
	p.line(text{{theme.Dim, "tokens: prompt "}, {theme.Plain, tokens(s.InputTokens)}, {theme.Dim, " · of them cached "}, {theme.Plain, tokens(s.CachedTokens)},
		{theme.Dim, " · output "}, {theme.Plain, tokens(s.OutputTokens)}, {theme.Dim, " · in flight, mean "}, {theme.Plain, value(s.MeanInFlight, "")}})
	if s.Merged > 0 {
		p.say(theme.Warn, "▲ "+share(s.Merged)+" of chunk gaps are of merged arrivals: their stamps may be those of a later piece")
	}
	if s.Guessed > 0 {
		p.say(theme.Warn, "▲ "+share(s.Guessed)+" of requests have guessed tokens per chunk: nobody told them, each chunk counts as one")
	}
	if s.Steady == (score.Window{}) {
		p.say(theme.Warn, "▲ no steady window, the numbers are of the whole run: "+s.SteadyWhy)
		return
	}
	p.say(theme.Dim, "steady from "+s.Steady.From.At().Local().Format("15:04:05")+" to "+s.Steady.To.At().Local().Format("15:04:05")+" ("+figure.Span(s.Steady.To.Sub(s.Steady.From))+"): "+s.SteadyWhy)
}

func share(v float64) string {
	if math.IsNaN(v) {
		return figure.Absent
	}
	return value(v, "share")
}

// latencies writes the table of latencies: as many percentiles as have room.
func (p *page) latencies(s *score.Score) {
	p.title("latencies, with 95 % intervals")
	nameW, cellW := 19, 17
	type col struct {
		name string
		of   func(x *score.Summary) (string, theme.Ink)
		unit string
	}
	var unit string
	q := func(f func(x *score.Summary) score.Quantile) func(x *score.Summary) (string, theme.Ink) {
		return func(x *score.Summary) (string, theme.Ink) { return quantile(f(x), unit, p.ascii) }
	}
	cols := []col{
		{"mean", func(x *score.Summary) (string, theme.Ink) { return estimate(x.Mean, unit, p.ascii), theme.Plain }, ""},
		{"p50", q(func(x *score.Summary) score.Quantile { return x.P50 }), ""}, {"p95", q(func(x *score.Summary) score.Quantile { return x.P95 }), ""},
		{"p99", q(func(x *score.Summary) score.Quantile { return x.P99 }), ""}, {"p90", q(func(x *score.Summary) score.Quantile { return x.P90 }), ""},
		{"p99.9", q(func(x *score.Summary) score.Quantile { return x.P999 }), ""},
	}
	n := min(max((p.w-nameW-8)/(cellW+1), 2), len(cols))
	if n < len(cols) && n > 3 {
		n = 4
	}
	cols = cols[:n]
	order := map[string]int{"mean": 0, "p50": 1, "p90": 2, "p95": 3, "p99": 4, "p99.9": 5}
	for i := range cols {
		for j := i + 1; j < len(cols); j++ {
			if order[cols[j].name] < order[cols[i].name] {
				cols[i], cols[j] = cols[j], cols[i]
			}
		}
	}
	if s.E2E.Count == 0 && s.E2E.Failed == 0 {
		p.say(theme.Warn, "▲ no request began and ended in the time that is scored: the run was shorter than an answer")
		return
	}
	head := text{left(theme.Dim, "", nameW)}
	for _, c := range cols {
		head = append(head, right(theme.Dim, c.name, cellW+1))
	}
	head = append(head, right(theme.Dim, "of", 8))
	p.line(head)
	for _, f := range score.Formulas() {
		x := summaryOf(s, f.Key)
		if x == nil || x.Count == 0 && x.Failed == 0 {
			continue
		}
		unit = f.Unit
		row := text{left(theme.Plain, f.Name, nameW)}
		for _, c := range cols {
			t, ink := c.of(x)
			row = append(row, right(ink, t, cellW+1))
		}
		row = append(row, right(theme.Dim, figure.Short(float64(x.Count)), 8))
		p.line(row)
	}
	p.say(theme.Faint, "needs n: so many more requests until that percentile has an interval. failed: it lies among the failures, which rank above every success; +✗: its interval reaches into them.")
}

// summaryOf gives the latency that a formula is of, nil if it is of another number.
func summaryOf(s *score.Score, key string) *score.Summary {
	return map[string]*score.Summary{"ttft": &s.TTFT, "ttft_sched": &s.TTFTSched, "tpot": &s.TPOT, "itl": &s.ITL, "chunk_gap": &s.Gap, "e2e": &s.E2E, "e2e_sched": &s.E2ESched,
		"normalized": &s.Normalized, "send_lag": &s.Lag, "queue": &s.Queue, "prefill": &s.Prefill, "rest": &s.Rest}[key]
}

func (p *page) rates(s *score.Score) {
	p.title("throughput and goodput, of the steady window")
	for _, x := range []struct {
		name string
		r    score.Rate
		unit string
	}{{"requests", s.Requests, "1/s"}, {"output tokens", s.Output, "tokens/s"}, {"all tokens", s.Total, "tokens/s"}} {
		p.line(text{left(theme.Plain, x.name, 19), right(theme.Plain, estimate(rateOf(s, x.r), x.unit, p.ascii), 24)})
	}
	g := s.Goodput
	if !g.Asked {
		p.line(text{left(theme.Plain, "goodput", 19), {theme.Faint, "  no SLO was asked for"}})
		return
	}
	if g.Tried == 0 || math.IsNaN(g.Share.Value) {
		p.line(text{left(theme.Plain, "goodput", 19), {theme.Faint, "  no request to judge"}})
		return
	}
	word, ink := "met", theme.Good
	if !g.Met {
		word, ink = "not met", theme.Warn
	}
	p.line(text{left(theme.Plain, "goodput", 19), right(ink, estimate(g.Share, "share", p.ascii), 24), {ink, "  SLO " + word},
		{theme.Dim, fmt.Sprintf(": %d good of %d, judged from the schedule; %d from the sending", g.Good, g.Tried, g.GoodSent)}})
	p.line(text{left(theme.Dim, "", 19), {theme.Dim, "  " + value(g.Requests, "1/s") + " good requests, " + value(g.Tokens, "tokens/s") + " of good ones"}})
}

func (p *page) errors(s *score.Score) {
	if len(s.Errors) == 0 {
		return
	}
	p.title("errors by class, with the first message of each")
	for _, e := range s.Errors {
		p.say(theme.Bad, "✗ "+figure.Whole(float64(e.Count))+" "+e.Class.String()+": "+e.First)
	}
}

// reconciled writes our counts beside the server's.
func (p *page) reconciled(r sessions.Run) {
	t, ok := tableOf(r)
	if !ok {
		return
	}
	p.title("ours beside the server's")
	if t.From.IsZero() {
		p.say(theme.Warn, "▲ no reading of the engine's page at the run's edges: "+t.Why)
		return
	}
	edge := func(rest bool) string {
		if rest {
			return "at rest"
		}
		return "with requests in flight"
	}
	p.say(theme.Dim, "between the readings at "+t.From.Local().Format("15:04:05")+" ("+edge(t.RestFrom)+") and "+t.To.Local().Format("15:04:05")+" ("+edge(t.RestTo)+")")
	cells := []int{15, 12, 10, 12, 12, 11}
	head := text{left(theme.Dim, "", cells[0])}
	for i, h := range []string{"ours", "crossing", "server", "difference", ""} {
		head = append(head, right(theme.Dim, h, cells[i+1]))
	}
	p.line(head)
	for _, x := range t.Rows {
		num := func(v float64) string {
			if x.Unit == "s" {
				return value(v, "s")
			}
			if math.IsNaN(v) {
				return figure.Absent
			}
			return figure.Whole(v)
		}
		crossing := num(x.Crossing)
		if x.Unit == "s" {
			crossing = ""
		}
		ink := map[validity.Verdict]theme.Ink{validity.Exact: theme.Good, validity.Explained: theme.Plain, validity.More: theme.Warn, validity.Less: theme.Warn, validity.Untold: theme.Faint}[x.Verdict]
		row := text{left(theme.Plain, x.Name, cells[0]), right(theme.Plain, num(x.Ours), cells[1]), right(theme.Dim, crossing, cells[2]), right(theme.Plain, num(x.Server), cells[3]),
			right(ink, num(x.Difference), cells[4]), right(ink, string(x.Verdict), cells[5])}
		room := p.w - row.width() - 2
		if x.Why != "" && room >= 40 {
			for i, l := range grid.Wrap(x.Why, room) {
				if i == 0 {
					p.line(append(row, span{theme.Dim, "  " + l}))
					continue
				}
				p.line(text{{theme.Dim, strings.Repeat(" ", row.width()+2) + l}})
			}
			continue
		}
		p.line(row)
		if x.Why != "" {
			p.lines = append(p.lines, indented(theme.Dim, x.Why, p.w)...)
		}
	}
	if t.Why != "" {
		p.say(theme.Dim, t.Why)
	}
}

// server says whom it was sent to, by which client.
func (p *page) server(r sessions.Run) {
	p.title("to whom")
	var parts []string
	for _, k := range []string{"url", "engine", "version", "model"} {
		if v := r.Target[k]; v != "" {
			parts = append(parts, k+" "+v)
		}
	}
	if len(parts) > 0 {
		p.say(theme.Dim, strings.Join(parts, " · "))
	}
	if len(r.Certificate) == 0 {
		p.say(theme.Dim, "by a client that was not measured on this host: pitwall calibrate")
	} else {
		p.say(theme.Dim, "by a client that was measured on this host (pitwall calibrate); its certificate is stored with the run")
	}
	if s := sloText(r.Point.SLO); s != "" {
		p.say(theme.Dim, "SLO "+s+fmt.Sprintf(", for %s of the requests", value(r.Point.Filled().SLO.Share, "share")))
	}
}

// formulas writes how every number is defined.
func (p *page) formulas() {
	p.title("formulas")
	for _, l := range Formulas() {
		p.say(theme.Dim, l)
	}
}
