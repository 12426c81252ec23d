package live

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/ui/plot"
	"pitwall/ui/screen"
)

// Click handles a click: a moment in a chart puts the cursor there, an event goes to it, a panel's title zooms it, a key on the
// last line is pressed.
func (m *Model) Click(x, y int) tea.Cmd {
	m.dragging = false
	if y == m.h-1 {
		for _, it := range footer(m.Keys(), m.w) {
			if x >= it.x && x < it.x+it.w && it.binding.Reason() == "" && it.binding.Short != "zoom" {
				return it.binding.Run(it.binding.Keys[0])
			}
		}
		return nil
	}
	if m.snap == nil || m.snap.at.IsZero() {
		return nil
	}
	if m.zoom >= 0 && y == head {
		return m.setZoom(-1)
	}
	if e, ok := m.eventAt(x, y); ok {
		return m.jump(e)
	}
	if m.zoom < 0 {
		plan := m.plan(m.w, m.h)
		for _, b := range plan.Boxes {
			if b.Panel == "events" || b.Panel == "engine" {
				continue
			}
			if y == b.Y-1 && x >= b.TitleX && x < b.TitleX+b.TitleW {
				return m.setZoom(m.panelIndex(b.Panel))
			}
			if b.Panel == "gpu" && len(m.snap.gpus) > 1 && x >= b.X && x < b.X+axisW && y > b.Y && y <= b.Y+len(m.snap.gpus) {
				m.gpu = min(y-b.Y-1, len(m.snap.gpus)-1)
				return nil
			}
		}
	}
	if at, _, ok := m.timeAt(x, y); ok {
		m.dragging = true
		return m.jump(at)
	}
	return nil
}

// Drag moves the cursor along with a pointer whose button went down in a chart.
func (m *Model) Drag(x, y int) (cmd tea.Cmd, used bool) {
	if !m.dragging || m.snap == nil || m.snap.at.IsZero() {
		return nil, false
	}
	at, _, ok := m.timeAt(x, y)
	if !ok || at.Equal(m.cursor.at) {
		return nil, false
	}
	return m.jump(at), true
}

// Wheel zooms time around the pointer where there is a chart, by a quarter a notch; elsewhere it is the keys up and down. by is
// below zero for the wheel turned up: nearer.
func (m *Model) Wheel(x, y, by int) (cmd tea.Cmd, used bool) {
	if m.snap == nil || m.snap.at.IsZero() {
		return nil, false
	}
	_, exact, ok := m.timeAt(x, y)
	if !ok {
		return nil, false
	}
	old := m.spanLength()
	length := old * 4 / 5
	if by > 0 {
		length = old * 5 / 4
	}
	all := max(m.snap.last.Sub(m.snap.first), time.Minute)
	length = min(max(length.Truncate(time.Second), shortest), all)
	if length == old {
		return nil, true
	}
	return m.rescale(old, length, exact), true
}

// timeAt gives the moment that a cell of a chart or of a time axis stands for: the last whole second of its column, and its
// middle.
func (m *Model) timeAt(x, y int) (at, middle time.Time, ok bool) {
	v := m.viewNow(screen.Frame{Now: m.now})
	in := func(t plot.Timeline, left int) bool {
		c := x - left
		if c < 0 || c >= t.Columns {
			return false
		}
		end := t.Begin().Add(time.Duration(c+1) * t.Step)
		at, middle, ok = end.Add(-1).Truncate(time.Second), end.Add(-t.Step/2), true
		return true
	}
	if m.zoom >= 0 {
		in(v.zoomTimeline(m.w-2), 1+axisW+1)
		return at, middle, ok
	}
	plan := m.plan(m.w, m.h)
	for _, a := range plan.Axes {
		if y == a.Y && x >= a.X && x < a.X+a.W && in(v.geometryAt(a.W).timeline, a.X+axisW) {
			return at, middle, ok
		}
	}
	for _, b := range plan.Boxes {
		if !m.charted(b.Panel) || x < b.X || x >= b.X+b.W || y < b.Y || y >= b.Y+b.H {
			continue
		}
		in(v.geometryAt(b.W).timeline, b.X+axisW)
		return at, middle, ok
	}
	return at, middle, false
}

// charted tells whether a box of the layout has a chart on a time axis.
func (m *Model) charted(id string) bool {
	i := slices.IndexFunc(m.panels, func(p panel) bool { return p.id == id })
	return i >= 0 && hasAxis(m.panels[i]) && !(id == "host" && m.w < wideFrom)
}

// eventAt gives the moment of the event under a cell: a line of the list, or a sign on a time axis.
func (m *Model) eventAt(x, y int) (time.Time, bool) {
	if m.zoom >= 0 {
		return time.Time{}, false
	}
	v := m.viewNow(screen.Frame{Now: m.now})
	plan := m.plan(m.w, m.h)
	for _, b := range plan.Boxes {
		if list := inOrder(m.episodes); b.Panel == "events" && y >= b.Y && y < b.Y+b.H && y-b.Y < len(list) {
			return momentOf(list[y-b.Y]), true
		}
	}
	for _, a := range plan.Axes {
		if y != a.Y || x < a.X || x >= a.X+a.W {
			continue
		}
		for _, k := range v.marks(v.geometryAt(a.W).timeline) {
			if k.column >= 0 && a.X+axisW+k.column == x {
				return momentOf(k.e), true
			}
		}
	}
	return time.Time{}, false
}
