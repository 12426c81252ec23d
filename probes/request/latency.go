package request

import "time"

// The latencies of one request, by the formulas that pitwall prints beside them (package score's Formulas). Each is false where
// the record does not have what its formula needs: missing is not zero. None looks at Class: whoever counts decides what a
// failure's times are worth.

// Tokens is N, the number of output tokens: what the server's usage says, else the sum over the chunks, else Unknown.
func (r *Record) Tokens() int {
	if r.OutputTokens >= 0 {
		return int(r.OutputTokens)
	}
	if len(r.Chunks) == 0 {
		return Unknown
	}
	n := 0
	for i := range r.Chunks {
		n += int(r.Chunks[i].Tokens)
	}
	return n
}

// Done is when the last of the answer that counts was there: the last token of a stream, the end of an unstreamed answer.
// Zero if that never came.
func (r *Record) Done() Time {
	if r.Streamed {
		return r.LastToken
	}
	return r.End
}

// TTFT is the time to first token, t_first − t_sent, from the first chunk that carried tokens: never the role-only chunk.
func (r *Record) TTFT() (time.Duration, bool) { return r.first(r.Sent) }

// TTFTSched is the time to first token from when the request was due, t_first − t_sched: a late sender cannot hide in it.
func (r *Record) TTFTSched() (time.Duration, bool) { return r.first(r.Scheduled) }

func (r *Record) first(from Time) (time.Duration, bool) {
	if !r.Streamed || r.FirstToken == 0 || from == 0 {
		return 0, false
	}
	return r.FirstToken.Sub(from), true
}

// TPOT is the time per output token after the first, (t_last − t_first)/(N − k_first), k_first being the tokens of the first
// chunk. An answer of one chunk has none.
func (r *Record) TPOT() (time.Duration, bool) {
	if !r.Streamed || r.FirstToken == 0 || r.LastToken == 0 || len(r.Chunks) == 0 {
		return 0, false
	}
	n := r.Tokens() - int(r.Chunks[0].Tokens)
	if n <= 0 || len(r.Chunks) == 1 {
		return 0, false
	}
	return (r.LastToken.Sub(r.FirstToken) + time.Duration(n)/2) / time.Duration(n), true
}

// E2E is the whole latency, t_last − t_sent; usage and end mark, which come after the last token, are not in it. Of an
// unstreamed answer it is t_end − t_sent.
func (r *Record) E2E() (time.Duration, bool) { return r.whole(r.Sent) }

// E2ESched is the whole latency from when the request was due, t_last − t_sched.
func (r *Record) E2ESched() (time.Duration, bool) { return r.whole(r.Scheduled) }

func (r *Record) whole(from Time) (time.Duration, bool) {
	done := r.Done()
	if done == 0 || from == 0 {
		return 0, false
	}
	return done.Sub(from), true
}

// Normalized is the whole latency per output token, E2E/N.
func (r *Record) Normalized() (time.Duration, bool) {
	e, ok := r.E2E()
	n := r.Tokens()
	if !ok || n <= 0 {
		return 0, false
	}
	return (e + time.Duration(n)/2) / time.Duration(n), true
}

// Lag is how late it was sent, t_sent − t_sched; what is due at once in a closed loop has one too.
func (r *Record) Lag() (time.Duration, bool) {
	if r.Sent == 0 || r.Scheduled == 0 {
		return 0, false
	}
	return r.Sent.Sub(r.Scheduled), true
}
