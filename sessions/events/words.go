package events

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// field is a {name} in a template.
var field = regexp.MustCompile(`\{([a-zA-Z_][a-zA-Z0-9_.]*)\}`)

// checkTemplate finds braces that are no field.
func checkTemplate(s string) error {
	if rest := field.ReplaceAllString(s, ""); strings.ContainsAny(rest, "{}") {
		return fmt.Errorf("%q: a brace that is no {name}", s)
	}
	return nil
}

// fill writes a template; ok is false when a name of it is not known. Of alternatives ("a | b") it takes the first that
// can be said. What is filled in is not looked at again, whatever it holds.
func fill(template string, known func(name string) (string, bool)) (string, bool) {
	for alternative := range strings.SplitSeq(template, " | ") {
		ok := true
		out := field.ReplaceAllStringFunc(alternative, func(f string) string {
			v, found := known(f[1 : len(f)-1])
			ok = ok && found
			return v
		})
		if ok {
			return strings.TrimSpace(out), true
		}
	}
	return "", false
}

// amount writes a value with its unit: three digits, and a ratio as a percentage.
func amount(v float64, unit string) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return strings.TrimSpace(strings.ReplaceAll(fmt.Sprint(v), "Inf", "∞") + " " + unit)
	}
	switch unit {
	case "ratio":
		return percent(v)
	case "bytes":
		if v < 0 {
			return "-" + amount(-v, unit)
		}
		return humanize.IBytes(uint64(min(v, 1<<62)))
	case "s":
		if math.Abs(v) > 1e9 {
			return digits(v) + " s"
		}
		d := time.Duration(v * float64(time.Second))
		if d.Abs() >= 10*time.Second {
			return period(d)
		}
		return d.Round(time.Millisecond).String()
	case "":
		return digits(v)
	}
	if v == 1 && len(unit) > 3 && !strings.Contains(unit, "/") {
		unit = strings.TrimSuffix(unit, "s") // errors, rows, readings
	}
	return digits(v) + " " + unit
}

// digits writes a number to three significant digits, whole ones in full.
func digits(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
