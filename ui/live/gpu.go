package live

import (
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/promql"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

func gpuPanel() panel {
	whole := func(name string) string { return name + `{GPU_I_ID=""}` }
	return panel{
		id: "gpu", key: "5", title: "GPU", unit: "", scope: gpuScope,
		queries: []query{
			{id: "gpu_util", name: "DCGM_FI_DEV_GPU_UTIL", expr: whole("DCGM_FI_DEV_GPU_UTIL"), legend: "kernel-active %", scope: gpuScope, by: "gpu", chart: true},
			{id: "gpu_power", name: "DCGM_FI_DEV_POWER_USAGE", expr: whole("DCGM_FI_DEV_POWER_USAGE"), legend: "power W", scope: gpuScope, by: "gpu", chart: true, pick: most},
			{id: "gpu_sm", name: "DCGM_FI_DEV_SM_CLOCK", expr: whole("DCGM_FI_DEV_SM_CLOCK"), legend: "SM clock MHz", scope: gpuScope, by: "gpu", chart: true},
			{id: "gpu_temp", name: "DCGM_FI_DEV_GPU_TEMP", expr: whole("DCGM_FI_DEV_GPU_TEMP"), legend: "GPU °C", scope: gpuScope, by: "gpu", chart: true, pick: most},
			{id: "gpu_hbm", name: "DCGM_FI_DEV_MEMORY_TEMP", expr: whole("DCGM_FI_DEV_MEMORY_TEMP"), legend: "HBM °C", scope: gpuScope, by: "gpu", chart: true, pick: most},
			{id: "gpu_fb", name: "DCGM_FI_DEV_FB_USED", expr: whole("DCGM_FI_DEV_FB_USED"), legend: "memory MiB", scope: gpuScope, by: "gpu", chart: true, pick: most},
			{id: "gpu_limits", expr: `rate(pitwall_gpu_clocks_event_reason_seconds_total{reason!="low_util"}[1m])`, scope: gpuScope, by: "reason"},
			{id: "gpu_nvlink", expr: `label_replace(rate(pitwall_gpu_nvlink_receive_bytes_total[10s]), "dir", "rx", "", "") or label_replace(rate(pitwall_gpu_nvlink_transmit_bytes_total[10s]), "dir", "tx", "", "")`, scope: gpuScope, by: "dir"},
			{id: "gpu_all", expr: `{__name__=~"DCGM_FI_.+|pitwall_gpu_.+",__name__!~".+_VIOLATION|pitwall_gpu_nvml_.+"}`, scope: gpuScope, by: "__name__"},
		},
		draw: drawGPU, rows: gpuRows, heading: gpuHeading,
		groups: []group{
			{title: "kernel-active", ids: []string{"gpu_util"}, least: 100, most: 100, format: func(v float64) string { return figure.Short(v) + "%" }},
			{title: "power, W", ids: []string{"gpu_power"}, least: 100, format: figure.Short},
			{title: "GPU and HBM temperature, °C", ids: []string{"gpu_temp", "gpu_hbm"}, least: 100, format: figure.Short},
			{title: "SM clock, MHz", ids: []string{"gpu_sm"}, least: 500, format: figure.Short},
		},
		about: "kernel-active: share of time in which any kernel ran; 100 % says nothing of how much of the GPU it used. Power is the honest sign of load. mem ctrl: share of time in which " +
			"memory was read or written. limits: share of the last minute in which clocks were held down, from the GPU's own time counters; power cap is normal under full load, " +
			"HW slowdown, thermal and power brake are not. reserved: memory the driver keeps for itself.",
	}
}

// gpuAt is the GPU that is shown large.
func (v view) gpuAt() (gpu, bool) {
	if v.s == nil || v.m.gpu < 0 || v.m.gpu >= len(v.s.gpus) {
		return gpu{}, false
	}
	return v.s.gpus[v.m.gpu], true
}

func (v view) noGPU() string {
	if v.s == nil {
		return ""
	}
	if r := v.s.facts["gpu/status"]; r != "" && r != "ok" {
		return r
	}
	if r := v.s.why("DCGM_FI_DEV_GPU_UTIL"); r != "" {
		return r
	}
	return "no GPU found"
}

func gpuHeading(v view, w int) string {
	if len(v.s.gpus) > 1 && v.m.zoom < 0 {
		return " " + itoa(len(v.s.gpus)) + " GPUs, g chooses "
	}
	if g, ok := v.gpuAt(); ok {
		return " " + grid.Cut(strings.TrimPrefix(g.name, "NVIDIA "), 24) + "  max " + v.m.windowName() + " "
	}
	return ""
}

func drawGPU(v view, p grid.Pane, g geometry) {
	if len(v.s.gpus) > 1 {
		drawGPUTable(v, p, g)
		return
	}
	dev, ok := v.gpuAt()
	if !ok {
		p.Text(1, 0, theme.Dim, grid.Cut(v.noGPU(), p.W()-2))
		return
	}
	v.gpuCharts(g, itoa(dev.index))
	drawRows(g.numbers, gpuRows(v))
}

// gpuCharts draws activity, and power below it where there is room.
func (v view) gpuCharts(g geometry, index string) {
	h := g.chart.H()
	percent := func(f float64) string { return figure.Short(f) + "%" }
	util := plot.Layer{Values: v.chart("gpu_util\x00"+index, g.timeline, mean), Ink: theme.A}
	if h < 6 {
		v.area(g, 100, percent, util)
		name(g.chart, "kernel-active")
		return
	}
	top := h - h/2
	a, b := g, g
	a.axis, a.chart = g.axis.Sub(0, 0, axisW, top), g.chart.Sub(0, 0, g.chart.W(), top)
	b.axis, b.chart = g.axis.Sub(0, top, axisW, h-top), g.chart.Sub(0, top, g.chart.W(), h-top)
	v.area(a, 100, percent, util)
	name(a.chart, "kernel-active")
	limit := v.s.metric("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "gpu", index)
	power := v.chart("gpu_power\x00"+index, g.timeline, most)
	scale := plot.Scale(peakOf(power), 50)
	if limit.OK && limit.V > 0 {
		scale = max(limit.V, peakOf(power))
	}
	v.area(b, scale, func(f float64) string { return figure.Short(f) + "W" }, plot.Layer{Values: power, Ink: theme.B, Warn: 0.95 * scale * bool01(limit.OK)})
	name(b.chart, "power")
}

func bool01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func gpuRows(v view) []row {
	dev, ok := v.gpuAt()
	if !ok {
		return nil
	}
	s, i := v.s, itoa(dev.index)
	get := func(name string) figure.Value { return s.metric(name, "gpu", i) }
	dash := func(val figure.Value, f func(float64) string, name string) (string, string) {
		if val.OK {
			return f(val.V), ""
		}
		return figure.Absent, s.why(name, "gpu", i)
	}
	pct := func(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) + " %" }
	watt := func(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) + " W" }
	mhz := func(f float64) string { return figure.Thousands(int64(f)) + " MHz" }
	deg := func(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) + " °C" }
	var rows []row

	util := get("DCGM_FI_DEV_GPU_UTIL")
	r := row{label: "kernels", ink: theme.Strong, right: v.most("gpu_util\x00"+i, pct), glyph: '█', key: theme.A.Crest()}
	r.value, r.note = dash(util, pct, "DCGM_FI_DEV_GPU_UTIL")
	if util.OK {
		r.note = "active"
	}
	rows = append(rows, r)

	power, limit := get("DCGM_FI_DEV_POWER_USAGE"), get("DCGM_FI_DEV_ENFORCED_POWER_LIMIT")
	r = row{label: "power", ink: theme.Strong, right: v.most("gpu_power\x00"+i, watt), glyph: '█', key: theme.B.Crest()}
	r.value, r.note = dash(power, watt, "DCGM_FI_DEV_POWER_USAGE")
	if limit.OK {
		r.note = "of " + watt(limit.V)
		r.gauge, r.gaugeInk = power.Div(limit), theme.B.Crest()
		if power.OK && power.V >= 0.95*limit.V {
			r.ink, r.gaugeInk = theme.Warn, theme.W.Crest()
		}
	}
	rows = append(rows, r)

	used, total, reserved := get("DCGM_FI_DEV_FB_USED"), get("DCGM_FI_DEV_FB_TOTAL"), get("DCGM_FI_DEV_FB_RESERVED")
	mib := func(f float64) string { return figure.Bytes(f * (1 << 20)) }
	r = row{label: "memory", ink: theme.Strong}
	r.value, r.note = dash(used, mib, "DCGM_FI_DEV_FB_USED")
	if total.OK {
		r.note = "of " + mib(total.V)
		if reserved.OK && reserved.V > 0 {
			r.note += " + " + mib(reserved.V) + " reserved"
		}
		if v.m.zoom < 0 {
			r.note = "of " + mib(total.V)
			r.gauge, r.gaugeInk = used.Div(total), theme.D.Crest()
		}
	}
	rows = append(rows, r)

	r = row{label: "limits", noteInk: theme.Good}
	text, bad := v.limits(i)
	r.note = text
	switch {
	case text == "":
		r.value, r.note, r.noteInk = figure.Absent, s.why("pitwall_gpu_clocks_event_reason_seconds_total", "gpu", i), theme.Dim
	case bad == 2:
		r.noteInk = theme.Bad
	case bad == 1:
		r.noteInk = theme.Warn
	}
	if r.value == "" {
		// A sentence may use the value's place.
		rows = append(rows, row{label: "limits", value: r.note, ink: r.noteInk})
	} else {
		rows = append(rows, r)
	}

	temp, slow := get("DCGM_FI_DEV_GPU_TEMP"), get("DCGM_FI_DEV_SLOWDOWN_TEMP")
	r = row{label: "GPU temp", ink: theme.Plain, right: v.most("gpu_temp\x00"+i, deg)}
	r.value, r.note = dash(temp, deg, "DCGM_FI_DEV_GPU_TEMP")
	if slow.OK {
		r.note = "slows at " + strconv.FormatFloat(slow.V, 'f', 0, 64)
		r.ink = tempInk(temp, slow)
	}
	rows = append(rows, r)
	hbm, hmax := get("DCGM_FI_DEV_MEMORY_TEMP"), get("DCGM_FI_DEV_MEM_MAX_OP_TEMP")
	r = row{label: "HBM temp", ink: theme.Plain, right: v.most("gpu_hbm\x00"+i, deg)}
	r.value, r.note = dash(hbm, deg, "DCGM_FI_DEV_MEMORY_TEMP")
	if hmax.OK {
		r.note = "limit " + strconv.FormatFloat(hmax.V, 'f', 0, 64)
		r.ink = tempInk(hbm, hmax)
	}
	rows = append(rows, r)

	sm, smMax := get("DCGM_FI_DEV_SM_CLOCK"), get("DCGM_FI_DEV_MAX_SM_CLOCK")
	r = row{label: "SM clock", ink: theme.Plain}
	r.value, r.note = dash(sm, mhz, "DCGM_FI_DEV_SM_CLOCK")
	if smMax.OK {
		r.note = "of " + figure.Thousands(int64(smMax.V))
	}
	if ps := get("DCGM_FI_DEV_PSTATE"); ps.OK {
		r.note = join(r.note, "P"+strconv.FormatFloat(ps.V, 'f', 0, 64))
	}
	rows = append(rows, r)

	mem := get("DCGM_FI_DEV_MEM_CLOCK")
	r = row{label: "mem clock", ink: theme.Plain}
	r.value, r.note = dash(mem, mhz, "DCGM_FI_DEV_MEM_CLOCK")
	if mc := get("DCGM_FI_DEV_MEM_COPY_UTIL"); mc.OK {
		r.note = "busy " + pct(mc.V)
	}
	rows = append(rows, r)

	tx, rx := get("DCGM_FI_PROF_PCIE_TX_BYTES"), get("DCGM_FI_PROF_PCIE_RX_BYTES")
	r = row{label: "PCIe in", ink: theme.Plain}
	r.value, r.note = dash(rx, figure.ByteRate, "DCGM_FI_PROF_PCIE_RX_BYTES")
	if tx.OK {
		r.note = "out " + figure.ByteRate(tx.V)
	}
	nrx, ntx := v.nvlink(i, "rx"), v.nvlink(i, "tx")
	if nrx.OK || ntx.OK {
		r.note += " · NVLink " + nrx.Text(figure.ByteRate) + " in " + ntx.Text(figure.ByteRate) + " out"
	}
	rows = append(rows, r)

	health, hink := v.health(i)
	rows = append(rows, row{label: "health", value: health, ink: hink})
	rows = append(rows, v.gpuProcesses(i)...)
	if v.m.zoom >= 0 {
		rows = append(rows, v.gpuFacts(i)...)
	}
	return rows
}

