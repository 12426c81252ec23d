package sim

import "time"

// The words of a trace, in the order of a request's life.
const (
	wasQueued    = "queued"    // the scheduler saw it; Tokens: its prompt's
	wasAdmitted  = "admitted"  // it began to run; Tokens: how many the prefix cache had
	wasPreempted = "preempted" // it lost its blocks; Tokens: how many it had produced
	wasResumed   = "resumed"   // it runs again; Tokens: how many the prefix cache had
	gaveFirst    = "first"     // its first token
	wasFinished  = "finished"  // by itself; Tokens: how many it produced
	wasAborted   = "aborted"   // its client went, or the engine was paused; Tokens likewise
	wasFailed    = "failed"    // the engine died under it; Tokens likewise
	wasRefused   = "refused"   // it came while the engine was gone, or a fault refused it
)

// Happening is one event of the scheduler.
type Happening struct {
	// N counts them from the engine's start, 1 for the first.
	N uint64 `json:"n"`
	// At is the end of the step that it belongs to, or its beginning for what the scheduler decides; from the engine's start.
	At time.Duration `json:"at_ns"`
	// What happened, in one of the trace's words.
	What string `json:"what"`
	// Request is its number in the order of arrival. Requests of the simulation's own traffic have no Name; those over
	// HTTP have the ID of the answer.
	Request uint64 `json:"request"`
	Name    string `json:"name,omitempty"`
	// Tokens depends on What.
	Tokens int `json:"tokens"`
}

// trace remembers the latest happenings.
type trace struct {
	ring []Happening
	n    uint64
}

func (t *trace) note(at time.Duration, what string, r *Request, tokens int) {
	t.n++
	if len(t.ring) == 0 {
		return
	}
	t.ring[t.n%uint64(len(t.ring))] = Happening{t.n, at, what, r.number, r.Name, tokens}
}

// since gives the happenings after the n-th that are still remembered.
func (t *trace) since(n uint64) []Happening {
	size := uint64(len(t.ring))
	if t.n > size {
		n = max(n, t.n-size)
	}
	var out []Happening
	for n++; n <= t.n; n++ {
		out = append(out, t.ring[n%size])
	}
	return out
}
