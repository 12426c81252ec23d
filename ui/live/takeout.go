package live

import (
	"cmp"
	"path/filepath"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/sessions"
	"pitwall/ui/browse"
	"pitwall/ui/capture"
	"pitwall/ui/figure"
	"pitwall/ui/keys"
	form "pitwall/ui/panel"
	"pitwall/ui/screen"
)

// outKeys are the keys that look beyond the panels, and those that take something out of the screen.
func (m *Model) outKeys(nothing func() string) []keys.Binding {
	return []keys.Binding{
		{Keys: []string{"/"}, Short: "series", Rank: 3, Help: "every recorded series: find, chart, add to a page", Group: "what is shown", Disabled: nothing,
			Run: func(string) tea.Cmd { return m.openBrowser() }},
		{Keys: []string{"y"}, Help: "copy the numbers of the focused or zoomed panel (OSC 52: to the clipboard of your own terminal)", Group: "panels", Disabled: func() string {
			if why := nothing(); why != "" {
				return why
			}
			if m.zoom < 0 && m.focus < 0 {
				return "no panel is focused: tab or a digit first"
			}
			return ""
		}, Run: func(string) tea.Cmd { return m.copyPanel() }},
		{Keys: []string{"S"}, Help: "save the screen as text, SVG or PNG", Group: "program", Run: func(string) tea.Cmd { return m.saveScreen() }},
	}
}

func (m *Model) openBrowser() tea.Cmd {
	o := browse.Options{Reader: m.reader, W: m.w, H: m.h, Window: m.length,
		At: func() (time.Time, bool) {
			// LIVE is the newest tick that was answered, so that the box shows what stands under it.
			if m.snap == nil {
				return time.Time{}, true
			}
			return m.snap.at, m.cursor.mode == live && m.recording() != sessions.Saved
		}}
	if o.Add = m.addChart; m.book.UserFile() == "" {
		o.Add, o.CannotAdd = nil, form.ErrNoFile.Error()
	}
	return open(browse.New(o))
}

// added says that a panel was put on a page.
type added struct{ said screen.Say }

// addChart puts what the browser charts on the page that is shown, in the user's file; on one of its own if that is the
// page of the panels drawn in Go, which has a layout of its own.
func (m *Model) addChart(c browse.Chart) tea.Cmd {
	book, page := m.book, m.pages[m.onPage].Name
	if m.isStandard() {
		page = "mine"
	}
	spec := form.Spec{Title: c.Title, Unit: c.Unit, Draw: c.Draw, Scope: form.ScopeAny, Queries: []form.Query{{Expr: c.Expr, Legend: c.Legend}}}
	return func() tea.Msg {
		if err := book.Add(page, spec); err != nil {
			return added{screen.Say{Text: err.Error(), Bad: true}}
		}
		return added{screen.Say{Text: c.Title + " is on page " + page + " (p), in " + book.UserFile()}}
	}
}

// copyPanel gives the numbers of the focused panel to the terminal's clipboard.
func (m *Model) copyPanel() tea.Cmd {
	t := m.table(m.panels[m.looked()])
	text, cut := capture.Fit(t.TSV())
	said := t.Title + ": " + capture.Copied(len(t.Rows), cut)
	return tea.Batch(tea.SetClipboard(text), func() tea.Msg { return screen.Say{Text: said} })
}

// table gives a panel's numbers as they stand on the screen, with the expressions they come from.
func (m *Model) table(p panel) capture.Table {
	v := m.viewNow(screen.Frame{Now: m.now})
	t := capture.Table{Title: p.title, At: m.snap.at, Columns: []string{"row", "value", "note", "max " + m.windowName()}}
	if e, ok := m.snap.chosen(); ok {
		t.Of = e.instance
	}
	t.Of = join(t.Of, m.snap.info.ID)
	for _, r := range v.rowsOf(p.rows) {
		t.Rows = append(t.Rows, []string{r.label, r.text(), r.note, r.right})
	}
	if m.snap.window > 0 {
		t.Notes = append(t.Notes, "rates over "+figure.Ago(m.snap.window))
	}
	for _, q := range p.queries {
		if ex := cmp.Or(m.snap.exprs[q.id], q.expr); ex != "" {
			t.Notes = append(t.Notes, cmp.Or(q.legend, q.id)+": "+ex)
		}
	}
	return t
}

// saveScreen offers the screen as a file beside the session's, or in the home directory where there is none.
func (m *Model) saveScreen() tea.Cmd {
	dir, name := "~", "pitwall"
	at := m.now
	if m.snap != nil {
		if p := m.snap.info.Path; p != "" && filepath.IsAbs(p) {
			dir = filepath.Dir(p)
		}
		if m.snap.info.ID != "" {
			name += "-" + m.snap.info.ID
		}
		if !m.snap.at.IsZero() {
			at = m.snap.at
		}
	}
	path := dir + string(filepath.Separator) + name + "-" + at.Local().Format("150405")
	return func() tea.Msg { return screen.Save{Path: path} }
}

// looked is the panel that is zoomed or else focused.
func (m *Model) looked() int {
	if m.zoom >= 0 {
		return m.zoom
	}
	return max(m.focus, 0)
}
