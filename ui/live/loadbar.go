package live

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/sessions"
	"pitwall/ui/grid"
	"pitwall/ui/keys"
	"pitwall/ui/load"
	"pitwall/ui/theme"
)

// barHeight is how many lines of the screen the load bar has, with its title; 0 while it isn't shown, and where it has only the
// second line.
func (m *Model) barHeight(w, h int) int {
	if !m.bar.Shown() {
		return 0
	}
	if rows := load.Rows(w, h); rows > 0 {
		return rows + 1
	}
	return 0
}

// drawBottom draws the load bar where it is shown, and the keys on the last line.
func (v view) drawBottom(p grid.Pane) {
	if bar := v.m.barHeight(p.W(), p.H()); bar > 0 {
		top := p.H() - 1 - bar
		e := newEdges(p.W(), p.H())
		e.across(0, p.H()-1, p.W())
		e.downward(0, top, bar+1)
		e.downward(p.W()-1, top, bar+1)
		// The title's line is that under the panels.
		e.add(0, top, up|right)
		e.add(p.W()-1, top, up|left)
		e.draw(p, theme.Border)
		v.m.bar.Draw(p.Sub(0, top, p.W(), bar), v.f)
	}
	v.drawFooter(p.Sub(0, p.H()-1, p.W(), 1))
}

// drawBarLine draws the load bar in the second line of the smallest screens; false where it is elsewhere, or not shown.
func (v view) drawBarLine(p grid.Pane) bool {
	if !v.m.bar.Shown() || load.Rows(v.m.w, v.m.h) > 0 {
		return false
	}
	v.m.bar.DrawLine(p, v.f)
	return true
}

// aim tells the bar which engine is shown.
func (m *Model) aim() {
	e, ok := m.snap.chosen()
	if !ok {
		m.bar.On("")
		return
	}
	m.bar.On(e.instance)
}

// loadKeys are the bar's keys, and the one that lists the runs.
func (m *Model) loadKeys() []keys.Binding {
	runs := keys.Binding{Keys: []string{"L"}, Rank: 3, Help: "the runs of load: numbers with intervals, flags, one in full, two compared", Group: "load", Disabled: func() string {
		if m.snap == nil || m.snap.at.IsZero() {
			return "nothing is recorded yet"
		}
		if len(m.snap.runs) == 0 {
			return "no load was put on in this session"
		}
		return ""
	}, Run: func(string) tea.Cmd { return open(m.runsBox()) }}
	if m.snap != nil && len(m.snap.runs) > 0 {
		runs.Short = "runs"
	}
	return append(m.bar.Keys(), runs)
}

// runsBox is the box with the runs.
func (m *Model) runsBox() *load.Runs {
	return load.NewRuns(load.RunsOptions{
		Runs: func() []sessions.Run {
			if m.snap == nil {
				return nil
			}
			return m.snap.runs
		},
		At: m.place(),
		Go: func(at time.Time) tea.Cmd { return m.jump(within(at, m.snap.first, m.snap.last)) },
	})
}
