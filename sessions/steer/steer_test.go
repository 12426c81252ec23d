package steer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions"
)

func TestAChangeCutsTheRunAndTheDrainIsInNeither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		began := time.Now()
		s.set(1)
		if st := s.Status(); st.Phase != Running || st.Run.ID != 1 || st.Run.State != sessions.Measuring || st.Clients != 1 {
			t.Fatalf("after the start: %+v", st)
		}
		s.runner.begin(1, 1)
		later(2 * time.Second)
		s.runner.end(1, request.OK, "")
		s.runner.begin(1, 1)
		later(8 * time.Second)
		changed := time.Now()
		s.set(16)
		st := s.Status()
		if st.Phase != Settling || st.Run.ID != 2 || st.Draining != 1 {
			t.Errorf("with one request of the old run under way: phase %s, run %d, draining %d", st.Phase, st.Run.ID, st.Draining)
		}
		if r := s.run(1); r.State != sessions.Draining || !r.Cut.Equal(changed) {
			t.Errorf("the old run: %s, cut %v, want draining, %v", r.State, r.Cut, changed)
		}
		later(3 * time.Second)
		s.runner.end(1, request.OK, "")
		drained := time.Now()
		later(time.Second)
		r := s.run(1)
		if r.State != sessions.Done || !r.Began.Equal(began) || !r.Settled.Equal(began) || !r.Cut.Equal(changed) || !r.Ended.Equal(drained) {
			t.Errorf("the old run is over: %s began %v settled %v cut %v ended %v", r.State, r.Began, r.Settled, r.Cut, r.Ended)
		}
		if r.Score == nil || r.Score.OK != 1 || r.Score.Crossing != 1 || r.Score.Sent != 2 {
			t.Errorf("its score: %+v", r.Score)
		}
		if r2 := s.run(2); r2.State != sessions.Measuring || !r2.Began.Equal(changed) || !r2.Settled.Equal(drained) {
			t.Errorf("the new run: %s, began %v, settled %v; want measuring, %v, %v", r2.State, r2.Began, r2.Settled, changed, drained)
		}
		s.end()
	})
}

func TestAKeyThatIsHeldDownMakesOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 300*time.Millisecond)
		s.set(1)
		for c := 2; c <= 16; c++ {
			later(60 * time.Millisecond)
			s.set(c)
		}
		if st := s.Status(); st.Pending == nil || st.Pending.Arrival.Clients != 16 || st.Point.Arrival.Clients != 1 {
			t.Errorf("while the key is held: pending %+v, in force %+v", st.Pending, st.Point.Arrival)
		}
		later(time.Second)
		if n := len(s.runner.sets); n != 2 || s.runner.sets[1].Arrival.Clients != 16 {
			t.Errorf("%d points were set: %+v; want 1 client, then 16", n, s.runner.sets)
		}
		if runs := s.book.Runs(); len(runs) != 2 {
			t.Errorf("%d runs are stored, want 2", len(runs))
		}
		s.end()
	})
}

func TestTheFirstStartDoesNotWaitForAnotherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, time.Hour)
		s.set(3)
		if st := s.Status(); st.Phase != Running {
			t.Errorf("phase %s right after the start", st.Phase)
		}
		s.end()
	})
}

func TestARunThatIsChangedBeforeItSettledHasNoScoreAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		s.set(1)
		s.runner.begin(1, 1)
		later(time.Second)
		s.set(2)
		s.runner.begin(2, 1)
		later(time.Second)
		s.set(3)
		later(time.Second)
		s.runner.end(1, request.OK, "")
		s.runner.end(2, request.OK, "")
		later(time.Second)
		if r := s.run(2); r.State != sessions.Broken || r.Score != nil || !strings.Contains(r.Why, "nothing of it was measured") {
			t.Errorf("the run in the middle: %s, score %v, why %q", r.State, r.Score, r.Why)
		}
		if r := s.run(3); r.State != sessions.Measuring {
			t.Errorf("the last one: %s", r.State)
		}
		s.end()
	})
}

func TestStopDrainsAndCancelGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		s.set(2)
		s.runner.begin(1, 2)
		later(5 * time.Second)
		s.Stop()
		synctest.Wait()
		if st := s.Status(); st.Phase != Draining || st.InFlight != 2 {
			t.Errorf("after stop: %s with %d under way", st.Phase, st.InFlight)
		}
		idle := s.Idle()
		s.runner.end(1, request.OK, "")
		later(time.Second)
		select {
		case <-idle:
			t.Error("idle with a request under way")
		default:
		}
		s.Cancel()
		later(time.Second)
		select {
		case <-idle:
		default:
			t.Error("not idle after everything was given up")
		}
		r := s.run(1)
		if r.State != sessions.Done || r.Score == nil || r.Score.Cancelled != 1 || len(r.Reconciled) == 0 {
			t.Errorf("the run: %s, score %+v, reconciled %s", r.State, r.Score, r.Reconciled)
		}
		if len(s.scored) != 2 || !s.scored[0] || s.scored[1] {
			t.Errorf("the scraper was told %v, want once on and once off", s.scored)
		}
		s.end()
	})
}

