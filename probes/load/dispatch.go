package load

import (
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/load/wire"
	"pitwall/probes/request"
)

// dispatch sends an open loop's requests when they are due. Each due time is counted from the start alone: what is late, or
// slow, moves nothing that comes after.
func (c *client) dispatch(ph *phase) {
	began := ph.tallyBegan()
	trace := ph.point.Arrival.Kind == shape.Trace
	var spare *order // made, and not sent because of the bound
	for {
		offset, more := ph.schedule.Next()
		if !more {
			c.end(ph, "the schedule is at its end")
			return
		}
		due := began + request.Time(offset)
		if d := ph.point.Stop.After; d > 0 && offset >= d {
			// Not begun, however late the timer is that ends the point.
			if c.waitUntil(began+request.Time(d), ph.cut) {
				c.end(ph, passed(d))
			}
			return
		}
		o := spare
		if spare = nil; o == nil {
			if o = ph.ahead.take(); o == nil {
				c.starved(ph)
				return
			}
		}
		if !c.waitUntil(due, ph.cut) {
			return
		}
		switch c.begin(ph, o, request.Unknown, due) {
		case begun:
			c.hand(o)
		case dropped:
			if !trace { // there, the entry that is dropped has its own lengths
				spare = o
			}
		case late:
			return
		case enough:
			return // delivery ends the point once they have all ended
		}
	}
}

// hand gives an order to the worker that became free last, whose connection is the warmest, or to a new one.
func (c *client) hand(o *order) {
	c.mu.Lock()
	n := len(c.workers)
	var w chan *order
	if n > 0 {
		w = c.workers[n-1]
		c.workers = c.workers[:n-1]
	}
	c.mu.Unlock()
	if w == nil {
		w = make(chan *order, 1)
		go c.work(w)
	}
	w <- o
}

// spareWorkersLocked starts workers before they are needed: a goroutine that is new is later than one that waits.
func (c *client) spareWorkersLocked(ph *phase) {
	for len(c.workers) < min(ph.point.MaxInFlight, spareWorkers) {
		w := make(chan *order, 1)
		c.workers = append(c.workers, w)
		go c.work(w)
	}
}

const spareWorkers = 16

// work is one worker of open loops, with a connection of its own. It goes when its channel is closed, or when the point is no
// open loop any more.
func (c *client) work(w chan *order) {
	conn := wire.NewConn(&c.to)
	defer conn.Close()
	for o := range w {
		c.fly(c.flightNow(), conn, o)
		c.out.add(o)
		c.mu.Lock()
		stay := c.cur != nil && !c.cur.closed
		if stay {
			c.workers = append(c.workers, w)
		}
		c.mu.Unlock()
		if !stay {
			return
		}
	}
}

// waitUntil waits for a moment; false: cut was closed before. The last stretch is slept in the kernel, because the Go runtime's
// timers are up to a millisecond late on an idle machine: its poller waits in whole milliseconds.
func (c *client) waitUntil(due request.Time, cut <-chan struct{}) bool {
	left := due.Sub(c.clock.Now())
	if left > lastStretch {
		t := time.NewTimer(left - lastStretch)
		defer t.Stop()
		select {
		case <-t.C:
		case <-cut:
			return false
		}
		left = due.Sub(c.clock.Now())
	}
	if left > 0 {
		nap(left)
	}
	select {
	case <-cut:
		return false
	default:
		return true
	}
}

const lastStretch = 2 * time.Millisecond

// rateAt is the rate that an open loop has asked for at a time after its start.
func rateAt(a shape.Arrival, after time.Duration) float64 {
	rate := a.Rate
	for _, s := range a.Steps {
		switch {
		case after >= s.After+s.Over:
			rate = s.To
		case after > s.After:
			return rate + (s.To-rate)*float64(after-s.After)/float64(s.Over)
		}
	}
	return rate
}
