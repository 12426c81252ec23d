package gpu

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pitwall/probes"
)

var _ probes.Teller = (*Collector)(nil)

// Describe implements prometheus.Collector. It sends nothing: the label sets of a family differ between a GPU and its MIG
// instances, as dcgm-exporter's do.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector with what was read last. It doesn't wait for anything.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	c.mu.Lock()
	c.lastPull = now
	gpus, watching, lib := c.gpus, c.watching, c.lib
	c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	if s, ok := lib.(Simulation); ok && s.Simulated() {
		out <- point{c.index[simulated], nil, 1}
	}
	for _, g := range gpus {
		// Collected first, sent later: whoever takes the metrics may be slow, and g.mu is for moments.
		for _, p := range g.points(now, watching == "") {
			out <- p
		}
	}
	c.cost.collect(out)
}

func (g *gpu) points(now time.Time, xids bool) []point {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dev == nil || !g.lost.IsZero() {
		return nil
	}
	out := make([]point, 0, 96)
	for k, a := range g.answers {
		if a.last != nil && now.Sub(a.last.at) <= stale(k.field.every) {
			out = append(out, a.last.points...)
		}
	}
	if xids {
		out = append(out, point{g.c.index["DCGM_FI_DEV_XID_ERRORS"], g.base, float64(g.xid)})
	}
	return out
}

// Events implements probes.Teller. Each has the Subject "gpu/<index>" and the Attr gpu:
//   - gpu.xid: Attrs xid, meaning, and instance on MIG (Subject "gpu" where the driver doesn't say which GPU)
//   - gpu.lost, gpu.back: Attr call
//   - gpu.hang: Attr call, and over="true" when the call has answered
//   - gpu.throttle: Attr reason, and over="true" and lasted when it has ended; power cap, idle and settings are none
func (c *Collector) Events() []probes.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.events
	c.events = nil
	if c.dropped > 0 {
		out = append(out, probes.Event{Kind: "gpu.events_dropped", Subject: "gpu", Severity: probes.Warning,
			Title: fmt.Sprintf("%d GPU events were dropped", c.dropped),
			Attrs: map[string]string{"dropped": strconv.Itoa(c.dropped)}})
		c.dropped = 0
	}
	return out
}

func (c *Collector) event(e probes.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) >= maxEvents {
		c.dropped++
		return
	}
	c.events = append(c.events, e)
}

// Absent implements probes.Teller. Keys are family names, where the reason holds for every GPU; else they have the label
// gpu, and those of a MIG instance GPU_I_ID too: DCGM_FI_DEV_FAN_SPEED{gpu="3"}.
func (c *Collector) Absent() map[string]string {
	now := time.Now()
	c.mu.Lock()
	gpus, watching := c.gpus, c.watching
	c.mu.Unlock()
	out := map[string]string{}
	if status := c.currentStatus(now); status != "ok" {
		for name := range c.index {
			out[name] = status
		}
		delete(out, simulated)
		return out
	}
	type where struct {
		gpu    int
		reason string
	}
	found := map[string][]where{} // by name and labels without gpu
	for _, g := range gpus {
		for _, m := range g.missing(now) {
			k := key(m.name, m.labels)
			found[k] = append(found[k], where{g.index, m.reason})
		}
	}
	for k, ws := range found {
		same := len(ws) == len(gpus)
		for _, w := range ws {
			same = same && w.reason == ws[0].reason
		}
		if same {
			out[k] = ws[0].reason
			continue
		}
		name, labels, _ := strings.Cut(k, "\x00")
		for _, w := range ws {
			all := append(splitLabels(labels), "gpu", strconv.Itoa(w.gpu))
			out[key(name, all)] = w.reason
		}
	}
	for k, reason := range out {
		if name, labels, ok := strings.Cut(k, "\x00"); ok {
			delete(out, k)
			out[series(name, splitLabels(labels))] = reason
		}
	}
	if watching != "" {
		out["DCGM_FI_DEV_XID_ERRORS"] = watching
	}
	return out
}

// key joins a name and labels so that they can be taken apart again; labels may contain anything but zero bytes.
func key(name string, labels []string) string {
	if len(labels) == 0 {
		return name
	}
	return name + "\x00" + strings.Join(labels, "\x00")
}

func splitLabels(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\x00")
}

// series writes a name with its labels in their order.
func series(name string, labels []string) string {
	var pairs []string
	for i := 0; i+1 < len(labels); i += 2 {
		pairs = append(pairs, labels[i]+"="+strconv.Quote(labels[i+1]))
	}
	slices.Sort(pairs)
	return name + "{" + strings.Join(pairs, ",") + "}"
}

