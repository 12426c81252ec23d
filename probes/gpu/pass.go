package gpu

import (
	"time"

	dto "github.com/prometheus/client_model/go"

	"pitwall/probes"
)

// order is one call of a pass: what is asked, whom, and the labels of the answer.
type order struct {
	call
	dev  Device
	base []*dto.LabelPair
}

// pass makes the calls of the fields, one after the other, of the GPU and of its instances.
//
// All of them run in one goroutine: eight GPUs make a hundred calls a second, and a goroutine for each cost more than the
// calls. When one of them does not come back in time it is left behind with its goroutine, and another makes the rest.
func (g *gpu) pass(fs []*field, every time.Duration) {
	orders := g.orders(fs, every)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for len(orders) > 0 && g.c.ctx.Err() == nil {
		r := &round{g: g, every: every, orders: orders, done: make(chan struct{})}
		g.c.calls.Add(1)
		go func() {
			defer g.c.calls.Done()
			defer close(r.done)
			r.run()
		}()
		orders = r.wait(timer)
	}
}

// orders lists what a pass asks.
func (g *gpu) orders(fs []*field, every time.Duration) []order {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.lost.IsZero() {
		// Of a lost GPU only one thing is asked, rarely: whether it is back.
		if every == slow {
			return []order{{call{g.c.probe, whole}, g.dev, g.base}}
		}
		return nil
	}
	var out []order
	for _, f := range fs {
		if !f.instancesOnly || len(g.parts) == 0 {
			out = append(out, order{call{f, whole}, g.dev, g.base})
		}
		if !f.instances {
			continue
		}
		for _, p := range g.parts {
			out = append(out, order{call{f, p.GPUInstance}, p.Device, p.base})
		}
	}
	return out
}

// round is one goroutine's share of a pass.
type round struct {
	g     *gpu
	every time.Duration // the cadence of the pass
	done  chan struct{}

	// g.mu guards the next.
	orders []order // what has not been begun
	asked  *answer // of the call under way, nil between two
	left   bool    // the call under way was left behind: the orders are somebody else's now
}

// run makes the calls until there is none left, or it was left behind.
func (r *round) run() {
	g := r.g
	for g.c.ctx.Err() == nil {
		g.mu.Lock()
		if r.left || len(r.orders) == 0 {
			g.mu.Unlock()
			return
		}
		o := r.orders[0]
		r.orders = r.orders[1:]
		a, event := g.begin(o.call, r.every, time.Now())
		r.asked = a
		g.mu.Unlock()
		if event != nil {
			g.c.event(*event)
		}
		if a == nil {
			continue
		}
		got := &reading{g: g, base: o.base, instance: o.instance != whole, at: time.Now(), facts: map[string]string{}}
		err := o.field.read(o.dev, got)
		got.answered()
		got.at = got.at.Add(got.took)
		g.c.cost.add(o.field.call, got.took)
		g.finish(o.call, a, got, err)
	}
}

// wait waits for the round and gives what is left to do: nothing, unless a call took longer than patience lasts.
func (r *round) wait(timer *time.Timer) []order {
	g := r.g
	timer.Reset(patience)
	for {
		select {
		case <-r.done:
			return nil
		case <-g.c.ctx.Done():
			return nil
		case <-timer.C:
		}
		g.mu.Lock()
		a := r.asked
		if a != nil && !a.calling.IsZero() {
			if passed := time.Since(a.calling); passed < patience {
				timer.Reset(patience - passed)
				g.mu.Unlock()
				continue
			}
			a.behind, r.left = true, true
			g.stuck++
			rest := r.orders
			g.mu.Unlock()
			return rest
		}
		g.mu.Unlock()
		timer.Reset(patience)
	}
}

// begin notes that a call is under way and gives its answer to fill; nil if it is not to be made: it can't work, it is
// under way still (then perhaps with an event that says so), or it is not due. g.mu is held.
func (g *gpu) begin(k call, every time.Duration, now time.Time) (*answer, *probes.Event) {
	a := g.answers[k]
	if a == nil {
		a = &answer{}
		g.answers[k] = a
	}
	lost := !g.lost.IsZero()
	switch {
	case lost && k.field != g.c.probe:
		return nil, nil
	case !a.calling.IsZero():
		hung := step{k.field.call, a.calling}.told(g.place(k), now)
		if hung == "" || a.told {
			return nil, nil
		}
		a.told = true
		e := g.eventNow("gpu.hang", probes.Warning, hung, map[string]string{"call": k.field.call})
		return nil, &e
	case permanent(a.err), g.stuck >= maxStuck,
		a.err == nil && a.last != nil && now.Sub(a.tried) < k.field.every-every/2:
		return nil, nil
	}
	a.calling, a.tried, a.behind, a.told = now, now, false, false
	return a, nil
}
