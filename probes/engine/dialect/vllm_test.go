package dialect_test

import (
	"math"
	"strconv"
	"testing"
	"time"

	"pitwall/probes/engine/dialect"
)

func vllm(t testing.TB) *dialect.Dialect {
	t.Helper()
	d, ok := dialect.Named("vllm")
	if !ok {
		t.Fatal("no dialect vllm")
	}
	return d
}

// none is a name that must have no value at all: missing is not zero.
const none = math.MaxFloat64

// Expected values are worked out by hand from the numbers on the pages; grown doubles counters in a minute, so a rate is a
// sixtieth of the counter.
func TestEachNameGivesTheRightNumberForEachVersion(t *testing.T) {
	const sel = `job="vllm",instance="127.0.0.1:8000"`
	cases := []struct {
		page string
		rec  func(t *testing.T) *recording
		want map[string]float64
	}{
		{"0.32, a preempting server that becomes idle", func(t *testing.T) *recording {
			return between(t, "vllm-0.32-preempting.prom", "vllm-0.32-after.prom")
		}, map[string]float64{
			"engine:running": 0, "engine:waiting": 0, "engine:kv_usage": 0,
			"engine:preemptions":           1.0 / 60,
			"engine:prefill_tokens":        76.0 / 60,
			"engine:prefill_cached_tokens": 0,
			"engine:decode_tokens":         1031.0 / 60,
			"engine:prefix_hit_ratio":      0,
			"engine:rejections":            0,
			"engine:errors":                0,
			"engine:steps":                 413.0 / 60,
			"engine:step_tokens_mean":      1107.0 / 413,
			"engine:prompt_length_mean":    362.0 / 5,
			"engine:output_length_mean":    1100.0 / 5,
			"engine:ttft_mean":             236.65961289405823 - 215.90931463241577,
			"engine:itl_mean":              (95.08623075000105 - 79.97858580200136) / 1030,
			"engine:tpot_mean":             (0.43418370205479934 - 0.3590730975799061) / 5,
			"engine:e2e_mean":              (331.64727115631104 - 222.48623275756836) / 5,
			"engine:queue_mean":            (228.99871244099904 - 137.84085811299883) / 5,
			"engine:prefill_mean":          (1.4650919970026735 - 1.3198049940028795) / 5,
			"engine:decode_mean":           (95.08623075000105 - 78.63700836999942) / 5,
			// One first token, five finishes, four fewer running: nobody left.
			"engine:aborts_estimate": 0,
		}},
		{"0.26, one engine", func(t *testing.T) *recording { return grown(t, "vllm-0.26.prom") }, map[string]float64{
			"engine:running": 37, "engine:waiting": 12, "engine:kv_usage": 0.8731, "engine:kv_usage_mean": 0.8731,
			"engine:preemptions":           3.0 / 60,
			"engine:prefill_tokens":        1812345.0 / 60,
			"engine:prefill_cached_tokens": 420000.0 / 60,
			"engine:decode_tokens":         987654.0 / 60,
			"engine:prefix_hit_ratio":      420000.0 / 1800000,
			"engine:rejections":            none,
			"engine:errors":                0,
		}},
		{"0.26, two data-parallel engines", func(t *testing.T) *recording { return grown(t, "vllm-0.26-dp2.prom") }, map[string]float64{
			"engine:running": 37 + 32, "engine:waiting": 12 + 15, "engine:kv_usage": 0.8731, "engine:kv_usage_mean": (0.8731 + 0.7731) / 2,
			"engine:preemptions":        6.0 / 60,
			"engine:prefill_tokens":     2 * 1812345.0 / 60,
			"engine:decode_tokens":      2 * 987654.0 / 60,
			"engine:prefix_hit_ratio":   420000.0 / 1800000,
			"engine:ttft_mean":          (110.96415665940447 + 110.11262301249465) / 400,
			"engine:itl_mean":           (11.114897061706092 + 11.379749134193657) / 1000,
			"engine:prompt_length_mean": (212196.0 + 222227.0) / 400,
		}},
		{"0.10, which has old and new names at once", func(t *testing.T) *recording { return grown(t, "vllm-0.10.prom") }, map[string]float64{
			"engine:running": 37, "engine:waiting": 12, "engine:kv_usage": 0.8731,
			"engine:prefill_tokens":        1812345.0 / 60,
			"engine:prefill_cached_tokens": 420000.0 / 60, // by the prefix cache's counter: there is no other yet
			"engine:prefix_hit_ratio":      420000.0 / 1800000,
			"engine:itl_mean":              11.621280157016397 / 500, // by its old name
			"engine:tpot_mean":             none,
			"engine:errors":                0, // no reason "error" and no 5xx, but the server counts its answers
			"engine:rejections":            none,
			"engine:queue_mean":            47.29931600985573 / 200,
		}},
		{"0.6.3, the V0 engine", func(t *testing.T) *recording { return grown(t, "vllm-0.6.3-v0.prom") }, map[string]float64{
			"engine:running": 37, "engine:waiting": 12, "engine:kv_usage": 0.8731,
			"engine:decode_tokens":         987654.0 / 60,
			"engine:prefix_hit_ratio":      none, // the gauge says -1: prefix caching is off
			"engine:prefill_cached_tokens": none,
			"engine:itl_mean":              11.640218513556732 / 500,
			"engine:queue_mean":            none,
			"engine:decode_mean":           none,
			"engine:errors":                none,
			"engine:e2e_mean":              1344.5276116644845 / 200,
		}},
		{"the Rust frontend, OpenMetrics", func(t *testing.T) *recording { return grown(t, "vllm-rust.openmetrics") }, map[string]float64{
			"engine:running": 4, "engine:waiting": 0, "engine:kv_usage": 0.25,
			"engine:decode_tokens": 3.0 / 60, "engine:ttft_mean": 0.021, "engine:steps": none,
			"engine:prefill_tokens": none,
		}},
	}
	for _, c := range cases {
		t.Run(c.page, func(t *testing.T) {
			rec := c.rec(t)
			for name, want := range c.want {
				expr, err := vllm(t).Expand(name, sel, 30*time.Second)
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
		})
	}
}

func TestNamesByLabelKeepTheirLabel(t *testing.T) {
	cases := []struct {
		page, name string
		want       map[string]float64
	}{
		{"vllm-0.26-dp2.prom", "engine:waiting_by_reason", map[string]float64{"capacity": 27, "deferred": 0}},
		{"vllm-0.26-dp2.prom", "engine:requests_finished", map[string]float64{
			"stop": 2 * 812.0 / 60, "length": 2 * 188.0 / 60, "abort": 0, "error": 0, "repetition": 0}},
		{"vllm-0.26-dp2.prom", "engine:running_by_engine", map[string]float64{"0": 37, "1": 32}},
		{"vllm-0.26-dp2.prom", "engine:kv_usage_by_engine", map[string]float64{"0": 0.8731, "1": 0.7731}},
		{"vllm-0.10.prom", "engine:kv_usage_by_engine", map[string]float64{"0": 0.8731}},
		{"vllm-0.10.prom", "engine:waiting_by_reason", map[string]float64{}},
		{"vllm-0.26.prom", "engine:prefill_by_source", map[string]float64{
			"local_compute": 1392345.0 / 60, "local_cache_hit": 420000.0 / 60, "external_kv_transfer": 0}},
		{"vllm-0.26.prom", "engine:http_requests", map[string]float64{"2xx": 1009.0 / 60, "4xx": 3.0 / 60}},
	}
	for _, c := range cases {
		t.Run(c.name+" of "+c.page, func(t *testing.T) {
			expr, err := vllm(t).Expand(c.name, "", 30*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			got := grown(t, c.page).eval(t, expr)
			if len(got) != len(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			for k, want := range c.want {
				if v, ok := got[k]; !ok || !near(v, want) {
					t.Errorf("%s is %v, want %v", k, v, want)
				}
			}
		})
	}
}

func TestBucketsAreCumulativeAndHoldEveryObservation(t *testing.T) {
	cases := []struct {
		page   string
		counts map[string]float64 // observations on the page; they double in a minute
	}{
		{"vllm-0.26-dp2.prom", map[string]float64{"engine:ttft_buckets": 400, "engine:itl_buckets": 1000, "engine:tpot_buckets": 400,
			"engine:e2e_buckets": 400, "engine:queue_buckets": 400, "engine:prefill_buckets": 400, "engine:decode_buckets": 400}},
		{"vllm-0.10.prom", map[string]float64{"engine:ttft_buckets": 200, "engine:itl_buckets": 500, "engine:queue_buckets": 200}},
		{"vllm-0.6.3-v0.prom", map[string]float64{"engine:ttft_buckets": 200, "engine:itl_buckets": 500, "engine:e2e_buckets": 200}},
		{"vllm-0.32-after.prom", map[string]float64{"engine:ttft_buckets": 28, "engine:itl_buckets": 6132, "engine:tpot_buckets": 28}},
	}
	for _, c := range cases {
		rec := grown(t, c.page)
		for name, n := range c.counts {
			t.Run(name+" of "+c.page, func(t *testing.T) {
				expr, err := vllm(t).Expand(name, "", 30*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				got := rec.eval(t, expr)
				if !near(got["+Inf"], n/60) {
					t.Errorf("the last bucket holds %v/s, want %v/s", got["+Inf"], n/60)
				}
				for le, v := range got {
					e, err := strconv.ParseFloat(le, 64)
					if err != nil {
						t.Fatalf("le is %q", le)
					}
					for le2, v2 := range got {
						if e2, _ := strconv.ParseFloat(le2, 64); e2 > e && v2 < v*(1-1e-9) {
							t.Errorf("le=%s holds %v, le=%s less, %v", le, v, le2, v2)
						}
					}
				}
				if len(got) < 5 {
					t.Errorf("only %d buckets", len(got))
				}
			})
		}
	}
}

func TestAStoppedOldNameIsNotAddedToTheNewOne(t *testing.T) {
	// In 0.10.2 and 0.11 both names of the inter-token latency are on the page, with the same numbers.
	rec := grown(t, "vllm-0.26.prom")
	old := grown(t, "vllm-0.10.prom")
	rec.series = append(rec.series, old.series...)
	expr, err := vllm(t).Expand("engine:itl_buckets", "", 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := rec.eval(t, expr)["+Inf"]; !near(got, 500.0/60) {
		t.Errorf("got %v/s, want those of one name, %v/s", got, 500.0/60)
	}
}

func TestVerifiedDependsOnTheVersion(t *testing.T) {
	d := vllm(t)
	for version, want := range map[string]bool{"0.32.0": true, "0.32.1": true, "0.32": true, "0.31.0": false, "0.3": false, "0.320": false, "": false} {
		if got := d.Verified(version) == "verified on a running engine"; got != want {
			t.Errorf("%q: %s", version, d.Verified(version))
		}
	}
}

func TestEveryNameThatTheScreensUseIsThere(t *testing.T) {
	d := vllm(t)
	for _, n := range []string{
		"running", "waiting", "waiting_by_reason", "kv_usage", "prefill_tokens", "prefill_cached_tokens", "decode_tokens", "preemptions", "prefix_hit_ratio",
		"requests_finished", "errors", "rejections", "prompt_length_mean", "output_length_mean", "aborts_estimate",
		"ttft_buckets", "itl_buckets", "tpot_buckets", "e2e_buckets", "queue_buckets", "prefill_buckets", "decode_buckets",
		"ttft_mean", "itl_mean", "tpot_mean", "e2e_mean", "queue_mean", "prefill_mean", "decode_mean",
	} {
		if _, ok := d.Template("engine:" + n); !ok {
			t.Errorf("engine:%s is missing", n)
		}
	}
	for _, n := range d.Names() {
		if n.Unit == "" || n.Help == "" {
			t.Errorf("%s has no unit or help", n.Name)
		}
	}
}
