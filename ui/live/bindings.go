package live

import (
	"context"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"pitwall/sessions"
	"pitwall/ui/figure"
	"pitwall/ui/keys"
	"pitwall/ui/load"
	"pitwall/ui/overlay"
	"pitwall/ui/screen"
)

// Keys lists what can be done now, in the order of the footer.
func (m *Model) Keys() []keys.Binding {
	nothing := func() string {
		if m.snap == nil || m.snap.at.IsZero() {
			return "nothing is recorded yet"
		}
		return ""
	}
	engineRank := 3 // a list of one is read, not chosen from
	if m.snap != nil && len(m.snap.engines) > 1 {
		engineRank = 1
	}
	list := append(m.timeKeys(nothing), m.pageKeys(nothing)...)
	list = append(list, m.loadKeys()...)
	list = append(list, []keys.Binding{
		{Keys: []string{"g"}, Short: "GPU", Rank: 2, Help: "choose the GPU that is shown large", Group: "what is shown", Disabled: func() string {
			switch n := m.gpuCount(); n {
			case 0:
				return "there is no GPU to choose"
			case 1:
				return "there is only one GPU"
			}
			return ""
		}, Run: func(string) tea.Cmd { return m.chooseGPU() }},
		{Keys: []string{"e"}, Short: "engine", Rank: engineRank, Help: "list the engines with their states and choose one", Group: "what is shown", Disabled: func() string {
			if m.snap == nil || len(m.snap.engines) == 0 {
				return "no engine was found"
			}
			return ""
		}, Run: func(string) tea.Cmd { return m.chooseEngine() }},
		{Keys: []string{"m"}, Short: "mark", Help: "put a mark with a note on every chart, kept in the session", Group: "recording", Disabled: m.cannotMark,
			Run: func(string) tea.Cmd { return m.openNote() }},
		{Keys: []string{"B"}, Short: "background", Help: "hand the recording over to a background recorder, so that it outlives this terminal", Group: "recording", Disabled: m.cannotHandOver,
			Run: func(string) tea.Cmd { return m.act("hand over the recording", m.actions.HandOver) }},
		{Keys: []string{"R"}, Short: m.takeWord(), Help: "record here: after the recorder died, or instead of one in the background", Group: "recording", Disabled: m.cannotTakeOver,
			Run: func(string) tea.Cmd { return m.takeOver() }},
		{Keys: []string{"tab"}, Help: "focus the next panel", Group: "panels", Disabled: nothing, Run: func(string) tea.Cmd { m.moveFocus(1); return nil }},
		{Keys: []string{"shift+tab", "T"}, Show: "T ⇧tab", Help: "focus the panel before", Group: "panels", Disabled: nothing, Run: func(string) tea.Cmd { m.moveFocus(-1); return nil }},
		{Keys: []string{"z", "enter"}, Show: "z enter", Help: "zoom the focused panel, and back", Group: "panels", Disabled: nothing, Run: func(string) tea.Cmd {
			if m.zoom >= 0 {
				return m.setZoom(-1)
			}
			return m.setZoom(max(m.focus, 0))
		}},
		{Keys: []string{"esc"}, Help: "back: leave the zoom, then the focus", Group: "panels", Run: func(string) tea.Cmd {
			if m.zoom >= 0 {
				return m.setZoom(-1)
			}
			m.focus = -1
			return nil
		}},
		{Keys: []string{"j", "down"}, Show: "j ↓", Help: "next GPU of the table; scroll down in a zoomed panel", Group: "what is shown", Run: func(string) tea.Cmd { m.move(1); return nil }},
		{Keys: []string{"k", "up"}, Show: "k ↑", Help: "GPU before; scroll up in a zoomed panel", Group: "what is shown", Run: func(string) tea.Cmd { m.move(-1); return nil }},
		{Keys: []string{"?", "f1"}, Show: "?", Short: "help", Help: "this list; type to search it", Group: "program", Run: func(string) tea.Cmd {
			return open(overlay.NewHelp(strings.TrimSpace("keys of pitwall "+m.version), m.Keys, helpNotes()))
		}},
		{Keys: []string{"M"}, Help: "mouse on and off; while it is on, most terminals select text only with shift held", Group: "program", Run: func(string) tea.Cmd {
			return func() tea.Msg { return screen.Mouse{} }
		}},
		{Keys: []string{"q"}, Short: "quit", Help: "quit; a recording of this console ends with it", Group: "program", Run: func(string) tea.Cmd { return tea.Quit }},
		{Keys: []string{"ctrl+c"}, Help: "quit at once", Group: "program", Run: func(string) tea.Cmd { return tea.Quit }},
		{Keys: []string{"ctrl+z"}, Help: "suspend; fg comes back", Group: "program", Run: func(string) tea.Cmd { return tea.Suspend }},
	}...)
	list = append(list, m.outKeys(nothing)...)
	if m.zoom >= 0 {
		// In a zoomed panel the way back comes first.
		i := slices.IndexFunc(list, func(b keys.Binding) bool { return b.Keys[0] == "esc" })
		back := list[i]
		back.Short = "back"
		list = append([]keys.Binding{back}, append(list[:i:i], list[i+1:]...)...)
	}
	return list
}

