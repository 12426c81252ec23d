package truth

import (
	"encoding/json"
	"errors"
	"time"

	"pitwall/probes/request"
)

// Answer is what truly happened to one request. All times are the server's, over its Clock's anchor: a client in another
// process compares durations, or its own Times if both anchors were taken on one host (they differ by microseconds).
type Answer struct {
	// ID is the request's X-Request-Id, else one of the server's own. It is also what stands behind "cmpl-" or "chatcmpl-" in
	// the answer's id.
	ID string `json:"id"`
	// N counts the requests from 1, Conn the connections.
	N    uint64 `json:"n"`
	Conn uint64 `json:"conn"`
	Path string `json:"path"`
	// Arrived is when the request's first bytes were received, Received when its last were; the kernel's stamps where
	// Stamped. Where one read brought several segments both are the last one's.
	Arrived  request.Time `json:"arrived"`
	Received request.Time `json:"received"`
	Stamped  bool         `json:"stamped"`
	// Status is the answer's.
	Status int `json:"status"`
	// InputTokens is what the prompt has, Tokens how many were sent.
	InputTokens int `json:"input_tokens"`
	Tokens      int `json:"tokens"`
	// Head, Role and End are when the head, a chat's role chunk and the last write (end mark) left; zero if they did not.
	Head request.Time `json:"head,omitempty"`
	Role request.Time `json:"role,omitempty"`
	End  request.Time `json:"end,omitempty"`
	// Chunks are the pieces with tokens.
	Chunks []Chunk `json:"chunks"`
	// Fault is what went wrong on purpose; Left that the client closed before the end; Choked that it read too slowly for its
	// socket, so that pieces waited here and stamps are those of the first try.
	Fault  string `json:"fault,omitempty"`
	Left   bool   `json:"left,omitempty"`
	Choked bool   `json:"choked,omitempty"`
}

// Chunk is one piece of an answer that had tokens. In JSON it is [at, took, tokens], nanoseconds.
type Chunk struct {
	// At is just before the write, Took how long that took: it arrived within.
	At   request.Time
	Took time.Duration
	// Tokens is how many it had.
	Tokens int
}

// TTFT is the true time to first token, from the request's arrival to the first piece with a token.
func (a *Answer) TTFT() (time.Duration, bool) {
	if len(a.Chunks) == 0 || a.Arrived == 0 {
		return 0, false
	}
	return a.Chunks[0].At.Sub(a.Arrived), true
}

// TPOT is the true time per output token after the first piece, (t_last − t_first)/(N − k_first).
func (a *Answer) TPOT() (time.Duration, bool) {
	if len(a.Chunks) < 2 {
		return 0, false
	}
	n := a.Tokens - a.Chunks[0].Tokens
	if n <= 0 {
		return 0, false
	}
	return a.Chunks[len(a.Chunks)-1].At.Sub(a.Chunks[0].At) / time.Duration(n), true
}

// MarshalJSON writes [at, took, tokens].
func (c Chunk) MarshalJSON() ([]byte, error) {
	return json.Marshal([3]int64{int64(c.At), int64(c.Took), int64(c.Tokens)})
}

// UnmarshalJSON reads it.
func (c *Chunk) UnmarshalJSON(b []byte) error {
	var n []int64
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	if len(n) != 3 {
		return errors.New("a chunk is [at, took, tokens]")
	}
	*c = Chunk{request.Time(n[0]), time.Duration(n[1]), int(n[2])}
	return nil
}
