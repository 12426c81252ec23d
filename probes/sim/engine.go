package sim

import (
	"fmt"
	"slices"
	"time"
)

// Engine is a continuous-batching scheduler with a paged KV cache, after vLLM's V1 scheduler: first come first served,
// prompts computed in chunks beside the decoding sequences, prefix cache by whole blocks, preemption by recompute. It is a
// state machine without a clock: its time only moves by the steps that it is told to take, so equal seeds give equal
// histories at any speed. It is for one goroutine at a time.
type Engine struct {
	cfg     Config
	now     time.Duration
	pool    *pool
	running []*Request
	waiting []*Request // the next one first
	inbox   []*Request // arrived, but not yet seen: the scheduler looks once per step
	sources []*source  // what arrives by itself

	stepping                      bool
	stepTime                      time.Duration // up to the step's end, or to the edge of a fault that cuts it
	left                          time.Duration // what remains of the scheduled step
	prefill, decodes, contextSize int           // of the step
	seqs                          int           // sequences that get tokens in the step
	hits                          []int32

	tally   tally
	gpu     *board
	doing   activity      // what the GPU does since settled
	working activity      // what it does while the step is computed
	settled time.Duration // up to when the board was moved

	numbered uint64 // requests so far
	trace    trace
	trouble
	rest
}

// NewEngine makes an engine at time zero. Like vLLM it refuses a cache that cannot hold one sequence of the model's length.
func NewEngine(cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if cfg.MaxModelLen < 1 || cfg.MaxNumSeqs < 1 || cfg.MaxNumBatchedTokens < 1 ||
		cfg.MaxNumQueuedReqs < 0 || cfg.MaxNumQueuedTokens < 0 {
		return nil, fmt.Errorf("simulated engine: sizes must be positive: %+v", cfg)
	}
	if cfg.BlockSize < 1 {
		return nil, fmt.Errorf("simulated engine: sizes must be positive: block size %d", cfg.BlockSize)
	}
	if need := blocksFor(cfg.MaxModelLen, cfg.BlockSize) + 1; cfg.Blocks < need {
		return nil, fmt.Errorf("simulated engine: a sequence of %d tokens needs %d KV blocks, there are %d",
			cfg.MaxModelLen, need, cfg.Blocks)
	}
	e := &Engine{cfg: cfg, pool: newPool(cfg.Blocks), tally: newTally(cfg.MaxModelLen), gpu: newBoard(0)}
	e.slow = 1
	e.trace.ring = make([]Happening, cfg.Trace)
	if cfg.Traffic != nil {
		cfg.Traffic.blockSize = cfg.BlockSize
		e.sources = append(e.sources, newSource(cfg.Traffic))
	}
	return e, nil
}

// Now is the engine's time, from its start.
func (e *Engine) Now() time.Duration { return e.now }

// Submit hands over a request that arrives at the given time, which must not be before the last step began. The scheduler
// sees it at the next step: what arrives during one is in no gauge. The error is a *refusal where a limit of the queue is
// reached.
func (e *Engine) Submit(r *Request, at time.Duration) error {
	if r.Prompt < 1 || r.Output < 1 || r.Prompt+r.Output > e.cfg.MaxModelLen {
		return fmt.Errorf("simulated engine: %d + %d tokens do not fit into %d", r.Prompt, r.Output, e.cfg.MaxModelLen)
	}
	if e.cfg.MaxNumQueuedReqs > 0 || e.cfg.MaxNumQueuedTokens > 0 {
		e.collect(at) // who came before takes a place before
		if err := e.admission(at, 1); err != nil {
			return err
		}
	}
	r.arrived = at
	e.number(r)
	e.inbox = append(e.inbox, r)
	return nil
}

func (e *Engine) number(r *Request) {
	e.numbered++
	r.number = e.numbered
}

func (e *Engine) note(at time.Duration, what string, r *Request, tokens int) {
	e.trace.note(at, what, r, tokens)
}

// Abort takes a request out before the next step; nothing more is told about it.
func (e *Engine) Abort(r *Request) { r.aborted = true }

// NextEvent is when the next thing happens by itself: a request of the traffic arrives, or a fault begins or ends. ok is
// false when there is none.
func (e *Engine) NextEvent() (at time.Duration, ok bool) {
	if !e.halted() {
		for _, s := range e.sources {
			if s.next != nil && (!ok || s.next.arrived < at) {
				at, ok = s.next.arrived, true
			}
		}
	}
	if len(e.edges) > 0 && (!ok || e.edges[0].at < at) {
		at, ok = e.edges[0].at, true
	}
	return at, ok
}

// Idle moves the time to t, which must not be before Now, without doing anything.
func (e *Engine) Idle(t time.Duration) {
	e.settle(t)
	e.now = t
}

// settle moves the GPU's physics to t. It may be asked for a time within the running step.
func (e *Engine) settle(t time.Duration) {
	e.gpu.advance(t-e.settled, e.doing)
	e.settled = max(t, e.settled)
}

