// Package request is what one request to an LLM server left behind: when what happened, how many tokens came when, and how it
// ended. It is the row that a load client writes, a session keeps and a score is made of.
//
// In goes nothing, out comes nothing: this package holds the record, the words for how a request can end, and the latencies
// that follow from a record by the formulas of the field. It makes no request, stores none, and knows no percentile.
package request

import "time"

// Time is a moment in nanoseconds since 1970 on the monotonic clock of the process that measured, over one anchor on the wall
// clock: two Times of one process can be subtracted whatever happens to the wall clock. Zero means that it did not happen.
type Time int64

// At turns a Time into a time.Time, for the screen and for joining with series. The zero Time becomes the zero time.Time.
func (t Time) At() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(t)).UTC()
}

// Sub is t-u; it is only meaningful where neither is zero.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Unknown stands for a count that nobody told.
const Unknown = -1

// Chunk is one piece of a streamed answer that carried tokens (or, where nobody tells tokens, text).
type Chunk struct {
	// Gap is the time since the chunk before, of the first one since Sent.
	Gap time.Duration
	// Tokens is how many tokens came in it, at least 1.
	Tokens uint16
	// Merged is set when its arrival stamp may be that of a later piece: a late reader found several in one read, or the
	// kernel had joined them.
	Merged bool
}

// Counting says where the numbers of tokens in chunks come from.
type Counting uint8

const (
	// Guessed: nobody told, each chunk with text counts as one token.
	Guessed Counting = iota
	// ByUsage: the server said in each chunk how many there were so far (stream_options.continuous_usage_stats).
	ByUsage
	// ByIDs: each chunk carried its token ids (return_token_ids).
	ByIDs
)

// Record is one request.
type Record struct {
	// Run is the run that sent it; Seq its number in that run's schedule, from 0.
	Run, Seq uint32
	// Client is which of a closed loop's clients sent it, from 0; Unknown in an open loop.
	Client int32
	// Prompt is which prompt of the run's prompts it had, Turn which turn of its conversation (0 without conversations),
	// Group which of the shared prefixes (Unknown without).
	Prompt uint32
	Turn   uint16
	Group  int32

	// Scheduled is when it was due, Sent just before its first byte was written (after the connection stood), Wrote when its
	// last byte was, FirstByte when the answer's first byte came, FirstToken and LastToken when its first and last token did,
	// End when it was over: end mark read, error, or given up. Arrivals are the kernel's receive stamps where Stamped.
	Scheduled, Sent, Wrote, FirstByte, FirstToken, LastToken, End Time
	// Connect is how long connecting took (DNS, TCP, TLS); zero where a connection was used again.
	Connect time.Duration
	// Fresh is whether it had a connection of its own.
	Fresh bool
	// Stamped is whether arrivals are the kernel's stamps. LateMean and LateMax are how much later this process read what
	// had arrived.
	Stamped           bool
	LateMean, LateMax time.Duration

	// Chunks are in the order of arrival. Counting says how their tokens are known.
	Chunks   []Chunk
	Counting Counting
	// InputTokens, CachedTokens and OutputTokens are as the server's usage has them, or Unknown.
	InputTokens, CachedTokens, OutputTokens int32
	// Asked is how many output tokens were asked for exactly; 0 where the answer could end by itself. AskedInput likewise is
	// how long the prompt was made.
	Asked, AskedInput int32
	// Finish is the server's word for why the answer ended: "stop", "length", "abort"; empty if it gave none.
	Finish string
	// Streamed is whether the answer was asked for as a stream. Of one that was not only Sent, Wrote, FirstByte and End count.
	Streamed bool

	// Class is how it ended; Status the HTTP status, 0 without an answer; Message the error's first words, redacted.
	Class   Class
	Status  uint16
	Message string

	// Queue, Prefill and Decode are the server's own times for this request where it gives them
	// (vLLM: --enable-per-request-metrics), else Unknown.
	Queue, Prefill, Decode time.Duration

	// Text and IDs are the answer; kept only where asked.
	Text string
	IDs  []int32
}

// Class is how a request ended.
type Class uint8

// The classes. A class is told by what happened, never by the HTTP status alone: a 200 can carry an error.
const (
	// OK: it ended with its end mark, with tokens, and with the length that was asked for, if one was.
	OK Class = iota
	// DNS: the host's name could not be resolved.
	DNS
	// Refused: nobody listens.
	Refused
	// Unreachable: no route, or no connection in time.
	Unreachable
	// NoPorts: this host has no local port left for a connection.
	NoPorts
	// NoFiles: this process may open no more files.
	NoFiles
	// TLS: no secure connection.
	TLS
	// Reset: the connection was reset or closed before the answer's headers.
	Reset
	// NoFirstByte: sent, and no answer began in time.
	NoFirstByte
	// Stalled: an answer began, and then nothing came for too long.
	Stalled
	// Status: an HTTP status other than 200.
	Status
	// InStream: an error object inside a stream with status 200.
	InStream
	// Cut: the stream ended without its end mark; or it was reset in the middle.
	Cut
	// Empty: an answer without a single token.
	Empty
	// WrongLength: it ended well, and not with the length that was asked for.
	WrongLength
	// Malformed: what came is no answer of the API.
	Malformed
	// Cancelled: we gave it up, because the operator stopped the load or the point was at its end. Not the server's failure.
	Cancelled

	// Classes is how many there are.
	Classes
)

// String is the class's name as it stands on the screen and in a series' label: "refused", "in_stream".
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

var classNames = [Classes]string{
	OK: "ok", DNS: "dns", Refused: "refused", Unreachable: "unreachable", NoPorts: "no_ports", NoFiles: "no_files", TLS: "tls",
	Reset: "reset", NoFirstByte: "no_first_byte", Stalled: "stalled", Status: "status", InStream: "in_stream", Cut: "cut",
	Empty: "empty", WrongLength: "wrong_length", Malformed: "malformed", Cancelled: "cancelled",
}

// Failed says whether it counts as a failure: everything but OK and Cancelled.
func (c Class) Failed() bool { return c != OK && c != Cancelled }
