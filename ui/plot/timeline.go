package plot

import (
	"cmp"
	"time"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// Timeline is the time axis of a chart: Columns slices of length Step, the last one ending at End. End is a whole
// multiple of Step from the epoch, so that a chart moves by whole columns only, and every chart with the same Step moves
// at the same moment. Where a step is shorter than calm, charts move by several columns at once, and those right of now
// are empty till then: every move writes the whole chart to the terminal.
type Timeline struct {
	End     time.Time
	Step    time.Duration
	Columns int
	// Last is what stands right of the last column; empty means "now".
	Last string
}

// calm is the least time between two moves of a chart.
const calm = 3 * time.Second

// NewTimeline divides window into columns so that now lies in the last one, or at most calm before it.
func NewTimeline(now time.Time, window time.Duration, columns int) Timeline {
	columns = max(columns, 1)
	step := max(window/time.Duration(columns), time.Millisecond)
	ns := now.UnixNano()
	if step < calm {
		// Charts of other widths have other steps, and are to move at the same moment too.
		ns = (ns/int64(calm)+1)*int64(calm) - 1
	}
	end := (ns/int64(step) + 1) * int64(step)
	return Timeline{End: time.Unix(0, end), Step: step, Columns: columns}
}

// Begin is the start of the first column.
func (t Timeline) Begin() time.Time { return t.End.Add(-time.Duration(t.Columns) * t.Step) }

// Column tells in which column a moment lies; false outside.
func (t Timeline) Column(at time.Time) (int, bool) {
	d := at.Sub(t.Begin())
	if d < 0 || !at.Before(t.End) {
		return 0, false
	}
	return int(d / t.Step), true
}

// spans are the distances that ticks of a time axis may have.
var spans = []time.Duration{
	10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 168 * time.Hour,
}

// Draw writes the ticks on line y of p, beginning at column x: how long ago, and Last right of the last column. A tick
// that would cover one of the taken columns is left out.
func (t Timeline) Draw(p grid.Pane, x, y int, number, line theme.Ink, taken ...int) {
	window := time.Duration(t.Columns) * t.Step
	every := spans[len(spans)-1]
	for _, s := range spans {
		if int(s/t.Step) >= 9 || s >= window {
			every = s
			break
		}
	}
	p.Text(x+t.Columns, y, number, cmp.Or(t.Last, "now"))
	edge := x + t.Columns
next:
	for ago := every; ago <= window; ago += every {
		// The moment "ago" before the end of the last column, which is now to within a column.
		cx := x + t.Columns - int((ago+t.Step/2)/t.Step)
		s := "-" + figure.Ago(ago)
		at := cx - len(s)/2
		if cx < x+len(s)/2 {
			at = x
		}
		if cx < x || at+len(s) > edge {
			continue
		}
		for _, c := range taken {
			if x+c >= at && x+c < at+len(s) {
				continue next
			}
		}
		p.Text(at, y, number, s)
		edge = at - 1
	}
}
