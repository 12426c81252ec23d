package load

import (
	"fmt"
	"math"
	"strconv"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// stops knows when a point ends by itself because of what has ended.
type stops struct {
	shape.Stop
	values []float64 // of the requests that ended well, for Precision
	look   int       // how many of those it looks at next
}

// Precision is looked at when 40, 80, 160 … requests have ended well: at each look there is a chance that the interval happens
// to be narrow, and with twice as many requests between two looks that chance stays small.
const firstLook = 40

func newStops(s shape.Stop) stops { return stops{Stop: s, look: firstLook} }

// after says why the point is at its end, now that a request has ended; empty if it isn't. t counts that request already.
func (s *stops) after(t *Tally, r *request.Record) string {
	switch {
	case s.Requests > 0 && t.Ends() >= s.Requests:
		return count(t.Ends(), "request") + " ended"
	case s.Tokens > 0 && t.Output >= int64(s.Tokens):
		return count(int(t.Output), "output token") + " come"
	case s.Errors > 0 && t.Failed() >= s.Errors:
		return count(t.Failed(), "request") + " failed"
	}
	if s.Precision <= 0 || r.Class != request.OK {
		return ""
	}
	what := "mean time per output token"
	v, ok := r.TPOT()
	if !ok {
		what = "mean latency"
		if v, ok = r.E2E(); !ok {
			return ""
		}
	}
	s.values = append(s.values, v.Seconds())
	if len(s.values) < s.look {
		return ""
	}
	s.look *= 2
	mean, half := batchMeans(s.values)
	if mean > 0 && half/mean <= s.Precision {
		return fmt.Sprintf("the %s is known to ±%.1f %% after %d requests", what, 100*half/mean, len(s.values))
	}
	return ""
}

// batchMeans gives the mean and the half width of its 95 % interval from the means of 20 batches of values that follow each
// other: values of one run hang together, means of long enough batches hardly do (Law and Kelton, Simulation Modeling and
// Analysis, section 9.5.3). What does not fill the last batch is left out of the interval.
func batchMeans(v []float64) (mean, half float64) {
	const batches = 20
	const t = 2.093 // Student's t, 19 degrees of freedom, 0.975
	for _, x := range v {
		mean += x / float64(len(v))
	}
	size := len(v) / batches
	var means [batches]float64
	middle := 0.0
	for b := range means {
		for _, x := range v[b*size : (b+1)*size] {
			means[b] += x / float64(size)
		}
		middle += means[b] / batches
	}
	var sum float64
	for _, m := range means {
		sum += (m - middle) * (m - middle)
	}
	return mean, t * math.Sqrt(sum/(batches-1)/batches)
}

// count writes a number of things that have done something: "1 request has", "500 requests have".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what + " has"
	}
	return strconv.Itoa(n) + " " + what + "s have"
}
