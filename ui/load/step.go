package load

import (
	"math"

	"pitwall/probes/load/shape"
)

// The bounds of single keys. More can be typed: a key that is held down must not ask for the impossible.
const (
	mostByKey  = 4096
	leastRate  = 0.01
	mostByRate = 10000
)

// Step gives the point with one step more load, or less where by is below zero: a client at a time up to 16, then about an
// eighth; a rate in steps of about a fifth. It is the point itself where there is no more or less, and for a trace.
func Step(p shape.Point, by int) shape.Point {
	switch kindOf(p) {
	case shape.Closed:
		n := p.Arrival.Clients
		switch {
		case n < 16 || n == 16 && by < 0:
			n += by
		default:
			n += by * max(n/8, 1)
		}
		return withClients(p, n)
	case shape.Trace:
		return p
	}
	return withRate(p, nextRate(p.Arrival.Rate, by))
}

// Scale gives the point with twice the load, or half of it where by is below zero.
func Scale(p shape.Point, by int) shape.Point {
	factor := 2.0
	if by < 0 {
		factor = 0.5
	}
	switch kindOf(p) {
	case shape.Closed:
		return withClients(p, int(math.Round(float64(p.Arrival.Clients)*factor)))
	case shape.Trace:
		return p
	}
	return withRate(p, round2(p.Arrival.Rate*factor))
}

func withClients(p shape.Point, n int) shape.Point {
	p.Arrival.Clients = min(max(n, 1), max(mostByKey, p.Arrival.Clients))
	return p
}

func withRate(p shape.Point, r float64) shape.Point {
	p.Arrival.Rate = min(max(r, min(leastRate, p.Arrival.Rate)), max(mostByRate, p.Arrival.Rate))
	return p
}

// rates are the steps of a decade.
var rates = []float64{1, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 4, 5, 6, 7, 8.5}

// nextRate gives the next rate of the series above or below.
func nextRate(r float64, by int) float64 {
	if r <= 0 {
		return 1
	}
	decade := math.Pow(10, math.Floor(math.Log10(r)+1e-9))
	if by > 0 {
		for _, s := range rates {
			if v := round2(s * decade); v > r*1.0001 {
				return v
			}
		}
		return round2(10 * decade)
	}
	for i := len(rates) - 1; i >= 0; i-- {
		if v := round2(rates[i] * decade); v < r*0.9999 {
			return v
		}
	}
	return round2(rates[len(rates)-1] * decade / 10)
}

// round2 keeps two significant digits.
func round2(v float64) float64 {
	if v <= 0 {
		return v
	}
	m := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Round(math.Round(v/m)*m*1e6) / 1e6
}
