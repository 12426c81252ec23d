package validity

import (
	"context"
	"fmt"
	"math"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// This file holds what the engine's own numbers tell.

// foreign flags other people's requests: what the server counted and ours can't explain.
func (j *judge) foreign(context.Context) {
	const do = "measure when nobody else uses the server: their requests share its batches, its queue and its cache"
	for _, key := range []string{"requests", "output_tokens", "prompt_tokens"} {
		r := j.row(key)
		if r.Verdict != More {
			continue
		}
		theirs := r.Difference - r.Crossing - r.Unsure
		share := theirs / max(1, r.Server)
		j.flag("foreign-traffic", share > 0.05, "others used the server",
			fmt.Sprintf("the server counted %.0f %s between %s and %s, ours are %.0f and at most %.0f more: at least %.0f (%.1f %%) are others'",
				r.Server, r.Name, clock(j.table.From), clock(j.table.To), r.Ours, r.Crossing+r.Unsure, theirs, 100*share), do)
		return
	}
}

// restarted flags an engine that was not there all the time.
func (j *judge) restarted(ctx context.Context) {
	const do = "repeat the run; the engine's log says why it stopped"
	for _, e := range j.reader.Events(j.run.Began, j.end()) {
		if e.Kind != probes.KindEngineState || !j.about(ctx, e.Subject) {
			continue
		}
		switch e.Attrs["state"] {
		case "ready", "":
			continue
		}
		j.flag("restarted", true, "the engine was not ready all the time", fmt.Sprintf("%s %s: %s", clock(e.Time), e.Subject, e.Title), do)
		return
	}
	if j.scope.Dialect == nil || j.table.From.IsZero() {
		return
	}
	from, to := reading{at: j.table.From}, reading{at: j.table.To}
	if j.asker.restarted(ctx, from, to) {
		j.flag("restarted", true, "the engine was restarted", fmt.Sprintf("%s is another at %s than at %s", j.scope.Dialect.State.Start, clock(to.at), clock(from.at)), do)
		return
	}
	if c := j.count(ctx, dialect.CountOutput, from, to); c.resets > 0 {
		j.flag("restarted", true, "the engine's counters started again", fmt.Sprintf("output tokens went from %.0f to %.0f between %s and %s", c.atFrom, c.atTo, clock(from.at), clock(to.at)), do)
	}
}

// end is when the last of the run was over.
func (j *judge) end() time.Time {
	if !j.run.Ended.IsZero() {
		return j.run.Ended
	}
	return j.to
}

// about says whether an event's subject is this run's engine: "engine/127.0.0.1:8000".
func (j *judge) about(ctx context.Context, subject string) bool {
	res, err := j.reader.Query(ctx, "count by (instance)(up{$sel})", j.to, j.scope)
	j.fail(err)
	for _, s := range res.Vector() {
		if subject == "engine/"+s.Metric.Get("instance") {
			return true
		}
	}
	return len(res.Vector()) == 0
}

// preempting flags requests that were thrown out of the batch.
func (j *judge) preempting(ctx context.Context) {
	if j.scope.Dialect == nil || j.table.From.IsZero() {
		return
	}
	c := j.count(ctx, dialect.CountPreemptions, reading{at: j.table.From}, reading{at: j.table.To})
	if c.why != "" || c.by == 0 {
		return
	}
	j.flag("preempting", false, "the engine preempted requests", fmt.Sprintf("%.0f preemptions between %s and %s: the KV cache was full and requests started again", c.by, clock(j.table.From), clock(j.table.To)),
		"this is how the server behaves at this load; for its latency without, lower concurrency or lengths, or give it more KV cache")
}

// gaps flags a run in which the engine's page could not be read as often as it was due.
func (j *judge) gaps(ctx context.Context) {
	if !j.to.After(j.from) {
		return
	}
	span := window(j.from, j.to)
	var missing string
	every := j.value(ctx, "max(max_over_time("+intervalMetric+"{$sel}["+span+"]))", j.to)
	good := j.value(ctx, "max(sum_over_time(up{$sel}["+span+"]))", j.to)
	if !math.IsNaN(every) && every > 0 {
		if math.IsNaN(good) {
			good = 0
		}
		// One reading may fall out of the window at each end.
		due := math.Floor(j.to.Sub(j.from).Seconds() / every)
		if due >= 3 && good < 0.9*due-1 {
			missing = fmt.Sprintf("%.0f of %.0f readings of the engine's page between %s and %s", good, due, clock(j.from), clock(j.to))
		}
	}
	if j.scope.Dialect != nil && missing == "" {
		missing = j.unread(ctx, span)
	}
	for _, e := range j.reader.Events(j.from, j.to) {
		if e.Kind == "recorder.gap" {
			missing = fmt.Sprintf("%s: %s", clock(e.Time), e.Title)
		}
	}
	if missing != "" {
		j.flag("scrape-gaps", false, "readings are missing", missing, "trust our own latencies; what the server and the host did meanwhile is not known")
	}
}

// unread says where in the measured time the engine's page was not read for long. A page that takes seconds is read more seldom,
// so that every reading which was due may be there and the middle of the run be missing all the same.
func (j *judge) unread(ctx context.Context, span string) string {
	least := j.value(ctx, "min(min_over_time("+intervalMetric+"{$sel}["+span+"]))", j.to)
	if math.IsNaN(least) {
		return ""
	}
	limit := max(mostUnread, time.Duration(3*least*float64(time.Second)))
	var a, b time.Time
	last := j.from
	for _, r := range append(j.readings(ctx, j.from, j.to), reading{at: j.to}) {
		if r.at.Sub(last) > b.Sub(a) {
			a, b = last, r.at
		}
		last = r.at
	}
	if b.Sub(a) <= limit {
		return ""
	}
	return fmt.Sprintf("the engine's page was not read from %s to %s, %.0f s; up to %.0f s is well", clock(a), clock(b), b.Sub(a).Seconds(), limit.Seconds())
}

// mostUnread is for how long an engine's page may be unread though it is due more often: longer than one slow reading.
const mostUnread = 7 * time.Second

// simulated flags what was no real engine.
func (j *judge) simulated(context.Context) {
	if j.reader.Info().Simulated {
		j.flag("simulated", false, "simulated", "some of this session came from a simulation (pitwall_simulated is 1)", "never quote it as a measurement")
	}
}
