package engine

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// Work is what a page says about what the engine does. Requests that the page does not count are NaN.
type Work struct {
	// Running and Waiting are requests, all data-parallel engines together.
	Running, Waiting float64
	// Counts is whether the page has any counter of the engine's progress. Moved is whether one is higher than on the page before; Fell whether one is lower, as after a restart.
	Counts, Moved, Fell bool
	// Still is how long work has been there without a counter of progress moving; zero while there is no work.
	Still time.Duration
	// Step is the longest step of the last five minutes: the upper edge of the highest step-time bucket that moved, cut to
	// the time in which it must have happened, or a pause between two movements that was seen to end. A pause that was
	// long enough to be a stall is none: else each stall would hide the next one. Zero if none is known.
	Step time.Duration
	// Started is when the server process started, zero if the page does not tell.
	Started time.Time
	// Asleep is whether every engine that tells says that it sleeps; Level how deeply, in the engine's word.
	Asleep bool
	Level  string
	// Own is whether the page has any of the engine's own metrics.
	Own bool
}

// stepMemory is how long a step counts as recent.
const stepMemory = 5 * time.Minute

// tracker reads Work from page after page of one engine.
type tracker struct {
	d       *dialect.Dialect
	copies  []string // labels that tell copies apart, sorted
	roles   map[string]role
	last    map[uint64]float64 // progress counters by hash of their labels
	buckets map[uint64]float64 // step-time buckets, likewise
	newest  time.Time          // the last page
	moved   time.Time          // last page on which a counter moved
	before  time.Time          // the page before that one
	stalled bool               // the last page was one of a stall
	busy    time.Time          // first page of the present work
	unmoved time.Time          // last page with work and no movement since moved; zero if there was none
	steps   []step
}

type step struct {
	at   time.Time
	long time.Duration
}

type kind uint8

const (
	isRunning kind = iota
	isWaiting
	isProgress
	isStep
	isStart
	isSleep
)

// role is what one metric name means to the tracker: of the alternatives of a group the one of the lowest rank that is on
// the page counts.
type role struct {
	kind        kind
	group, rank int
}

func newTracker(d *dialect.Dialect) *tracker {
	t := &tracker{d: d, copies: slices.Sorted(slices.Values(d.State.Copies)), roles: map[string]role{}, last: map[uint64]float64{}, buckets: map[uint64]float64{}}
	add := func(k kind, group int, names dialect.Alternatives, suffix string) {
		for i, n := range names {
			t.roles[n+suffix] = role{k, group, i}
		}
	}
	add(isRunning, 0, d.State.Running, "")
	add(isWaiting, 0, d.State.Waiting, "")
	for i, a := range d.State.Progress {
		add(isProgress, i, a, "")
	}
	for i, a := range d.State.Steps {
		add(isStep, i, a, "_bucket")
	}
	if d.State.Start != "" {
		t.roles[d.State.Start] = role{kind: isStart}
	}
	if d.State.Sleep.Metric != "" {
		t.roles[d.State.Sleep.Metric] = role{kind: isSleep}
	}
	return t
}

type found struct {
	role
	probes.Sample
}

// page takes in the samples of a page read at now.
func (t *tracker) page(now time.Time, samples []probes.Sample) Work {
	w := Work{Running: math.NaN(), Waiting: math.NaN()}
	best := map[[2]int]int{}
	var all []found
	for _, s := range samples {
		name := s.Labels.Get(model.MetricNameLabel)
		r, ok := t.roles[name]
		w.Own = w.Own || t.d.Owns(name)
		if !ok || math.IsNaN(s.Value) {
			continue
		}
		all = append(all, found{r, s})
		g := [2]int{int(r.kind), r.group}
		if b, seen := best[g]; !seen || r.rank < b {
			best[g] = r.rank
		}
	}
	awake, sleepers, level := 0, 0, ""
	copies := map[uint64]float64{} // greatest value of series that say the same, by what they have in common
	first := len(t.last) == 0
	grown := map[float64]float64{} // observations since the last page, by the upper edge of their cumulative bucket
	for _, f := range all {
		if f.rank != best[[2]int{int(f.kind), f.group}] {
			continue
		}
		v := f.Value
		switch f.kind {
		case isRunning:
			w.Running = add(w.Running, t.beyond(copies, f, v))
		case isWaiting:
			w.Waiting = add(w.Waiting, t.beyond(copies, f, v))
		case isProgress:
			w.Counts = true
			h := f.Labels.Hash()
			old, known := t.last[h]
			t.last[h] = v
			w.Moved = w.Moved || (known && v > old) || (!known && !first && v > 0)
			w.Fell = w.Fell || (known && v < old)
		case isStep:
			h := f.Labels.Hash()
			old, known := t.buckets[h]
			t.buckets[h] = v
			if edge, err := strconv.ParseFloat(f.Labels.Get(labels.BucketLabel), 64); err == nil && known && v >= old {
				grown[edge] += v - old
			}
		case isStart:
			if v > 0 {
				w.Started = time.UnixMilli(int64(v * 1000))
			}
		case isSleep:
			switch state := f.Labels.Get(t.d.State.Sleep.Label); {
			case state == t.d.State.Sleep.Awake && v > 0:
				awake++
			case state == t.d.State.Sleep.Awake:
				sleepers++
			case v > 0:
				level = state
			}
		}
	}
	if w.Asleep = sleepers > 0 && awake == 0; w.Asleep {
		w.Level = level
	}
	t.forget(all)
	t.clock(now, &w, longest(grown))
	return w
}

