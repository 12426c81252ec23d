package score

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Confidence is that of every interval in a Score.
const Confidence = 0.95

const tail = (1 - Confidence) / 2

// least is how many independent values it takes until a percentile has an interval: until neither the smallest nor the
// greatest of them lies on the wrong side of it with more than half of what confidence leaves, pⁿ ≤ 2.5 % and (1−p)ⁿ ≤ 2.5 %.
// 6 for the median, 368 for p99, 3,688 for p99.9.
func least(p float64) int {
	q := max(p, 1-p)
	n := int(math.Ceil(math.Log(tail) / math.Log(q)))
	if n > 1 && math.Pow(q, float64(n-1)) <= tail {
		n--
	}
	return n
}

// ranks gives the order statistics, from 1, between which the p-quantile lies with at least Confidence, whatever the
// distribution: with n independent values the number of them below it is binomial (David and Nagaraja, Order Statistics,
// 7.1). False if n can't support it.
func ranks(n int, p float64) (low, high int, ok bool) {
	if n < least(p) {
		return 0, 0, false
	}
	b := distuv.Binomial{N: float64(n), P: p}
	// low is the greatest l with P(B < l) ≤ 2.5 %, high the smallest h with P(B ≥ h) ≤ 2.5 %.
	low = search(n, func(l int) bool { return b.CDF(float64(l-1)) > tail }) - 1
	high = search(n, func(h int) bool { return 1-b.CDF(float64(h-1)) <= tail })
	return max(low, 1), min(high, n), true
}

// search gives the smallest i in 1..n+1 for which yes holds; yes must stay true once it is.
func search(n int, yes func(int) bool) int {
	low, high := 1, n+1
	for low < high {
		mid := (low + high) / 2
		if yes(mid) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// wilson is the interval of a share of n (Wilson 1927): it stays within 0 and 1, and holds for shares near them.
func wilson(share, n float64) (low, high float64) {
	if n <= 0 {
		return math.NaN(), math.NaN()
	}
	z := distuv.UnitNormal.Quantile(1 - tail)
	mid := (share + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	return max(0, mid-half), min(1, mid+half)
}

// student is the factor of a standard error with that many degrees of freedom.
func student(freedom float64) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: freedom}.Quantile(1 - tail)
}