func tempInk(t, limit figure.Value) theme.Ink {
	switch {
	case t.OK && t.V >= limit.V-2:
		return theme.Bad
	case t.OK && t.V >= limit.V-8:
		return theme.Warn
	}
	return theme.Plain
}

func (v view) nvlink(i, dir string) figure.Value {
	for _, x := range v.s.values["gpu_nvlink"] {
		if x.Metric.Get("gpu") == i && x.Metric.Get("dir") == dir {
			return figure.Of(x.F)
		}
	}
	return figure.Value{}
}

// reasonWords says how a clock event reason is called on the screen and how bad it is: 0 normal, 1 worth a look, 2 act.
var reasonWords = map[string]struct {
	word string
	bad  int
}{
	"gpu_idle": {"idle", 0}, "clocks_setting": {"app clocks", 0}, "power_cap": {"power cap", 1}, "hw_slowdown": {"HW slowdown", 2}, "sync_boost": {"sync boost", 0},
	"sw_thermal": {"SW thermal", 2}, "hw_thermal": {"HW thermal", 2}, "thermal": {"thermal", 2}, "power_brake": {"power brake", 2}, "display_clocks": {"display", 0},
	"board_limit": {"board limit", 1}, "reliability": {"reliability", 1}, "below_app_clocks": {"below app clocks", 0}, "below_base_clocks": {"below base clocks", 1}, "low_util": {"low use", 0},
}

