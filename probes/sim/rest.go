package sim

import "time"

// rest is what stops the scheduler by order: the routes of vLLM's development mode.
type rest struct {
	paused bool
	asleep int  // the level of sleep, 0 awake
	slept  bool // what the page's gauge says: also at level 0
}

// Pause stops the scheduler. keep leaves the requests to be gone on with; otherwise those that the engine has are aborted.
// clearCache, vLLM's default, drops the KV cache as well: what was kept is computed again.
func (e *Engine) Pause(keep, clearCache bool) {
	e.paused = true
	if !keep {
		e.abortAll()
	}
	if clearCache {
		e.resetCache(true) // cannot fail: nobody holds a block after it
	}
}

// Resume undoes Pause.
func (e *Engine) Resume() { e.paused = false }

// Sleep puts the engine to sleep: level 1 moves the weights out of the card's memory, 2 drops them, both drop the cache.
// Level 0 only pauses.
func (e *Engine) Sleep(level int, keep bool) {
	e.Pause(keep, level > 0)
	e.asleep, e.slept = level, true
}

// Wake undoes Sleep.
func (e *Engine) Wake() { e.rest = rest{} }

// abortAll ends every request that the engine has, as a pause does. To their clients it is an answer with the reason abort;
// the page counts them like any that ended.
func (e *Engine) abortAll() {
	e.arrivals()
	e.dropAborted()
	for _, q := range []*[]*Request{&e.running, &e.waiting} {
		for _, r := range *q {
			e.pool.release(r.blocks)
			r.blocks = nil
			e.note(e.now, wasAborted, r, r.produced)
			e.tally.abort(r, e.now)
			if r.Ended != nil {
				r.Ended(Aborted)
			}
		}
		*q = nil
	}
	e.left = 0
	e.gauges()
}

// resetCache forgets what the prefix cache knows. Like vLLM it does nothing, and says so, while requests hold blocks, unless
// those that run may be preempted for it; then the step under way is lost.
func (e *Engine) resetCache(preempt bool) bool {
	if preempt {
		for len(e.running) > 0 { // the youngest first, so that they come back in their order
			last := len(e.running) - 1
			r := e.running[last]
			e.running = e.running[:last]
			r.inStep = 0
			e.preempt(r)
			e.left = 0
		}
	}
	if e.pool.free < e.pool.usable() {
		return false
	}
	clear(e.pool.cached)
	clear(e.pool.name)
	return true
}

// sleepTime is how long it takes to move the weights, with 20 GB/s over PCIe 4 x16.
func (e *Engine) sleepTime() time.Duration {
	return time.Duration(e.cfg.Steps.WeightBytes / 20e9 * float64(time.Second))
}
