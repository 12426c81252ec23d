package sim

import (
	"cmp"
	"slices"
	"time"
)

// arrived gives the next request that has come by a time, nil when there is none.
func (e *Engine) arrived(by time.Duration) *Request {
	var first *source
	for _, s := range e.sources {
		if s.next != nil && s.next.arrived <= by && (first == nil || s.next.arrived < first.next.arrived) {
			first = s
		}
	}
	if first == nil {
		return nil
	}
	return first.take(e.demand)
}

// collect takes what the traffic has sent by a time into the inbox, in the order of arrival.
func (e *Engine) collect(by time.Duration) {
	for r := e.arrived(by); r != nil; r = e.arrived(by) {
		e.number(r)
		if e.refuses(Error5xx, r.number) != nil {
			e.tally.refused++
			e.note(r.arrived, wasRefused, r, r.Prompt)
			continue
		}
		if e.turnAway(r) {
			continue
		}
		for _, k := range []Kind{ErrorInStream, CutStream} {
			if f := e.refuses(k, r.number); f != nil {
				r.HangUp, r.fails = max(1, min(f.After, r.Output)), k == ErrorInStream
				break
			}
		}
		e.inbox = append(e.inbox, r)
	}
}

// arrivals moves what has come by now into the queue, in the order of arrival.
func (e *Engine) arrivals() {
	e.collect(e.now)
	if len(e.inbox) == 0 {
		return
	}
	slices.SortStableFunc(e.inbox, func(a, b *Request) int { return cmp.Compare(a.arrived, b.arrived) })
	for _, r := range e.inbox {
		r.queued = e.now
		e.note(e.now, wasQueued, r, r.Prompt)
	}
	e.waiting = append(e.waiting, e.inbox...)
	clear(e.inbox)
	e.inbox = e.inbox[:0]
}

// demand is what share of the KV cache the running and the waiting ask for, above 1 where it cannot hold them all.
func (e *Engine) demand() float64 {
	blocks := e.pool.usable() - e.pool.free
	for _, q := range [][]*Request{e.waiting, e.inbox} {
		for _, r := range q {
			blocks += blocksFor(r.length(), e.cfg.BlockSize)
		}
	}
	return float64(blocks) / float64(e.pool.usable())
}