func helpNotes() []string {
	return append([]string{
		"— is a value that is not there; the reason stands beside it or in the zoomed panel. It is never a zero.",
		"≤ 25 ms is the bucket of the server's histogram that a percentile falls in: more is not known.",
		"Signs on the time axis: ● note  ◆ mark  ▲ warning  ✗ critical.",
		"Runs of load: ▸3 is where run 3 began, the line behind it is what is scored of it, ◂ is where load was stopped. L lists them with their numbers, flags and formulas.",
		"Everything has a plain letter or sign: arrows, function keys and the mouse are never needed.",
		"With the mouse on (--mouse or M): click a moment in a chart or drag the cursor along it, click an event, a title to zoom, a key on the last line; the wheel zooms time.",
		"Formulas of the load's numbers (the bar, the runs, the panels of the client):",
	}, load.Formulas()...)
}

func open(o screen.Overlay) tea.Cmd { return func() tea.Msg { return screen.Open{Overlay: o} } }

func (m *Model) takeWord() string {
	if r := m.recording(); r == sessions.RecorderDied || r == sessions.RecordingElsewhere && m.bar.Shown() && !m.replay {
		return "take over"
	}
	return ""
}

// takeOver goes on recording here. Of a recorder that lives it is asked first: that one ends.
func (m *Model) takeOver() tea.Cmd {
	take := func() tea.Cmd { return m.act("take the recording over", m.actions.TakeOver) }
	if m.recording() != sessions.RecordingElsewhere {
		return take()
	}
	pid := "pid " + itoa(m.snap.info.PID)
	return open(overlay.NewList("take the recording over from "+pid+"?", []overlay.Item{
		{Name: "leave it", Note: "it goes on in the background, and outlives this terminal"},
		{Name: "take it over", Note: pid + " ends; the same session goes on here, with load if you like, and ends with this console (B gives it back)"},
	}, 0, func(i int) tea.Cmd {
		if i == 0 {
			return nil
		}
		return take()
	}))
}

func (m *Model) gpuCount() int {
	if m.snap == nil {
		return 0
	}
	return len(m.snap.gpus)
}

func (m *Model) recording() sessions.Recording {
	if m.snap == nil {
		return sessions.Saved
	}
	return m.snap.info.Recording
}

func (m *Model) cannotMark() string {
	switch {
	case m.replay:
		return "a replay only reads: pitwall marks what it records"
	case m.actions == nil:
		return "this session is not being recorded"
	case m.busy != "":
		return "busy: " + m.busy
	case m.recording() == sessions.Saved:
		return "this session is not being recorded"
	case m.recording() == sessions.RecorderDied:
		return "the recorder died: R takes over first"
	}
	return ""
}

