package live

import (
	"cmp"
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
		m.now = msg.Now
		if m.paused || m.now.Sub(m.asked) < m.every-200*time.Millisecond {
			return nil
		}
		return m.ask()
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
	case done:
		m.busy = ""
		return m.finish(msg)
	}
	return nil
}

// take files an answer, unless something else has been asked for since.
func (m *Model) take(a answer) tea.Cmd {
	if a.gen != m.gen {
		return nil
	}
	m.fetching = false
	if m.paused {
		return nil
	}
	gone := m.snap != nil && !a.snap.at.IsZero() && a.snap.at.Sub(m.snap.at) > m.every+3*time.Second
	fresh := m.snap == nil || a.snap.at.After(m.snap.at)
	m.snap, m.length = a.snap, cmp.Or(a.length, m.length)
	switch {
	case a.history != nil:
		m.history, m.slot, m.stale = a.history, a.slot, false
	case a.slot != 0 && a.slot != m.slot, gone:
		// The session outgrew its slots, or ticks went by unseen: ask for the history again.
		m.stale = true
	}
	if m.history != nil && fresh {
		m.remember(a.snap)
	}
	m.keepEvents(a.snap.lastEvents)
	if n := len(m.snap.gpus); m.gpu >= n {
		m.gpu = max(n-1, 0)
	}
	if age := a.snap.at.Sub(a.snap.first); m.young && age >= windows[1].length/2 {
		m.young, m.window = false, 1
		return m.restart()
	}
	if m.stale && !a.snap.at.IsZero() && a.history == nil {
		return m.ask()
	}
	return nil
}

// remember adds a tick's numbers to the histories.
func (m *Model) remember(s *snapshot) {
	for _, p := range m.panels {
		for _, q := range p.queries {
			if !q.chart && !(q.heat && m.zoom >= 0 && m.panels[m.zoom].id == p.id) {
				continue
			}
			for _, x := range s.values[q.id] {
				key := historyKey(q, x.Metric)
				if m.history[key] == nil {
					m.history[key] = newRing(m.slot, int(m.length/m.slot)+slotsPerWindow/4)
				}
				m.history[key].add(s.at, x.F)
			}
		}
	}
}

// maxEvents bounds what is kept of the events; the reader has them all.
const maxEvents = 2000

// keepEvents adds those that are new. The last seconds are asked for twice, because an event may be stamped before the
// tick that brings it.
func (m *Model) keepEvents(list []probes.Event) {
	for _, e := range list {
		known := slices.ContainsFunc(m.events[max(len(m.events)-64, 0):], func(k probes.Event) bool {
			return k.Time.Equal(e.Time) && k.Kind == e.Kind && k.Subject == e.Subject && k.Title == e.Title
		})
		if !known {
			m.events = append(m.events, e)
		}
	}
	slices.SortStableFunc(m.events, func(a, b probes.Event) int { return a.Time.Compare(b.Time) })
	if len(m.events) > maxEvents {
		m.events = slices.Clone(m.events[len(m.events)-maxEvents:])
	}
	for _, e := range list {
		if e.Kind == probes.KindEngineState {
			m.reasons[e.Subject] = e.Attrs["reason"]
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