// forget lets go of series that are no longer on the page, once they outnumber those that are.
func (t *tracker) forget(page []found) {
	if len(t.last)+len(t.buckets) <= 2*len(page)+256 {
		return
	}
	last, buckets := t.last, t.buckets
	t.last, t.buckets = map[uint64]float64{}, map[uint64]float64{}
	for _, f := range page {
		h := f.Labels.Hash()
		if v, ok := last[h]; ok && f.kind == isProgress {
			t.last[h] = v
		}
		if v, ok := buckets[h]; ok && f.kind == isStep {
			t.buckets[h] = v
		}
	}
}

// stoodSince tells that the work of the page that was just read has stood still since a time before it, and gives for how long
// that is: zero if there is no work.
func (t *tracker) stoodSince(since, now time.Time, w Work) time.Duration {
	if t.busy.IsZero() || !w.Counts {
		return 0
	}
	t.moved, t.busy, t.unmoved, t.stalled = since, since, now, true
	return now.Sub(since)
}

// beyond gives by how much a series exceeds those before it that say the same thing: what it adds to the sum.
func (t *tracker) beyond(copies map[uint64]float64, f found, v float64) float64 {
	if len(t.copies) == 0 {
		return v
	}
	h, _ := f.Labels.HashWithoutLabels(nil, t.copies...)
	h += uint64(f.kind) // the hash leaves the name out
	old, seen := copies[h]
	if seen && v <= old {
		return 0
	}
	copies[h] = v
	return v - old
}

func add(sum, v float64) float64 {
	if math.IsNaN(sum) {
		return v
	}
	return sum + v
}

// longest gives the upper edge of the highest bucket that got an observation, in cumulative buckets the lowest edge that
// has them all. An observation above the last finite edge counts as that edge: more is not known of it.
func longest(grown map[float64]float64) time.Duration {
	edges := make([]float64, 0, len(grown))
	var all, finite float64
	for e, n := range grown {
		edges = append(edges, e)
		all = max(all, n)
		if !math.IsInf(e, 1) {
			finite = max(finite, e)
		}
	}
	if all == 0 {
		return 0
	}
	slices.Sort(edges)
	for _, e := range edges {
		if grown[e] == all {
			return time.Duration(min(e, finite) * float64(time.Second))
		}
	}
	return 0
}

// clock keeps the times of w: how long work has stood still, and the longest recent step.
func (t *tracker) clock(now time.Time, w *Work, step time.Duration) {
	// A step that ended since the last page began no earlier than the page before the last movement: a request may wait
	// longer between two tokens (a preempted one does), but the engine's step was not longer than that.
	if !t.before.IsZero() {
		step = min(step, now.Sub(t.before))
	}
	if !t.stalled {
		t.step(now, step)
	}
	working := w.Running > 0 || w.Waiting > 0
	switch {
	case w.Moved || w.Fell || t.moved.IsZero():
		// A movement ends a pause that began no later than the last movement; it was at least as long as it was seen to be.
		if working && !t.stalled && !t.unmoved.IsZero() && !t.busy.IsZero() {
			t.step(now, t.unmoved.Sub(latest(t.moved, t.busy)))
		}
		t.moved, t.before, t.unmoved = now, t.newest, time.Time{}
	case working:
		t.unmoved = now
	}
	if !working {
		t.busy = time.Time{}
		t.unmoved = time.Time{}
	} else if t.busy.IsZero() {
		t.busy = now
	}
	if working && w.Counts && !w.Moved && !w.Fell {
		w.Still = now.Sub(latest(t.moved, t.busy))
	}
	t.step(now, 0) // forgets what is no longer recent
	for _, s := range t.steps {
		w.Step = max(w.Step, s.long)
	}
	t.stalled = w.Still > 0 && w.Still >= stallAfter(w.Step)
	t.newest = now
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (t *tracker) step(now time.Time, long time.Duration) {
	t.steps = slices.DeleteFunc(t.steps, func(s step) bool {
		return now.Sub(s.at) > stepMemory || (long > 0 && s.long <= long)
	})
	if long > 0 {
		// What is shorter and older than the newest can never be the longest again, so the list stays short.
		t.steps = append(t.steps, step{now, long})
	}
}

// stallAfter is how long work must stand still to be called stalled.
func stallAfter(longestStep time.Duration) time.Duration {
	return max(10*time.Second, 5*longestStep)
}
