package live

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

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
		return " " + grid.Cut(strings.TrimPrefix(g.name, "NVIDIA "), 24) + " " + v.mostName()
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
	v.drawNumbers(g.numbers, gpuRows)
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
	dash := func(val figure.Value, f func(float64) string, name string) (figure.Value, func(float64) string, string) {
		if val.OK {
			return val, f, ""
		}
		return val, f, s.why(name, "gpu", i)
	}
	pct := func(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) + " %" }
	watt := func(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) + " W" }
	mhz := func(f float64) string { return figure.Thousands(int64(f)) + " MHz" }
	deg := func(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) + " °C" }
	var rows []row

	util := get("DCGM_FI_DEV_GPU_UTIL")
	r := row{label: "kernels", ink: theme.Strong, right: v.most("gpu_util\x00"+i, pct), glyph: '█', key: theme.A.Crest()}
	r.num, r.format, r.note = dash(util, pct, "DCGM_FI_DEV_GPU_UTIL")
	if util.OK {
		r.note = "active"
	}
	rows = append(rows, r)

	power, limit := get("DCGM_FI_DEV_POWER_USAGE"), get("DCGM_FI_DEV_ENFORCED_POWER_LIMIT")
	r = row{label: "power", ink: theme.Strong, right: v.most("gpu_power\x00"+i, watt), glyph: '█', key: theme.B.Crest()}
	r.num, r.format, r.note = dash(power, watt, "DCGM_FI_DEV_POWER_USAGE")
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
	r.num, r.format, r.note = dash(used, mib, "DCGM_FI_DEV_FB_USED")
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
	r.num, r.format, r.note = dash(temp, deg, "DCGM_FI_DEV_GPU_TEMP")
	if slow.OK {
		r.note = "slows at " + strconv.FormatFloat(slow.V, 'f', 0, 64)
		r.ink = tempInk(temp, slow)
	}
	rows = append(rows, r)
	hbm, hmax := get("DCGM_FI_DEV_MEMORY_TEMP"), get("DCGM_FI_DEV_MEM_MAX_OP_TEMP")
	r = row{label: "HBM temp", ink: theme.Plain, right: v.most("gpu_hbm\x00"+i, deg)}
	r.num, r.format, r.note = dash(hbm, deg, "DCGM_FI_DEV_MEMORY_TEMP")
	if hmax.OK {
		r.note = "limit " + strconv.FormatFloat(hmax.V, 'f', 0, 64)
		r.ink = tempInk(hbm, hmax)
	}
	rows = append(rows, r)

	sm, smMax := get("DCGM_FI_DEV_SM_CLOCK"), get("DCGM_FI_DEV_MAX_SM_CLOCK")
	r = row{label: "SM clock", ink: theme.Plain}
	r.num, r.format, r.note = dash(sm, mhz, "DCGM_FI_DEV_SM_CLOCK")
	if smMax.OK {
		r.note = "of " + figure.Thousands(int64(smMax.V))
	}
	if ps := get("DCGM_FI_DEV_PSTATE"); ps.OK {
		r.note = join(r.note, "P"+strconv.FormatFloat(ps.V, 'f', 0, 64))
	}
	rows = append(rows, r)

	mem := get("DCGM_FI_DEV_MEM_CLOCK")
	r = row{label: "mem clock", ink: theme.Plain}
	r.num, r.format, r.note = dash(mem, mhz, "DCGM_FI_DEV_MEM_CLOCK")
	if mc := get("DCGM_FI_DEV_MEM_COPY_UTIL"); mc.OK {
		r.note = "busy " + pct(mc.V)
	}
	rows = append(rows, r)

	tx, rx := get("DCGM_FI_PROF_PCIE_TX_BYTES"), get("DCGM_FI_PROF_PCIE_RX_BYTES")
	r = row{label: "PCIe in", ink: theme.Plain}
	r.num, r.format, r.note = dash(rx, figure.ByteRate, "DCGM_FI_PROF_PCIE_RX_BYTES")
	if tx.OK {
		r.note = "out " + figure.ByteRate(tx.V)
	}
	rows = append(rows, r)
	if nrx, ntx := v.nvlink(i, "rx"), v.nvlink(i, "tx"); nrx.OK || ntx.OK {
		rows = append(rows, row{label: "NVLink in", num: nrx, format: figure.ByteRate, note: "out " + ntx.Text(figure.ByteRate)})
	}
	if fan := get("DCGM_FI_DEV_FAN_SPEED"); fan.OK {
		rows = append(rows, row{label: "fan", num: fan, format: pct})
	} else if reason := s.why("DCGM_FI_DEV_FAN_SPEED", "gpu", i); reason != "" && v.m.zoom >= 0 {
		rows = append(rows, row{label: "fan", value: figure.Absent, note: reason})
	}

	health, hink := v.health(i)
	rows = append(rows, row{label: "health", value: health, ink: hink})
	rows = append(rows, v.migRows(i)...)
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

// migRows are the memory of the GPU's MIG instances, in the order of their ids.
func (v view) migRows(i string) []row {
	var rows []row
	for _, x := range v.s.metrics["DCGM_FI_DEV_FB_USED"] {
		id := x.Metric.Get("GPU_I_ID")
		if id == "" || x.Metric.Get("gpu") != i {
			continue
		}
		r := row{label: "MIG " + id, num: figure.Of(x.F * (1 << 20)), format: figure.Bytes, note: x.Metric.Get("GPU_I_PROFILE")}
		r.note = join(r.note, v.other(v.s.facts["gpu/"+i+"/mig/"+id+"/engine"]))
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(len(a.label), len(b.label)), cmp.Compare(a.label, b.label))
	})
	return rows
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
		rows = append(rows, row{label: name, num: figure.Of(x.F), format: figure.Bytes, note: join("pid "+x.Metric.Get("pid"), v.otherPort(x.Metric.Get("engine")))})
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
	if e, ok := v.s.chosen(); ok && sameEngine(instance, e.instance) {
		return ""
	}
	return instance
}

// sameEngine tells whether a process that listens at found belongs to an instance: processes are known by 127.0.0.1 and
// their port, whatever name of this host the engine is asked by.
func sameEngine(found, instance string) bool {
	if found == instance {
		return true
	}
	_, port, err := net.SplitHostPort(found)
	host, wanted, err2 := net.SplitHostPort(instance)
	return err == nil && err2 == nil && port == wanted && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// gpuFacts are what does not change.
func (v view) gpuFacts(i string) []row {
	var rows []row
	for _, f := range []struct{ name, label string }{
		{"name", "name"}, {"uuid", "UUID"}, {"pci", "PCI"}, {"arch", "arch"}, {"mig", "MIG"}, {"engine", "used by"}, {"engine_by", "known by"},
	} {
		if t := v.s.facts["gpu/"+i+"/"+f.name]; t != "" {
			rows = append(rows, row{label: f.label, note: t, noteInk: theme.Strong})
		}
	}
	if d := v.s.facts["gpu/driver"]; d != "" {
		rows = append(rows, row{label: "driver", note: join(d, "CUDA "+v.s.facts["gpu/cuda"]), noteInk: theme.Strong})
	}
	return rows
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
