package score

import (
	"math"
	"slices"
)

// The percentiles of a Summary.
var percentiles = [5]float64{0.50, 0.90, 0.95, 0.99, 0.999}

// sample gathers one latency, request by request in the order in which they were sent. A request gives one value, or many
// (ITL and chunk gaps), or none because it failed.
type sample struct {
	values []float64
	// ends[i] is where request i's values end; a request without values that is in here failed.
	ends []int
	// failed counts those that rank above all values, and unfinished those of them that did not fail.
	failed, unfinished int
}

// one adds a request with one value.
func (s *sample) one(v float64) {
	s.values = append(s.values, v)
	s.ends = append(s.ends, len(s.values))
}

// failure adds a request that failed.
func (s *sample) failure() {
	s.ends = append(s.ends, len(s.values))
	s.failed++
}

// close ends a request whose values were appended; one that has none leaves no trace.
func (s *sample) close() {
	last := 0
	if len(s.ends) > 0 {
		last = s.ends[len(s.ends)-1]
	}
	if len(s.values) > last {
		s.ends = append(s.ends, len(s.values))
	}
}

func noEstimate() Estimate { return Estimate{math.NaN(), math.NaN(), math.NaN()} }

// summary makes the numbers. A percentile is the smallest value that at least that share of the values does not exceed: it
// was measured, nothing is interpolated. A request that failed counts as many values as a request that went well has in the
// mean, above all of them.
func (s *sample) summary() Summary {
	out := Summary{Count: len(s.values), Failed: s.failed - s.unfinished, Unfinished: s.unfinished, Mean: noEstimate(), Min: math.NaN(), Max: math.NaN(), Effective: math.NaN()}
	requests := len(s.ends)
	for i, q := range out.quantiles() {
		*q = Quantile{Estimate: noEstimate(), Needs: least(percentiles[i])}
	}
	if requests == 0 {
		return out
	}
	weight := 1 // of a failure, in values
	if well := requests - s.failed; well > 0 {
		weight = max(1, (len(s.values)+well/2)/well)
	}
	sorted := slices.Clone(s.values)
	slices.Sort(sorted)
	if len(sorted) > 0 {
		out.Min, out.Max = sorted[0], sorted[len(sorted)-1]
		s.mean(&out)
	}
	total := len(sorted) + s.failed*weight
	at := func(rank int) float64 {
		if rank > len(sorted) {
			return math.Inf(1)
		}
		return sorted[rank-1]
	}
	var values [len(percentiles)]float64
	for i, p := range percentiles {
		// The tiny part keeps 0.9·10 from being the tenth.
		values[i] = at(min(max(int(math.Ceil(p*float64(total)-1e-9)), 1), total))
	}
	effective := s.effective(values, weight)
	for i, q := range out.quantiles() {
		p := percentiles[i]
		q.Value = values[i]
		if math.IsInf(q.Value, 1) {
			q.Value, q.Failed, q.Unfinished = math.NaN(), s.failed > s.unfinished, s.failed == s.unfinished
		}
		n := min(effective[i], float64(total))
		low, high, ok := ranks(int(n), p)
		if !ok {
			// In requests, of which each is worth what those were that have been; rounded against floating point, not up.
			q.Needs = max(1, int(math.Ceil(float64(requests)*(float64(least(p))/n-1)-1e-6)))
			continue
		}
		// The ranks among n independent values as ranks among all.
		scale := float64(total+1) / float64(int(n)+1)
		q.Low = at(max(1, int(math.Floor(float64(low)*scale+1e-9))))
		q.High = at(min(total, int(math.Ceil(float64(high)*scale-1e-9))))
		q.Needs = 0
		if math.IsInf(q.Low, 1) {
			q.Low = math.NaN()
		}
	}
	return out
}

func (s *Summary) quantiles() [len(percentiles)]*Quantile {
	return [...]*Quantile{&s.P50, &s.P90, &s.P95, &s.P99, &s.P999}
}

// mean is the mean over values, with the interval of a ratio of sums over requests (values of one request are no independent
// ones, and requests have unequal numbers of them), widened by the requests' autocorrelation.
func (s *sample) mean(out *Summary) {
	n := 0
	var sum float64
	for _, v := range s.values {
		sum += v
	}
	mean := sum / float64(len(s.values))
	out.Mean.Value = mean
	rest := make([]float64, 0, len(s.ends)-s.failed)
	from := 0
	var squares float64
	for _, end := range s.ends {
		if end == from {
			continue
		}
		var r float64
		for _, v := range s.values[from:end] {
			r += v - mean
		}
		from = end
		rest = append(rest, r)
		squares += r * r
		n++
	}
	if squares <= 1e-18*mean*mean*float64(len(s.values)) {
		clear(rest) // all are equal, but for the last digits
	}
	tau := inertia(rest)
	out.Effective = float64(n) / tau
	if out.Effective < 2 || n < 2 {
		return
	}
	each := float64(len(s.values)) / float64(n) // values a request
	half := student(out.Effective-1) * math.Sqrt(squares/float64(n-1)/float64(n)*tau) / each
	out.Mean.Low, out.Mean.High = mean-half, mean+half
}

// effective is how many independent values the sample is worth for each percentile: p(1−p) divided by the variance of the
// share of values that don't exceed it, which is that of a ratio of sums over requests, widened by autocorrelation (Woodruff's
// interval with the design effect of a cluster sample). With one value a request it is their number by inertia.
func (s *sample) effective(at [len(percentiles)]float64, weight int) [len(percentiles)]float64 {
	n := len(s.ends)
	single := len(s.values)+s.failed == n
	var z [len(percentiles)][]float64
	for i := range z {
		z[i] = make([]float64, n)
	}
	var shares [len(percentiles)]float64
	from := 0
	for r, end := range s.ends {
		var below [len(percentiles)]int
		for _, v := range s.values[from:end] {
			for i := range at {
				if v <= at[i] {
					below[i]++
				}
			}
		}
		size := end - from
		if size == 0 {
			size = weight
			for i := range at {
				if math.IsInf(at[i], 1) {
					below[i] = weight
				}
			}
		}
		from = end
		for i := range z {
			z[i][r] = float64(below[i])
			shares[i] += float64(below[i])
		}
	}
	total := float64(len(s.values) + s.failed*weight)
	var out [len(percentiles)]float64
	for i, p := range percentiles {
		share := shares[i] / total
		from = 0
		var squares float64
		for r, end := range s.ends {
			size := end - from
			if size == 0 {
				size = weight
			}
			from = end
			z[i][r] -= share * float64(size)
			squares += z[i][r] * z[i][r]
		}
		tau := inertia(z[i])
		out[i] = float64(n) / tau
		if !single && squares > 0 {
			each := total / float64(n)
			out[i] = min(total, float64(n)*each*each*p*(1-p)/(squares/float64(n)*tau))
		}
	}
	return out
}
