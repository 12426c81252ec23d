package load

import (
	"net/http"
	"sync"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// delivery decodes what has ended, counts it and hands it over: one goroutine, in the order of ending. Streams never wait for
// it.
type delivery struct {
	c     *client
	mu    sync.Mutex
	wake  sync.Cond
	queue []*order
	pokes []*phase
	ended bool
	gone  chan struct{}
}

func newDelivery(c *client) *delivery {
	d := &delivery{c: c, gone: make(chan struct{})}
	d.wake.L = &d.mu
	go d.run()
	return d
}

// add takes an order that has ended.
func (d *delivery) add(o *order) {
	d.c.mu.Lock()
	d.c.flying--
	d.c.mu.Unlock()
	d.mu.Lock()
	d.queue = append(d.queue, o)
	d.mu.Unlock()
	d.wake.Signal()
}

// poke has it look whether a phase is over.
func (d *delivery) poke(ph *phase) {
	d.mu.Lock()
	d.pokes = append(d.pokes, ph)
	d.mu.Unlock()
	d.wake.Signal()
}

// end lets the goroutine go once the queue is empty.
func (d *delivery) end() {
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
	d.wake.Signal()
	<-d.gone
}

func (d *delivery) run() {
	defer close(d.gone)
	for {
		d.mu.Lock()
		for len(d.queue) == 0 && len(d.pokes) == 0 && !d.ended {
			d.wake.Wait()
		}
		queue, pokes := d.queue, d.pokes
		d.queue, d.pokes = nil, nil
		ended := d.ended
		d.mu.Unlock()
		if len(queue) == 0 && len(pokes) == 0 && ended {
			return
		}
		// All are counted before the first is handed over, which may take its time.
		for _, o := range queue {
			d.count(o)
		}
		for i, o := range queue {
			queue[i] = nil
			d.hand(o)
		}
		for _, ph := range pokes {
			d.overAlready(ph)
		}
	}
}

// count completes a record and counts it; a point that has reached its end is ended.
func (d *delivery) count(o *order) {
	o.conclude()
	ph, r := o.of, &o.rec
	good := isGood(r, ph.point.SLO)
	d.c.live.ended(r, o.count.Total(), good)

	ph.mu.Lock()
	t := &ph.tally
	t.InFlight--
	t.Class[r.Class]++
	if t.First[r.Class] == "" {
		t.First[r.Class] = r.Message
	}
	if good {
		t.Good++
	}
	t.Input += int64(max(0, r.InputTokens))
	t.Cached += int64(max(0, r.CachedTokens))
	if n := r.Tokens(); n > 0 {
		t.Output += int64(n)
	}
	if r.OutputTokens < 0 && r.Status == http.StatusOK {
		t.UnknownUsage++
	}
	why := ph.stops.after(t, r)
	ph.mu.Unlock()
	if why != "" {
		d.c.end(ph, why)
	}
}

// hand hands a record over.
func (d *delivery) hand(o *order) {
	if each := d.c.o.Each; each != nil {
		rec := o.rec // the order holds buffers that the record must not keep alive
		each(&rec)
	}
	d.c.mu.Lock()
	d.c.owed--
	d.c.mu.Unlock()
	ph := o.of
	ph.mu.Lock()
	ph.owed--
	ph.mu.Unlock()
	d.overAlready(ph)
}

// overAlready tells once that a phase is over: cut, and its last record handed over.
func (d *delivery) overAlready(ph *phase) {
	ph.mu.Lock()
	over := !ph.over && ph.tally.Cut != 0 && ph.owed == 0
	if over {
		ph.tally.Ended = d.c.clock.Now()
	}
	t := ph.tally
	ph.mu.Unlock()
	if over {
		if f := d.c.o.Over; f != nil {
			f(t)
		}
		ph.mu.Lock()
		ph.over = true
		ph.mu.Unlock()
	}
	d.c.mu.Lock()
	d.c.settleLocked()
	d.c.mu.Unlock()
}

// isGood says whether a request met an SLO: latencies from when it was due, so that a late sender hides nothing, and what is
// missing is not good.
func isGood(r *request.Record, slo shape.SLO) bool {
	if r.Class != request.OK {
		return false
	}
	if slo.TTFT > 0 {
		if v, ok := r.TTFTSched(); !ok || v > slo.TTFT {
			return false
		}
	}
	if slo.TPOT > 0 {
		if v, ok := r.TPOT(); !ok || v > slo.TPOT {
			return false
		}
	}
	if slo.E2E > 0 {
		if v, ok := r.E2ESched(); !ok || v > slo.E2E {
			return false
		}
	}
	return true
}
