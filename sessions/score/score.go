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
	// Seed is for bootstraps.
	Seed uint64
}

// Score is what a run gave.
type Score struct {
	Whole, Steady Window
	// SteadyWhy says how the steady window was found, or why there is none (Steady is then zero and everything below is of
	// Whole).
	SteadyWhy string

	// Sent, OK, Failed, Cancelled and Crossing count requests: Crossing are those that began or ended outside of Whole and
	// are in none of the latencies; Dropped were never sent.
	Sent, OK, Failed, Cancelled, Crossing, Dropped int
	// InputTokens, CachedTokens and OutputTokens are the sums over the requests that ended OK; Unknown if the server told none.
	InputTokens, CachedTokens, OutputTokens int64
	// Errors lists the classes that occurred, most frequent first.
	Errors []ErrorCount

	// The latencies, all of requests that were sent in the steady window; in seconds, Normalized in seconds a token.
	TTFT, TTFTSched, TPOT, ITL, Gap, E2E, E2ESched, Normalized, Lag Summary
	// Queue, Prefill and Rest split TTFT where the server tells.
	Queue, Prefill, Rest Summary

	// Requests, Output and Total are rates in the steady window: requests/s, output tokens/s, prompt and output tokens/s.
	Requests, Output, Total Rate
	Goodput                 Goodput
	// Merged is the share of chunk gaps that are merged; Guessed the share of requests whose tokens per chunk are guesses.
	Merged, Guessed float64
	// MeanInFlight is the mean number of requests in flight in the steady window.
	MeanInFlight float64

	// Flags is filled by package validity.
	Flags []Flag
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
	// Count is how many values there are; Failed how many requests have none because they failed, which rank above all.
	Count, Failed int
	Mean          Estimate
	P50, P90, P95 Quantile
	P99, P999     Quantile
	Min, Max      float64
}

// Estimate is a value with its 95 % interval; NaN where there is none.
type Estimate struct{ Value, Low, High float64 }

// Quantile is a percentile with its 95 % interval.
type Quantile struct {
	Estimate
	// Failed: it lies among the failures; there is no number.
	Failed bool
	// Needs is how many more requests it takes until an interval exists; 0 if there is one.
	Needs int
}

// Rate is per second, with its interval over the window's seconds in blocks.
type Rate struct{ Estimate }

// Goodput is what met the SLO.
type Goodput struct {
	// Asked is whether there is an SLO at all.
	Asked bool
	// Good of Tried requests met it, judged from the scheduled time; GoodSent judges from the send time. Cancelled requests are in
	// neither, failures are in Tried and never good.
	Good, GoodSent, Tried int
	// Share is Good/Tried with its interval (Wilson), Met whether the SLO's Share is reached, Requests and Tokens the good
	// ones a second.
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
