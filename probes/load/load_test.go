package load_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/probes/truth"
)

// rig is a client of a server, and everything that it has handed over.
type rig struct {
	*load.Client
	server *load.Server

	mu      sync.Mutex
	records []*request.Record
	over    []load.Tally
}

func examine(t testing.TB, url string) *load.Server {
	t.Helper()
	s, err := load.Examine(t.Context(), load.Target{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newRig(t testing.TB, s *load.Server) *rig {
	t.Helper()
	r := &rig{server: s}
	r.Client = load.New(s, load.Options{
		Each: func(rec *request.Record) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.records = append(r.records, rec)
		},
		Over: func(tally load.Tally) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.over = append(r.over, tally)
		},
	})
	t.Cleanup(r.Close)
	return r
}

// serve starts a truth server.
func serve(t testing.TB, plan truth.Plan) *truth.Server {
	t.Helper()
	s, err := truth.Listen("127.0.0.1:0", plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// set starts a point, and fails the test where that fails.
func (r *rig) set(t testing.TB, p shape.Point, run uint32) {
	t.Helper()
	if err := r.Set(t.Context(), p, run); err != nil {
		t.Fatal(err)
	}
}

// wait waits until nothing is under way any more.
func (r *rig) wait(t testing.TB) {
	t.Helper()
	select {
	case <-r.Idle():
	case <-time.After(30 * time.Second):
		t.Fatalf("still not idle after 30 s: %+v", r.State())
	}
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// whole checks what holds for every run that is over, and gives its tally: each request that was begun has left one record,
// and ended in the class that the tally counts it in.
func (r *rig) whole(t testing.TB, run uint32) load.Tally {
	t.Helper()
	st := r.State()
	tally, ok := st.Of(run)
	if !ok {
		t.Fatalf("run %d has no tally", run)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var classes [request.Classes]int
	seqs := map[uint32]bool{}
	for _, rec := range r.records {
		if rec.Run != run {
			continue
		}
		classes[rec.Class]++
		if seqs[rec.Seq] {
			t.Errorf("run %d has two records with number %d", run, rec.Seq)
		}
		seqs[rec.Seq] = true
	}
	if classes != tally.Class {
		t.Errorf("run %d: records by class %v, the tally has %v", run, classes, tally.Class)
	}
	if tally.InFlight != 0 || tally.Begun != tally.Ends() || tally.Begun != len(seqs) {
		t.Errorf("run %d: %d begun, %d in flight, %d ended, %d records", run, tally.Begun, tally.InFlight, tally.Ends(), len(seqs))
	}
	n := 0
	for _, o := range r.over {
		if o.Run == run {
			n++
		}
	}
	if n != 1 || tally.Cut == 0 || tally.Ended < tally.Cut {
		t.Errorf("run %d was told to be over %d times; cut %d, ended %d", run, n, tally.Cut, tally.Ended)
	}
	return tally
}

func (r *rig) of(run uint32) (out []*request.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.records {
		if rec.Run == run {
			out = append(out, rec)
		}
	}
	return out
}

func closedLoop(clients, input, output int) shape.Point {
	return shape.Point{
		Arrival: shape.Arrival{Kind: shape.Closed, Clients: clients},
		Prompt:  shape.Prompt{Length: shape.Tokens(input)}, Output: shape.Output{Length: shape.Tokens(output)},
	}
}

func openLoop(rate float64, input, output int) shape.Point {
	p := closedLoop(0, input, output)
	p.Arrival = shape.Arrival{Kind: shape.Poisson, Rate: rate}
	return p
}

func TestAClosedLoopLeavesOneWholeRecordForEachRequest(t *testing.T) {
	s := serve(t, truth.Plan{TTFT: 5 * time.Millisecond, Gap: time.Millisecond})
	for _, api := range []shape.API{shape.Chat, shape.Completions} {
		for _, unstreamed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s unstreamed=%v", api, unstreamed), func(t *testing.T) {
				r := newRig(t, examine(t, s.URL()))
				p := closedLoop(4, 64, 12)
				p.API, p.Unstreamed, p.Stop.Requests = api, unstreamed, 40
				r.set(t, p, 1)
				r.wait(t)
				tally := r.whole(t, 1)
				if tally.Class[request.OK] != 40 || tally.Output != 40*12 || tally.Input != 40*64 || tally.Why == "" {
					t.Fatalf("tally %+v", tally)
				}
				for _, rec := range r.of(1) {
					check(t, rec, p)
				}
			})
		}
	}
}

// check holds one good record against what must be true of any.
func check(t *testing.T, rec *request.Record, p shape.Point) {
	t.Helper()
	if rec.Scheduled == 0 || rec.Sent < rec.Scheduled || rec.Wrote < rec.Sent || rec.FirstByte < rec.Wrote-request.Time(time.Millisecond) || rec.End < rec.FirstByte {
		t.Errorf("times out of order: %+v", rec)
	}
	if int(rec.OutputTokens) != int(rec.Asked) || rec.Finish != "length" || rec.InputTokens != rec.AskedInput || rec.Status != 200 || rec.Message != "" {
		t.Errorf("lengths or finish: %+v", rec)
	}
	if p.Unstreamed {
		if len(rec.Chunks) != 0 || rec.FirstToken != 0 {
			t.Errorf("chunks of an answer in one piece: %+v", rec)
		}
		return
	}
	var sum time.Duration
	n := 0
	for _, c := range rec.Chunks {
		sum += c.Gap
		n += int(c.Tokens)
	}
	if n != int(rec.OutputTokens) || rec.Sent+request.Time(sum) != rec.LastToken || rec.Sent+request.Time(rec.Chunks[0].Gap) != rec.FirstToken {
		t.Errorf("chunks don't add up: %+v", rec)
	}
	if rec.Counting != request.ByUsage || rec.FirstToken.Sub(rec.Sent) < 4*time.Millisecond {
		t.Errorf("first token or counting: %+v", rec)
	}
}

func TestOneConnectionPerClientIsKeptUnlessFreshOnesAreAskedFor(t *testing.T) {
	for fresh, want := range map[bool]int{false: 3, true: 30} {
		s := serve(t, truth.Plan{})
		r := newRig(t, examine(t, s.URL()))
		p := closedLoop(3, 16, 2)
		p.Fresh, p.Stop.Requests = fresh, 30
		r.set(t, p, 1)
		r.wait(t)
		opened := 0
		for _, rec := range r.of(1) {
			if rec.Fresh {
				opened++
				if rec.Connect <= 0 {
					t.Errorf("a new connection took no time: %+v", rec)
				}
			}
		}
		if opened != want {
			t.Errorf("fresh=%v: %d connections for 30 requests of 3 clients, want %d", fresh, opened, want)
		}
	}
}

func TestAChangeSendsNothingOfTheOldPointAndLosesNothing(t *testing.T) {
	s := serve(t, truth.Plan{TTFT: 2 * time.Millisecond, Gap: time.Millisecond})
	r := newRig(t, examine(t, s.URL()))
	shapes := []shape.Point{closedLoop(1, 32, 8), closedLoop(16, 32, 8), openLoop(400, 16, 4), closedLoop(3, 64, 16), openLoop(100, 16, 4), closedLoop(2, 16, 4)}
	for i, p := range shapes {
		r.set(t, p, uint32(i+1))
		until(t, "twenty requests", func() bool { st := r.State(); tally, _ := st.Of(uint32(i + 1)); return tally.Ends() >= 20 })
	}
	r.Stop()
	r.wait(t)
	for i := range shapes {
		tally := r.whole(t, uint32(i+1))
		if tally.Failed() != 0 || tally.Class[request.Cancelled] != 0 {
			t.Errorf("run %d: %v, first messages %q", i+1, tally.Class, tally.First)
		}
		for _, rec := range r.of(uint32(i + 1)) {
			// Between being begun and the first byte there is the time to connect and to be scheduled.
			if late := rec.Sent.Sub(tally.Cut); late > rec.Connect+20*time.Millisecond {
				t.Errorf("run %d was cut, and %v later a request of it was sent", i+1, late)
			}
		}
	}
	// The server counts an answer when its last write is done, which may be after we have read it.
	until(t, "as many answers of the server as records", func() bool { answers, _ := s.Answers(); return len(answers) == len(r.records) })
}

func TestClosedLoopClientsCarryOverAndSurplusOnesEnd(t *testing.T) {
	s := serve(t, truth.Plan{TTFT: time.Millisecond})
	r := newRig(t, examine(t, s.URL()))
	r.set(t, closedLoop(8, 16, 2), 1)
	until(t, "a hundred requests", func() bool { st := r.State(); tally, _ := st.Of(1); return tally.Ends() >= 100 })
	r.set(t, closedLoop(2, 16, 2), 2)
	until(t, "a hundred requests", func() bool { st := r.State(); tally, _ := st.Of(2); return tally.Ends() >= 100 })
	if n := r.State().InFlight; n > 2 {
		t.Errorf("%d in flight with two clients", n)
	}
	r.Stop()
	r.wait(t)
	for _, rec := range r.of(2) {
		if rec.Client > 1 || rec.Fresh {
			t.Errorf("client %d of two sent on a new connection=%v", rec.Client, rec.Fresh)
		}
	}
}

func TestWhatTheBoundKeepsBackIsCountedAndMovesNothing(t *testing.T) {
	s := serve(t, truth.Plan{TTFT: 100 * time.Millisecond})
	r := newRig(t, examine(t, s.URL()))
	p := openLoop(500, 16, 1)
	p.Arrival.Kind, p.MaxInFlight, p.Stop.After = shape.Constant, 10, 500*time.Millisecond
	r.set(t, p, 1)
	r.wait(t)
	tally := r.whole(t, 1)
	if due := tally.Begun + tally.Dropped; due != 250 && due != 249 || tally.Dropped < 100 {
		t.Errorf("%d begun and %d dropped in %v", tally.Begun, tally.Dropped, tally.Cut.Sub(tally.Began))
	}
	for _, rec := range r.of(1) {
		// Each is due at a multiple of 2 ms after the start, however many before it were dropped.
		if off := (rec.Scheduled - tally.Began) % request.Time(2*time.Millisecond); off > 1000 && off < request.Time(2*time.Millisecond)-1000 {
			t.Errorf("due %v after the start", rec.Scheduled.Sub(tally.Began))
		}
	}
}

func TestCancelGivesUpWhatIsUnderWayAndALaterSetStartsAgain(t *testing.T) {
	s := serve(t, truth.Plan{TTFT: time.Hour})
	r := newRig(t, examine(t, s.URL()))
	r.set(t, closedLoop(5, 16, 1), 1)
	until(t, "five under way", func() bool { return r.State().InFlight == 5 })
	r.Stop()
	select {
	case <-r.Idle():
		t.Fatal("idle although five requests drain")
	default:
	}
	r.Cancel()
	r.wait(t)
	if tally := r.whole(t, 1); tally.Class[request.Cancelled] != 5 || tally.Failed() != 0 {
		t.Errorf("tally %+v", tally)
	}
	r.set(t, closedLoop(5, 16, 1), 2)
	until(t, "five under way again", func() bool { return r.State().InFlight == 5 })
}

func TestAPointEndsByItselfAndSaysWhy(t *testing.T) {
	s := serve(t, truth.Plan{})
	for why, stop := range map[string]shape.Stop{
		"30 requests have ended":                 {Requests: 30},
		"output tokens have come":                {Tokens: 100},
		"requests have failed":                   {Errors: 3},
		"50ms have passed":                       {After: 50 * time.Millisecond},
		"mean time per output token is known to": {Precision: 0.9},
	} {
		t.Run(why, func(t *testing.T) {
			r := newRig(t, examine(t, s.URL()))
			p := closedLoop(2, 16, 4)
			p.Stop = stop
			if stop.Errors > 0 {
				p.Headers = map[string]string{"X-Truth-Fault": "cut@1"}
			}
			r.set(t, p, 1)
			r.wait(t)
			if tally := r.whole(t, 1); !strings.Contains(tally.Why, why) || r.State().Ended != tally.Why || r.State().Active {
				t.Errorf("why %q, state %q", tally.Why, r.State().Ended)
			}
		})
	}
}

func TestPromptsAreMadeAheadAndAreThoseOfTheirNumber(t *testing.T) {
	s := serve(t, truth.Plan{})
	r := newRig(t, examine(t, s.URL()))
	p := openLoop(300, 16, 1)
	p.Stop.Requests = 100
	r.set(t, p, 1)
	r.wait(t)
	seen := map[uint32]bool{}
	for _, rec := range r.of(1) {
		seen[rec.Prompt] = true
	}
	for n := range uint32(100) {
		if !seen[n] {
			t.Errorf("prompt %d of 100 was never sent", n)
		}
	}
}

func TestAConversationGoesOnWithTheAnswerThatCame(t *testing.T) {
	s := serve(t, truth.Plan{})
	r := newRig(t, examine(t, s.URL()))
	p := closedLoop(2, 64, 8)
	p.Prompt.Turns, p.Stop.Requests = 3, 30
	r.set(t, p, 1)
	r.wait(t)
	r.whole(t, 1)
	turns := map[uint16]int{}
	for _, rec := range r.of(1) {
		turns[rec.Turn]++
		if rec.Class != request.OK || rec.InputTokens < 64+int32(rec.Turn)*64 {
			t.Errorf("turn %d: %v %q, %d tokens in", rec.Turn, rec.Class, rec.Message, rec.InputTokens)
		}
	}
	if turns[0] < 10 || turns[2] < 9 || len(turns) != 3 {
		t.Errorf("turns %v, want ten of each, but for the last conversations", turns)
	}
}

func TestTheContextEndsASetAndLeavesTheFormerPoint(t *testing.T) {
	s := serve(t, truth.Plan{})
	r := newRig(t, examine(t, s.URL()))
	r.set(t, closedLoop(1, 16, 1), 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Set(ctx, closedLoop(1, 16, 1), 2); err == nil {
		t.Error("a cancelled Set came through")
	}
	if st := r.State(); !st.Active || st.Run != 1 {
		t.Errorf("run %d active %v", st.Run, st.Active)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	s := serve(t, truth.Plan{TTFT: 5 * time.Millisecond, Gap: 5 * time.Millisecond})
	server := examine(t, s.URL())
	mine := func() int {
		all := make([]byte, 1<<22)
		return strings.Count(string(all[:runtime.Stack(all, true)]), "pitwall/probes/load.")
	}
	before := mine()
	c := load.New(server, load.Options{})
	for i, p := range []shape.Point{closedLoop(8, 16, 8), openLoop(200, 16, 8), closedLoop(3, 16, 100)} {
		p.Arrival.Steps = []shape.Step{{After: time.Hour, To: 2}}
		p.Stop.After = time.Hour
		if err := c.Set(t.Context(), p, uint32(i+1)); err != nil {
			t.Fatal(err)
		}
		until(t, "ten begun", func() bool { st := c.State(); tally, _ := st.Of(uint32(i + 1)); return tally.Begun >= 3 })
	}
	c.Close()
	if err := c.Set(t.Context(), closedLoop(1, 16, 1), 9); err == nil {
		t.Error("a closed client was set")
	}
	until(t, "no goroutine of the client is left", func() bool { return mine() <= before })
}
