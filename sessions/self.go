package sessions

import (
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
)

// ClockMetric is how many seconds the host's clock is ahead of the session's times, as it was last told.
const ClockMetric = "pitwall_recorder_clock_offset_seconds"

// self is the recorder as a source: what watching costs on this side, as process_* (client_golang's process collector),
// and how the recording goes, as pitwall_recorder_*.
type self Recorder

func (s *self) Target() (job, instance string) { return "pitwall", s.opt.Host }

func (s *self) Every() time.Duration { return 2 * time.Second }

func (s *self) Read(context.Context) probes.Reading {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{PidFn: func() (int, error) { return os.Getpid(), nil }}))
	var r probes.Reading
	fams, err := reg.Gather()
	r.Samples, r.Meta = probes.FromFamilies(fams)
	r.Err = err
	rec := (*Recorder)(s)
	rec.mu.Lock()
	bytes := rec.bytes
	for _, k := range slices.SortedFunc(maps.Keys(rec.refused), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		r.Samples = append(r.Samples, probes.Sample{Labels: labels.FromStrings(model.MetricNameLabel, RefusedMetric, "subject", k[0]+"/"+k[1]), Value: float64(rec.refused[k])})
	}
	rec.mu.Unlock()
	off := rec.offset.Load()
	if off >= stepOf || off <= -stepOf {
		r.Facts = map[string]string{"recorder/clock": "the host's clock is " + standing(off) + " the session's times"}
	}
	rec.head.mu.RLock()
	n := len(rec.head.series)
	rec.head.mu.RUnlock()
	for _, m := range []struct {
		name string
		v    float64
	}{{"pitwall_recorder_series", float64(n)}, {"pitwall_recorder_file_bytes", float64(bytes)}, {"pitwall_recorder_dropped_total", float64(rec.dropped.Load())},
		{ClockMetric, float64(off) / 1000}} {
		r.Samples = append(r.Samples, probes.Sample{Labels: labels.FromStrings(model.MetricNameLabel, m.name), Value: m.v})
	}
	return r
}
