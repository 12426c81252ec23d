// Package truth is a server that knows when it said what: what a load client's times are held against.
//
// In go a Plan (how long to the first token, how long between two, how many at a time, what goes wrong) and requests as an
// OpenAI-compatible server gets them: chat and completions, streamed and not, /v1/models, /version, /tokenize and /detokenize in
// vLLM's form, and a /metrics page with vLLM's counters of requests and tokens. Out come answers that hold nothing but made-up words, and for each of them an Answer: when the kernel received the
// request, and for each write of the answer the time just before the system call and how long that took. On loopback the bytes
// are in the receiver's socket before the call returns, so that a piece's arrival lies within the two.
//
// One goroutine writes all streams, in the order in which they are due, with one system call a piece: a thousand streams of 50
// tokens a second take about half a core. A piece may leave late on a busy machine; its stamp says when it left, and only
// stamps are the truth. Whoever measures a client should run the server in a process of its own, because two that share a Go
// scheduler disturb each other: Start does it, Run is what that process does.
//
// It shares no code with the client that it judges but the form of Time. It listens on loopback only. It has no model, no
// queue and no cache: package sim is the simulated engine.
package truth

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Poses is the version of vLLM that the server says it is, so that a client asks it for all that such a server can do.
const Poses = "0.32.0"

// Plan is what the server does with every request. The zero Plan answers at once, with 16 tokens, one a piece and no time between.
type Plan struct {
	// TTFT is the time from the kernel's receipt of a request's last byte to the first token.
	TTFT time.Duration `json:"ttft"`
	// Gap is the time between two pieces of an answer.
	Gap time.Duration `json:"gap"`
	// Spread puts requests apart that came together: the n-th answer's beginning is put off by a share of Spread that goes
	// evenly round (the golden section, so that any number in a row is spread well).
	Spread time.Duration `json:"spread,omitempty"`
	// Steps makes all streams write in the same moments, Gap apart, as an engine does that gives each running request its
	// token at the end of a step. TTFT and Spread are then rounded up to the next one. It needs a Gap.
	Steps bool `json:"steps,omitempty"`
	// Tokens is how many tokens an answer has whose request asks for none (max_tokens, max_completion_tokens); 0 is 16.
	Tokens int `json:"tokens,omitempty"`
	// Chunk is how many tokens a piece has, 0 is 1; as with speculative decoding. The last piece has what is left.
	Chunk int `json:"chunk,omitempty"`
	// Role says how a chat's role chunk, which has no token, goes out.
	Role Role `json:"role,omitempty"`
	// Head sends the answer's head as soon as the request is there, as a server behind a proxy does, and not with the first piece.
	Head bool `json:"head,omitempty"`
	// Model is the served model's name, "truth" if empty; MaxModelLen what a prompt and its answer may have together, 0 is 131072.
	Model       string `json:"model,omitempty"`
	MaxModelLen int    `json:"max_model_len,omitempty"`
	// Faults go wrong on purpose. A request may ask for one itself with the header X-Truth-Fault, in the text form of Fault.
	Faults []Fault `json:"faults,omitempty"`
	// Keep is how many Answers are kept, the newest; 0 is 200,000.
	Keep int `json:"keep,omitempty"`
}

// Role is how a chat's role chunk goes out.
type Role string

const (
	// RoleJoined sends it in the same write as the first token: vLLM does so as seen on the wire, more often than not.
	RoleJoined Role = ""
	// RoleApart sends it in a write of its own just before the first token's.
	RoleApart Role = "apart"
	// RoleEarly sends it with the head as soon as the request is there. A client that takes it for the first token is found out.
	RoleEarly Role = "early"
	// RoleNone leaves it out.
	RoleNone Role = "none"
)

func (p Plan) filled() Plan {
	if p.Tokens == 0 {
		p.Tokens = 16
	}
	if p.Chunk == 0 {
		p.Chunk = 1
	}
	if p.Model == "" {
		p.Model = "truth"
	}
	if p.MaxModelLen == 0 {
		p.MaxModelLen = 131072
	}
	if p.Keep == 0 {
		p.Keep = 200_000
	}
	return p
}

// Validate says what is impossible in a plan.
func (p Plan) Validate() error {
	switch {
	case p.TTFT < 0 || p.Gap < 0 || p.Spread < 0:
		return errors.New("a truth server's times must not be negative")
	case p.Tokens < 0 || p.Chunk < 0 || p.MaxModelLen < 0 || p.Keep < 0:
		return errors.New("a truth server's counts must not be negative")
	case p.Chunk > 4096:
		return fmt.Errorf("%d tokens in a piece: at most 4096", p.Chunk)
	case p.Steps && p.Gap == 0:
		return errors.New("steps need a gap between them")
	case p.Steps && p.Spread > 0:
		return errors.New("steps put all streams together, spread puts them apart: ask for one of them")
	case strings.ContainsAny(p.Model, "\r\n\""):
		return fmt.Errorf("the model name %q cannot stand in an answer", p.Model)
	}
	switch p.Role {
	case RoleJoined, RoleApart, RoleEarly, RoleNone:
	default:
		return fmt.Errorf("no way to send the role chunk is called %q: apart, early, none, or empty for joined", p.Role)
	}
	for _, f := range p.Faults {
		if err := f.validate(); err != nil {
			return err
		}
	}
	return nil
}
