package arrival

import (
	"math"
	"time"

	"pitwall/probes/load/shape"
)

// Level is how many clients a closed loop has from a time on.
type Level struct {
	After   time.Duration
	Clients int
}

// Crowd is how the number of a closed loop's clients changes: the first Level is at 0, each holds until the next, the last for
// ever. A step with a time to take becomes a Level for every whole client on its way, evenly apart, the last one when the step's
// time is over. It is for points that Validate accepts.
func Crowd(a shape.Arrival) []Level {
	out := []Level{{0, a.Clients}}
	add := func(l Level) {
		if last := &out[len(out)-1]; last.After == l.After {
			*last = l
			return
		}
		out = append(out, l)
	}
	for _, s := range a.Steps {
		from, to := out[len(out)-1].Clients, int(s.To)
		n := max(from-to, to-from)
		way := 1
		if to < from {
			way = -1
		}
		for i := 1; i <= n && s.Over > 0; i++ {
			add(Level{s.After + time.Duration(math.Round(float64(s.Over)*float64(i)/float64(n))), from + way*i})
		}
		if s.Over == 0 && n > 0 {
			add(Level{s.After, to})
		}
	}
	return out
}
