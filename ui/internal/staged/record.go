package staged

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
	"pitwall/sessions"
)

// recorded is a source of the made-up box that Record records: an engine, a GPU or a host, by job.
type recorded struct {
	job, instance string
	every         time.Duration
	read          func(t int64) probes.Reading
	start         int64
	now           *int64
}

func (s *recorded) Target() (job, instance string) { return s.job, s.instance }
func (s *recorded) Every() time.Duration           { return s.every }
func (s *recorded) Read(context.Context) probes.Reading {
	return s.read(*s.now - s.start)
}

// page collects samples.
type page []probes.Sample

func (p *page) add(name string, v float64, pairs ...string) {
	*p = append(*p, probes.Sample{Labels: labels.FromStrings(append([]string{"__name__", name}, pairs...)...), Value: v})
}

// Recording is a real recording of a made-up box, driven by hand.
type Recording struct {
	*sessions.Recorder
	Start time.Time
	next  int64
	now   int64
}

// Record makes a recorder of one busy vLLM with a GPU and its host, all of it functions of time: counters that rise by whole
// numbers, a burst every seven minutes, a stall from second 200 to 214. It holds nothing before Run. An empty dir keeps it in
// memory.
func Record(dir string, start time.Time) (*Recording, error) {
	start = start.Truncate(time.Second)
	out := &Recording{Start: start}
	begin := start.Unix()
	const in = "127.0.0.1:8000"
	engine := &recorded{job: "vllm", instance: in, every: time.Second, start: begin, now: &out.now, read: func(t int64) probes.Reading {
		var p page
		l := []string{"engine", "0", "model_name", "made/up"}
		state := "ready"
		since := begin
		if t >= 200 && t < 214 {
			state, since = "stalled", begin+200
		}
		moving := t
		if t >= 200 {
			moving = max(t-14, 200)
		}
		busy := float64(moving%420) / 420
		p.add("vllm:num_requests_running", math.Floor(1+busy*30), l...)
		p.add("vllm:num_requests_waiting", math.Floor(max(0, busy*40-20)), l...)
		p.add("vllm:num_requests_waiting_by_reason", math.Floor(max(0, busy*40-20)), append(l, "reason", "capacity")...)
		p.add("vllm:kv_cache_usage_perc", math.Round(busy*100)/100, l...)
		p.add("vllm:generation_tokens_total", float64(moving*240), l...)
		p.add("vllm:prompt_tokens_total", float64(moving*100+moving/10*13), l...)
		p.add("vllm:prompt_tokens_cached_total", float64(moving*30), l...)
		p.add("vllm:num_preemptions_total", float64(moving/40), l...)
		p.add("vllm:prefix_cache_queries_total", float64(moving*100), l...)
		p.add("vllm:prefix_cache_hits_total", float64(moving*30), l...)
		p.add("vllm:request_success_total", float64(moving*2), append(l, "finished_reason", "stop")...)
		p.add("vllm:request_success_total", float64(moving/3), append(l, "finished_reason", "length")...)
		for _, h := range []struct {
			name  string
			value float64
			count int64
			edges []float64
		}{
			{"vllm:time_to_first_token_seconds", 0.05 + busy/2, moving * 2, []float64{.01, .04, .08, .25, .5, .75, 1, 2.5}},
			{"vllm:inter_token_latency_seconds", 0.02 + busy/50, moving * 238, []float64{.01, .025, .05, .075, .1}},
			{"vllm:request_time_per_output_token_seconds", 0.02 + busy/50, moving * 2, []float64{.01, .025, .05, .075, .1}},
			{"vllm:e2e_request_latency_seconds", 2 + busy, moving * 2, []float64{1, 2, 2.5, 5, 10}},
			{"vllm:request_queue_time_seconds", busy / 4, moving * 2, []float64{.3, .5, 1, 2}},
			{"vllm:request_prefill_time_seconds", .04, moving * 2, []float64{.3, .5, 1, 2}},
			{"vllm:request_decode_time_seconds", 2, moving * 2, []float64{1, 2, 2.5, 5, 10}},
			{"vllm:request_prompt_tokens", 50, moving * 2, []float64{10, 100, 1000}},
			{"vllm:request_generation_tokens", 120, moving * 2, []float64{10, 100, 1000}},
		} {
			for _, le := range h.edges {
				n := 0.0
				if h.value <= le {
					n = float64(h.count)
				}
				p.add(h.name+"_bucket", n, append(l, "le", strconv.FormatFloat(le, 'g', -1, 64))...)
			}
			p.add(h.name+"_bucket", float64(h.count), append(l, "le", "+Inf")...)
			p.add(h.name+"_count", float64(h.count), l...)
			p.add(h.name+"_sum", float64(h.count)*h.value, l...)
		}
		p.add("pitwall_engine_state_start_time_seconds", float64(since))
		for _, s := range []string{"ready", "stalled", "starting", "no_answer"} {
			v := 0.0
			if s == state {
				v = 1
			}
			p.add("pitwall_engine_state", v, "state", s)
		}
		r := probes.Reading{Samples: p, Facts: map[string]string{
			"engine/" + in + "/url": "http://" + in, "engine/" + in + "/dialect": "vllm", "engine/" + in + "/version": "0.32.0", "engine/" + in + "/model": "made/up", "engine/" + in + "/max_num_seqs": "64",
			"engine/" + in + "/num_gpu_blocks": "1001", "engine/" + in + "/block_size": "16", "engine/" + in + "/kv_tokens": "16016",
		}, Absent: map[string]string{"vllm:admission_rejections_total": "needs vLLM 0.32 or newer"}, Took: 12 * time.Millisecond}
		change := func(to, from, reason string) {
			severity := probes.Note
			if to == "stalled" {
				severity = probes.Warning
			}
			r.Events = append(r.Events, probes.Event{Kind: probes.KindEngineState, Subject: "engine/" + in, Severity: severity, Title: to, Attrs: map[string]string{"state": to, "from": from, "reason": reason}})
		}
		switch t {
		case 0:
			change("ready", "", "")
		case 200:
			change("stalled", "ready", "14 running, no token counter moved")
		case 214:
			change("ready", "stalled", "tokens again")
		}
		return r
	}}
	card := &recorded{job: "dcgm", instance: "box", every: time.Second, start: begin, now: &out.now, read: func(t int64) probes.Reading {
		var p page
		l := []string{"gpu", "0", "UUID", "GPU-1", "modelName", "NVIDIA A100-SXM4-80GB"}
		busy := float64(t%420) / 420
		for name, v := range map[string]float64{
			"DCGM_FI_DEV_GPU_UTIL": math.Round(30 + 70*busy), "DCGM_FI_DEV_POWER_USAGE": math.Round(100 + 290*busy), "DCGM_FI_DEV_ENFORCED_POWER_LIMIT": 400, "DCGM_FI_DEV_FB_USED": 70000 + math.Round(900*busy),
			"DCGM_FI_DEV_FB_TOTAL": 81920, "DCGM_FI_DEV_GPU_TEMP": math.Round(40 + 30*busy), "DCGM_FI_DEV_SLOWDOWN_TEMP": 89, "DCGM_FI_DEV_MEMORY_TEMP": math.Round(50 + 30*busy), "DCGM_FI_DEV_SM_CLOCK": 1410 - math.Round(60*busy),
			"DCGM_FI_DEV_MAX_SM_CLOCK": 1410, "DCGM_FI_DEV_MEM_CLOCK": 1593, "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": 0, "DCGM_FI_DEV_XID_ERRORS": 0,
		} {
			p.add(name, v, l...)
		}
		return probes.Reading{Samples: p, Facts: map[string]string{"gpu/status": "ok", "gpu/0/name": "NVIDIA A100-SXM4-80GB", "gpu/0/engine": in}}
	}}
	host := &recorded{job: "node", instance: "box", every: time.Second, start: begin, now: &out.now, read: func(t int64) probes.Reading {
		var p page
		p.add("node_cpu_seconds_total", float64(t)*3, "mode", "user")
		p.add("node_cpu_seconds_total", float64(t), "mode", "system")
		p.add("node_cpu_seconds_total", float64(t)*4, "mode", "idle")
		p.add("pitwall_cpu_count", 8)
		p.add("pitwall_cpu_busiest_core_ratio", 0.5+float64(t%100)/200)
		p.add("node_memory_MemTotal_bytes", 64<<30)
		p.add("node_memory_MemAvailable_bytes", float64(40<<30)-float64(t%600)*(1<<20))
		p.add("node_load1", 3+float64(t%60)/20)
		p.add("node_load5", 3)
		p.add("node_load15", 2)
		p.add("node_network_receive_bytes_total", float64(t)*120_000, "device", "eth0")
		p.add("node_network_transmit_bytes_total", float64(t)*450_000, "device", "eth0")
		p.add("node_disk_read_bytes_total", float64(t)*1000, "device", "nvme0n1")
		p.add("node_disk_written_bytes_total", float64(t)*70_000, "device", "nvme0n1")
		p.add("node_pressure_cpu_waiting_seconds_total", float64(t)*0.02)
		p.add("node_pressure_memory_waiting_seconds_total", 0)
		p.add("node_pressure_io_waiting_seconds_total", float64(t)*0.01)
		return probes.Reading{Samples: p, Facts: map[string]string{"host/name": "box"}}
	}}
	rec, err := sessions.NewRecorder(sessions.Options{Dir: dir, Host: "box", Sources: func() []probes.Source { return []probes.Source{engine, card, host} }})
	if err != nil {
		return nil, err
	}
	out.Recorder = rec
	return out, nil
}

// Run records so many seconds more.
func (r *Recording) Run(seconds int) error {
	for range seconds {
		r.now = r.Start.Unix() + r.next
		if err := r.Tick(context.Background(), time.Unix(r.now, 0)); err != nil {
			return err
		}
		r.next++
	}
	return nil
}

// Skip lets seconds pass without recording: a gap.
func (r *Recording) Skip(seconds int) { r.next += int64(seconds) }
