package load

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/load/wire"
	"pitwall/probes/request"
)

// client is what a Client is. mu comes before a phase's mu; nothing is waited for under either.
type client struct {
	s     *Server
	o     Options
	clock request.Clock
	to    wire.Endpoint
	nonce string // of request ids
	live  *live
	own   *own
	out   *delivery
	keep  io.Closer // of kernel stamps; nil where that failed, and the first arrivals may be without

	heard   atomic.Int64 // when the last piece of an answer came, a request.Time
	setting sync.Mutex   // one Set at a time

	mu       sync.Mutex
	cur      *phase       // in force; nil: nothing begins
	last     *phase       // the last one that was in force
	phases   []*phase     // oldest first
	flying   int          // begun, and the answer not ended
	departed request.Time // when the first of them was begun, after none was under way
	owed     int          // begun, and the record not handed over
	quiet    chan struct{}
	flight   context.Context // of what is begun; cancelled by Cancel
	giveUp   context.CancelCauseFunc
	here     map[int]bool // a closed loop's clients that have a goroutine
	workers  []chan *order
	shut     bool
	watching bool
}

// errCancelled is the cause of what Cancel gives up.
var errCancelled = errors.New("given up by the operator")

// maxTallies is how many runs' tallies are kept.
const maxTallies = 64

func newClient(s *Server, o Options) *Client {
	if o.Clock == (request.Clock{}) {
		o.Clock = request.NewClock()
	}
	c := &client{s: s, o: o, clock: o.Clock, quiet: make(chan struct{}), here: map[int]bool{}}
	close(c.quiet)
	c.to = wire.Endpoint{Address: s.address(), TLS: s.tls, Clock: o.Clock}
	c.live = newLive(s.Model)
	c.own = newOwn()
	n, _ := randomNumber() // an id that repeats harms nothing
	c.nonce = fmt.Sprintf("%08x", uint32(n))
	c.flight, c.giveUp = context.WithCancelCause(context.Background())
	c.out = newDelivery(c)
	if keep, err := wire.KeepStamps(); err == nil {
		c.keep = keep
	}
	return &Client{c: c}
}

