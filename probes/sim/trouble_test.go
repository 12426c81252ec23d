package sim

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// troubled is an engine with faults, and what it told of them.
func troubled(t testing.TB, cfg Config, faults ...Fault) (*Engine, *[]string) {
	t.Helper()
	cfg.Trace = 1 << 12
	e := engine(t, cfg)
	var told []string
	e.told = func(f *Fault, at time.Duration, end bool) {
		told = append(told, fmt.Sprintf("%v %s %v", at, f.Kind, map[bool]string{false: "began", true: "ended"}[end]))
		if e.Now() != at {
			t.Errorf("%s is told at %v, the engine is at %v", f.Kind, at, e.Now())
		}
	}
	for _, f := range faults {
		e.plan(f)
	}
	return e, &told
}

func schedule(t testing.TB, text string) []Fault {
	t.Helper()
	faults, err := ParseFaults([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

func TestACrashTakesEverythingAndTheNextLifeBeginsAtZero(t *testing.T) {
	e, told := troubled(t, Config{}, schedule(t, "- {at: 1s, for: 5s, fault: crash}")...)
	var ends []FinishReason
	long := request(100, 5000, 0)
	long.Ended = func(r FinishReason) { ends = append(ends, r) }
	short := request(10, 3, 0)
	submit(t, e, long, short)
	e.RunUntil(3 * time.Second)
	if len(ends) != 1 || ends[0] != Errored {
		t.Errorf("the long request was told %v", ends)
	}
	if got := e.resident(e.Now()); got != residentAtStart {
		t.Errorf("%g bytes", got)
	}
	e.RunUntil(6*time.Second + 1)
	if e.tally.generated != 0 || e.tally.success != [finishReasons]uint64{} || e.born != 6*time.Second || e.pool.free != e.pool.usable() {
		t.Errorf("the next life: %d tokens, %v, born %v", e.tally.generated, e.tally.success, e.born)
	}
	if got := strings.Join(*told, ", "); got != "1s crash began, 6s crash ended" {
		t.Errorf("told %s", got)
	}
	submit(t, e, request(10, 3, 0))
	drain(t, e)
	if e.tally.success[Length] != 1 {
		t.Error("the next life serves nobody")
	}
}

func TestNobodyWaitsForAnEngineThatIsGone(t *testing.T) {
	e, _ := troubled(t, Config{Traffic: NewTraffic(1, 0, 8192)}, schedule(t, "- {at: 20s, for: 10s, fault: crash}")...)
	e.RunUntil(30*time.Second + 1)
	refused, queued := 0, 0
	for _, h := range e.trace.since(0) {
		switch {
		case h.What == wasRefused:
			refused++
			if h.At < 20*time.Second || h.At > 30*time.Second {
				t.Errorf("refused at %v", h.At)
			}
		case h.What == wasQueued && h.At >= 20*time.Second && h.At < 30*time.Second:
			queued++
		}
	}
	if refused == 0 || queued != 0 {
		t.Errorf("%d refused, %d queued while it was gone", refused, queued)
	}
}

func TestAHangStretchesTheStepThatItMeetsAndLosesNothing(t *testing.T) {
	run := func(faults ...Fault) (*Engine, *Request) {
		e, _ := troubled(t, Config{}, faults...)
		r := request(100, 50, 0)
		submit(t, e, r)
		drainUntil(e, time.Minute)
		return e, r
	}
	_, plain := run()
	e, hung := run(schedule(t, "- {at: 105ms, for: 7s, fault: hang}")...)
	if got := hung.Times().Last - plain.Times().Last; got != 7*time.Second {
		t.Errorf("a hang of 7 s delayed the end by %v", got)
	}
	if e.tally.generated != 50 || e.tally.itl.sum < 7 {
		t.Errorf("%d tokens, gaps of %g s in all", e.tally.generated, e.tally.itl.sum)
	}
	during, _ := troubled(t, Config{}, schedule(t, "- {at: 105ms, for: 7s, fault: hang}")...)
	submit(t, during, request(100, 50, 0))
	during.RunUntil(3 * time.Second)
	late := request(10, 1, 0)
	submit(t, during, late)
	during.settle(3 * time.Second)
	if during.tally.running != 1 || during.tally.waiting != 0 || during.gpu.busyShare < 0.9 || during.gpu.watts > 100 {
		t.Errorf("hung: running %d, waiting %d, GPU %.2f busy at %g W", during.tally.running, during.tally.waiting, during.gpu.busyShare, during.gpu.watts)
	}
}

func drainUntil(e *Engine, limit time.Duration) {
	for e.Now() < limit {
		if _, ok := e.Advance(); !ok {
			if _, more := e.NextEvent(); !more {
				return
			}
			e.wait(limit)
		}
	}
}

func TestSlowStepsTakeAsManyTimesLongerAsTheySay(t *testing.T) {
	span := func(r *Request, faults ...Fault) time.Duration {
		e, _ := troubled(t, Config{}, faults...)
		submit(t, e, r)
		drainUntil(e, time.Hour)
		return r.Times().Last
	}
	plain := span(request(16, 200, 0))
	for _, c := range []struct {
		name string
		got  time.Duration
		want float64
	}{
		{"by a schedule, all the time", span(request(16, 200, 0), schedule(t, "- {for: 1h, fault: slow-steps, factor: 3}")...), 3},
		{"two at once multiply", span(request(16, 200, 0), schedule(t, "- {for: 1h, fault: slow-steps, factor: 3}\n- {for: 1h, fault: slow-steps, factor: 2}")...), 6},
		{"asked for by the request", span(func() *Request { r := request(16, 200, 0); r.Slow = 4; return r }()), 4},
		{"heat holds the clocks down", span(request(16, 200, 0), schedule(t, "- {for: 1h, fault: thermal, mhz: 705}")...), 1.5},
	} {
		if got := float64(c.got) / float64(plain); math.Abs(got-c.want) > 0.02*c.want {
			t.Errorf("%s: %.3f times, want %.3f", c.name, got, c.want)
		}
	}
	// A fault for a part of the time slows down that part.
	part := span(request(16, 200, 0), schedule(t, "- {at: 1s, for: 1s, fault: slow-steps, factor: 2}")...)
	if got := part - plain; got < 499*time.Millisecond || got > 501*time.Millisecond {
		t.Errorf("a second at half speed cost %v, want 0.5 s", got)
	}
}

func TestALowPowerLimitSlowsWhatDrawsMost(t *testing.T) {
	span := func(prompt, output int, faults ...Fault) time.Duration {
		e, _ := troubled(t, Config{}, faults...)
		r := request(prompt, output, 0)
		submit(t, e, r)
		drainUntil(e, time.Hour)
		return r.Times().Last
	}
	low := schedule(t, "- {for: 1h, fault: power, watts: 180}")
	prefill := float64(span(8000, 1, low...)) / float64(span(8000, 1))
	decode := float64(span(16, 500, low...)) / float64(span(16, 500))
	if prefill < 1.3 || decode < 1.02 || decode > prefill {
		t.Errorf("at 180 W a prefill takes %.2f times as long, decoding %.2f times", prefill, decode)
	}
}

func TestCountersFallWithoutARestartAndGaugesStay(t *testing.T) {
	e, told := troubled(t, Config{}, schedule(t, "- {at: 1s, fault: counter-reset}")...)
	submit(t, e, request(100, 5000, 0))
	e.RunUntil(1100 * time.Millisecond)
	if e.tally.promptTokens != 0 || e.tally.generated == 0 || e.tally.generated > 12 || e.tally.running != 1 || e.born != 0 {
		t.Errorf("prompt %d, generated %d, running %d, born %v", e.tally.promptTokens, e.tally.generated, e.tally.running, e.born)
	}
	if len(*told) != 1 {
		t.Errorf("told %v", *told)
	}
}

func TestALeakGrowsSteadilyAndEndsWithTheProcess(t *testing.T) {
	e, _ := troubled(t, Config{}, schedule(t, "- {at: 10s, for: 20s, fault: memory-leak, rate: 1e6}\n- {at: 20s, for: 20s, fault: memory-leak, rate: 2e6}\n- {at: 60s, for: 5s, fault: oom}")...)
	for _, c := range []struct {
		at   time.Duration
		want float64
	}{
		{5 * time.Second, 0}, {15 * time.Second, 5e6}, {25 * time.Second, 15e6 + 10e6}, {35 * time.Second, 20e6 + 30e6},
		{50 * time.Second, 20e6 + 40e6}, {70 * time.Second, 0},
	} {
		e.RunUntil(c.at)
		if got := e.resident(c.at) - residentAtStart; math.Abs(got-c.want) > 1 {
			t.Errorf("%v: %g bytes leaked, want %g", c.at, got, c.want)
		}
	}
	if e.oomKills != 1 || e.born != 65*time.Second {
		t.Errorf("%d kills, born %v", e.oomKills, e.born)
	}
}

func TestForeignTrafficComesForAsLongAsItSays(t *testing.T) {
	e, _ := troubled(t, Config{}, schedule(t, "- {at: 10s, for: 20s, fault: foreign-traffic, rate: 10}")...)
	e.RunUntil(40 * time.Second)
	n := 0
	for _, h := range e.trace.since(0) {
		if h.What == wasQueued {
			n++
			if h.At < 10*time.Second || h.At > 31*time.Second {
				t.Errorf("a foreign request at %v", h.At)
			}
		}
	}
	if n < 150 || n > 250 {
		t.Errorf("%d requests in 20 s at 10/s", n)
	}
}

func TestErrorsMeetTheirShareOfTheTrafficToo(t *testing.T) {
	e, _ := troubled(t, Config{}, schedule(t, "- {at: 10s, for: 60s, fault: foreign-traffic, rate: 10}\n- {at: 10s, for: 60s, fault: error-5xx, share: 0.25}")...)
	e.RunUntil(70 * time.Second)
	all := float64(e.numbered)
	if share := float64(e.tally.refused) / all; all < 400 || share < 0.18 || share > 0.32 {
		t.Errorf("%g of %g were refused", float64(e.tally.refused), all)
	}
}

// history is what happens to a busy engine with everything going wrong, looked at in slices of time.
func history(t testing.TB, slice time.Duration) string {
	e, told := troubled(t, Config{Blocks: 2500, Traffic: NewTraffic(11, 30*time.Second, 8192)}, schedule(t, `
- {at: 20s, for: 6s, fault: slow-steps, factor: 3}
- {at: 23s, for: 6s, fault: thermal}
- {at: 40s, for: 5s, fault: hang}
- {at: 42s, for: 5s, fault: power, watts: 150}
- {at: 55s, for: 8s, fault: crash}
- {at: 70s, for: 9s, fault: foreign-traffic, rate: 9}
- {at: 72s, for: 9s, fault: error-5xx, share: 0.5}
- {at: 75s, fault: counter-reset}
- {at: 85s, for: 4s, fault: gpu-lost}
- {at: 95s, for: 4s, fault: cut-stream, share: 0.5}
`)...)
	for at := slice; at <= 110*time.Second; at += slice {
		e.reach(at)
	}
	e.reach(110 * time.Second)
	var b strings.Builder
	for _, l := range *told {
		fmt.Fprintln(&b, l)
	}
	for _, h := range e.trace.since(0) {
		fmt.Fprintln(&b, h.N, h.At, h.What, h.Request, h.Tokens)
	}
	fmt.Fprintln(&b, e.tally.generated, e.tally.promptTokens, e.tally.preemptions, e.tally.success)
	return b.String()
}

func TestWhatHappensDoesNotDependOnWhoLooksWhen(t *testing.T) {
	want := history(t, 110*time.Second)
	for _, slice := range []time.Duration{time.Second, 37 * time.Millisecond, 777 * time.Microsecond} {
		if got := history(t, slice); got != want {
			t.Errorf("looked at every %v, something else happens:\n%s", slice, firstDifference(got, want))
		}
	}
	const golden = "testdata/history.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(raw) != want {
		t.Errorf("the history of seed 11 has changed (-update accepts that):\n%s", firstDifference(want, string(raw)))
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: %s\nwant    %s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}
