package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// realVLLM is the environment variable with the URL of a real vLLM 0.32.0 that preempts: --max-num-seqs 4
// --num-gpu-blocks-override 17 with blocks of 128 tokens, as on the CPU.
const realVLLM = "PITWALL_REAL_VLLM"

// cpuSteps are about the step times of SmolLM2-135M in float32 on two cores: 60 ms a step, 150 prompt tokens/s.
func cpuSteps() *StepTimes {
	return &StepTimes{
		Parameters: 135e6, WeightBytes: 540e6, KVBytesPerToken: 46080, Bandwidth: 2e10, BandwidthShare: 1, Compute: 4e10, ComputeShare: 1,
		PerStep: 40 * time.Millisecond,
	}
}

// observed is one stream as its client saw it; times count from the workload's start.
type observed struct {
	first, end time.Duration
	tokens     int
}

// workload is what both engines are asked: six requests whose sum does not fit into the cache, then one prompt twice.
type workload struct {
	order    []string           // who got a first token and who ended, where the answer does not depend on a moment
	counts   map[string]float64 // increases that must be equal
	moving   []string           // families of which a value changed
	peaks    map[string]float64 // highest readings of gauges
	preempts float64
	hits     float64 // tokens of the second of two equal prompts
}

func families(t testing.TB, url string) map[string]*dto.MetricFamily {
	t.Helper()
	res, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	f, err := parser.TextToMetricFamilies(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// prompt makes token ids that the simulated vocabulary and SmolLM2's both have.
func prompt(rng *rand.Rand, n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = 1000 + rng.IntN(40000)
	}
	return ids
}

// observe streams one answer.
func observe(t testing.TB, url string, start time.Time, prompt []int, tokens int) (o observed) {
	body, _ := json.Marshal(map[string]any{
		"prompt": prompt, "max_tokens": tokens, "ignore_eos": true, "temperature": 0, "stream": true, "return_token_ids": true,
	})
	res, err := http.Post(url+"/v1/completions", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return o
	}
	defer res.Body.Close()
	scan := bufio.NewScanner(res.Body)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var chunk struct {
			Choices []struct {
				TokenIDs []int `json:"token_ids"`
			}
		}
		data, ok := strings.CutPrefix(scan.Text(), "data: ")
		if !ok || json.Unmarshal([]byte(data), &chunk) != nil || len(chunk.Choices) == 0 {
			continue
		}
		if o.tokens == 0 {
			o.first = time.Since(start)
		}
		o.tokens += len(chunk.Choices[0].TokenIDs)
		o.end = time.Since(start)
	}
	return o
}

// Three of the four that run first need a fifth block at 513 tokens; there are sixteen.
const (
	atOnce       = 6
	promptTokens = 300
	outputTokens = 230
)

// work sends the workload and says what was seen. gap is the time between two arrivals.
func work(t *testing.T, url string, gap time.Duration, seed uint64) workload {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	before := idle(t, url)
	w := workload{counts: map[string]float64{}, peaks: map[string]float64{}}
	seen := make([]observed, atOnce)
	start := time.Now()
	var all sync.WaitGroup
	finished := make(chan struct{})
	for i := range seen {
		p := prompt(rng, promptTokens)
		all.Go(func() {
			select { // arrivals are apart, so that their order is certain
			case <-time.After(time.Duration(i) * gap):
			case <-t.Context().Done():
			}
			seen[i] = observe(t, url, start, p, outputTokens)
		})
	}
	go func() { all.Wait(); close(finished) }()
	for watching := true; watching; {
		select {
		case <-finished:
			watching = false
		case <-time.After(gap):
			f := families(t, url)
			for _, name := range []string{"vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"} {
				w.peaks[name] = max(w.peaks[name], total(t, f, name))
			}
		}
	}
	f := settled(t, url, before)
	w.describe(t, seen, before, f)

	again := prompt(rng, 200)
	observe(t, url, start, again, 2)
	middle := settled(t, url, f)
	observe(t, url, start, again, 2)
	w.hits = total(t, settled(t, url, middle), "vllm:prefix_cache_hits_total") - total(t, middle, "vllm:prefix_cache_hits_total")
	return w
}

// idle waits until an engine has had nothing to do for some seconds: others may use it too.
func idle(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	for deadline, since := time.Now().Add(3*time.Minute), time.Now(); ; {
		f := families(t, url)
		now := time.Now()
		if total(t, f, "vllm:num_requests_running")+total(t, f, "vllm:num_requests_waiting") > 0 {
			since = now
		}
		if now.Sub(since) > 500*time.Millisecond {
			return f
		}
		if now.After(deadline) {
			t.Fatalf("%s is busy with requests of others", url)
		}
		pauseBriefly(t.Context())
	}
}

// settled reads the page when the last request is counted: a real server counts some time after the client has its answer.
func settled(t *testing.T, url string, before map[string]*dto.MetricFamily) map[string]*dto.MetricFamily {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		f := families(t, url)
		idle := total(t, f, "vllm:num_requests_running")+total(t, f, "vllm:num_requests_waiting") == 0
		if idle && total(t, f, "vllm:request_success_total") > total(t, before, "vllm:request_success_total") {
			return f
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come to rest", url)
		}
		pauseBriefly(t.Context())
	}
}

