package engine

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
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

// lines parses lines of a page.
func lines(t *testing.T, text string) []probes.Sample {
	t.Helper()
	s, _, err := Parse(textType, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// at gives a time so many seconds into the tests' day.
func at(seconds float64) time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

// A label that changes for ever must not be remembered for ever, and what stays must be.
func TestSeriesThatAreGoneAreForgotten(t *testing.T) {
	tr := newTracker(vllm(t))
	sample := func(name, model string, v float64) probes.Sample {
		return probes.Sample{Labels: labels.FromStrings("__name__", name, "engine", "0", "model_name", model), Value: v}
	}
	for i := range 5000 {
		w := tr.page(at(float64(i)), []probes.Sample{
			sample("vllm:num_requests_running", "stays", 1),
			sample("vllm:prompt_tokens_total", "stays", float64(1000+i/2)),
			sample("vllm:generation_tokens_total", fmt.Sprint(i), 0),
		})
		if i > 0 && w.Moved != (i%2 == 0) || w.Fell {
			t.Fatalf("page %d: %+v", i, w)
		}
	}
	if n := len(tr.last); n > 300 {
		t.Errorf("%d series are remembered of a page with 2", n)
	}
}

func TestWorkOfRecordedPages(t *testing.T) {
	cases := []struct {
		page             string
		running, waiting float64
		started          int64
		asleep           bool
	}{
		{"vllm-0.32-preempting.prom", 4, 1, 1795479454, false},
		{"vllm-0.26-dp2.prom", 69, 27, 0, false},
		{"vllm-0.10.prom", 37, 12, 1791123450, false},
		{"vllm-0.6.3-v0.prom", 37, 12, 1791123450, false},
		{"vllm-rust.openmetrics", 4, 0, 0, false},
	}
	for _, c := range cases {
		t.Run(c.page, func(t *testing.T) {
			typ, body := fixture(t, c.page)
			samples, _, err := Parse(typ, body)
			if err != nil {
				t.Fatal(err)
			}
			w := newTracker(vllm(t)).page(at(0), samples)
			if w.Running != c.running || w.Waiting != c.waiting || w.Asleep != c.asleep || !w.Own {
				t.Errorf("%+v", w)
			}
			if c.started == 0 && !w.Started.IsZero() || c.started != 0 && w.Started.Unix() != c.started {
				t.Errorf("started %v", w.Started)
			}
		})
	}
}

func TestAPageWithoutTheEnginesMetricsSaysNothingOfWork(t *testing.T) {
	w := newTracker(vllm(t)).page(at(0), lines(t, "process_start_time_seconds 1.7e9\nhttp_requests_total 5\n"))
	if w.Own || !math.IsNaN(w.Running) || !math.IsNaN(w.Waiting) || w.Still != 0 {
		t.Errorf("%+v", w)
	}
}

func TestAServerSleepsWhenEveryEngineOfItDoes(t *testing.T) {
	page := func(a, b int) string {
		return fmt.Sprintf("vllm:engine_sleep_state{engine=\"0\",sleep_state=\"awake\"} %d\nvllm:engine_sleep_state{engine=\"0\",sleep_state=\"weights_offloaded\"} %d\n"+
			"vllm:engine_sleep_state{engine=\"1\",sleep_state=\"awake\"} %d\nvllm:engine_sleep_state{engine=\"1\",sleep_state=\"weights_offloaded\"} %d\n", a, 1-a, b, 1-b)
	}
	tr := newTracker(vllm(t))
	if w := tr.page(at(0), lines(t, page(1, 0))); w.Asleep {
		t.Error("asleep while one engine is awake")
	}
	if w := tr.page(at(1), lines(t, page(0, 0))); !w.Asleep || w.Level != "weights_offloaded" {
		t.Errorf("%+v", w)
	}
}

// second is one page of the tests' engine: what it says at some second.
type second struct {
	at               float64
	running, waiting float64
	tokens           float64
	bucket           string // le of a new observation of a step, if there is one
}

func pageOf(s second, buckets map[string]float64) string {
	text := fmt.Sprintf("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\"} %v\nvllm:num_requests_waiting{engine=\"0\"} %v\n"+
		"# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total{engine=\"0\"} %v\n# TYPE vllm:inter_token_latency_seconds histogram\n",
		s.running, s.waiting, s.tokens)
	reached := false
	for _, le := range []string{"0.1", "1.0", "5.0", "+Inf"} {
		if reached = reached || le == s.bucket; reached && s.bucket != "" {
			buckets[le]++
		}
		text += fmt.Sprintf("vllm:inter_token_latency_seconds_bucket{engine=\"0\",le=%q} %v\n", le, buckets[le])
	}
	return text
}

func TestStandingStill(t *testing.T) {
	cases := []struct {
		what  string
		in    []second
		still float64
		step  float64
	}{
		{"no work is no standing still", []second{{0, 0, 0, 5, ""}, {60, 0, 0, 5, ""}}, 0, 0},
		{"work that began with the last page has just begun", []second{{0, 0, 0, 5, ""}, {60, 1, 0, 5, ""}}, 0, 0},
		{"work without tokens counts from its beginning, not from the last token", []second{{0, 0, 0, 5, ""}, {60, 1, 0, 5, ""}, {67, 1, 0, 5, ""}}, 7, 0},
		{"tokens that move are work", []second{{0, 1, 0, 5, ""}, {1, 1, 0, 6, ""}, {2, 1, 0, 7, ""}}, 0, 0},
		{"it counts from the last token", []second{{0, 1, 0, 5, ""}, {1, 1, 0, 6, ""}, {9, 1, 0, 6, ""}}, 8, 0},
		{"requests that only wait are work too", []second{{0, 0, 3, 5, ""}, {12, 0, 3, 5, ""}}, 12, 0},
		{"a step's length is at most its bucket's edge", []second{{0, 1, 0, 5, ""}, {1, 1, 0, 6, "1.0"}}, 0, 1},
		{"a step above the last edge counts as that edge", []second{{0, 1, 0, 5, ""}, {1, 1, 0, 6, "+Inf"}}, 0, 5},
		{"the longest of several steps counts", []second{{0, 1, 0, 5, ""}, {1, 1, 0, 6, "5.0"}, {2, 1, 0, 7, "0.1"}}, 0, 5},
		{"a step is forgotten after five minutes", []second{{0, 1, 0, 5, ""}, {1, 1, 0, 6, "5.0"}, {302, 1, 0, 7, "0.1"}}, 0, 0.1},
		{"a pause that ends in a token is a step as long as it was seen to be", []second{{0, 1, 0, 5, ""}, {1, 1, 0, 6, ""}, {5, 1, 0, 6, ""}, {9, 1, 0, 7, ""}}, 0, 4},
		{"a pause while there was no work is none", []second{{0, 1, 0, 5, ""}, {1, 0, 0, 6, ""}, {90, 1, 0, 7, ""}}, 0, 0},
		{"a request that waits longer between two tokens than the engine between two steps makes no long step",
			[]second{{0, 1, 0, 5, ""}, {1, 1, 0, 6, ""}, {2, 1, 0, 7, ""}, {3, 1, 0, 8, "5.0"}}, 0, 2},
		{"a stall is no step, so it does not hide the next one",
			[]second{{0, 1, 0, 5, ""}, {1, 1, 0, 6, ""}, {12, 1, 0, 6, ""}, {13, 1, 0, 7, "5.0"}, {24, 1, 0, 7, ""}}, 11, 0},
		{"scrapes far apart make no pause", []second{{0, 1, 0, 5, ""}, {5, 1, 0, 6, ""}, {10, 1, 0, 7, ""}}, 0, 0},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			tr := newTracker(vllm(t))
			buckets := map[string]float64{}
			var w Work
			for _, s := range c.in {
				w = tr.page(at(s.at), lines(t, pageOf(s, buckets)))
			}
			if w.Still.Seconds() != c.still {
				t.Errorf("stood still for %v, want %v s", w.Still, c.still)
			}
			if math.Abs(w.Step.Seconds()-c.step) > 1e-9 {
				t.Errorf("longest step %v, want %v s", w.Step, c.step)
			}
		})
	}
}

func TestCountersThatFallAreSeen(t *testing.T) {
	tr := newTracker(vllm(t))
	b := map[string]float64{}
	tr.page(at(0), lines(t, pageOf(second{tokens: 50}, b)))
	if w := tr.page(at(1), lines(t, pageOf(second{tokens: 7}, b))); !w.Fell || w.Moved {
		t.Errorf("%+v", w)
	}
	if w := tr.page(at(2), lines(t, pageOf(second{tokens: 8}, b))); w.Fell || !w.Moved {
		t.Errorf("%+v", w)
	}
}
