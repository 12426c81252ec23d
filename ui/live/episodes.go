package live

import (
	"cmp"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes"
	"pitwall/sessions/events"
	"pitwall/ui/screen"
)

// eventsBack is how far back the events are asked for again: one may be stamped a little before the tick that brings it.
const eventsBack = 10 * time.Second

// maxEvents bounds what is kept of the events; the reader has them all.
const maxEvents = 50_000

// keepEvents adds the events that are new, up to the tick last, and folds them into episodes where that changes anything.
func (m *Model) keepEvents(list []probes.Event, last time.Time) {
	from := m.known.Add(-eventsBack)
	m.known = last
	fresh := 0
	for _, e := range list {
		old := false
		for i := len(m.events) - 1; i >= 0 && m.events[i].Time.After(from) && !old; i-- {
			k := m.events[i]
			old = k.Time.Equal(e.Time) && k.Kind == e.Kind && k.Subject == e.Subject && k.Title == e.Title
		}
		if !old {
			m.events = append(m.events, e)
			fresh++
		}
	}
	if fresh > 0 {
		slices.SortStableFunc(m.events, func(a, b probes.Event) int { return a.Time.Compare(b.Time) })
		if len(m.events) > maxEvents {
			m.events = slices.Clone(m.events[len(m.events)-maxEvents:])
		}
		m.happened = events.Fold(m.events, time.Time{}, last, last)
	}
	m.refold(fresh > 0)
}

// refold makes the episodes those of the moment that is shown. While live that is what is known now.
func (m *Model) refold(fresh bool) {
	at := m.snap.at
	switch {
	case m.cursor.mode == live:
		if !fresh && m.folded.IsZero() {
			return
		}
		m.episodes, m.folded, m.later = m.happened, time.Time{}, nil
		at = m.known
	case !fresh && m.folded.Equal(at):
		return
	default:
		m.episodes, m.folded = events.Fold(m.events, time.Time{}, at, at), at
		m.addLater(at)
	}
	m.deaths = deathsOf(m.episodes, m.later)
	m.reasons = make(map[string]string)
	for _, e := range m.events {
		if e.Kind == probes.KindEngineState && !e.Time.After(at) {
			m.reasons[e.Subject] = e.Attrs["reason"]
		}
	}
}

// addLater adds what had begun at a moment but was seen only after it: a stall is told when it has lasted a while. n leads to
// its beginning, so it has to stand there; nothing is said of how it went on.
func (m *Model) addLater(at time.Time) {
	type beginning struct {
		subject string
		start   time.Time
	}
	known := make(map[beginning]bool, len(m.episodes))
	for _, e := range m.episodes {
		known[beginning{e.Subject, e.Start}] = true
	}
	m.later = make(map[chosenEpisode]bool)
	for _, e := range m.happened {
		if e.Start.After(at) || known[beginning{e.Subject, e.Start}] {
			continue
		}
		e.Count, e.Active = 1, 0
		if !e.Moment {
			e.End = time.Time{}
		}
		m.later[chosenOf(e)] = true
		m.episodes = append(m.episodes, e)
	}
	slices.SortStableFunc(m.episodes, func(a, b events.Episode) int { return a.Start.Compare(b.Start) })
}

// stops gives the moments that n and N go to: where something began, the gravest of those at one moment.
func (m *Model) stops() []events.Episode {
	var out []events.Episode
	for _, e := range m.happened {
		if n := len(out); n > 0 && out[n-1].Start.Truncate(time.Second).Equal(e.Start.Truncate(time.Second)) {
			if e.Severity > out[n-1].Severity {
				out[n-1] = e
			}
			continue
		}
		out = append(out, e)
	}
	return out
}

// nextEvent moves the cursor to the nearest beginning of an event after it, or before it.
func (m *Model) nextEvent(by int) tea.Cmd {
	at := m.place()
	list := m.stops()
	best := -1
	for i, e := range list {
		to := momentOf(e)
		switch {
		case by > 0 && to.After(at) && best < 0:
			best = i
		case by < 0 && to.Before(at):
			best = i
		}
	}
	if best < 0 {
		text := "no event after this one"
		if by < 0 {
			text = "no event before this one"
		}
		if len(list) == 0 {
			text = "there is no event in this session"
		}
		return func() tea.Msg { return screen.Say{Text: text} }
	}
	return m.jump(momentOf(list[best]))
}

// momentOf is where the cursor goes for an episode: the first whole second at which it was there, so that the numbers are
// those with it.
func momentOf(e events.Episode) time.Time {
	at := e.Start.Truncate(time.Second)
	if at.Before(e.Start) {
		at = at.Add(time.Second)
	}
	return at
}

// inOrder sorts episodes for the list: what goes on and needs somebody first, then the newest.
func inOrder(list []events.Episode) []events.Episode {
	list = slices.Clone(list)
	pressing := func(e events.Episode) int {
		if e.Ongoing() && e.Severity > probes.Note {
			return int(e.Severity)
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b events.Episode) int {
		return cmp.Or(cmp.Compare(pressing(b), pressing(a)), b.Start.Compare(a.Start))
	})
	return list
}
