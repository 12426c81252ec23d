package engine

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
)

// ownSeries are the series that pitwall adds about an engine, their label sets made once.
type ownSeries struct {
	states map[State]labels.Labels
	named  map[string]labels.Labels
}

// ownMeta are their families.
var ownMeta = map[string]probes.Meta{
	"pitwall_engine_state":                         {Type: model.MetricTypeGauge, Help: "1 for the state that the engine is in, 0 for every other."},
	"pitwall_engine_state_start_time_seconds":      {Type: model.MetricTypeGauge, Help: "When the engine's state began, in Unix seconds.", Unit: "seconds"},
	"pitwall_engine_healthy":                       {Type: model.MetricTypeGauge, Help: "1 if the engine's health check answered 200 when it was last asked."},
	"pitwall_scrape_interval_seconds":              {Type: model.MetricTypeGauge, Help: "Time from one scrape to the next that is in force.", Unit: "seconds"},
	"pitwall_engine_scrape_seconds":                {Type: model.MetricTypeGauge, Help: "How long the last page took, from the question to the last byte.", Unit: "seconds"},
	"pitwall_engine_scrape_connect_seconds":        {Type: model.MetricTypeGauge, Help: "How long the connection for the last page took, 0 on a kept one.", Unit: "seconds"},
	"pitwall_engine_scrape_first_byte_seconds":     {Type: model.MetricTypeGauge, Help: "How long the first byte of the last page took.", Unit: "seconds"},
	"pitwall_engine_scrape_bytes":                  {Type: model.MetricTypeGauge, Help: "Size of the last page.", Unit: "bytes"},
	"pitwall_engine_scrape_requests_total":         {Type: model.MetricTypeCounter, Help: "Requests that watching has sent to the engine, of any path."},
	"pitwall_engine_scrape_duration_seconds_total": {Type: model.MetricTypeCounter, Help: "How long these requests took together: the most that watching can have cost the engine.", Unit: "seconds"},
	droppedMetric:                         droppedMeta,
	"pitwall_engine_scrapes_ok_total":     {Type: model.MetricTypeCounter, Help: "Pages that were read."},
	"pitwall_engine_scrapes_failed_total": {Type: model.MetricTypeCounter, Help: "Pages that could not be read."},
}

func newOwnSeries() ownSeries {
	o := ownSeries{states: map[State]labels.Labels{}, named: map[string]labels.Labels{}}
	for _, st := range States() {
		o.states[st] = labels.FromStrings(model.MetricNameLabel, "pitwall_engine_state", "state", string(st))
	}
	for name := range ownMeta {
		o.named[name] = labels.FromStrings(model.MetricNameLabel, name)
	}
	return o
}

func (o ownSeries) add(s *Scraper, samples []probes.Sample, meta map[string]probes.Meta, st Status) ([]probes.Sample, map[string]probes.Meta) {
	if meta == nil {
		meta = map[string]probes.Meta{}
	}
	// The page may be another pitwall's, or repeat it: ours count, and no series may be there twice.
	samples = slices.DeleteFunc(samples, func(p probes.Sample) bool {
		name := p.Labels.Get(model.MetricNameLabel)
		if !strings.HasPrefix(name, "pitwall_") {
			return false
		}
		_, ours := ownMeta[name]
		return ours
	})
	maps.Copy(meta, ownMeta)
	for _, state := range States() {
		samples = append(samples, probes.Sample{Labels: o.states[state], Value: state.gauge(st.State)})
	}
	add := func(name string, v float64) {
		samples = append(samples, probes.Sample{Labels: o.named[name], Value: v})
	}
	if !st.Since.IsZero() { // the very first page may be late
		add("pitwall_engine_state_start_time_seconds", float64(st.Since.UnixMilli())/1000)
	}
	if s.wellKnow {
		add("pitwall_engine_healthy", s.well)
	}
	add("pitwall_scrape_interval_seconds", s.Every().Seconds())
	if s.last.status != 0 {
		add("pitwall_engine_scrape_seconds", s.last.total.Seconds())
		add("pitwall_engine_scrape_connect_seconds", s.last.connect.Seconds())
		add("pitwall_engine_scrape_first_byte_seconds", s.last.first.Seconds())
		add("pitwall_engine_scrape_bytes", float64(s.last.size))
	}
	add(droppedMetric, float64(s.pages.lost()))
	add("pitwall_engine_scrape_requests_total", float64(s.c.asked.Load()))
	add("pitwall_engine_scrape_duration_seconds_total", time.Duration(s.c.spent.Load()).Seconds())
	add("pitwall_engine_scrapes_ok_total", s.ok)
	add("pitwall_engine_scrapes_failed_total", s.bad)
	return samples, meta
}
