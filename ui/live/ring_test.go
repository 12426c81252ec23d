package live

import (
	"math"
	"testing"
	"time"

	"pitwall/ui/plot"
)

func TestRing(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_000_000+int64(s), 0) }
	r := newRing(time.Second, 100)
	for s, v := range map[int]float64{0: 1, 1: 9, 2: 2, 5: 4} {
		r.add(at(s), v)
	}
	r.add(at(3), math.NaN())
	line := plot.Timeline{End: at(6), Step: 2 * time.Second, Columns: 3}
	for _, tc := range []struct {
		name string
		how  pick
		want []float64
	}{
		{"a mean of what is in the column", mean, []float64{5, 2, 4}},
		{"the most keeps a spike", most, []float64{9, 2, 4}},
		{"the least", least, []float64{1, 2, 4}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i, v := range r.columns(line, tc.how) {
				if v != tc.want[i] {
					t.Errorf("column %d is %v, want %v", i, v, tc.want[i])
				}
			}
		})
	}
	t.Run("a column shorter than a slot shows the slot it lies in, and a gap stays one", func(t *testing.T) {
		got := r.columns(plot.Timeline{End: at(6), Step: 500 * time.Millisecond, Columns: 12}, mean)
		want := []float64{1, 1, 9, 9, 2, 2, math.NaN(), math.NaN(), math.NaN(), math.NaN(), 4, 4}
		for i := range want {
			if got[i] != want[i] && !(math.IsNaN(got[i]) && math.IsNaN(want[i])) {
				t.Errorf("column %d is %v, want %v", i, got[i], want[i])
			}
		}
	})
	t.Run("what is older than the ring is gone, not shown in its place", func(t *testing.T) {
		r.add(at(100), 7)
		if got := r.columns(plot.Timeline{End: at(1), Step: time.Second, Columns: 1}, mean); !math.IsNaN(got[0]) {
			t.Errorf("second 0 reads %v", got[0])
		}
	})
	t.Run("extremes of a span", func(t *testing.T) {
		low, high, ok := r.span(at(1), at(5))
		if low != 2 || high != 9 || !ok {
			t.Errorf("got %v %v %v", low, high, ok)
		}
		if _, _, ok := r.span(at(200), at(300)); ok {
			t.Error("an empty span has extremes")
		}
	})
}

func TestSlotsHoldEveryWindow(t *testing.T) {
	for _, d := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 30 * 24 * time.Hour} {
		s := slotFor(d)
		if n := int(d / s); n > slotsPerWindow {
			t.Errorf("%v has %d slots of %v", d, n, s)
		}
		if s%time.Second != 0 {
			t.Errorf("%v has slots of %v", d, s)
		}
	}
	if slotFor(15*time.Minute) != time.Second {
		t.Error("a quarter of an hour is kept to the second")
	}
}
