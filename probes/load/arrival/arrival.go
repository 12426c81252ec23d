// Package arrival says when requests are due: absolute times since the start of a point, from its shape and seed alone.
//
// In goes a shape.Point; out come offsets, one after the other. There is no clock in here, and nothing waits: whoever sends
// compares the offsets with its own clock, so that a slow answer or a late sender never moves a later arrival, and an hour of
// schedule can be checked in a second. A closed loop has no arrivals; of it this package says how many clients there are when,
// and how long they think.
package arrival

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"pitwall/probes/load/seed"
	"pitwall/probes/load/shape"
)

// Schedule gives arrivals. It is not safe for concurrent use: one scheduler takes from it and hands the requests round, so that
// workers cannot draw the same gaps.
type Schedule interface {
	// Next is when the next request is due, since the point's start, never before the one before. False: there is none any more.
	Next() (offset time.Duration, ok bool)
}

// New is the schedule of an open loop or a trace, whose file it reads. The error is about a point that has no arrivals (a closed
// loop) or that Validate would refuse.
func New(p shape.Point) (Schedule, error) {
	switch a := p.Arrival; a.Kind {
	case shape.Trace:
		entries, err := shape.ReadTrace(a.Trace)
		if err != nil {
			return nil, err
		}
		return &replay{entries: entries}, nil
	case shape.Constant, shape.Poisson, shape.Gamma:
		if !(a.Rate > 0) || math.IsInf(a.Rate, 0) {
			return nil, fmt.Errorf("arrivals at %v requests a second: the rate must be above 0", a.Rate)
		}
		gaps := seed.Rand(p.Seed, seed.Gaps, 0)
		o := &open{rate: newRate(a)}
		switch {
		case a.Kind == shape.Constant:
			o.due = -1
			o.gap = func() float64 { return 1 }
		case a.Kind == shape.Poisson:
			o.gap = gaps.ExpFloat64
		case !(a.Burstiness > 0):
			return nil, fmt.Errorf("gamma arrivals with burstiness %v: it must be above 0", a.Burstiness)
		default:
			o.gap = func() float64 { return gamma(gaps, a.Burstiness) / a.Burstiness }
		}
		return o, nil
	default:
		return nil, fmt.Errorf("a load of kind %q has no schedule of arrivals", string(a.Kind))
	}
}

// replay gives a trace's times.
type replay struct{ entries []shape.Entry }

func (r *replay) Next() (time.Duration, bool) {
	if len(r.entries) == 0 {
		return 0, false
	}
	e := r.entries[0]
	r.entries = r.entries[1:]
	return e.After, true
}

// open draws gaps of a process with one arrival a unit of time, and stretches time so that the rate becomes the point's (time
// rescaling: Brown et al., The time-rescaling theorem, 2002). One arithmetic serves constant rates, steps and ramps, and what
// distinguishes a process is only its gaps.
type open struct {
	gap  func() float64
	rate *rate
	// due is the sum of the gaps so far, lost what rounding took from it (Neumaier's sum): an hour at 10,000 a second is 36 million
	// additions.
	due, lost float64
}

func (o *open) Next() (time.Duration, bool) {
	g := o.gap()
	sum := o.due + g
	if math.Abs(o.due) >= g {
		o.lost += (o.due - sum) + g
	} else {
		o.lost += (g - sum) + o.due
	}
	o.due = sum
	s, ok := o.rate.when(o.due + o.lost)
	if !ok || s > maxSeconds {
		return 0, false
	}
	return time.Duration(math.Round(s * float64(time.Second))), true
}

// maxSeconds is where a time.Duration ends.
const maxSeconds = float64(math.MaxInt64/int64(time.Second)) - 1

// gamma draws from a gamma distribution with the given shape and scale 1: Marsaglia and Tsang, A simple method for generating
// gamma variables, 2000; for shapes below 1 with their boost.
func gamma(r *rand.Rand, k float64) float64 {
	boost := 1.0
	if k < 1 {
		boost = math.Pow(1-r.Float64(), 1/k) // 1-u, because u may be 0
		k++
	}
	d := k - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		u := 1 - r.Float64()
		if u < 1-0.0331*x*x*x*x || math.Log(u) < x*x/2+d*(1-v+math.Log(v)) {
			return boost * d * v
		}
	}
}
