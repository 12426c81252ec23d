package sim

import "time"

// rest is what stops the scheduler by order: the routes of vLLM's development mode.
type rest struct {
	paused bool
	asleep int  // the level of sleep, 0 awake
	slept  bool // what the page's gauge says: also at level 0
}

// Pause stops the scheduler. keep leaves the requests where they are; otherwise those that the engine has are aborted.
func (e *Engine) Pause(keep bool) {
	e.paused = true
	if !keep {
		e.abortAll()
	}
}

// Resume undoes Pause.
func (e *Engine) Resume() { e.paused = false }

// Sleep puts the engine to sleep: level 1 moves the weights out of the card's memory, 2 drops them, both drop the cache.
// Level 0 only pauses.
func (e *Engine) Sleep(level int, keep bool) {
	e.Pause(keep)
	e.asleep, e.slept = level, true
	if level > 0 {
		e.resetCache()
	}
}

// Wake undoes Sleep.
func (e *Engine) Wake() { e.rest = rest{} }

// abortAll ends every request that the engine has, as a pause does.
func (e *Engine) abortAll() {
	e.arrivals()
	for _, q := range []*[]*Request{&e.running, &e.waiting} {
		for _, r := range *q {
			e.pool.release(r.blocks)
			r.blocks = nil
			e.note(e.now, wasAborted, r, r.produced)
			e.tally.success[Aborted]++
			if r.Ended != nil && !r.aborted {
				r.Ended(Aborted)
			}
		}
		*q = nil
	}
	e.left = 0
	e.gauges()
}

// resetCache forgets what the prefix cache knows. What requests hold stays theirs.
func (e *Engine) resetCache() {
	clear(e.pool.cached)
	clear(e.pool.name)
}

// sleepTime is how long it takes to move the weights, with 20 GB/s over PCIe 4 x16.
func (e *Engine) sleepTime() time.Duration {
	return time.Duration(e.cfg.Steps.WeightBytes / 20e9 * float64(time.Second))
}
