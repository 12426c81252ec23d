package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/sessions"
	"pitwall/sessions/steer"
)

// scene is a stretch of the demo's load.
type scene struct {
	point shape.Point
	lasts time.Duration
}

// scenes are the demo's: the opening goes up through the trade of latency for throughput and back, then the rest goes round.
func scenes(seed uint64) (opening, round []scene) {
	slo := shape.SLO{TTFT: 500 * time.Millisecond, TPOT: 25 * time.Millisecond}
	chat := func(clients int, lasts time.Duration) scene {
		return scene{shape.Point{
			Label: fmt.Sprintf("chat, %d clients", clients), Arrival: shape.Arrival{Kind: shape.Closed, Clients: clients},
			Prompt: shape.Prompt{Length: shape.Length{Draw: shape.Uniform, A: 120, B: 280}}, Output: shape.Output{Length: shape.Length{Draw: shape.Uniform, A: 60, B: 140}},
			Cache: shape.Cold, Seed: seed, SLO: slo,
		}, lasts}
	}
	opening = []scene{chat(2, 8*time.Second), chat(8, 8*time.Second), chat(32, 9*time.Second), chat(96, 9*time.Second)}
	crowd := chat(256, 60*time.Second)
	crowd.point.Label, crowd.point.Prompt.Length, crowd.point.Output.Length = "a crowd that the KV cache can't hold", shape.Tokens(1900), shape.Tokens(600)
	agents := chat(12, 45*time.Second)
	agents.point.Label, agents.point.Cache = "agents with one system prompt", shape.Warm
	agents.point.Prompt = shape.Prompt{Length: shape.Tokens(768), Shared: 640, Turns: 6}
	documents := chat(0, 45*time.Second)
	documents.point.Label, documents.point.Prompt.Length = "documents at 2 requests/s", shape.Length{Draw: shape.Normal, A: 2400, B: 500}
	documents.point.Arrival = shape.Arrival{Kind: shape.Poisson, Rate: 2}
	return opening, []scene{crowd, chat(8, 30*time.Second), agents, documents, chat(32, 45*time.Second)}
}

// againAfter is how long the demo waits for an engine that a fault has taken away before it loads it again.
const againAfter = 2 * time.Second

// settledEvery is how often it is looked whether a scene has the engine to itself: its time begins then.
const settledEvery = time.Second

// play puts the demo's load on its engine, until ctx ends or somebody else steers it.
func play(ctx context.Context, d *desk, engine string, seed uint64) {
	if d.awaitReading(ctx, engine, readingWithin) != nil && ctx.Err() != nil {
		return
	}
	opening, round := scenes(seed)
	last := uint32(0)
	for i := 0; ctx.Err() == nil; {
		s := scene{}
		if i < len(opening) {
			s = opening[i]
		} else {
			s = round[(i-len(opening))%len(round)]
		}
		st := d.load.Status()
		gone := st.Run.State == sessions.Broken && st.Phase == steer.Idle
		if st.Run.ID != last || st.Pending != nil || last != 0 && !gone && st.Phase != steer.Running && st.Phase != steer.Settling {
			return // somebody has changed it, or stopped it
		}
		if d.load.Start(ctx, engine, s.point) != nil { // it does not answer; why stands on the screen
			wait(ctx, againAfter)
			continue
		}
		i++
		for wait(ctx, settledEvery); ctx.Err() == nil && slices.Contains([]steer.Phase{steer.Preparing, steer.Settling}, d.load.Status().Phase); {
			wait(ctx, settledEvery)
		}
		wait(ctx, s.lasts)
		if st = d.load.Status(); st.Run.ID == last || st.Run.Label != s.point.Label {
			return
		}
		last = st.Run.ID
	}
}

// wait waits for a time, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
