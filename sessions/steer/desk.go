package steer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pitwall/probes"
	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions"
)

// desk is the state behind a Desk. Two goroutines of its own come and go: one brings changes into force (apply), one watches
// while a run is not over (watch). Each run that is over has one that judges it.
type desk struct {
	o       Options
	version atomic.Uint64
	// quit is closed when the desk closes: nobody waits for another reading of the engine then.
	quit chan struct{}
	// judging lets one run be scored and judged at a time.
	judging sync.Mutex

	mu       sync.Mutex // guards the rest
	closed   bool
	instance string
	server   *load.Server
	examined time.Time
	runner   Runner
	clock    request.Clock
	book     Book            // of the runs under way
	known    map[string]bool // servers that have had load from here
	wanted   *want
	changed  chan struct{}      // another change was asked for, or none is wanted any more; buffered
	giveUp   context.CancelFunc // ends what apply is doing
	stops    int                // how often it was stopped
	applying bool
	watching bool
	runs     []*run // that are not over and judged, oldest first
	current  *run   // the last one that was set
	lastID   uint32
	live     live
	cert     Certificate
	problem  string
	why      string
	waiting  []chan struct{}
}

// want is a point that was asked for.
type want struct {
	point shape.Point
	at    time.Time
}

func newDesk(o Options) *desk {
	if o.Scope == nil {
		o.Scope = func(string) sessions.Scope { return sessions.Scope{} }
	}
	return &desk{o: o, quit: make(chan struct{}), known: map[string]bool{}, changed: make(chan struct{}, 1)}
}

// freshFor is how long what was found out of a server is taken for true while no load is on it.
const freshFor = 10 * time.Second

var errClosing = errors.New("the load is being ended: nothing can be started any more")

// examine gives the server of an engine, and asks it unless that was done just now or load is on it.
func (d *desk) examine(ctx context.Context, instance string) (*load.Server, error) {
	if instance == "" {
		return nil, errors.New("no engine is shown: there is nothing to put load on")
	}
	if _, why := d.o.Book(); why != "" {
		return nil, errors.New(why)
	}
	d.mu.Lock()
	busy := d.busy()
	switch {
	case d.closed:
		d.mu.Unlock()
		return nil, errClosing
	case busy && d.instance != instance:
		other := d.instance
		d.mu.Unlock()
		return nil, fmt.Errorf("load is on %s: stop it first", other)
	case d.server != nil && d.instance == instance && (busy || time.Since(d.examined) < freshFor):
		s := d.server
		d.mu.Unlock()
		return s, nil
	}
	d.mu.Unlock()
	s, err := d.o.Examine(ctx, instance)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy() { // somebody else was quicker
		return d.server, nil
	}
	d.leave()
	d.instance, d.server, d.examined = instance, s, time.Now()
	d.version.Add(1)
	return s, nil
}

// leave lets a client go whose server is looked at anew. The caller holds mu, and nothing is under way.
func (d *desk) leave() {
	if r := d.runner; r != nil {
		d.runner = nil
		go r.Close()
	}
}

// busy says whether load is on, asked for, or draining. The caller holds mu.
func (d *desk) busy() bool {
	return d.wanted != nil || d.applying || d.underWay()
}

// underWay says whether a run is not over. The caller holds mu.
func (d *desk) underWay() bool {
	return slices.ContainsFunc(d.runs, func(r *run) bool { return !r.over })
}

// active says whether a run is in force. The caller holds mu.
func (d *desk) active() bool { return d.current != nil && d.current.Cut.IsZero() }

func (d *desk) start(ctx context.Context, instance string, p shape.Point) error {
	s, err := d.examine(ctx, instance)
	if err != nil {
		return err
	}
	if err := s.Check(p); err != nil {
		return err
	}
	cert := Certificate{}
	if d.o.Certified != nil {
		cert = d.o.Certified()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return errClosing
	case d.server != s:
		return errors.New("another server was chosen meanwhile: start again")
	}
	d.wanted = &want{point: p.Filled(), at: time.Now()}
	d.problem, d.why, d.cert = "", "", cert
	d.version.Add(1)
	d.kick()
	if !d.applying {
		d.applying = true
		go d.apply()
	}
	return nil
}

