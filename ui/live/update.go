package live

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes"
	"pitwall/sessions"
	"pitwall/ui/screen"
)

// Update takes a message.
func (m *Model) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case screen.Tick:
		return m.tick(msg.Now)
	case screen.Size:
		m.w, m.h = msg.W, msg.H
	case screen.Resumed:
		m.now = msg.Now
		return m.restart()
	case screen.Recording:
		m.reader, m.snap, m.events, m.history = msg.Reader, nil, nil, nil
		return m.restart()
	case answer:
		return m.take(msg)
	case past:
		return m.takePast(msg)
	case compared:
		m.takeCompared(msg)
	case standing:
		m.takeStanding(msg)
	case done:
		m.busy = ""
		return m.finish(msg)
	}
	return nil
}

// tick asks what has to be asked again now that time has passed.
func (m *Model) tick(now time.Time) tea.Cmd {
	passed := now.Sub(m.now)
	m.now = now
	switch m.cursor.mode {
	case playing:
		m.advance(passed)
		return m.ask()
	case frozen:
		// The numbers stay what they were; how the recording goes on does not.
		if m.snap != nil && m.snap.info.Recording != sessions.Saved && now.Sub(m.stood) >= m.every-200*time.Millisecond {
			m.stood = now
			return m.look()
		}
		return nil
	}
	if now.Sub(m.asked) < m.every-200*time.Millisecond {
		return nil
	}
	return m.ask()
}

// standing is how the recording goes on while the cursor is elsewhere.
type standing struct {
	gen         uint64
	info        sessions.Info
	first, last time.Time
}

// look asks how the recording stands.
func (m *Model) look() tea.Cmd {
	if m.reader == nil || m.looking {
		return nil
	}
	m.looking = true
	r, gen := m.reader, m.gen
	return func() tea.Msg {
		s := standing{gen: gen, info: r.Info()}
		s.first, s.last = r.Bounds()
		return s
	}
}

func (m *Model) takeStanding(s standing) {
	m.looking = false
	if s.gen != m.gen || m.snap == nil {
		return
	}
	now := *m.snap
	now.info, now.last = s.info, s.last
	m.snap = &now
}

// take files an answer, unless something else has been asked for since.
func (m *Model) take(a answer) tea.Cmd {
	if a.gen != m.gen {
		return nil
	}
	m.fetching = false
	if m.cursor.mode == live && !a.snap.asked.IsZero() {
		return m.ask() // it was asked before the cursor came back
	}
	gone := m.snap != nil && !a.snap.at.IsZero() && a.snap.at.Sub(m.snap.at) > m.every+3*time.Second
	fresh := m.snap == nil || a.snap.at.After(m.snap.at)
	m.snap = a.snap
	m.keepEvents(a.snap)
	if n := len(m.snap.gpus); m.gpu >= n {
		m.gpu = max(n-1, 0)
	}
	if m.snap.at.IsZero() {
		return nil
	}
	if m.cursor.mode != live {
		return m.taken()
	}
	if m.filling {
		m.waiting = append(m.waiting, a.snap)
	}
	length := m.spanLength()
	switch {
	case m.history == nil, slotFor(length) != m.slot, gone && fresh:
		// It was never asked for, the session outgrew its slots, or ticks went by unseen.
		m.stale = true
	default:
		m.length = length
	}
	if m.history != nil && fresh {
		m.remember(a.snap)
	}
	if age := a.snap.at.Sub(a.snap.first); m.young && age >= windows[1].length/2 {
		m.young, m.window = false, 1
		m.stale = true
	}
	if m.stale {
		return m.fill()
	}
	return nil
}

// taken goes on after an answer about a moment of the past: the cursor may have moved since, and the charts may be of
// another span.
func (m *Model) taken() tea.Cmd {
	if m.cursor.mode == playing {
		if m.stale || !m.spanEnd().Equal(m.until) {
			return m.fill()
		}
		return nil
	}
	if m.cursor.end.IsZero() {
		m.cursor.end = m.snap.last // it was put there before anything was known of the session
	}
	m.cursor.at = within(m.cursor.at, m.snap.first, m.snap.last)
	m.cursor.end = m.fitEnd(m.cursor.end, m.spanLength())
	var fill, again tea.Cmd
	if m.stale || m.history == nil || !m.cursor.end.Equal(m.until) || m.spanLength() != m.length {
		fill = m.fill()
	}
	if !m.cursor.at.Equal(m.snap.at) {
		again = m.ask()
	}
	return tea.Batch(again, fill)
}

// remember adds a tick's numbers to the histories.
func (m *Model) remember(s *snapshot) {
	for _, p := range m.panels {
		for _, q := range p.queries {
			if !q.chart && !(q.heat && m.zoom >= 0 && m.panels[m.zoom].id == p.id) {
				continue
			}
			for _, x := range s.values[q.id] {
				m.ringOf(historyKey(q, x.Metric)).add(s.at, x.F)
			}
		}
	}
}

// maxEvents bounds what is kept of the events; the reader has them all.
const maxEvents = 2000

// keepEvents adds those that are new. The last seconds are asked for twice, because an event may be stamped before the
// tick that brings it.
func (m *Model) keepEvents(s *snapshot) {
	if s.allEvents {
		// Those that were kept may be of another moment.
		m.events = s.lastEvents
		m.reasons = make(map[string]string)
	}
	for _, e := range s.lastEvents {
		if !s.allEvents {
			known := slices.ContainsFunc(m.events[max(len(m.events)-64, 0):], func(k probes.Event) bool {
				return k.Time.Equal(e.Time) && k.Kind == e.Kind && k.Subject == e.Subject && k.Title == e.Title
			})
			if !known {
				m.events = append(m.events, e)
			}
		}
		if e.Kind == probes.KindEngineState && !e.Time.After(s.at) {
			m.reasons[e.Subject] = e.Attrs["reason"]
		}
	}
	slices.SortStableFunc(m.events, func(a, b probes.Event) int { return a.Time.Compare(b.Time) })
	if len(m.events) > maxEvents {
		m.events = slices.Clone(m.events[len(m.events)-maxEvents:])
	}
}

// done is the end of an action.
type done struct {
	what   string
	err    error
	reader sessions.Reader
}

// act runs an action in the background.
func (m *Model) act(what string, f func(ctx context.Context) (sessions.Reader, error)) tea.Cmd {
	m.busy = what
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		r, err := f(ctx)
		return done{what, err, r}
	}
}

// finish says how an action ended, and goes on with the reader it brought. A reader may come with an error: a recording
// that could not be handed over goes on here, in a new session.
func (m *Model) finish(d done) tea.Cmd {
	say := func() tea.Msg { return screen.Say{Text: d.what + ": done"} }
	if d.err != nil {
		text := d.what + ": " + d.err.Error()
		say = func() tea.Msg { return screen.Say{Text: text, Bad: true} }
	}
	if d.reader == nil {
		return tea.Batch(say, m.ask())
	}
	// The reader that was in use till now may still be answering; whoever made it closes it.
	return tea.Batch(say, func() tea.Msg { return screen.Recording{Reader: d.reader} })
}