func (m *Model) cannotHandOver() string {
	switch {
	case m.replay:
		return "a replay only reads"
	case m.actions == nil:
		return "this session is not being recorded"
	case m.busy != "":
		return "busy: " + m.busy
	case m.recording() == sessions.RecordingElsewhere:
		return "another process records already: it outlives this terminal"
	case m.recording() != sessions.RecordingHere:
		return "nothing is recorded here: " + m.recording().String()
	}
	return ""
}

func (m *Model) cannotTakeOver() string {
	switch {
	case m.replay:
		return "a replay only reads"
	case m.actions == nil:
		return "this session is not being recorded"
	case m.busy != "":
		return "busy: " + m.busy
	case m.recording() == sessions.RecordingHere:
		return "this console records already"
	case m.recording() != sessions.RecorderDied && m.recording() != sessions.RecordingElsewhere:
		return "nobody recorded here: " + m.recording().String()
	}
	return ""
}

func (m *Model) setZoom(i int) tea.Cmd {
	if m.zoom == i {
		i = -1
	}
	m.zoom, m.scroll = i, 0
	if i < 0 {
		return nil
	}
	m.focus = i
	if slices.ContainsFunc(m.panels[i].queries, func(q query) bool { return q.zoom && q.chart || q.heat }) {
		return m.restart()
	}
	return nil
}

func (m *Model) moveFocus(by int) {
	n := len(m.panels)
	if m.focus < 0 && by < 0 {
		m.focus = 0
	}
	m.focus = (m.focus + by + n) % n
	if m.zoom >= 0 {
		m.zoom, m.scroll = m.focus, 0
	}
}

func (m *Model) move(by int) {
	if m.zoom >= 0 {
		m.scroll = max(m.scroll+by, 0)
		return
	}
	if n := m.gpuCount(); n > 1 {
		m.gpu = min(max(m.gpu+by, 0), n-1)
	}
}

func (m *Model) chooseGPU() tea.Cmd {
	var items []overlay.Item
	for _, g := range m.snap.gpus {
		i := itoa(g.index)
		note := join(m.snap.pair("gpu_util", "gpu", i).Text(figure.Whole)+" % kernel-active", m.snap.pair("gpu_power", "gpu", i).Text(figure.Whole)+" W", g.engine)
		items = append(items, overlay.Item{Name: "GPU " + i + "  " + strings.TrimPrefix(g.name, "NVIDIA "), Note: note})
	}
	return open(overlay.NewList("which GPU", items, m.gpu, func(i int) tea.Cmd { m.gpu = i; return nil }))
}

func (m *Model) chooseEngine() tea.Cmd {
	var items []overlay.Item
	for _, e := range m.snap.engines {
		st := m.condition(e)
		since := ""
		if !st.since.IsZero() {
			since = "for " + figure.Span(m.shown().Sub(st.since))
		}
		note := join(strings.TrimSpace(st.word+" "+since), engineTitle(e), e.model)
		if st.bad {
			note = join(note, st.reason)
		}
		items = append(items, overlay.Item{Name: e.instance, Note: note, Ink: st.ink, Sign: st.sign})
	}
	list := m.snap.engines
	return open(overlay.NewList("which engine", items, m.snap.engine, func(i int) tea.Cmd {
		m.wanted = list[i].instance
		m.history = nil
		return m.restart()
	}))
}

func (m *Model) openNote() tea.Cmd {
	title := "mark this moment"
	if m.cursor.mode != live {
		title = "mark now, not the moment of the cursor" // the recorder's clock is the only one that a mark can stand on
	}
	return open(overlay.NewNote(title, "what is happening?", func(note string) tea.Cmd {
		return m.act("mark", func(ctx context.Context) (sessions.Reader, error) { return nil, m.actions.Mark(ctx, note) })
	}))
}
