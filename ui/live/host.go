package live

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

func hostHeading(v view, w int) string {
	if n := v.s.facts["host/name"]; n != "" {
		return " " + grid.Cut(n, 24) + " " + v.mostName()
	}
	return maxHeading(v, w)
}

func drawHost(v view, p grid.Pane, g geometry) {
	rows := v.rowsOf(hostRows)
	procs := v.processes()
	if v.m.w < wideFrom {
		// No chart in one column: the numbers take the width, two beside each other, and the processes a table below.
		w := (p.W() - 1) / 2
		left := min((len(rows)+1)/2, p.H())
		if p.H() >= 5 {
			left = max(p.H()-max(len(procs), 1)-1, 2)
		} else {
			rows = slices.Insert(rows, min(2, len(rows)), v.busiest(procs, 2)...)
		}
		drawRows(p.Sub(0, 0, w, left), rows[:min(len(rows), left)])
		if len(rows) > left {
			drawRows(p.Sub(w+1, 0, w, left), rows[left:])
		}
		v.drawProcesses(p.Sub(0, left, p.W(), p.H()-left), procs)
		return
	}
	percent := func(f float64) string { return tight(figure.Percent(f)) }
	wide := p.W() > g.timeline.Columns+axisW+numbersWidth((v.m.w-1)/2-1)+24
	table := min(len(procs)+1, max(p.H()/3, 0))
	if len(procs) == 0 {
		table = 0
	}
	if wide {
		table = 0
	}
	if p.H() < 6 {
		table = 0
	}
	h := p.H() - table
	chart := g
	chart.axis, chart.chart = g.axis.Sub(0, 0, axisW, h), g.chart.Sub(0, 0, g.chart.W(), h)
	cpu := plot.Layer{Values: v.chart("cpu", g.timeline, mean), Ink: theme.A}
	core := plot.Layer{Values: v.chart("core", g.timeline, most), Ink: theme.D}
	if h < 6 {
		v.area(chart, 1, percent, cpu)
		name(chart.chart, "CPU, all")
	} else {
		top := h - h/2
		a, b := chart, chart
		a.axis, a.chart = chart.axis.Sub(0, 0, axisW, top), chart.chart.Sub(0, 0, g.chart.W(), top)
		b.axis, b.chart = chart.axis.Sub(0, top, axisW, h-top), chart.chart.Sub(0, top, g.chart.W(), h-top)
		v.area(a, 1, percent, cpu)
		name(a.chart, "CPU, all")
		v.area(b, 1, percent, core)
		name(b.chart, "busiest core")
	}
	if wide {
		nw := numbersWidth((v.m.w-1)/2 - 1)
		drawRows(g.numbers.Sub(0, 0, nw, h), rows)
		v.drawProcesses(g.numbers.Sub(nw+2, 0, g.numbers.W()-nw-2, h), procs)
		return
	}
	drawRows(g.numbers.Sub(0, 0, g.numbers.W(), h), rows)
	v.drawProcesses(p.Sub(0, h, p.W(), table), procs)
}

// busiest gives the n processes that use most CPU as rows, where there is no room for their table.
func (v view) busiest(list []process, n int) []row {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b process) int { return cmp.Compare(b.cpu.V, a.cpu.V) })
	var out []row
	for _, p := range list[:min(n, len(list))] {
		note := "of core, " + tight(p.rss.Text(figure.Bytes))
		if port := v.otherPort(p.engine); port != "" {
			note = "of core, " + port
		}
		out = append(out, row{label: p.name(), num: p.cpu, format: figure.Share, note: note})
	}
	return out
}