// Advance takes one whole step and gives its duration; ok is false when there is nothing to do.
func (e *Engine) Advance() (d time.Duration, ok bool) {
	if d, ok = e.Begin(); ok {
		e.End()
	}
	return d, ok
}

// RunUntil takes steps and idles until Now is t or, because steps are whole, a little later.
func (e *Engine) RunUntil(t time.Duration) {
	for e.now < t {
		if _, ok := e.Advance(); !ok {
			e.wait(t)
		}
	}
}

// wait idles to the next event, at most to t.
func (e *Engine) wait(t time.Duration) {
	if at, ok := e.NextEvent(); ok && at < t {
		t = max(at, e.now)
	}
	e.Idle(t)
}

// reach takes all steps that end by t and begins the one that is under way then; without one it idles to t.
func (e *Engine) reach(t time.Duration) {
	for {
		if e.stepping {
			if e.stepEnd() > t {
				return
			}
			e.End()
		}
		if _, ok := e.Begin(); ok {
			continue
		}
		if e.now >= t {
			return
		}
		e.wait(t)
	}
}

// Begin schedules a step and says how long it will take, or how long until something interrupts it; End completes it. ok is
// false when there is nothing to compute.
func (e *Engine) Begin() (d time.Duration, ok bool) {
	e.meet()
	if e.halted() {
		return 0, false
	}
	if e.left == 0 && !e.schedule() {
		e.gauges()
		return 0, false
	}
	e.settle(e.now)
	e.doing = e.working
	e.stepping, e.stepTime = true, e.left
	if len(e.edges) > 0 {
		e.stepTime = min(e.left, e.edges[0].at-e.now)
	}
	return e.stepTime, true
}

// stepEnd is when the step that Begin scheduled ends or is interrupted.
func (e *Engine) stepEnd() time.Duration { return e.now + e.stepTime }

// schedule decides what the next step computes. It is false when there is nothing.
func (e *Engine) schedule() bool {
	e.arrivals()
	e.dropAborted()

	e.prefill, e.decodes, e.contextSize, e.seqs = 0, 0, 0, 0
	budget := e.cfg.MaxNumBatchedTokens
	preempted := e.scheduleRunning(&budget)
	if !preempted {
		e.admit(&budget)
	}
	if e.prefill+e.decodes == 0 {
		return false
	}
	m := e.cfg.Steps
	memory, compute := m.memoryTime(e.contextSize), m.computeTime(e.prefill+e.decodes)
	full := m.step(memory, compute, e.decodes)
	e.working = activity{
		busy:    true,
		memory:  min(1, memory/full.Seconds()),
		compute: min(1, compute/full.Seconds()),
		tokens:  float64(e.prefill+e.decodes) / full.Seconds(),
	}
	// Where a fault holds the clocks down, what the chip computes takes longer in proportion; reading memory, whose clock
	// stays, by half of that: its path leads through the chip.
	if ratio := e.gpu.held(e.working); ratio > 1 {
		full = m.step(memory*(1+ratio)/2, compute*ratio, e.decodes)
	}
	slow := e.slow
	for _, r := range e.running {
		if r.inStep > 0 && r.Slow > 1 {
			slow *= r.Slow
		}
	}
	e.left = max(1, time.Duration(min(float64(full)*slow, float64(longestStep))))
	return true
}

func (e *Engine) dropAborted() {
	gone := func(r *Request) bool {
		if r.aborted {
			e.pool.release(r.blocks)
			r.blocks = nil
			e.tally.aborts++
			e.note(e.now, wasAborted, r, r.produced)
		}
		return r.aborted
	}
	e.running = slices.DeleteFunc(e.running, gone)
	e.waiting = slices.DeleteFunc(e.waiting, gone)
}

// scheduleRunning gives the running sequences their tokens, oldest first; where no block is free, the youngest are preempted.
func (e *Engine) scheduleRunning(budget *int) (preempted bool) {
	for i := 0; i < len(e.running) && *budget > 0; i++ {
		r := e.running[i]
		n := min(r.length()-r.computed, *budget)
		for !e.grow(r, r.computed+n) {
			preempted = true
			victim := e.running[len(e.running)-1]
			e.running = e.running[:len(e.running)-1]
			e.preempt(victim)
			if victim == r {
				return true
			}
		}
		e.assign(r, n)
		*budget -= n
	}
	return preempted
}

// grow takes the blocks that a sequence of so many tokens lacks. What it took stays when it fails.
func (e *Engine) grow(r *Request, tokens int) bool {
	for need := blocksFor(tokens, e.cfg.BlockSize); len(r.blocks) < need; {
		b, ok := e.pool.take()
		if !ok {
			return false
		}
		r.blocks = append(r.blocks, b)
	}
	return true
}

