package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pitwall/probes"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/sessions/score"
	"pitwall/sessions/validity"
)

// loaded DIR makes a session with three runs of load in a directory: one of 300 requests that is over and scored, of which six
// failed; one that is broken; and one that nobody goes on with.
func loaded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: loaded DIR")
	}
	t0 := time.UnixMilli(1_800_000_000_000)
	now := 0
	r, err := sessions.NewRecorder(sessions.Options{Dir: ts.MkAbs(args[0]), Name: filepath.Base(args[0]), Host: "box", Simulated: true,
		Sources: func() []probes.Source { return nil }})
	ts.Check(err)
	tick := func() {
		ts.Check(r.Tick(context.Background(), t0.Add(time.Duration(now)*time.Second)))
		now++
	}
	tick()
	records := make([]request.Record, 300)
	for i := range records {
		q := &records[i]
		sent := request.Time(t0.Add(time.Duration(i) * 100 * time.Millisecond).UnixNano())
		*q = request.Record{Run: 1, Seq: uint32(i), Client: int32(i % 4), Prompt: uint32(i), Group: request.Unknown, Scheduled: sent, Sent: sent + 50_000, Wrote: sent + 60_000,
			InputTokens: 512, CachedTokens: 0, OutputTokens: 4, Asked: 4, AskedInput: 512, Finish: "length", Streamed: true, Stamped: true, Counting: request.ByIDs, Status: 200,
			Queue: request.Unknown, Prefill: request.Unknown, Decode: request.Unknown, Text: "answer"}
		q.FirstByte = q.Sent + request.Time(40*time.Millisecond)
		q.FirstToken = q.FirstByte + request.Time(time.Duration(10+i%7)*time.Millisecond)
		q.Chunks = []request.Chunk{{Gap: q.FirstToken.Sub(q.Sent), Tokens: 1}, {Gap: 20 * time.Millisecond, Tokens: 1}, {Gap: 25 * time.Millisecond, Tokens: 2, Merged: true}}
		q.LastToken = q.FirstToken + request.Time(45*time.Millisecond)
		q.End = q.LastToken + request.Time(time.Millisecond)
		if i%50 == 20 {
			*q = request.Record{Run: 1, Seq: uint32(i), Client: int32(i % 4), Group: request.Unknown, Scheduled: q.Scheduled, Sent: q.Sent, End: q.Sent + 2_000_000, Streamed: true,
				InputTokens: request.Unknown, CachedTokens: request.Unknown, OutputTokens: request.Unknown, Queue: request.Unknown, Prefill: request.Unknown, Decode: request.Unknown,
				Class: request.Status, Status: 503, Message: "=overloaded\x1b[31m, try\nagain"}
		}
	}
	point := shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: 4}, SLO: shape.SLO{TTFT: time.Second}}
	point.Prompt.Length.A, point.Output.Length.A = 512, 4
	whole := score.Window{From: request.Time(t0.UnixNano()), To: request.Time(t0.Add(31 * time.Second).UnixNano())}
	s := score.Of(score.Input{Records: records, Run: 1, Whole: whole, Point: point})
	s.Flags = []score.Flag{{Kind: "warm-cache", Title: "prompts were in the cache", Evidence: "512 of 600 tokens", Do: "ask for a cold cache"}, {Kind: "restarted", Invalid: true, Title: "the engine was restarted"}}
	reconciled, err := json.Marshal(validity.Table{Rows: []validity.Row{{Key: "requests", Name: "requests", Unit: "requests", Ours: 300, Server: 301, Difference: 1, Why: "somebody else's"}}})
	ts.Check(err)
	ts.Check(r.PutRun(sessions.Run{ID: 1, Label: "first\x1b[2J", Point: point, State: sessions.Done, Began: t0, Settled: t0, Cut: whole.To.At(), Ended: whole.To.At(),
		Target: map[string]string{"url": "http://127.0.0.1:8000", "model": "m"}, Score: &s, Reconciled: reconciled}))
	ts.Check(r.PutRequests(records))
	ts.Check(r.PutRun(sessions.Run{ID: 2, Point: point, State: sessions.Broken, Why: "the engine died", Began: t0.Add(31 * time.Second), Ended: t0.Add(40 * time.Second)}))
	ts.Check(r.PutRun(sessions.Run{ID: 3, Point: point, State: sessions.Measuring, Began: t0.Add(40 * time.Second)}))
	for now < 60 {
		tick()
	}
	ts.Check(r.Close())
}
