package browse

import (
	"math"
	"strconv"
	"time"

	"pitwall/ui/figure"
)

// number writes a value of no known unit: whole numbers whole, others with three digits that count.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v), math.IsInf(v, 0):
		return strconv.FormatFloat(v, 'g', -1, 64)
	case v == math.Trunc(v) && a < 1e6:
		return figure.Whole(v)
	case a < 10 || a >= 1e15:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return figure.Count(v)
}

// stamp writes seconds since 1970 as the moment that they are.
func stamp(v float64) string {
	if !(v > 1e8 && v < 1e11) {
		return number(v)
	}
	return time.Unix(int64(v), 0).Format("Jan 2 15:04")
}
