package calibrate

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pitwall/probes/request"
	"pitwall/probes/truth"
)

// Error is how far off something was, without its sign.
type Error struct {
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
	// Count is of how many values.
	Count int `json:"count"`
}

// Step is one load that was measured.
type Step struct {
	// Streams is how many at a time, Tokens how many tokens a second came in all, Requests how many whole answers were compared.
	Streams  int     `json:"streams"`
	Tokens   float64 `json:"tokens_per_second"`
	Requests int     `json:"requests"`
	// TTFT is the error of the client's t_first − t_sent against the time from the kernel's receipt of the request to the server's
	// write of the first token; Gap that of the times between two pieces; Lag how late requests were sent (no error, but time that a
	// client was missing).
	TTFT Error `json:"ttft_error"`
	Gap  Error `json:"gap_error"`
	Lag  Error `json:"send_lag"`
	// Merged is the share of gaps whose stamps may be those of a later piece. They are in Gap.
	Merged float64 `json:"merged"`
	// Stamped is whether arrivals were the kernel's stamps.
	Stamped bool `json:"stamped"`
	// Holds is whether errors stayed within the bounds and the client kept up; Why says what did not.
	Holds bool   `json:"holds"`
	Why   string `json:"why,omitempty"`
}

// measured is what a step's records and answers are held against each other with.
type measured struct {
	run     uint32
	streams int
	bounds  Bounds
	bound   string // why the client said that it was client-bound
	lasts   time.Duration
	ramp    time.Duration
}

// measure compares records with what truly happened. A whole answer that one side has and the other hasn't, or has otherwise, is an
// error and no number: the two would not be about the same load.
func measure(records []*request.Record, answers []truth.Answer, m measured) (Step, error) {
	byPrompt := map[uint32]*truth.Answer{}
	for i := range answers {
		if run, prompt, ok := numbers(answers[i].ID); ok && run == m.run {
			byPrompt[prompt] = &answers[i]
		}
	}
	s := Step{Streams: m.streams, Stamped: true}
	var ttft, gaps, lags []time.Duration
	merged := 0
	var first request.Time
	for _, r := range records {
		switch {
		case r.Class == request.Cancelled:
			continue
		case r.Class != request.OK:
			return Step{}, fmt.Errorf("a request ended as %v: %s", r.Class, r.Message)
		}
		a := byPrompt[r.Prompt]
		if a == nil {
			return Step{}, fmt.Errorf("request %d has an answer that the truth server knows nothing of", r.Prompt)
		}
		if len(a.Chunks) != len(r.Chunks) || a.Tokens != r.Tokens() {
			return Step{}, fmt.Errorf("request %d: %d tokens in %d pieces were sent, and %d in %d were read", r.Prompt, a.Tokens, len(a.Chunks), r.Tokens(), len(r.Chunks))
		}
		s.Requests++
		s.Stamped = s.Stamped && r.Stamped
		got, ok1 := r.TTFT()
		want, ok2 := a.TTFT()
		if !ok1 || !ok2 {
			return Step{}, fmt.Errorf("request %d has no time to its first token", r.Prompt)
		}
		ttft = append(ttft, off(got, want))
		for i := 1; i < len(r.Chunks); i++ {
			gaps = append(gaps, off(r.Chunks[i].Gap, a.Chunks[i].At.Sub(a.Chunks[i-1].At)))
			if r.Chunks[i].Merged {
				merged++
			}
		}
		if lag, ok := r.Lag(); ok {
			lags = append(lags, lag)
		}
		if first == 0 || r.Sent < first {
			first = r.Sent
		}
	}
	if s.Requests == 0 {
		return Step{}, errors.New("no answer came to its end in the time")
	}
	s.Tokens = m.rate(records, first)
	s.TTFT, s.Gap, s.Lag = errorOf(ttft), errorOf(gaps), errorOf(lags)
	if len(gaps) > 0 {
		s.Merged = float64(merged) / float64(len(gaps))
	}
	s.Why = m.why(&s)
	s.Holds = s.Why == ""
	return s, nil
}

// rate is tokens a second while all streams were there, those of answers that were given up too.
func (m measured) rate(records []*request.Record, began request.Time) float64 {
	n := 0
	from := began + request.Time(m.ramp)
	to := began + request.Time(m.lasts)
	for _, r := range records {
		at := r.Sent
		for _, c := range r.Chunks {
			if at += request.Time(c.Gap); at >= from && at < to {
				n += int(c.Tokens)
			}
		}
	}
	return math.Round(float64(n) / to.Sub(from).Seconds())
}

func (m measured) why(s *Step) string {
	var out []string
	for _, c := range []struct {
		what string
		got  time.Duration
		most time.Duration
	}{{"TTFT is off by", s.TTFT.P99, m.bounds.TTFT}, {"gaps are off by", s.Gap.P99, m.bounds.Gap}} {
		if c.got > c.most {
			out = append(out, fmt.Sprintf("%s %.1f ms at p99, above %v", c.what, float64(c.got)/1e6, c.most))
		}
	}
	if m.bound != "" {
		out = append(out, m.bound)
	}
	return strings.Join(out, "; ")
}

// numbers reads the run and the prompt out of the request's id, which package load ends with them.
func numbers(id string) (run, prompt uint32, ok bool) {
	rest, last, ok := cutLast(id)
	if !ok {
		return 0, 0, false
	}
	_, before, ok := cutLast(rest)
	if !ok {
		return 0, 0, false
	}
	p, err1 := strconv.ParseUint(last, 10, 32)
	r, err2 := strconv.ParseUint(before, 10, 32)
	return uint32(r), uint32(p), err1 == nil && err2 == nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func off(a, b time.Duration) time.Duration { return (a - b).Abs() }

func errorOf(all []time.Duration) Error {
	if len(all) == 0 {
		return Error{}
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[min(len(all)-1, int(math.Ceil(q*float64(len(all))))-1)] }
	return Error{P50: at(0.5), P99: at(0.99), Max: all[len(all)-1], Count: len(all)}
}
