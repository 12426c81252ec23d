package live

import (
	"fmt"
	"math"
	"testing"

	"github.com/prometheus/prometheus/promql"

	"pitwall/ui/internal/staged"
)

func TestQuantileBucket(t *testing.T) {
	inf := math.Inf(1)
	b := func(pairs ...float64) []bucket {
		var out []bucket
		for i := 0; i+1 < len(pairs); i += 2 {
			out = append(out, bucket{pairs[i], pairs[i+1]})
		}
		return out
	}
	for _, tc := range []struct {
		name      string
		b         []bucket
		q         float64
		low, high float64
		ok        bool
	}{
		{"half of the requests are in the first bucket: the median is in it", b(.01, 5, .025, 8, inf, 10), .5, 0, .01, true},
		{"one more than half above: the median is in the second", b(.01, 4, .025, 8, inf, 10), .5, .01, .025, true},
		{"empty buckets at the foot are passed over", b(.01, 0, .025, 0, .05, 10, inf, 10), .5, .025, .05, true},
		{"what is beyond the last bound is only known to be above it", b(.01, 1, 60, 9, inf, 10), .99, 60, inf, true},
		{"everything in the last bucket", b(.01, 0, inf, 3), .5, .01, inf, true},
		{"p99 of a rate of one request in a long while", b(.01, 0, .3, .05, inf, .05), .99, .01, .3, true},
		{"no requests have no percentile", b(.01, 0, inf, 0), .5, 0, 0, false},
		{"no buckets have none either", nil, .5, 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			low, high, ok := quantileBucket(tc.b, tc.q)
			if low != tc.low || high != tc.high || ok != tc.ok {
				t.Errorf("got (%v, %v], %v; want (%v, %v], %v", low, high, ok, tc.low, tc.high, tc.ok)
			}
		})
	}
}

func TestBucketsAreSortedAndCumulative(t *testing.T) {
	got := bucketsOf(promql.Vector{staged.V(7, "le", "+Inf"), staged.V(5, "le", "0.1"), staged.V(4, "le", "1.0"), staged.V(math.NaN(), "le", "2.0"), staged.V(1, "le", "x")})
	want := []bucket{{.1, 5}, {1, 5}, {math.Inf(1), 7}}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("bucket %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestHeatShowsTheShareOfEachBucket(t *testing.T) {
	s := staged.Busy(clock, 1)
	// All requests of the last half hour take between 25 and 50 ms, but every tenth takes more than a second.
	s.Answers = append([]staged.Answer{{Key: "engine:ttft_buckets", At: func(float64) promql.Vector {
		return promql.Vector{staged.V(0, "le", "0.01"), staged.V(0, "le", "0.025"), staged.V(9, "le", "0.05"), staged.V(9, "le", "1"), staged.V(10, "le", "+Inf")}
	}}}, s.Answers...)
	m := start(t, s, 200, 60)
	press(t, m, "2")
	v := m.viewNow(frameAt(clock))
	bounds, shares := v.bucketShares("ttft_buckets", v.geometryAt(90).timeline)
	if fmt.Sprint(bounds) != "[0.05 1 +Inf]" {
		t.Fatalf("buckets %v", bounds)
	}
	for i, want := range []float64{0.9, 0, 0.1} {
		if got := shares[i][len(shares[i])-2]; math.Abs(got-want) > 1e-9 {
			t.Errorf("bucket %v has a share of %v, want %v", bounds[i], got, want)
		}
	}
	pic := picture(m, 200, 60)
	mustShow(t, pic, "share of requests per bucket", "≤50ms", "more")
	mustNotShow(t, pic, "≤25ms┤")
}

func TestTheEmptiestNeighboursAreJoinedFirst(t *testing.T) {
	if got := joinAt([][]float64{{.5, .4}, {0, math.NaN()}, {0, .1}, {.5, .5}}); got != 1 {
		t.Errorf("joined at %d", got)
	}
}

func TestTheReasonOfTheFirstAbsentMetricIsGiven(t *testing.T) {
	s := &snapshot{exprs: map[string]string{"kv": `max(vllm:kv_cache_usage_perc{job="vllm"}) or max(vllm:gpu_cache_usage_perc{job="vllm"})`},
		absent: map[string]string{"vllm:kv_cache_usage_perc": "needs vLLM 0.9.2", "vllm:gpu_cache_usage_perc": "older name", "vllm:num_requests_running": "no"}}
	if got := s.whyQuery("kv"); got != "needs vLLM 0.9.2" {
		t.Errorf("got %q", got)
	}
	if got := s.whyQuery("running"); got != "" {
		t.Errorf("a query without an answer gives %q", got)
	}
}

func TestMIGInstancesAreListedAndNotTakenForTheGPU(t *testing.T) {
	s := staged.Busy(clock, 1)
	s.Answers = append([]staged.Answer{{Key: "DCGM_FI_.+", At: func(float64) promql.Vector {
		mig := func(id string, v float64) promql.Sample {
			return staged.V(v, "__name__", "DCGM_FI_DEV_FB_USED", "gpu", "0", "job", "dcgm", "GPU_I_ID", id, "GPU_I_PROFILE", "3g.40gb")
		}
		return promql.Vector{mig("2", 1024), mig("1", 2048), staged.V(4096, "__name__", "DCGM_FI_DEV_FB_USED", "gpu", "0", "job", "dcgm")}
	}}}, s.Answers...)
	s.AbsentNow[`DCGM_FI_DEV_GPU_UTIL{gpu="0"}`] = "not available in MIG mode"
	pic := picture(start(t, s, 240, 60), 240, 60)
	mustShow(t, pic, "MIG 1", "MIG 2", "3g.40gb", "4.0 GiB", "— not available in MIG mode")
}
