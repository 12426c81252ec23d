package engine

import (
	"context"
	"testing"
)

// A page may hold what pitwall says of an engine itself, with types or without.
func TestAPageCannotSayTheStateItself(t *testing.T) {
	for what, head := range map[string]string{"with a type": "# TYPE pitwall_engine_state gauge\n", "without one": ""} {
		f := newFake(t, "vllm-0.32-preempting.prom")
		f.show(textType, *f.page.Load()+head+"pitwall_engine_state{state=\"ready\"} 0\npitwall_engine_state{state=\"stalled\"} 1\npitwall_other 5\n")
		r := scraper(t, f.URL, Access{}).Read(context.Background())
		if v := value(t, r, `{__name__="pitwall_engine_state", state="ready"}`); v != 1 {
			t.Errorf("%s: ready is %v", what, v)
		}
		if v := value(t, r, "pitwall_other"); v != 5 {
			t.Errorf("%s: what is not ours is %v", what, v)
		}
		seen := map[string]int{}
		for _, s := range r.Samples {
			if seen[s.Labels.String()]++; seen[s.Labels.String()] == 2 {
				t.Errorf("%s: %s is there twice", what, s.Labels)
			}
		}
	}
}
