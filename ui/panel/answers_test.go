package panel_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
	"pitwall/sessions"
	"pitwall/ui/panel"
)

// page is a source that gives a real engine's page again and again, its counters rising by a tenth each time.
type metricsPage struct {
	samples []probes.Sample
	counter []bool
	n       int
}

func readPage(t testing.TB, path string) *metricsPage {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := expfmt.NewDecoder(bytes.NewReader(data), expfmt.NewFormat(expfmt.TypeTextPlain))
	sd := expfmt.SampleDecoder{Dec: dec, Opts: &expfmt.DecodeOptions{}}
	p := &metricsPage{}
	for {
		var v model.Vector
		if err := sd.Decode(&v); err != nil {
			break
		}
		for _, s := range v {
			m := map[string]string{"job": "vllm", "instance": "127.0.0.1:8000"}
			for k, v := range s.Metric {
				m[string(k)] = string(v)
			}
			name := m[model.MetricNameLabel]
			p.samples = append(p.samples, probes.Sample{Labels: labels.FromMap(m), Value: float64(s.Value)})
			p.counter = append(p.counter, slices.ContainsFunc([]string{"_total", "_sum", "_count", "_bucket"}, func(end string) bool { return strings.HasSuffix(name, end) }))
		}
	}
	if len(p.samples) < 100 {
		t.Fatalf("%s: only %d samples", path, len(p.samples))
	}
	return p
}

func (p *metricsPage) Target() (string, string) { return "vllm", "127.0.0.1:8000" }
func (p *metricsPage) Every() time.Duration     { return time.Second }
func (p *metricsPage) Read(context.Context) probes.Reading {
	p.n++
	out := slices.Clone(p.samples)
	for i := range out {
		if p.counter[i] {
			out[i].Value *= 1 + float64(p.n)/10
		}
	}
	return probes.Reading{Samples: out}
}

// recorded makes a recording of that page.
func recorded(t testing.TB) (r *sessions.Recorder, at time.Time, sc sessions.Scope) {
	t.Helper()
	src := readPage(t, "testdata/vllm-0.32-preempting.prom")
	r, err := sessions.NewRecorder(sessions.Options{Sources: func() []probes.Source { return []probes.Source{src} }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for range 30 {
		at = at.Add(time.Second)
		if err := r.Tick(context.Background(), at); err != nil {
			t.Fatal(err)
		}
	}
	d, _ := dialect.Named("vllm")
	return r, at, sessions.Scope{Dialect: d, Sel: `job="vllm",instance="127.0.0.1:8000"`, Range: 5 * time.Minute}
}

// TestEveryPanelOfVLLMsBoardsAnswersOnARealPage asks every expression that was taken out of vLLM's published boards, and
// those of the built-in panels of an engine, of the page of a real vLLM 0.32.0.
func TestEveryPanelOfVLLMsBoardsAnswersOnARealPage(t *testing.T) {
	r, at, sc := recorded(t)
	ask := func(t *testing.T, s panel.Spec) {
		for _, q := range s.Queries {
			res, err := r.Query(context.Background(), q.Expr, at, sc)
			if err != nil {
				t.Errorf("%s/%s: %v", s.ID, q.ID, err)
				continue
			}
			v := res.Vector()
			if len(v) == 0 {
				t.Errorf("%s/%s answers nothing: %s", s.ID, q.ID, res.Expr)
			}
			if len(v) > 0 && !strings.Contains(q.Expr, "hit_ratio") && !slices.ContainsFunc(v, func(x promql.Sample) bool { return !math.IsNaN(x.F) }) {
				t.Errorf("%s/%s answers no number: %s", s.ID, q.ID, res.Expr)
			}
		}
	}
	for _, name := range []string{"vllm_grafana.json", "vllm_performance_statistics.json", "vllm_query_statistics.json"} {
		t.Run(name, func(t *testing.T) {
			for _, s := range board(t, name).Panels {
				ask(t, s)
			}
		})
	}
	t.Run("built in", func(t *testing.T) {
		b, _ := panel.NewBook("")
		for _, s := range b.Panels() {
			if s.ScopeOf() == panel.ScopeEngine {
				ask(t, s)
			}
		}
	})
}
