package arrival

import (
	"math"

	"pitwall/probes/load/shape"
)

// rate is requests a second over time, in pieces that are constant or a ramp, and its integral.
type rate struct {
	pieces []piece
	at     int // the piece of the last question: they come in order
}

// piece is a stretch in seconds in which the rate goes evenly from one value to another.
type piece struct {
	from, long float64 // the last one's long is +Inf
	r0, r1     float64
	before     float64 // the integral up to from
}

func newRate(a shape.Arrival) *rate {
	r := &rate{}
	t, now, before := 0.0, a.Rate, 0.0
	add := func(long, to float64) {
		if long <= 0 {
			return
		}
		r.pieces = append(r.pieces, piece{from: t, long: long, r0: now, r1: to, before: before})
		t += long
		before += long * (now + to) / 2
	}
	for _, s := range a.Steps {
		add(s.After.Seconds()-t, now)
		add(s.Over.Seconds(), s.To)
		now = s.To
	}
	add(math.Inf(1), now)
	return r
}

// when is the time in seconds at which the integral reaches n; false if it never does. n must not fall from one question to the
// next.
func (r *rate) when(n float64) (float64, bool) {
	for ; r.at < len(r.pieces); r.at++ {
		p := r.pieces[r.at]
		if s, ok := p.when(n - p.before); ok {
			return p.from + s, true
		}
	}
	return 0, false
}

// when is how long after from the piece's own integral reaches n.
func (p piece) when(n float64) (float64, bool) {
	if p.r0 == p.r1 {
		if n == 0 && p.r0 > 0 {
			return 0, true
		}
		s := n / p.r0 // +Inf or NaN where there is no rate
		return s, s <= p.long && !math.IsInf(s, 0)
	}
	if n > p.long*(p.r0+p.r1)/2 {
		return 0, false
	}
	// r0 s + k/2 s² = n, solved so that nothing is subtracted from its like.
	k := (p.r1 - p.r0) / p.long
	root := math.Sqrt(max(0, p.r0*p.r0+2*k*n))
	if p.r0+root == 0 {
		return 0, true
	}
	return min(p.long, 2*n/(p.r0+root)), true
}
