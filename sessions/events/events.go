// Package events finds what happened in a session: from the series by rules that are data, and from the typed records
// that probes leave (an engine's states, XIDs, OOM kills, marks). In go a sessions.Reader and a time; out come Episodes: each
// with its start, its end or that it goes on, its cause, its evidence and its severity.
//
// A rule is evaluated while a session is recorded: Source is one more probes.Source, which asks the recorder in PromQL and
// gives back probes.Events, so what was found is in the session and opening it costs nothing. Of folds them into Episodes,
// the same for a live and for a saved session. What comes and goes is one Episode with a count. Search does the same for a
// session that was recorded without a rule.
//
// It does not draw, it does not notify anybody, and it never asks an engine or a GPU.
package events

import (
	"cmp"
	"slices"
	"time"

	"pitwall/probes"
	"pitwall/sessions"
)

// Episode is something that happened, and how long it lasted.
type Episode struct {
	// Kind is the rule's or the event's dotted word: "engine.preempting", "gpu.xid", "mark". An engine's states are
	// "engine.starting", "engine.ready", "engine.restarted", "engine.sleeping", "engine.stalled", "engine.dead" and, where
	// there has never been an answer, "engine.no_answer" and "engine.none".
	Kind string
	// Subject is whom it is about: "engine/127.0.0.1:8000", "gpu/0", "host", "recorder".
	Subject  string
	Severity probes.Severity
	// Title is one line for the screen, without times: "preempting".
	Title string
	// Cause says why in plain words, as far as it is known: "KV cache 100 %, 4 of 4 running".
	Cause string
	// Evidence is what it was told from.
	Evidence []Evidence
	// Start is its first moment, End its last; End is zero while it goes on.
	Start, End time.Time
	// Count is how often it came, 1 at first. Active is how long it was really there between Start and End.
	Count  int
	Active time.Duration
	// Moment is true of what has no length: a mark, an XID. Its End is its Start.
	Moment bool
	// Attrs are those of the event that began it.
	Attrs map[string]string
}

// Ongoing tells whether it has not ended.
func (e Episode) Ongoing() bool { return !e.Moment && e.End.IsZero() }

// Lasted is the time from its start to its end, or to the moment at while it goes on; 0 for a moment.
func (e Episode) Lasted(at time.Time) time.Duration {
	if e.Ongoing() {
		return max(0, at.Sub(e.Start))
	}
	return e.End.Sub(e.Start)
}

// Text is what it was in one line: title and cause.
func (e Episode) Text() string {
	if e.Cause == "" {
		return e.Title
	}
	return e.Title + ": " + e.Cause
}

// touches tells whether any of it lies in the time from … to; a zero bound is none.
func (e Episode) touches(from, to time.Time) bool {
	return (to.IsZero() || !e.Start.After(to)) && (e.Ongoing() || !e.End.Before(from))
}

// Evidence is one number that a rule looked at.
type Evidence struct {
	// Expr is the expression as it was asked, with everything expanded.
	Expr string
	// Value is what it gave when the rule fired, with its unit; Threshold is what it is compared with: "> 0/s", empty for a
	// number that only belongs to the cause.
	Value, Threshold string
}

// Of gives the episodes of a session that touch the time from … to, as they were known at the moment at (an episode that
// ended after it is still going on), sorted by Start. A zero at is the session's last tick, a zero to is at.
func Of(r sessions.Reader, from, to, at time.Time) []Episode {
	_, last := r.Bounds()
	if at.IsZero() {
		at = last
		if r.Info().Recording == sessions.Saved { // what happened between the last tick and the end is told as well
			for _, e := range r.Events(last, last.Add(time.Minute)) {
				at = latest(at, e.Time)
			}
		}
	}
	return Fold(r.Events(time.Time{}, at), from, to, at)
}

// Fold is Of for a list of events, sorted by time. Those after at are not looked at.
func Fold(all []probes.Event, from, to, at time.Time) []Episode {
	f := newFolder()
	for _, e := range all {
		if !e.Time.After(at) {
			f.take(e)
		}
	}
	if to.IsZero() {
		to = at
	}
	out := make([]Episode, 0, len(f.all))
	for _, e := range f.finish(at) {
		if e.touches(from, to) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b Episode) int {
		return cmp.Or(a.Start.Compare(b.Start), -cmp.Compare(a.Severity, b.Severity))
	})
	return out
}
