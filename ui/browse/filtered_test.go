package browse_test

import (
	"strings"
	"testing"

	"pitwall/probes"
)

// fleet are series of which a filter may leave some: counters that rise by a number of their own, gauges that stay.
func fleet() *source {
	return &source{read: func(n int) []probes.Sample {
		out := []probes.Sample{
			sample(float64(1*n), "__name__", "foo_done_total", "model", "a", "zone", "x"), sample(float64(2*n), "__name__", "foo_done_total", "model", "a", "zone", "y"),
			sample(float64(4*n), "__name__", "foo_done_total", "model", "b", "zone", "x"), sample(float64(8*n), "__name__", "foo_done_total", "model", "b.c", "zone", "y"),
			sample(3, "__name__", "foo_level", "model", "a"), sample(7, "__name__", "foo_level", "model", "a", "part", "k"), sample(9, "__name__", "foo_level", "model", "b"),
		}
		for i, m := range []string{"a", "a2", "b"} {
			for _, le := range []string{"0.1", "+Inf"} {
				out = append(out, sample(float64(n*(i+1)), "__name__", "foo_wait_seconds_bucket", "model", m, "le", le))
			}
			out = append(out, sample(float64(n*(i+1)), "__name__", "foo_wait_seconds_count", "model", m))
		}
		// Two labels may hold the word, so those that it finds are no product of their values.
		name := func(i int) string { return []string{"hot", "mild", "cold", "d", "e", "f", "g", "h", "i", "j"}[i] }
		for i := range 100 {
			out = append(out, sample(float64(i), "__name__", "foo_grid", "row", name(i/10), "col", name(i%10)))
		}
		for i := range 4 {
			out = append(out, sample(float64(10-i), "__name__", "foo_square", "row", name(i/2), "col", name(i%2)))
		}
		return append(out, sample(1.78e9, "__name__", "foo_done_created", "model", "a"))
	}}
}

func TestANumberIsOfTheSeriesThatTheFilterLeaves(t *testing.T) {
	r := recorded(t, 60, fleet())
	for _, tc := range []struct {
		name, filter string
		want         []string
	}{
		{"all of them", "foo_done_total", []string{"4 series", "sum 15.0/s", `expr sum(rate(foo_done_total[$w]))`}},
		{"those with one value of a label", "foo_done_total zone=x", []string{"2 of 4 series", "sum 5.0/s", `expr sum(rate(foo_done_total{zone="x"}[$w]))`}},
		{"those with some values of it, dots meaning dots", "foo_done_total model=b", []string{"2 of 4 series", "sum 12.0/s", `expr sum(rate(foo_done_total{model=~"b|b\\.c"}[$w]))`}},
		{"three of a square, which no product of labels is", "foo_square mild", []string{"3 of 4 series", "max 9", "foo_square{", " or foo_square{"}},
		{"a gauge", "foo_level model=a", []string{"2 of 3 series", "max 7", `expr max(foo_level{model="a"})`}},
		{"one that has all the labels of another beside its own", "foo_level model=a -part=k -k", []string{"1 of 3 series", " 3 ", `part=""`}},
		{"the observations of some", "foo_wait_seconds_bucket model=a", []string{"4 of 6 series", " 3.0/s", `expr sum(rate(foo_wait_seconds_count{model=~"a|a2"}[$w]))`}},
		{"more than one expression can name have no number", "foo_grid hot", []string{"19 of 100 series", "—", "more than one expression can name"}},
		{"when a series began is a moment", "foo_done_created", []string{"May 28"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := opened(t, r, 160, 45)
			press(b, append(typed(tc.filter), "enter")...)
			pic := strings.Join(strings.Fields(picture(b, 160, 45)), " ")
			for _, w := range tc.want {
				if !strings.Contains(pic, w) {
					t.Errorf("%q is not there:\n%s", w, pic)
				}
			}
		})
	}
}

func TestAChartIsOfTheSeriesThatTheFilterLeaves(t *testing.T) {
	r := recorded(t, 60, fleet())
	b := opened(t, r, 160, 45)
	press(b, append(typed("foo_done_total model=b"), "enter", "space")...)
	pic := picture(b, 160, 45)
	for _, w := range []string{`rate(foo_done_total{model=~"b|b\\.c"}[10s])`, "now 8.0/s", "now 4.0/s"} {
		if !strings.Contains(pic, w) {
			t.Errorf("%q is not there:\n%s", w, pic)
		}
	}
	if strings.Contains(pic, "now 1.0/s") {
		t.Errorf("a series that the filter hides is charted:\n%s", pic)
	}
	b = opened(t, r, 160, 45)
	press(b, append(typed("foo_grid hot"), "enter", "space")...)
	if pic := picture(b, 160, 45); !strings.Contains(pic, "every series") || !strings.Contains(pic, "filter by a label") {
		t.Errorf("what cannot be charted doesn't say so:\n%s", pic)
	}
}
