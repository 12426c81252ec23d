package load

import (
	"math"
	"strconv"
	"strings"

	"pitwall/sessions/score"
	"pitwall/ui/figure"
	"pitwall/ui/theme"
)

// scale is the unit that a number is written in: how many of the base unit it is, and its name.
type scale struct {
	of   float64
	name string
}

// scaleOf chooses the unit for a value of one of package score's units. Seconds are written in µs, ms or s.
func scaleOf(v float64, unit string) scale {
	switch unit {
	case "s", "s/token":
		switch a := math.Abs(v); {
		case a < 0.000999:
			return scale{1e-6, "µs"}
		case a < 0.9995:
			return scale{1e-3, "ms"}
		}
		return scale{1, "s"}
	case "share":
		return scale{0.01, "%"}
	case "tokens/s":
		return scale{1, "tok/s"}
	case "1/s":
		return scale{1, "/s"}
	}
	return scale{1, unit}
}

// decimals is how many digits after the point a number with that half of an interval is told to: one digit that it does not
// know for sure.
func decimals(half float64) int {
	if half <= 0 || math.IsInf(half, 0) || math.IsNaN(half) {
		return 0
	}
	return min(max(-int(math.Floor(math.Log10(half)+1e-9)), 0), 4)
}

// three is how many digits after the point make three significant ones.
func three(v float64) int {
	if v == 0 {
		return 0
	}
	return min(max(2-int(math.Floor(math.Log10(math.Abs(v)))), 0), 4)
}

// written is a number in a unit with so many digits after the point; thousands are parted.
func written(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	head, tail, ok := strings.Cut(s, ".")
	if n, err := strconv.ParseInt(head, 10, 64); err == nil && (n >= 1000 || n <= -1000) {
		head = figure.Thousands(n)
	}
	if !ok {
		return head
	}
	return head + "." + tail
}

// value writes a number of a unit without an interval: 312 ms, 21.4 ms, 5,812 tok/s, 98.2 %.
func value(v float64, unit string) string {
	if math.IsNaN(v) {
		return figure.Absent
	}
	if math.IsInf(v, 0) {
		return "inf"
	}
	s := scaleOf(v, unit)
	v /= s.of
	return written(v, three(v)) + glue(s.name)
}

// glue puts the unit behind: "/s" close, others after a blank.
func glue(name string) string {
	if name == "" || strings.HasPrefix(name, "/") {
		return name
	}
	return " " + name
}

// estimate writes a value with its 95 % interval: "312 ms ±9", or "312 ms −9+43" where it is lopsided. An end among the
// failures is ✗.
func estimate(e score.Estimate, unit string, ascii bool) string {
	if math.IsNaN(e.Value) {
		return figure.Absent
	}
	s := scaleOf(e.Value, unit)
	v, low, high := e.Value/s.of, (e.Value-e.Low)/s.of, (e.High-e.Value)/s.of
	if math.IsNaN(low) || math.IsNaN(high) {
		return value(e.Value, unit)
	}
	finite := math.Max(low, 0)
	if !math.IsInf(high, 0) {
		finite = math.Max(finite, high)
	}
	digits := decimals(finite)
	if finite == 0 {
		digits = three(v)
	}
	// The number itself has no more than four digits that count, and no side of the interval is written as nothing.
	most := three(v) + 1
	for digits < most && (vanishes(low, digits) || vanishes(high, digits)) {
		digits++
	}
	digits = min(digits, most)
	out := written(v, digits) + glue(s.name)
	pm, minus := "±", "−"
	if ascii {
		pm, minus = "+-", "-"
	}
	lo, hi := written(math.Max(low, 0), digits), written(math.Max(high, 0), digits)
	switch {
	case math.IsInf(high, 1):
		return out + " " + minus + lo + "+✗"
	case lo == hi || math.Abs(low-high) <= 0.35*math.Max(low, high):
		return out + " " + pm + written(math.Max(low, high), digits)
	}
	return out + " " + minus + lo + "+" + hi
}

// vanishes tells whether a number would be written as nothing though it is something.
func vanishes(v float64, digits int) bool {
	return v > 0 && !math.IsInf(v, 0) && math.Round(v*math.Pow(10, float64(digits))) == 0
}

// quantile writes a percentile: its estimate, or why there is none.
func quantile(q score.Quantile, unit string, ascii bool) (string, theme.Ink) {
	switch {
	case q.Failed:
		return "failed", theme.Bad
	case q.Unfinished:
		return "unfinished", theme.Faint
	case q.Needs > 0:
		return "needs " + figure.Thousands(int64(q.Needs)), theme.Faint
	}
	return estimate(q.Estimate, unit, ascii), theme.Plain
}

// plain writes a percentile of few requests whose interval is not asked for: "312 ms", "failed", "needs 42".
func plain(q score.Quantile, unit string) (string, theme.Ink) {
	switch {
	case q.Failed:
		return "failed", theme.Bad
	case q.Unfinished:
		return "unfinished", theme.Faint
	case q.Needs > 0:
		return "needs " + figure.Thousands(int64(q.Needs)), theme.Faint
	}
	return value(q.Value, unit), theme.Strong
}

func itoa(n int) string { return strconv.Itoa(n) }