func hostRows(v view) []row {
	s := v.s
	cpu := s.one("cpu")
	n := s.metric("pitwall_cpu_count")
	r := row{label: "CPU", num: cpu, format: figure.Share, ink: theme.Strong, right: v.most("cpu", figure.Share), glyph: '█', key: theme.A.Crest(), gauge: cpu, gaugeInk: theme.A.Crest()}
	if n.OK {
		r.note = "of " + figure.Whole(n.V)
	}
	if cpu.OK && cpu.V >= 0.9 {
		r.ink, r.gaugeInk = theme.Warn, theme.W.Crest()
	}
	if !cpu.OK {
		r.note = s.why("node_cpu_seconds_total")
	}
	rows := []row{r}

	total, avail := s.metric("node_memory_MemTotal_bytes"), s.metric("node_memory_MemAvailable_bytes")
	mem := s.one("mem")
	r = row{label: "memory", format: figure.Bytes, ink: theme.Strong, gauge: mem, gaugeInk: theme.C.Crest(), right: v.most("mem", figure.Percent)}
	if total.OK && avail.OK {
		r.num, r.note = figure.Of(total.V-avail.V), "of "+figure.Bytes(total.V)
	}
	if mem.OK && mem.V > 0.92 {
		r.ink, r.gaugeInk = theme.Warn, theme.W.Crest()
	}
	rows = append(rows, r)

	core := s.one("core")
	r = row{label: "core", num: core, format: figure.Share, note: "busiest", right: v.most("core", figure.Share), glyph: '█', key: theme.D.Crest()}
	if c := s.metric("pitwall_cpu_busiest_core"); c.OK && v.m.zoom >= 0 {
		// Which one it is changes all the time, and draws the eye for nothing.
		r.note = "busiest, now core " + figure.Whole(c.V)
	}
	rows = append(rows, r)

	r = row{label: "load", num: s.metric("node_load1"), format: two}
	if l5, l15 := s.metric("node_load5"), s.metric("node_load15"); l5.OK && l15.OK {
		r.note = two(l5.V) + " 5m, " + two(l15.V) + " 15m"
	}
	if cores := n; cores.OK {
		if l := s.metric("node_load1"); l.OK && l.V > cores.V {
			r.ink = theme.Warn
		}
	}
	rows = append(rows, r)

	rows = append(rows, v.pressureRow())
	for _, x := range []string{"net", "disk"} {
		rows = append(rows, v.trafficRow(x))
	}
	rows = append(rows, v.modesRow(n))
	if st, sf := s.metric("node_memory_SwapTotal_bytes"), s.metric("node_memory_SwapFree_bytes"); st.OK && sf.OK {
		r = row{label: "swap", num: figure.Of(st.V - sf.V), format: figure.Bytes, note: "of " + figure.Bytes(st.V)}
		if st.V == 0 {
			r = row{label: "swap", value: "none", ink: theme.Dim}
		}
		if x := s.pair("traffic", "of", "swap"); x.OK && x.V >= 1 {
			r.ink, r.note, r.noteInk = theme.Bad, figure.Count(x.V)+" pages/s", theme.Bad
		}
		rows = append(rows, r)
	}
	rows = append(rows, v.cgroupRows()...)
	rows = append(rows, v.spaceRows()...)
	return rows
}

func two(f float64) string {
	if f >= 100 {
		return figure.Whole(f)
	}
	return figure.Rate(f)
}

func (v view) pressureRow() row {
	r := row{label: "pressure"}
	c, m, i := v.s.pair("pressure", "of", "cpu"), v.s.pair("pressure", "of", "mem"), v.s.pair("pressure", "of", "io")
	if !c.OK && !m.OK && !i.OK {
		r.value, r.note, r.ink = figure.Absent, v.s.why("node_pressure_cpu_waiting_seconds_total"), theme.Faint
		return r
	}
	r.num, r.format = c, figure.Share
	r.note = "cpu, mem " + tight(m.Text(figure.Share)) + " io " + tight(i.Text(figure.Share))
	if m.OK && m.V > 0.05 {
		r.noteInk = theme.Warn
	}
	if c.OK && c.V > 0.5 {
		r.ink = theme.Warn
	}
	return r
}

func (v view) trafficRow(what string) row {
	if what == "net" {
		in, out := v.s.pair("traffic", "of", "net in"), v.s.pair("traffic", "of", "net out")
		r := row{label: "net in", num: in, format: figure.ByteRate, note: "out " + out.Text(figure.ByteRate)}
		if !in.OK {
			r.note = v.s.why("node_network_receive_bytes_total")
		}
		return r
	}
	rd, wr, busy := v.s.pair("traffic", "of", "read"), v.s.pair("traffic", "of", "write"), v.s.pair("traffic", "of", "busy")
	r := row{label: "disk read", num: rd, format: figure.ByteRate, note: "write " + wr.Text(figure.ByteRate)}
	if busy.OK && busy.V >= 0.05 {
		r.note += ", busy " + figure.Percent(min(busy.V, 1))
	}
	if !rd.OK {
		r.note = v.s.why("node_disk_read_bytes_total")
	}
	return r
}

