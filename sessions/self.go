package sessions

import (
	"context"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
)

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
	rec.mu.Unlock()
	rec.head.mu.RLock()
	n := len(rec.head.series)
	rec.head.mu.RUnlock()
	for _, m := range []struct {
		name string
		v    float64
	}{{"pitwall_recorder_series", float64(n)}, {"pitwall_recorder_file_bytes", float64(bytes)}, {"pitwall_recorder_dropped_total", float64(rec.dropped.Load())}} {
		r.Samples = append(r.Samples, probes.Sample{Labels: labels.FromStrings(model.MetricNameLabel, m.name), Value: m.v})
	}
	return r
}
