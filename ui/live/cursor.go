package live

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/sessions"
	"pitwall/ui/plot"
	"pitwall/ui/screen"
)

// mode is how the cursor moves.
type mode int

const (
	live    mode = iota // it is at the newest tick
	frozen              // it stays where it was put
	playing             // it moves on by itself
)

// cursor is the moment that is wanted; what is drawn is the one that was answered last (snapshot.at).
type cursor struct {
	mode mode
	// at is the moment, a whole second; zero while live.
	at time.Time
	// end is the right end of the charts while it is frozen. They stay where they are until the cursor leaves them.
	end time.Time
	// speed is how much faster than the clock it plays; exact is at with its fraction.
	speed float64
	exact time.Time
}

// shortest is the shortest span that charts show.
const shortest = 10 * time.Second

// speeds are those that + and - choose from while it plays.
var speeds = []float64{0.5, 1, 2, 5, 10, 20, 50, 100}

// within moves a moment to the nearest one that is there.
func within(at, first, last time.Time) time.Time {
	if at.After(last) {
		return last
	}
	if at.Before(first) {
		return first
	}
	return at
}

// growing tells whether the session is being recorded: then it has a "now".
func (m *Model) growing() bool {
	switch m.recording() {
	case sessions.RecordingHere, sessions.RecordingElsewhere, sessions.NotStored:
		return true
	}
	return false
}

// place gives the moment where the cursor is: that which is wanted, else the newest tick.
func (m *Model) place() time.Time {
	if m.cursor.mode != live {
		return m.cursor.at
	}
	return m.snap.last
}

// freeze holds the cursor where it is.
func (m *Model) freeze() tea.Cmd {
	if m.cursor.mode == frozen {
		return nil
	}
	end, at := m.spanEnd(), m.place()
	if m.cursor.mode == playing {
		at = m.snap.at
	}
	m.cursor = cursor{mode: frozen, at: at, end: end}
	m.until = end
	// What is shown stays; the question only brings what a live screen doesn't ask for.
	return m.ask()
}

// goLive goes back to the newest tick. Of a session that nobody records that is its end.
func (m *Model) goLive() tea.Cmd {
	if m.cursor.mode == live {
		return nil
	}
	m.cursor = cursor{}
	return m.restart()
}

// play lets the cursor move on from where it is.
func (m *Model) play(speed float64) tea.Cmd {
	at := m.place()
	m.cursor = cursor{mode: playing, at: at, exact: at, speed: speed}
	m.stale = true
	return m.ask()
}

// advance moves a playing cursor by what the clock moved. At the end it becomes live, or stays.
func (m *Model) advance(by time.Duration) {
	if m.snap == nil || m.snap.last.IsZero() {
		return
	}
	by = min(max(by, 0), 5*time.Second) // a suspended program doesn't jump
	m.cursor.exact = m.cursor.exact.Add(time.Duration(float64(by) * m.cursor.speed))
	if !m.cursor.exact.Before(m.snap.last) {
		if m.growing() {
			m.cursor = cursor{}
			m.stale = true
			return
		}
		m.cursor = cursor{mode: frozen, at: m.snap.last, end: m.snap.last}
		return
	}
	m.cursor.at = m.cursor.exact.Truncate(time.Second)
}

// jump puts the cursor at a moment and freezes it there. Where the moment lies beyond the charts, they move so that it has
// half of them before and behind it.
func (m *Model) jump(to time.Time) tea.Cmd { return m.moveTo(to, 2) }

// moveTo puts the cursor at a moment; a span that it leaves moves so that the moment is the share-th part away from the edge
// that it left by.
func (m *Model) moveTo(to time.Time, share int) tea.Cmd {
	if m.snap == nil || m.snap.at.IsZero() {
		return nil
	}
	if m.cursor.mode != frozen {
		end := m.spanEnd()
		m.cursor = cursor{mode: frozen, at: m.place(), end: end}
		m.until = end
	}
	to = within(to, m.snap.first, m.snap.last)
	m.cursor.at = to
	length := m.spanLength()
	switch {
	case to.After(m.cursor.end):
		m.cursor.end = to.Add(length / time.Duration(share))
	case to.Before(m.cursor.end.Add(-length)):
		m.cursor.end = to.Add(length - length/time.Duration(share))
	}
	m.cursor.end = m.fitEnd(m.cursor.end, length)
	return m.settle()
}

// fitEnd keeps a span within the session where it fits.
func (m *Model) fitEnd(end time.Time, length time.Duration) time.Time {
	if least := m.snap.first.Add(length); end.Before(least) {
		end = least
	}
	if end.After(m.snap.last) {
		end = m.snap.last
	}
	return end.Truncate(time.Second)
}

// settle asks for what a moved cursor needs: the numbers there, and the charts if the span moved.
func (m *Model) settle() tea.Cmd {
	var fill tea.Cmd
	if m.history == nil || !m.cursor.end.Equal(m.until) || m.spanLength() != m.length {
		fill = m.fill()
	}
	return tea.Batch(m.ask(), fill)
}

// step moves the cursor by columns of the charts, at least a second each.
func (m *Model) step(by int) tea.Cmd {
	if m.snap == nil || m.snap.at.IsZero() {
		return nil
	}
	at := m.place()
	t := m.timeline()
	if t.Step <= time.Second {
		return m.moveTo(at.Add(time.Duration(by)*time.Second), 4)
	}
	d := at.Sub(t.Begin())
	c := int(d / t.Step)
	if d < 0 {
		c--
	}
	// The last whole second of the column is the moment that its right edge stands for.
	to := t.Begin().Add(time.Duration(c+by+1)*t.Step - 1).Truncate(time.Second)
	switch {
	case by > 0 && !to.After(at):
		to = at.Add(time.Second)
	case by < 0 && !to.Before(at):
		to = at.Add(-time.Second)
	}
	return m.moveTo(to, 4)
}

// half moves the cursor by halves of the span.
func (m *Model) half(by int) tea.Cmd {
	if m.snap == nil || m.snap.at.IsZero() {
		return nil
	}
	return m.moveTo(m.place().Add(time.Duration(by)*m.spanLength()/2), 2)
}

// timeline is the time axis of the charts as they stand, that of the left column.
func (m *Model) timeline() plot.Timeline {
	v := m.viewNow(screen.Frame{Now: m.now})
	if m.zoom >= 0 {
		return v.zoomTimeline(m.w - 2)
	}
	w := m.w - 2
	if m.w >= wideFrom {
		w = (m.w-1)/2 - 1
	}
	return v.geometryAt(w).timeline
}

// rescale changes how much time the charts show, from old to custom or else what the window says; around keeps its place on
// the screen.
func (m *Model) rescale(old, custom time.Duration, around time.Time) tea.Cmd {
	m.young, m.custom = false, custom
	if m.cursor.mode == frozen && m.snap != nil && !m.snap.at.IsZero() {
		length := m.spanLength()
		right := float64(m.cursor.end.Sub(around)) / float64(old)
		m.cursor.end = m.fitEnd(around.Add(time.Duration(right*float64(length))), length)
		if m.cursor.end.Before(m.cursor.at) {
			m.cursor.end = m.cursor.at
		}
	}
	return m.restart()
}
