package live

import (
	"math"
	"time"

	"pitwall/ui/plot"
)

// ring keeps the history of one series in slots of equal length, aligned to the epoch: least, greatest and mean of what
// fell into each. Slots are one second long for the short windows, so nothing is lost there.
type ring struct {
	slot  time.Duration
	cells []cell
}

type cell struct {
	index    int64 // which slot since the epoch; 0 is never used
	n        int32
	min, max float64
	sum      float64
}

func newRing(slot time.Duration, slots int) *ring {
	return &ring{slot: slot, cells: make([]cell, slots)}
}

// add puts a value in. Values older than the ring and NaN are dropped.
func (r *ring) add(at time.Time, v float64) {
	if math.IsNaN(v) {
		return
	}
	i := at.UnixNano() / int64(r.slot)
	c := &r.cells[i%int64(len(r.cells))]
	switch {
	case c.index > i:
	case c.index < i || c.n == 0:
		*c = cell{index: i, n: 1, min: v, max: v, sum: v}
	default:
		c.n++
		c.min, c.max, c.sum = min(c.min, v), max(c.max, v), c.sum+v
	}
}

// pick says which number of a column's values a chart shows.
type pick int

const (
	mean  pick = iota // rates
	most              // what must not hide a spike: queues, latencies
	least             // the lower edge of a band
)

// columns gives one number per column of the timeline; NaN where nothing is known. A column shorter than a slot shows the
// slot it lies in.
func (r *ring) columns(t plot.Timeline, how pick) []float64 {
	out := make([]float64, t.Columns)
	begin := t.Begin().UnixNano()
	for x := range out {
		from := begin + int64(x)*int64(t.Step)
		to := from + int64(t.Step)
		first, last := from/int64(r.slot), (to-1)/int64(r.slot)
		// A slot belongs to the column it begins in; only if none begins there, to the one it reaches into.
		if first*int64(r.slot) < from && first < last {
			first++
		}
		var m cell
		for i := first; i <= last; i++ {
			c := r.cells[i%int64(len(r.cells))]
			if c.index != i || c.n == 0 {
				continue
			}
			if m.n == 0 {
				m = c
				continue
			}
			m.n, m.sum = m.n+c.n, m.sum+c.sum
			m.min, m.max = min(m.min, c.min), max(m.max, c.max)
		}
		switch {
		case m.n == 0:
			out[x] = math.NaN()
		case how == most:
			out[x] = m.max
		case how == least:
			out[x] = m.min
		default:
			out[x] = m.sum / float64(m.n)
		}
	}
	return out
}

// span gives the extremes of what fell between two moments; false if nothing did.
func (r *ring) span(from, to time.Time) (low, high float64, ok bool) {
	a, b := from.UnixNano()/int64(r.slot), to.UnixNano()/int64(r.slot)
	for _, c := range r.cells {
		if c.n == 0 || c.index < a || c.index > b {
			continue
		}
		if !ok {
			low, high, ok = c.min, c.max, true
			continue
		}
		low, high = min(low, c.min), max(high, c.max)
	}
	return low, high, ok
}

// window is a length of time that the charts show.
type window struct {
	name string
	// length is zero for the whole session.
	length time.Duration
}

var windows = []window{{"1m", time.Minute}, {"5m", 5 * time.Minute}, {"15m", 15 * time.Minute}, {"1h", time.Hour}, {"6h", 6 * time.Hour}, {"session", 0}}

// WholeSession is the length of time that stands for all there is.
const WholeSession = time.Duration(math.MaxInt64)

// windowFor gives the index of the shortest window that holds a length of time.
func windowFor(length time.Duration) int {
	for i, w := range windows {
		if w.length >= length {
			return i
		}
	}
	return len(windows) - 1
}

// slotsPerWindow bounds the history kept of a series: it is what the widest chart can tell apart, and a second's
// resolution up to a quarter of an hour.
const slotsPerWindow = 900

// slotFor is the length of a slot for a window: whole seconds, a divisor or a multiple of a minute.
func slotFor(length time.Duration) time.Duration {
	for _, s := range []time.Duration{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600} {
		if s*time.Second*slotsPerWindow >= length {
			return s * time.Second
		}
	}
	return (length / slotsPerWindow).Truncate(time.Second) + time.Second
}
