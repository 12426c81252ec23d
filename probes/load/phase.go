package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"pitwall/probes/load/arrival"
	"pitwall/probes/load/prompt"
	"pitwall/probes/load/shape"
	"pitwall/probes/load/wire"
	"pitwall/probes/request"
)

// phase is a point that is in force, or was: while its requests are under way it lives on.
type phase struct {
	c      *client
	run    uint32
	point  shape.Point
	form   *form
	maker  *prompt.Maker
	to     *wire.Endpoint
	closed bool // a closed loop
	turns  bool // of conversations
	keep   bool // answers are kept until decoded
	ahead  *ahead
	cut    chan struct{} // closed when nothing of it begins any more
	ctx    context.Context
	cancel context.CancelFunc // with cut

	schedule arrival.Schedule
	levels   []arrival.Level

	// mu guards what follows.
	mu      sync.Mutex
	tally   Tally
	owed    int  // begun, and the record not handed over yet
	over    bool // the Over callback is due or done
	clients int
	stops   stops
	failure error // prompts could not be made
}

// newPhase prepares a point that was filled and checked, and begins to make its requests.
func (c *client) newPhase(ctx context.Context, p shape.Point, run uint32) (*phase, error) {
	ph := &phase{
		c: c, run: run, point: p, to: &c.to, closed: p.Arrival.Kind == shape.Closed, turns: p.Prompt.Turns > 1,
		keep: p.KeepText || p.Prompt.Turns > 1, cut: make(chan struct{}),
	}
	ph.tally.Run = run
	ph.stops = newStops(p.Stop)
	var err error
	if ph.form, err = newForm(c.s, p, run, c.nonce); err != nil {
		return nil, err
	}
	nonce, err := randomNumber()
	if err != nil {
		return nil, err
	}
	ph.maker, err = prompt.New(p, c.s.words, prompt.Options{
		API: c.s.api(p), IDs: c.s.can.PromptIDs != nil, Salt: c.s.can.Cold.Salt, NoCache: c.s.can.Cold.NoCache, Nonce: nonce, Limit: c.s.MaxModelLen,
	})
	if err != nil {
		return nil, err
	}
	want := 64
	if ph.closed {
		ph.levels = arrival.Crowd(p.Arrival)
		for _, l := range ph.levels {
			want = max(want, min(2*l.Clients, 2048))
		}
		ph.clients = ph.levels[0].Clients
	} else {
		if ph.schedule, err = arrival.New(p); err != nil {
			return nil, err
		}
		// A quarter of a second of arrivals, so that a burst finds its requests ready.
		want = max(want, min(int(p.Arrival.Rate/4), 2048))
	}
	if n := p.Stop.Requests; n > 0 {
		want = min(want, n)
	}
	ph.ahead = newAhead(want)
	ph.ctx, ph.cancel = context.WithCancel(context.Background())
	go ph.make()
	// The first ones are made before the point comes into force.
	ready := make(chan struct{})
	go func() {
		ph.ahead.filled(min(want, max(1, ph.clients)))
		close(ready)
	}()
	limit := time.NewTimer(readyWithin)
	defer limit.Stop()
	select {
	case <-ready:
	case <-limit.C:
	case <-ctx.Done():
		ph.drop()
		return nil, context.Cause(ctx)
	}
	ph.mu.Lock()
	defer ph.mu.Unlock()
	if ph.failure != nil {
		ph.drop()
		return nil, ph.failure
	}
	return ph, nil
}

// readyWithin is how long a change waits for a closed loop's first requests to be made; the rest follow while it runs.
const readyWithin = 50 * time.Millisecond

// drop lets go of a phase that never came into force, and ends the making of one that is cut.
func (ph *phase) drop() {
	ph.cancel()
	ph.ahead.close()
}

// make makes requests ahead of their time.
func (ph *phase) make() {
	defer ph.ahead.finish()
	for n := uint32(0); ; n++ {
		o, err := ph.newOrder(ph.maker.Prompt(n))
		if err != nil {
			ph.mu.Lock()
			ph.failure = fmt.Errorf("making request %d: %w", n, err)
			ph.mu.Unlock()
			return
		}
		if !ph.ahead.put(o) {
			return
		}
	}
}

// next makes the order that goes on with a conversation, nil where it is over or the answer was no good.
func (ph *phase) next(o *order) *order {
	if !ph.turns || o.rec.Class != request.OK && o.rec.Class != request.WrongLength {
		return nil
	}
	answer := prompt.Answer{Text: o.rec.Text, IDs: o.rec.IDs}
	if in, out := int(o.rec.InputTokens), o.rec.Tokens(); in >= 0 && out >= 0 {
		answer.Total = in + out
	}
	p, more := ph.maker.Next(o.prompt, answer)
	if !more {
		return nil
	}
	n, err := ph.newOrder(p)
	if err != nil {
		return nil
	}
	return n
}

// verdict is what begin says.
type verdict uint8

const (
	begun   verdict = iota
	late            // the point is not in force any more
	enough          // as many as it has were begun
	dropped         // the bound on requests in flight kept it back
)

// begin counts a request as begun, if the point is still in force and its limit is not reached, and puts its number and client
// into its record.
func (c *client) begin(ph *phase, o *order, client int32, due request.Time) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur != ph {
		return late
	}
	ph.mu.Lock()
	defer ph.mu.Unlock()
	if n := ph.point.Stop.Requests; n > 0 && ph.tally.Begun >= n {
		return enough
	}
	if m := ph.point.MaxInFlight; !ph.closed && m > 0 && c.flying >= m {
		ph.tally.Dropped++
		c.live.dropped.Inc()
		return dropped
	}
	o.rec.Seq, o.rec.Client, o.rec.Scheduled = uint32(ph.tally.Begun), client, due
	ph.tally.Begun++
	ph.tally.InFlight++
	ph.owed++
	if c.flying == 0 {
		c.departed = c.clock.Now()
	}
	c.flying++
	c.owed++
	return begun
}

// snapshot is its tally at this moment.
func (ph *phase) snapshot() Tally {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	return ph.tally
}