// missing tells what a GPU doesn't give, and why.
func (g *gpu) missing(now time.Time) []miss {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := func(reason string) []miss {
		var out []miss
		for name := range g.c.index {
			if name != simulated {
				out = append(out, miss{name: name, reason: reason})
			}
		}
		return out
	}
	switch {
	case !g.lost.IsZero():
		return all("GPU is lost since " + g.lost.Format(time.TimeOnly))
	case g.dev == nil && g.err != nil:
		return all(g.err.Error())
	case g.dev == nil:
		if s := g.doing.told(" on GPU "+strconv.Itoa(g.index), now); s != "" {
			return all(s)
		}
		return all("starting")
	}
	var out []miss
	add := func(k call, labels []string) {
		a := g.answers[k]
		if a != nil && a.last != nil && now.Sub(a.last.at) <= stale(k.field.every) {
			for _, m := range a.last.missing {
				out = append(out, miss{m.name, m.reason, append(slices.Clone(labels), m.labels...)})
			}
			return
		}
		reason := g.why(k, a, now)
		for _, name := range k.field.gives {
			out = append(out, miss{name, reason, labels})
		}
	}
	for _, f := range g.c.fields {
		if !f.instancesOnly || len(g.parts) == 0 {
			add(call{f, whole}, nil)
		}
		if !f.instances {
			continue
		}
		for _, p := range g.parts {
			add(call{f, p.GPUInstance}, []string{"GPU_I_ID", strconv.Itoa(p.GPUInstance)})
		}
	}
	return out
}

// why says why a call has no answer that counts. g.mu is held.
func (g *gpu) why(k call, a *answer, now time.Time) string {
	if a == nil {
		if s := g.worst(now); s != "" {
			return s
		}
		return "starting"
	}
	if s := (step{k.field.call, a.calling}).told(g.place(k), now); !a.calling.IsZero() && s != "" {
		return s
	}
	switch {
	case permanent(a.err) && g.mig && k.instance == whole:
		return plain(a.err) + " while MIG is on"
	case permanent(a.err):
		return plain(a.err)
	}
	// A driver that answers nothing is asked no more: the call that hangs longest is why.
	if s := g.worst(now); s != "" && g.stuck >= maxStuck {
		return s
	}
	switch {
	case a.last == nil && a.err != nil:
		return plain(a.err)
	case a.last == nil:
		return "starting"
	case a.err != nil:
		return fmt.Sprintf("no data for %d s: %s", int(now.Sub(a.last.at).Seconds()), plain(a.err))
	}
	return fmt.Sprintf("no data for %d s", int(now.Sub(a.last.at).Seconds()))
}

// worst reports the call that hangs longest, empty for none. g.mu is held.
func (g *gpu) worst(now time.Time) string {
	oldest := step{}
	var at call
	for k, a := range g.answers {
		if !a.calling.IsZero() && (oldest.call == "" || a.calling.Before(oldest.since)) {
			oldest, at = step{k.field.call, a.calling}, k
		}
	}
	return oldest.told(g.place(at), now)
}

// unanswered names the calls that are under way, for Close.
func (c *Collector) unanswered(now time.Time) string {
	c.mu.Lock()
	doing, gpus := c.doing, c.gpus
	c.mu.Unlock()
	var out []string
	say := func(s step, where string) {
		if s.call != "" && !s.since.IsZero() {
			out = append(out, fmt.Sprintf("%s%s (%.1f s)", s.call, where, now.Sub(s.since).Seconds()))
		}
	}
	say(doing, "")
	for _, g := range gpus {
		g.mu.Lock()
		say(g.doing, " on GPU "+strconv.Itoa(g.index))
		for k, a := range g.answers {
			say(step{k.field.call, a.calling}, g.place(k))
		}
		g.mu.Unlock()
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// Status is the fact gpu/status: "ok", "starting", or why there is no GPU data.
func (c *Collector) Status() string { return c.currentStatus(time.Now()) }

func (c *Collector) currentStatus(now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.doing.told("", now); s != "" {
		return s
	}
	return c.status
}

// costs counts the time spent inside the driver, per call.
type costs struct {
	seconds, calls *prometheus.Desc
	mu             sync.Mutex // guards by
	by             map[string]*cost
}

type cost struct {
	seconds float64
	calls   int
}

func (c *costs) init() {
	c.by = map[string]*cost{}
	c.seconds = prometheus.NewDesc("pitwall_gpu_nvml_seconds_total",
		"Wall time that pitwall's calls spent inside NVML.", []string{"call"}, nil)
	c.calls = prometheus.NewDesc("pitwall_gpu_nvml_calls_total",
		"Calls of pitwall to NVML that have come back.", []string{"call"}, nil)
}

func (c *costs) add(name string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.by[name]
	if k == nil {
		k = &cost{}
		c.by[name] = k
	}
	k.seconds += took.Seconds()
	k.calls++
}

func (c *costs) collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	ms := make([]prometheus.Metric, 0, 2*len(c.by))
	for name, k := range c.by {
		ms = append(ms, prometheus.MustNewConstMetric(c.seconds, prometheus.CounterValue, k.seconds, name),
			prometheus.MustNewConstMetric(c.calls, prometheus.CounterValue, float64(k.calls), name))
	}
	c.mu.Unlock()
	for _, m := range ms {
		out <- m
	}
}
