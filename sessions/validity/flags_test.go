package validity

import (
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/sessions/score"
)

func TestEachFlagHasItsEvidenceAndIsNotRaisedWithoutIt(t *testing.T) {
	clean := func() []request.Record { return loop(1, 10.3, 60) }
	constant := func(name string, v float64) func(float64, map[string]float64) {
		return func(_ float64, m map[string]float64) { m[name] = v }
	}
	cases := []struct {
		what, kind string
		point      func(*shape.Point)
		records    func([]request.Record)
		page       func(now float64, m map[string]float64)
		host       func(now float64) map[string]float64
		event      *probes.Event
		run        func(*sessions.Run)
		opt        func(*Options)
		invalid    bool
		evidence   string
	}{
		{what: "cached tokens though cold was asked", kind: "warm-cache", point: func(p *shape.Point) { p.Cache = shape.Cold },
			records: func(rs []request.Record) {
				for i := range rs {
					rs[i].CachedTokens = 90
				}
			}, invalid: true, evidence: "the server counted"},
		{what: "cached tokens of an unshared prompt, warm", kind: "warm-cache", records: func(rs []request.Record) {
			for i := range rs {
				rs[i].CachedTokens = 90
			}
		}, evidence: "prompt tokens were cached"},
		{what: "hits that only the server tells", kind: "warm-cache", point: func(p *shape.Point) { p.Cache = shape.Cold },
			records: func(rs []request.Record) {
				for i := range rs {
					rs[i].CachedTokens = request.Unknown
				}
			},
			page:    func(now float64, m map[string]float64) { m["vllm:prompt_tokens_cached_total"] = 50 * now },
			invalid: true, evidence: "don't tell"},
		{what: "late sends", kind: "client-bound", records: func(rs []request.Record) {
			for i := range rs {
				rs[i].Scheduled -= request.Time(30 * time.Millisecond)
			}
		}, evidence: "send lag p99 30 ms, bound 10 ms"},
		{what: "late reads without stamps", kind: "client-bound", records: func(rs []request.Record) {
			for i := range rs {
				rs[i].Stamped, rs[i].LateMean = false, 200*time.Millisecond
			}
		}, evidence: "no stamp of the kernel"},
		{what: "a client that said so itself", kind: "client-bound", opt: func(o *Options) { o.Bound = "client-bound: lag" }, evidence: "client-bound: lag"},
		{what: "a load that nobody calibrated", kind: "beyond-certificate", opt: func(o *Options) { o.Beyond = "512 streams, certified for 256" }, evidence: "512 streams"},
		{what: "a load that never stood", kind: "not-steady", point: func(p *shape.Point) { p.Arrival.Clients = 7 }, invalid: true, evidence: "never were 7"},
		{what: "a hundred requests", kind: "too-few", evidence: "p99"},
		{what: "a GPU that is too hot", kind: "gpu-throttled", host: func(now float64) map[string]float64 {
			v := 0.0
			if now > 30 && now < 50 {
				v = 1
			}
			return map[string]float64{`pitwall_gpu_clocks_event_reason{gpu="0",reason="hw_thermal"}`: v, `pitwall_gpu_clocks_event_reason{gpu="0",reason="power_cap"}`: 1}
		}, invalid: true, evidence: "GPU 0 hw_thermal in 3"},
		{what: "a clock that moves", kind: "clocks-moved", host: func(now float64) map[string]float64 {
			return map[string]float64{`DCGM_FI_DEV_SM_CLOCK{gpu="1"}`: 1980 - 300*math.Floor(now/30)}
		}, evidence: "GPU 1's clock moved by"},
		{what: "an engine that died", kind: "restarted", event: &probes.Event{Kind: probes.KindEngineState, Subject: "engine/127.0.0.1:8000",
			Severity: probes.Critical, Title: "no answer", Attrs: map[string]string{"state": "no_answer"}}, invalid: true, evidence: "no answer"},
		{what: "preemptions", kind: "preempting", page: func(now float64, m map[string]float64) {
			if now > 40 {
				m["vllm:num_preemptions_total"] += 4
			}
		}, evidence: "4 preemptions"},
		{what: "short answers", kind: "short-output", records: func(rs []request.Record) {
			for i := range rs[:20] {
				rs[i].OutputTokens, rs[i].Class = 13, request.WrongLength
			}
		}, invalid: true, evidence: "20 of"},
		{what: "due requests that met the cap", kind: "dropped", run: func(r *sessions.Run) { r.Dropped = 5 }, invalid: true, evidence: "5 of"},
		{what: "a page that does not answer", kind: "scrape-gaps", page: func(now float64, m map[string]float64) {
			if now > 20 && now < 40 {
				clear(m)
			}
		}, evidence: "readings of the engine's page"},
		{what: "a host that swaps", kind: "swapping", host: func(now float64) map[string]float64 {
			return map[string]float64{"node_vmstat_pswpin": 1000 * now, "node_vmstat_pswpout": 0}
		}, evidence: "pages in"},
		{what: "a cgroup at its limit", kind: "cgroup-throttled", host: func(now float64) map[string]float64 {
			return map[string]float64{`pitwall_cgroup_cpu_throttled_periods_total{of="engine",path="/x"}`: 3 * now, `pitwall_cgroup_cpu_periods_total{of="engine",path="/x"}`: 10 * now}
		}, evidence: "engine (/x) reached its CPU limit in 30 %"},
		{what: "guessed tokens", kind: "guessed-tokens", records: func(rs []request.Record) {
			for i := range rs {
				rs[i].Counting = request.Guessed
			}
		}, evidence: "in 100 %"},
		{what: "a simulation", kind: "simulated", page: constant("pitwall_simulated", 1), evidence: "pitwall_simulated"},
	}
	judged := func(t *testing.T, c int) []score.Flag {
		records, p := clean(), alone
		var spoil func(now float64, m map[string]float64)
		host := func(float64) map[string]float64 {
			return map[string]float64{"node_vmstat_pswpin": 5, `DCGM_FI_DEV_SM_CLOCK{gpu="0"}`: 1980, `pitwall_gpu_clocks_event_reason{gpu="0",reason="power_cap"}`: 1,
				`pitwall_gpu_clocks_event_reason{gpu="0",reason="hw_thermal"}`: 0}
		}
		var event *probes.Event
		if c >= 0 {
			if cases[c].records != nil {
				cases[c].records(records)
			}
			if cases[c].point != nil {
				cases[c].point(&p)
			}
			spoil, event = cases[c].page, cases[c].event
			if cases[c].host != nil {
				host = cases[c].host
			}
		}
		s := server(records, func(now float64, m map[string]float64) {
			if spoil != nil {
				spoil(now, m)
			}
		})
		inner := s.of
		s.of = func(now float64) map[string]float64 {
			if m := inner(now); len(m) > 0 {
				return maps.Clone(m)
			}
			return nil
		}
		if event != nil {
			s.events = map[float64]probes.Event{33: *event}
		}
		rec := recorded(t, 70, s, &page{job: "node", instance: "h", every: time.Second, of: host})
		run := runOf(1, 10.3, 60, records, p)
		if c >= 0 && cases[c].run != nil {
			cases[c].run(&run)
		}
		opt := options(t)
		if c >= 0 && cases[c].opt != nil {
			cases[c].opt(&opt)
		}
		flags, _, err := Judge(t.Context(), rec, run, records, opt)
		if err != nil {
			t.Fatal(err)
		}
		return flags
	}
	unspoiled := judged(t, -1)
	for i, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			flags := judged(t, i)
			f := flagOf(flags, c.kind)
			if f == nil {
				t.Fatalf("no flag %s: %v", c.kind, flags)
			}
			if f.Invalid != c.invalid || !strings.Contains(f.Evidence, c.evidence) || f.Title == "" || f.Do == "" {
				t.Errorf("%+v: want invalid %v, evidence %q", *f, c.invalid, c.evidence)
			}
			if c.kind != "too-few" && flagOf(unspoiled, c.kind) != nil {
				t.Errorf("a clean run has it too: %v", unspoiled)
			}
			for i := 1; i < len(flags); i++ {
				if flags[i].Invalid && !flags[i-1].Invalid {
					t.Error("what makes the numbers unusable does not come first")
				}
			}
		})
	}
}

