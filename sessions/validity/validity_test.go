package validity

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/sessions/score"
)

var began = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }

func stamp(seconds float64) request.Time { return request.Time(at(seconds).UnixNano()) }

// page is a source whose samples are a function of the tick, in seconds. Names carry their labels: `a{b="c"}`.
type page struct {
	job, instance string
	every         time.Duration
	now           float64
	of            func(t float64) map[string]float64
	events        map[float64]probes.Event
}

func (p *page) Target() (string, string) { return p.job, p.instance }
func (p *page) Every() time.Duration     { return p.every }

func (p *page) Read(context.Context) probes.Reading {
	var out probes.Reading
	values := p.of(p.now)
	if values == nil {
		return probes.Reading{Err: fmt.Errorf("refused")}
	}
	for name, v := range values {
		metric, rest, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
		pairs := []string{model.MetricNameLabel, metric}
		for _, kv := range strings.Split(rest, ",") {
			if k, v, ok := strings.Cut(kv, "="); ok {
				pairs = append(pairs, k, strings.Trim(v, `"`))
			}
		}
		out.Samples = append(out.Samples, probes.Sample{Labels: labels.FromStrings(pairs...), Value: v})
	}
	if e, ok := p.events[p.now]; ok {
		out.Events = []probes.Event{e}
	}
	return out
}

// recorded is a session of so many seconds.
func recorded(t *testing.T, seconds int, pages ...*page) *sessions.Recorder {
	t.Helper()
	return recordedBy(t, seconds, func(float64) {}, pages...)
}

// recordedBy is one in which something happens before each tick.
func recordedBy(t *testing.T, seconds int, before func(now float64), pages ...*page) *sessions.Recorder {
	t.Helper()
	rec, err := sessions.NewRecorder(sessions.Options{Host: "h", Sources: func() []probes.Source {
		var out []probes.Source
		for _, p := range pages {
			out = append(out, p)
		}
		return out
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rec.Close() })
	for i := range seconds + 1 {
		for _, p := range pages {
			p.now = float64(i)
		}
		before(float64(i))
		if err := rec.Tick(t.Context(), at(float64(i))); err != nil {
			t.Fatal(err)
		}
	}
	return rec
}

func vllm(of func(t float64) map[string]float64) *page {
	return &page{job: "vllm", instance: "127.0.0.1:8000", every: time.Second, of: of}
}

func options(t *testing.T) Options {
	t.Helper()
	d, ok := dialect.Named("vllm")
	if !ok {
		t.Fatal("no dialect vllm")
	}
	return Options{Scope: sessions.Scope{Dialect: d, Sel: `job="vllm",instance="127.0.0.1:8000"`}, Loopback: true}
}

// one is a request that went well: 100 tokens in, 20 out.
func one(run uint32, sent, end float64) request.Record {
	return request.Record{Run: run, Scheduled: stamp(sent), Sent: stamp(sent), FirstToken: stamp(sent + 0.1), LastToken: stamp(end - 0.001), End: stamp(end),
		Streamed: true, Stamped: true, Counting: request.ByIDs, Chunks: []request.Chunk{{Gap: 100 * time.Millisecond, Tokens: 1}, {Gap: time.Duration((end - sent - 0.101) * 1e9), Tokens: 19}},
		InputTokens: 100, CachedTokens: 0, OutputTokens: 20, Asked: 20, AskedInput: 100, Finish: "length", Status: 200,
		Queue: request.Unknown, Prefill: request.Unknown, Decode: request.Unknown}
}

// server is the page of a server that serves records and nothing else, as vLLM counts: prompt and first token at the first
// token, output evenly until the last, the request at its end. more is added.
func server(records []request.Record, more func(t float64, page map[string]float64)) *page {
	return vllm(func(t float64) map[string]float64 {
		m := map[string]float64{"process_start_time_seconds": 1000, "vllm:num_preemptions_total": 3}
		var requests, prompt, output, cached, ttft, ttfts float64
		for _, r := range records {
			if r.FirstToken == 0 {
				continue
			}
			first, last := r.FirstToken.At().Sub(began).Seconds(), r.LastToken.At().Sub(began).Seconds()
			if t >= first {
				prompt += float64(r.InputTokens)
				cached += float64(r.CachedTokens)
				ttfts += first - r.Sent.At().Sub(began).Seconds()
				ttft++
				output++
			}
			if t > first {
				output += math.Floor(float64(r.OutputTokens-1) * min(1, (t-first)/(last-first)))
			}
			if t >= last && r.Finish != "" {
				requests++
			}
		}
		m[`vllm:request_success_total{finished_reason="length"}`] = requests + 1000
		m["vllm:prompt_tokens_total"] = prompt + 5000
		m["vllm:prompt_tokens_cached_total"] = cached
		m["vllm:generation_tokens_total"] = output + 7000
		m["vllm:time_to_first_token_seconds_count"], m["vllm:time_to_first_token_seconds_sum"] = ttft, ttfts
		if more != nil {
			more(t, m)
		}
		return m
	})
}

// loop is a closed loop of one client of half a second a request.
func loop(run uint32, from, to float64) []request.Record {
	var out []request.Record
	for t := from; t+0.45 <= to; t += 0.5 {
		r := one(run, t, t+0.45)
		r.Seq = uint32(len(out))
		out = append(out, r)
	}
	return out
}

func runOf(id uint32, from, to float64, records []request.Record, p shape.Point) sessions.Run {
	ended := to
	for _, r := range records {
		if r.Run == id {
			ended = max(ended, r.End.At().Sub(began).Seconds())
		}
	}
	s := score.Of(score.Input{Records: records, Run: id, Whole: score.Window{From: stamp(from), To: stamp(to)}, Point: p})
	return sessions.Run{ID: id, Began: at(from), Settled: at(from), Cut: at(to), Ended: at(ended), Point: p, Score: &s}
}

var alone = shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: 1}}

