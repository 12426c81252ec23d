package probes

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestANativeHistogramBecomesOneSeriesAndAClassicOneKeepsItsBuckets(t *testing.T) {
	reg := prometheus.NewRegistry()
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native", NativeHistogramBucketFactor: 1.022})
	empty := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "empty", NativeHistogramBucketFactor: 1.022})
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic", Buckets: []float64{1, 2}})
	reg.MustRegister(native, empty, classic)
	for _, v := range []float64{0.5, 0.51, 3, 0, 1e-3, -2, 3} {
		native.Observe(v)
		classic.Observe(v)
	}
	fams, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples, _ := FromFamilies(fams)
	names := map[string]Sample{}
	for _, s := range samples {
		names[s.Labels.Get("__name__")] = s
	}
	h := names["native"].Hist
	if h == nil || h.Validate() != nil || h.Count != 7 || h.Schema != 5 || h.ZeroCount != 1 {
		t.Fatalf("native: %v %v", h, h.Validate())
	}
	found := map[float64]float64{}
	n := 0.0
	for it := h.AllBucketIterator(); it.Next(); {
		b := it.At()
		n += b.Count
		for _, v := range []float64{0.5, 0.51, 3, 1e-3, -2} {
			if v > b.Lower && v <= b.Upper || v < 0 && v >= b.Lower && v < b.Upper {
				found[v] += b.Count
			}
		}
	}
	if n != 7 || found[3] != 2 || found[0.5] != 1 || found[0.51] != 1 || found[1e-3] != 1 || found[-2] != 1 {
		t.Errorf("buckets: %v, %v in all", found, n)
	}
	if e := names["empty"].Hist; e == nil || e.Count != 0 || e.Validate() != nil {
		t.Errorf("a native one without observations: %v", e)
	}
	if names["classic"].Hist != nil || names["classic_count"].Value != 7 || names["classic_bucket"].Labels.Get("le") == "" {
		t.Errorf("classic: %v", names)
	}
}
