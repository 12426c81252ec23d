// Package shape says what load is: how requests arrive, how long their prompts and answers are, what they share, and when to
// stop. It is the vocabulary of the load bar, of `pitwall load`'s flags, of presets in the configuration and of plans.
//
// In goes text (flags, YAML); out comes a Point, checked against itself and, with Check, against what a server allows,
// before anything is sent. It reads the files that a point names (prompts, traces, lengths) and nothing else; it draws no
// arrival and makes no prompt: packages arrival and prompt do, from a Point.
package shape

import "time"

// Point is one point of load: one shape that does not change while it is scored. The zero values mean what the comments say.
type Point struct {
	// Label is the operator's name for it; empty means Point.String.
	Label   string  `yaml:"label,omitempty" json:"label,omitempty"`
	Arrival Arrival `yaml:"arrival" json:"arrival"`
	Prompt  Prompt  `yaml:"prompt" json:"prompt"`
	Output  Output  `yaml:"output" json:"output"`
	// Sampling is sent explicitly with every request, so that the server's defaults decide nothing.
	Sampling Sampling `yaml:"sampling" json:"sampling"`
	// API is how it is asked: Auto takes what the served model can do.
	API API `yaml:"api,omitempty" json:"api,omitempty"`
	// Unstreamed asks for whole answers: no TTFT then.
	Unstreamed bool `yaml:"unstreamed,omitempty" json:"unstreamed,omitempty"`
	// Fresh opens a connection for every request instead of keeping one per client.
	Fresh bool `yaml:"fresh_connections,omitempty" json:"fresh_connections,omitempty"`
	// Cache is whether prompts may hit the server's prefix cache: Cold makes sure that they don't.
	Cache Cache `yaml:"cache,omitempty" json:"cache,omitempty"`
	// MaxInFlight bounds the requests in flight of an open loop and of a trace; what is due beyond it is dropped and counted. 0
	// means 4096.
	MaxInFlight int `yaml:"max_in_flight,omitempty" json:"max_in_flight,omitempty"`
	// Stop says when it ends by itself; the zero value means never.
	Stop Stop `yaml:"stop,omitempty" json:"stop,omitzero"`
	// FirstByteWithin and StallWithin bound the waiting for an answer's beginning and between two pieces of it. 0 means 10
	// minutes and 2 minutes.
	FirstByteWithin time.Duration `yaml:"first_byte_within,omitempty" json:"first_byte_within,omitempty"`
	StallWithin     time.Duration `yaml:"stall_within,omitempty" json:"stall_within,omitempty"`
	// Seed decides arrivals, lengths and prompts: the same seed is the same load.
	Seed uint64 `yaml:"seed,omitempty" json:"seed,omitempty"`
	// Body holds further fields of the request's JSON, Headers further headers; neither may replace what pitwall sets.
	Body    map[string]any    `yaml:"body,omitempty" json:"body,omitempty"`
	Headers map[string]string `yaml:"headers,omitempty" json:"headers,omitempty"`
	// KeepText keeps every answer's text and token ids in the session.
	KeepText bool `yaml:"keep_text,omitempty" json:"keep_text,omitempty"`
	// SLO is what a request must meet to be good.
	SLO SLO `yaml:"slo,omitempty" json:"slo,omitzero"`
}

// Kind is how requests arrive.
type Kind string

const (
	// Closed: Clients clients, each sending its next request when the last one's answer is complete (and Think is over).
	Closed Kind = "closed"
	// Constant, Poisson and Gamma are open loops: Rate requests a second whatever the answers take, evenly, with exponential
	// gaps, or with gamma gaps of shape Burstiness (1 is Poisson, below 1 burstier; vLLM's --burstiness).
	Constant Kind = "constant"
	Poisson  Kind = "poisson"
	Gamma    Kind = "gamma"
	// Trace replays a file.
	Trace Kind = "trace"
)

// Arrival is how requests arrive.
type Arrival struct {
	Kind Kind `yaml:"kind" json:"kind"`
	// Clients is how many clients a closed loop has.
	Clients int `yaml:"clients,omitempty" json:"clients,omitempty"`
	// Think is how long a client waits between two requests, in seconds; nil means not at all.
	Think *Length `yaml:"think,omitempty" json:"think,omitempty"`
	// Rate is in requests a second.
	Rate float64 `yaml:"rate,omitempty" json:"rate,omitempty"`
	// Burstiness is the gamma distribution's shape.
	Burstiness float64 `yaml:"burstiness,omitempty" json:"burstiness,omitempty"`
	// Steps change Clients or Rate as time goes on.
	Steps []Step `yaml:"steps,omitempty" json:"steps,omitempty"`
	// Trace is the file of a Trace.
	Trace string `yaml:"trace,omitempty" json:"trace,omitempty"`
}

