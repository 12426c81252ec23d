package load

import (
	"net/http"
	"time"

	"pitwall/probes/load/arrival"
	"pitwall/probes/load/wire"
	"pitwall/probes/request"
)

// fillLocked gives every client of a closed loop a goroutine; those that have one keep it, and their connection.
func (c *client) fillLocked(ph *phase) {
	ph.mu.Lock()
	n := ph.clients
	ph.mu.Unlock()
	for i := range n {
		if !c.here[i] {
			c.here[i] = true
			go c.attend(i)
		}
	}
}

// follow changes the number of clients when the point's steps say so.
func (c *client) follow(ph *phase) {
	for _, l := range ph.levels[1:] {
		if !c.waitUntil(ph.tallyBegan()+request.Time(l.After), ph.cut) {
			return
		}
		c.mu.Lock()
		ph.mu.Lock()
		ph.clients = l.Clients
		ph.mu.Unlock()
		if c.cur == ph {
			c.fillLocked(ph)
		}
		c.mu.Unlock()
	}
}

func (ph *phase) tallyBegan() request.Time {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	return ph.tally.Began
}

// joined is when client i came into the loop, for the schedule of its first request.
func (ph *phase) joined(i int) request.Time {
	began := ph.tallyBegan()
	for _, l := range ph.levels {
		if l.Clients > i {
			return began + request.Time(l.After)
		}
	}
	return began
}

// attend is one client of a closed loop: it sends its next request when the answer to the last is there, of whichever point is
// in force then. It leaves when there is no such client any more.
func (c *client) attend(i int) {
	conn := wire.NewConn(&c.to)
	defer conn.Close()
	var (
		mine  *phase       // whose requests it sent last
		free  request.Time // since when it has been free
		sent  uint32       // how many of them
		going *order       // the next turn of its conversation
		fails int          // requests in a row that the server did not take
	)
	for {
		ph := c.mayStay(i)
		if ph == nil {
			return
		}
		due := free
		if mine != ph {
			if due = max(free, ph.joined(i)); mine == nil {
				due = ph.joined(i)
			}
			mine, sent, going = ph, 0, nil
		}
		var wait time.Duration
		if sent > 0 {
			wait = arrival.Think(ph.point, uint32(i), sent-1)
		}
		if wait = max(wait, patience(fails)); wait > 0 && free > 0 {
			due = max(due, free+request.Time(wait))
			if !c.waitUntil(due, ph.cut) {
				continue
			}
			if c.mayStay(i) != ph {
				continue
			}
		}
		o := going
		going = nil
		if o == nil {
			if o = ph.ahead.take(); o == nil {
				if !c.starved(ph) {
					continue
				}
				return
			}
		}
		o.first = sent == 0
		switch c.begin(ph, o, int32(i), due) {
		case late:
			continue
		case enough:
			c.leave(i)
			return
		}
		c.fly(c.flightNow(), conn, o)
		sent++
		free = o.x.End
		if o.err != nil || o.x.Status != http.StatusOK || ph.turns {
			o.conclude()
		}
		if fails++; o.taken() {
			fails = 0
		}
		if ph.turns {
			going = ph.next(o)
		}
		c.out.add(o)
	}
}

// patience is how long a client waits after so many requests in a row that the server did not take: it would otherwise send
// thousands a second to a server that is down, and measure nothing by it.
func patience(fails int) time.Duration {
	if fails == 0 {
		return 0
	}
	return min(firstPatience<<min(fails-1, 10), mostPatience)
}

const (
	firstPatience = 50 * time.Millisecond
	mostPatience  = time.Second
)

// taken says whether the server took the request on: an answer of status 200 began.
func (o *order) taken() bool { return o.x.Status == http.StatusOK }

// mayStay gives the point in force if client i is one of its clients; else the client is gone.
func (c *client) mayStay(i int) *phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ph := c.cur; ph != nil && ph.closed {
		ph.mu.Lock()
		defer ph.mu.Unlock()
		if i < ph.clients {
			return ph
		}
	}
	delete(c.here, i)
	return nil
}

func (c *client) leave(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.here, i)
}

// starved ends a point whose requests can't be made, and says whether that is so; otherwise it was cut.
func (c *client) starved(ph *phase) bool {
	ph.mu.Lock()
	err := ph.failure
	ph.mu.Unlock()
	if err != nil {
		c.end(ph, err.Error())
	}
	return false
}

// asks gives how many clients, or requests a second, a point asks for at a time after its beginning.
func (ph *phase) asks(after time.Duration) (clients int, rate float64) {
	if ph.closed {
		ph.mu.Lock()
		defer ph.mu.Unlock()
		return ph.clients, 0
	}
	return 0, rateAt(ph.point.Arrival, after)
}
