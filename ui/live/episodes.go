package live

import (
	"cmp"
	"slices"
	"sort"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes"
	"pitwall/sessions/events"
	"pitwall/ui/screen"
)

// eventsBack is how far back the events are asked for again: a rule tells that something is over when it has been away for a
// while, and stamps that with the moment when it was. A rule of one's own may tell it later still, so once every allAgain
// they are all asked for.
const (
	eventsBack = 2 * time.Minute
	allAgain   = time.Minute
)

// maxEvents bounds what is kept of the events; the reader has them all.
const maxEvents = 50_000

// eventsFrom is the moment after which the events are to be asked for.
func (m *Model) eventsFrom() time.Time {
	if m.known.IsZero() || m.now.Sub(m.readAll) >= allAgain {
		m.readAll = m.now
		return time.Time{}
	}
	return m.known.Add(-eventsBack)
}

// keepEvents takes the events after from, up to the tick last, and folds all into episodes where that changes anything.
func (m *Model) keepEvents(list []probes.Event, from, last time.Time) {
	m.known = last
	i := sort.Search(len(m.events), func(i int) bool { return m.events[i].Time.After(from) })
	if extra := len(m.events[:i]) + len(list) - maxEvents; extra > 0 {
		list = list[min(max(extra-i, 0), len(list)):]
		m.events, i = m.events[min(extra, i):], max(i-extra, 0)
	}
	fresh := !slices.EqualFunc(m.events[i:], list, func(a, b probes.Event) bool {
		return a.Time.Equal(b.Time) && a.Kind == b.Kind && a.Subject == b.Subject && a.Title == b.Title && a.Attrs["phase"] == b.Attrs["phase"]
	})
	if fresh {
		m.events = slices.Concat(m.events[:i], list)
		m.happened = events.Fold(m.events, time.Time{}, last, last)
	}
	m.refold(fresh)
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

// presses tells whether somebody should look at it as long as it lasts. That an engine came back is worth a look when it
// does, and not for the days that it then works.
func presses(e events.Episode) bool {
	return e.Severity > probes.Note && e.Kind != "engine.restarted" && e.Kind != "engine.ready"
}

// inOrder sorts episodes for the list: what goes on and needs somebody first, then the newest.
func inOrder(list []events.Episode) []events.Episode {
	list = slices.Clone(list)
	pressing := func(e events.Episode) int {
		if e.Ongoing() && presses(e) {
			return int(e.Severity)
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b events.Episode) int {
		return cmp.Or(cmp.Compare(pressing(b), pressing(a)), b.Start.Compare(a.Start))
	})
	return list
}
