package panel_test

import (
	"strings"
	"testing"

	"pitwall/ui/figure"
	"pitwall/ui/panel"
)

func TestWhichExpressionsArePercentilesOfBuckets(t *testing.T) {
	for _, tc := range []struct{ name, expr, metric string }{
		{"a percentile", `histogram_quantile(0.99, sum by (le) (rate(x_bucket{a="b"}[1m])))`, "x_bucket"},
		{"in parentheses, of labels", `(histogram_quantile(0.5, sum by (le, model) (rate(x_bucket[1m]))))`, "x_bucket"},
		{"of an old name or a new one of the same", `histogram_quantile(0.5, sum by (le) (rate(x_bucket[1m])) or sum by (le) (rate(x_bucket[5m])))`, "x_bucket"},
		{"something computed from one", `1000 * histogram_quantile(0.99, sum by (le) (rate(x_bucket[1m])))`, ""},
		{"a native histogram's", `histogram_quantile(0.99, sum(rate(x[1m])))`, ""},
		{"of two histograms, whose bounds may differ", `histogram_quantile(0.5, sum by (le) (rate(x_bucket[1m])) or sum by (le) (rate(y_bucket[1m])))`, ""},
		{"of buckets that were computed", `histogram_quantile(0.5, sum by (le) (rate(x_bucket[1m])) * 2)`, ""},
		{"a rate", `rate(x_bucket[1m])`, ""},
		{"nothing that parses", `histogram_quantile(`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if sel, ok := panel.PercentileOf(tc.expr); ok {
				got = sel.Name
			}
			if got != tc.metric {
				t.Errorf("got %q, want %q", got, tc.metric)
			}
		})
	}
}

func TestAPercentileIsWrittenAsItsBucket(t *testing.T) {
	s := spec(t, "{id: a, unit: s, queries: [{expr: x}]}")
	of := func(v float64) panel.Row {
		rows, _ := panel.Rows(s, panel.Data{Answers: []panel.Answer{{Bounds: []float64{0.1, 0.25, 1}, Series: []panel.Series{now(v)}}}})
		return rows[0]
	}
	for _, tc := range []struct {
		name string
		v    float64
		want string
	}{
		{"within a bucket its upper bound is what is known", 0.17, "≤250 ms"},
		{"at a bound it is the lower bucket", 0.25, "≤250 ms"},
		{"in the first", 0.01, "≤100 ms"},
		{"in the last finite one", 0.9, "≤1 s"},
		{"in the open one, which PromQL answers with the bound below it", 1, ">1 s"},
		{"where nothing happened", nan, "—"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := of(tc.v)
			if got := r.Text(r.Now); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	for _, draw := range []string{"line", "bars", "number", "table"} {
		t.Run("drawn as "+draw, func(t *testing.T) {
			s := spec(t, "{id: a, unit: s, draw: "+draw+", queries: [{expr: x}]}")
			x := series(wave(60, 0.2, 0.01, 0), "le", "x")
			x.Now = figure.Of(0.2)
			pic := drawn(scene{spec: s, data: panel.Data{Answers: []panel.Answer{{Bounds: []float64{0.1, 0.25, 1}, Series: []panel.Series{x}}}}}, 78, 3, false)
			if !strings.Contains(pic, "≤250 ms") || strings.Contains(pic, "200 ms") && draw != "line" {
				t.Errorf("not as its bucket:\n%s", pic)
			}
		})
	}
}

func TestTheChangeOfAPercentile(t *testing.T) {
	s := spec(t, "{id: a, unit: s, queries: [{expr: x}]}")
	for _, tc := range []struct {
		name          string
		before, after float64
		want          string
	}{
		{"within one bucket is none", 0.12, 0.2, "="},
		{"between two is about that of their bounds", 0.12, 0.9, "~+750 ms"},
		{"and downwards", 0.9, 0.05, "~-900 ms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := now(tc.after)
			x.Before, x.After = figure.Of(tc.before), figure.Of(tc.after)
			pic := drawn(scene{spec: s, mark: true, data: panel.Data{Answers: []panel.Answer{{Bounds: []float64{0.1, 0.25, 1}, Series: []panel.Series{x}}}}}, 120, 4, false)
			if !strings.Contains(pic, tc.want) {
				t.Errorf("%q is not there:\n%s", tc.want, pic)
			}
		})
	}
}

func TestSmallNumbersAreNotZero(t *testing.T) {
	for _, tc := range []struct {
		unit string
		v    float64
		want string
	}{{"none", 0.001, "0.001"}, {"none", 0.437, "0.44"}, {"", -0.02, "-0.02"}, {"widgets", 0.0004, "0.0004 widgets"}, {"none", 0, "0"}, {"none", 12, "12"}} {
		if got := panel.Text(tc.unit, tc.v); got != tc.want {
			t.Errorf("%g in %q: got %q, want %q", tc.v, tc.unit, got, tc.want)
		}
	}
	for _, tc := range []struct {
		v, top float64
		want   string
	}{{0.075, 0.15, "0.075"}, {0.0025, 0.005, ".0025"}, {0.5, 0.5, "0.5"}, {0.0005, 0.0009, "500u"}, {2e-6, 4e-6, "2u"}, {0.5, 2, "0.5"}, {0, 0.001, "0"}} {
		if got := panel.Tick("none", tc.v, tc.top); got != tc.want {
			t.Errorf("%g of %g: got %q, want %q", tc.v, tc.top, got, tc.want)
		}
	}
}

func TestAnAreaBelowZeroIsALine(t *testing.T) {
	s := spec(t, "{id: a, unit: W, draw: area, queries: [{expr: x}]}")
	pic := drawn(scene{spec: s, data: panel.Data{Answers: []panel.Answer{answer(series(wave(60, -300, 50, 0)))}}}, 78, 8, false)
	if strings.Contains(pic, "█") || !strings.Contains(pic, "╭") {
		t.Errorf("filled from below:\n%s", pic)
	}
}

func TestSizesEndAtRoundBinaryNumbers(t *testing.T) {
	for _, tc := range []struct {
		unit string
		peak float64
		want string
	}{{"MiB", 73000, "80G"}, {"bytes", 3.1 * (1 << 30), "4G"}, {"bytes", 700, "800B"}, {"bytes", 1010, "1K"}, {"GiB", 0.39, "400M"}} {
		s := spec(t, "{id: a, unit: "+tc.unit+", draw: line, queries: [{expr: x}]}")
		pic := drawn(scene{spec: s, data: panel.Data{Answers: []panel.Answer{answer(series(wave(60, tc.peak, 0, 0)))}}}, 78, 8, false)
		if top := strings.TrimSpace(strings.Split(strings.Split(pic, "\n")[0], "┤")[0]); top != tc.want {
			t.Errorf("%g %s: the axis ends at %q, want %q", tc.peak, tc.unit, top, tc.want)
		}
	}
}
