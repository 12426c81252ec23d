package score

import "math"

// inertia is the integrated autocorrelation time τ = 1 + 2 Σ ρ_k of a series in the order in which its requests were sent: the
// number of requests that are worth one independent one. Requests that run beside each other meet the same batch, the same
// queue, the same neighbours, so an interval that took them for independent would be too narrow, by a factor of 3 and more on
// a busy server.
//
// The sum is Geyer's initial positive sequence (Practical Markov Chain Monte Carlo, 1992): autocorrelations in pairs, up to
// the first pair that is not positive; here, not above what noise gives 1 time in 20, so that independent requests mostly read
// as exactly that. Never below 1: what alternates is not trusted to know more. The series must have mean zero.
//
// A long series is first cut into batches of equal length, whose means have an inertia of their own; the work is bounded so
// whatever the series (one that trends hangs together for ever).
func inertia(z []float64) float64 {
	if b := len(z) / mostBatches; b >= 2 {
		means := make([]float64, len(z)/b)
		var all, batched float64
		for i, v := range z[:len(means)*b] {
			means[i/b] += v / float64(b)
			all += v * v
		}
		for _, m := range means {
			batched += m * m
		}
		if all == 0 {
			return 1
		}
		// b·Var(mean of a batch)/Var is the inertia within a batch.
		return max(1, float64(b)*(batched/float64(len(means)))/(all/float64(len(means)*b))*geyer(means))
	}
	return geyer(z)
}

// mostBatches is how many batches a long series is cut into, at least; at most twice as many.
const mostBatches = 2000

func geyer(z []float64) float64 {
	n := len(z)
	if n < 8 {
		return 1
	}
	var zero float64
	for _, v := range z {
		zero += v * v
	}
	if zero == 0 {
		return 1
	}
	rho := func(k int) float64 {
		var s float64
		for i := k; i < n; i++ {
			s += z[i] * z[i-k]
		}
		// The mean has been taken out, which bends every autocorrelation down by about 1/n of their sum.
		return s/zero + 1/float64(n)
	}
	noise := 1.645 * math.Sqrt(2/float64(n))
	tau := 1.0
	for k := 1; k+1 <= n/3; k += 2 {
		pair := rho(k) + rho(k+1)
		if pair <= noise {
			break
		}
		tau += 2 * pair
	}
	return tau
}