// describe compares before with after.
func (w *workload) describe(t *testing.T, seen []observed, before, after map[string]*dto.MetricFamily) {
	t.Helper()
	up := func(name string) float64 { return total(t, after, name) - total(t, before, name) }
	count := func(name string) float64 {
		n := 0.0
		for _, m := range after[name].GetMetric() {
			n += float64(m.GetHistogram().GetSampleCount())
		}
		for _, m := range before[name].GetMetric() {
			n -= float64(m.GetHistogram().GetSampleCount())
		}
		return n
	}
	for _, name := range []string{
		"vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_success_total", "vllm:prefix_cache_queries_total",
		"vllm:prefix_cache_hits_total", "vllm:prompt_tokens_by_source_total", "vllm:prompt_tokens_cached_total", "vllm:request_prompt_tokens", "vllm:request_generation_tokens",
		"vllm:iteration_tokens_total", "vllm:request_params_max_tokens", "vllm:request_params_n", "vllm:request_max_num_generation_tokens",
		"vllm:request_prefill_kv_computed_tokens",
	} {
		w.counts[name] = up(name)
	}
	for _, name := range []string{
		"vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds", "vllm:e2e_request_latency_seconds", "vllm:request_queue_time_seconds",
		"vllm:request_prefill_time_seconds", "vllm:request_decode_time_seconds", "vllm:request_inference_time_seconds",
		"vllm:request_time_per_output_token_seconds", "vllm:request_num_preemptions",
	} {
		w.counts[name+"_count"] = count(name)
	}
	w.preempts = up("vllm:num_preemptions_total")
	w.counts["preemptions by request minus preemptions"] = up("vllm:request_num_preemptions") - w.preempts
	for name, f := range after {
		if strings.HasPrefix(name, "vllm:") && !strings.HasSuffix(name, "_created") && fmt.Sprint(f) != fmt.Sprint(before[name]) {
			w.moving = append(w.moving, name)
		}
	}
	slices.Sort(w.moving)

	for i, o := range seen {
		if o.tokens != outputTokens {
			t.Errorf("request %d got %d tokens", i+1, o.tokens)
		}
	}
	ends := make([]time.Duration, 0, len(seen))
	for _, o := range seen {
		ends = append(ends, o.end)
	}
	firstEnd := slices.Min(ends)
	say := func(what string, is bool) { w.order = append(w.order, fmt.Sprintf("%s: %v", what, is)) }
	for i, o := range seen {
		say(fmt.Sprintf("request %d began before the first one ended", i+1), o.first < firstEnd)
	}
	say("the first to come is the first to end", seen[0].end == firstEnd)
	say("the youngest that ran, which is preempted, ends after those before it", seen[3].end > seen[0].end && seen[3].end > seen[1].end && seen[3].end > seen[2].end)
	say("nobody who waited ends before the preempted one", seen[4].end > seen[3].end && seen[5].end > seen[3].end)
}

func TestTheSameWorkloadGoesTheSameWayOnARealVLLM(t *testing.T) {
	url := strings.TrimRight(os.Getenv(realVLLM), "/")
	if url == "" {
		t.Skipf("SKIPPED: the simulation is not held against a real engine, because %s does not name one", realVLLM)
	}
	config := map[string]string{}
	for _, l := range families(t, url)["vllm:cache_config_info"].GetMetric()[0].GetLabel() {
		config[l.GetName()] = l.GetValue()
	}
	if config["num_gpu_blocks"] != "17" || config["block_size"] != "128" {
		t.Fatalf("%s has %s blocks of %s tokens; it must have 17 of 128, and --max-num-seqs 4", url, config["num_gpu_blocks"], config["block_size"])
	}
	seed := uint64(time.Now().UnixNano()) // other prompts each time: the real engine's prefix cache remembers the last ones
	const speed = 10
	sim := serve(t, func(o *Options) {
		o.Speed = speed
		o.Config = Config{MaxModelLen: 2048, MaxNumSeqs: 4, Blocks: 17, BlockSize: 128, Steps: cpuSteps()}
	})
	const gap = 200 * time.Millisecond
	want := work(t, url, gap, seed)
	if n := want.counts["vllm:request_success_total"]; n > atOnce {
		t.Logf("%g requests ended where %d were sent: somebody else used %s; once more", n, atOnce, url)
		want = work(t, url, gap, seed+1)
	}
	got := work(t, sim.URL(), gap/speed, seed)

	t.Logf("preemptions: real %g, simulated %g", want.preempts, got.preempts)
	t.Logf("peaks: real %v, simulated %v", want.peaks, got.peaks)
	if want.preempts == 0 || got.preempts == 0 {
		t.Errorf("preemptions: real %g, simulated %g; both must have some", want.preempts, got.preempts)
	}
	for _, name := range slices.Sorted(maps.Keys(want.counts)) {
		if want.counts[name] != got.counts[name] {
			t.Errorf("%s rose by %g, simulated by %g", name, want.counts[name], got.counts[name])
		}
	}
	if a, b := strings.Join(want.order, "\n"), strings.Join(got.order, "\n"); a != b {
		t.Errorf("the order of events, real:\n%s\nsimulated:\n%s", a, b)
	}
	if a, b := strings.Join(want.moving, "\n"), strings.Join(got.moving, "\n"); a != b {
		t.Errorf("families that moved, only real: %v; only simulated: %v", without(want.moving, got.moving), without(got.moving, want.moving))
	}
	for _, name := range slices.Sorted(maps.Keys(want.peaks)) {
		if name != "vllm:num_requests_waiting" && want.peaks[name] != got.peaks[name] || got.peaks[name] == 0 || want.peaks[name] == 0 {
			t.Errorf("the highest %s was %g, simulated %g", name, want.peaks[name], got.peaks[name])
		}
	}
	if want.hits != 128 || got.hits != 128 {
		t.Errorf("200 tokens asked again hit %g, simulated %g; want one block", want.hits, got.hits)
	}
}

func without(a, b []string) (out []string) {
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}
