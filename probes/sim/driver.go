package sim

import (
	"context"
	"sync"
	"time"
)

// driver runs engines on the wall clock. Steps are computed when somebody looks (catchUp), so an engine that nobody streams
// from needs next to no CPU however fast it steps; while a client is connected a goroutine ends every step in time.
type driver struct {
	mu      sync.Mutex // guards all below but wake
	engines []*Engine  // the first is served, the others only give their GPUs something to do
	stepEnd time.Duration
	live    int // clients that wait for tokens

	started time.Time
	warm    time.Duration // how far the engines were before started
	speed   float64
	wake    chan struct{}
}

// lazy is how often an unwatched engine is moved, so that nobody who looks has to wait for a long past.
const lazy = time.Second

func newDriver(engines []*Engine, warm time.Duration, speed float64) *driver {
	engines[0].RunUntil(warm) // the others catch up when their cards are first looked at
	return &driver{engines: engines, started: time.Now(), warm: warm, speed: speed, wake: make(chan struct{}, 1)}
}

// now is the engines' time.
func (d *driver) now() time.Duration {
	return d.warm + time.Duration(float64(time.Since(d.started))*d.speed)
}

// origin is the wall clock at the engines' time zero.
func (d *driver) origin() time.Time {
	return d.started.Add(-time.Duration(float64(d.warm) / d.speed))
}

// catchUp moves the served engine to the present and gives that. It is called with mu held, before anything else is asked.
func (d *driver) catchUp() time.Duration {
	e, now := d.engines[0], d.now()
	for {
		if e.stepping {
			if d.stepEnd > now {
				return now
			}
			e.End()
		}
		if step, ok := e.Begin(); ok {
			d.stepEnd = e.Now() + step
			continue
		}
		to := now
		if at, ok := e.NextArrival(); ok && at < now {
			to = max(at, e.Now())
		} else if e.Now() >= now {
			return now
		}
		e.Idle(to)
	}
}

// board gives a GPU's state at the present. It is called with mu held.
func (d *driver) board(i int) *board {
	now := d.catchUp()
	e := d.engines[i]
	if i > 0 {
		e.RunUntil(now)
	}
	e.settle(now)
	return e.gpu
}

// run ends steps in time until the context ends.
func (d *driver) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
		timer.Reset(d.turn())
	}
}

// turn moves the engine and says how long it can be left alone.
func (d *driver) turn() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.catchUp()
	if d.live == 0 || !d.engines[0].stepping {
		// Nothing that a client waits for can happen before the next turn: a request that arrives wakes the driver.
		return lazy
	}
	return time.Duration(float64(d.stepEnd-now) / d.speed)
}

// submit hands a client's request to the served engine.
func (d *driver) submit(r *Request) error {
	d.mu.Lock()
	err := d.engines[0].Submit(r, d.catchUp())
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

func (d *driver) rouse() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