func randomNumber() (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("drawing a random number: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

func (c *client) set(ctx context.Context, p shape.Point, run uint32) error {
	c.setting.Lock()
	defer c.setting.Unlock()
	p = p.Filled()
	if err := c.s.Check(p); err != nil {
		return err
	}
	c.mu.Lock()
	used := slices.ContainsFunc(c.phases, func(ph *phase) bool { return ph.run == run })
	shut := c.shut
	c.mu.Unlock()
	switch {
	case used:
		return fmt.Errorf("run %d has been there already", run)
	case shut:
		return errors.New("the load client is closed")
	}
	ph, err := c.newPhase(ctx, p, run)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		ph.drop()
		return errors.New("the load client is closed")
	}
	now := c.clock.Now()
	c.cutLocked(now, "")
	if ph.closed {
		c.dismissLocked()
	}
	if c.flight.Err() != nil {
		c.flight, c.giveUp = context.WithCancelCause(context.Background())
	}
	select {
	case <-c.quiet:
		c.quiet = make(chan struct{})
	default:
	}
	ph.mu.Lock()
	ph.tally.Began = now
	ph.mu.Unlock()
	c.cur, c.last = ph, ph
	c.phases = append(c.phases, ph)
	c.forgetLocked()
	if ph.closed {
		c.fillLocked(ph)
		if len(ph.levels) > 1 {
			go c.follow(ph)
		}
	} else {
		c.spareWorkersLocked(ph)
		go c.dispatch(ph)
	}
	if d := p.Stop.After; d > 0 {
		t := time.AfterFunc(d, func() { c.end(ph, passed(d)) })
		context.AfterFunc(ph.ctx, func() { t.Stop() })
	}
	if !c.watching {
		c.watching = true
		go c.watch()
	}
	return nil
}

func passed(d time.Duration) string { return fmt.Sprintf("%v have passed", d) }

// forgetLocked lets go of the oldest runs that are over.
func (c *client) forgetLocked() {
	for len(c.phases) > maxTallies {
		i := slices.IndexFunc(c.phases, func(ph *phase) bool {
			ph.mu.Lock()
			defer ph.mu.Unlock()
			return ph.over
		})
		if i < 0 {
			return
		}
		c.phases = slices.Delete(c.phases, i, i+1)
	}
}

// cutLocked lets nothing of the point in force begin any more.
func (c *client) cutLocked(now request.Time, why string) {
	ph := c.cur
	if ph == nil {
		return
	}
	c.cur = nil
	ph.mu.Lock()
	ph.tally.Cut, ph.tally.Why = now, why
	ph.mu.Unlock()
	close(ph.cut)
	ph.drop()
	c.out.poke(ph) // it may be over at once
}

// dismissLocked lets the free workers of an open loop go; the others see for themselves.
func (c *client) dismissLocked() {
	for _, w := range c.workers {
		close(w)
	}
	c.workers = nil
}

// end cuts a phase that is at its own end, if it is still in force.
func (c *client) end(ph *phase, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur == ph {
		c.cutLocked(c.clock.Now(), why)
		c.dismissLocked()
	}
}

func (c *client) stop() {
	c.setting.Lock() // a Set under way would start again what is stopped
	defer c.setting.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutLocked(c.clock.Now(), "")
	c.dismissLocked()
}

func (c *client) cancel() {
	c.setting.Lock()
	defer c.setting.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutLocked(c.clock.Now(), "")
	c.dismissLocked()
	c.giveUp(errCancelled)
}

func (c *client) close() {
	c.setting.Lock()
	c.mu.Lock()
	c.shut = true
	c.cutLocked(c.clock.Now(), "")
	c.dismissLocked()
	c.giveUp(errCancelled)
	quiet := c.quiet
	c.mu.Unlock()
	c.setting.Unlock()
	<-quiet
	c.out.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keep != nil {
		c.keep.Close()
		c.keep = nil
	}
}

func (c *client) idle() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.quiet
}

// settleLocked closes quiet once nothing is under way and nothing will begin.
func (c *client) settleLocked() {
	if c.cur != nil || c.owed > 0 {
		return
	}
	for _, ph := range c.phases {
		ph.mu.Lock()
		over := ph.over
		ph.mu.Unlock()
		if !over {
			return
		}
	}
	select {
	case <-c.quiet:
	default:
		close(c.quiet)
	}
}

func (c *client) state() State {
	c.mu.Lock()
	st := State{Active: c.cur != nil, InFlight: c.flying}
	if quiet := max(c.heard.Load(), int64(c.departed)); c.flying > 0 && quiet != 0 {
		st.Silent = max(0, c.clock.Now().Sub(request.Time(quiet)))
	}
	last := c.last
	phases := slices.Clone(c.phases)
	c.mu.Unlock()
	for _, ph := range phases {
		st.Runs = append(st.Runs, ph.snapshot())
	}
	if last != nil {
		t := last.snapshot()
		st.Point, st.Run, st.Began, st.Ended = last.point, last.run, t.Began, t.Why
		st.Cold, st.Lacks = last.maker.Cold(), last.maker.Lacks()
		if st.Active {
			st.Clients, st.Rate = last.asks(c.clock.Now().Sub(t.Began))
		}
	}
	c.own.tell(&st, c.clock.Now())
	return st
}

// fly sends one order and hands it over to be decoded. It returns when the answer has ended.
func (c *client) fly(ctx context.Context, conn *wire.Conn, o *order) {
	o.x, o.err = conn.Do(ctx, &o.req, o.piece)
	o.req = wire.Request{} // its bytes are of no use any more, and the record may live long
	if o.of.closed && !o.first && o.x.Sent != 0 {
		c.own.lagged(o.x.End, o.x.Sent.Sub(o.rec.Scheduled), o.x.End.Sub(o.x.Sent))
	}
	if o.x.FirstByte != 0 {
		c.heard.Store(int64(o.x.End))
		c.own.answered(o.x.Stamped)
	}
}

// flightNow is the context of what begins now.
func (c *client) flightNow() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flight
}
