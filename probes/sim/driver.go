package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pitwall/probes/gpu"
)

// driver runs engines on the wall clock. Steps are computed when somebody looks (catchUp), so an engine that nobody streams
// from needs next to no CPU however fast it steps; while a client is connected a goroutine ends every step in time.
type driver struct {
	mu      sync.Mutex // guards all below but wake
	engines []*Engine  // the first is served, the others only give their GPUs something to do
	live    int        // clients that wait for tokens
	truth   record
	xids    []gpu.XID
	bell    chan struct{} // closed and made anew when there is a new XID

	started time.Time
	number  int           // of the served engine, among several simulations
	warm    time.Duration // how far the engines were before started
	speed   float64
	wake    chan struct{}
}

// lazy is how often an unwatched engine is moved, so that nobody who looks has to wait for a long past.
const lazy = time.Second

// warmSlice is how much warming up is done before it is looked again whether anybody still waits for it.
const warmSlice = 10 * time.Minute

func newDriver(ctx context.Context, engines []*Engine, o Options) (*driver, error) {
	warm := o.Warm
	// The other engines catch up when their cards are first looked at.
	for t := warm % warmSlice; t <= warm; t += warmSlice {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("simulated engine: warming up: %w", err)
		}
		engines[0].RunUntil(t)
	}
	d := &driver{engines: engines, number: o.Engine, started: time.Now(), warm: warm, speed: o.Speed, wake: make(chan struct{}, 1), bell: make(chan struct{})}
	for i, e := range engines {
		e.told = func(f *Fault, at time.Duration, end bool) { d.told(i, f, at, end) }
	}
	for _, f := range o.Faults {
		if f.Engine == o.Engine {
			f.At += warm
			d.engineFor(f).plan(f)
		}
	}
	return d, nil
}

// engineFor is the engine that a fault happens to: that of its card, or the one that is served.
func (d *driver) engineFor(f Fault) *Engine {
	if f.onGPU() {
		return d.engines[f.GPU]
	}
	return d.engines[0]
}

// told writes down an edge of a fault. It is called by an engine, with mu held.
func (d *driver) told(card int, f *Fault, at time.Duration, end bool) {
	phase := Began
	entry, _ := entryOf(f.Kind)
	switch {
	case end:
		phase = Ended
	case entry.Moment:
		phase = Hit
	}
	d.truth.add(d.stamp(*f, phase, at))
	b := d.engines[card].gpu
	if len(b.xids) == 0 {
		return
	}
	for _, code := range b.xids {
		d.xids = append(d.xids, gpu.XID{Device: card, Code: code, Instance: -1})
	}
	b.xids = nil
	close(d.bell)
	d.bell = make(chan struct{})
}

// stamp gives a line of truth its times.
func (d *driver) stamp(f Fault, phase string, at time.Duration) Truth {
	return Truth{Fault: f.Kind, Phase: phase, Engine: d.number, Seconds: (at - d.warm).Seconds(), Time: d.wall(at).Round(0), For: f.For.Seconds(), Params: f.params()}
}

// now is the engines' time.
func (d *driver) now() time.Duration {
	return d.warm + time.Duration(float64(time.Since(d.started))*d.speed)
}

// wall is the wall clock at an engine's time.
func (d *driver) wall(at time.Duration) time.Time {
	return d.started.Add(time.Duration(float64(at-d.warm) / d.speed))
}

// catchUp moves the served engine to the present and gives that. It is called with mu held, before anything else is asked.
func (d *driver) catchUp() time.Duration {
	now := d.now()
	d.engines[0].reach(now)
	return now
}

// present moves all engines to the present. It is called with mu held.
func (d *driver) present() time.Duration {
	now := d.catchUp()
	for _, e := range d.engines[1:] {
		e.reach(now)
	}
	return now
}

// board gives a GPU's state at the present. It is called with mu held.
func (d *driver) board(i int) *board {
	now := d.catchUp()
	e := d.engines[i]
	e.reach(now)
	e.settle(now)
	return e.gpu
}

// run ends steps in time until the context ends, and says after each turn whether the served engine is gone.
func (d *driver) run(ctx context.Context, gone func(bool)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
		wait, down := d.turn()
		gone(down)
		timer.Reset(wait)
	}
}

