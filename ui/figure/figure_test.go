package figure_test

import (
	"math"
	"testing"
	"time"

	"pitwall/ui/figure"
)

func TestFormats(t *testing.T) {
	for _, tc := range []struct {
		name string
		f    func(float64) string
		in   float64
		want string
	}{
		{"a whole count has no decimals", figure.Count, 12, "12"},
		{"a count below ten keeps one decimal", figure.Count, 2.44, "2.4"},
		{"thousands have commas", figure.Count, 5810, "5,810"},
		{"a count keeps three digits when it is not whole", figure.Count, 5814.3, "5,810"},
		{"a large count is scaled", figure.Count, 451008, "451k"},
		{"rounding does not leave 1000k", figure.Count, 999999, "1M"},
		{"a rate keeps its decimal", figure.Rate, 12, "12.0"},
		{"a rate that is not zero never reads zero", figure.Rate, 0.004, "<0.1"},
		{"a rate of zero is zero", figure.Rate, 0, "0.0"},
		{"a ratio is a percentage", figure.Percent, 0.614, "61 %"},
		{"a small share is not zero", figure.Percent, 0.004, "0.4 %"},
		{"nearly all is not all", figure.Percent, 0.999, "99 %"},
		{"all is all", figure.Percent, 1, "100 %"},
		{"bytes are binary", figure.Bytes, 71.2 * (1 << 30), "71.2 GiB"},
		{"few bytes are bytes", figure.Bytes, 512, "512 B"},
		{"byte rates are decimal", figure.ByteRate, 12.4e6, "12.4 MB/s"},
		{"milliseconds", figure.Seconds, 0.182, "182 ms"},
		{"few milliseconds keep a decimal", figure.Seconds, 0.0042, "4.2 ms"},
		{"seconds", figure.Seconds, 1.94, "1.9 s"},
		{"a number is rounded once", figure.Seconds, 9.2503, "9.3 s"},
		{"on an axis too", figure.Short, 2.2503e6, "2.3M"},
		{"minutes", figure.Seconds, 190, "3m10s"},
		{"a latency below what a clock can tell", figure.Seconds, 0.00003, "<0.1 ms"},
		{"no latency", figure.Seconds, 0, "0 ms"},
		{"an infinite bound", figure.Seconds, math.Inf(1), "inf"},
		{"an axis number is short", figure.Short, 28188, "28.2k"},
		{"a half on an axis", figure.Short, 1.5, "1.5"},
		{"a negative one", figure.Whole, -1234, "-1,234"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.f(tc.in); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSpans(t *testing.T) {
	for _, tc := range []struct {
		d         time.Duration
		span, ago string
	}{
		{0, "0s", "0s"}, {59 * time.Second, "59s", "59s"}, {245 * time.Second, "4m05s", "4m5s"}, {90 * time.Minute, "1h30m", "1h30m"},
		{52 * time.Hour, "2d4h", "2d4h"}, {-time.Second, "0s", "0s"},
	} {
		if got := figure.Span(tc.d); got != tc.span {
			t.Errorf("Span(%v) = %q, want %q", tc.d, got, tc.span)
		}
		if got := figure.Ago(tc.d); got != tc.ago {
			t.Errorf("Ago(%v) = %q, want %q", tc.d, got, tc.ago)
		}
	}
}

func TestAnAbsentValueIsADashAndStaysAbsent(t *testing.T) {
	var none figure.Value
	for name, v := range map[string]figure.Value{
		"the zero value": none, "NaN": figure.Of(math.NaN()), "a quotient with it": figure.Of(1).Div(none), "a quotient by zero": figure.Of(1).Div(figure.Of(0)),
		"a sum with it": none.Add(figure.Of(2)), "its image": none.Map(math.Sqrt),
	} {
		if got := v.Text(figure.Count); got != "—" {
			t.Errorf("%s reads %q", name, got)
		}
	}
	if got := figure.Of(0).Text(figure.Count); got != "0" {
		t.Errorf("zero reads %q", got)
	}
}
