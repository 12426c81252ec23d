package panel_test

import (
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"pitwall/ui/figure"
	"pitwall/ui/panel"
)

func now(v float64, pairs ...string) panel.Series {
	return panel.Series{Labels: labels.FromStrings(pairs...), Now: figure.Of(v)}
}

func TestRowsAreKeptAndSorted(t *testing.T) {
	d := panel.Data{Answers: []panel.Answer{{More: 3, Series: []panel.Series{now(5, "i", "10"), now(math.Inf(-1), "i", "9"), now(7, "i", "2"), now(math.NaN(), "i", "1"), now(-2, "i", "3"), now(7, "i", "1x")}}}}
	for _, tc := range []struct {
		name, sort string
		want       string
		more       int
	}{
		{"by value the largest stay, what is absent goes first", "sort: value, limit: 4", "1x 2 10 3", 5},
		{"by value from below the smallest stay", "sort: -value, limit: 3", "9 3 10", 6},
		{"absent is last either way, behind minus infinity", "sort: value", "1x 2 10 3 9 1", 3},
		{"and when it goes upwards", "sort: -value", "9 3 10 1x 2 1", 3},
		{"names go by their numbers", "sort: name", "1 1x 2 3 9 10", 3},
		{"by name the largest stay all the same", "sort: name, limit: 2", "1x 2", 7},
		{"as they were answered", "sort: none", "10 9 2 1 3 1x", 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := spec(t, "{id: a, unit: none, draw: bars, queries: [{expr: x, legend: '{{i}}'}], "+tc.sort+"}")
			rows, more := panel.Rows(s, d)
			var names []string
			for _, r := range rows {
				names = append(names, r.Name)
			}
			if got := strings.Join(names, " "); got != tc.want || more != tc.more {
				t.Errorf("got %q and %d more, want %q and %d", got, more, tc.want, tc.more)
			}
		})
	}
}

func TestTablesShowWhatWasAnswered(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		d          panel.Data
		want, not  []string
	}{
		{"two metrics with the same labels are two rows, not one over the other", "queries: [{expr: '{__name__=~\"a|b\"}'}]",
			panel.Data{Answers: []panel.Answer{{Series: []panel.Series{now(1, "__name__", "up_a", "i", "x"), now(2, "__name__", "up_b", "i", "x")}}}},
			[]string{"up_a 1", "up_b 2"}, nil},
		{"two queries stand beside each other in one row", "queries: [{id: one, expr: a}, {id: two, expr: b}]",
			panel.Data{Answers: []panel.Answer{{Series: []panel.Series{now(1, "__name__", "up_a", "i", "x"), now(5, "__name__", "up_a", "i", "y")}}, {Series: []panel.Series{now(2, "__name__", "up_b", "i", "x")}}}},
			[]string{"i one two", "x 1 2", "y 5 —"}, nil},
		{"what the limit leaves out is counted", "limit: 2, queries: [{expr: a}]",
			panel.Data{Answers: []panel.Answer{{More: 10, Series: []panel.Series{now(1, "i", "x"), now(2, "i", "y"), now(3, "i", "z")}}}},
			[]string{"z 3", "y 2", "+11 more"}, []string{"x 1"}},
		{"a row without a value is last", "queries: [{expr: a}]",
			panel.Data{Answers: []panel.Answer{{Series: []panel.Series{now(math.NaN(), "i", "x"), now(math.Inf(-1), "i", "y")}}}},
			[]string{"y -inf x —"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := spec(t, "{id: a, unit: none, draw: table, "+tc.text+"}")
			pic := drawn(scene{spec: s, data: tc.d}, 60, 8, false)
			text := strings.Join(strings.Fields(pic), " ")
			for _, w := range tc.want {
				if !strings.Contains(text, w) {
					t.Errorf("%q is not there:\n%s", w, pic)
				}
			}
			for _, w := range tc.not {
				if strings.Contains(text, w) {
					t.Errorf("%q is there:\n%s", w, pic)
				}
			}
		})
	}
}

func TestSharesOfBuckets(t *testing.T) {
	col := func(le string, v ...float64) panel.Series {
		return panel.Series{Labels: labels.FromStrings("le", le), Values: v}
	}
	for _, tc := range []struct {
		name   string
		in     []panel.Series
		bounds []float64
		shares [][]float64 // column by column would be [0][x] for the lowest bound
	}{
		{"cumulative counts become shares", []panel.Series{col("1", 1), col("2", 3), col("+Inf", 4)}, []float64{1, 2, math.Inf(1)}, [][]float64{{.25}, {.5}, {.25}}},
		{"several instances are added", []panel.Series{col("1", 1), col("1.0", 1), col("+Inf", 2), col("+Inf", 2)}, []float64{1, math.Inf(1)}, [][]float64{{.5}, {.5}}},
		{"a bound without a value leaves its share to the next, counted once", []panel.Series{col("1", 1), col("2", nan), col("3", 4), col("+Inf", 4)}, []float64{1, 2, 3}, [][]float64{{.25}, {nan}, {.75}}},
		{"a count that fell is no negative share", []panel.Series{col("1", 3), col("2", 2), col("+Inf", 4)}, []float64{1, 2, math.Inf(1)}, [][]float64{{.75}, {0}, {.5}}},
		{"nothing happened: nothing is known", []panel.Series{col("1", 0), col("+Inf", 0)}, nil, nil},
		{"what is no bound is left out", []panel.Series{col("x", 9), col("NaN", 9), col("+Inf", 1)}, []float64{math.Inf(1)}, [][]float64{{1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := panel.BucketsOf(tc.in, 1)
			same := len(b.Bounds) == len(tc.bounds)
			for i := range b.Bounds {
				same = same && b.Bounds[i] == tc.bounds[i] && (b.Shares[i][0] == tc.shares[i][0] || math.IsNaN(b.Shares[i][0]) && math.IsNaN(tc.shares[i][0]))
			}
			if !same {
				t.Errorf("got %v %v, want %v %v", b.Bounds, b.Shares, tc.bounds, tc.shares)
			}
		})
	}
}

func TestTwoPanelsDrawnInGoMustNotShareAQuery(t *testing.T) {
	_, said := book(t, "panels: [{id: mine, title: mine, draw: queue, queries: [{id: running, expr: 'engine:running'}, {id: waiting, expr: 'engine:waiting'}]}]")
	if !strings.Contains(said, `panel queue has a query "running" already`) {
		t.Errorf("said %q", said)
	}
	if _, said = book(t, "panels: [{id: queue, queries: [{id: running, expr: 'engine:waiting'}, {id: more, expr: up}]}]"); said != "" {
		t.Errorf("changing the built-in one is allowed, said %q", said)
	}
}