// turn moves the engines and says for how long they can be left alone.
func (d *driver) turn() (wait time.Duration, down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.catchUp()
	next := now + time.Duration(float64(lazy)*d.speed)
	for i, e := range d.engines {
		if len(e.edges) > 0 {
			if i > 0 {
				e.reach(now)
			}
			if len(e.edges) > 0 {
				next = min(next, e.edges[0].at)
			}
		}
	}
	if e := d.engines[0]; d.live > 0 && e.stepping {
		// Without a step nothing that a client waits for can happen before the next turn: a request wakes the driver.
		next = min(next, e.stepEnd())
	}
	return max(0, time.Duration(float64(next-now)/d.speed)), d.engines[0].down > 0
}

var errGone = errors.New("the engine is gone")

// preflight is the API server's look at the engine before a response begins: is it there, and has its queue room for n more.
func (d *driver) preflight(n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.catchUp()
	e := d.engines[0]
	if e.down > 0 {
		return errGone
	}
	return e.admission(now-frontEnd, n)
}

// submit hands a client's request to the served engine. with is a fault that begins at the very moment of its arrival, nil
// for none.
func (d *driver) submit(r *Request, with *Fault) error {
	d.mu.Lock()
	now := d.catchUp()
	if with != nil {
		d.begin(now, *with)
	}
	err := errGone
	if d.engines[0].down == 0 {
		err = d.engines[0].Submit(r, now)
	}
	if err == nil {
		d.live++
	}
	d.mu.Unlock()
	d.rouse()
	return err
}

// leave takes back a request that was submitted: its client has gone, or it is finished.
func (d *driver) leave(r *Request, finished bool) {
	d.mu.Lock()
	if !finished {
		d.engines[0].Abort(r)
	}
	d.live--
	d.mu.Unlock()
}

// order does something to the served engine between two steps, or within one, which then goes on afterwards.
func (d *driver) order(do func(e *Engine)) {
	d.mu.Lock()
	now := d.catchUp()
	d.engines[0].interrupt(now)
	do(d.engines[0])
	d.catchUp()
	d.mu.Unlock()
	d.rouse()
}

// inject makes faults begin now, or later by their At.
func (d *driver) inject(faults ...Fault) {
	d.mu.Lock()
	d.begin(d.present(), faults...)
	d.present()
	d.mu.Unlock()
	d.rouse()
}

// begin makes faults begin at the present, or later by their At. It is called with mu held.
func (d *driver) begin(now time.Duration, faults ...Fault) {
	for _, f := range faults {
		f.At += now
		e := d.engineFor(f)
		e.interrupt(now)
		e.plan(f)
		e.reach(now)
	}
}

// hit writes down that a fault met a request.
func (d *driver) hit(f Fault, request string, asked bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.stamp(f, Hit, d.catchUp())
	t.Request, t.ByRequest = request, asked
	d.truth.add(t)
}

// active gives the fault of a kind that is in force for the served engine.
func (d *driver) active(k Kind) (Fault, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.catchUp()
	if f := d.engines[0].find(k); f != nil {
		return *f, true
	}
	return Fault{}, false
}

// meets gives the first of some kinds of fault that is in force and that a request is chosen for.
func (d *driver) meets(serial uint64, kinds ...Kind) (Fault, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.catchUp()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return d.engines[0].refuses(k, serial) != nil })
	if i < 0 {
		return Fault{}, false
	}
	return *d.engines[0].find(kinds[i]), true
}

func (d *driver) rouse() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// isGone tells whether the served engine is dead.
func (d *driver) isGone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.catchUp()
	return d.engines[0].down > 0
}

// until is how long a fault in force still lasts, in simulated time.
func (d *driver) until(f Fault) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(0, f.At+f.For-d.catchUp())
}

// life is what is known of a request: its times, and how much of its prompt was cached.
type life struct {
	Times
	cached int
}

func (d *driver) of(r *Request) life {
	d.mu.Lock()
	defer d.mu.Unlock()
	return life{r.Times(), r.Cached()}
}
