package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"pitwall/cmd/config"
	"pitwall/probes"
	"pitwall/probes/engine/dialect"
	"pitwall/sessions"
)

// look is a short watch over everything, kept in memory: two readings of each source, so that rates can be told.
type look struct {
	taps taps
	rec  *sessions.Recorder
	// at is the moment of the last tick.
	at time.Time
}

// How long a look may take: for the probes to find what is there, for two readings (an interval of 5 s and a slow answer
// fit in), and for an engine that seems to stand still, which is called stalled after 10 s at the earliest.
const (
	findPatience  = 4 * time.Second
	lookPatience  = 15 * time.Second
	stallPatience = 13 * time.Second
)

// lookAround takes the readings.
func (p *program) lookAround(ctx context.Context, c *config.Config) (*look, error) {
	w, err := p.watch(c, nil)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	w.settle(ctx, lookPatience, findPatience)
	l := &look{}
	l.rec, err = sessions.NewRecorder(sessions.Options{Host: hostname(), Sources: func() []probes.Source { return l.taps.over(w.Sources()) }})
	if err != nil {
		return nil, err
	}
	start := time.Now()
	for n := 1; ; n++ {
		if err := l.tick(ctx); err != nil {
			return nil, err
		}
		took := time.Since(start)
		if n >= 2 && (l.twice() || took > lookPatience) && (took > stallPatience || !l.still(ctx)) {
			return l, nil
		}
		// One tick a second, as the sources expect.
		timer := time.NewTimer(time.Until(start.Add(time.Duration(n) * sessions.Tick)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// tick reads every source that is due. A tick can't be broken off, so that when ctx ends it is left behind.
func (l *look) tick(ctx context.Context) error {
	l.at = time.Now()
	at, done := l.at, make(chan error, 1)
	go func() { done <- l.rec.Tick(context.WithoutCancel(ctx), at) }()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-done:
		for _, t := range l.taps.list() {
			t.ticked(at)
		}
		return err
	}
}

// still says whether an engine that calls itself ready has work and moved no token between the last two readings.
func (l *look) still(ctx context.Context) bool {
	for _, t := range l.of(isEngine) {
		r, _, _ := t.reading()
		if state, _ := stateOf(r); state != stateReady {
			continue
		}
		job, instance := t.Target()
		d, _ := dialect.Named(job)
		sel := fmt.Sprintf("job=%q,instance=%q", job, instance)
		// Without work there is nothing to wait for; a name that this engine's pages lack answers nothing.
		res, err := l.ask(ctx, "engine:running > 0 and engine:decode_tokens + engine:prefill_tokens == 0", sel, d, t.window())
		if err == nil && len(res.Vector()) > 0 {
			return true
		}
	}
	return false
}

// twice says whether every source has been read twice, or once in vain.
func (l *look) twice() bool {
	for _, t := range l.taps.list() {
		// What failed gives no rates that a second reading could tell; it may be asked again only after seconds.
		if r, _, n := t.reading(); n == 0 || n < 2 && r.Err == nil {
			return false
		}
	}
	return true
}

// of gives the taps of a job, sorted by instance; dialects' jobs are the engines'.
func (l *look) of(match func(job string) bool) []*tap {
	var out []*tap
	for _, t := range l.taps.list() {
		if job, _ := t.Target(); match(job) {
			out = append(out, t)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		ji, ii := out[i].Target()
		jj, ij := out[j].Target()
		if ji != jj {
			return ji < jj
		}
		return ii < ij
	})
	return out
}

func isEngine(job string) bool {
	_, ok := dialect.Named(job)
	return ok
}

func is(job string) func(string) bool { return func(j string) bool { return j == job } }

// ask evaluates an expression at the end of the look. $w in it is a source's own window (tap.window): what a Scope has for
// it is made for recordings and would count the time before the first reading as one without any work.
func (l *look) ask(ctx context.Context, expr, sel string, d *dialect.Dialect, w time.Duration) (sessions.Result, error) {
	if d != nil {
		var err error
		if expr, err = d.Expand(expr, sel, w); err != nil {
			return sessions.Result{}, err
		}
	}
	expr = strings.ReplaceAll(expr, "$w", model.Duration(w).String())
	return l.rec.Query(ctx, expr, l.at, sessions.Scope{})
}
