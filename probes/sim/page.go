package sim

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"
)

// metricsPage serves the page; faults make it late or huge.
func (s *Server) metricsPage(w http.ResponseWriter, r *http.Request) {
	if f, ok := s.driver.active(SlowMetrics); ok {
		s.pause(r.Context(), f.Delay)
	}
	body := s.metrics()
	if f, ok := s.driver.active(HugeMetrics); ok {
		body = hugePage(body, f.Series)
	}
	w.Header().Set("Content-Type", "text/plain; version=1.0.0; charset=utf-8")
	_, _ = w.Write(body) // who has gone does not read an error either
}

// hugePage adds so many series to a page, in families of a thousand.
func hugePage(b []byte, series int) []byte {
	for i := range series {
		family := i / 1000
		if i%1000 == 0 {
			b = fmt.Appendf(b, "# HELP vllm:simulated_huge_%d One of many series.\n# TYPE vllm:simulated_huge_%[1]d gauge\n", family)
		}
		b = fmt.Appendf(b, "vllm:simulated_huge_%d{engine=\"0\",item=\"%d\"} %d\n", family, i%1000, i)
	}
	return b
}

// metrics writes the /metrics page of a vLLM 0.32.0 server: the same families with the same help, types, labels and edges, in
// the same order, and pitwall_simulated at the end, which no real server has.
func (s *Server) metrics() []byte {
	d := s.driver

	d.mu.Lock()
	now := d.catchUp()
	e := d.engines[0]
	p := &page{buf: make([]byte, 0, 80<<10), created: float64(d.wall(e.born).UnixMicro()) / 1e6}
	s.pythonFamilies(p, now-e.born, e.resident(now), &e.tally)
	s.engineFamilies(p, e)
	answered, refused := e.tally.answered, e.tally.refused
	d.mu.Unlock()

	s.sleep.write(p)
	s.handled.write(p, answered, refused)
	p.gauge("pitwall_simulated", "1 where the engine is simulated: no model runs and no GPU works.", series{"", 1})
	return p.buf
}

// pythonFamilies are those of the API server's own process. It doesn't exist: its CPU time is made of what a real one spends
// per request and per token; its memory grows where a fault makes it; the rest stands still.
func (s *Server) pythonFamilies(p *page, age time.Duration, resident float64, t *tally) {
	requests := float64(t.resetFirsts + t.ttft.n)
	tokens := float64(t.resetTokens + t.generated)
	generation := func(g int, v float64) series {
		return series{fmt.Sprintf(`generation="%d"`, g), math.Floor(v)}
	}
	p.plainCounter("python_gc_objects_collected", "Objects collected during gc",
		generation(0, 14312+9*requests), generation(1, 2716+requests), generation(2, 1690+requests/8))
	p.plainCounter("python_gc_objects_uncollectable", "Uncollectable objects found during GC",
		generation(0, 0), generation(1, 0), generation(2, 0))
	p.plainCounter("python_gc_collections", "Number of times this generation was collected",
		generation(0, 1953+tokens/700), generation(1, 177+tokens/7000), generation(2, 11+tokens/70000))
	p.gauge("python_info", "Python platform information",
		series{`implementation="CPython",major="3",minor="12",patchlevel="11",version="3.12.11"`, 1})
	p.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", series{"", 4.924583936e+09 + resident - residentAtStart})
	p.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", series{"", resident})
	p.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
		series{"", math.Floor(p.created*100) / 100})
	p.plainCounter("process_cpu_seconds", "Total user and system CPU time spent in seconds.",
		series{"", math.Floor((36+0.01*age.Seconds()+0.002*requests+4e-5*tokens)*100) / 100})
	p.gauge("process_open_fds", "Number of open file descriptors.", series{"", float64(34 + s.driver.live)})
	p.gauge("process_max_fds", "Maximum number of open file descriptors.", series{"", 65536})
}