// limits says what holds the clocks down: as shares of the last minute where the GPU counts time, else as it is now.
// The second result is the worst grade.
func (v view) limits(i string) (string, int) {
	var parts []string
	worst := 0
	counted := false
	for _, x := range v.s.labelledOf("gpu_limits", "reason", "gpu", i) {
		counted = true
		if x.label == "below_app_clocks" || x.value < 0.005 {
			continue
		}
		w, ok := reasonWords[x.label]
		if !ok {
			w.word, w.bad = x.label, 1
		}
		parts = append(parts, w.word+" "+figure.Percent(math.Min(x.value, 1)))
		worst = max(worst, w.bad)
	}
	if len(parts) > 0 {
		return strings.Join(parts, ", ") + " of 1m", worst
	}
	sampled := false
	for _, x := range v.s.metrics["pitwall_gpu_clocks_event_reason"] {
		if x.Metric.Get("gpu") != i {
			continue
		}
		sampled = true
		reason := x.Metric.Get("reason")
		w, ok := reasonWords[reason]
		if !ok {
			w.word, w.bad = reason, 1
		}
		if x.F > 0 && reason != "gpu_idle" {
			parts = append(parts, w.word)
			worst = max(worst, w.bad)
		}
	}
	switch {
	case len(parts) > 0:
		return strings.Join(parts, ", ") + " now", worst
	case counted:
		return "none in 1m", 0
	case sampled:
		return "none now", 0
	}
	return "", 0
}

