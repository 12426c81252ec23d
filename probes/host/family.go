package host

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// family is a metric family that this package gives.
type family struct {
	name string
	desc *prometheus.Desc
	typ  prometheus.ValueType
}

func counter(name, help string, labels ...string) *family {
	return &family{name, prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

func gauge(name, help string, labels ...string) *family {
	return &family{name, prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

func untyped(name, help string, labels ...string) *family {
	return &family{name, prometheus.NewDesc(name, help, labels, nil), prometheus.UntypedValue}
}

// sink takes the samples of one reading, and the reasons for those that are missing.
type sink struct {
	ch     chan<- prometheus.Metric
	absent map[string]string
}

// emit hands over one sample. Label values are made valid UTF-8, because client_golang takes no other.
func (s *sink) emit(f *family, v float64, labels ...string) {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	s.ch <- prometheus.MustNewConstMetric(f.desc, f.typ, v, labels...)
}

// missing says why families have no sample at all.
func (s *sink) missing(why error, families ...*family) {
	for _, f := range families {
		s.absent[f.name] = why.Error()
	}
}

// missingSeries says why some series of a family has no sample; matchers is its braces' content.
func (s *sink) missingSeries(why string, matchers string, families ...*family) {
	for _, f := range families {
		s.absent[f.name+"{"+matchers+"}"] = why
	}
}
