package sim

import (
	"slices"
	"time"
)

// edge is the beginning or the end of a fault, on the engine's clock.
type edge struct {
	at    time.Duration
	fault *Fault
	end   bool
}

// trouble is what goes wrong with an engine and its GPU. Everything in it changes at edges only, and no step lies across an
// edge: so what happens does not depend on who looks when.
type trouble struct {
	edges  []edge   // not reached yet, the next one first
	active []*Fault // begun and not ended
	told   func(f *Fault, at time.Duration, end bool)

	down, hung int
	slow       float64 // how many times longer a step takes
	born       time.Duration
	leaked     float64 // bytes, up to leakedAt
	leakedAt   time.Duration
	oomKills   int
	frozen     *gauges
}

// gauges are the values that the engine sets once a step.
type gauges struct {
	running, waiting int
	kvUsage          float64
}

// plan puts a fault on the engine's clock. It may begin now, but not before.
func (e *Engine) plan(f Fault) {
	add := func(at time.Duration, end bool) {
		i, _ := slices.BinarySearchFunc(e.edges, at, func(x edge, at time.Duration) int {
			if x.at <= at {
				return -1 // of equal times the one that was planned first comes first
			}
			return 1
		})
		e.edges = slices.Insert(e.edges, i, edge{at, &f, end})
	}
	add(f.At, false)
	entry, _ := entryOf(f.Kind)
	if !entry.Moment {
		add(f.At+f.For, true)
	}
}

// interrupt ends what Begin scheduled at a time before its end; the rest of the step comes with the next Begin.
func (e *Engine) interrupt(at time.Duration) {
	if e.stepping {
		e.stepTime = min(e.stepTime, max(0, at-e.now))
		e.End()
	}
}

// find gives the fault of a kind that is in force, the latest where there are several.
func (e *Engine) find(k Kind) *Fault {
	for _, f := range slices.Backward(e.active) {
		if f.Kind == k {
			return f
		}
	}
	return nil
}

// meet takes all edges up to the present.
func (e *Engine) meet() {
	for len(e.edges) > 0 && e.edges[0].at <= e.now {
		x := e.edges[0]
		e.edges = slices.Delete(e.edges, 0, 1)
		e.settle(x.at)
		if x.end {
			e.active = slices.DeleteFunc(e.active, func(f *Fault) bool { return f == x.fault })
			e.ended(x.fault)
		} else {
			entry, _ := entryOf(x.fault.Kind)
			if !entry.Moment {
				e.active = append(e.active, x.fault)
			}
			e.began(x.fault)
		}
		if e.told != nil {
			e.told(x.fault, x.at, x.end)
		}
	}
}

func (e *Engine) began(f *Fault) {
	if f.stopsEngine() {
		e.down++
		if e.down == 1 {
			e.die()
		}
	}
	switch f.Kind {
	case Hang:
		e.hung++
		if e.down == 0 {
			// A kernel that waits for something that never comes: busy, and nothing is moved or computed.
			e.doing = activity{busy: true}
		}
	case SlowSteps:
		e.slower(f.Factor)
	case StaleGauges:
		e.frozen = &gauges{e.tally.running, e.tally.waiting, e.tally.kvUsage}
	case CounterReset:
		e.tally = e.tally.reset(e.cfg.MaxModelLen)
	case MemoryLeak:
		e.leak(f.At)
	case OOM:
		e.oomKills++
	case ForeignTraffic:
		e.sources = append(e.sources, newSource(newForeign(mix(uint64(f.At), 0x666f726569676e), f.At, f.At+f.For, f.Rate, e.cfg)))
	case Thermal, PowerLimit, GPULost, ECC, XID:
		e.gpu.began(f)
	}
}

func (e *Engine) ended(f *Fault) {
	if f.stopsEngine() {
		e.down--
		if e.down == 0 {
			e.revive()
		}
	}
	switch f.Kind {
	case Hang:
		e.hung--
		if e.hung == 0 && e.down == 0 {
			e.doing = activity{}
		}
	case SlowSteps:
		e.slower(1 / f.Factor)
	case StaleGauges:
		if e.find(StaleGauges) == nil {
			e.frozen = nil
		}
	case MemoryLeak:
		// The rate up to now includes the fault that has just ended.
		e.leaked += f.Rate * (e.now - e.leakedAt).Seconds()
		e.leak(e.now)
	case Thermal, PowerLimit, GPULost:
		e.gpu.ended(f, e.active)
	}
}

// slower changes the time of steps, and of what is left of the one that is under way.
func (e *Engine) slower(factor float64) {
	e.slow *= factor
	if e.left > 0 { // 0 would mean that no step is under way
		e.left = max(1, time.Duration(min(float64(e.left)*factor, float64(longestStep))))
	}
}

// leak books what has leaked until a time.
func (e *Engine) leak(until time.Duration) {
	for _, f := range e.active {
		if f.Kind == MemoryLeak {
			e.leaked += f.Rate * max(0, until-max(e.leakedAt, f.At)).Seconds()
		}
	}
	e.leakedAt = until
}

// residentAtStart is what an API server's process of a real 0.32.0 took, in bytes.
const residentAtStart = 1.082400768e+09

// resident is what the engine's process takes at a time, in bytes.
func (e *Engine) resident(at time.Duration) float64 {
	n := residentAtStart + e.leaked
	for _, f := range e.active {
		if f.Kind == MemoryLeak {
			n += f.Rate * max(0, at-max(e.leakedAt, f.At)).Seconds()
		}
	}
	return n
}

// die is the end of the engine's process: all that it had is gone, and its clients are told.
func (e *Engine) die() {
	for _, q := range [][]*Request{e.running, e.waiting, e.inbox} {
		for _, r := range q {
			r.blocks = nil
			e.note(e.now, wasFailed, r, r.produced)
			if r.Ended != nil && !r.aborted {
				r.Ended(Errored)
			}
		}
	}
	e.running, e.waiting, e.inbox = nil, nil, nil
	e.left, e.doing = 0, activity{}
	e.pool = newPool(e.cfg.Blocks)
	e.rest = rest{}
}

// revive is the engine's next life: counters at zero, and nobody has waited for it.
func (e *Engine) revive() {
	e.tally = newTally(e.cfg.MaxModelLen)
	e.born = e.now
	e.leaked, e.leakedAt = 0, e.now
	for r := e.arrived(e.now); r != nil; r = e.arrived(e.now) {
		e.number(r)
		e.note(r.arrived, wasRefused, r, r.Prompt)
	}
}

// halted tells whether the engine takes no step whatever there is to do.
func (e *Engine) halted() bool { return e.down > 0 || e.hung > 0 || e.paused || e.asleep > 0 }

// refuses decides whether a scheduled fault of a kind meets a request; the choice depends on its number alone.
func (e *Engine) refuses(k Kind, number uint64) *Fault {
	f := e.find(k)
	if f == nil || float64(mix(uint64(f.At), number)>>11)/(1<<53) >= f.Share {
		return nil
	}
	return f
}
