package score

import (
	"math"

	"pitwall/probes/request"
)

// bins is into how many parts a window is cut to see how a rate wanders; fewer than leastBins effective ones give no interval.
const bins, leastBins = 100, 4

// series is how much of something happened in each part of a window.
type series struct {
	window Window
	part   []float64
}

func newSeries(w Window) series { return series{w, make([]float64, bins)} }

func (s *series) add(t request.Time, n float64) {
	if t < s.window.From || t >= s.window.To {
		return
	}
	// In floats: the product of two int64 would overflow after 2.5 hours.
	i := int(float64(t-s.window.From) / float64(s.window.To-s.window.From) * bins)
	s.part[min(i, bins-1)] += n
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

// rates makes the throughput of a window: what arrived in it, whichever of the run's requests brought it and whenever that
// was sent, so that neither edge is poorer than the middle.
func (s *Score) rates(in Input, own []*request.Record, w Window) {
	none := Rate{noEstimate()}
	s.Requests, s.Output, s.Total = none, none, none
	if w.To <= w.From {
		return
	}
	requests, output, total := newSeries(w), newSeries(w), newSeries(w)
	for _, r := range own {
		if r.Class == request.OK {
			requests.add(r.End, 1)
		}
		prompted := r.FirstToken
		if !r.Streamed {
			prompted = r.End
		}
		if prompted != 0 && r.InputTokens > 0 {
			total.add(prompted, float64(r.InputTokens))
		}
		if !r.Streamed || len(r.Chunks) == 0 {
			if n := r.Tokens(); n > 0 {
				output.add(r.End, float64(n))
				total.add(r.End, float64(n))
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
}