// Step changes the load: After the point's start, to Rate (or Clients), at once or evenly Over a time.
type Step struct {
	After time.Duration `yaml:"after" json:"after"`
	Over  time.Duration `yaml:"over,omitempty" json:"over,omitempty"`
	To    float64       `yaml:"to" json:"to"`
}

// Prompt is what is asked.
type Prompt struct {
	// Length is in the server's tokens, the chat template's included.
	Length Length `yaml:"length" json:"length"`
	// File holds prompts instead: a line each, JSON ({"prompt": …} or {"messages": […]}) or plain text.
	File string `yaml:"file,omitempty" json:"file,omitempty"`
	// Shared is how many of the Length tokens, from the first on, are the same in all prompts of a group (in a chat the
	// template's first tokens are among them), and Groups how many groups there are (0: one).
	Shared int `yaml:"shared,omitempty" json:"shared,omitempty"`
	Groups int `yaml:"groups,omitempty" json:"groups,omitempty"`
	// Turns is how many turns a conversation has; 0 and 1 mean none. The first turn is Length tokens long; each further one
	// sends the whole conversation so far, the model's answers in it, and Length (less what is Shared) more tokens. Only a
	// closed loop has conversations: a turn is due when the answer before it is there.
	Turns int `yaml:"turns,omitempty" json:"turns,omitempty"`
}

// Output is how long answers are.
type Output struct {
	// Length is in tokens; with Free only the most.
	Length Length `yaml:"length" json:"length"`
	// Free lets the model end by itself; otherwise ignore_eos and min_tokens make it go on.
	Free bool `yaml:"free,omitempty" json:"free,omitempty"`
}

// Sampling is sent with every request. Nil fields are sent as their defaults: temperature 0 and top_p 1; a nil Seed is not sent.
type Sampling struct {
	Temperature *float64 `yaml:"temperature,omitempty" json:"temperature,omitempty"`
	TopP        *float64 `yaml:"top_p,omitempty" json:"top_p,omitempty"`
	Seed        *int64   `yaml:"seed,omitempty" json:"seed,omitempty"`
}

// API is which of the two it is asked by.
type API string

// The APIs.
const (
	Auto        API = ""
	Chat        API = "chat"
	Completions API = "completions"
)

// Cache is whether prompts may be in the server's prefix cache.
type Cache string

const (
	// Warm: prompts are sent as they are, and the same seed sends the same prompts again. It is the empty value's meaning for
	// prompts with a shared part, for conversations, for traces that share, and for a file of prompts; of all others it is Cold.
	Warm Cache = "warm"
	// Cold: no prompt shares a first block with any that was sent before, by cache_salt where the server knows it, else by
	// unique first tokens. A shared part is then shared within the point only.
	Cold Cache = "cold"
)

// Stop is when a point ends by itself: at whichever comes first of those that are not zero.
type Stop struct {
	// Requests, Tokens (output) and Errors count what has ended.
	Requests int           `yaml:"requests,omitempty" json:"requests,omitempty"`
	After    time.Duration `yaml:"after,omitempty" json:"after,omitempty"`
	Tokens   int           `yaml:"tokens,omitempty" json:"tokens,omitempty"`
	Errors   int           `yaml:"errors,omitempty" json:"errors,omitempty"`
	// Precision ends it when the 95 % interval of mean TPOT (of mean E2E where there are no tokens) is that narrow, relative
	// to the mean on each side; looked at only at fixed numbers of requests.
	Precision float64 `yaml:"precision,omitempty" json:"precision,omitempty"`
}

// SLO is what a request must meet; zero fields ask nothing. An SLO is met by a run when Share of its requests are good
// (0 means 0.99).
type SLO struct {
	TTFT  time.Duration `yaml:"ttft,omitempty" json:"ttft,omitempty"`
	TPOT  time.Duration `yaml:"tpot,omitempty" json:"tpot,omitempty"`
	E2E   time.Duration `yaml:"e2e,omitempty" json:"e2e,omitempty"`
	Share float64       `yaml:"share,omitempty" json:"share,omitempty"`
}
