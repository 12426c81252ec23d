package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/prometheus/prometheus/promql"
)

// line is one number of the human snapshot: what it is called, how it is asked for, and in which unit it comes.
type line struct{ title, expr, unit string }

// gpuLines are asked for each GPU (by the label gpu), hostLines once and of this host's own readings: a node_exporter has
// the same names.
func gpuLines() []line {
	return []line{
		{"kernel active", `DCGM_FI_DEV_GPU_UTIL`, "%"},
		{"memory used", `DCGM_FI_DEV_FB_USED * 1048576`, "bytes"},
		{"power", `DCGM_FI_DEV_POWER_USAGE`, "W"},
		{"temperature", `DCGM_FI_DEV_GPU_TEMP`, "°C"},
		{"SM clock", `DCGM_FI_DEV_SM_CLOCK`, "MHz"},
	}
}

func hostLines() []line {
	return []line{
		{"CPU busy", `1 - sum(rate(node_cpu_seconds_total{job="node",mode=~"idle|iowait"}[$w])) / sum(rate(node_cpu_seconds_total{job="node"}[$w]))`, "ratio"},
		{"busiest core", `max(pitwall_cpu_busiest_core_ratio)`, "ratio"},
		{"load, 1 min", `node_load1{job="node"}`, ""},
		{"memory available", `node_memory_MemAvailable_bytes{job="node"}`, "bytes"},
	}
}

func (p *program) printSnapshot(ctx context.Context, l *look, s snapshot) error {
	mark := ""
	if s.Simulated {
		mark = "  SIMULATED"
	}
	fmt.Fprintf(p.stdout, "%s  %s%s\n", clean(s.Host), clock(s.Time), mark)
	for _, e := range s.Engines {
		if err := p.printEngine(e); err != nil {
			return err
		}
	}
	if len(s.Engines) == 0 {
		fmt.Fprintf(p.stdout, "\nno engine found: start vLLM, or give --engine URL\n")
	}
	if err := p.printGPUs(ctx, l, s); err != nil {
		return err
	}
	rows := [][]string{}
	for _, ln := range hostLines() {
		rows = append(rows, []string{"  " + ln.title, l.one(ctx, ln, "node")})
	}
	fmt.Fprintf(p.stdout, "\nhost\n")
	return table(p.stdout, rows)
}

func (p *program) printEngine(e engineReading) error {
	head := []string{}
	for _, part := range []string{e.Dialect + " " + e.Version, e.Instance, e.Model} {
		if part = strings.TrimSpace(part); part != "" {
			head = append(head, part)
		}
	}
	state := strings.ToUpper(strings.ReplaceAll(e.State, "_", " "))
	if state == "" {
		state = "STATE UNKNOWN"
	}
	if e.Since != nil {
		state += " since " + clock(*e.Since)
	}
	if e.Reason != "" {
		state += ": " + e.Reason
	}
	fmt.Fprintf(p.stdout, "\n%s\n  %s\n", clean(strings.Join(head, "  ")), clean(state))
	if !e.answered() {
		if next := engineAdvice(e); next != "" {
			fmt.Fprintf(p.stdout, "  → %s\n", clean(next))
		}
		return nil // nothing was read: the state says why
	}
	rows := [][]string{}
	for _, v := range e.Values {
		if v.Kind == "buckets" {
			continue // histograms are for machines: --json has them
		}
		rows = append(rows, valueRows(v)...)
	}
	return table(p.stdout, rows)
}

// valueRows gives a named value's lines, one for each series.
func valueRows(v namedValue) [][]string {
	name := strings.ReplaceAll(strings.TrimPrefix(v.Name, "engine:"), "_", " ")
	switch {
	case v.Value != nil:
		return [][]string{{"  " + name, measure(float64(*v.Value), v.Unit)}}
	case len(v.Series) == 0:
		return [][]string{{"  " + name, "—  " + v.Absent}}
	}
	var rows [][]string
	for _, s := range v.Series {
		by := slices.Sorted(maps.Values(s.Labels))
		rows = append(rows, []string{"  " + name + " (" + strings.Join(by, ", ") + ")", measure(float64(s.Value), v.Unit)})
	}
	return rows
}

func (p *program) printGPUs(ctx context.Context, l *look, s snapshot) error {
	fmt.Fprintf(p.stdout, "\nGPU\n")
	cells := map[string][]string{}
	var order []string
	head := []string{"  "}
	for i, ln := range gpuLines() {
		head = append(head, ln.title)
		res, err := l.ask(ctx, ln.expr, "", nil, l.windowOf("dcgm"))
		if err != nil {
			continue
		}
		vec := res.Vector()
		if own := slices.DeleteFunc(slices.Clone(vec), func(s promql.Sample) bool { return s.Metric.Get("job") != "dcgm" }); len(own) > 0 {
			vec = own // a dcgm-exporter has the same GPUs, and is asked only where there is no driver here
		}
		for _, smp := range vec {
			id := smp.Metric.Get("gpu")
			if smp.Metric.Get("GPU_I_ID") != "" {
				continue // parts of a GPU: --json has them
			}
			if cells[id] == nil {
				cells[id] = []string{"—", "—", "—", "—", "—"}
				order = append(order, id)
			}
			cells[id][i] = measure(smp.F, ln.unit)
		}
	}
	if len(order) == 0 {
		why := s.Facts["gpu/status"]
		if why == "" || why == "ok" {
			why = "no readings"
		}
		fmt.Fprintf(p.stdout, "  —  %s\n", clean(why))
		return nil
	}
	rows := [][]string{head}
	for _, id := range order {
		rows = append(rows, append([]string{"  " + id + " " + s.Facts["gpu/"+id+"/name"]}, cells[id]...))
	}
	return table(p.stdout, rows)
}

// windowOf is the window of a job's sources, which are all read together.
func (l *look) windowOf(job string) time.Duration {
	w := time.Duration(0)
	for _, t := range l.of(is(job)) {
		w = max(w, t.window())
	}
	return w
}

// one asks for a single number that a job's series give.
func (l *look) one(ctx context.Context, ln line, job string) string {
	res, err := l.ask(ctx, ln.expr, "", nil, l.windowOf(job))
	if err != nil {
		return "—  " + err.Error()
	}
	vec := res.Vector()
	if len(vec) == 0 || math.IsNaN(vec[0].F) {
		return "—  not read"
	}
	return measure(vec[0].F, ln.unit)
}

// measure writes a number with its unit for people: three or four digits.
func measure(v float64, unit string) string {
	switch unit {
	case "ratio":
		return strconv.FormatFloat(100*v, 'f', 1, 64) + " %"
	case "bytes":
		return humanize.IBytes(uint64(max(0, v)))
	case "s":
		return (time.Duration(v * float64(time.Second))).Round(time.Microsecond).String()
	}
	if unit != "" {
		unit = " " + unit
	}
	if v == math.Trunc(v) || math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64) + unit
	}
	return strconv.FormatFloat(v, 'f', 2, 64) + unit
}
