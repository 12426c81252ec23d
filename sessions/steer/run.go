package steer

import (
	"strconv"
	"time"

	"pitwall/probes"
	"pitwall/probes/load"
	"pitwall/probes/request"
	"pitwall/sessions"
)

// run is a run with what only its desk needs.
type run struct {
	sessions.Run
	book      Book
	server    *load.Server
	instance  string
	tally     load.Tally
	over      bool                                               // its last request is over, and its last record is stored
	lost      string                                             // why requests of it are not stored
	broken    bool                                               // it could not go on; Why says it
	certified func(inFlight int, tokensPerSecond float64) string // nil without a certificate
	beyond    string                                             // the first reason for which it went beyond that
	// settled, cut and ended are the same as the run's own times, by the clock of its records.
	settled, cut, ended request.Time
	told                sessions.RunState // how far it was stored
}

// name is what its events call it: "run 3".
func (r *run) name() string { return "run " + strconv.FormatUint(uint64(r.ID), 10) }

// subject is whom its events are about.
func (r *run) subject() string { return "run/" + strconv.FormatUint(uint64(r.ID), 10) }

func (r *run) event(kind string, at time.Time, severity probes.Severity, title string) probes.Event {
	e := probes.Event{Time: at, Kind: kind, Subject: r.subject(), Severity: severity, Title: title, Attrs: map[string]string{
		"run": strconv.FormatUint(uint64(r.ID), 10), "label": r.Label, "state": string(r.State), "engine": r.instance,
	}}
	if r.Why != "" {
		e.Attrs["why"] = r.Why
	}
	return e
}

// took is given each record by the client.
func (d *desk) took(rec *request.Record) {
	d.mu.Lock()
	r := d.find(rec.Run)
	if r != nil {
		d.live.add(rec)
	}
	d.mu.Unlock()
	if r == nil {
		return // of a run that was never in force, so nothing can have been sent for it
	}
	if err := r.book.PutRequests([]request.Record{*rec}); err != nil {
		d.mu.Lock()
		if r.lost == "" {
			r.lost = "requests of it could not be stored: " + err.Error()
		}
		d.mu.Unlock()
	}
}

// wasOver is told by the client when a run's last record has been handed over.
func (d *desk) wasOver(t load.Tally) {
	d.mu.Lock()
	if r := d.find(t.Run); r != nil {
		r.tally, r.over = t, true
	}
	d.mu.Unlock()
	d.sync()
}

// find gives a run that is not judged yet. The caller holds mu.
func (d *desk) find(id uint32) *run {
	for _, r := range d.runs {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// sync brings the runs to where the client is, stores what has changed, and tells it. All times are the client's, so it does
// not matter how late it is called.
func (d *desk) sync() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.runner == nil {
		return
	}
	st := d.runner.State()
	before := request.Time(0) // when the last request of the runs before was over
	drained := true
	for _, r := range d.runs {
		if !r.over {
			if t, ok := st.Of(r.ID); ok {
				r.tally = t
			}
		}
		if r.tally.Began != 0 {
			d.advance(r, before, drained)
		}
		drained = drained && r.tally.Ended != 0
		before = max(before, r.tally.Ended)
	}
}

// advance takes one run as far as it has come. before is when the last request of the runs before it was over; drained says
// whether that has been. The caller holds mu.
func (d *desk) advance(r *run, before request.Time, drained bool) {
	if r.ended != 0 {
		return // it is its judge's now
	}
	t := r.tally
	if r.Began.IsZero() {
		r.Began = t.Began.At()
		r.book.PutEvent(r.event("run.began", r.Began, probes.Note, r.name()+" began: "+r.Label))
	}
	r.Dropped = t.Dropped
	if t.Cut != 0 && r.cut == 0 {
		r.cut, r.Cut = t.Cut, t.Cut.At()
		if r.Why == "" {
			r.Why = t.Why
		}
		if d.current == r {
			d.why = r.Why
		}
	}
	if settled := max(t.Began, before); r.settled == 0 && drained && (r.cut == 0 || settled < r.cut) {
		r.settled, r.Settled = settled, settled.At()
	}
	switch {
	case r.cut != 0:
		r.State = sessions.Draining
	case r.settled != 0:
		r.State = sessions.Measuring
	}
	if r.State == sessions.Draining && r.told != sessions.Draining {
		title := r.name() + " cut"
		if r.Why != "" {
			title += ": " + r.Why
		}
		r.book.PutEvent(r.event("run.cut", r.Cut, probes.Note, title))
	}
	if r.State != r.told {
		d.store(r)
	}
	if r.over && t.Ended != 0 && r.ended == 0 {
		r.ended, r.Ended = t.Ended, t.Ended.At()
		go d.judge(r)
	}
}

// store keeps how far a run has come. The caller holds mu.
func (d *desk) store(r *run) {
	r.told = r.State
	d.version.Add(1)
	if err := r.book.PutRun(r.Run); err != nil {
		d.problem = err.Error()
	}
}

const (
	// watchEvery is how often the client is looked at: that a run has settled is seen so late, and timed exactly.
	watchEvery = 250 * time.Millisecond
	liveEvery  = time.Second
)

// watch looks after the runs until none is under way.
func (d *desk) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var lived time.Time
	for {
		d.sync()
		if time.Since(lived) >= liveEvery {
			lived = time.Now()
			d.refresh()
			if gone := d.gone(); gone != "" {
				d.breakOff(gone)
			}
		}
		d.mu.Lock()
		if !d.busy() {
			d.watching = false
			scored := d.o.Scored != nil && !d.server.Simulated
			d.mu.Unlock()
			if scored {
				d.o.Scored(false)
			}
			return
		}
		d.mu.Unlock()
		select {
		case <-tick.C:
		case <-d.quit: // whoever closes the desk goes on
			return
		}
	}
}
