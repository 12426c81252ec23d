package live

import (
	"strings"
	"time"

	"pitwall/probes"
	"pitwall/sessions"
	"pitwall/sessions/events"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// runKind begins the kinds of the events that runs of load leave.
const runKind = "run."

// The signs of runs: where one began, and where load was stopped.
const (
	runBegan   = '▸'
	runStopped = '◂'
)

func runGlyph(kind string) rune {
	if kind == runKind+"began" {
		return runBegan
	}
	return runStopped
}

// handover is how soon after a run was cut the next one begins if the load was changed and not stopped.
const handover = 2 * time.Second

// addRuns puts the runs among the marks of a time axis: where each began, with its number and a line through the charts; the
// stretch that is scored; and where the load was stopped. They take other columns than graver events: neither may hide.
func (v view) addRuns(marks []mark, t plot.Timeline) []mark {
	if v.s == nil {
		return marks
	}
	taken := map[int]bool{}
	for _, k := range marks {
		if k.e.Severity > probes.Note {
			taken[k.column] = true
		}
	}
	place := func(at time.Time) (int, bool) {
		c, ok := t.Column(at)
		for ok && taken[c] && c+1 < t.Columns {
			c++
		}
		return c, ok
	}
	live := v.m.cursor.mode == live
	runs := v.s.runs
	for i, r := range runs {
		if live && r.Began.After(v.now) || r.Began.After(v.edge) {
			continue
		}
		e := runEpisode(r)
		if c, ok := place(r.Began); ok {
			id := itoa(int(r.ID))
			for i := range 1 + len(id) {
				marks = without(marks, c+i)
			}
			marks = append(marks, mark{column: c, to: c, glyph: runBegan, ink: theme.Brand, line: true, label: id, e: e})
		}
		marks = v.addScored(marks, t, r, e)
		if r.Cut.IsZero() || r.Cut.After(v.edge) || i+1 < len(runs) && runs[i+1].Began.Sub(r.Cut) < handover {
			continue
		}
		if c, ok := place(r.Cut); ok {
			stop := e
			stop.Start, stop.End, stop.Title = r.Cut, r.Cut, "load stopped"
			marks = without(marks, c)
			marks = append(marks, mark{column: c, to: c, glyph: runStopped, ink: theme.Brand, line: true, label: " ", e: stop})
		}
	}
	return marks
}

// addScored draws the stretch in which a run's load was alone as a line on the axis.
func (v view) addScored(marks []mark, t plot.Timeline, r sessions.Run, e events.Episode) []mark {
	if r.Settled.IsZero() {
		return marks
	}
	from, to := r.Settled, r.Cut
	if to.IsZero() || to.After(v.edge) {
		to = v.edge
	}
	if !to.After(t.Begin()) || !from.Before(t.End) {
		return marks
	}
	first, ok := t.Column(from)
	if !ok {
		first = -1
	}
	last, ok := columnOf(t, to)
	if !ok {
		last = t.Columns - 1
	}
	return append(marks, mark{column: first, to: last, ink: theme.Brand, label: "\x00", e: e})
}

// without takes the note of a column away: a run stands in it.
func without(marks []mark, column int) []mark {
	var out []mark
	for _, k := range marks {
		if k.column != column || k.label != "" || k.e.Severity > probes.Note {
			out = append(out, k)
		}
	}
	return out
}

func runEpisode(r sessions.Run) events.Episode {
	name := r.Label
	if name == "" {
		name = r.Point.Filled().String()
	}
	return events.Episode{Kind: runKind + "began", Subject: "run/" + itoa(int(r.ID)), Title: name, Start: r.Began, End: r.Cut, Count: 1}
}

// drawRunMarks writes the signs of runs, each with as much of its number as has room before the next.
func drawRunMarks(p grid.Pane, x, y int, marks []mark) {
	at := map[int]bool{}
	for _, k := range marks {
		if k.column >= 0 && k.glyph != 0 {
			at[k.column] = true
		}
	}
	for _, k := range marks {
		if k.column < 0 || k.label == "" || k.glyph == 0 {
			continue
		}
		p.Rune(x+k.column, y, k.ink, k.glyph)
		for i, r := range strings.TrimSpace(k.label) {
			if at[k.column+1+i] || x+k.column+2+i > p.W() {
				break
			}
			p.Rune(x+k.column+1+i, y, k.ink, r)
		}
	}
}