// kick wakes apply. The caller holds mu.
func (d *desk) kick() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// apply brings what is wanted into force until nothing is.
func (d *desk) apply() {
	for {
		d.mu.Lock()
		w := d.wanted
		if w == nil {
			d.applying = false
			d.finished()
			d.mu.Unlock()
			return
		}
		if hold := d.o.Hold - time.Since(w.at); hold > 0 && d.active() {
			d.mu.Unlock()
			d.hold(hold)
			continue
		}
		select { // what was asked for so far is in wanted
		case <-d.changed:
		default:
		}
		ctx, cancel := context.WithCancel(context.Background())
		d.giveUp = cancel
		stops := d.stops
		runner, r, err := d.prepare(w.point)
		d.mu.Unlock()
		if err == nil {
			err = runner.Set(ctx, w.point, r.ID)
		}
		cancel()
		d.mu.Lock()
		d.inForce(r, w, err)
		if err == nil && d.stops != stops { // it came into force while it was called off
			runner.Stop()
		}
		d.mu.Unlock()
		if err == nil {
			d.sync()
		}
	}
}

// hold waits for another change.
func (d *desk) hold(t time.Duration) {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.changed:
	}
}

// prepare makes the run that a point will be. The caller holds mu.
func (d *desk) prepare(p shape.Point) (Runner, *run, error) {
	if d.closed {
		return nil, nil, errClosing
	}
	if !d.underWay() {
		book, why := d.o.Book()
		if why != "" {
			return nil, nil, errors.New(why)
		}
		if book != d.book {
			d.leave() // its clock is another session's
		}
		d.book = book
	}
	if d.runner == nil {
		d.clock = request.ClockAt(d.book.Now())
		d.runner = d.o.Connect(d.server, load.Options{Clock: d.clock, Each: d.took, Over: d.wasOver})
	}
	d.lastID = max(d.lastID+1, d.book.NextRun())
	r := &run{book: d.book, server: d.server, instance: d.instance}
	r.ID, r.Point, r.Label, r.State = d.lastID, p, p.Label, sessions.Settling
	if r.Label == "" {
		r.Label = p.String()
	}
	r.Target, r.Certificate, r.certified = d.server.Target(), d.cert.Text, d.cert.Beyond
	d.runs = append(d.runs, r) // before it is in force: its first request may end before Set does
	return d.runner, r, nil
}

// inForce takes down what became of a change. The caller holds mu.
func (d *desk) inForce(r *run, w *want, err error) {
	d.version.Add(1)
	if d.wanted == w {
		d.wanted = nil
	}
	if err != nil {
		if r != nil {
			d.forget(r)
		}
		if d.closed || errors.Is(err, context.Canceled) {
			return // it was called off
		}
		d.problem = err.Error()
		return
	}
	if !d.active() {
		d.live.unreached = unreached{} // who starts it anew knows that the engine was gone
	}
	d.current = r
	d.known[d.server.URL] = true
	d.live.begin(r.ID)
	if !d.watching {
		d.watching = true
		if d.o.Scored != nil && !d.server.Simulated {
			d.o.Scored(true)
		}
		go d.watch()
	}
}

// forget drops a run that never was. The caller holds mu.
func (d *desk) forget(r *run) {
	d.runs = slices.DeleteFunc(d.runs, func(other *run) bool { return other == r })
}

// stop ends the load; cancel gives up what is under way besides. why is empty where the operator asked for it.
func (d *desk) stop(cancel bool, why string) {
	d.mu.Lock()
	d.wanted = nil
	d.stops++
	d.kick()
	if d.giveUp != nil {
		d.giveUp()
		d.giveUp = nil
	}
	runner := d.runner
	if why != "" && d.active() {
		d.current.Why = why
	}
	d.mu.Unlock()
	if runner == nil {
		return
	}
	if cancel {
		runner.Cancel()
	} else {
		runner.Stop()
	}
	d.version.Add(1)
	d.sync()
}

func (d *desk) sources() []probes.Source {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.runner == nil {
		return nil
	}
	return []probes.Source{d.runner.Source()}
}

func (d *desk) idle() <-chan struct{} {
	ch := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, ch)
	d.finished()
	return ch
}

// finished tells those who wait that nothing is under way any more, if so. The caller holds mu.
func (d *desk) finished() {
	if d.wanted != nil || d.applying || len(d.runs) > 0 {
		return
	}
	for _, ch := range d.waiting {
		close(ch)
	}
	d.waiting = nil
}

// closeWithin bounds how long an ending waits for runs to be stored.
const closeWithin = 3 * time.Second

func (d *desk) close(why string) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.closed = true
	d.mu.Unlock()
	d.stop(true, why)
	close(d.quit)
	d.mu.Lock()
	runner := d.runner
	d.mu.Unlock()
	idle := d.idle()
	go func() {
		if runner != nil {
			runner.Close()
		}
		d.sync()
	}()
	select {
	case <-idle:
	case <-time.After(closeWithin):
	}
}