func TestStopWhilePromptsAreMadeCallsTheStartOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		s.runner.slow = time.Minute
		s.set(2)
		if st := s.Status(); st.Phase != Preparing {
			t.Errorf("phase %s while prompts are made", st.Phase)
		}
		s.Stop()
		synctest.Wait()
		if st := s.Status(); st.Phase != Idle || st.Problem != "" || len(s.book.Runs()) != 0 {
			t.Errorf("after stop: %s, problem %q, %d runs", st.Phase, st.Problem, len(s.book.Runs()))
		}
		s.runner.mu.Lock()
		s.runner.slow = 0
		s.runner.mu.Unlock()
		s.set(4)
		if st := s.Status(); st.Phase != Running {
			t.Errorf("a start after that: %s", st.Phase)
		}
		s.end()
	})
}

func TestAChangeThatFailsLeavesTheRunAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		s.set(1)
		s.runner.fail = errors.New("no prompts could be made")
		s.set(2)
		st := s.Status()
		if st.Phase != Running || st.Run.ID != 1 || st.Pending != nil || st.Problem != "no prompts could be made" {
			t.Errorf("phase %s, run %d, pending %v, problem %q", st.Phase, st.Run.ID, st.Pending, st.Problem)
		}
		if err := s.Start(context.Background(), "127.0.0.1:1", point(0)); err == nil || !strings.Contains(err.Error(), "clients") {
			t.Errorf("0 clients: %v", err)
		}
		if err := s.Start(context.Background(), "127.0.0.1:2", point(1)); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("another engine while load is on: %v", err)
		}
		s.runner.fail = nil
		s.end()
	})
}

func TestAnEngineThatIsGoneBreaksTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		s.set(1)
		for range 3 {
			s.runner.begin(1, 1)
			later(time.Second)
			s.runner.end(1, request.OK, "")
		}
		for range 8 { // in all within the time for which the server is not asked anew
			s.runner.begin(1, 1)
			later(time.Second / 2)
			s.runner.end(1, request.Refused, "connect: connection refused")
		}
		later(2 * time.Second)
		st := s.Status()
		if st.Phase != Idle || !strings.Contains(st.Problem, "the engine is gone") || !strings.Contains(st.Problem, "connection refused") {
			t.Errorf("phase %s, problem %q", st.Phase, st.Problem)
		}
		r := s.run(1)
		if r.State != sessions.Broken || !strings.Contains(r.Why, "the engine is gone") || r.Score == nil || r.Score.Failed == 0 {
			t.Errorf("the run: %s, why %q, score %+v", r.State, r.Why, r.Score)
		}
		// It is there again: who starts the load anew is not told of the time before.
		s.set(2)
		for range 3 {
			s.runner.begin(2, 1)
			later(2 * time.Second)
			s.runner.end(2, request.OK, "")
		}
		if st := s.Status(); st.Phase != Running || strings.Contains(st.Problem, "gone") {
			t.Errorf("started again: phase %s, problem %q", st.Phase, st.Problem)
		}
		s.end()
	})
}

func TestFailuresOfAServerThatIsThereBreakNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		s.set(1)
		for range 30 {
			s.runner.begin(1, 1)
			later(time.Second)
			s.runner.end(1, request.Status, "503")
		}
		if st := s.Status(); st.Phase != Running {
			t.Errorf("phase %s after thirty answers of 503", st.Phase)
		}
		s.end()
	})
}

func TestLiveNumbersAreOfTheRunInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		p := point(1)
		p.SLO = shape.SLO{TTFT: time.Second}
		if err := s.Start(context.Background(), "127.0.0.1:1", p); err != nil {
			t.Fatal(err)
		}
		later(time.Second)
		for range 20 {
			s.runner.begin(1, 1)
			later(time.Second)
			s.runner.end(1, request.OK, "")
		}
		later(2 * time.Second)
		l := s.Status().Live
		if l.Requests != 20 || l.TTFT.P50.Value != 0.5 || l.TPOT.P50.Value != 0.25 || l.E2E.P50.Value != 1 || !l.Goodput.Asked || l.Goodput.Good != 20 {
			t.Errorf("of 20 requests of 1 s: %+v", l)
		}
		if l.RequestRate < 0.7 || l.RequestRate > 1.01 {
			t.Errorf("%v requests/s, want about 1", l.RequestRate)
		}
		s.set(2)
		if l := s.Status().Live; l.Requests != 0 {
			t.Errorf("the next run begins with %d requests", l.Requests)
		}
		s.end()
	})
}

func TestTheMarksAreOfTheMomentsThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		began := time.Now()
		s.set(1)
		s.runner.begin(1, 1)
		later(1500 * time.Millisecond)
		s.runner.end(1, request.OK, "")
		cut := time.Now()
		s.Stop()
		later(time.Second)
		events := s.book.Events(began.Add(-time.Second), time.Now())
		want := []struct {
			kind string
			at   time.Time
		}{{"run.began", began}, {"run.cut", cut}, {"run.ended", cut}}
		if len(events) != len(want) {
			t.Fatalf("events %+v", events)
		}
		for i, w := range want {
			if e := events[i]; e.Kind != w.kind || !e.Time.Equal(w.at) || e.Subject != "run/1" || e.Attrs["run"] != "1" {
				t.Errorf("event %d: %+v, want %s at %v", i, e, w.kind, w.at)
			}
		}
		s.end()
	})
}

func TestClosingStoresWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		s.set(1)
		s.runner.begin(1, 1)
		later(time.Second)
		s.runner.end(1, request.OK, "")
		s.runner.begin(1, 1)
		later(time.Second)
		s.Close("the console was closed")
		synctest.Wait()
		r := s.run(1)
		if r.State != sessions.Done || r.Why != "the console was closed" || r.Score == nil || r.Score.OK != 1 || r.Score.Cancelled != 1 {
			t.Errorf("the run: %s, why %q, score %+v", r.State, r.Why, r.Score)
		}
		if err := s.Start(context.Background(), "127.0.0.1:1", point(1)); err == nil {
			t.Error("a desk that is closed starts load")
		}
	})
}

func TestARunBeyondItsCertificateSaysSoWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		s.d.o.Certified = func() Certificate {
			return Certificate{Text: []byte(`{"streams":2}`), Beyond: func(n int, _ float64) string {
				if n > 2 {
					return "certified for 2 streams"
				}
				return ""
			}}
		}
		s.set(4)
		s.runner.begin(1, 2)
		later(2 * time.Second)
		if st := s.Status(); st.Bound != "" || !st.Certified {
			t.Errorf("within it: bound %q, certified %v", st.Bound, st.Certified)
		}
		s.runner.begin(1, 2)
		later(2 * time.Second)
		if st := s.Status(); st.Bound != "client-bound: certified for 2 streams" {
			t.Errorf("beyond it: bound %q", st.Bound)
		}
		s.end()
		if r := s.run(1); string(r.Certificate) != `{"streams":2}` {
			t.Errorf("stored with %s", r.Certificate)
		}
	})
}

func TestRecordsOfAllRunsAreStoredWhateverBecameOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		s.set(1)
		want := map[uint32]int{}
		for id := uint32(1); id <= 3; id++ {
			for i, c := range []request.Class{request.OK, request.Stalled, request.Status} {
				s.runner.begin(id, 1)
				later(time.Second)
				if i == 2 { // it ends after its run was cut
					s.set(int(id) + 1)
				}
				s.runner.end(id, c, "why")
				want[id]++
			}
		}
		s.end()
		got := map[uint32]int{}
		for rec, err := range s.book.Requests(context.Background(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			got[rec.Run]++
		}
		for id, n := range want {
			if got[id] != n {
				t.Errorf("run %d: %d of its %d requests are stored", id, got[id], n)
			}
		}
	})
}

func TestWithoutASessionOfOnesOwnThereIsNoLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		s.why = "another process records this session: R takes it over"
		if st := s.Status(); st.Cannot != s.why {
			t.Errorf("cannot: %q", st.Cannot)
		}
		if err := s.Start(context.Background(), "127.0.0.1:1", point(1)); err == nil || err.Error() != s.why {
			t.Errorf("start: %v", err)
		}
		s.end()
	})
}

func TestOnlyTheFirstStartOnAServerThatIsRealIsAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 0)
		w, err := s.Look(context.Background(), "127.0.0.1:1", point(4))
		if err != nil || !w.Needed || w.Server != s.server || !strings.Contains(strings.Join(w.Does, "; "), "4 requests at a time") {
			t.Errorf("before the first: %+v, %v", w, err)
		}
		s.set(4)
		if w, err = s.Look(context.Background(), "127.0.0.1:1", point(8)); err != nil || w.Needed {
			t.Errorf("while it runs: needed %v, %v", w.Needed, err)
		}
		s.end()

		s = newStand(t, 0)
		s.server.Simulated = true
		if w, err := s.Look(context.Background(), "127.0.0.1:1", point(4)); err != nil || w.Needed {
			t.Errorf("a simulated one: needed %v, %v", w.Needed, err)
		}
		s.end()
	})
}
