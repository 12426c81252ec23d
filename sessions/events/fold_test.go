package events

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
)

// t0 is the beginning of every story in these tests.
var t0 = time.Date(2026, 11, 24, 23, 0, 0, 0, time.UTC)

func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

// told is an event that a probe or a rule left: kind, subject and title, attributes as name=value.
func told(s float64, sev probes.Severity, kind, subject, title string, attrs ...string) probes.Event {
	e := probes.Event{Time: at(s), Kind: kind, Subject: subject, Severity: sev, Title: title}
	if len(attrs) > 0 {
		e.Attrs = map[string]string{}
	}
	for _, a := range attrs {
		name, v, _ := strings.Cut(a, "=")
		e.Attrs[name] = v
	}
	return e
}

// state is an engine's change of state, as probes/engine leaves it.
func state(s float64, sev probes.Severity, from, to, reason string, more ...string) probes.Event {
	return told(s, sev, probes.KindEngineState, "engine/e:1", "", append([]string{"state=" + to, "from=" + from, "reason=" + reason}, more...)...)
}

// line writes an episode in one line: from–to, count and active time where they say something, kind, subject, text.
func line(e Episode) string {
	when := fmt.Sprintf("%g–", e.Start.Sub(t0).Seconds())
	switch {
	case e.Moment:
		when = fmt.Sprintf("%g", e.Start.Sub(t0).Seconds())
	case !e.Ongoing():
		when += fmt.Sprintf("%g", e.End.Sub(t0).Seconds())
	}
	s := fmt.Sprintf("%s %s %s %s %s", when, e.Severity, e.Kind, e.Subject, e.Text())
	if e.Count != 1 {
		s += fmt.Sprintf(" (%d times, %s)", e.Count, e.Active)
	}
	return s
}

