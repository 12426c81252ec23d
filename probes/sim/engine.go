package sim

import (
	"fmt"
	"slices"
	"time"
)

// Config is the size of an engine. Zero fields take the values of Llama-3-8B in bf16 on an A100-SXM4-80GB with vLLM's
// defaults for that card.
type Config struct {
	// MaxModelLen is the most tokens that a sequence may have; 8192.
	MaxModelLen int
	// MaxNumSeqs is how many sequences run at once; 256.
	MaxNumSeqs int
	// MaxNumBatchedTokens is how many tokens a step may compute; 2048.
	MaxNumBatchedTokens int
	// Blocks is the number of KV blocks of BlockSize tokens, the reserved one included; 28193, which is what 0.9 of the
	// card's memory leaves (451,088 tokens).
	Blocks int
	// Traffic, if set, is asked for the requests that arrive by themselves.
	Traffic *Traffic
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.MaxModelLen, 8192)
	def(&c.MaxNumSeqs, 256)
	def(&c.MaxNumBatchedTokens, 2048)
	def(&c.Blocks, 28193)
	return c
}

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
	next    *Request   // the traffic's next arrival

	stepping                      bool
	stepTime                      time.Duration
	prefill, decodes, contextSize int // of the step
	hits                          []int32

	tally   tally
	gpu     *board
	doing   activity      // what the GPU does since settled
	settled time.Duration // up to when the board was moved
}

// NewEngine makes an engine at time zero. Like vLLM it refuses a cache that cannot hold one sequence of the model's length.
func NewEngine(cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if cfg.MaxModelLen < 1 || cfg.MaxNumSeqs < 1 || cfg.MaxNumBatchedTokens < 1 {
		return nil, fmt.Errorf("simulated engine: sizes must be positive: %+v", cfg)
	}
	if need := blocksFor(cfg.MaxModelLen) + 1; cfg.Blocks < need {
		return nil, fmt.Errorf("simulated engine: a sequence of %d tokens needs %d KV blocks, there are %d",
			cfg.MaxModelLen, need, cfg.Blocks)
	}
	e := &Engine{cfg: cfg, pool: newPool(cfg.Blocks), tally: newTally(cfg.MaxModelLen), gpu: newBoard(0)}
	if cfg.Traffic != nil {
		e.next = cfg.Traffic.Next()
	}
	return e, nil
}

// Now is the engine's time, from its start.
func (e *Engine) Now() time.Duration { return e.now }

// Submit hands over a request that arrives at the given time, which must not be before the last step began. The scheduler
// sees it at the next step: what arrives during one is in no gauge.
func (e *Engine) Submit(r *Request, at time.Duration) error {
	if r.Prompt < 1 || r.Output < 1 || r.Prompt+r.Output > e.cfg.MaxModelLen {
		return fmt.Errorf("simulated engine: %d + %d tokens do not fit into %d", r.Prompt, r.Output, e.cfg.MaxModelLen)
	}
	r.arrived = at
	e.inbox = append(e.inbox, r)
	return nil
}

// Abort takes a request out before the next step; nothing more is told about it.
func (e *Engine) Abort(r *Request) { r.aborted = true }

// NextArrival is when the traffic's next request comes. ok is false without traffic.
func (e *Engine) NextArrival() (at time.Duration, ok bool) {
	if e.next == nil {
		return 0, false
	}
	return e.next.arrived, true
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
		if _, ok := e.Advance(); ok {
			continue
		}
		to := t
		if at, ok := e.NextArrival(); ok && at < to {
			to = max(at, e.now)
		}
		e.Idle(to)
	}
}

// Begin schedules a step and says how long it will take; End completes it. ok is false when there is nothing to compute.
func (e *Engine) Begin() (d time.Duration, ok bool) {
	e.arrivals()
	e.dropAborted()

	e.prefill, e.decodes, e.contextSize = 0, 0, 0
	budget := e.cfg.MaxNumBatchedTokens
	preempted := e.scheduleRunning(&budget)
	if !preempted {
		e.admit(&budget)
	}
	if e.prefill+e.decodes == 0 {
		e.gauges()
		return 0, false
	}
	e.stepping = true
	e.stepTime = StepTime(e.prefill, e.decodes, e.contextSize)
	e.settle(e.now)
	e.doing = activity{
		busy:    true,
		memory:  min(1, memoryTime(e.contextSize)/e.stepTime.Seconds()),
		compute: min(1, computeTime(e.prefill+e.decodes)/e.stepTime.Seconds()),
		tokens:  float64(e.prefill+e.decodes) / e.stepTime.Seconds(),
	}
	return e.stepTime, true
}

// arrivals moves what has come by now into the queue, in the order of arrival.
func (e *Engine) arrivals() {
	for e.next != nil && e.next.arrived <= e.now {
		e.cfg.Traffic.watch(e.demand())
		e.inbox = append(e.inbox, e.next)
		e.next = e.cfg.Traffic.Next()
	}
	if len(e.inbox) == 0 {
		return
	}
	slices.SortStableFunc(e.inbox, func(a, b *Request) int { return int(a.arrived - b.arrived) })
	for _, r := range e.inbox {
		r.queued = e.now
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
			blocks += blocksFor(r.length())
		}
	}
	return float64(blocks) / float64(e.pool.usable())
}

func (e *Engine) dropAborted() {
	gone := func(r *Request) bool {
		if r.aborted {
			e.pool.release(r.blocks)
			r.blocks = nil
			e.tally.aborts++
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
	for need := blocksFor(tokens); len(r.blocks) < need; {
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
		hits, idle := e.pool.match(r.hash, (total-1)/BlockSize, e.hits)
		e.hits = hits
		if blocksFor(total)-len(hits) > e.pool.free-idle {
			break
		}
		started++
		e.pool.hold(hits)
		r.blocks = append(r.blocks[:0], hits...)
		r.computed = len(hits) * BlockSize
		if !r.admitted {
			r.admitted = true
			r.scheduled = e.now
			r.cached = r.computed
			e.tally.prefixQueries += uint64(r.Prompt)
			e.tally.prefixHits += uint64(r.cached)
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
	if n == 1 && r.produced > 0 && r.computed+1 == r.length() {
		e.decodes++
	} else {
		e.prefill += n
	}
	e.contextSize += r.computed + n
}

// End completes the step that Begin scheduled: time moves, tokens come out, requests end, and the gauges are set.
func (e *Engine) End() {
	if !e.stepping {
		return
	}
	e.stepping = false
	e.now += e.stepTime
	e.settle(e.now)
	e.doing = activity{}

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
		if r.produced == r.Output {
			e.tally.finish(r)
		} else {
			e.tally.aborts++
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
	for i := r.computed / BlockSize; i < (r.computed+r.inStep)/BlockSize; i++ {
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
		prompt = r.Prompt
	} else {
		t.itl.observe((e.now - r.last).Seconds())
	}
	r.last = e.now
	r.produced++
	if r.Progress != nil && !r.aborted {
		r.Progress(r.produced, r.produced == r.Output)
	}
	return prompt
}

func (e *Engine) gauges() {
	e.tally.running, e.tally.waiting = len(e.running), len(e.waiting)
	e.tally.kvUsage = e.pool.usage()
}
