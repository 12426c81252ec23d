package steer_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine"
	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/sim"
	"pitwall/sessions"
	"pitwall/sessions/steer"
	"pitwall/sessions/validity"
)

// Load goes up and down and changes its prompts on a simulated engine, through real sockets, a real client and a real recorder:
// every change is a run, and all of them together are the server's own counts, to the request and the token.
func TestTheRunsTogetherAreExactlyWhatTheServerCounted(t *testing.T) {
	s, err := sim.Start(context.Background(), sim.Options{Seed: 1, Quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := engine.Open(engine.Options{URLs: []string{s.URL()}, NoExporters: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_, at := w.Engines()[0].Target()
	var rec *sessions.Recorder
	desk := steer.New(steer.Options{
		Examine: func(ctx context.Context, _ string) (*load.Server, error) {
			return load.Examine(ctx, load.Target{URL: s.URL()})
		},
		Connect: func(s *load.Server, o load.Options) steer.Runner { return load.New(s, o) },
		Book:    func() (steer.Book, string) { return rec, "" },
		Scope: func(instance string) sessions.Scope {
			return sessions.Scope{Dialect: w.Engines()[0].Dialect(), Sel: `job="vllm",instance="` + instance + `"`}
		},
	})
	rec, err = sessions.Record(context.Background(), sessions.Options{Dir: t.TempDir(), Host: "test", Sources: func() []probes.Source {
		return append(w.Sources(), desk.Sources()...)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	read := func() bool {
		_, last := rec.Bounds()
		for _, x := range rec.Targets(last) {
			if x.Instance == at && x.Job == "vllm" && x.Up {
				return true
			}
		}
		return false
	}
	eventually(t, "the engine to be read", read)
	for i, p := range []struct{ clients, input int }{{1, 64}, {8, 64}, {3, 128}, {1, 64}} {
		point := shape.Point{
			Arrival: shape.Arrival{Kind: shape.Closed, Clients: p.clients}, Prompt: shape.Prompt{Length: shape.Tokens(p.input)}, Output: shape.Output{Length: shape.Tokens(20)},
		}
		if err := desk.Start(context.Background(), at, point); err != nil {
			t.Fatal(err)
		}
		eventually(t, "some requests of the run to end", func() bool {
			st := desk.Status()
			return st.Phase == steer.Running && st.Run.ID == uint32(i+1) && st.Tally.Ends() >= 6
		})
	}
	desk.Stop()
	select {
	case <-desk.Idle():
	case <-time.After(patience):
		t.Fatalf("never idle: %+v", desk.Status())
	}
	if st := desk.Status(); st.Problem != "" {
		t.Errorf("problem: %s", st.Problem)
	}
	var tables []validity.Table
	sent := 0
	for i, r := range rec.Runs() {
		if r.State != sessions.Done || r.Score == nil || r.Settled.IsZero() {
			t.Errorf("run %d: %s, %s", r.ID, r.State, r.Why)
			continue
		}
		sent += r.Score.Sent
		if i > 0 && r.Settled.Before(rec.Runs()[i-1].Ended) {
			t.Errorf("run %d is measured from %v, and requests of the run before it were under way until %v", r.ID, r.Settled, rec.Runs()[i-1].Ended)
		}
		var table validity.Table
		if err := json.Unmarshal(r.Reconciled, &table); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, table)
	}
	if len(tables) != 4 {
		t.Fatalf("%d runs, want 4", len(tables))
	}
	for _, row := range validity.Sum(tables).Rows {
		if row.Key == "cached_tokens" {
			continue // the server doesn't tell those of each request
		}
		if row.Verdict != validity.Exact || row.Ours != row.Server || row.Key == "requests" && row.Ours != float64(sent) {
			t.Errorf("%s: ours %v, the server's %v: %s %s", row.Key, row.Ours, row.Server, row.Verdict, row.Why)
		}
	}
}

// patience is far more than anything here takes on a busy machine.
const patience = 60 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
