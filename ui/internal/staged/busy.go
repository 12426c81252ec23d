package staged

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/promql"

	"pitwall/probes"
	"pitwall/sessions"
)

// wave is a smooth value between 0 and 1 with some small movement on it, the same for the same t.
func wave(t, period, phase float64) float64 {
	return 0.5 + 0.38*math.Sin(2*math.Pi*(t/period+phase)) + 0.12*math.Sin(2*math.Pi*(t/(period/5.3)+phase*3))
}

// Busy is a session of a busy vLLM on an A100: bursts that fill the queue, a KV cache that comes near its end, a GPU at
// its power limit now and then. gpus is how many GPUs the host has.
func Busy(now time.Time, gpus int) *Session {
	start := now.Add(-40 * time.Minute)
	const in = "127.0.0.1:8000"
	burst := func(t float64) float64 { return math.Max(0, wave(t, 210, 0.15)*1.9-0.75) }
	running := func(t float64) float64 { return math.Floor(math.Min(64, 6+70*burst(t))) }
	waiting := func(t float64) float64 { return math.Floor(math.Max(0, 6+70*burst(t)-64) * 1.6) }
	decode := func(t float64) float64 { return running(t) * (52 - running(t)*0.28) }
	prefill := func(t float64) float64 {
		return 900 + 9000*math.Max(0, burst(t+14)-burst(t)) + 700*wave(t, 17, 0.3)
	}
	kv := func(t float64) float64 { return math.Min(0.995, running(t)/66+0.03*wave(t, 31, 0)) }
	util := func(t float64) float64 { return math.Min(100, 30+running(t)*1.3) }
	power := func(t float64) float64 { return math.Round(math.Min(398, 96+running(t)*5.1+8*wave(t, 9, 0))) }
	ttft := func(t float64) float64 { return 0.07 + 0.012*waiting(t) + 0.05*burst(t) }
	itl := func(t float64) float64 { return 0.013 + running(t)*0.00027 }
	pre := func(t float64) float64 {
		if kv(t) > 0.985 {
			return 0.4 * wave(t, 13, 0)
		}
		return 0
	}
	short := []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	steps := []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
	long := []float64{.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60}
	rate := func(t float64) float64 { return 1 + decode(t)/180 }
	hist := func(edges []float64, c func(float64) float64) func(float64) promql.Vector {
		return func(t float64) promql.Vector { return Buckets(edges, rate(t), c(t)) }
	}
	each := func(f func(t float64, i int) float64) func(float64) promql.Vector {
		return func(t float64) promql.Vector {
			var out promql.Vector
			for i := range gpus {
				out = append(out, V(f(t, i), "gpu", strconv.Itoa(i), "job", "dcgm"))
			}
			return out
		}
	}
	shift := func(t float64, i int) float64 { return t - float64(i*37) }
	const gib = 1 << 30
	s := &Session{Start: start, Now: now, WindowOfRate: 10 * time.Second}
	s.Answers = []Answer{
		{"pitwall_engine_state ==", func(t float64) promql.Vector {
			return promql.Vector{V(1, "instance", in, "job", "vllm", "state", "ready")}
		}},
		{"pitwall_engine_state_start", func(t float64) promql.Vector {
			return promql.Vector{V(float64(start.Add(-152*time.Minute).Unix()), "instance", in, "job", "vllm")}
		}},
		{"engine:prompt_length_mean", func(t float64) promql.Vector {
			return promql.Vector{V(decode(t)/max(running(t), 1), "of", "each"), V(512, "of", "prompt"), V(178, "of", "output")}
		}},
		{"engine:running", One(running)},
		{"engine:waiting_by_reason", func(t float64) promql.Vector {
			return promql.Vector{V(waiting(t), "reason", "capacity"), V(0, "reason", "deferred")}
		}},
		{"engine:waiting", One(waiting)},
		{"engine:kv_usage", One(kv)},
		{"engine:preemptions", One(pre)},
		{"engine:requests_finished", func(t float64) promql.Vector {
			return promql.Vector{V(rate(t)*0.8, "finished_reason", "stop"), V(rate(t)*0.2, "finished_reason", "length"), V(0, "finished_reason", "abort")}
		}},
		{"engine:errors", One(func(float64) float64 { return 0 })},
		{"engine:rejections", One(func(float64) float64 { return 0 })},
		{"engine:aborts_estimate", One(func(float64) float64 { return 0.2 })},
		{"engine:decode_tokens", One(decode)},
		{"engine:prefill_cached_tokens", One(func(t float64) float64 { return prefill(t) * 0.38 })},
		{"engine:prefill_tokens", One(prefill)},
		{"engine:prefix_hit_ratio", One(func(t float64) float64 { return 0.3 + 0.15*wave(t, 90, 0) })},
		{"engine:ttft_buckets", hist(short, ttft)}, {"engine:ttft_mean", One(ttft)},
		{"engine:itl_buckets", hist(steps, itl)}, {"engine:itl_mean", One(itl)},
		{"engine:tpot_buckets", hist(steps, itl)}, {"engine:tpot_mean", One(itl)},
		{"engine:e2e_buckets", hist(long, func(t float64) float64 { return ttft(t) + 178*itl(t) })},
		{"engine:e2e_mean", One(func(t float64) float64 { return ttft(t) + 178*itl(t) })},
		{"engine:queue_buckets", hist(long, func(t float64) float64 { return 0.011 * waiting(t) })},
		{"engine:queue_mean", One(func(t float64) float64 { return 0.011 * waiting(t) })},
		{"engine:prefill_buckets", hist(long, func(t float64) float64 { return 0.06 + 0.04*burst(t) })},
		{"engine:prefill_mean", One(func(t float64) float64 { return 0.06 + 0.04*burst(t) })},
		{"engine:decode_buckets", hist(long, func(t float64) float64 { return 178 * itl(t) })},
		{"engine:decode_mean", One(func(t float64) float64 { return 178 * itl(t) })},
		{"DCGM_FI_DEV_GPU_UTIL{", each(func(t float64, i int) float64 { return math.Round(util(shift(t, i))) })},
		{"DCGM_FI_DEV_POWER_USAGE{", each(func(t float64, i int) float64 { return power(shift(t, i)) })},
		{"DCGM_FI_DEV_SM_CLOCK{", each(func(t float64, i int) float64 {
			return 1410 - 15*math.Round(math.Max(0, power(shift(t, i))-380)/3)
		})},
		{"DCGM_FI_DEV_GPU_TEMP{", each(func(t float64, i int) float64 { return math.Round(41 + power(shift(t, i))/13) })},
		{"DCGM_FI_DEV_MEMORY_TEMP{", each(func(t float64, i int) float64 { return math.Round(49 + power(shift(t, i))/12) })},
		{"DCGM_FI_DEV_FB_USED{", each(func(float64, int) float64 { return 72922 })},
		{"pitwall_gpu_clocks_event_reason_seconds_total", func(t float64) promql.Vector {
			var out promql.Vector
			for i := range gpus {
				n := strconv.Itoa(i)
				out = append(out, V(math.Max(0, (power(shift(t, i))-330)/70), "gpu", n, "reason", "power_cap"), V(0, "gpu", n, "reason", "hw_thermal"), V(0, "gpu", n, "reason", "sw_thermal"))
			}
			return out
		}},
		{"nvlink", func(float64) promql.Vector { return nil }},
		{"DCGM_FI_.+", func(t float64) promql.Vector {
			var out promql.Vector
			for i := range gpus {
				ti := shift(t, i)
				for name, v := range map[string]float64{
					"DCGM_FI_DEV_GPU_UTIL": math.Round(util(ti)), "DCGM_FI_DEV_MEM_COPY_UTIL": math.Round(util(ti) * 0.7), "DCGM_FI_DEV_POWER_USAGE": power(ti),
					"DCGM_FI_DEV_ENFORCED_POWER_LIMIT": 400, "DCGM_FI_DEV_FB_USED": 72922, "DCGM_FI_DEV_FB_TOTAL": 81920, "DCGM_FI_DEV_FB_RESERVED": 640,
					"DCGM_FI_DEV_GPU_TEMP": math.Round(41 + power(ti)/13), "DCGM_FI_DEV_MEMORY_TEMP": math.Round(49 + power(ti)/12), "DCGM_FI_DEV_SLOWDOWN_TEMP": 89,
					"DCGM_FI_DEV_MEM_MAX_OP_TEMP": 95, "DCGM_FI_DEV_SM_CLOCK": 1410 - 15*math.Round(math.Max(0, power(ti)-380)/3), "DCGM_FI_DEV_MAX_SM_CLOCK": 1410,
					"DCGM_FI_DEV_MEM_CLOCK": 1593, "DCGM_FI_DEV_PSTATE": 0, "DCGM_FI_PROF_PCIE_RX_BYTES": 12.4e6, "DCGM_FI_PROF_PCIE_TX_BYTES": 3.1e6,
					"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": 0, "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": 0, "DCGM_FI_DEV_XID_ERRORS": 0, "DCGM_FI_DEV_ROW_REMAP_PENDING": 0,
				} {
					out = append(out, V(v, "__name__", name, "gpu", strconv.Itoa(i), "job", "dcgm"))
				}
				out = append(out, V(71.0*gib, "__name__", "pitwall_gpu_process_memory_bytes", "gpu", strconv.Itoa(i), "pid", strconv.Itoa(4300+i), "title", "VLLM::Worker_TP"+strconv.Itoa(i), "engine", in, "job", "dcgm"))
			}
			return out
		}},
		{`mode!~"idle`, One(func(t float64) float64 { return 0.12 + 0.1*wave(t, 50, 0) })},
		{"sum by (mode)", func(t float64) promql.Vector {
			u := 0.12 + 0.1*wave(t, 50, 0)
			return promql.Vector{V(64*u*0.8, "mode", "user"), V(64*u*0.2, "mode", "system"), V(0.3, "mode", "iowait"), V(64*(1-u), "mode", "idle"), V(0, "mode", "steal")}
		}},
		{"pitwall_cpu_busiest_core_ratio{", One(func(t float64) float64 { return 0.7 + 0.3*wave(t, 40, 0) })},
		{"1 - node_memory", One(func(float64) float64 { return 0.142 })},
		{"node_pressure", func(t float64) promql.Vector {
			return promql.Vector{V(0.012, "of", "cpu"), V(0, "of", "mem"), V(0.004, "of", "io")}
		}},
		{"node_network", func(t float64) promql.Vector {
			return promql.Vector{V(1.2e6*wave(t, 20, 0), "of", "net in"), V(4.1e6, "of", "net out"), V(0, "of", "read"), V(2.1e5, "of", "write"), V(0.01, "of", "busy"), V(0, "of", "swap")}
		}},
		{"pitwall_process_cpu", func(t float64) promql.Vector {
			return promql.Vector{V(0.41+0.2*wave(t, 20, 0), "pid", "4211"), V(1.02, "pid", "4262"), V(0.88, "pid", "4300")}
		}},
		{"throttled", func(float64) promql.Vector { return promql.Vector{V(0, "of", "engine")} }},
		{"node_load", func(t float64) promql.Vector {
			v := func(name string, x float64, pairs ...string) promql.Sample {
				return V(x, append([]string{"__name__", name, "job", "node"}, pairs...)...)
			}
			out := promql.Vector{
				v("node_load1", 11.2), v("node_load5", 10.4), v("node_load15", 8.8), v("pitwall_cpu_count", 64), v("pitwall_cpu_busiest_core", 12), v("pitwall_cpu_busiest_core_ratio", 0.7+0.3*wave(t, 40, 0)),
				v("node_memory_MemTotal_bytes", 503*gib), v("node_memory_MemAvailable_bytes", 431.6*gib), v("node_memory_SwapTotal_bytes", 0), v("node_memory_SwapFree_bytes", 0),
				v("pitwall_cgroup_cpu_limit_cores", 32, "of", "engine"), v("pitwall_cgroup_memory_limit_bytes", 256*gib, "of", "engine"), v("pitwall_cgroup_memory_usage_bytes", 61*gib, "of", "engine"),
				v("node_filesystem_avail_bytes", 812*gib, "purpose", "model cache", "mountpoint", "/data"), v("node_filesystem_size_bytes", 1800*gib, "purpose", "model cache", "mountpoint", "/data"),
			}
			for _, p := range []struct {
				pid, role, title string
				rss, threads     float64
			}{{"4211", "api_server", "VLLM::APIServer_0", 1.4 * gib, 71}, {"4262", "engine_core", "VLLM::EngineCore", 2.2 * gib, 48}, {"4300", "worker", "VLLM::Worker_TP0", 4.9 * gib, 132}} {
				l := []string{"pid", p.pid, "role", p.role, "title", p.title, "engine", in}
				out = append(out, v("pitwall_process_resident_memory_bytes", p.rss, l...), v("pitwall_process_threads", p.threads, l...),
					v("pitwall_process_start_time_seconds", float64(start.Add(-154*time.Minute).Unix()), l...))
			}
			return out
		}},
	}
	s.FactsNow = map[string]string{
		"engine/" + in + "/url": "http://" + in, "engine/" + in + "/dialect": "vllm", "engine/" + in + "/version": "0.32.0",
		"engine/" + in + "/model": "meta-llama/Llama-3.1-8B-Instruct", "engine/" + in + "/dtype": "bfloat16", "engine/" + in + "/max_model_len": "8192", "engine/" + in + "/max_num_seqs": "64",
		"engine/" + in + "/num_gpu_blocks": "28188", "engine/" + in + "/block_size": "16", "engine/" + in + "/kv_tokens": "451008", "engine/" + in + "/kv_max_concurrency": "55.06",
		"engine/" + in + "/cache_dtype": "auto", "engine/" + in + "/prefix_caching": "True", "host/name": "a100-3.lab", "host/kernel": "6.8.0",
	}
	for i := range gpus {
		n := "gpu/" + strconv.Itoa(i) + "/"
		s.FactsNow[n+"name"], s.FactsNow[n+"engine"], s.FactsNow[n+"engine_by"] = "NVIDIA A100-SXM4-80GB", in, "process memory"
		s.FactsNow[n+"uuid"], s.FactsNow[n+"pci"], s.FactsNow[n+"arch"] = "GPU-5a1f…", "00000000:07:00.0", "ampere"
	}
	s.FactsNow["gpu/status"], s.FactsNow["gpu/driver"], s.FactsNow["gpu/cuda"] = "ok", "580.95.05", "13.0"
	s.AbsentNow = map[string]string{}
	s.TargetsNow = []sessions.Target{
		{Job: "dcgm", Instance: "a100-3", Every: time.Second, Up: true, LastOK: now, Took: 3 * time.Millisecond, Samples: 61},
		{Job: "node", Instance: "a100-3", Every: time.Second, Up: true, LastOK: now, Took: time.Millisecond, Samples: 70},
		{Job: "vllm", Instance: in, Every: 3 * time.Second, Up: true, LastOK: now, Took: 26 * time.Millisecond, Samples: 425},
	}
	s.InfoNow = sessions.Info{ID: "20261124-231800-7f3a", Host: "a100-3", Started: start, Recording: sessions.RecordingHere, Path: "s.pitwall"}
	s.EventsAll = []probes.Event{
		{Time: start.Add(time.Second), Kind: probes.KindEngineState, Subject: "engine/" + in, Title: "ready", Attrs: map[string]string{"state": "ready"}},
		{Time: now.Add(-258 * time.Second), Kind: "engine.scrape_interval", Subject: "engine/" + in, Title: "scraped every 3 s: a scrape takes 26 ms"},
		{Time: now.Add(-188 * time.Second), Kind: probes.KindMark, Subject: "operator", Title: "raised max_num_batched_tokens on the other box"},
		{Time: now.Add(-71 * time.Second), Kind: "gpu.power_cap", Subject: "gpu/0", Severity: probes.Warning, Title: "power cap began", Attrs: map[string]string{"lasted": "24s"}},
	}
	return s
}

// Move lets time pass: sources stay up.
func (s *Session) Move(now time.Time) {
	s.Now = now
	for i := range s.TargetsNow {
		if s.TargetsNow[i].Up {
			s.TargetsNow[i].LastOK = now
		}
	}
}
