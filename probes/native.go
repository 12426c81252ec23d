package probes

import (
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/histogram"
)

// native turns a gathered native histogram, whose bucket counts are differences, into the form that series are kept in; nil for
// a classic one. A native one is told by its schema's companion, the zero threshold: every gathered one has it.
func native(h *dto.Histogram) *histogram.FloatHistogram {
	if h.ZeroThreshold == nil && len(h.PositiveSpan) == 0 && len(h.NegativeSpan) == 0 {
		return nil
	}
	out := &histogram.FloatHistogram{
		Schema: h.GetSchema(), ZeroThreshold: h.GetZeroThreshold(), ZeroCount: float64(h.GetZeroCount()),
		Count: float64(h.GetSampleCount()), Sum: h.GetSampleSum(),
	}
	out.PositiveSpans, out.PositiveBuckets = absolute(h.PositiveSpan, h.PositiveDelta)
	out.NegativeSpans, out.NegativeBuckets = absolute(h.NegativeSpan, h.NegativeDelta)
	return out
}

// absolute adds up the differences. A span without length, which stands for "native, and empty", is left out.
func absolute(spans []*dto.BucketSpan, deltas []int64) ([]histogram.Span, []float64) {
	var out []histogram.Span
	for _, s := range spans {
		if s.GetLength() > 0 {
			out = append(out, histogram.Span{Offset: s.GetOffset(), Length: s.GetLength()})
		}
	}
	var counts []float64
	var n int64
	for _, d := range deltas {
		n += d
		counts = append(counts, float64(n))
	}
	return out, counts
}
