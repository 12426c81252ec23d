// Package figure writes numbers for a screen.
//
// In goes a value that may be absent, in base units (seconds, bytes, ratio, per second). Out comes short text with its
// unit, three significant digits at most, so that digits which mean nothing do not flicker. An absent value is a dash
// here and nowhere else, never a zero.
package figure

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Absent is what is written for a value that is not there.
const Absent = "—"

// Value is a number that may be absent. The zero Value is absent.
type Value struct {
	V  float64
	OK bool
}

// Of gives a Value that is there, unless v is NaN.
func Of(v float64) Value { return Value{V: v, OK: !math.IsNaN(v)} }

// Map applies f to a value that is there.
func (v Value) Map(f func(float64) float64) Value {
	if !v.OK {
		return v
	}
	return Of(f(v.V))
}

// Div gives v/d; absent if either is, or d is zero.
func (v Value) Div(d Value) Value {
	if !v.OK || !d.OK || d.V == 0 {
		return Value{}
	}
	return Of(v.V / d.V)
}

// Add gives v+d; absent if either is.
func (v Value) Add(d Value) Value {
	if !v.OK || !d.OK {
		return Value{}
	}
	return Of(v.V + d.V)
}

// Text formats with f, or writes Absent.
func (v Value) Text(f func(float64) string) string {
	if !v.OK {
		return Absent
	}
	return f(v.V)
}

// Count writes a number of things or a rate: 0.3, 12, 1,204, 28.1k, 3.2M.
func Count(v float64) string {
	switch a := math.Abs(v); {
	case math.IsInf(v, 0):
		return infinite(v)
	case v == math.Trunc(v) && a < 100000:
		return Thousands(int64(v))
	case a < 9.95:
		return trim(v, 1)
	case a < 99999.5:
		return Thousands(int64(math.Round(three(v))))
	}
	return scaled(v, 1000, []string{"", "k", "M", "G", "T", "P"})
}

// Rate writes a number per second that is not a whole one: 0.0, 2.4, 12.1, 1,204.
func Rate(v float64) string {
	switch a := math.Abs(v); {
	case math.IsInf(v, 0):
		return infinite(v)
	case a > 0 && a < 0.05:
		return "<0.1"
	case a < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return Count(math.Round(three(v)))
}

// Whole writes a number without a fraction: 0, 12, 1,204, 451,200.
func Whole(v float64) string {
	if math.IsInf(v, 0) {
		return infinite(v)
	}
	if math.Abs(v) >= 1e15 {
		return scaled(v, 1000, []string{"", "k", "M", "G", "T", "P"})
	}
	return Thousands(int64(math.Round(v)))
}

// Short writes a number in at most five cells: 12, 999, 1.2k, 28k, 3.2M.
func Short(v float64) string {
	if math.IsInf(v, 0) {
		return infinite(v)
	}
	if math.Abs(v) < 1000 {
		return trim(v, 1)
	}
	return scaled(v, 1000, []string{"", "k", "M", "G", "T", "P"})
}

// Percent writes a ratio of 0..1 as 61 %.
func Percent(v float64) string {
	p := v * 100
	switch {
	case math.IsInf(v, 0):
		return infinite(v)
	case p > 0 && p < 0.95:
		return trim(p, 1) + " %"
	case p > 99 && p < 100:
		return "99 %"
	}
	return strconv.FormatFloat(math.Round(p), 'f', 0, 64) + " %"
}

// Share writes a ratio of 0..1 in whole percents, for what is never quiet: 61 %, <1 %.
func Share(v float64) string {
	if v > 0 && v < 0.005 {
		return "<1 %"
	}
	return strconv.FormatFloat(math.Round(v*100), 'f', 0, 64) + " %"
}

// Bytes writes a size in binary units: 512 B, 71.2 GiB.
func Bytes(v float64) string {
	if math.Abs(v) < 1024 {
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64) + " B"
	}
	return scaledUnit(v, 1024, []string{" B", " KiB", " MiB", " GiB", " TiB", " PiB"})
}

// ByteRate writes bytes per second in decimal units, as network and bus speeds are: 12 MB/s.
func ByteRate(v float64) string {
	switch a := math.Abs(v); {
	case a < 999.5:
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64) + " B/s"
	case a < 999500:
		return strconv.FormatFloat(math.Round(v/1000), 'f', 0, 64) + " kB/s"
	}
	return scaledUnit(v, 1000, []string{" B/s", " kB/s", " MB/s", " GB/s", " TB/s"})
}

// Seconds writes a latency: 180 µs, 21 ms, 1.9 s, 12.4 s, 3m10s.
func Seconds(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsInf(v, 0):
		return infinite(v)
	case a == 0:
		return "0 ms"
	case a < 0.0000995:
		return "<0.1 ms"
	case a < 0.00095:
		return trim(v*1000, 1) + " ms"
	case a < 0.00995:
		return trim(v*1000, 1) + " ms"
	case a < 0.9995:
		return trim(math.Round(v*1000), 0) + " ms"
	case a < 99.5:
		return trim(v, 1) + " s"
	case a < 1e9:
		return Span(time.Duration(v * float64(time.Second)))
	}
	return trim(v, 0) + " s"
}

// Span writes how long something has lasted: 12s, 4m05s, 3h12m, 2d4h.
func Span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	s := int64(d / time.Second)
	pad := func(v int64) string {
		if v < 10 {
			return "0" + strconv.FormatInt(v, 10)
		}
		return strconv.FormatInt(v, 10)
	}
	switch {
	case s < 60:
		return strconv.FormatInt(s, 10) + "s"
	case s < 3600:
		return strconv.FormatInt(s/60, 10) + "m" + pad(s%60) + "s"
	case s < 86400:
		return strconv.FormatInt(s/3600, 10) + "h" + pad(s/60%60) + "m"
	}
	return strconv.FormatInt(s/86400, 10) + "d" + strconv.FormatInt(s/3600%24, 10) + "h"
}

// Ago writes a length of time coarsely, for axes and window names: 30s, 5m, 1h, 1h30m.
func Ago(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	var b strings.Builder
	for _, u := range []struct {
		n    int64
		name string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}} {
		if s >= u.n {
			b.WriteString(strconv.FormatInt(s/u.n, 10) + u.name)
			s %= u.n
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// Thousands writes a whole number with commas.
func Thousands(v int64) string {
	s := strconv.FormatInt(v, 10)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if neg {
		return "-" + s
	}
	return s
}

func infinite(v float64) string {
	if v < 0 {
		return "-inf"
	}
	return "inf"
}

// three keeps three significant digits.
func three(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	m := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	return math.Round(v/m) * m
}

// trim writes v with at most n decimals and no zeros at its end.
func trim(v float64, n int) string {
	s := strconv.FormatFloat(v, 'f', n, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

func scaled(v, base float64, units []string) string {
	i := 0
	for math.Abs(three(v)) >= base && i < len(units)-1 {
		v /= base
		i++
	}
	if math.Abs(v) < 99.95 {
		return trim(v, 1) + units[i]
	}
	return trim(three(v), 0) + units[i]
}

// scaledUnit keeps one decimal below 100, so that a column of such numbers keeps its width.
func scaledUnit(v, base float64, units []string) string {
	if math.IsInf(v, 0) {
		return infinite(v)
	}
	i := 0
	for math.Abs(v) >= base && i < len(units)-1 {
		v /= base
		i++
	}
	if math.Abs(v) < 99.95 {
		return strconv.FormatFloat(v, 'f', 1, 64) + units[i]
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + units[i]
}