func (s *Server) engineFamilies(p *page, e *Engine) {
	t := &e.tally
	const engine = `engine="0"`
	model := "model_name=" + quote(s.options.Model)
	both := engine + "," + model
	one := func(v float64) series { return series{both, v} }
	count := func(v uint64) series { return series{both, float64(v)} }
	after := func(label, value string, v float64) series {
		return series{both + "," + label + `="` + value + `"`, v}
	}
	hist := func(h *histogram) labelled { return labelled{engine, model, h} }

	for _, f := range []struct{ name, what string }{
		{"flops", "floating point operations per GPU"},
		{"read_bytes", "bytes read from memory per GPU"},
		{"write_bytes", "bytes written to memory per GPU"},
	} {
		// Zero without --enable-mfu-metrics.
		p.counter("vllm:estimated_"+f.name+"_per_gpu",
			"Estimated number of "+f.what+" (for Model Flops Utilization calculations).", count(0))
	}
	g := gauges{t.running, t.waiting, t.kvUsage}
	if e.frozen != nil {
		g = *e.frozen
	}
	p.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", one(float64(g.running)))
	p.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", one(float64(g.waiting)))
	p.gauge("vllm:num_requests_waiting_by_reason", "Number of waiting requests by reason. Reason labels: 'capacity' = "+
		"waiting for scheduling capacity; 'deferred' = deferred by transient constraints (LoRA budget, KV transfer, blocked "+
		"status). Sum of all reasons equals vllm:num_requests_waiting.",
		after("reason", "capacity", float64(g.waiting)), after("reason", "deferred", 0))
	p.gauge("vllm:engine_sleep_state", "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is "+
		"awake; weights_offloaded = 1 means sleep level 1; discard_all = 1 means sleep level 2.",
		after("sleep_state", "awake", truth(!e.slept)), after("sleep_state", "weights_offloaded", truth(e.asleep == 1)),
		after("sleep_state", "discard_all", truth(e.asleep == 2)))
	p.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", one(g.kvUsage))
	p.counter("vllm:prefix_cache_queries", "Prefix cache queries, in terms of number of queried tokens.", count(t.prefixQueries))
	p.counter("vllm:prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens.", count(t.prefixHits))
	p.counter("vllm:external_prefix_cache_queries", "External prefix cache queries from KV connector cross-instance cache "+
		"sharing, in terms of number of queried tokens.", count(0))
	p.counter("vllm:external_prefix_cache_hits", "External prefix cache hits from KV connector cross-instance cache sharing, "+
		"in terms of number of cached tokens.", count(0))
	p.counter("vllm:mm_cache_queries", "Multi-modal cache queries, in terms of number of queried items.", count(0))
	p.counter("vllm:mm_cache_hits", "Multi-modal cache hits, in terms of number of cached items.", count(0))
	p.counter("vllm:num_preemptions", "Cumulative number of preemption from the engine.", count(t.preemptions))
	p.counter("vllm:prompt_tokens", "Number of prefill tokens processed.", count(t.promptTokens))
	p.counter("vllm:prompt_tokens_by_source", "Number of prompt tokens by source.",
		after("source", "local_compute", float64(t.promptTokens-t.promptCached)),
		after("source", "local_cache_hit", float64(t.promptCached)), after("source", "external_kv_transfer", 0))
	p.counter("vllm:prompt_tokens_cached", "Number of cached prompt tokens (local + external).", count(t.promptCached))
	p.counter("vllm:prompt_tokens_cached_by_source", cachedBySource,
		after("source", "device", float64(t.prefixHits)), after("source", "host", 0), after("source", "p2p", 0),
		after("source", "disk", 0), after("source", "external_unspecified", 0))
	p.counter("vllm:generation_tokens", "Number of generation tokens processed.", count(t.generated))
	finished := func(reason string, n uint64) series {
		return series{engine + `,finished_reason="` + reason + `",` + model, float64(n)}
	}
	p.counter("vllm:request_success", "Count of successfully processed requests.",
		finished("stop", t.success[Stop]), finished("length", t.success[Length]),
		finished("abort", t.success[Aborted]), finished("error", t.success[Errored]), finished("repetition", 0))
	rejected := func(l limit) series {
		return series{model + ",reason=" + quote(l.String()), float64(t.rejections[l])}
	}
	p.counter("vllm:admission_rejections", "Number of admission attempts rejected by a queue limit, by reason.",
		rejected(queuedRequests), rejected(queuedTokens))
	p.histogram("vllm:request_prompt_tokens", "Number of prefill tokens processed.", hist(&t.promptLen))
	p.histogram("vllm:request_generation_tokens", "Number of generation tokens processed.", hist(&t.outputLen))
	p.histogram("vllm:iteration_tokens_total", "Histogram of number of tokens per engine_step.", hist(&t.iteration))
	p.histogram("vllm:request_max_num_generation_tokens", "Histogram of maximum number of requested generation tokens.", hist(&t.maxOutput))
	p.histogram("vllm:request_params_n", "Histogram of the n request parameter.", hist(&t.paramsN))
	p.histogram("vllm:request_params_max_tokens", "Histogram of the max_tokens request parameter.", hist(&t.paramsMax))
	p.histogram("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", hist(&t.ttft))
	p.histogram("vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", hist(&t.itl))
	p.histogram("vllm:request_time_per_output_token_seconds", "Histogram of time_per_output_token_seconds per request.", hist(&t.tpot))
	p.histogram("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", hist(&t.e2e))
	p.histogram("vllm:request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.", hist(&t.queue))
	p.histogram("vllm:request_inference_time_seconds", "Histogram of time spent in RUNNING phase for request.", hist(&t.inference))
	p.histogram("vllm:request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request.", hist(&t.prefill))
	p.histogram("vllm:request_decode_time_seconds", "Histogram of time spent in DECODE phase for request.", hist(&t.decode))
	p.histogram("vllm:request_num_preemptions", "Histogram of the number of times a request was preempted.", hist(&t.perPreemptions))
	p.histogram("vllm:request_prefill_kv_computed_tokens", "Histogram of new KV tokens computed during prefill (excluding cached tokens).", hist(&t.kvComputed))
	p.gauge("vllm:cache_config_info", "Information of the LLMEngine CacheConfig", series{cacheConfig(e.cfg), 1})
}

