package steer

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pitwall/probes"
	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions"
)

// fakeRunner is a client whose requests end when the test says so. It keeps to the contract of load.Client.
type fakeRunner struct {
	o     load.Options
	mu    sync.Mutex
	st    load.State
	seq   uint32
	slow  time.Duration // how long Set takes
	fail  error
	sets  []shape.Point
	calls []string
}

func (f *fakeRunner) Set(ctx context.Context, p shape.Point, run uint32) error {
	f.mu.Lock()
	slow := f.slow
	f.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	now := f.o.Clock.Now()
	f.cut(now)
	f.st.Active, f.st.Point, f.st.Run, f.st.Began, f.st.Clients = true, p, run, now, p.Arrival.Clients
	f.st.Runs = append(f.st.Runs, load.Tally{Run: run, Began: now})
	f.sets = append(f.sets, p)
	return nil
}

// cut cuts the run in force; the caller holds mu.
func (f *fakeRunner) cut(now request.Time) {
	if f.st.Active {
		t := &f.st.Runs[len(f.st.Runs)-1]
		t.Cut = now
		f.st.Active = false
		f.over(t, now)
	}
}

// over ends a run that is cut and has nothing under way. The client's goroutine tells.
func (f *fakeRunner) over(t *load.Tally, now request.Time) {
	if t.Cut == 0 || t.InFlight > 0 || t.Ended != 0 {
		return
	}
	t.Ended = now
	told := *t
	go f.o.Over(told)
}

func (f *fakeRunner) halt(name string) {
	f.mu.Lock()
	f.calls = append(f.calls, name)
	f.cut(f.o.Clock.Now())
	f.mu.Unlock()
}

func (f *fakeRunner) Stop() { f.halt("stop") }
func (f *fakeRunner) Cancel() {
	f.halt("cancel")
	f.mu.Lock()
	var ids []uint32
	for _, t := range f.st.Runs {
		for range t.InFlight {
			ids = append(ids, t.Run)
		}
	}
	f.mu.Unlock()
	for _, id := range ids {
		f.end(id, request.Cancelled, "")
	}
}
func (f *fakeRunner) Close() { f.Cancel() }
func (f *fakeRunner) State() load.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.st
	s.Runs = append([]load.Tally(nil), f.st.Runs...)
	for _, t := range s.Runs {
		s.InFlight += t.InFlight
	}
	return s
}
func (f *fakeRunner) Source() probes.Source { return nil }

func (f *fakeRunner) tally(run uint32) *load.Tally {
	for i := range f.st.Runs {
		if f.st.Runs[i].Run == run {
			return &f.st.Runs[i]
		}
	}
	return nil
}

// begin begins n requests of a run, end ends one.
func (f *fakeRunner) begin(run uint32, n int) {
	f.mu.Lock()
	f.tally(run).Begun += n
	f.tally(run).InFlight += n
	f.mu.Unlock()
}

func (f *fakeRunner) end(run uint32, c request.Class, message string) {
	f.mu.Lock()
	now := f.o.Clock.Now()
	t := f.tally(run)
	t.InFlight--
	t.Class[c]++
	f.seq++
	rec := &request.Record{
		Run: run, Seq: f.seq, Streamed: true, Class: c, Message: message, Scheduled: now - 1e9, Sent: now - 1e9, Wrote: now - 1e9, End: now,
		InputTokens: 8, OutputTokens: 3, Asked: 3, CachedTokens: request.Unknown, Group: request.Unknown, Queue: request.Unknown, Prefill: request.Unknown, Decode: request.Unknown,
	}
	if c == request.OK {
		rec.FirstByte, rec.FirstToken, rec.LastToken = now-5e8, now-5e8, now
		rec.Chunks = []request.Chunk{{Gap: 5e8, Tokens: 1}, {Gap: 25e7, Tokens: 1}, {Gap: 25e7, Tokens: 1}}
	}
	f.mu.Unlock()
	f.o.Each(rec)
	f.mu.Lock()
	f.over(t, now)
	f.mu.Unlock()
}

// memory is a session in memory whose clock is the test's.
type memory struct{ *sessions.Recorder }

func (memory) Now() time.Time { return time.Now() }

// stand is a desk with everything around it.
type stand struct {
	*Desk
	runner *fakeRunner
	book   memory
	why    string // why there is no book
	server *load.Server
	scored []bool
	t      *testing.T
}

func newStand(t *testing.T, hold time.Duration) *stand {
	rec, err := sessions.NewRecorder(sessions.Options{Host: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{runner: &fakeRunner{}, book: memory{rec}, t: t, server: &load.Server{URL: "http://127.0.0.1:1", Instance: "127.0.0.1:1", Model: "m", Chat: true, Completions: true, API: shape.Chat, Local: true}}
	s.Desk = New(Options{
		Examine: func(context.Context, string) (*load.Server, error) { return s.server, nil },
		Connect: func(_ *load.Server, o load.Options) Runner { s.runner.o = o; return s.runner },
		Book: func() (Book, string) {
			if s.why != "" {
				return nil, s.why
			}
			return s.book, ""
		},
		Scored: func(on bool) { s.scored = append(s.scored, on) },
		Hold:   hold,
	})
	return s
}

func point(clients int) shape.Point {
	return shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: clients}, Prompt: shape.Prompt{Length: shape.Tokens(8)}, Output: shape.Output{Length: shape.Tokens(3)}}
}

func (s *stand) set(clients int) {
	s.t.Helper()
	if err := s.Start(context.Background(), "127.0.0.1:1", point(clients)); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

func (s *stand) run(id uint32) sessions.Run {
	s.t.Helper()
	for _, r := range s.book.Runs() {
		if r.ID == id {
			return r
		}
	}
	s.t.Fatalf("no run %d is stored", id)
	return sessions.Run{}
}

// later lets time pass and everything that it brings happen.
func later(d time.Duration) {
	time.Sleep(d) // in a bubble: nobody waits
	synctest.Wait()
}

func (s *stand) end() {
	s.Close("the test is over")
	synctest.Wait()
}