func (v view) modesRow(n figure.Value) row {
	r := row{label: "modes", format: figure.Share}
	modes := v.s.labelled("cpu_modes", "mode")
	sum := 0.0
	for _, m := range modes {
		sum += m.value
	}
	if sum <= 0 {
		return r
	}
	share := func(name string) (float64, bool) {
		for _, m := range modes {
			if m.label == name && !math.IsNaN(m.value) {
				return m.value / sum, true
			}
		}
		return 0, false
	}
	if u, ok := share("user"); ok {
		r.num = figure.Of(u)
	}
	parts := []string{}
	for _, name := range []string{"system", "nice", "iowait", "steal", "softirq", "irq"} {
		if x, ok := share(name); ok && (x >= 0.005 || name == "system") {
			parts = append(parts, name+" "+figure.Share(x))
			if name == "steal" && x > 0.05 {
				r.noteInk = theme.Warn
			}
		}
	}
	r.label, r.note = "user", strings.Join(parts, ", ")
	return r
}

func (v view) cgroupRows() []row {
	var rows []row
	for _, of := range []string{"engine", "pitwall"} {
		limit, used, most := v.s.metric("pitwall_cgroup_cpu_limit_cores", "of", of), v.s.metric("pitwall_cgroup_memory_usage_bytes", "of", of), v.s.metric("pitwall_cgroup_memory_limit_bytes", "of", of)
		kills := v.s.metric("pitwall_cgroup_oom_kills_total", "of", of)
		if limit.OK {
			r := row{label: "CPU limit", num: limit, format: figure.Rate, note: "cores for " + of}
			if t := v.s.pair("throttled", "of", of); t.OK && t.V > 0.005 {
				r.note, r.noteInk = r.note+", THROTTLED "+figure.Percent(t.V), theme.Warn
			}
			rows = append(rows, r)
		}
		if most.OK && used.OK {
			r := row{label: "mem limit", num: used, format: figure.Bytes, note: "of " + figure.Bytes(most.V) + " for " + of}
			if used.V > 0.92*most.V {
				r.ink = theme.Warn
			}
			rows = append(rows, r)
		}
		if kills.OK && kills.V > 0 {
			rows = append(rows, row{label: "OOM kills", num: kills, format: figure.Whole, ink: theme.Bad, note: "in the cgroup of " + of})
		}
	}
	return rows
}

func (v view) spaceRows() []row {
	var rows []row
	for _, x := range v.s.metrics["node_filesystem_avail_bytes"] {
		purpose, mount := x.Metric.Get("purpose"), x.Metric.Get("mountpoint")
		size := v.s.metric("node_filesystem_size_bytes", "purpose", purpose, "mountpoint", mount)
		r := row{label: "free", value: figure.Bytes(x.F), note: join(cmp.Or(purpose, mount), "of "+size.Text(figure.Bytes))}
		if size.OK && x.F < 0.05*size.V {
			r.ink, r.noteInk = theme.Warn, theme.Warn
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.note, b.note) })
	return rows
}

// process is one of the engines' processes.
type process struct {
	pid, role, rank, title, engine string
	cpu, rss, threads              figure.Value
	started                        time.Time
}

// name is the process's own title, or its role.
func (p process) name() string {
	name := strings.TrimPrefix(p.title, "VLLM::")
	if name == "" {
		name = strings.TrimSpace(p.role + " " + p.rank)
	}
	return name
}

// processName is a process's name, with the port of its engine unless that is the one that is shown.
func (v view) processName(p process) string {
	if port := v.otherPort(p.engine); port != "" {
		return p.name() + " " + port
	}
	return p.name()
}

// otherPort gives ":8011" for an engine of this host that is not the one that is shown, else "".
func (v view) otherPort(instance string) string {
	other := v.other(instance)
	return other[max(strings.LastIndexByte(other, ':'), 0):]
}

var roleOrder = []string{"serve", "api_server", "dp_coordinator", "engine_core", "worker"}

