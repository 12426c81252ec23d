package validity

import (
	"context"
	"fmt"
	"math"
	"time"

	"pitwall/sessions"
	"pitwall/sessions/score"
)

// reading is one time that the engine's page was read: it is stamped at, and what stands on it is of a moment until end.
type reading struct{ at, end time.Time }

func (r reading) there() bool { return !r.at.IsZero() }

// near is how far around an edge readings are looked for: an engine is read every 5 seconds at the least, and a page of a busy
// one may take half a minute.
const near = 90 * time.Second

// asker asks one reader about one engine.
type asker struct {
	reader sessions.Reader
	scope  sessions.Scope
	// err is the first question that could not be asked.
	err error
}

func (a *asker) fail(err error) {
	if a.err == nil && err != nil {
		a.err = fmt.Errorf("judging a run: %w", err)
	}
}

// value asks for one number at one moment; NaN where there is none.
func (a *asker) value(ctx context.Context, expr string, at time.Time) float64 {
	res, err := a.reader.Query(ctx, expr, at, a.scope)
	a.fail(err)
	v := math.NaN()
	for i, s := range res.Vector() {
		if i > 0 {
			a.fail(fmt.Errorf("query %s: %d series for one number", expr, len(res.Vector())))
			return math.NaN()
		}
		v = s.F
	}
	return v
}

// readings lists the successful readings of the engine's page with from ≤ at ≤ to, oldest first.
func (a *asker) readings(ctx context.Context, from, to time.Time) []reading {
	if _, last := a.reader.Bounds(); to.After(last) {
		to = last
	}
	if to.Before(from) {
		return nil
	}
	// Half a tick, so that no reading falls between two steps.
	step := sessions.Tick / 2
	ask := func(expr string) map[int64]float64 {
		out := map[int64]float64{}
		res, err := a.reader.QueryRange(ctx, expr, from, to.Add(step), step, a.scope)
		a.fail(err)
		for _, s := range res.Matrix() {
			for _, p := range s.Floats {
				out[p.T] = p.F
			}
		}
		return out
	}
	up, took := ask("min(up{$sel})"), ask("max(scrape_duration_seconds{$sel})")
	var out []reading
	for t, stamp := from, ask("max(timestamp(up{$sel}))"); !t.After(to.Add(step)); t = t.Add(step) {
		v, ok := stamp[t.UnixMilli()]
		at := time.UnixMilli(int64(math.Round(v * 1000))).UTC()
		if !ok || up[t.UnixMilli()] != 1 || at.Before(from) || at.After(to) || len(out) > 0 && !at.After(out[len(out)-1].at) {
			continue
		}
		out = append(out, reading{at, at.Add(time.Duration(took[t.UnixMilli()] * float64(time.Second)))})
	}
	return out
}

// before is the last reading that was over at t: nothing that began at t can be in it.
func (a *asker) before(ctx context.Context, t time.Time) reading {
	var out reading
	for _, r := range a.readings(ctx, t.Add(-near), t) {
		if !r.end.After(t) {
			out = r
		}
	}
	return out
}

// after is the first reading that began at t or later: everything that was over at t is in it.
func (a *asker) after(ctx context.Context, t time.Time) reading {
	for _, r := range a.readings(ctx, t, t.Add(near)) {
		return r
	}
	return reading{}
}

// settle is how long after a request's end the server may take to count it: it counts what a client gave up only when it has
// noticed.
const settle = score.Slack

// edges are the two readings between which a run is reconciled: the last before it began, and the first after it had come to
// rest. Runs without a rest between share one, the last that was over when the second began.
func (a *asker) edges(ctx context.Context, run sessions.Run, next time.Time) (from, to reading, why string) {
	if run.Began.IsZero() {
		return from, to, "the run has not begun"
	}
	if from = a.before(ctx, run.Began); !from.there() {
		return from, to, fmt.Sprintf("the engine's page was not read in the %s before the run began", near)
	}
	switch {
	case !next.IsZero():
		if !run.Ended.IsZero() {
			// The load may have come to rest between the two, and the page have been read meanwhile.
			if rest := a.after(ctx, run.Ended.Add(settle)); rest.there() && !rest.end.After(next) {
				return from, rest, ""
			}
		}
		if to = a.before(ctx, next); !to.there() {
			return from, to, fmt.Sprintf("the engine's page was not read in the %s before the next run began", near)
		}
	case run.Ended.IsZero():
		return from, to, "requests of the run are still in flight"
	default:
		if to = a.after(ctx, run.Ended.Add(settle)); !to.there() {
			return from, to, "the engine's page was not read since the run's last request was over"
		}
	}
	return from, to, ""
}
