package live

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/sessions"
	"pitwall/ui/figure"
	"pitwall/ui/keys"
	"pitwall/ui/moment"
	"pitwall/ui/overlay"
	"pitwall/ui/screen"
)

// rates are the lengths of time between two questions that + and - choose from.
var rates = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}

// timeKeys are the keys that choose the moment and the span.
func (m *Model) timeKeys(nothing func() string) []keys.Binding {
	move := func(f func(by int) tea.Cmd, by int) func(string) tea.Cmd {
		return func(string) tea.Cmd { return f(by) }
	}
	here := func() string {
		if why := nothing(); why != "" {
			return why
		}
		if m.cursor.mode == live {
			return "the cursor is there"
		}
		return ""
	}
	faster, slower := "ask more often (now every "+figure.Ago(m.every)+")", "ask less often"
	if m.cursor.mode == playing {
		faster, slower = "play faster", "play slower"
	}
	spaceHelp := "freeze: hold the moment while recording goes on; again goes back to LIVE"
	if m.replay {
		spaceHelp = "play on from the cursor; again freezes"
	}
	return []keys.Binding{
		{Keys: []string{"w"}, Short: "window " + m.windowName(), Help: "next length of time: 1m, 5m, 15m, 1h, 6h, whole session", Group: "time",
			Run: func(string) tea.Cmd { return m.nextWindow(1, true) }},
		{Keys: []string{"space"}, Short: m.spaceWord(), Help: spaceHelp, Group: "time", Disabled: nothing,
			Run: func(string) tea.Cmd { return m.space() }},
		{Keys: []string{"left", ","}, Show: "← ,", Help: "the cursor one column of the charts back", Group: "time", Disabled: nothing, Run: move(m.step, -1)},
		{Keys: []string{"right", "."}, Show: "→ .", Help: "the cursor one column on", Group: "time", Disabled: nothing, Run: move(m.step, 1)},
		{Keys: []string{"shift+left", "pgup", "b"}, Show: "b pgup", Help: "half a window back", Group: "time", Disabled: nothing, Run: move(m.half, -1)},
		{Keys: []string{"shift+right", "pgdown", "f"}, Show: "f pgdn", Help: "half a window on", Group: "time", Disabled: nothing, Run: move(m.half, 1)},
		{Keys: []string{"home", "H"}, Show: "H home", Help: "the session's beginning", Group: "time", Disabled: nothing, Run: func(string) tea.Cmd { return m.jump(m.snap.first) }},
		{Keys: []string{"end", "G"}, Show: "G", Short: m.endWord(), Rank: 1, Help: "(or the key end) back to LIVE; of a saved session, to its end", Group: "time", Disabled: here,
			Run: func(string) tea.Cmd { return m.toEnd() }},
		{Keys: []string{"n"}, Help: "the next event", Short: "event", Show: "n N", Rank: 3, Group: "time", Disabled: nothing, Run: move(m.nextEvent, 1)},
		{Keys: []string{"N"}, Help: "the event before", Group: "time", Disabled: nothing, Run: move(m.nextEvent, -1)},
		{Keys: []string{"v"}, Short: "events", Help: "all events: search, filter, go to one; its cause and evidence", Group: "time", Rank: 2, Disabled: nothing,
			Run: func(string) tea.Cmd { return open(newEventList(m)) }},
		{Keys: []string{"t"}, Short: "time", Rank: 4, Help: "type a time: " + moment.Hint, Group: "time", Disabled: nothing, Run: func(string) tea.Cmd { return m.askTime() }},
		{Keys: []string{"x"}, Help: "mark this time; the second one shows the change between them in every panel", Group: "time", Disabled: nothing,
			Run: func(string) tea.Cmd { return m.setMark() }},
		{Keys: []string{"X"}, Help: "clear the marked times", Group: "time", Disabled: func() string {
			if len(m.marks) == 0 {
				return "no time is marked: x marks one"
			}
			return ""
		}, Run: func(string) tea.Cmd { return m.clearMarks() }},
		{Keys: []string{"["}, Help: "shorter window", Group: "time", Run: func(string) tea.Cmd { return m.nextWindow(-1, false) }},
		{Keys: []string{"]"}, Help: "longer window", Group: "time", Run: func(string) tea.Cmd { return m.nextWindow(1, false) }},
		{Keys: []string{"+", "="}, Show: "+", Help: faster, Group: "time", Run: func(string) tea.Cmd { return m.faster(1) }},
		{Keys: []string{"-"}, Help: slower, Group: "time", Run: func(string) tea.Cmd { return m.faster(-1) }},
	}
}