func TestFoldingMakesEpisodesOfEvents(t *testing.T) {
	const rule = "engine.preempting"
	for name, c := range map[string]struct {
		events []probes.Event
		at     float64
		want   []string
	}{
		"an engine is killed and started again, each state with how long it lasted": {
			events: []probes.Event{
				state(1, probes.Note, "", "ready", ""),
				state(60, probes.Critical, "ready", "no_answer", "the server answers, its engine is dead (health check: 503)", "lasted=59s", "log=INFO x\nEngineDeadError: killed"),
				state(61, probes.Critical, "no_answer", "no_engine", "process 41 is gone", "lasted=1s"),
				state(65, probes.Note, "no_engine", "starting", "process 77 is there, port 8000 is not open yet", "since="+at(63).Format(time.RFC3339Nano), "lasted=2s"),
				state(103, probes.Warning, "starting", "restarted", "process 77 instead of 41", "lasted=40s"),
				state(163, probes.Note, "restarted", "ready", "", "lasted=1m0s"),
			},
			at: 200,
			want: []string{
				"1–60 note engine.ready engine/e:1 ready: so when the recording began",
				"60–63 critical engine.dead engine/e:1 dead: the server answers, its engine is dead (health check: 503); its log: EngineDeadError: killed; then process 41 is gone",
				"63–103 note engine.starting engine/e:1 starting: process 77 is there, port 8000 is not open yet",
				"103– warning engine.restarted engine/e:1 ready again: restarted (process 77 instead of 41), after starting for 40s",
			},
		},
		"a stall began when the last token moved, and ended when one moved again": {
			events: []probes.Event{
				state(0, probes.Note, "", "ready", ""),
				state(30, probes.Critical, "ready", "stalled", "4 running, and no token counter moved for 12s", "since="+at(18).Format(time.RFC3339Nano)),
				state(41, probes.Note, "stalled", "ready", "", "lasted=23s"),
			},
			at: 50,
			want: []string{
				"0–18 note engine.ready engine/e:1 ready: so when the recording began",
				"18–41 critical engine.stalled engine/e:1 stalled: 4 running, and no token counter moved for 12s",
				"41– note engine.ready engine/e:1 works again: after 23s of standing still",
			},
		},
		"a recorder that goes on with the session finds the engine in the state that it was in": {
			events: []probes.Event{
				state(0, probes.Note, "", "ready", ""),
				told(9, probes.Warning, "recorder.gap", "recorder", "not recorded for 4s: the recorder was gone", "from="+at(5).Format(time.RFC3339Nano), "cause=the recorder was gone", "lasted=4s"),
				state(10, probes.Note, "", "ready", ""),
			},
			at:   20,
			want: []string{"0– note engine.ready engine/e:1 ready: so when the recording began", "5–9 warning recorder.gap recorder not recorded: the recorder was gone"},
		},
		"an engine that has never answered is not dead": {
			events: []probes.Event{
				state(0, probes.Note, "", "no_engine", "nothing listens on port 8000"),
				state(5, probes.Note, "no_engine", "starting", "process 5 is there"),
				state(9, probes.Critical, "starting", "no_engine", "process 5 ended before it was ready"),
			},
			at: 10,
			want: []string{
				"0–5 note engine.none engine/e:1 no engine: nothing listens on port 8000",
				"5–9 note engine.starting engine/e:1 starting: process 5 is there",
				"9– critical engine.dead engine/e:1 start failed: process 5 ended before it was ready",
			},
		},
		"what a rule found has its beginning, its end, its count and the time that it was there": {
			events: []probes.Event{
				told(10, probes.Warning, rule, "engine/e:1", "preempting: KV cache 100 %", "phase=began", "cause=KV cache 100 %", "expr=x", "value=2/s", "threshold=> 0/s"),
				told(20, probes.Critical, rule, "engine/e:1", "preempting", "phase=again", "count=2", "active=4s"),
				told(26, probes.Warning, rule, "engine/e:1", "", "phase=ended", "count=3", "active=7s"),
			},
			at:   60,
			want: []string{"10–26 critical engine.preempting engine/e:1 preempting: KV cache 100 % (3 times, 7s)"},
		},
		"what goes on is there as long as it is known to be": {
			events: []probes.Event{
				told(10, probes.Warning, rule, "engine/e:1", "preempting", "phase=began"),
				told(20, probes.Warning, rule, "engine/e:1", "preempting", "phase=again", "count=2", "active=4s"),
			},
			at:   25,
			want: []string{"10– warning engine.preempting engine/e:1 preempting (2 times, 9s)"},
		},
		"a second beginning of what goes on is the first, told by another recorder": {
			events: []probes.Event{
				told(10, probes.Warning, rule, "engine/e:1", "preempting", "phase=began"),
				told(20, probes.Warning, rule, "engine/e:1", "preempting", "phase=began"),
				told(22, probes.Warning, rule, "engine/e:1", "preempting", "phase=ended"),
			},
			at:   25,
			want: []string{"10–22 warning engine.preempting engine/e:1 preempting"},
		},
		"what comes again after its end was told is still the one event": {
			events: []probes.Event{
				told(10, probes.Warning, rule, "engine/e:1", "preempting", "phase=began"),
				told(12, probes.Warning, rule, "engine/e:1", "", "phase=ended", "count=1", "active=2s"),
				told(30, probes.Warning, rule, "engine/e:1", "preempting", "phase=again", "count=2", "active=2s"),
				told(35, probes.Warning, rule, "engine/e:1", "", "phase=ended", "count=2", "active=7s"),
			},
			at:   60,
			want: []string{"10–35 warning engine.preempting engine/e:1 preempting (2 times, 7s)"},
		},
		"an end without a beginning is nothing": {
			events: []probes.Event{told(20, probes.Warning, rule, "engine/e:1", "preempting", "phase=ended")},
			at:     25,
		},
		"each GPU has its own throttling, by reason": {
			events: []probes.Event{
				told(1, probes.Warning, "gpu.throttle", "gpu/0", "GPU 0: the hardware slows it down, because it is too hot", "reason=hw_thermal"),
				told(2, probes.Warning, "gpu.throttle", "gpu/1", "GPU 1: the power supply's brake slows it down", "reason=power_brake"),
				told(30, probes.Note, "gpu.throttle", "gpu/0", "over", "reason=hw_thermal", "over=true", "lasted=17s"),
			},
			at: 60,
			want: []string{
				"1–18 warning gpu.throttle gpu/0 throttled (hw_thermal): the hardware slows it down, because it is too hot",
				"2– warning gpu.throttle gpu/1 throttled (power_brake): the power supply's brake slows it down",
			},
		},
		"a GPU that is lost is not throttled any more": {
			events: []probes.Event{
				told(1, probes.Warning, "gpu.throttle", "gpu/3", "GPU 3: the hardware slows it down, because it is too hot", "reason=hw_thermal"),
				told(5, probes.Critical, "gpu.lost", "gpu/3", "GPU 3 is lost"),
			},
			at: 9,
			want: []string{
				"1–5 warning gpu.throttle gpu/3 throttled (hw_thermal): the hardware slows it down, because it is too hot",
				"5– critical gpu.lost gpu/3 lost",
			},
		},
		"a GPU is lost until it answers": {
			events: []probes.Event{
				told(1, probes.Critical, "gpu.lost", "gpu/3", "GPU 3 is lost, says nvmlDeviceGetPowerUsage", "call=nvmlDeviceGetPowerUsage"),
				told(8, probes.Warning, "gpu.back", "gpu/3", "GPU 3 answers again"),
			},
			at:   9,
			want: []string{"1–8 critical gpu.lost gpu/3 lost: nvmlDeviceGetPowerUsage says so"},
		},
		"equal XIDs that follow each other are one, others are not, and marks never are": {
			events: []probes.Event{
				told(1, probes.Warning, "gpu.xid", "gpu/0", "GPU 0 XID 31: memory page fault", "xid=31", "meaning=memory page fault"),
				told(3, probes.Warning, "gpu.xid", "gpu/0", "GPU 0 XID 31: memory page fault", "xid=31", "meaning=memory page fault"),
				told(4, probes.Critical, "gpu.xid", "gpu/0", "GPU 0 XID 79: fell off the bus", "xid=79", "meaning=fell off the bus"),
				told(5, probes.Note, "mark", "operator", "here"),
				told(6, probes.Note, "mark", "operator", "here"),
			},
			at: 9,
			want: []string{
				"1–3 warning gpu.xid gpu/0 XID 31: memory page fault (2 times, 0s)",
				"4 critical gpu.xid gpu/0 XID 79: fell off the bus",
				"5 note mark operator here",
				"6 note mark operator here",
			},
		},
		"a stepped clock is a moment with its cause": {
			events: []probes.Event{told(7, probes.Warning, "recorder.clock", "host", "the clock was set back by 1h0m0s", "by=-1h0m0s", "cause=the session's times go on as they began")},
			at:     9,
			want:   []string{"7 warning recorder.clock host the clock was set back by 1h0m0s: the session's times go on as they began"},
		},
		"an OOM kill and a change of model are moments": {
			events: []probes.Event{
				told(1, probes.Critical, "host.oom_kill", "host", "out of memory: the kernel killed a process on this host", "of=host", "killed=1"),
				told(2, probes.Warning, "engine.changed", "engine/e:1", "model changed: a → b", "what=model", "from=a", "to=b"),
			},
			at:   9,
			want: []string{"1 critical host.oom_kill host out of memory: the kernel killed a process on this host", "2 warning engine.changed engine/e:1 model changed: a → b"},
		},
		"a run of load is one episode, from its beginning to its last request, and its end says what it gave": {
			events: []probes.Event{
				told(10, probes.Note, "run.began", "run/1", "run 1 began: c=8 512→128 cold", "run=1"),
				told(40, probes.Note, "run.cut", "run/1", "run 1 cut", "run=1"),
				told(40, probes.Note, "run.began", "run/2", "run 2 began: chat", "run=2"),
				told(44, probes.Note, "run.ended", "run/1", "run 1 ended: 24 requests, 2 failed", "run=1"),
				told(60, probes.Warning, "run.ended", "run/2", "run 2 is broken: the engine is gone", "run=2"),
				told(61, probes.Note, "run.began", "run/3", "run 3 began: chat", "run=3"),
				told(70, probes.Warning, "run.ended", "run/9", "run 9 is broken: its recorder died", "run=9"),
			},
			at: 80,
			want: []string{
				"10–44 note run.began run/1 run 1: c=8 512→128 cold: 24 requests, 2 failed",
				"40–60 warning run.began run/2 run 2: chat: broken: the engine is gone",
				"61– note run.began run/3 run 3: chat",
				"70 warning run.ended run/9 run 9 is broken: its recorder died",
			},
		},
		"of what had not happened yet nothing is known": {
			events: []probes.Event{
				told(10, probes.Warning, rule, "engine/e:1", "preempting", "phase=began"),
				told(22, probes.Warning, rule, "engine/e:1", "preempting", "phase=ended"),
				told(30, probes.Note, "mark", "operator", "later"),
			},
			at:   15,
			want: []string{"10– warning engine.preempting engine/e:1 preempting"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range Fold(c.events, time.Time{}, time.Time{}, at(c.at)) {
				got = append(got, line(e))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
		})
	}
}

func TestOnlyEpisodesThatTouchAStretchAreGiven(t *testing.T) {
	all := []probes.Event{
		told(10, probes.Warning, "a.b", "x", "early", "phase=began"), told(20, probes.Warning, "a.b", "x", "", "phase=ended"),
		told(25, probes.Note, "mark", "operator", "there"),
		told(40, probes.Warning, "c.d", "x", "late", "phase=began"),
	}
	for _, c := range []struct {
		from, to float64
		want     string
	}{{0, 9, ""}, {0, 10, "early"}, {20, 24, "early"}, {21, 24, ""}, {15, 30, "early there"}, {41, 90, "late"}, {0, 90, "early there late"}} {
		var got []string
		for _, e := range Fold(all, at(c.from), at(c.to), at(100)) {
			got = append(got, e.Title)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("from %g to %g: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestFilterChoosesByEveryPart(t *testing.T) {
	e := Episode{Kind: "gpu.power_cap", Subject: "gpu/0", Severity: probes.Warning, Title: "power-capped", Cause: "399 of 400 W", Start: at(10), End: at(20)}
	for _, c := range []struct {
		name string
		f    Filter
		want bool
	}{
		{"nothing asked takes it", Filter{}, true},
		{"its kind", Filter{Kinds: []string{"gpu.power_cap"}}, true},
		{"a glob of it among others", Filter{Kinds: []string{"engine.*", "gpu.*"}}, true},
		{"another kind", Filter{Kinds: []string{"engine.*"}}, false},
		{"a glob that is none chooses nothing", Filter{Kinds: []string{"[gpu"}}, false},
		{"its subject", Filter{Subject: "gpu/0"}, true},
		{"another subject", Filter{Subject: "gpu/1"}, false},
		{"as grave as asked", Filter{MinSeverity: probes.Warning}, true},
		{"less grave", Filter{MinSeverity: probes.Critical}, false},
		{"words in any order and case", Filter{Text: "400 Capped"}, true},
		{"one word that isn't there", Filter{Text: "capped 500"}, false},
		{"a stretch that it touches", Filter{From: at(20), To: at(30)}, true},
		{"a stretch after it", Filter{From: at(21)}, false},
		{"a stretch before it", Filter{To: at(9)}, false},
	} {
		if got := c.f.Match(e); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestFrequenciesSayHowOftenAndHowMuchOfTheTime(t *testing.T) {
	all := []Episode{
		{Kind: "gpu.power_cap", Subject: "gpu/0", Title: "power-capped", Start: at(100), End: at(200), Count: 13, Active: 80 * time.Second},
		{Kind: "gpu.power_cap", Subject: "gpu/0", Title: "power-capped", Start: at(3000), Count: 1, Active: 600 * time.Second},
		{Kind: "gpu.power_cap", Subject: "gpu/1", Title: "power-capped", Start: at(-1000), End: at(1000), Count: 9, Active: 1000 * time.Second},
		{Kind: "gpu.xid", Subject: "gpu/0", Title: "XID 31", Start: at(50), End: at(50), Moment: true, Count: 1},
		{Kind: "gpu.xid", Subject: "gpu/0", Title: "XID 31", Start: at(5000), End: at(5000), Moment: true, Count: 1},
	}
	var got []string
	for _, f := range Frequencies(all, at(0), at(3600)) {
		got = append(got, f.Subject+" "+f.String())
	}
	want := []string{
		"gpu/0 power-capped 14 times, 19 % of 1h", // 80 s + 600 s
		"gpu/1 power-capped once, 14 % of 1h",     // half of its 1000 s lies inside
		"gpu/0 XID 31 once",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := Frequencies(all, at(5), at(5)); got != nil {
		t.Errorf("no time has frequencies: %v", got)
	}
}

// Whatever events a session holds, also a damaged one: no panic, every episode has a length that is none below zero, and
// was there for no more than that.
func FuzzFold(f *testing.F) {
	f.Add([]byte("\x00\x05\x10\x01\x20\x05\x22\x09\x31\x00"))
	f.Add([]byte("\x60\x01\x61\x02\x62\x03\x63\x04\x64\x05\x65\x06"))
	f.Fuzz(func(t *testing.T, script []byte) {
		states := []string{"", "ready", "starting", "restarted", "no_answer", "no_engine", "stalled", "sleeping", "later"}
		var all []probes.Event
		now := 0.0
		for i := 0; i+1 < len(script) && i < 200; i += 2 {
			op, arg := script[i], script[i+1]
			now += float64(arg % 16)
			subject := fmt.Sprintf("engine/%d", arg%3)
			text := strconv.Itoa(int(arg))
			switch op >> 4 {
			case 0, 1, 2:
				phase := []string{began, again, ended, "odd"}[op%4]
				all = append(all, told(now, probes.Severity(arg%4), "a.b", subject, "t", "phase="+phase, "count="+text, "active="+text+"s", "cause=c"+text))
			case 3:
				all = append(all, told(now, probes.Note, "recorder.gap", "recorder", "gap", "from="+at(now-float64(op%16)*float64(arg)).Format(time.RFC3339Nano)))
			case 4:
				all = append(all, told(now, probes.Warning, "gpu.throttle", "gpu/0", "GPU 0: x", "reason=r"+text, "over="+strconv.FormatBool(op%2 == 0), "lasted="+text+"s"))
			case 5:
				all = append(all, told(now, probes.Warning, []string{"gpu.lost", "gpu.back", "gpu.xid", "mark"}[op%4], "gpu/0", "x", "lasted=-"+text+"s", "xid="+text))
			default:
				e := state(now, probes.Severity(arg%3), states[int(op)%len(states)], states[int(arg)%len(states)], text, "lasted="+text+"s", "since="+at(now-float64(arg)).Format(time.RFC3339Nano))
				e.Subject = subject
				all = append(all, e)
			}
		}
		for _, known := range []float64{now / 2, now + 10} {
			for _, e := range Fold(all, time.Time{}, time.Time{}, at(known)) {
				if e.Count < 1 || e.Active < 0 || e.Lasted(at(known)) < 0 || e.Active > e.Lasted(at(known)) || e.Moment && !e.End.Equal(e.Start) || e.Start.After(at(known)) {
					t.Fatalf("%+v at %g", e, known)
				}
			}
		}
	})
}
