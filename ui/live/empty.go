package live

import (
	"slices"
	"strings"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// drawTooSmall is all that is drawn below the smallest size.
func drawTooSmall(p grid.Pane) {
	lines := []string{"pitwall needs " + itoa(MinW) + "x" + itoa(MinH), "this terminal is " + itoa(p.W()) + "x" + itoa(p.H()), "q quits"}
	if p.H() < 3 {
		p.Text(0, 0, theme.Warn, grid.Cut("pitwall: "+itoa(p.W())+"x"+itoa(p.H())+" is below "+itoa(MinW)+"x"+itoa(MinH), p.W()))
		return
	}
	y := (p.H() - len(lines)) / 2
	for i, l := range lines {
		l = grid.Cut(l, p.W())
		p.Text((p.W()-grid.Width(l))/2, y+i, []theme.Ink{theme.Strong, theme.Warn, theme.Dim}[i], l)
	}
}

// drawNothingYet is the first second: the frame stands, the panels say what will be in them.
func (v view) drawNothingYet(p grid.Pane, plan Plan) {
	e := newEdges(p.W(), p.H())
	e.across(0, head, p.W())
	e.across(0, p.H()-1, p.W())
	e.downward(0, head, p.H()-head)
	e.downward(p.W()-1, head, p.H()-head)
	e.draw(p, theme.Border)
	lines := []struct {
		text string
		ink  theme.Ink
	}{
		{"nothing recorded yet", theme.Strong},
		{"the first reading comes within a second or two", theme.Dim},
	}
	if v.s != nil && v.s.info.Trouble != "" {
		lines[1].text, lines[1].ink = v.s.info.Trouble, theme.Warn
	}
	y := head + (p.H()-head-len(lines))/2
	for i, l := range lines {
		t := grid.Cut(l.text, p.W()-4)
		p.Text((p.W()-grid.Width(t))/2, y+i, l.ink, t)
	}
}

// said is a line of a designed empty state.
type said struct {
	text string
	ink  theme.Ink
	cmd  bool // something to type
}

// drawNoEngine takes the place of the engine's panels: what was tried, what happens now, what to type.
func (v view) drawNoEngine(p grid.Pane) {
	e, ok := v.s.chosen()
	var lines []said
	add := func(ink theme.Ink, text string) { lines = append(lines, said{text: text, ink: ink}) }
	cmd := func(text string) { lines = append(lines, said{text: text, ink: theme.Key, cmd: true}) }
	gap := func() { lines = append(lines, said{}) }
	// next says what happens now, and which other engines are here.
	next := func() {
		if v.m.growing() {
			add(theme.Plain, "It is looked for every two seconds, and its panels open when it answers.")
			gap()
		}
		for _, other := range v.elsewhere(e.instance) {
			add(theme.Info, "An engine of this host listens on "+other+":")
			cmd("pitwall --engine http://" + other)
		}
	}
	if ok && e.state == "starting" {
		since := ""
		if !e.since.IsZero() {
			since = " for " + figure.Span(v.now.Sub(e.since))
		}
		add(theme.Info, string(stateOf(e.state).sign)+" "+e.instance+" is starting"+since)
		reason := v.m.reasons["engine/"+e.instance]
		if reason == "" {
			reason = "its process is there, its port is closed: it opens when the model is loaded and the KV cache allocated"
		}
		add(theme.Dim, reason)
		gap()
		for _, pr := range v.processes() {
			if pr.engine != "" && !sameEngine(pr.engine, e.instance) {
				continue // another engine's
			}
			name := pr.name()
			add(theme.Plain, grid.Cut(name, 16)+strings.Repeat(" ", max(17-grid.Width(grid.Cut(name, 16)), 1))+join("CPU "+pr.cpu.Text(figure.Percent)+" of a core", "RSS "+pr.rss.Text(figure.Bytes), "pid "+pr.pid))
			if len(lines) > p.H()-3 {
				break
			}
		}
		if s := v.s.fact("flags"); s != "" {
			add(theme.Dim, "started with "+s)
		}
		for _, name := range []string{"last_error", "log"} {
			if s := v.s.fact(name); s != "" {
				gap()
				add(theme.Dim, "last lines of its log")
				for _, l := range lastLines(s, 4) {
					add(theme.Plain, l)
				}
				break
			}
		}
		gap()
		add(theme.Dim, "Growing RSS and a busy core mean that it loads; a minute or more is usual for a large model. Its panels open by themselves.")
	} else if c := v.m.condition(e); ok && c.dead {
		add(theme.Bad, string(c.sign)+" "+e.instance+" is dead for "+figure.Span(v.now.Sub(c.since))+", since "+v.clock(c.since))
		add(theme.Plain, c.reason)
		gap()
		next()
		add(theme.Dim, "What it did until then: w shows more time, n and N go from event to event.")
	} else {
		add(theme.Warn, string(stateOf("no_engine").sign)+" no engine found")
		tried := v.m.tried
		if ok {
			tried = slices.DeleteFunc(slices.Clone(tried), func(t string) bool { return strings.TrimSuffix(t, "/") == "http://"+e.instance })
			tried = append([]string{e.instance}, tried...)
			if r := v.m.reasons["engine/"+e.instance]; r != "" {
				tried[0] = e.instance + ": " + r
			}
		}
		if len(tried) == 0 {
			tried = []string{"the ports of local vLLM processes", "http://127.0.0.1:8000"}
		}
		for i, t := range tried {
			label := "tried  "
			if i > 0 {
				label = "       "
			}
			add(theme.Dim, label+t)
		}
		gap()
		next()
		add(theme.Dim, "It listens elsewhere:")
		cmd("pitwall --engine http://HOST:PORT")
		add(theme.Dim, "Start one here:")
		cmd("vllm serve MODEL --port 8000")
		add(theme.Dim, "See it all with a simulated engine and GPU:")
		cmd("pitwall demo")
		add(theme.Dim, "What was found, and why something was not:")
		cmd("pitwall doctor")
	}
	width := 0
	var out []said
	for _, l := range lines {
		if !l.cmd && grid.Width(l.text) > p.W()-6 {
			for _, part := range grid.Wrap(l.text, p.W()-6) {
				out = append(out, said{text: part, ink: l.ink})
			}
			continue
		}
		out = append(out, l)
	}
	if len(out) > p.H() {
		// Too few lines: the blank ones go first.
		var packed []said
		for _, l := range out {
			if l.text != "" {
				packed = append(packed, l)
			}
		}
		out = packed
	}
	for _, l := range out {
		width = max(width, grid.Width(l.text)+4)
	}
	x := max((p.W()-width)/2, 2)
	y := max((p.H()-len(out))/2, 0)
	for i, l := range out {
		at := x
		if l.cmd {
			at += 4
		}
		p.Text(at, y+i, l.ink, grid.Cut(l.text, p.W()-at-1))
	}
}

// elsewhere lists where the other engines of this host listen, going by their processes.
func (v view) elsewhere(wanted string) []string {
	var out []string
	for _, p := range v.processes() {
		if p.engine != "" && !sameEngine(p.engine, wanted) && !slices.Contains(out, p.engine) {
			out = append(out, p.engine)
		}
	}
	return out
}

func lastLines(s string, n int) []string {
	ls := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return ls[max(len(ls)-n, 0):]
}
