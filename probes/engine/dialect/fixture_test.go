package dialect_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"pitwall/probes"
	"pitwall/probes/engine"
)

// minute is how long every series of a recording lasts, one sample a second.
const minute = 60

// recording is a storage.Queryable of a minute of an engine: what the dialect's names are evaluated over.
type recording struct{ series []storage.Series }

// page parses a recorded page.
func page(t *testing.T, file string) ([]probes.Sample, map[string]probes.Meta) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	typ := "text/plain; version=0.0.4"
	if filepath.Ext(file) == ".openmetrics" {
		typ = "application/openmetrics-text; version=1.0.0"
	}
	samples, meta, err := engine.Parse(typ, body)
	if err != nil {
		t.Fatal(err)
	}
	return samples, meta
}

// grown makes a minute that ends in twice the counters of a page and the same gauges.
func grown(t *testing.T, file string) *recording {
	samples, meta := page(t, file)
	r := &recording{}
	for _, s := range samples {
		from, to := s.Value, s.Value
		if counts(s.Labels.Get(model.MetricNameLabel), meta) {
			to = 2 * s.Value
		}
		r.add(s.Labels, from, to)
	}
	return r
}

// between makes a minute that leads from one page of a server to a later one.
func between(t *testing.T, first, last string) *recording {
	start, _ := page(t, first)
	from := map[uint64]float64{}
	for _, s := range start {
		from[s.Labels.Hash()] = s.Value
	}
	r := &recording{}
	end, _ := page(t, last)
	for _, s := range end {
		r.add(s.Labels, from[s.Labels.Hash()], s.Value)
	}
	return r
}

func counts(name string, meta map[string]probes.Meta) bool {
	if meta[name].Type == model.MetricTypeCounter {
		return true
	}
	for _, end := range []string{"_bucket", "_sum", "_count"} {
		if n := len(name) - len(end); n > 0 && name[n:] == end && meta[name[:n]].Type == model.MetricTypeHistogram {
			return true
		}
	}
	return false
}

func (r *recording) add(l labels.Labels, from, to float64) {
	l = labels.NewBuilder(l).Set("job", "vllm").Set("instance", "127.0.0.1:8000").Labels()
	var points []chunks.Sample
	for i := range minute + 1 {
		points = append(points, point{int64(i) * 1000, from + (to-from)*float64(i)/minute})
	}
	r.series = append(r.series, storage.NewListSeries(l, points))
}

// eval gives the value of an expression at the end of the minute, by the values of its remaining labels.
func (r *recording) eval(t *testing.T, expr string) map[string]float64 {
	t.Helper()
	e := promql.NewEngine(promql.EngineOpts{MaxSamples: 1 << 20, Timeout: 10 * time.Second, LookbackDelta: 5 * time.Second,
		NoStepSubqueryIntervalFn: func(int64) int64 { return 1000 }, EnableAtModifier: true, EnableNegativeOffset: true})
	q, err := e.NewInstantQuery(context.Background(), r, nil, expr, time.UnixMilli(minute*1000))
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	res := q.Exec(context.Background())
	if res.Err != nil {
		t.Fatalf("%s: %v", expr, res.Err)
	}
	out := map[string]float64{}
	v, err := res.Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	for _, s := range v {
		key := ""
		s.Metric.Range(func(l labels.Label) { key += l.Value })
		if _, twice := out[key]; twice {
			t.Fatalf("%s gives %q twice", expr, key)
		}
		out[key] = s.F
	}
	return out
}

func (r *recording) Querier(mint, maxt int64) (storage.Querier, error) {
	return &querier{r, mint, maxt}, nil
}

type querier struct {
	r          *recording
	mint, maxt int64
}

func (q *querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	set := &seriesSet{at: -1}
	for _, s := range q.r.series {
		all := true
		for _, m := range ms {
			all = all && m.Matches(s.Labels().Get(m.Name))
		}
		if all {
			set.series = append(set.series, s)
		}
	}
	sort.Slice(set.series, func(i, j int) bool {
		return labels.Compare(set.series[i].Labels(), set.series[j].Labels()) < 0
	})
	return set
}

func (*querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, fmt.Errorf("not asked for here")
}

func (*querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, fmt.Errorf("not asked for here")
}

func (*querier) Close() error { return nil }

type seriesSet struct {
	series []storage.Series
	at     int
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *seriesSet) At() storage.Series                { return s.series[s.at] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// near compares with a tolerance of a thousandth: rate extrapolates to the edges of its window.
func near(got, want float64) bool {
	if math.IsNaN(got) || math.IsNaN(want) {
		return math.IsNaN(got) && math.IsNaN(want)
	}
	return math.Abs(got-want) <= 1e-3*math.Max(math.Abs(want), 1e-6)
}

// point is one sample of a float series.
type point struct {
	t int64
	v float64
}

func (p point) T() int64                      { return p.t }
func (p point) ST() int64                     { return 0 }
func (p point) F() float64                    { return p.v }
func (p point) H() *histogram.Histogram       { return nil }
func (p point) FH() *histogram.FloatHistogram { return nil }
func (p point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample           { return p }
