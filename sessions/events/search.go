package events

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/promql"

	"pitwall/probes"
	"pitwall/sessions"
)

// stretch is how much of a session is asked for at once.
const stretch = 5 * time.Minute

// Search goes through a whole session with rules that need not be those that it was recorded with, and gives the events
// that a Source with these rules would have left, together with those that probes left; events of the rules it was recorded
// with are not among them. progress, which may be nil, is told how far it is (0 to 1) every few minutes of the session.
// Fold makes episodes of the result.
func Search(ctx context.Context, r sessions.Reader, rules []Rule, progress func(done float64)) ([]probes.Event, error) {
	first, last := r.Bounds()
	var found []probes.Event
	for _, e := range r.Events(time.Time{}, last) {
		if e.Attrs["phase"] == "" {
			found = append(found, e)
		}
	}
	if last.IsZero() {
		return found, nil
	}
	a := ahead{r: r, last: last, known: map[asking]answers{}}
	w := newWatcher(r, rules)
	w.ask = a.ask
	told := first
	for t := first; !t.After(last); t = t.Add(sessions.Tick) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		more, err := w.step(ctx, t)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
		if progress != nil && t.Sub(told) >= stretch {
			told = t
			progress(float64(t.Sub(first)) / float64(last.Sub(first)))
		}
	}
	sortEvents(found)
	return found, nil
}

// ahead answers what is asked for one moment after the other by asking for minutes at once, which costs a tenth.
type ahead struct {
	r     sessions.Reader
	last  time.Time
	known map[asking]answers
}

type asking struct {
	expr, sel string
	window    time.Duration
}

type answers struct {
	from, to time.Time
	every    time.Duration
	at       map[int64]promql.Vector
	res      sessions.Result
}

func (a *ahead) ask(ctx context.Context, expr string, at time.Time, every time.Duration, sc sessions.Scope) (sessions.Result, error) {
	key := asking{expr, sc.Sel, sc.Window}
	k, ok := a.known[key]
	if !ok || at.Before(k.from) || at.After(k.to) || at.Sub(k.from)%every != 0 {
		k = answers{from: at, to: at.Add(stretch), every: every, at: map[int64]promql.Vector{}}
		if k.to.After(a.last) {
			k.to = latest(at, a.last)
		}
		var err error
		if k.res, err = a.r.QueryRange(ctx, expr, k.from, k.to, every, sc); err != nil {
			return k.res, err
		}
		for _, series := range k.res.Matrix() {
			for _, p := range series.Floats {
				k.at[p.T] = append(k.at[p.T], promql.Sample{Metric: series.Metric, T: p.T, F: p.F})
			}
		}
		a.known[key] = k
	}
	res := k.res
	res.Value = k.at[at.UnixMilli()]
	return res, nil
}
