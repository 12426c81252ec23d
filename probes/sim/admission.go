package sim

import (
	"net/http"
	"time"
)

// limit is one of the bounds of a queue, --max-num-queued-reqs and --max-num-queued-tokens.
type limit int

const (
	queuedRequests limit = iota
	queuedTokens

	limits = iota
)

// String gives the reason that vllm:admission_rejections_total has.
func (l limit) String() string {
	return [limits]string{"max_num_queued_reqs", "max_num_queued_tokens"}[l]
}

// frontEnd is how long the API server needs between its first look at a limit and the request's place in the count: a real
// 0.32.0 spent 12 ms of a request outside the engine. Who comes within it of others is counted too late: vLLM lets such a burst
// begin its answers, and refuses inside of them.
const frontEnd = 12 * time.Millisecond

// overflow tells which limit n more requests would exceed, when those that arrived up to a time are counted, as vLLM's
// check_admission does: requests that run and wait, then the prompts of those that have no token yet.
func (e *Engine) overflow(by time.Duration, n int) (l limit, over bool) {
	if e.cfg.MaxNumQueuedReqs == 0 && e.cfg.MaxNumQueuedTokens == 0 {
		return 0, false
	}
	requests, tokens := 0, 0
	for _, q := range [][]*Request{e.running, e.waiting, e.inbox} {
		for _, r := range q {
			if r.aborted || r.arrived > by {
				continue
			}
			requests++
			if r.produced == 0 {
				tokens += r.Prompt
			}
		}
	}
	switch {
	case e.cfg.MaxNumQueuedReqs > 0 && n > e.cfg.MaxNumQueuedReqs-requests:
		return queuedRequests, true
	case e.cfg.MaxNumQueuedTokens > 0 && tokens >= e.cfg.MaxNumQueuedTokens:
		return queuedTokens, true
	}
	return 0, false
}

// admission refuses what a limit forbids, and counts it.
func (e *Engine) admission(by time.Duration, n int) error {
	l, over := e.overflow(by, n)
	if !over {
		return nil
	}
	e.tally.rejections[l]++
	return overloaded(l)
}

// turnAway does to a request of the traffic what the two checks of the API server do: it tells whether it was refused.
func (e *Engine) turnAway(r *Request) bool {
	if l, over := e.overflow(r.arrived-frontEnd, 1); over {
		e.tally.rejections[l]++
		e.tally.refused++
	} else if l, over := e.overflow(r.arrived, 1); over {
		e.tally.rejections[l]++
		e.tally.answered++ // its status was 200 by then
	} else {
		return false
	}
	e.note(r.arrived, wasRefused, r, r.Prompt)
	return true
}

// overloaded is what vLLM answers when a limit is reached.
func overloaded(l limit) *refusal {
	what := "is currently busy and cannot accept new requests."
	if l == queuedTokens {
		what = "has reached its prefill token backlog limit."
	}
	return &refusal{
		Message: "The engine " + what + " Please try again later or on a different instance.",
		Type:    http.StatusText(http.StatusServiceUnavailable), Code: http.StatusServiceUnavailable,
	}
}
