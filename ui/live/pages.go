package live

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/prometheus/common/model"

	"pitwall/ui/keys"
	form "pitwall/ui/panel"
)

// standard are the panels drawn in Go, in the order of their digits. The first page has a layout of its own as long as it
// shows just these.
func standard() []string { return []string{"queue", "latency", "throughput", "cache", "gpu", "host"} }

// usePages takes the book's pages and stays on the page that is shown, or goes to the one whose name is wanted.
func (m *Model) usePages(want string) {
	m.pages, m.bookVersion = m.book.Pages(), m.book.Version()
	if len(m.pages) == 0 {
		// Everything is hidden: the screen says so instead of being empty.
		m.pages = []form.Page{{Name: "no panels"}}
	}
	m.onPage = max(slices.IndexFunc(m.pages, func(p form.Page) bool { return p.Name == want }), 0)
	m.panels, m.behind = nil, nil
	for _, id := range m.pages[m.onPage].Panels {
		if s, ok := m.book.Panel(id); ok {
			m.panels = append(m.panels, fromForm(s))
		}
	}
	giveKeys(m.panels)
	for _, id := range standard() {
		if slices.ContainsFunc(m.panels, func(p panel) bool { return p.id == id && p.goes() }) {
			continue
		}
		s, ok := m.book.Panel(id)
		if !ok || !s.InGo() || s.Broken() != "" {
			s, _ = form.Builtin(id)
		}
		m.behind = append(m.behind, background(fromForm(s)))
	}
}

// background leaves of a panel that the page doesn't show what the top lines and the list of GPUs read of it. It keeps no
// history, and a number that another query's answer holds is asked for by itself: that answer is of hundreds of series.
func background(p panel) panel {
	var kept []query
	for _, q := range p.queries {
		switch q.id {
		case "running", "waiting", "kv", "decode", "prefill", "ttft_buckets", "cpu", "gpu_util", "gpu_power", "gpu_fb":
			q.name, q.chart, q.heat, q.total = "", false, false, false
			kept = append(kept, q)
		case "gpu_all":
			kept = append(kept, query{id: "gpu_limit", expr: enforcedLimit, by: model.MetricNameLabel, scope: gpuScope})
		}
	}
	p.queries = kept
	return p
}

// enforcedLimit is the metric of the power limit that the top line compares a GPU's power with.
const enforcedLimit = "DCGM_FI_DEV_ENFORCED_POWER_LIMIT"

// goes tells whether the panel is one of those drawn in Go.
func (p panel) goes() bool { return p.form.InGo() && p.form.Broken() == "" }

// giveKeys gives each panel the digit that it asks for, and the others those that are left, in their order.
func giveKeys(list []panel) {
	taken := map[string]bool{}
	for i := range list {
		if k := list[i].form.Key; k != "" && !taken[k] {
			list[i].key, taken[k] = k, true
		}
	}
	next := byte('1')
	for i := range list {
		for next <= '9' && taken[string(next)] {
			next++
		}
		if list[i].key == "" && next <= '9' {
			list[i].key, taken[string(next)] = string(next), true
		}
	}
}

// questions are the panels whose queries are put: those of the page, and behind them what the top lines read, whatever page
// is shown.
func (m *Model) questions() []panel { return append(slices.Clone(m.panels), m.behind...) }

// turn goes to the next page, or the one before.
func (m *Model) turn(by int) tea.Cmd {
	n := len(m.pages)
	return m.goTo(m.pages[(m.onPage+by+n)%n].Name)
}

func (m *Model) goTo(page string) tea.Cmd {
	m.usePages(page)
	m.focus, m.zoom, m.scroll = -1, -1, 0
	return m.restart()
}

// Reload takes pages and panels from the book again where it has changed, staying on the page that is shown.
func (m *Model) Reload() tea.Cmd {
	if m.book.Version() == m.bookVersion {
		return nil
	}
	return m.goTo(m.pages[m.onPage].Name)
}

// pageKeys are the keys for pages and the digits.
func (m *Model) pageKeys(nothing func() string) []keys.Binding {
	one := func() string {
		if len(m.pages) < 2 {
			return "there is only one page"
		}
		return nothing()
	}
	// Where one is must stand there, unless it is where one begins.
	pageRank, zoomRank := 2, 0
	if m.onPage > 0 || m.plan(m.w, m.h).Left > 0 {
		pageRank, zoomRank = 0, 1
	}
	list := []keys.Binding{
		{Keys: []string{"p"}, Show: "p P", Short: "page " + m.pageName(), Rank: pageRank, Help: "next page of panels; P is the one before", Group: "panels", Disabled: one,
			Run: func(string) tea.Cmd { return m.turn(1) }},
		{Keys: []string{"P"}, Help: "the page before", Group: "panels", Disabled: one, Run: func(string) tea.Cmd { return m.turn(-1) }},
	}
	var digits []string
	for _, p := range m.panels {
		if p.key != "" {
			digits = append(digits, p.key)
		}
	}
	slices.Sort(digits)
	if len(digits) == 0 {
		return list
	}
	show := digits[0]
	if len(digits) > 1 {
		show += "-" + digits[len(digits)-1]
	}
	zoom := keys.Binding{Keys: digits, Show: show, Short: "zoom", Rank: zoomRank, Help: "fill the screen with a panel: every number, formula and expression", Group: "panels", Disabled: nothing,
		Run: func(k string) tea.Cmd {
			return m.setZoom(slices.IndexFunc(m.panels, func(p panel) bool { return p.key == k }))
		}}
	return append([]keys.Binding{zoom}, list...)
}

