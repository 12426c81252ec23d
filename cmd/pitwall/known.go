package main

import (
	"context"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine"
	"pitwall/sessions"
)

// lastKnownOf gives what the session in a file knew last of its engines; nothing if it can't be read, which whoever goes on
// with it will say.
func lastKnownOf(ctx context.Context, path string) []engine.Known {
	r, err := sessions.Open(path)
	if err != nil {
		return nil
	}
	defer r.Close()
	return lastKnown(ctx, r)
}

// lastKnown gives how the engines of a session were at its last tick, so that who records it next goes on from there.
func lastKnown(ctx context.Context, r sessions.Reader) []engine.Known {
	_, last := r.Bounds()
	if last.IsZero() {
		return nil
	}
	states, err := r.Query(ctx, "pitwall_engine_state == 1", last, sessions.Scope{})
	if err != nil {
		return nil
	}
	starts, err := r.Query(ctx, "pitwall_engine_state_start_time_seconds", last, sessions.Scope{})
	if err != nil {
		return nil
	}
	since := map[string]time.Time{}
	for _, s := range starts.Vector() {
		since[s.Metric.Get("instance")] = time.UnixMilli(int64(s.F*1000 + 0.5))
	}
	facts := r.Facts(last)
	var out []engine.Known
	for _, s := range states.Vector() {
		k := engine.Known{Instance: s.Metric.Get("instance"), Seen: last}
		k.State, k.Since = engine.State(s.Metric.Get("state")), since[k.Instance]
		subject := "engine/" + k.Instance
		k.PID, k.Started = engine.ProcessOf(facts, k.Instance)
		for _, e := range r.Events(k.Since.Add(-time.Minute), last) {
			if e.Kind == probes.KindEngineState && e.Subject == subject && e.Attrs["state"] == string(k.State) {
				k.Reason = e.Attrs["reason"]
			}
		}
		out = append(out, k)
	}
	return out
}
