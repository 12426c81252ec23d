package events

import (
	"context"
	"strconv"
	"testing"
	"time"

	"pitwall/probes"
	"pitwall/sessions"
)

// busy is a box with one engine and eight GPUs on which nearly every rule has something to look at and some fire.
func busy(second *int) []probes.Source {
	now := func() int { return *second }
	engine := &page{job: "vllm", instance: "e:1", n: now, read: func(n int) []probes.Sample {
		f := float64(n)
		out := []probes.Sample{
			sample(1, "pitwall_engine_state", "state", "ready"), sample(f/10, "vllm:num_preemptions_total"), sample(0.97, "vllm:kv_cache_usage_perc"),
			sample(64, "vllm:num_requests_running"), sample(float64(n%40), "vllm:num_requests_waiting"), sample(f, "vllm:request_success_total", "finished_reason", "stop"),
			sample(0, "vllm:request_success_total", "finished_reason", "error"), sample(f, "http_requests_total", "status", "2xx"), sample(0, "http_requests_total", "status", "5xx"),
			sample(0, "vllm:admission_rejections_total"),
		}
		for i := range 500 { // histograms and the like, which no rule asks for
			out = append(out, sample(f*float64(i), "vllm:time_to_first_token_seconds_bucket", "le", strconv.Itoa(i)))
		}
		return out
	}}
	gpu := &page{job: "dcgm", instance: "box", n: now, read: func(n int) []probes.Sample {
		var out []probes.Sample
		for i := range 8 {
			g := strconv.Itoa(i)
			for _, reason := range []string{"power_cap", "sw_thermal", "hw_thermal", "hw_slowdown", "power_brake", "gpu_idle", "board_limit", "reliability", "sync_boost"} {
				out = append(out, sample(float64((n/5+i)%2), "pitwall_gpu_clocks_event_reason", "gpu", g, "reason", reason))
			}
			for name, v := range map[string]float64{"DCGM_FI_DEV_GPU_TEMP": 80, "DCGM_FI_DEV_SLOWDOWN_TEMP": 92, "DCGM_FI_DEV_MEMORY_TEMP": 90, "DCGM_FI_DEV_MEM_MAX_OP_TEMP": 95,
				"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": 0, "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": 3, "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": 0, "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": 0,
				"DCGM_FI_DEV_ROW_REMAP_PENDING": 0, "DCGM_FI_DEV_ROW_REMAP_FAILURE": 0, "pitwall_gpu_recovery_action": 0, "DCGM_FI_DEV_POWER_USAGE": 400, "DCGM_FI_DEV_SM_CLOCK": 1400} {
				out = append(out, sample(v, name, "gpu", g))
			}
		}
		return out
	}}
	node := &page{job: "node", instance: "box", n: now, read: func(n int) []probes.Sample {
		out := []probes.Sample{sample(1<<40, "node_memory_MemTotal_bytes"), sample(1<<37, "node_memory_MemAvailable_bytes"), sample(float64(n), "node_vmstat_pswpout")}
		for i := range 4 {
			m := "/mnt/" + strconv.Itoa(i)
			out = append(out, sample(1<<40, "node_filesystem_size_bytes", "mountpoint", m, "purpose", m), sample(1<<39, "node_filesystem_avail_bytes", "mountpoint", m, "purpose", m))
		}
		for i := range 12 {
			out = append(out, sample(1e9+1e6*float64(n), "pitwall_process_resident_memory_bytes", "pid", strconv.Itoa(i), "title", "worker"))
		}
		return out
	}}
	return []probes.Source{engine, gpu, node}
}

// BenchmarkLook is what all rules cost a second on a busy box: one engine, eight GPUs. The budget is 5 ms.
func BenchmarkLook(b *testing.B) {
	second := 0
	sources := busy(&second)
	rec, err := sessions.NewRecorder(sessions.Options{Host: "box", Sources: func() []probes.Source { return sources }})
	if err != nil {
		b.Fatal(err)
	}
	play(b, rec, &second, 0, 240)
	w := newWatcher(rec, Builtin())
	n := 60
	b.ReportAllocs()
	for b.Loop() {
		if n++; n == 240 {
			n, w = 60, newWatcher(rec, Builtin())
		}
		if _, err := w.step(context.Background(), at(float64(n))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFold is what the screen pays for all events of a day that had ten thousand.
func BenchmarkFold(b *testing.B) {
	var all []probes.Event
	for i := range 5000 {
		all = append(all,
			told(float64(16*i), probes.Warning, "gpu.power_cap", "gpu/"+strconv.Itoa(i%8), "power-capped", "phase=began", "cause=x", "expr=y", "value=1", "threshold=2"),
			told(float64(16*i+9), probes.Warning, "gpu.power_cap", "gpu/"+strconv.Itoa(i%8), "", "phase=ended", "count=3", "active=5s"))
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := len(Fold(all, time.Time{}, time.Time{}, at(1e6))); n != 5000 {
			b.Fatal(n)
		}
	}
}

// BenchmarkSearch is what going through ten minutes of a busy box afterwards costs.
func BenchmarkSearch(b *testing.B) {
	second := 0
	sources := busy(&second)
	rec, err := sessions.NewRecorder(sessions.Options{Host: "box", Sources: func() []probes.Source { return sources }})
	if err != nil {
		b.Fatal(err)
	}
	play(b, rec, &second, 0, 600)
	for b.Loop() {
		if _, err := Search(context.Background(), rec, Builtin(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