// pageName is the page as the last line shows it: its place among the others, its name, and how many of its panels there is
// room for if there isn't for all.
func (m *Model) pageName() string {
	name := strings.TrimSpace(itoa(m.onPage+1) + "/" + itoa(len(m.pages)) + " " + m.pages[m.onPage].Name)
	if left := m.plan(m.w, m.h).Left; left > 0 {
		name += " (" + itoa(len(m.panels)-left) + " of " + itoa(len(m.panels)) + ")"
	}
	return name
}

// plan is the layout of the page that is shown.
func (m *Model) plan(w, h int) Plan {
	h -= m.barHeight(w, h)
	if m.isStandard() {
		s := m.shape()
		s.Bar = m.barHeight(m.w, m.h) > 0
		return Layout(w, h, s)
	}
	return m.pagePlan(w, h)
}

// isStandard tells whether the page shows just what the layout of the first page is made for.
func (m *Model) isStandard() bool {
	want := standard()
	if len(m.panels) != len(want) || m.pages[m.onPage].Columns != 0 || m.pages[m.onPage].Weights != nil {
		return false
	}
	for i, p := range m.panels {
		if p.id != want[i] || !p.goes() {
			return false
		}
	}
	return true
}

// pagePlan puts the panels of any page into rows and columns, the events below, and a time axis under the last chart of
// each column.
func (m *Model) pagePlan(w, h int) Plan {
	p := Plan{W: w, H: h}
	if w < MinW || h < MinH {
		p.TooSmall = true
		return p
	}
	p.Wide = w >= wideFrom
	lane := 0 // lines of events, with their title
	switch {
	case h >= 36:
		lane = 5
	case h >= 22:
		lane = 3
	}
	axis := 0 // a line for the time axis alone, where the load bar's title stands under the charts
	if lane == 0 && m.barHeight(m.w, m.h) > 0 {
		axis = 1
	}
	specs := make([]form.Spec, len(m.panels))
	for i, x := range m.panels {
		specs[i] = x.form
	}
	body := h - head - 1 - lane - axis
	places, left := form.Arrange(m.pages[m.onPage], specs, w, body)
	p.Left = len(left)
	lines := map[int]bool{}
	lastChart := map[int]form.Place{}
	for _, at := range places {
		x := m.panels[at.Panel]
		y := head + at.Y
		if !lines[y] {
			lines[y] = true
			p.Rows = append(p.Rows, Rect{0, y, w, 1})
		}
		p.Boxes = append(p.Boxes, Box{Rect: Rect{at.X, y + 1, at.W, at.H - 1}, Panel: x.id, TitleX: at.X, TitleW: at.W})
		if at.X > 1 {
			p.Cuts = append(p.Cuts, Rect{at.X - 1, y, 1, at.H + 1})
		}
		if hasAxis(x) {
			lastChart[at.Column] = at
		}
	}
	bottom := head + body
	if axis > 0 {
		p.Rows = append(p.Rows, Rect{0, bottom, w, 1})
		bottom++
	}
	if lane > 0 {
		p.Rows = append(p.Rows, Rect{0, bottom, w, 1})
		p.Boxes = append(p.Boxes, Box{Rect: Rect{1, bottom + 1, w - 2, lane - 1}, Panel: "events", TitleX: 1, TitleW: w - 2})
	}
	for _, at := range lastChart {
		// Without a lane of events the last line is that of the keys.
		if y := head + at.Y + at.H; y < h-1 {
			p.Axes = append(p.Axes, Rect{X: at.X, Y: y, W: at.W})
		}
	}
	slices.SortFunc(p.Axes, func(a, b Rect) int { return a.X - b.X })
	p.frame(bottom + lane)
	return p
}

// hasAxis tells whether a panel's chart lies on the time axis of its column.
func hasAxis(p panel) bool {
	if p.goes() {
		return true
	}
	return p.form.Broken() == "" && p.form.Charted() && p.form.Drawing() != form.DrawNumber
}
