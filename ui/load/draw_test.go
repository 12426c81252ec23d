package load

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/sessions/score"
	"pitwall/sessions/steer"
	"pitwall/ui/grid"
	"pitwall/ui/screen"
)

// drawn is what a size of the bar shows.
func drawn(b *Bar, w, rows int) string {
	c := grid.New(w, rows)
	if rows == 1 {
		b.DrawLine(c.Pane(), screen.Frame{})
	} else {
		b.Draw(c.Pane(), screen.Frame{})
	}
	return plainOf(c, w, rows)
}

func plainOf(c *grid.Canvas, w, h int) string {
	var s strings.Builder
	for y := range h {
		for x := range w {
			r, _ := c.Pane().At(x, y)
			s.WriteRune(r)
		}
		s.WriteByte('\n')
	}
	return s.String()
}

func wordsOf(lines []text) string {
	var s strings.Builder
	for _, l := range lines {
		for _, x := range l {
			s.WriteString(x.s)
		}
		s.WriteByte('\n')
	}
	return s.String()
}

func TestOnlyALoadsOwnStopEndsItByItself(t *testing.T) {
	for _, tc := range []struct {
		name  string
		stop  shape.Stop
		state sessions.RunState
		why   string
		want  bool
	}{
		{"so many requests", shape.Stop{Requests: 500}, sessions.Done, "500 requests have ended", true},
		{"one request", shape.Stop{Requests: 1}, sessions.Done, "1 request has ended", true},
		{"its time", shape.Stop{After: time.Minute}, sessions.Done, "1m0s have passed", true},
		{"so many errors", shape.Stop{Errors: 3}, sessions.Done, "3 requests have failed", true},
		{"a precision", shape.Stop{Precision: 0.05}, sessions.Done, "the mean latency is known to ±4.0 % after 80 requests", true},
		{"the operator cancelled it", shape.Stop{Requests: 500}, sessions.Broken, "it was cut before it was alone", false},
		{"the console was closed", shape.Stop{Requests: 500}, sessions.Done, "the console was closed", false},
		{"another point came", shape.Stop{After: time.Minute}, sessions.Done, "another load took its place", false},
		{"a stop that nobody asked for", shape.Stop{}, sessions.Done, "500 requests have ended", false},
	} {
		b, d := running(1)
		p := base()
		p.Stop = tc.stop
		d.status = steer.Status{Phase: steer.Idle, Why: tc.why, Run: sessions.Run{ID: 1, Point: p, State: tc.state}}
		b.Update(screen.Tick{})
		got := wordsOf(b.waiting(screen.Frame{}))
		if !strings.Contains(got, tc.why) || strings.Contains(got, "ended by itself") != tc.want {
			t.Errorf("%s: by itself must be %v in\n%s", tc.name, tc.want, got)
		}
	}
}

func TestTheBarSaysThatNothingComes(t *testing.T) {
	for _, tc := range []struct {
		name       string
		status     steer.Status
		want, lack string
	}{
		{"a pause", steer.Status{InFlight: 3, Silent: 4 * time.Second}, "", "no byte"},
		{"silence", steer.Status{InFlight: 3, Silent: 12 * time.Second, Live: steer.Live{Requests: 7}}, "▲ 3 in flight, no byte for 12s", "client ok"},
		{"silence from the beginning", steer.Status{InFlight: 3, Silent: 12 * time.Second}, "▲ 3 in flight, no byte for 12s", "client ok"},
		{"silence after failures", steer.Status{InFlight: 3, Silent: 12 * time.Second, Live: steer.Live{Requests: 7}, Tally: failed(2)}, "no byte for 12s", "client ok"},
		{"nothing in flight", steer.Status{Silent: 12 * time.Second}, "", "no byte"},
	} {
		b, d := running(1)
		tc.status.Phase, tc.status.Point = steer.Running, base()
		d.status = tc.status
		b.Update(screen.Tick{})
		for _, size := range [][2]int{{160, 5}, {80, 3}, {60, 1}} {
			got := drawn(b, size[0], size[1])
			if !strings.Contains(got, tc.want) || strings.Contains(got, tc.lack) {
				t.Errorf("%s at %v: want %q and not %q in\n%s", tc.name, size, tc.want, tc.lack, got)
			}
		}
	}
}

func TestTheBarWritesNoNumbersOfNothing(t *testing.T) {
	b, d := running(1)
	for _, tc := range []struct {
		name        string
		change      func(*steer.Status)
		want, lacks []string
	}{
		{"no request has ended", func(*steer.Status) {}, []string{"— no request has ended yet", "send lag —"}, []string{"0 µs", "newest 0"}},
		{"nothing was sent lately", func(s *steer.Status) { s.Live.Requests = 9 }, []string{"send lag —", "newest 9 requests"}, []string{"send lag p50"}},
		{"one request", func(s *steer.Status) { s.Live.Requests, s.LagMax, s.LagP50 = 1, time.Millisecond, time.Millisecond }, []string{"send lag p50 1.00 ms", "numbers of one request"}, nil},
		{"none is ok", func(s *steer.Status) { s.Live.Requests, s.Live.RequestRate, s.Tally = 2, 5.08, failed(2) }, []string{"requests —", "output —"}, []string{"5.08"}},
	} {
		d.status = steer.Status{Phase: steer.Running, Point: base(), InFlight: 1}
		tc.change(&d.status)
		b.Update(screen.Tick{})
		got := drawn(b, 160, 5)
		for _, w := range tc.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %q in\n%s", tc.name, w, got)
			}
		}
		for _, l := range tc.lacks {
			if strings.Contains(got, l) {
				t.Errorf("%s: %q in\n%s", tc.name, l, got)
			}
		}
	}
}

