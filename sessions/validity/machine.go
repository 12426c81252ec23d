package validity

import (
	"context"
	"fmt"
	"math"
	"strings"

	"pitwall/sessions"
)

// This file holds what this host and its GPUs tell. Their series have the field's names (dcgm-exporter's, node_exporter's).

const intervalMetric = sessions.IntervalMetric

// throttling are the reasons for low clocks that mean trouble; a power cap under load is how a GPU works.
const throttling = "hw_slowdown|sw_thermal|hw_thermal|power_brake"

// throttled flags GPUs that were slowed down.
func (j *judge) throttled(ctx context.Context) {
	if !j.opt.Loopback || !j.to.After(j.from) {
		return
	}
	expr := fmt.Sprintf("avg_over_time(pitwall_gpu_clocks_event_reason{reason=~%q}[%s]) > 0", throttling, window(j.from, j.to))
	res, err := j.reader.Query(ctx, expr, j.to, j.scope)
	j.fail(err)
	var worst float64
	var said []string
	for _, s := range res.Vector() {
		worst = max(worst, s.F)
		said = append(said, fmt.Sprintf("GPU %s %s in %.0f %% of the time", s.Metric.Get("gpu"), s.Metric.Get("reason"), 100*s.F))
	}
	if len(said) > 0 {
		j.flag("gpu-throttled", worst > 0.1, "the GPU was slowed down", strings.Join(said, ", "), "cool it or give it power, then repeat the run: its numbers are of a slower card")
	}
}

// clocks flags GPUs whose clock was not the same throughout: percentiles then mix two speeds.
func (j *judge) clocks(ctx context.Context) {
	if !j.opt.Loopback || !j.to.After(j.from) {
		return
	}
	span := window(j.from, j.to)
	// The middle 90 % of the readings: a single low one, between two batches, is nothing.
	expr := fmt.Sprintf("(quantile_over_time(0.95, DCGM_FI_DEV_SM_CLOCK[%[1]s]) - quantile_over_time(0.05, DCGM_FI_DEV_SM_CLOCK[%[1]s])) / quantile_over_time(0.95, DCGM_FI_DEV_SM_CLOCK[%[1]s]) > 0.05", span)
	res, err := j.reader.Query(ctx, expr, j.to, j.scope)
	j.fail(err)
	var said []string
	for _, s := range res.Vector() {
		said = append(said, fmt.Sprintf("GPU %s's clock moved by %.0f %%", s.Metric.Get("gpu"), 100*s.F))
	}
	if len(said) > 0 {
		j.flag("clocks-moved", false, "GPU clocks moved", strings.Join(said, ", ")+" (DCGM_FI_DEV_SM_CLOCK, 5th to 95th percentile)",
			"lock the clocks (nvidia-smi -lgc) to compare runs, or warm the card up longer")
	}
}

// Bounds of a host that does not disturb.
const (
	// swapPages is how many pages a second may be swapped: 1 MiB/s.
	swapPages = 256
	// heldBack is the share of periods in which a cgroup's CPU limit may be reached.
	heldBack = 0.01
)

// host flags a host that swaps, or holds processes back.
func (j *judge) host(ctx context.Context) {
	seconds := j.to.Sub(j.from).Seconds()
	if seconds <= 0 {
		return
	}
	span := window(j.from, j.to)
	moved := func(metric string) float64 {
		return j.value(ctx, fmt.Sprintf("max(max_over_time(%[1]s[%[2]s]) - min_over_time(%[1]s[%[2]s]))", metric, span), j.to)
	}
	in, out := moved("node_vmstat_pswpin"), moved("node_vmstat_pswpout")
	if pages := orZero(in) + orZero(out); pages/seconds > swapPages {
		j.flag("swapping", false, "the host swapped", fmt.Sprintf("%.0f pages in and %.0f out between %s and %s (node_vmstat_pswpin, _pswpout)", orZero(in), orZero(out), clock(j.from), clock(j.to)),
			"free memory, or give the engine less: a page fault looks like a slow token")
	}
	expr := fmt.Sprintf("increase(pitwall_cgroup_cpu_throttled_periods_total[%[1]s]) / increase(pitwall_cgroup_cpu_periods_total[%[1]s]) > %[2]g", span, heldBack)
	res, err := j.reader.Query(ctx, expr, j.to, j.scope)
	j.fail(err)
	var said []string
	for _, s := range res.Vector() {
		said = append(said, fmt.Sprintf("%s (%s) reached its CPU limit in %.0f %% of its periods", s.Metric.Get("of"), s.Metric.Get("path"), 100*s.F))
	}
	if len(said) > 0 {
		j.flag("cgroup-throttled", false, "a CPU limit held processes back", strings.Join(said, ", "), "raise the container's CPU limit, or measure outside of it")
	}
}

func orZero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}