func (e *Engine) preempt(r *Request) {
	e.pool.release(r.blocks)
	r.blocks = r.blocks[:0]
	r.computed = 0
	r.preemptions++
	e.tally.preemptions++
	e.note(e.now, wasPreempted, r, r.produced)
	e.waiting = slices.Insert(e.waiting, 0, r)
}

// admit starts waiting requests, in order, as long as the whole prompt of the first one fits (--scheduler-reserve-full-isl
// is vLLM's default), whatever the ones behind it need.
func (e *Engine) admit(budget *int) {
	started := 0
	for started < len(e.waiting) && *budget > 0 && len(e.running) < e.cfg.MaxNumSeqs {
		r := e.waiting[started]
		total := r.length()
		// At least one token must be computed to have something to sample from.
		limit := (total - 1) / e.cfg.BlockSize
		if e.cfg.NoPrefixCache {
			limit = 0
		}
		hits, idle := e.pool.match(r.hash, limit, e.hits)
		e.hits = hits
		if blocksFor(total, e.cfg.BlockSize)-len(hits) > e.pool.free-idle {
			break
		}
		started++
		e.pool.hold(hits)
		r.blocks = append(r.blocks[:0], hits...)
		r.computed = len(hits) * e.cfg.BlockSize
		if r.admitted {
			e.note(e.now, wasResumed, r, r.computed)
		} else {
			e.note(e.now, wasAdmitted, r, r.computed)
			r.admitted = true
			r.scheduled = e.now
			r.cached = r.computed
			if !e.cfg.NoPrefixCache {
				e.tally.prefixQueries += uint64(r.Prompt)
				e.tally.prefixHits += uint64(r.cached)
			}
		}
		n := min(total-r.computed, *budget)
		e.grow(r, r.computed+n) // cannot fail: the whole prompt fits
		e.running = append(e.running, r)
		e.assign(r, n)
		*budget -= n
	}
	e.waiting = slices.Delete(e.waiting, 0, started)
}

// assign puts n tokens of a sequence into the step.
func (e *Engine) assign(r *Request, n int) {
	r.inStep = n
	e.seqs++
	if n == 1 && r.produced > 0 && r.computed+1 == r.length() {
		e.decodes++
	} else {
		e.prefill += n
	}
	e.contextSize += r.computed + n
}

// End completes what Begin scheduled: time moves, and when nothing interrupted the step, tokens come out, requests end, and
// the gauges are set.
func (e *Engine) End() {
	if !e.stepping {
		return
	}
	e.stepping = false
	e.now += e.stepTime
	e.settle(e.now)
	e.doing = activity{}
	if e.left -= e.stepTime; e.left > 0 {
		return
	}

	outputs, prompts := 0, 0
	kept := e.running[:0]
	for _, r := range e.running {
		if r.inStep > 0 {
			e.compute(r)
			if r.computed == r.length() {
				outputs++
				prompts += e.emit(r)
			}
		}
		if r.produced < r.Output && (r.HangUp == 0 || r.produced < r.HangUp) {
			kept = append(kept, r)
			continue
		}
		e.pool.release(r.blocks)
		r.blocks = nil
		switch {
		case r.fails:
			e.tally.finish(r, Errored)
			e.note(e.now, wasFailed, r, r.produced)
		case r.produced == r.Output:
			e.tally.finish(r, r.Reason)
			e.note(e.now, wasFinished, r, r.produced)
		default:
			e.tally.aborts++
			e.tally.answered++
			e.note(e.now, wasAborted, r, r.produced)
		}
	}
	clear(e.running[len(kept):])
	e.running = kept
	if outputs > 0 {
		e.tally.iteration.observe(float64(outputs + prompts))
	}
	e.gauges()
}

// compute books the tokens of the step into the cache; blocks that got full can be shared from now on.
func (e *Engine) compute(r *Request) {
	size := e.cfg.BlockSize
	for i := r.computed / size; i < (r.computed+r.inStep)/size; i++ {
		e.pool.remember(r.blocks[i], r.hash(i))
	}
	r.computed += r.inStep
	r.inStep = 0
}

// emit gives the sequence its next token, and returns how many prompt tokens that makes count.
func (e *Engine) emit(r *Request) (prompt int) {
	t := &e.tally
	t.generated++
	if r.produced == 0 {
		r.first = e.now
		t.ttft.observe((e.now - r.arrived).Seconds())
		t.promptTokens += uint64(r.Prompt)
		t.promptCached += uint64(r.cached)
		e.note(e.now, gaveFirst, r, 1)
		prompt = r.Prompt
	} else {
		t.itl.observe((e.now - r.last).Seconds())
	}
	r.last = e.now
	r.produced++
	if r.Progress != nil && !r.aborted {
		r.Progress(r.produced, r.produced == r.Output, e.seqs)
	}
	return prompt
}

func (e *Engine) gauges() {
	e.tally.running, e.tally.waiting = len(e.running), len(e.waiting)
	e.tally.kvUsage = e.pool.usage()
}
