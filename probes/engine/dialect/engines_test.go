package dialect_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"pitwall/probes/engine/dialect"
)

const anySel = `job="vllm",instance="127.0.0.1:8000"` // what recording.add gives every series

func named(t testing.TB, name string) *dialect.Dialect {
	t.Helper()
	d, ok := dialect.Named(name)
	if !ok {
		t.Fatalf("no dialect %s", name)
	}
	return d
}

// Expected values are worked out by hand from the numbers on the pages; grown doubles counters in a minute, so a rate is a
// sixtieth of the counter.
func TestEachEnginesNamesGiveTheRightNumbers(t *testing.T) {
	cases := []struct {
		what, dialect string
		rec           func(t *testing.T) *recording
		want          map[string]float64
	}{
		{"llama.cpp with four requests in work", "llamacpp", func(t *testing.T) *recording { return grown(t, "llamacpp-b1-loaded.prom") }, map[string]float64{
			"engine:running": 4, "engine:waiting": 4, "engine:kv_usage": none,
			"engine:prefill_tokens":        (39.0 + 32) / 60,
			"engine:prefill_cached_tokens": 32.0 / 60,
			"engine:prefix_hit_ratio":      32.0 / 71,
			"engine:steps":                 301.0 / 60,
			"engine:decode_tokens":         4 * 301.0 / 60, // steps × slots
			"engine:decode_tokens_ended":   1200.0 / 60,
			"engine:itl_mean":              26.4119 / 1200,
			"engine:preemptions":           none,
			"engine:ttft_mean":             none,
		}},
		{"llama.cpp at rest", "llamacpp", func(t *testing.T) *recording { return between(t, "llamacpp-b1-after.prom", "llamacpp-b1-after.prom") }, map[string]float64{
			"engine:running": 0, "engine:waiting": 0, "engine:decode_tokens": 0, "engine:prefill_tokens": 0, "engine:steps": 0,
		}},
		{"llama.cpp whose requests ended before a reading met them", "llamacpp", func(t *testing.T) *recording {
			return between(t, "llamacpp-b1-idle.prom", "llamacpp-b1-after.prom")
		}, map[string]float64{
			"engine:decode_tokens": 3609.0 / 60, "engine:steps": 909.0 / 60,
		}},
		{"SGLang, ranks that say the same counted once and engines added", "sglang", func(t *testing.T) *recording { return grown(t, "sglang-dp2-tp2.prom") }, map[string]float64{
			"engine:running": 12 + 7, "engine:waiting": 3 + 1, "engine:kv_usage": 0.82, "engine:kv_usage_mean": 0.61,
			"engine:preemptions":           6.0 / 60,
			"engine:prefill_tokens":        (6000.0 + 2000 + 3000 + 1000) / 60,
			"engine:prefill_cached_tokens": 3000.0 / 60,
			"engine:prefix_hit_ratio":      3000.0 / 12000,
			"engine:decode_tokens":         42000.0 / 60,
			"engine:decode_tokens_ended":   36000.0 / 60,
			"engine:aborts_estimate":       3.0 / 60,
			"engine:prompt_length_mean":    100,
			"engine:output_length_mean":    300,
			"engine:ttft_mean":             0.4,
			"engine:itl_mean":              430.56 / 35880,
			"engine:e2e_mean":              4.5,
			"engine:queue_mean":            120.0 / 120,
			"engine:tpot_mean":             none,
			"engine:errors":                none,
		}},
		{"SGLang of 2024, which counts tokens when a request ends", "sglang", func(t *testing.T) *recording { return grown(t, "sglang-2024.prom") }, map[string]float64{
			"engine:running": 162, "engine:waiting": 2826, "engine:kv_usage": 0.28,
			"engine:prefill_tokens":   8128902.0 / 60,
			"engine:decode_tokens":    7557572.0 / 60,
			"engine:prefix_hit_ratio": 0.0075,
			"engine:itl_mean":         866964.5791549598 / 7400757,
			"engine:queue_mean":       none,
			"engine:preemptions":      none,
		}},
		{"TGI", "tgi", func(t *testing.T) *recording { return grown(t, "tgi.prom") }, map[string]float64{
			"engine:running": 5, "engine:waiting": 3, "engine:kv_usage": none,
			"engine:prefill_tokens":      18480.0 / 60,
			"engine:decode_tokens":       5 * 4500.0 / 60,
			"engine:decode_tokens_ended": 12000.0 / 60,
			"engine:steps":               4650.0 / 60,
			"engine:errors":              6.0 / 60,
			"engine:prompt_length_mean":  120,
			"engine:output_length_mean":  80,
			"engine:tpot_mean":           0.03,
			"engine:e2e_mean":            4,
			"engine:queue_mean":          0.02,
			"engine:ttft_mean":           none,
		}},
		{"TensorRT-LLM", "trtllm", func(t *testing.T) *recording { return grown(t, "trtllm.prom") }, map[string]float64{
			"engine:running": 6, "engine:waiting": 2, "engine:kv_usage": 0.62, "engine:kv_usage_mean": 0.62,
			"engine:prefix_hit_ratio":      0.25,
			"engine:prefill_tokens":        24000.0 / 60,
			"engine:prefill_cached_tokens": 6000.0 / 60,
			"engine:decode_tokens":         18000.0 / 60,
			"engine:errors":                6.0 / 60,
			"engine:output_length_mean":    300,
			"engine:ttft_mean":             0.5,
			"engine:tpot_mean":             0.02,
			"engine:e2e_mean":              5,
			"engine:queue_mean":            0.2,
			"engine:prefill_mean":          0.3,
			"engine:decode_mean":           4.5,
			"engine:itl_mean":              none,
			"engine:preemptions":           none,
		}},
		{"an engine that no file knows", "other", func(t *testing.T) *recording { return grown(t, "unknown.prom") }, map[string]float64{
			"engine:running": none, "engine:decode_tokens": none, "sum(nova_active_streams{$sel})": 3, "sum(rate(nova_tokens_total{$sel}[$w]))": 20,
		}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			rec, d := c.rec(t), named(t, c.dialect)
			for name, want := range c.want {
				expr, err := d.Expand(name, anySel, 30*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				got := rec.eval(t, expr)
				switch v, ok := got[""]; {
				case want == none && len(got) != 0:
					t.Errorf("%s has a value, %v, and must have none", name, got)
				case want == none:
				case !ok || len(got) != 1:
					t.Errorf("%s gives %v, not one value without labels", name, got)
				case !near(v, want):
					t.Errorf("%s is %v, want %v", name, v, want)
				}
			}
			// Whatever else it defines has an answer that PromQL can give, and buckets end in what there is.
			for _, n := range d.Names() {
				expr, err := d.Expand(n.Name, anySel, 30*time.Second)
				if err != nil {
					t.Fatalf("%s: %v", n.Name, err)
				}
				got := rec.eval(t, expr)
				if n.Kind == dialect.KindBuckets && len(got) > 0 {
					if _, ok := got["+Inf"]; !ok {
						t.Errorf("%s has no bucket +Inf: %v", n.Name, got)
					}
				}
			}
		})
	}
}

