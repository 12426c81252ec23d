package sim

import "time"

// tally holds what the engine counts, under the names of the vllm: families of the /metrics page.
type tally struct {
	// Gauges, set once per engine step and not between: during a long step all of them stand still.
	running, waiting int
	kvUsage          float64

	prefixQueries, prefixHits uint64 // tokens
	preemptions               uint64
	promptTokens              uint64 // counted with the first token, cached ones included
	promptCached              uint64
	generated                 uint64
	success                   [finishReasons]uint64
	rejections                [limits]uint64
	// How many of the traffic's own requests, which come by no HTTP, were answered with a status 5xx and 2xx.
	refused, answered uint64
	// First tokens and tokens that a reset made uncounted; the process's CPU time still has them.
	resetFirsts, resetTokens uint64
	aborts                   uint64 // not on the page: vLLM's Python front end does not count them

	promptLen, outputLen, iteration, maxOutput, paramsN, paramsMax histogram
	ttft, itl, tpot, e2e, queue, inference, prefill, decode        histogram
	perPreemptions, kvComputed                                     histogram
}

func newTally(maxModelLen int) tally {
	lengths := lengthEdges(maxModelLen)
	return tally{
		promptLen: newHistogram(lengths), outputLen: newHistogram(lengths), maxOutput: newHistogram(lengths),
		paramsMax: newHistogram(lengths), kvComputed: newHistogram(lengths),
		iteration: newHistogram(iterationEdges), paramsN: newHistogram(countEdges), perPreemptions: newHistogram(preemptEdges),
		ttft: newHistogram(ttftEdges), itl: newHistogram(tokenTimeEdges), tpot: newHistogram(tokenTimeEdges),
		e2e: newHistogram(requestEdges), queue: newHistogram(requestEdges), inference: newHistogram(requestEdges),
		prefill: newHistogram(requestEdges), decode: newHistogram(requestEdges),
	}
}

// reset gives a tally whose counters are zero. Gauges stay, and what the API server's process counts by itself.
func (t *tally) reset(maxModelLen int) tally {
	fresh := newTally(maxModelLen)
	fresh.running, fresh.waiting, fresh.kvUsage = t.running, t.waiting, t.kvUsage
	fresh.refused, fresh.answered = t.refused, t.answered
	fresh.resetFirsts, fresh.resetTokens = t.resetFirsts+t.ttft.n, t.resetTokens+t.generated
	return fresh
}

// abort counts a request that a pause ended at a time, as vLLM does: like any other, and its end like a token's time. Of
// those that had no token yet it also says prefill and decode times, which are its monotonic clock's reading; those are left
// out here.
func (t *tally) abort(r *Request, at time.Duration) {
	waited := (at - r.arrived).Seconds()
	if r.produced > 0 {
		t.itl.observe((at - r.last).Seconds())
		r.last = at
		t.finish(r, Aborted)
		return
	}
	t.success[Aborted]++
	if r.Progress == nil {
		t.answered++
	}
	t.ttft.observe(waited)
	t.e2e.observe(waited)
}

// finish counts a request that ended for a reason.
func (t *tally) finish(r *Request, reason FinishReason) {
	t.success[reason]++
	if r.Progress == nil {
		t.answered++
	}
	t.promptLen.observe(float64(r.Prompt))
	t.outputLen.observe(float64(r.produced))
	t.maxOutput.observe(float64(r.produced))
	t.paramsN.observe(1)
	if r.MaxTokens > 0 {
		t.paramsMax.observe(float64(r.MaxTokens))
	}
	t.kvComputed.observe(float64(r.Prompt - r.cached))
	t.perPreemptions.observe(float64(r.preemptions))

	t.e2e.observe((r.last - r.arrived).Seconds())
	t.queue.observe((r.scheduled - r.queued).Seconds())
	t.inference.observe((r.last - r.scheduled).Seconds())
	t.prefill.observe((r.first - r.scheduled).Seconds())
	decode := (r.last - r.first).Seconds()
	t.decode.observe(decode)
	if r.produced > 1 {
		t.tpot.observe(decode / float64(r.produced-1))
	} else {
		t.tpot.observe(0)
	}
}
