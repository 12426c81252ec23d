package live

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes"
	"pitwall/sessions"
	"pitwall/ui/screen"
)

// Update takes a message.
func (m *Model) Update(msg tea.Msg) tea.Cmd {
	if cmd, used := m.bar.Update(msg); used {
		return cmd
	}
	switch msg := msg.(type) {
	case screen.Tick:
		return m.tick(msg.Now)
	case screen.Size:
		m.w, m.h = msg.W, msg.H
	case screen.Resumed:
		m.now = msg.Now
		return m.restart()
	case screen.Recording:
		m.reader, m.snap, m.history = msg.Reader, nil, nil
		m.events, m.known, m.readAll, m.episodes, m.happened, m.deaths = nil, time.Time{}, time.Time{}, nil, nil, nil
		return m.restart()
	case answer:
		return m.take(msg)
	case past:
		return m.takePast(msg)
	case compared:
		m.takeCompared(msg)
	case standing:
		m.takeStanding(msg)
	case added:
		return tea.Batch(m.Reload(), func() tea.Msg { return msg.said })
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
	from        time.Time // of events
	events      []probes.Event
	runs        []sessions.Run
}

// look asks how the recording stands.
func (m *Model) look() tea.Cmd {
	if m.reader == nil || m.looking {
		return nil
	}
	m.looking = true
	r, gen, from := m.reader, m.gen, m.eventsFrom()
	return func() tea.Msg {
		s := standing{gen: gen, info: r.Info(), from: from, runs: r.Runs()}
		s.first, s.last = r.Bounds()
		s.events = r.Events(from, s.last)
		return s
	}
}

func (m *Model) takeStanding(s standing) {
	m.looking = false
	if s.gen != m.gen || m.snap == nil {
		return
	}
	now := *m.snap
	now.info, now.last, now.runs = s.info, s.last, s.runs
	m.snap = &now
	m.keepEvents(s.events, s.from, s.last)
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
	m.aim()
	m.keepEvents(a.snap.lastEvents, a.snap.eventsFrom, a.snap.last)
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
	m.cursor.at = within(m.cursor.at, m.snap.first, m.snap.last)
	if m.cursor.end.IsZero() {
		// It was put there before anything was known of the session.
		m.cursor.end = m.cursor.at.Add(m.spanLength() / 2)
	}
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
	for _, p := range m.questions() {
		for _, q := range p.queries {
			if !q.chart && !(q.heat && m.zoom >= 0 && m.panels[m.zoom].id == p.id) {
				continue
			}
			for _, x := range s.values[q.id] {
				if key := historyKey(q, x.Metric); m.mayKeep(q, key) {
					m.ringOf(key).add(s.at, x.F)
				}
			}
		}
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
