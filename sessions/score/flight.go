package score

import (
	"cmp"
	"slices"

	"pitwall/probes/request"
)

// flight is how many requests were in flight when: from Sent to End, whatever run sent them. Steps are in the order of time,
// the first holds from its time on; before it nothing was in flight.
type flight []step

type step struct {
	at request.Time
	n  int
}

func flightOf(records []request.Record) flight {
	f := make(flight, 0, 2*len(records))
	for i := range records {
		if r := &records[i]; r.Sent != 0 && r.End > r.Sent {
			f = append(f, step{r.Sent, 1}, step{r.End, -1})
		}
	}
	slices.SortFunc(f, func(a, b step) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.n, a.n)) })
	n := 0
	for i := range f {
		n += f[i].n
		f[i].n = n
	}
	return f
}

// at is how many were in flight just before a moment.
func (f flight) at(t request.Time) int {
	i, _ := slices.BinarySearchFunc(f, t, func(s step, t request.Time) int { return cmp.Compare(s.at, t) })
	if i == 0 {
		return 0
	}
	return f[i-1].n
}

// mean is the mean number in flight over a window.
func (f flight) mean(w Window) float64 {
	if w.To <= w.From {
		return 0
	}
	// The last step at or before From.
	i, _ := slices.BinarySearchFunc(f, w.From, func(s step, t request.Time) int { return cmp.Compare(s.at, t+1) })
	var sum float64
	at, n := w.From, 0
	if i > 0 {
		n = f[i-1].n
	}
	for ; i < len(f) && f[i].at < w.To; i++ {
		sum += float64(n) * float64(f[i].at-at)
		at, n = f[i].at, f[i].n
	}
	sum += float64(n) * float64(w.To-at)
	return sum / float64(w.To-w.From)
}

// reaches gives the first and the last moment within a window at which at least need were in flight; false if they never were.
func (f flight) reaches(need int, w Window) (Window, bool) {
	out := Window{}
	found := false
	n := 0
	for i, s := range f {
		n = s.n
		if n < need {
			continue
		}
		end := w.To
		if i+1 < len(f) {
			end = f[i+1].at
		}
		from, to := max(s.at, w.From), min(end, w.To)
		if from >= to {
			continue
		}
		if !found {
			out.From, found = from, true
		}
		out.To = to
	}
	return out, found
}