// labelledOf is labelled for the series that also have another label's value.
func (s *snapshot) labelledOf(id, label, with, value string) []labelledValue {
	sub := &snapshot{values: map[string]promql.Vector{id: nil}}
	for _, x := range s.values[id] {
		if x.Metric.Get(with) == value {
			sub.values[id] = append(sub.values[id], x)
		}
	}
	return sub.labelled(id, label)
}

// health says what is wrong with the GPU itself, or that nothing is.
func (v view) health(i string) (string, theme.Ink) {
	get := func(name string) figure.Value { return v.s.metric(name, "gpu", i) }
	var bad []string
	ink := theme.Good
	add := func(name, word string, grade theme.Ink) bool {
		x := get(name)
		if x.OK && x.V > 0 {
			bad = append(bad, word+" "+figure.Whole(x.V))
			if ink != theme.Bad {
				ink = grade
			}
		}
		return x.OK
	}
	known := add("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "ECC double-bit", theme.Bad)
	known = add("DCGM_FI_DEV_ROW_REMAP_FAILURE", "row remap failed", theme.Bad) || known
	known = add("DCGM_FI_DEV_XID_ERRORS", "XID", theme.Bad) || known
	known = add("DCGM_FI_DEV_ROW_REMAP_PENDING", "row remap pending", theme.Warn) || known
	known = add("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "rows remapped", theme.Warn) || known
	known = add("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "ECC single-bit", theme.Warn) || known
	switch {
	case len(bad) > 0:
		return strings.Join(bad, ", "), ink
	case !known:
		return figure.Absent + " " + v.s.why("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "gpu", i), theme.Faint
	}
	return "no ECC error, remap or XID", theme.Good
}

func (v view) gpuProcesses(i string) []row {
	var rows []row
	for _, x := range v.s.metrics["pitwall_gpu_process_memory_bytes"] {
		if x.Metric.Get("gpu") != i {
			continue
		}
		name := x.Metric.Get("title")
		if name == "" {
			name = x.Metric.Get("role")
		}
		name = strings.TrimPrefix(name, "VLLM::")
		if name == "" {
			name = "process"
		}
		rows = append(rows, row{label: name, value: figure.Bytes(x.F), note: join("pid "+x.Metric.Get("pid"), v.other(x.Metric.Get("engine")))})
	}
	if len(rows) == 0 {
		if r := v.s.why("pitwall_gpu_process_memory_bytes", "gpu", i); r != "" {
			rows = append(rows, row{label: "processes", value: figure.Absent, note: r})
		}
	}
	return rows
}

// other gives an engine's instance unless it is the one that is shown.
func (v view) other(instance string) string {
	if e, ok := v.s.chosen(); ok && e.instance == instance {
		return ""
	}
	return instance
}

// gpuFacts are what does not change.
func (v view) gpuFacts(i string) []row {
	var rows []row
	for _, f := range []struct{ name, label string }{
		{"name", "name"}, {"uuid", "UUID"}, {"pci", "PCI"}, {"arch", "arch"}, {"mig", "MIG"}, {"fan", "fan"}, {"engine", "used by"}, {"engine_by", "known by"},
	} {
		if t := v.s.facts["gpu/"+i+"/"+f.name]; t != "" {
			rows = append(rows, row{label: f.label, value: t})
		}
	}
	if d := v.s.facts["gpu/driver"]; d != "" {
		rows = append(rows, row{label: "driver", value: join(d, "CUDA "+v.s.facts["gpu/cuda"])})
	}
	return rows
}

// gpuColumns are the table's columns for several GPUs, the most important first; what does not fit is left out.
type gpuColumn struct {
	title string
	w     int
	text  func(v view, i string) (string, theme.Ink)
}

func gpuColumns() []gpuColumn {
	num := func(name string, f func(float64) string) func(v view, i string) (string, theme.Ink) {
		return func(v view, i string) (string, theme.Ink) {
			return v.s.metric(name, "gpu", i).Text(f), theme.Plain
		}
	}
	n0 := func(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) }
	return []gpuColumn{
		{"kern %", 6, func(v view, i string) (string, theme.Ink) {
			return v.s.metric("DCGM_FI_DEV_GPU_UTIL", "gpu", i).Text(n0), theme.Strong
		}},
		{"power W", 8, func(v view, i string) (string, theme.Ink) {
			p, l := v.s.metric("DCGM_FI_DEV_POWER_USAGE", "gpu", i), v.s.metric("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "gpu", i)
			ink := theme.Plain
			if p.OK && l.OK && p.V >= 0.95*l.V {
				ink = theme.Warn
			}
			if !l.OK {
				return p.Text(n0), ink
			}
			return p.Text(n0) + "/" + n0(l.V), ink
		}},
		{"mem GiB", 10, func(v view, i string) (string, theme.Ink) {
			gib := func(f float64) string { return strconv.FormatFloat(f/1024, 'f', 1, 64) }
			return v.s.metric("DCGM_FI_DEV_FB_USED", "gpu", i).Text(gib) + "/" + v.s.metric("DCGM_FI_DEV_FB_TOTAL", "gpu", i).Text(gib), theme.Plain
		}},
		{"°C", 4, func(v view, i string) (string, theme.Ink) {
			t := v.s.metric("DCGM_FI_DEV_GPU_TEMP", "gpu", i)
			return t.Text(n0), tempInk(t, v.limitOr(i, "DCGM_FI_DEV_SLOWDOWN_TEMP", 90))
		}},
		{"HBM", 4, func(v view, i string) (string, theme.Ink) {
			t := v.s.metric("DCGM_FI_DEV_MEMORY_TEMP", "gpu", i)
			return t.Text(n0), tempInk(t, v.limitOr(i, "DCGM_FI_DEV_MEM_MAX_OP_TEMP", 95))
		}},
		{"SM MHz", 7, num("DCGM_FI_DEV_SM_CLOCK", n0)},
		{"limits, 1m", 16, func(v view, i string) (string, theme.Ink) {
			t, bad := v.limits(i)
			t = strings.TrimSuffix(t, " of 1m")
			return t, [3]theme.Ink{theme.Dim, theme.Warn, theme.Bad}[bad]
		}},
		{"engine", 15, func(v view, i string) (string, theme.Ink) { return v.s.facts["gpu/"+i+"/engine"], theme.Dim }},
	}
}

func (v view) limitOr(i, name string, otherwise float64) figure.Value {
	if l := v.s.metric(name, "gpu", i); l.OK {
		return l
	}
	return figure.Of(otherwise)
}

// drawGPUTable draws one line a GPU, with its activity on the panel's time axis; the chosen one's charts below where
// there is room.
func drawGPUTable(v view, p grid.Pane, g geometry) {
	n := len(v.s.gpus)
	cols := gpuColumns()
	first := 5
	spark := g.chart.W()
	x0 := first + 1
	// The sparklines stand exactly under the other charts of the column.
	if spark > 0 {
		p.Text(axisW, 0, theme.Faint, grid.Cut("kernel-active", spark))
		x0 = axisW + spark + 1
	}
	x := x0
	shown := 0
	for _, c := range cols {
		if x+c.w > p.W() {
			break
		}
		p.Right(x+c.w, 0, theme.Faint, c.title)
		x += c.w + 1
		shown++
	}
	rows := min(p.H()-1, n)
	from := max(0, min(v.m.gpu-rows/2, n-rows))
	for y := range rows {
		d := v.s.gpus[from+y]
		i := itoa(d.index)
		line := p.Sub(0, y+1, p.W(), 1)
		chosen := from+y == v.m.gpu
		mark := " "
		if chosen {
			mark = "▸"
		}
		line.Text(0, 0, theme.Focus, mark)
		line.Text(1, 0, theme.Strong, "GPU"+i)
		plot.Spark(line.Sub(axisW, 0, spark, 1), 100, v.chart("gpu_util\x00"+i, g.timeline, mean), theme.A+theme.Shades/2)
		x := x0
		for _, c := range cols[:shown] {
			t, ink := c.text(v, i)
			line.Right(x+c.w, 0, ink, grid.Cut(t, c.w))
			x += c.w + 1
		}
		if chosen {
			line.Ink(0, 0, axisW-1, theme.Selected)
		}
	}
	below := p.H() - 1 - rows
	if d, ok := v.gpuAt(); ok && below >= 6 {
		// A blank line, then the chosen one.
		y := rows + 2
		sub := geometry{axis: g.axis.Sub(0, y, axisW, p.H()-y), chart: g.chart.Sub(0, y, g.chart.W(), p.H()-y),
			numbers: g.numbers.Sub(0, y, g.numbers.W(), p.H()-y), timeline: g.timeline}
		v.gpuCharts(sub, itoa(d.index))
		drawRows(sub.numbers, gpuRows(v))
	}
}

func itoa(i int) string { return strconv.Itoa(i) }

// three writes a small number with three digits.
func three(f float64) string {
	switch {
	case f >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case f >= 1:
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
	return strconv.FormatFloat(f, 'f', 3, 64)
}