func (m *Model) spaceWord() string {
	switch {
	case m.cursor.mode == playing:
		return "freeze"
	case m.cursor.mode == frozen && m.replay:
		return "play"
	case m.cursor.mode == frozen:
		return "LIVE"
	}
	return "freeze"
}

func (m *Model) endWord() string {
	switch {
	case m.cursor.mode == live || m.cursor.mode == frozen && !m.replay:
		return ""
	case m.growing():
		return "LIVE"
	}
	return "end"
}

// space freezes; again, it goes on as it was: live, or playing.
func (m *Model) space() tea.Cmd {
	switch {
	case m.cursor.mode != frozen:
		return m.freeze()
	case m.replay && !(m.recording() == sessions.Saved && !m.cursor.at.Before(m.snap.last)):
		return m.play(m.speed)
	case m.replay:
		return func() tea.Msg {
			return screen.Say{Text: "the session ends here; home and space play it from its beginning"}
		}
	}
	return m.goLive()
}

// toEnd goes to the newest tick: live, or the end of what is saved.
func (m *Model) toEnd() tea.Cmd {
	if m.growing() {
		return m.goLive()
	}
	return m.jump(m.snap.last)
}

// nextWindow goes to the next longer or shorter window; around begins anew after the longest.
func (m *Model) nextWindow(by int, around bool) tea.Cmd {
	i := m.window
	if m.custom != 0 {
		// From a length in between, to its neighbour.
		i = windowFor(m.custom)
		if by > 0 {
			i--
		}
	}
	i += by
	if around {
		i = (i + len(windows)) % len(windows)
	}
	i = min(max(i, 0), len(windows)-1)
	if i == m.window && m.custom == 0 {
		return nil
	}
	old := m.spanLength()
	m.window = i
	return m.rescale(old, 0, m.shown())
}

// faster asks more often, or plays faster.
func (m *Model) faster(by int) tea.Cmd {
	if m.cursor.mode == playing {
		i := 0
		for i < len(speeds)-1 && speeds[i] < m.cursor.speed {
			i++
		}
		m.speed = speeds[min(max(i+by, 0), len(speeds)-1)]
		m.cursor.speed = m.speed
		return nil
	}
	i := slices.Index(rates, m.every) - by
	if i < 0 || i >= len(rates) {
		return nil
	}
	m.every = rates[i]
	text := "asks every " + figure.Ago(m.every)
	return func() tea.Msg { return screen.Say{Text: text} }
}

// askTime opens the box in which a time is typed.
func (m *Model) askTime() tea.Cmd {
	read := func(text string) (time.Time, string, error) {
		r, err := moment.Parse(text, moment.Session{First: m.snap.first, Last: m.snap.last})
		if err != nil {
			return time.Time{}, err.Error(), err
		}
		at := within(r.At.Truncate(time.Second), m.snap.first, m.snap.last)
		says := at.Local().Format("2006-01-02 15:04:05") + " · " + into(at.Sub(m.snap.first)) + " in · " + r.How
		switch {
		case r.At.After(m.snap.last.Add(time.Second)):
			says = "after the last tick, which is " + says
		case r.At.Before(m.snap.first.Add(-time.Second)):
			says = "before the first tick, which is " + says
		}
		return at, says, nil
	}
	return open(overlay.NewAsk(overlay.AskOptions{
		Title: "go to a time", Placeholder: "-10m", Hint: moment.Hint, Enter: "go there",
		Explain: func(text string) (string, bool) {
			_, says, err := read(text)
			return says, err == nil
		},
		Done: func(text string) tea.Cmd {
			at, _, err := read(text)
			if err != nil {
				return nil
			}
			return m.jump(at)
		},
	}))
}

// shown is the time that is shown.
func (m *Model) shown() time.Time { return m.viewNow(screen.Frame{Now: m.now}).now }