// A page that has become slow is due more seldom, so its share of good readings stays high.
func TestALongTimeWithoutAReadingIsAGapHoweverFewWereDue(t *testing.T) {
	records := loop(1, 10.3, 60)
	for _, c := range []struct {
		what string
		slow func(now float64) (every time.Duration, fails bool)
		want string
	}{
		{"every second", func(float64) (time.Duration, bool) { return time.Second, false }, ""},
		{"every five seconds", func(float64) (time.Duration, bool) { return 5 * time.Second, false }, ""},
		{"first every second, then every five", func(now float64) (time.Duration, bool) {
			if now < 30 {
				return time.Second, false
			}
			return 5 * time.Second, false
		}, ""},
		{"then every five, and one of them fails", func(now float64) (time.Duration, bool) {
			if now < 30 {
				return time.Second, false
			}
			return 5 * time.Second, now > 38 && now < 42
		}, "the engine's page was not read from 12:00:"},
	} {
		s := server(records, nil)
		inner := s.of
		fails := false
		s.of = func(now float64) map[string]float64 {
			if fails {
				return nil
			}
			return inner(now)
		}
		rec := recordedBy(t, 70, func(now float64) { s.every, fails = c.slow(now) }, s)
		flags, _, err := Judge(t.Context(), rec, runOf(1, 10.3, 60, records, alone), records, options(t))
		if err != nil {
			t.Fatal(err)
		}
		switch f := flagOf(flags, "scrape-gaps"); {
		case c.want == "" && f != nil:
			t.Errorf("%s: %s", c.what, f.Evidence)
		case c.want != "" && (f == nil || !strings.HasPrefix(f.Evidence, c.want)):
			t.Errorf("%s: %v, want %s", c.what, f, c.want)
		}
	}
}
