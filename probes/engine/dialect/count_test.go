package dialect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitwall/probes/engine/dialect"
)

func TestACountIsAListOfCountersThatAddUp(t *testing.T) {
	for _, c := range []struct {
		what, engine, word, sel string
		want                    [][]string
	}{
		{"one counter", "vllm", dialect.CountOutput, `job="vllm"`, [][]string{{`vllm:generation_tokens_total{job="vllm"}`}}},
		{"a counter with a matcher of its own and no selector", "vllm", dialect.CountErrors, "", [][]string{{`vllm:request_success_total{finished_reason="error"}`}}},
		{"several versions' names, the newest first", "vllm", dialect.CountCached, "", [][]string{{"vllm:prompt_tokens_cached_total"}, {"vllm:prefix_cache_hits_total"}}},
		{"two counters that add up", "llamacpp", dialect.CountPrompt, `job="l"`, [][]string{
			{`llamacpp:prompt_tokens_total{job="l"}`, `llamacpp:prompt_tokens_cached_total{job="l"}`}, {`llamacpp:prompt_tokens_total{job="l"}`}}},
		{"what an engine does not count", "llamacpp", dialect.CountRequests, "", nil},
	} {
		got, err := named(t, c.engine).Count(c.word, c.sel)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.what, d)
		}
	}
	if _, err := named(t, "vllm").Count(dialect.CountOutput, `job="x"} or vector(1) #`); err == nil {
		t.Error("a selector that is none was put into a count")
	}
	for _, d := range dialect.All() {
		if has := d.Counts(); !d.Fallback && !slices.Contains(has, dialect.CountOutput) {
			t.Errorf("%s counts no output tokens: %v", d, has)
		}
	}
}

func TestAFaultyCountIsNamed(t *testing.T) {
	const names = "names:\n  - {name: 'engine:a', kind: gauge, unit: s, help: h, expr: 'x:a'}\n"
	for what, c := range map[string]struct{ counts, want string }{
		"an unknown word":        {"{wishes: 'x:a_total{$sel}'}", "counts[wishes]: unknown; the words are requests"},
		"a rate":                 {"{requests: 'rate(x:a_total{$sel}[1m])'}", "counts[requests]:"},
		"a sum":                  {"{requests: 'sum(x:a_total{$sel})'}", "a count is a counter, or several with +"},
		"a difference":           {"{requests: 'x:a_total{$sel} - x:b_total{$sel}'}", "a count is a counter, or several with +"},
		"a counter at an offset": {"{requests: 'x:a_total{$sel} offset 5m'}", "a counter is a name with matchers"},
		"no selector":            {"{requests: 'x:a_total'}", "$sel must stand last"},
		"nothing":                {"{requests: []}", "counts[requests]: missing"},
	} {
		_, err := dialect.Parse("x.yaml", []byte(head+"counts: "+c.counts+"\n"+names))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", what, err, c.want)
		}
	}
}