func failed(n int) (t load.Tally) {
	t.Class[request.Refused], t.First[request.Refused] = n, "connection refused"
	return t
}

func TestABrokenRunShowsItsScore(t *testing.T) {
	s := score.Score{Sent: 12, OK: 3, Failed: 9, Errors: []score.ErrorCount{{Class: request.Refused, Count: 9, First: "connection refused"}},
		Flags: []score.Flag{{Kind: "errors", Title: "most requests failed", Invalid: true}}}
	r := sessions.Run{ID: 4, Point: base(), State: sessions.Broken, Why: "the engine is gone", Score: &s}
	got := wordsOf(full(r, 120, false))
	_, flags, _ := strings.Cut(got, "flags\n")
	if !strings.HasPrefix(flags, "✗ broken: the engine is gone\n✗ INVALID errors") {
		t.Errorf("the flags do not begin with why it broke:\n%s", got)
	}
	for _, want := range []string{"12 sent: 3 ok", "✗ 9 refused: connection refused"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	r.Score = nil
	if got := wordsOf(full(r, 120, false)); !strings.Contains(got, "it broke, and has no score") {
		t.Errorf("without a score it says\n%s", got)
	}
}

func TestARunWithoutAGoodRequestHasNoRates(t *testing.T) {
	s := score.Score{Sent: 20, Failed: 20, Requests: score.Rate{Estimate: score.Estimate{Value: 5.08, Low: 5, High: 5.2}},
		Goodput: score.Goodput{Asked: true, Tried: 20, Share: score.Estimate{Value: math.NaN()}}}
	got := wordsOf(full(sessions.Run{ID: 1, State: sessions.Done, Score: &s}, 120, false))
	if strings.Contains(got, "5.08") || strings.Contains(got, "not met") || !strings.Contains(got, "no request to judge") {
		t.Errorf("rates of nothing:\n%s", got)
	}
}

func TestADifferenceSaysWhatSpoilsIt(t *testing.T) {
	of := func(change func(*sessions.Run)) sessions.Run {
		r := sessions.Run{ID: 1, State: sessions.Done, Score: &score.Score{Sent: 50, OK: 50}}
		change(&r)
		return r
	}
	for _, tc := range []struct {
		name, want string
		change     func(*sessions.Run)
	}{
		{"nothing", "", func(*sessions.Run) {}},
		{"a flag that needs care", "", func(r *sessions.Run) { r.Score.Flags = []score.Flag{{Kind: "errors"}} }},
		{"a flag that makes it unusable", "✗ run 1 must not be used: client-bound (too slow)", func(r *sessions.Run) {
			r.Score.Flags = []score.Flag{{Kind: "client-bound", Title: "too slow", Invalid: true}}
		}},
		{"few requests", "▲ too few requests to compare: run 1 has 9 ok", func(r *sessions.Run) { r.Score.OK = 9 }},
		{"a run that broke", "✗ run 1 must not be used: it broke: the engine died", func(r *sessions.Run) { r.State, r.Why = sessions.Broken, "the engine died" }},
	} {
		if _, got := spoils(of(tc.change)); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestNoVerdictIsCut(t *testing.T) {
	why := "no difference shown, +12.3 % (-10.1 to +20.2); more than 99 more runs would not settle it"
	for _, w := range []int{74, 154, 234} {
		p := &page{w: w}
		p.row(score.Difference{Name: "TTFT mean", Unit: "s", Verdict: score.NoDifference, Why: why}, 23, 17, 0)
		if got := strings.Join(strings.Fields(wordsOf(p.lines)), " "); !strings.HasSuffix(got, why) {
			t.Errorf("at %d: %q", w, got)
		}
	}
}

func TestTheWholeHintOfTheLineIsThere(t *testing.T) {
	b, _ := running(1)
	l := &line{bar: b, input: newInput("")}
	for _, size := range [][2]int{{80, 24}, {160, 45}, {240, 70}, {40, 7}} {
		w, h := l.Size(size[0], size[1])
		c := grid.New(w, h)
		l.Draw(c.Pane(), screen.Frame{})
		got := plainOf(c, w, h)
		if whole := strings.Contains(got, "preset NAME"); !whole && !strings.Contains(got, "…") || !whole && size[1] > 10 {
			t.Errorf("at %v\n%s", size, got)
		}
	}
}

func TestWhatIsRefusedStaysAndIsOfferedAgain(t *testing.T) {
	b, _ := running(1)
	typed := func(k string) string {
		t.Helper()
		return key(t, b, k)().(screen.Open).Overlay.(*line).text()
	}
	l := &line{bar: b, input: newInput("i 999999")}
	if cmd, closed := l.Key(tea.KeyPressMsg{Code: tea.KeyEnter}); cmd == nil || !closed {
		t.Fatal("enter did nothing")
	}
	b.Update(started{err: errors.New("more than max_model_len")})
	for range 100 {
		b.Update(screen.Tick{})
	}
	if got := drawn(b, 80, 3); !strings.Contains(got, "NOT DONE  more than max_model_len") {
		t.Errorf("why it was refused is gone:\n%s", got)
	}
	if got := typed("c"); got != "c" {
		t.Errorf("c offers %q", got)
	}
	if got := drawn(b, 80, 3); strings.Contains(got, "NOT DONE") {
		t.Errorf("it stays after a key:\n%s", got)
	}
	if got := typed("i"); got != "i 999999" {
		t.Errorf("what was refused is not offered again: %q", got)
	}
	if got := typed("i"); got != "i" {
		t.Errorf("it is offered for ever: %q", got)
	}
}