func TestDataParallelEnginesOfSGLangAreToldApart(t *testing.T) {
	rec, d := grown(t, "sglang-dp2-tp2.prom"), named(t, "sglang")
	for name, want := range map[string]map[string]float64{
		"engine:running_by_engine":  {"0": 12, "1": 7},
		"engine:waiting_by_engine":  {"0": 3, "1": 1},
		"engine:kv_usage_by_engine": {"0": 0.82, "1": 0.4},
	} {
		expr, err := d.Expand(name, anySel, 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		got := rec.eval(t, expr)
		for engine, v := range want {
			if !near(got[engine], v) || len(got) != len(want) {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	}
}

// screenWords are what the screens ask for.
var screenWords = []string{
	"running", "waiting", "waiting_by_reason", "kv_usage", "kv_usage_mean", "prefill_tokens", "prefill_cached_tokens", "decode_tokens", "preemptions", "prefix_hit_ratio",
	"requests_finished", "errors", "rejections", "prompt_length_mean", "output_length_mean", "aborts_estimate",
	"ttft_buckets", "itl_buckets", "tpot_buckets", "e2e_buckets", "queue_buckets", "prefill_buckets", "decode_buckets",
	"ttft_mean", "itl_mean", "tpot_mean", "e2e_mean", "queue_mean", "prefill_mean", "decode_mean",
}

func TestEveryWordOfTheScreensIsDefinedOrExplained(t *testing.T) {
	for _, d := range dialect.All() {
		for _, w := range append(slices.Clone(dialect.Vocabulary()), screenWords...) {
			name := "engine:" + strings.TrimPrefix(w, "engine:")
			if _, ok := d.Template(name); !ok && !d.Explains(name) {
				t.Errorf("%s neither defines %s nor says why not", d, name)
			}
		}
		for name, why := range d.Absent() {
			if _, ok := d.Template(name); ok || why == "" {
				t.Errorf("%s: %s is absent because %q", d, name, why)
			}
		}
		if d.Summary() == "" || d.Verified("") == "" {
			t.Errorf("%s does not say how sure it is", d)
		}
		if len(d.Source()) == 0 {
			t.Errorf("%s has lost its file", d)
		}
	}
}

func TestAWordWithoutATemplateIsASelectorThatNothingHas(t *testing.T) {
	d := named(t, "llamacpp")
	for in, want := range map[string]string{
		"engine:ttft_buckets":                     `engine:ttft_buckets{instance="i",job="llamacpp"}`,
		`engine:ttft_mean{model_name="m"} * 2`:    `engine:ttft_mean{instance="i",job="llamacpp",model_name="m"} * 2`,
		"engine:errors or vector(1)":              `engine:errors{instance="i",job="llamacpp"} or vector(1)`,
		"avg_over_time(engine:kv_by_moon[5m:1s])": "",
		"engine:errors[5m]":                       "",
	} {
		got, err := d.Expand(in, `instance="i",job="llamacpp"`, 10*time.Second)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%s becomes %s (%v), want %s", in, got, err, want)
		}
	}
}

func TestAPageIsKnownForTheRightEngineAndNeverForAnother(t *testing.T) {
	for file, want := range map[string]string{
		"vllm-0.32-fresh.prom": "vllm", "vllm-0.6.3-v0.prom": "vllm", "vllm-rust.openmetrics": "vllm", "vllm-0.26-dp2.prom": "vllm",
		"llamacpp-b1-idle.prom": "llamacpp", "llamacpp-b1-loaded.prom": "llamacpp",
		"sglang-2024.prom": "sglang", "sglang-dp2-tp2.prom": "sglang", "tgi.prom": "tgi", "trtllm.prom": "trtllm", "unknown.prom": "",
	} {
		samples, _ := page(t, file)
		var names []string
		for _, s := range samples {
			names = append(names, s.Labels.Get(model.MetricNameLabel))
		}
		d, ok := dialect.Detected(slices.Values(names))
		if ok != (want != "") || ok && d.Name != want {
			t.Errorf("%s is taken for %v", file, d)
		}
		for _, other := range dialect.All() {
			if other.Name != want && slices.ContainsFunc(names, other.Owns) {
				t.Errorf("%s owns something of %s", other, file)
			}
		}
	}
	// A page with another engine's names beside its own belongs to whose most of it is.
	mixed := []string{"vllm:a", "llamacpp:a", "llamacpp:b"}
	if d, _ := dialect.Detected(slices.Values(mixed)); d.Name != "llamacpp" {
		t.Errorf("a mixed page is taken for %s", d)
	}
}

func TestAnEngineIsKnownByWhatItSaysOfItself(t *testing.T) {
	for owner, want := range map[string]string{"vllm": "vllm", "llamacpp": "llamacpp", "sglang": "sglang", "tensorrt_llm": "trtllm", "": "", "somebody": ""} {
		d, ok := dialect.OwnedBy(owner)
		if ok != (want != "") || ok && d.Name != want {
			t.Errorf("models owned by %q are taken for %v", owner, d)
		}
	}
	if d, ok := dialect.Loads(503, []byte(`{"error":{"message":"Loading model","type":"unavailable_error","code":503}}`)); !ok || d.Name != "llamacpp" {
		t.Errorf("llama.cpp's answer while it loads is taken for %v", d)
	}
	for status, body := range map[int]string{503: "", 500: "Loading model", 200: "Loading model"} {
		if d, ok := dialect.Loads(status, []byte(body)); ok {
			t.Errorf("%d %q is taken for %s", status, body, d)
		}
	}
	if d := dialect.Fallback(); d.Name != "other" {
		t.Errorf("the fallback is %s", d)
	}
}

func TestUnverifiedDialectsSaySo(t *testing.T) {
	for name, want := range map[string]string{
		"sglang": "mapped from documentation, not verified on a running engine", "tgi": "mapped from documentation, not verified on a running engine",
		"trtllm": "mapped from documentation, not verified on a running engine",
	} {
		for _, version := range []string{"", "1.0"} {
			if got := named(t, name).Verified(version); got != want {
				t.Errorf("%s %s: %q", name, version, got)
			}
		}
	}
	d := named(t, "llamacpp")
	if got := d.Verified("b1-0c1e570"); got != "verified on a running engine" {
		t.Errorf("the build that was verified: %q", got)
	}
	if got := d.Verified("b9999-abcdef0"); !strings.Contains(got, "may differ") {
		t.Errorf("another build: %q", got)
	}
}
