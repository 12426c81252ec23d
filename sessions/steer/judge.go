package steer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"pitwall/probes"
	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/sessions/score"
	"pitwall/sessions/validity"
)

const (
	// readEvery is how often it is looked whether the engine's page has been read; readWithin is for how long: a scraper that
	// goes every 5 s has tried several times by then.
	readEvery  = 250 * time.Millisecond
	readWithin = 30 * time.Second
	// judgeWithin bounds the questions about one run.
	judgeWithin = 30 * time.Second
)

// judge scores a run that is over at once, and judges it when the engine's page has been read; both are stored.
func (d *desk) judge(r *run) {
	d.judging.Lock()
	s, err := d.score(r)
	d.judging.Unlock()

	d.mu.Lock()
	r.Score = s
	switch {
	case err != nil:
		r.State, r.Why = sessions.Broken, err.Error()
	case r.lost != "":
		r.State, r.Why = sessions.Broken, r.lost
	case r.broken:
		r.State = sessions.Broken
	case s == nil:
		r.State, r.Why = sessions.Broken, unsettled
	default:
		r.State = sessions.Done
	}
	r.book.PutEvent(r.ending())
	d.store(r)
	if d.current == r {
		d.why = r.Why
	}
	d.mu.Unlock()

	opt := d.await(r)
	ctx, cancel := context.WithTimeout(context.Background(), judgeWithin)
	defer cancel()
	d.judging.Lock()
	flags, table, err := d.verdict(ctx, r, opt)
	d.judging.Unlock()

	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.problem = fmt.Sprintf("judging run %d: %v", r.ID, err)
	}
	if r.Score != nil {
		judged := *r.Score // what was stored must not change
		judged.Flags = flags
		r.Score = &judged
	}
	if text, err := json.Marshal(table); err == nil {
		r.Reconciled = text
	} else {
		d.problem = fmt.Sprintf("reconciling run %d: %v", r.ID, err)
	}
	d.store(r)
	d.forget(r)
	d.finished()
}

// unsettled is why a run has no score that was changed so soon that it never had the server to itself.
const unsettled = "it was cut before the requests of the run before were over: nothing of it was measured"

// ending is the event of a run's end.
func (r *run) ending() probes.Event {
	severity, title := probes.Note, fmt.Sprintf("%s ended: %d requests", r.name(), r.tally.Ends())
	if n := r.tally.Failed(); n > 0 {
		title += fmt.Sprintf(", %d failed", n)
	}
	switch {
	case r.broken || r.lost != "":
		severity, title = probes.Warning, r.name()+" is broken: "+r.Why
	case r.State == sessions.Broken:
		title = r.name() + " ended: unscored, " + r.Why
	case r.Why != "":
		title += ": " + r.Why
	}
	return r.event("run.ended", r.Ended, severity, title)
}

// score makes the score of a run; nil where it has no time of its own.
func (d *desk) score(r *run) (*score.Score, error) {
	if r.settled == 0 || r.cut <= r.settled {
		return nil, nil
	}
	records, err := d.records(r)
	s := score.Of(score.Input{
		Records: records, Run: r.ID, Whole: score.Window{From: r.settled, To: r.cut}, Point: r.Point, Dropped: r.Dropped,
	})
	return &s, err
}

// records gives the requests of a run and of those that overlap it, or the readings of the engine's page before and after it.
func (d *desk) records(r *run) ([]request.Record, error) {
	var out []request.Record
	from := r.Began.Add(-readWithin)
	for _, other := range r.book.Runs() {
		if other.ID != r.ID && (!other.Ended.IsZero() && other.Ended.Before(from) || other.Began.After(r.Ended.Add(readWithin))) {
			continue
		}
		for rec, err := range r.book.Requests(context.Background(), other.ID) {
			var missing *sessions.MissingRequests
			switch {
			case errors.As(err, &missing) && other.ID == r.ID:
				return out, fmt.Errorf("some of its requests are lost: %w", err)
			case err != nil && missing == nil:
				return out, fmt.Errorf("reading its requests back: %w", err)
			case err != nil:
			case other.ID == r.ID, rec.End >= request.Time(from.UnixNano()):
				out = append(out, rec)
			}
		}
	}
	return out, nil
}

// await waits until the runs before are over and the engine's page has been read after the run, for a while; an engine that is
// gone is not waited for.
func (d *desk) await(r *run) validity.Options {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	for {
		opt, alone := d.judgeOptions(r)
		if opt.Scope.Dialect == nil || r.broken || alone && validity.Ready(ctx, r.book, r.Run, opt) {
			return opt
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return opt
		case <-d.quit:
			return opt
		}
	}
}

// judgeOptions says what is known of a run's surroundings; alone is whether the runs before it are all over.
func (d *desk) judgeOptions(r *run) (opt validity.Options, alone bool) {
	opt = validity.Options{Scope: d.o.Scope(r.instance), Loopback: r.server.Local}
	for _, other := range r.book.Runs() {
		if other.ID > r.ID && !other.Began.IsZero() {
			opt.Next = other.Began
			break
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	opt.Bound, opt.Beyond = r.tally.Bound, r.beyond
	for _, other := range d.runs {
		if other.ID < r.ID && other.ended == 0 {
			return opt, false
		}
	}
	return opt, true
}

// verdict judges a run and reconciles it.
func (d *desk) verdict(ctx context.Context, r *run, opt validity.Options) ([]score.Flag, validity.Table, error) {
	records, err := d.records(r)
	flags, table, judged := validity.Judge(ctx, r.book, r.Run, records, opt)
	return flags, table, errors.Join(err, judged)
}