// truth is a gauge's value for a state.
func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func pythonBool(is bool) string {
	if is {
		return "True"
	}
	return "False"
}

const cachedBySource = "Prefix-cache hit tokens by the cache tier that supplied them: device (local HBM), host (offloaded to " +
	"DRAM), disk, p2p (transferred from another vLLM instance) or external_unspecified. Counted at admission; sums to " +
	"vllm:prefix_cache_hits + vllm:external_prefix_cache_hits."

// cacheConfig is the label set of vllm:cache_config_info in 0.32.0: every field of the configuration, in the alphabet's order.
func cacheConfig(c Config) string {
	tokens := c.Blocks * c.BlockSize
	fields := []struct{ name, value string }{
		{"_block_size_resolved", "True"}, {"block_size", fmt.Sprint(c.BlockSize)}, {"cache_dtype", "auto"},
		{"cache_hit_alignment_tokens", "None"}, {"effective_attention_block_size", fmt.Sprint(c.BlockSize)},
		{"enable_mamba_shared_prefix_checkpoint", "False"}, {"enable_prefix_caching", pythonBool(!c.NoPrefixCache)}, {"engine", "0"},
		{"gpu_memory_utilization", "0.9"}, {"hash_block_size", "None"}, {"is_attention_free", "False"},
		{"kv_cache_dtype_skip_layers", "[]"}, {"kv_cache_layout", "None"},
		{"kv_cache_max_concurrency", fmt.Sprintf("%.2f", float64(tokens)/float64(c.MaxModelLen))},
		{"kv_cache_memory_bytes", "None"}, {"kv_cache_size_tokens", fmt.Sprint(tokens)},
		{"kv_offloading_backend", "native"}, {"kv_offloading_size", "None"}, {"kv_sharing_fast_prefill", "False"},
		{"mamba_block_size", "None"}, {"mamba_cache_dtype", "auto"}, {"mamba_cache_mode", "none"},
		{"mamba_page_size_padded", "None"}, {"mamba_ssm_cache_dtype", "auto"}, {"num_cpu_blocks", "None"},
		{"num_gpu_blocks", fmt.Sprint(c.Blocks)}, {"num_gpu_blocks_override", "None"},
		{"prefix_cache_retention_interval", "0"}, {"prefix_caching_hash_algo", "sha256"}, {"prefix_match_unit", "None"},
		{"replayssm_buffer_len", "16"}, {"skip_page_size_padded", "None"}, {"sliding_window", "None"},
		{"swa_bounded_replay", "True"}, {"use_kda_recoverssm", "False"}, {"use_replayssm", "False"},
		{"user_specified_block_size", "False"},
	}
	labels := make([]string, len(fields))
	for i, f := range fields {
		labels[i] = f.name + "=" + quote(f.value)
	}
	return strings.Join(labels, ",")
}