// processes lists the engines' processes: those of the chosen engine first, then by role.
func (v view) processes() []process {
	var out []process
	for _, x := range v.s.metrics["pitwall_process_resident_memory_bytes"] {
		pid := x.Metric.Get("pid")
		p := process{pid: pid, role: x.Metric.Get("role"), rank: x.Metric.Get("rank"), title: x.Metric.Get("title"), engine: x.Metric.Get("engine"), rss: figure.Of(x.F)}
		p.cpu, p.threads = v.s.pair("process_cpu", "pid", pid), v.s.metric("pitwall_process_threads", "pid", pid)
		if t := v.s.metric("pitwall_process_start_time_seconds", "pid", pid); t.OK {
			p.started = time.Unix(int64(t.V), 0)
		}
		out = append(out, p)
	}
	e, _ := v.s.chosen()
	slices.SortFunc(out, func(a, b process) int {
		return cmp.Or(-compareBool(sameEngine(a.engine, e.instance), sameEngine(b.engine, e.instance)), cmp.Compare(a.engine, b.engine),
			cmp.Compare(slices.Index(roleOrder, a.role), slices.Index(roleOrder, b.role)), cmp.Compare(a.rank, b.rank), cmp.Compare(a.pid, b.pid))
	})
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// processColumn is a column of the table of processes.
type processColumn struct {
	name string
	w    int
	ink  theme.Ink
	text func(process) string
}

// processesMarked lists the processes of two marked times.
func (v view) processesMarked() (before, after []process) {
	a, b := v.m.sorted()
	return v.of(a.snap).processes(), v.of(b.snap).processes()
}

// processesOfBoth lists those of the second marked time, and then those that were there at the first only.
func (v view) processesOfBoth() []process {
	before, all := v.processesMarked()
	for _, x := range before {
		if !slices.ContainsFunc(all, func(y process) bool { return y.pid == x.pid }) {
			all = append(all, x)
		}
	}
	return all
}

// processColumns are the columns from the right: up, threads, RSS, CPU; the title takes what is left. With two times marked
// they show the change between them.
func (v view) processColumns(w int) []processColumn {
	cpu := func(x process) string { return x.cpu.Text(figure.Share) }
	rss := func(x process) string { return x.rss.Text(figure.Bytes) }
	pid := processColumn{"pid", 9, theme.Dim, func(x process) string { return x.pid }}
	if v.m.comparing() {
		before, after := v.processesMarked()
		both := func(text func(process) string) func(process) string {
			at := func(all []process, pid string) string {
				if i := slices.IndexFunc(all, func(x process) bool { return x.pid == pid }); i >= 0 {
					return text(all[i])
				}
				return figure.Absent
			}
			return func(x process) string { return v.pair(at(before, x.pid), at(after, x.pid)) }
		}
		return []processColumn{{"CPU of a core", 16, theme.Plain, both(cpu)}, {"RSS", 20, theme.Plain, both(rss)}, pid}
	}
	cols := []processColumn{
		{"CPU of a core", 14, theme.Plain, cpu},
		{"RSS", 10, theme.Plain, rss},
		{"threads", 8, theme.Dim, func(x process) string { return x.threads.Text(figure.Whole) }},
		{"up", 8, theme.Dim, func(x process) string {
			if x.started.IsZero() {
				return figure.Absent
			}
			return figure.Span(v.now.Sub(x.started))
		}},
		pid,
	}
	if w < 70 {
		cols[0].name, cols[0].w = "CPU", 7
	}
	return cols
}

// drawProcesses writes the table of the engines' processes.
func (v view) drawProcesses(p grid.Pane, list []process) {
	if p.H() < 2 || p.W() < 40 {
		return
	}
	if v.m.comparing() {
		list = v.processesOfBoth()
	}
	if len(list) == 0 {
		note := v.s.facts["host/processes_note"]
		if note == "" {
			note = "no engine process found on this host"
		}
		p.Text(2, 0, theme.Dim, grid.Cut(note, p.W()-3))
		return
	}
	cols := v.processColumns(p.W())
	left := p.W()
	for _, c := range cols {
		left -= c.w
	}
	p.Text(2, 0, theme.Faint, grid.Cut("process", left-2))
	x := left
	for _, c := range cols {
		p.Right(x+c.w, 0, theme.Faint, c.name)
		x += c.w
	}
	for i, pr := range list {
		y := i + 1
		if y >= p.H() {
			return
		}
		if y == p.H()-1 && len(list)-i > 1 {
			p.Text(2, y, theme.Dim, "and "+itoa(len(list)-i)+" more: 6 shows all")
			return
		}
		p.Text(2, y, theme.Plain, grid.Cut(v.processName(pr), max(left-3, 0)))
		x := left
		for _, c := range cols {
			p.Right(x+c.w, y, c.ink, c.text(pr))
			x += c.w
		}
	}
}
