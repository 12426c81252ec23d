package load_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"pitwall/probes"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/probes/truth"
)

// find gives the sample of a series with a label of that value (any, if empty).
func find(t *testing.T, r probes.Reading, name, label, value string) probes.Sample {
	t.Helper()
	for _, s := range r.Samples {
		if s.Labels.Get(model.MetricNameLabel) == "pitwall_client_"+name && (label == "" || s.Labels.Get(label) == value) {
			return s
		}
	}
	t.Fatalf("no series pitwall_client_%s{%s=%q}", name, label, value)
	return probes.Sample{}
}

func TestTheSeriesSayWhatTheRecordsSay(t *testing.T) {
	s := serve(t, truth.Plan{TTFT: 20 * time.Millisecond, Gap: 4 * time.Millisecond, Chunk: 3, Model: "org/model"})
	r := newRig(t, examine(t, s.URL()))
	src := r.Source()
	if job, instance := src.Target(); job != "client" || instance != s.Addr() {
		t.Errorf("source %s %s", job, instance)
	}
	p := closedLoop(3, 16, 12)
	p.Stop.Requests, p.SLO.TTFT = 24, time.Hour
	r.set(t, p, 7)
	if run := find(t, src.Read(t.Context()), "run", "", ""); run.Value != 7 {
		t.Errorf("run %v while run 7 is on", run.Value)
	}
	r.wait(t)
	tally := r.whole(t, 7)
	got := src.Read(t.Context())
	if got.Err != nil {
		t.Fatal(got.Err)
	}
	float := func(name, label, value string, want float64) {
		t.Helper()
		if s := find(t, got, name, label, value); s.Value != want || s.Labels.Get("model") != "org/model" {
			t.Errorf("%s{%s=%q} is %v, want %v", name, label, value, s.Value, want)
		}
	}
	float("requests_total", "class", "ok", 24)
	float("requests_total", "class", "refused", 0)
	float("tokens_total", "kind", "output", float64(tally.Output))
	float("tokens_total", "kind", "input", float64(tally.Input))
	float("good_total", "", "", 24)
	float("in_flight", "", "", 0)
	float("run", "", "", 0)
	float("bound", "", "", 0)
	histogram := func(name string, count float64, each func(*request.Record) (time.Duration, bool)) {
		t.Helper()
		h := find(t, got, name, "", "").Hist
		if h == nil {
			t.Fatalf("%s is no native histogram", name)
		}
		if err := h.Validate(); err != nil || h.Schema != 5 {
			t.Errorf("%s: schema %d, %v", name, h.Schema, err)
		}
		n, sum := 0.0, 0.0
		for it := h.AllBucketIterator(); it.Next(); {
			n += it.At().Count
		}
		if each != nil {
			for _, rec := range r.of(7) {
				d, _ := each(rec)
				sum += d.Seconds()
			}
			if math.Abs(h.Sum-sum) > 1e-6*sum {
				t.Errorf("%s: sum %v, of the records %v", name, h.Sum, sum)
			}
		}
		if h.Count != count || n != count {
			t.Errorf("%s: count %v, in buckets %v, want %v", name, h.Count, n, count)
		}
	}
	histogram("time_to_first_token_seconds", 24, (*request.Record).TTFT)
	histogram("time_to_first_token_from_schedule_seconds", 24, (*request.Record).TTFTSched)
	histogram("time_per_output_token_seconds", 24, (*request.Record).TPOT)
	histogram("e2e_latency_seconds", 24, (*request.Record).E2E)
	histogram("send_lag_seconds", 24, (*request.Record).Lag)
	histogram("chunk_gap_seconds", 24*3, nil)           // 12 tokens in 4 chunks
	histogram("inter_token_latency_seconds", 24*9, nil) // those of the first chunk are not counted
}

func TestOpenAndClosedLoopsTellWhatIsAskedOfThem(t *testing.T) {
	s := serve(t, truth.Plan{TTFT: time.Millisecond})
	r := newRig(t, examine(t, s.URL()))
	src := r.Source()
	p := closedLoop(2, 16, 1)
	p.Arrival.Steps = []shape.Step{{After: 30 * time.Millisecond, To: 5}}
	r.set(t, p, 1)
	until(t, "five clients", func() bool { return find(t, src.Read(t.Context()), "clients", "", "").Value == 5 })
	until(t, "a request of each of the five", func() bool {
		clients := map[int32]bool{}
		for _, rec := range r.of(1) {
			clients[rec.Client] = true
		}
		return len(clients) == 5
	})
	p = closedLoop(5, 16, 1)
	p.Arrival.Steps = []shape.Step{{After: 30 * time.Millisecond, To: 1}}
	r.set(t, p, 3)
	until(t, "one client", func() bool { st := r.State(); return st.Clients == 1 && st.InFlight <= 1 })
	p = openLoop(100, 16, 1)
	p.Arrival.Steps = []shape.Step{{After: 0, Over: time.Hour, To: 3700}}
	r.set(t, p, 2)
	if rate := find(t, src.Read(t.Context()), "rate", "", "").Value; rate < 100 || rate > 130 {
		t.Errorf("rate %v a moment after 100/s that rise by 1/s each second", rate)
	}
	for _, s := range src.Read(t.Context()).Samples {
		if strings.HasSuffix(s.Labels.Get(model.MetricNameLabel), "_clients") {
			t.Error("an open loop has no clients")
		}
	}
	r.Stop()
	r.wait(t)
}

func TestThinkingClientsWaitFromTheEndOfTheAnswer(t *testing.T) {
	s := serve(t, truth.Plan{TTFT: 2 * time.Millisecond})
	r := newRig(t, examine(t, s.URL()))
	p := closedLoop(2, 16, 1)
	think := shape.Length{A: 0.03}
	p.Arrival.Think, p.Stop.Requests = &think, 10
	r.set(t, p, 1)
	r.wait(t)
	last := map[int32]request.Time{}
	for _, rec := range r.of(1) { // in the order of ending, so of each client in its order
		if end := last[rec.Client]; end != 0 {
			if wait := rec.Scheduled.Sub(end); wait != 30*time.Millisecond {
				t.Errorf("due %v after the answer before", wait)
			}
			if rec.Sent < rec.Scheduled {
				t.Errorf("sent %v early", rec.Scheduled.Sub(rec.Sent))
			}
		}
		last[rec.Client] = rec.End
	}
}
