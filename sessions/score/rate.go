package score

import (
	"math"

	"pitwall/probes/request"
)

// bins is into how many parts a window is cut to see how a rate wanders; fewer than leastBins effective ones give no interval.
const bins, leastBins = 100, 4

// leastEnded is how many requests must have ended OK in a window until its rates have an interval: the parts of one answer are
// alike, and would tell of a steadiness that nobody has seen.
const leastEnded = 10

// series is how much of something happened in each part of a window.
type series struct {
	window Window
	part   []float64
}

func newSeries(w Window) series { return series{w, make([]float64, bins)} }

// add counts what happened in From < t ≤ To. A window often begins and ends with something that happens (an answer is
// complete): from the first of n answers to the last there is time for n−1, so what ends with the window is in it, and what
// it began with is not. The other way round one client's last answer would be missing, and all of a single request.
func (s *series) add(t request.Time, n float64) {
	if t <= s.window.From || t > s.window.To {
		return
	}
	// In floats: the product of two int64 would overflow after 2.5 hours.
	i := int(float64(t-s.window.From) / float64(s.window.To-s.window.From) * bins)
	s.part[min(i, bins-1)] += n
}

// spread counts what took from one moment to another, in the shares of that time that lie in the window and its parts. Requests of
// a closed loop end in bursts, and the window begins with one: to count ends would give the rate of a short run a burst too
// much, and scatter that is none (GuideLLM weighs by time for the same reason).
func (s *series) spread(from, to request.Time, n float64) {
	if to <= from {
		s.add(to, n)
		return
	}
	width := float64(s.window.To-s.window.From) / bins
	if width <= 0 {
		return
	}
	// In parts from the window's beginning, and in floats, as above.
	a, b := float64(from-s.window.From)/width, float64(to-s.window.From)/width
	for i := int(min(max(a, 0), bins)); i < bins && float64(i) < b; i++ {
		s.part[i] += n * (min(b, float64(i+1)) - max(a, float64(i))) / (b - a)
	}
}

// rate is the sum a second; its interval is that of the mean of the parts, widened by their autocorrelation.
func (s *series) rate() Rate {
	seconds := s.window.To.Sub(s.window.From).Seconds()
	if seconds <= 0 {
		return Rate{noEstimate()}
	}
	mean, variance := meanVar(s.part)
	out := Rate{Estimate{mean * bins / seconds, math.NaN(), math.NaN()}}
	z := make([]float64, bins)
	happened := 0
	for i, v := range s.part {
		z[i] = v - mean
		if v > 0 {
			happened++
		}
	}
	effective := bins / inertia(z)
	if effective < leastBins || happened < leastBins {
		return out
	}
	half := student(effective-1) * math.Sqrt(variance/effective) * bins / seconds
	out.Low, out.High = max(0, out.Value-half), out.Value+half
	return out
}

// known is the part of a window in which it is known how long every request took: until the first one was sent that was given up.
// Shares of time can't be told of those, and to leave them out would make the end of the window poorer than the rest. Where that
// is less than half of the window (one hung from the beginning), it is all of it: few are missing then.
func known(own []*request.Record, w Window) Window {
	out := w
	for _, r := range own {
		if r.Class == request.Cancelled && r.Sent != 0 && r.End > w.From {
			out.To = min(out.To, r.Sent)
		}
	}
	if out.To-w.From < (w.To-w.From)/2 {
		return w
	}
	return out
}

// rates makes the throughput of a window: what happened in it, whichever of the run's requests it was of and whenever that
// was sent, so that neither edge is poorer than the middle. Tokens of a stream count when they arrive; requests, prompts, and
// answers in one piece by the share of their time.
func (s *Score) rates(in Input, own []*request.Record, w Window) {
	none := Rate{noEstimate()}
	s.Requests, s.Output, s.Total = none, none, none
	if w.To <= w.From {
		return
	}
	known := known(own, w)
	requests, output, total := newSeries(known), newSeries(w), newSeries(w)
	if !streamed(own) {
		output, total = newSeries(known), newSeries(known)
	}
	for _, r := range own {
		if r.Class == request.OK {
			requests.spread(r.Sent, r.End, 1)
		}
		prompted := r.FirstToken
		if !r.Streamed {
			prompted = r.End
		}
		if prompted != 0 && r.Sent != 0 && r.InputTokens > 0 {
			total.spread(r.Sent, prompted, float64(r.InputTokens))
		}
		if !r.Streamed || len(r.Chunks) == 0 {
			// When they were made nobody told, but that it was in this time.
			if n := r.Tokens(); n > 0 && r.Sent != 0 {
				output.spread(r.Sent, r.End, float64(n))
				total.spread(r.Sent, r.End, float64(n))
			}
			continue
		}
		weight := 1.0
		if r.Counting == request.Guessed && r.OutputTokens > 0 {
			// Nobody told how many came in which chunk, but how many there were: spread over the chunks.
			weight = float64(r.OutputTokens) / float64(len(r.Chunks))
		}
		at := r.Sent
		for i := range r.Chunks {
			c := &r.Chunks[i]
			at += request.Time(c.Gap)
			n := weight
			if r.Counting != request.Guessed {
				n = float64(c.Tokens)
			}
			output.add(at, n)
			total.add(at, n)
		}
	}
	s.Requests, s.Output, s.Total = requests.rate(), output.rate(), total.rate()
	ended := 0
	for _, r := range own {
		if r.Class == request.OK && r.End > w.From && r.End <= w.To {
			ended++
		}
	}
	if ended < leastEnded {
		for _, r := range []*Rate{&s.Requests, &s.Output, &s.Total} {
			r.Low, r.High = math.NaN(), math.NaN()
		}
	}
}

// overall counts what ended OK from the first request sent to the last one over.
func overall(own []*request.Record) *Overall {
	var first, last request.Time
	var out Overall
	for _, r := range own {
		if r.Sent == 0 {
			continue
		}
		if first == 0 || r.Sent < first {
			first = r.Sent
		}
		last = max(last, r.End)
		if r.Class != request.OK {
			continue
		}
		n := float64(max(0, r.Tokens()))
		out.Requests++
		out.Output += n
		out.Total += n + float64(max(0, r.InputTokens))
	}
	out.Seconds = last.Sub(first).Seconds()
	if out.Requests == 0 || out.Seconds <= 0 {
		return nil
	}
	out.Requests /= out.Seconds
	out.Output /= out.Seconds
	out.Total /= out.Seconds
	return &out
}
