package main

import (
	"context"
	"sync"
	"time"

	"pitwall/probes"
)

// taps keep the last reading of every source beside what the recorder makes of it, because a snapshot shows an engine's
// samples exactly as its page had them.
type taps struct {
	mu  sync.Mutex // guards what follows
	all map[[2]string]*tap
	// there are those of the last list of sources: an engine that turns out to be another one leaves it.
	there map[[2]string]bool
}

// tap is one source with its last reading.
type tap struct {
	probes.Source
	mu    sync.Mutex // guards the rest
	last  probes.Reading
	at    time.Time
	count int
	// ticks are those of the last two readings, noted how many readings there were at the later one.
	ticks [2]time.Time
	noted int
	// events are all that came, not only the last reading's.
	events []probes.Event
}

// over wraps sources; the same source gets the same tap every time.
func (ts *taps) over(sources []probes.Source) []probes.Source {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.all == nil {
		ts.all = map[[2]string]*tap{}
	}
	ts.there = make(map[[2]string]bool, len(sources))
	out := make([]probes.Source, len(sources))
	for i, s := range sources {
		job, instance := s.Target()
		key := [2]string{job, instance}
		ts.there[key] = true
		t := ts.all[key]
		if t == nil || t.Source != s {
			t = &tap{Source: s}
			ts.all[key] = t
		}
		out[i] = t
	}
	return out
}

// list gives the taps of the sources that were there last, in no particular order.
func (ts *taps) list() []*tap {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	out := make([]*tap, 0, len(ts.all))
	for key, t := range ts.all {
		if ts.there[key] {
			out = append(out, t)
		}
	}
	return out
}

// Read passes the reading on. Its samples are shared with the recorder: both only read them.
func (t *tap) Read(ctx context.Context) probes.Reading {
	at := time.Now()
	r := t.Source.Read(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Late == "" {
		t.count++
	}
	if r.Late == "" || t.count == 0 { // what is late still comes, and takes nothing back that is there
		t.last, t.at = r, at
	}
	t.events = append(t.events, r.Events...)
	return r
}

// reading gives the last reading, when it was begun, and how many there were.
func (t *tap) reading() (r probes.Reading, at time.Time, count int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last, t.at, t.count
}

// happened gives all events so far.
func (t *tap) happened() []probes.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]probes.Event(nil), t.events...)
}

// ticked notes the tick that was just over, if it brought a reading.
func (t *tap) ticked(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count > t.noted {
		t.ticks[0], t.ticks[1], t.noted = t.ticks[1], at, t.count
	}
}

// window is twice the time between the last two readings: over exactly that a rate needs no guess (PromQL's ranges are
// open on the left, and it extends what two samples tell to a range of up to 1.1 times their distance at either end).
func (t *tap) window() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticks[0].IsZero() {
		return 2 * time.Second
	}
	return 2 * t.ticks[1].Sub(t.ticks[0]).Truncate(time.Millisecond)
}
