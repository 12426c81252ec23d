package sim

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
	refused                   uint64 // of the traffic's own requests, by an error 5xx
	overHTTP                  uint64 // of the finished ones: those whose HTTP request is counted elsewhere
	aborts                    uint64 // not on the page: vLLM's Python front end does not count them

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

// finish counts a request that reached its end.
func (t *tally) finish(r *Request) {
	t.success[r.Reason]++
	if r.Progress != nil {
		t.overHTTP++
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

// finished is how many of the traffic's own requests reached their end.
func (t *tally) finished() uint64 { return t.success[Length] + t.success[Stop] - t.overHTTP }