func rowOf(t *testing.T, table Table, key string) Row {
	t.Helper()
	for _, r := range table.Rows {
		if r.Key == key {
			return r
		}
	}
	t.Fatalf("no row %s", key)
	return Row{}
}

func flagOf(flags []score.Flag, kind string) *score.Flag {
	for i := range flags {
		if flags[i].Kind == kind {
			return &flags[i]
		}
	}
	return nil
}

func TestARunFromRestToRestIsExact(t *testing.T) {
	records := loop(1, 10.3, 30)
	rec := recorded(t, 40, server(records, nil))
	run := runOf(1, 10.3, 30, records, alone)
	if !Ready(t.Context(), rec, run, options(t)) {
		t.Error("the page was read since, and it is not ready")
	}
	flags, table, err := Judge(t.Context(), rec, run, records, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if !table.From.Equal(at(10)) || !table.To.Equal(at(31)) || !table.RestFrom || !table.RestTo {
		t.Errorf("from %v to %v, at rest %v and %v: %s", table.From, table.To, table.RestFrom, table.RestTo, table.Why)
	}
	n := float64(len(records))
	for key, want := range map[string]float64{"requests": n, "prompt_tokens": 100 * n, "output_tokens": 20 * n, "cached_tokens": 0} {
		if r := rowOf(t, table, key); r.Verdict != Exact || r.Ours != want || r.Server != want || r.Crossing != 0 {
			t.Errorf("%s: %+v, want %v exactly", key, r, want)
		}
	}
	if r := rowOf(t, table, "ttft_mean"); math.Abs(r.Ours-0.1) > 1e-9 || math.Abs(r.Server-0.1) > 1e-6 {
		t.Errorf("mean TTFT: %+v", r)
	}
	if r := rowOf(t, table, "tpot_mean"); r.Verdict != Untold || !strings.Contains(r.Why, "not on the engine's page") {
		t.Errorf("TPOT without the server's histogram: %+v", r)
	}
	for _, f := range flags {
		if f.Kind != "too-few" {
			t.Errorf("a clean run has the flag %+v", f)
		}
	}
}

func TestConsecutiveRunsAddUpToTheRequestAndTheToken(t *testing.T) {
	// Three shapes, cut in mid-request, requests of the old one draining into the time of the new.
	var records []request.Record
	cuts := []float64{10.2, 14.6, 14.9, 20.1}
	for i, run := range []uint32{1, 2, 3} {
		for c := range 4 {
			for s := cuts[i] + float64(c)*0.07; s < cuts[i+1]; s += 0.83 {
				records = append(records, one(run, s, s+0.8+float64(c)*0.1))
			}
		}
	}
	rec := recorded(t, 40, server(records, nil))
	opt := options(t)
	var tables []Table
	for i, id := range []uint32{1, 2, 3} {
		run := runOf(id, cuts[i], cuts[i+1], records, alone)
		opt.Next = time.Time{}
		if id < 3 {
			opt.Next = at(cuts[i+1])
		}
		_, table, err := Judge(t.Context(), rec, run, records, opt)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range table.Rows {
			if r.Verdict == More || r.Verdict == Less {
				t.Errorf("run %d, %s: %s: %+v", id, r.Key, r.Why, r)
			}
		}
		if id < 3 && rowOf(t, table, "requests").Crossing == 0 {
			t.Errorf("run %d was cut in mid-request and nothing crosses", id)
		}
		tables = append(tables, table)
	}
	sum := Sum(tables)
	n := float64(len(records))
	for key, want := range map[string]float64{"requests": n, "prompt_tokens": 100 * n, "output_tokens": 20 * n} {
		if r := rowOf(t, sum, key); r.Verdict != Exact || r.Ours != want || r.Server != want {
			t.Errorf("%s: %+v, want %v on both sides", key, r, want)
		}
	}
	if r := rowOf(t, Sum(tables[:2]), "requests"); r.Verdict != Untold {
		t.Errorf("a sum that ends in mid-load claims %s", r.Verdict)
	}
	// A run that began before the reading at the end of the one before: the stretch they overlap in counts once.
	tables[0].To, tables[0].Rows[0].AtTo = tables[0].To.Add(time.Second), tables[0].Rows[0].AtTo+2
	tables[0].Rows[0].Server += 2
	if r := rowOf(t, Sum(tables), "requests"); r.Server != n {
		t.Errorf("with an overlap the server counted %v, want %v", r.Server, n)
	}
}

func TestARestBetweenTwoRunsBelongsToNeither(t *testing.T) {
	first, second := loop(1, 10.3, 15), loop(2, 25.3, 30)
	theirs := one(9, 20, 21)
	all := append(append([]request.Record{theirs}, first...), second...)
	rec := recorded(t, 40, server(all, nil))
	opt := options(t)
	opt.Next = at(25.3)
	_, a, err := Judge(t.Context(), rec, runOf(1, 10.3, 15, first, alone), first, opt)
	if err != nil {
		t.Fatal(err)
	}
	opt.Next = time.Time{}
	_, b, err := Judge(t.Context(), rec, runOf(2, 25.3, 30, second, alone), second, opt)
	if err != nil {
		t.Fatal(err)
	}
	if !a.To.Equal(at(16)) || !b.From.Equal(at(25)) {
		t.Errorf("the first until %v, the second from %v", a.To, b.From)
	}
	if r := rowOf(t, Sum([]Table{b, a}), "requests"); r.Verdict != Exact || r.Server != float64(len(first)+len(second)) {
		t.Errorf("what others did in the rest is in it: %+v", r)
	}
}

func TestOthersTrafficIsCountedExactly(t *testing.T) {
	records := loop(1, 10.3, 30)
	theirs := []request.Record{one(9, 12, 13), one(9, 15.5, 16), one(9, 20, 21)}
	rec := recorded(t, 40, server(append(theirs, records...), nil))
	flags, table, err := Judge(t.Context(), rec, runOf(1, 10.3, 30, records, alone), records, options(t))
	if err != nil {
		t.Fatal(err)
	}
	r := rowOf(t, table, "requests")
	if r.Verdict != More || r.Difference != 3 {
		t.Errorf("three requests of others: %+v", r)
	}
	f := flagOf(flags, "foreign-traffic")
	if f == nil || !f.Invalid || !strings.Contains(f.Evidence, "at least 3 ") {
		t.Errorf("flag %+v", f)
	}
	if strings.Contains(fmt.Sprint(flags), "warm-cache") {
		t.Errorf("nothing was cached: %v", flags)
	}
}

func TestWhatFailedMayHaveBeenCountedOrNot(t *testing.T) {
	records := loop(1, 10.3, 20)
	gone := one(1, 12, 14) // given up after its first tokens: the server counted its prompt, and some output
	gone.Class, gone.Finish, gone.OutputTokens, gone.InputTokens, gone.CachedTokens = request.Cancelled, "", request.Unknown, request.Unknown, request.Unknown
	refused := request.Record{Run: 1, Scheduled: stamp(13), End: stamp(13.1), Class: request.Refused, InputTokens: request.Unknown, OutputTokens: request.Unknown, CachedTokens: request.Unknown}
	ours := append(records, gone, refused)
	rec := recorded(t, 30, server(records, func(now float64, m map[string]float64) {
		if now >= 12.5 {
			m["vllm:prompt_tokens_total"] += 100
			m["vllm:generation_tokens_total"] += 7
		}
	}))
	_, table, err := Judge(t.Context(), rec, runOf(1, 10.3, 20, ours, alone), ours, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if r := rowOf(t, table, "prompt_tokens"); r.Verdict != Explained || r.Difference != 100 || r.Unsure != 100 {
		t.Errorf("prompt tokens: %+v", r)
	}
	if r := rowOf(t, table, "output_tokens"); r.Verdict != Explained || r.Difference != 7 || r.Unsure != 20 {
		t.Errorf("output tokens: %+v", r)
	}
	if r := rowOf(t, table, "requests"); r.Verdict != Exact || r.Unsure != 1 {
		t.Errorf("requests: %+v", r)
	}
}

func TestARestartIsSaidAndNothingIsComputed(t *testing.T) {
	records := loop(1, 10.3, 30)
	for what, more := range map[string]func(now float64, m map[string]float64){
		"counters that start again": func(now float64, m map[string]float64) {
			if now >= 20 {
				m["vllm:generation_tokens_total"] -= 7100
				delete(m, "process_start_time_seconds")
			}
		},
		"another process whose counters are higher already": func(now float64, m map[string]float64) {
			if now >= 20 {
				m["process_start_time_seconds"] = 2000
				m["vllm:generation_tokens_total"] += 1e6
			}
		},
	} {
		rec := recorded(t, 40, server(records, more))
		flags, table, err := Judge(t.Context(), rec, runOf(1, 10.3, 30, records, alone), records, options(t))
		if err != nil {
			t.Fatal(err)
		}
		if r := rowOf(t, table, "output_tokens"); r.Verdict != Untold || !math.IsNaN(r.Server) || r.Why == "" {
			t.Errorf("%s: %+v", what, r)
		}
		if f := flagOf(flags, "restarted"); f == nil || !f.Invalid {
			t.Errorf("%s: %v", what, flags)
		}
	}
}

func TestASeriesThatBeginsInTheRunCountsFromZero(t *testing.T) {
	records := loop(1, 10.3, 30)
	p := server(records, nil)
	inner := p.of
	p.of = func(now float64) map[string]float64 {
		m := inner(now)
		m[`vllm:request_success_total{finished_reason="length"}`] -= 1000
		if now < 11 {
			delete(m, `vllm:request_success_total{finished_reason="length"}`)
		}
		return m
	}
	_, table, err := Judge(t.Context(), recorded(t, 40, p), runOf(1, 10.3, 30, records, alone), records, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if r := rowOf(t, table, "requests"); r.Verdict != Exact {
		t.Errorf("requests: %+v", r)
	}
}

func TestWithoutAReadingAtTheEdgesThereIsNoDifference(t *testing.T) {
	records := loop(1, 10.3, 30)
	run := runOf(1, 10.3, 30, records, alone)
	for _, c := range []struct {
		what    string
		seconds int
		page    *page
		opt     func(*Options)
		want    string
	}{
		{"a session that ends with the run", 30, server(records, nil), nil, "not read since"},
		{"an engine that was not read before", 40, vllm(func(now float64) map[string]float64 {
			if now < 11 {
				return nil
			}
			return map[string]float64{"vllm:generation_tokens_total": 1}
		}), nil, "before the run began"},
		{"no dialect", 40, server(records, nil), func(o *Options) { o.Scope.Dialect = nil }, "no dialect"},
	} {
		opt := options(t)
		if c.opt != nil {
			c.opt(&opt)
		}
		rec := recorded(t, c.seconds, c.page)
		if c.seconds == 30 && Ready(t.Context(), rec, run, opt) {
			t.Errorf("%s: ready", c.what)
		}
		_, table, err := Judge(t.Context(), rec, run, records, opt)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		r := rowOf(t, table, "requests")
		if !strings.Contains(table.Why, c.want) || r.Verdict != Untold || !math.IsNaN(r.Difference) || r.Ours != float64(len(records)) {
			t.Errorf("%s: %q, %+v", c.what, table.Why, r)
		}
	}
}

func TestATableSurvivesJSON(t *testing.T) {
	records := loop(1, 10.3, 30)
	_, table, err := Judge(t.Context(), recorded(t, 40, server(records, nil)), runOf(1, 10.3, 30, records, alone), records, options(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	var back Table
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(table, back, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
	if !strings.Contains(string(b), `"server":null`) {
		t.Errorf("what the server doesn't tell is not null: %s", b)
	}
}
