package sim

import "time"

// FinishReason is why a request ended, in vLLM's words.
type FinishReason int

const (
	// Length: max_tokens or the model's length was reached.
	Length FinishReason = iota
	// Stop: the end-of-text token, a stop token or a stop string.
	Stop
	// Aborted: the engine was paused or put to sleep.
	Aborted
	// Errored: a fault ended it.
	Errored

	finishReasons = iota
)

// String gives "length", "stop", "abort" or "error".
func (r FinishReason) String() string {
	return [finishReasons]string{"length", "stop", "abort", "error"}[r]
}

// Request is one sequence for an Engine. What it will say is decided before it is submitted, because no number of the
// simulation depends on the words: only lengths, and which blocks of the prompt equal those of others.
type Request struct {
	// Prompt is the number of prompt tokens, at least 1. Output is how many it will produce, at least 1, after which it
	// ends for Reason.
	Prompt, Output int
	Reason         FinishReason
	// MaxTokens is what the client asked for, 0 if nothing; it is only counted.
	MaxTokens int
	// HangUp, if not 0, is after how many output tokens the client goes away.
	HangUp int
	// Hash names the content of the sequence's i-th whole block together with all blocks before it, so that equal starts
	// have equal names. It is asked for prompt and output. 0 is a block that is never shared. Nil: none is.
	Hash func(i int) uint64
	// Name is what the trace calls it; it may be empty.
	Name string
	// Slow is how many times longer a step takes that it is part of; up to 1 means not longer.
	Slow float64
	// Progress, if set, is told after each step that gave the request a token how many it has now, whether that was the
	// last, and how many sequences were in the step. Ended, if set, is told when it ends without being finished: Errored
	// when the engine died under it, Aborted by a pause. They are called with the engine's owner waiting: they must not block.
	Progress func(produced int, done bool, batch int)
	Ended    func(FinishReason)

	number uint64

	arrived, queued, scheduled, first, last time.Duration

	admitted, aborted bool
	fails             bool // at HangUp the engine gives it up, not the client
	inStep            int  // tokens computed in the running step
	computed          int  // tokens in the cache
	produced          int
	cached            int // prompt tokens that the prefix cache had, at the first admission
	preemptions       int
	blocks            []int32
}

// length is the number of tokens that are known: the prompt's and those produced.
func (r *Request) length() int { return r.Prompt + r.produced }

func (r *Request) hash(i int) uint64 {
	if r.Hash == nil {
		return 0
	}
	return r.Hash(i)
}

// blocksFor is how many blocks hold so many tokens.
func blocksFor(tokens, size int) int { return (tokens + size - 1) / size }

// Times are the moments of a request's life on the engine's clock; those not reached yet are zero.
type Times struct{ Arrived, Queued, Scheduled, First, Last time.Duration }

// Times must be asked while the engine does not step.
func (r *Request) Times() Times {
	return Times{r.arrived, r.queued, r.scheduled, r.first, r.last}
}

// Cached is how many of the prompt's tokens came from the prefix cache at the first admission.
func (r *Request) Cached() int { return r.cached }
