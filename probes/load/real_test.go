package load_test

import (
	"os"
	"testing"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// The real servers are where the environment says: PITWALL_REAL_VLLM and PITWALL_REAL_LLAMACPP, each a URL. .ci starts them.
func real(t *testing.T, variable string) string {
	t.Helper()
	url := os.Getenv(variable)
	if url == "" {
		t.Skipf("NOT TESTED: %s names no real server", variable)
	}
	return url
}

func TestARealVLLMGivesExactCounts(t *testing.T) {
	exactOn(t, real(t, "PITWALL_REAL_VLLM"), request.ByUsage)
}

func TestARealLlamaCppGivesExactCounts(t *testing.T) {
	exactOn(t, real(t, "PITWALL_REAL_LLAMACPP"), request.ByUsage)
}

func exactOn(t *testing.T, url string, counting request.Counting) {
	s := examine(t, url)
	for _, l := range s.Lacks {
		t.Logf("it lacks %s: %s", l.What, l.Instead)
	}
	for name, change := range map[string]func(*shape.Point){
		"chat":        func(p *shape.Point) { p.API = shape.Chat },
		"completions": func(p *shape.Point) { p.API = shape.Completions },
		"unstreamed":  func(p *shape.Point) { p.Unstreamed = true },
		"text kept":   func(p *shape.Point) { p.KeepText = true },
		"open loop":   func(p *shape.Point) { p.Arrival = shape.Arrival{Kind: shape.Poisson, Rate: 4} },
		"turns":       func(p *shape.Point) { p.Prompt.Turns = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, s)
			p := closedLoop(2, 80, 10)
			p.Stop.Requests, p.StallWithin = 6, 30*time.Second
			change(&p)
			r.set(t, p, 1)
			r.wait(t)
			tally := r.whole(t, 1)
			if tally.Class[request.OK] != 6 || tally.Output != 60 {
				t.Errorf("%s %q, %d tokens out", named(tally), tally.First, tally.Output)
			}
			for _, rec := range r.of(1) {
				if rec.InputTokens != rec.AskedInput && rec.Turn == 0 {
					t.Errorf("a prompt of %d tokens was made, and the server counted %d", rec.AskedInput, rec.InputTokens)
				}
				if rec.Streamed && (rec.Counting != counting && !p.KeepText || !rec.Stamped) {
					t.Errorf("counting %v, stamped %v", rec.Counting, rec.Stamped)
				}
				if p.KeepText && rec.Text == "" {
					t.Error("no text was kept")
				}
				if rec.CachedTokens > 16 && p.Prompt.Turns == 0 {
					t.Errorf("a cold prompt hit the cache: %d tokens", rec.CachedTokens)
				}
			}
		})
	}
}
