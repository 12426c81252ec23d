package probes

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Teller is a Collector that has more to tell than samples. FromCollector asks it after each gathering.
type Teller interface {
	prometheus.Collector
	// Facts, Absent and Events are as in Reading. Events empties what it gives.
	Facts() map[string]string
	Absent() map[string]string
	Events() []Event
}

// FromCollector makes a Source of a Prometheus collector: the same collector could be registered with an HTTP handler. It
// is pulled every second. Collect must honour its own deadlines, because the Collector interface has no context.
func FromCollector(job, instance string, c prometheus.Collector) (Source, error) {
	reg := prometheus.NewRegistry()
	if err := reg.Register(c); err != nil {
		return nil, fmt.Errorf("registering the %s collector: %w", job, err)
	}
	s := &collected{job: job, instance: instance, reg: reg}
	s.teller, _ = c.(Teller)
	return s, nil
}

type collected struct {
	job, instance string
	reg           *prometheus.Registry
	teller        Teller
}

func (s *collected) Target() (job, instance string) { return s.job, s.instance }

func (s *collected) Every() time.Duration { return time.Second }

func (s *collected) Read(context.Context) Reading {
	start := time.Now()
	fams, err := s.reg.Gather()
	var r Reading
	r.Samples, r.Meta = FromFamilies(fams)
	r.Took = time.Since(start)
	if err != nil {
		r.Err = fmt.Errorf("gathering %s: %w", s.job, err)
	}
	if s.teller != nil {
		r.Facts, r.Absent, r.Events = s.teller.Facts(), s.teller.Absent(), s.teller.Events()
	}
	return r
}

// FromFamilies turns gathered metric families into samples, classic histograms and summaries into the float series that their
// text exposition would have, with le in Prometheus 3's normal form (1.0, not 1), native histograms into one series each.
func FromFamilies(fams []*dto.MetricFamily) ([]Sample, map[string]Meta) {
	var out []Sample
	meta := make(map[string]Meta, len(fams))
	b := labels.NewScratchBuilder(8)
	for _, f := range fams {
		name := f.GetName()
		add := func(m *dto.Metric, suffix, extra, extraValue string, v float64) {
			b.Reset()
			b.Add(model.MetricNameLabel, name+suffix)
			for _, l := range m.GetLabel() {
				b.Add(l.GetName(), l.GetValue())
			}
			if extra != "" {
				b.Add(extra, extraValue)
			}
			b.Sort()
			out = append(out, Sample{Labels: b.Labels(), Value: v})
		}
		typ := model.MetricTypeUnknown
		for _, m := range f.GetMetric() {
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				typ = model.MetricTypeCounter
				add(m, "", "", "", m.GetCounter().GetValue())
			case dto.MetricType_GAUGE:
				typ = model.MetricTypeGauge
				add(m, "", "", "", m.GetGauge().GetValue())
			case dto.MetricType_SUMMARY:
				typ = model.MetricTypeSummary
				for _, q := range m.GetSummary().GetQuantile() {
					add(m, "", model.QuantileLabel, formatBound(q.GetQuantile()), q.GetValue())
				}
				add(m, "_sum", "", "", m.GetSummary().GetSampleSum())
				add(m, "_count", "", "", float64(m.GetSummary().GetSampleCount()))
			case dto.MetricType_HISTOGRAM:
				typ = model.MetricTypeHistogram
				h := m.GetHistogram()
				if n := native(h); n != nil {
					add(m, "", "", "", 0)
					out[len(out)-1].Hist = n
					continue
				}
				inf := false
				for _, k := range h.GetBucket() {
					inf = inf || math.IsInf(k.GetUpperBound(), 1)
					add(m, "_bucket", model.BucketLabel, formatBound(k.GetUpperBound()), float64(k.GetCumulativeCount()))
				}
				if !inf {
					add(m, "_bucket", model.BucketLabel, "+Inf", float64(h.GetSampleCount()))
				}
				add(m, "_sum", "", "", h.GetSampleSum())
				add(m, "_count", "", "", float64(h.GetSampleCount()))
			default:
				add(m, "", "", "", m.GetUntyped().GetValue())
			}
		}
		meta[name] = Meta{Type: typ, Help: f.GetHelp(), Unit: f.GetUnit()}
	}
	return out, meta
}

// formatBound writes a bucket bound or quantile as Prometheus 3 stores it (labels.FormatOpenMetricsFloat's rule).
func formatBound(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case v == math.Trunc(v) && math.Abs(v) < 1e6:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
