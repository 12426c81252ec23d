package load

import (
	"fmt"
	"math"
	"strings"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/sessions/score"
	"pitwall/sessions/steer"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// Rows is how many lines the bar has under its title on a screen of w by h: it depends on the size alone, so that panels don't
// jump. 0 says that there is room for one line only, which stands in place of the second of the screen.
func Rows(w, h int) int {
	switch {
	case h < 18:
		return 0
	case w >= 132 && h >= 34:
		return 4
	}
	return 2
}

// Title is what stands on the bar's upper border: how it stands, and what it is; right is what has become of the requests.
func (b *Bar) title(f screen.Frame, w int) (left, right text) {
	s := b.status
	word, ink := "off", theme.Dim
	switch s.Phase {
	case steer.Preparing:
		word, ink = "PREPARING", theme.Info
	case steer.Settling:
		word, ink = "SETTLING", theme.Info
	case steer.Running:
		word, ink = "ON", theme.Good
	case steer.Draining:
		word, ink = "DRAINING", theme.Warn
	}
	if b.busy != "" && !b.active() {
		word, ink = b.busy, theme.Info
	}
	left = text{{theme.Title, " load "}, {ink, "● " + word}}
	if s.Run.ID != 0 && b.active() {
		left = append(left, span{theme.Strong, "  run " + itoa(int(s.Run.ID))})
		if from := s.Run.Began; !from.IsZero() && f.Now.After(from) {
			left = append(left, span{theme.Dim, " " + figure.Span(f.Now.Sub(from))})
		}
	}
	what := b.draft
	if b.active() && s.Pending == nil && !b.touched {
		what = s.Point
	}
	name := what.Filled().String()
	if what.Label != "" {
		name = what.Label + ": " + name
	}
	left = append(left, span{theme.Plain, "  " + name + " "})
	if b.active() {
		right = b.counts(w)
	}
	return left, right
}

// counts is what has become of the run's requests.
func (b *Bar) counts(w int) text {
	s := b.status
	t := text{{theme.Plain, " " + itoa(s.InFlight) + " in flight"}}
	if s.Draining > 0 {
		t = append(t, span{theme.Warn, " (" + itoa(s.Draining) + " of the run before)"})
	}
	t = append(t, span{theme.Dim, " · "}, span{theme.Good, figure.Whole(float64(s.Tally.Class[request.OK])) + " ok"})
	if n := s.Tally.Failed(); n > 0 {
		t = append(t, span{theme.Dim, " · "}, span{theme.Bad, figure.Whole(float64(n)) + " failed"})
	}
	if n := s.Tally.Dropped; n > 0 {
		t = append(t, span{theme.Dim, " · "}, span{theme.Warn, figure.Whole(float64(n)) + " dropped by the cap"})
	}
	return append(t, span{theme.Plain, " "})
}

// trouble is the gravest thing that the bar has to say, nil if there is none.
func (b *Bar) trouble() text {
	s := b.status
	switch {
	case b.replay:
		return text{{theme.Notice, " READ ONLY "}, {theme.Plain, " " + b.cannotOpen()}}
	case s.Cannot != "":
		return text{{theme.Notice, " CAN'T "}, {theme.Plain, " " + s.Cannot}}
	case b.refused != "":
		return text{{theme.Alarm, " NOT DONE "}, {theme.Plain, " " + b.refused}}
	case s.Problem != "":
		return text{{theme.Alarm, " PROBLEM "}, {theme.Plain, " " + s.Problem}}
	case s.Bound != "" && b.active():
		return text{{theme.Alarm, " CLIENT-BOUND "}, {theme.Plain, " " + strings.TrimPrefix(s.Bound, "client-bound: ") + ": the numbers are this client's own"}}
	}
	if t := b.silence(); t != nil {
		if c, n, _ := worst(s); n > 0 {
			t = append(t, span{theme.Dim, " · "}, span{theme.Bad, "✗ " + figure.Whole(float64(n)) + " " + c})
		}
		return append(t, b.ofClient()...)
	}
	if c, n, first := worst(s); n > 0 && b.active() {
		t := text{{theme.Bad, "✗ " + figure.Whole(float64(n)) + " " + c}}
		if first != "" {
			t = append(t, span{theme.Plain, ": " + first})
		}
		return t
	}
	return nil
}

// longSilence is how long answers may pause before it is said: a prompt that is long to compute is no news.
const longSilence = 5 * time.Second

// silence says that requests are under way and nothing comes; nil while something does.
func (b *Bar) silence() text {
	s := b.status
	if !b.active() || s.InFlight == 0 || s.Silent <= longSilence {
		return nil
	}
	return text{{theme.Warn, "▲ " + itoa(s.InFlight) + " in flight, no byte for " + figure.Span(s.Silent)}}
}

// worst gives the errors by class, most frequent first, in words, their number, and the first message of the most frequent.
func worst(s steer.Status) (classes string, n int, first string) {
	most := 0
	var parts []string
	for c := request.OK; c < request.Classes; c++ {
		k := s.Tally.Class[c]
		if !c.Failed() || k == 0 {
			continue
		}
		n += k
		p := c.String() + " " + itoa(k)
		if k > most {
			most, first = k, s.Tally.First[c]
			parts = append([]string{p}, parts...)
			continue
		}
		parts = append(parts, p)
	}
	return "failed (" + strings.Join(parts, ", ") + ")", n, first
}

// Draw fills the pane with the bar: its title on the first line, which is a border, and its rows below.
func (b *Bar) Draw(p grid.Pane, f screen.Frame) {
	left, right := b.title(f, p.W())
	rw := right.width()
	end := p.W() - 1
	if left.width()+rw+2 > end {
		left = cut(left, end-rw-2)
	}
	if left.width()+rw+2 > end {
		right, rw = nil, 0
	}
	left.draw(p, 1, 0)
	right.draw(p, end-rw, 0)
	rows := p.H() - 1
	body := p.Sub(1, 1, p.W()-2, rows)
	trouble := b.trouble()
	switch {
	case rows >= 4:
		b.drawNumbers(body.Sub(0, 0, body.W(), 2), f)
		if trouble != nil {
			cut(trouble, body.W()-2).draw(body, 1, 2)
		} else {
			cut(b.quiet(f), body.W()-2).draw(body, 1, 2)
		}
		b.drawKeys(body.Sub(0, 3, body.W(), 1), f)
	default:
		if trouble != nil && !b.measured() || trouble != nil && trouble[0].ink != theme.Bad {
			cut(trouble, body.W()-2).draw(body, 1, 0)
		} else {
			b.drawShort(body.Sub(0, 0, body.W(), 1), f)
		}
		b.drawKeys(body.Sub(0, 1, body.W(), 1), f)
	}
}

// DrawLine writes the bar in one line, for the smallest screens.
func (b *Bar) DrawLine(p grid.Pane, f screen.Frame) {
	if t := b.trouble(); t != nil {
		cut(t, p.W()-1).draw(p, 0, 0)
		return
	}
	left, right := b.title(f, p.W())
	cut(append(left, right...), p.W()-1).draw(p, 0, 0)
}

// cut shortens a line to w cells.
func cut(t text, w int) text {
	var out text
	for _, s := range t {
		n := grid.Width(s.s)
		if n > w {
			if w > 1 {
				out = append(out, span{s.ink, grid.Cut(s.s, w)})
			}
			return out
		}
		out = append(out, s)
		w -= n
	}
	return out
}

// part is a piece of a line that may be left out: the highest rank first.
type part struct {
	rank int
	text text
}

// fit leaves out parts until they have room with a gap between.
func fit(parts []part, w, gap int) []part {
	for {
		total, worst := -gap, -1
		for i, p := range parts {
			total += p.text.width() + gap
			if p.rank > 0 && (worst < 0 || p.rank >= parts[worst].rank) {
				worst = i
			}
		}
		if total <= w || worst < 0 {
			return parts
		}
		parts = append(parts[:worst:worst], parts[worst+1:]...)
	}
}

func drawParts(p grid.Pane, parts []part, gap int) {
	x := 1
	for _, q := range fit(parts, p.W()-2, gap) {
		x = q.text.draw(p, x, 0) + gap
	}
}

func (b *Bar) drawKeys(p grid.Pane, f screen.Frame) {
	dead := b.cannot() != ""
	var parts []part
	for i, h := range b.hints(f.ASCII) {
		k, t := theme.Key, theme.Dim
		if dead && h[0] != "l" && h[0] != "L" {
			k, t = theme.Faint, theme.Faint
		}
		rank := i
		switch h[0] {
		case "l":
			rank = 6
		case "L":
			rank = 7
		}
		parts = append(parts, part{rank, text{{k, h[0]}, {t, " " + h[1]}}})
	}
	drawParts(p, parts, 2)
}

// latencies are those that the bar shows, in this order.
func (b *Bar) latencies() []latency {
	l := &b.status.Live
	return []latency{{"TTFT", &l.TTFT, "s"}, {"TPOT", &l.TPOT, "s/token"}, {"E2E", &l.E2E, "s"}}
}

type latency struct {
	name string
	sum  *score.Summary
	unit string
}

// drawNumbers writes the client's numbers in two lines that stand under each other.
func (b *Bar) drawNumbers(p grid.Pane, f screen.Frame) {
	if !b.measured() {
		b.drawWaiting(p, f)
		return
	}
	l := b.status.Live
	w := p.W() / 5
	for i, q := range b.latencies() {
		x := 1 + i*w
		n := p.Text(x, 0, theme.Dim, q.name+" p50 ")
		s, ink := quantile(q.sum.P50, q.unit, f.ASCII)
		p.Text(n, 0, ink, grid.Cut(s, x+w-n-1))
		n = p.Text(x, 1, theme.Dim, grid.Pad("", grid.Width(q.name))+" p95 ")
		s, ink = quantile(q.sum.P95, q.unit, f.ASCII)
		p.Text(n, 1, ink, grid.Cut(s, x+w-n-1))
	}
	x := 1 + 3*w
	text{{theme.Dim, "requests "}, {theme.Strong, b.rate(l.RequestRate, "1/s")}}.draw(p, x, 0)
	text{{theme.Dim, "output "}, {theme.Strong, b.rate(l.OutputRate, "tokens/s")}}.draw(p, x, 1)
	x = 1 + 4*w
	cut(b.goodput(), p.W()-x-1).draw(p, x, 0)
	cut(text{{theme.Dim, sloText(b.status.Point.SLO)}}, p.W()-x-1).draw(p, x, 1)
}

// rate writes a rate of the run under way. Where no request has ended well it is none, whatever was counted.
func (b *Bar) rate(v float64, unit string) string {
	if b.status.Tally.Class[request.OK] == 0 {
		return figure.Absent
	}
	return value(v, unit)
}

// measured tells whether there are numbers of a run.
func (b *Bar) measured() bool {
	return b.active() && b.status.Live.Requests > 0
}

// drawWaiting says why there are no numbers.
func (b *Bar) drawWaiting(p grid.Pane, f screen.Frame) {
	for i, t := range b.waiting(f) {
		if i < p.H() {
			cut(t, p.W()-2).draw(p, 1, i)
		}
	}
}

func (b *Bar) waiting(f screen.Frame) []text {
	s := b.status
	switch {
	case s.Phase == steer.Preparing:
		return []text{{{theme.Info, "looking at the server, and making prompts"}}}
	case b.active():
		return []text{{{theme.Dim, figure.Absent + " no request has ended yet"}}}
	}
	var out []text
	if s.Why != "" {
		why := s.Why
		if endedByItself(s.Run, why) {
			why = "ended by itself: " + why
		}
		out = append(out, text{{theme.Info, why}})
	}
	if r := s.Run; r.ID != 0 {
		t := text{{theme.Dim, "last: run " + itoa(int(r.ID)) + " "}, {theme.Plain, r.Point.Filled().String()}}
		if s.Judging > 0 {
			t = append(t, span{theme.Dim, " · its verdict waits for the engine's next page"})
		}
		if r.Score != nil {
			t = append(t, span{theme.Dim, " · "})
			t = append(t, inShort(r.Score)...)
		}
		return append(out, t)
	}
	if b.instance != "" {
		out = append(out, text{{theme.Dim, "s starts it on "}, {theme.Plain, b.instance}, {theme.Dim, "; on a server that is not simulated it asks first"}})
	}
	return out
}

// endedByItself tells whether a run ended because of its own point: the operator's stop and a server that is gone leave a why
// too. The words are those of package load.
func endedByItself(r sessions.Run, why string) bool {
	if r.State == sessions.Broken {
		return false
	}
	stop := r.Point.Stop
	for _, x := range []struct {
		asked bool
		words string
	}{
		{stop.Requests > 0, " ended"}, {stop.After > 0, " passed"}, {stop.Tokens > 0, " output token"}, {stop.Errors > 0, " failed"}, {stop.Precision > 0, " is known to "},
		{kindOf(r.Point) == shape.Trace || len(r.Point.Arrival.Steps) > 0, "the schedule is at its end"},
	} {
		if x.asked && strings.Contains(why, x.words) {
			return true
		}
	}
	return false
}

// drawShort writes the client's numbers in one line.
func (b *Bar) drawShort(p grid.Pane, f screen.Frame) {
	if !b.measured() {
		b.drawWaiting(p, f)
		return
	}
	l := b.status.Live
	num := func(rank int, label, s string, ink theme.Ink) part {
		return part{rank, text{{theme.Dim, label + " "}, {ink, s}}}
	}
	var parts []part
	for i, q := range b.latencies() {
		s, ink := plain(q.sum.P50, q.unit)
		parts = append(parts, num(i*2, q.name+" p50", s, ink))
		s, ink = plain(q.sum.P95, q.unit)
		parts = append(parts, num(3+i, "p95", s, ink))
	}
	parts = append(parts, num(1, "out", b.rate(l.OutputRate, "tokens/s"), theme.Strong), num(5, "req", b.rate(l.RequestRate, "1/s"), theme.Plain))
	parts = append(parts, part{4, b.goodput()})
	if c, n, _ := worst(b.status); n > 0 {
		parts = append(parts, part{0, text{{theme.Bad, "✗ " + strings.TrimSuffix(strings.TrimPrefix(c, "failed ("), ")")}}})
	}
	drawParts(p, parts, 2)
}

// goodput is the share of requests that met the SLO, or how to ask for one.
func (b *Bar) goodput() text {
	g := b.status.Live.Goodput
	switch {
	case !g.Asked:
		return text{{theme.Faint, "no SLO: slo ttft=500ms"}}
	case math.IsNaN(g.Share.Value):
		return text{{theme.Dim, "good "}, {theme.Faint, figure.Absent}}
	}
	ink := theme.Good
	if !g.Met {
		ink = theme.Warn
	}
	return text{{theme.Dim, "good "}, {ink, value(g.Share.Value, "share")}}
}

// quiet is what the bar says when nothing is wrong: how late this client is, and what it costs.
func (b *Bar) quiet(f screen.Frame) text {
	s := b.status
	if !b.active() {
		t := text{{theme.Dim, "the numbers of runs: L · arrivals by the kernel's stamps where it gives them · "}}
		if s.Certified {
			return append(t, span{theme.Good, "this client is certified on this host"})
		}
		return append(t, span{theme.Dim, "pitwall calibrate measures this client on this host"})
	}
	return append(text{{theme.Good, "client ok"}}, b.ofClient()...)
}

// ofClient is how late this client is, what it costs, and what its numbers are of.
func (b *Bar) ofClient() text {
	s := b.status
	t := text{{theme.Dim, " · send lag "}}
	if s.LagMax > 0 {
		t = append(t, span{theme.Dim, "p50 "}, span{theme.Plain, value(s.LagP50.Seconds(), "s")}, span{theme.Dim, " p99 "}, span{theme.Plain, value(s.LagP99.Seconds(), "s")})
	} else { // nothing was sent lately
		t = append(t, span{theme.Faint, figure.Absent})
	}
	t = append(t, span{theme.Dim, " · CPU "}, span{theme.Plain, fmt.Sprintf("%.0f %%", 100*s.CPU)}, span{theme.Dim, " of a core"})
	switch n := s.Live.Requests; n {
	case 0: // the line above says that none has ended
	case 1:
		t = append(t, span{theme.Dim, " · numbers of one request"})
	default:
		t = append(t, span{theme.Dim, " · numbers of the newest " + itoa(n) + " requests"})
	}
	if s.Rate > 0 {
		t = append(t, span{theme.Dim, " · asked for "}, span{theme.Plain, value(s.Rate, "1/s")})
	}
	if !s.Certified {
		t = append(t, span{theme.Dim, " · not calibrated on this host: pitwall calibrate"})
	}
	return t
}
