// Package score turns the requests of one run into numbers that stand up: latencies by exactly the field's formulas, with
// intervals; throughput; goodput; how it ended for whom; and the stretch of time in which the load was steady.
//
// In go request.Records, the times at which the run was cut, and its SLO; out comes a Score. It is a pure function: it asks no
// session and no server. What the server says about the same stretch, and what may have spoiled it, is package validity's.
// A failure ranks above every success, a percentile that the number of requests can't support says how many more it needs, and
// nothing is averaged that was not measured.
package score

import (
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// Window is a stretch of time, From ≤ t < To, by the clock of request.Time.
type Window struct {
	From request.Time `json:"from"`
	To   request.Time `json:"to"`
}

// Input is what a run is scored from.
type Input struct {
	// Records are all that the run sent, and those of other runs that were still in flight in its time (told by Run), in any
	// order. They are only read.
	Records []request.Record
	Run     uint32
	// Whole is from the moment when the load had the run's shape until it was cut. The drain of requests that another shape
	// sent lies before Whole.From; its own requests that End after Whole.To cross the edge and are counted apart.
	Whole Window
	Point shape.Point
	// Dropped is how many due requests were never sent because of MaxInFlight.
	Dropped int
}

// Score is what a run gave.
type Score struct {
	Whole  Window `json:"whole"`
	Steady Window `json:"steady"`
	// SteadyWhy says how the steady window was found, or why there is none (Steady is then zero and everything below is of
	// Whole).
	SteadyWhy string `json:"steady_why"`

	// Sent counts the run's own requests, and is the sum of OK, Failed, Cancelled and Crossing: Crossing are those that went
	// well and began or ended outside of Whole; they are in none of the latencies. Dropped were never sent.
	Sent      int `json:"sent"`
	OK        int `json:"ok"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	Crossing  int `json:"crossing"`
	Dropped   int `json:"dropped"`
	// InputTokens, CachedTokens and OutputTokens are the sums over the requests that ended OK inside of Whole; Unknown (-1) if
	// the server told none.
	InputTokens  int64 `json:"input_tokens"`
	CachedTokens int64 `json:"cached_tokens"`
	OutputTokens int64 `json:"output_tokens"`
	// Errors lists the classes of failure that occurred, most frequent first.
	Errors []ErrorCount `json:"errors,omitempty"`

	// The latencies, all of requests that were sent in the steady window; in seconds, Normalized in seconds a token. How each
	// is defined is told by Formulas.
	TTFT       Summary `json:"ttft"`
	TTFTSched  Summary `json:"ttft_sched"`
	TPOT       Summary `json:"tpot"`
	ITL        Summary `json:"itl"`
	Gap        Summary `json:"chunk_gap"`
	E2E        Summary `json:"e2e"`
	E2ESched   Summary `json:"e2e_sched"`
	Normalized Summary `json:"normalized"`
	Lag        Summary `json:"send_lag"`
	// Queue, Prefill and Rest split TTFT where the server tells.
	Queue   Summary `json:"queue"`
	Prefill Summary `json:"prefill"`
	Rest    Summary `json:"rest"`

	// Requests, Output and Total are rates in the steady window: requests that ended OK, output tokens, prompt and output
	// tokens, each a second.
	Requests Rate    `json:"request_rate"`
	Output   Rate    `json:"output_rate"`
	Total    Rate    `json:"total_rate"`
	Goodput  Goodput `json:"goodput"`
	// Overall is the throughput of everything, as other tools give it; nil if no request ended OK.
	Overall *Overall `json:"overall,omitempty"`
	// Merged is the share of chunk gaps that are merged; Guessed the share of requests whose tokens per chunk are guesses.
	Merged  float64 `json:"merged"`
	Guessed float64 `json:"guessed"`
	// MeanInFlight is the mean number of requests in flight in the steady window.
	MeanInFlight float64 `json:"mean_in_flight"`

	// Flags is filled by package validity.
	Flags []Flag `json:"flags,omitempty"`
}

// ErrorCount is one class of errors.
type ErrorCount struct {
	Class request.Class
	Count int
	// First is the first message of the class.
	First string
}

// Summary is a latency's distribution over requests (ITL and Gap: over tokens and chunks, pooled).
type Summary struct {
	// Count is how many values there are; Failed how many requests have none because they failed, and Unfinished how many were
	// not over when the run was cut, after longer than any that ended. Both rank above all values.
	Count, Failed, Unfinished int
	// Mean is of the values alone, so a latency of a run with failures is better told by its percentiles.
	Mean          Estimate
	P50, P90, P95 Quantile
	P99, P999     Quantile
	Min, Max      float64
	// Effective is how many independent requests the sample is worth: requests that ran beside each other met the same
	// weather, so their number overstates what is known. Every interval is made with it (of Mean's autocorrelation here; each
	// percentile has its own).
	Effective float64
}

// Estimate is a value with its 95 % interval; NaN where there is none. High is +Inf where the interval reaches into the
// failures.
type Estimate struct{ Value, Low, High float64 }

// Quantile is a percentile with its 95 % interval.
type Quantile struct {
	Estimate
	// Failed: it lies among the failures; there is no number. Unfinished: likewise, and nothing failed: it lies among requests
	// that the cut left open.
	Failed, Unfinished bool
	// Needs is how many more requests it takes until an interval exists; 0 if there is one.
	Needs int
}

// Rate is per second, with its interval over the window's seconds in blocks.
type Rate struct{ Estimate }

// Overall is what ended OK, from when the run's first request was sent until the last one was over, ramp, tail and drain included:
// what vLLM bench calls request_throughput, output_throughput and total_token_throughput. It is there to be compared with theirs.
type Overall struct {
	// Seconds is how long that was.
	Seconds float64 `json:"seconds"`
	// Requests, Output and Total are a second: requests, output tokens, prompt and output tokens.
	Requests float64 `json:"request_rate"`
	Output   float64 `json:"output_rate"`
	Total    float64 `json:"total_rate"`
}

// Goodput is what met the SLO.
type Goodput struct {
	// Asked is whether there is an SLO at all.
	Asked bool
	// Good of Tried requests met it, judged from the scheduled time; GoodSent judges from the send time. Cancelled requests are in
	// neither, failures are in Tried and never good, and a metric that is asked for and missing is not good.
	Good, GoodSent, Tried int
	// Share is Good/Tried with its interval (Wilson), Met whether the SLO's Share is reached, Requests and Tokens the good
	// ones a second (output tokens).
	Share            Estimate
	Met              bool
	Requests, Tokens float64
}

// Flag is something that may have spoiled a run.
type Flag struct {
	// Kind is a fixed word: "warm-cache", "foreign-traffic", "client-bound", "not-steady", "too-few", "gpu-throttled",
	// "clocks-moved", "restarted", "preempting", "short-output", "dropped", "scrape-gaps", "swapping", "cgroup-throttled",
	// "beyond-certificate", "simulated", "guessed-tokens".
	Kind string `json:"kind"`
	// Invalid: the numbers must not be used; otherwise they need care.
	Invalid bool `json:"invalid"`
	// Title is one line, Evidence what shows it (expression or count, value, threshold), Do what to do about it.
	Title    string `json:"title"`
	Evidence string `json:"evidence"`
	Do       string `json:"do"`
}

// Slack is how far apart two moments may be and count as one: a tick of the recorder.
const Slack = time.Second
