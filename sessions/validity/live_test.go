package validity

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine"
	"pitwall/probes/engine/dialect"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/probes/sim"
	"pitwall/sessions"
	"pitwall/sessions/score"
)

// ask sends one request by a client that does no more than this test needs: it stamps after each read.
func ask(base, model string, run, seq uint32, input, output int) request.Record {
	r := request.Record{Run: run, Seq: seq, Streamed: true, Counting: request.ByIDs, Asked: int32(output), AskedInput: int32(input),
		InputTokens: request.Unknown, CachedTokens: request.Unknown, OutputTokens: request.Unknown,
		Queue: request.Unknown, Prefill: request.Unknown, Decode: request.Unknown}
	ids := make([]int, input)
	for i := range ids {
		ids[i] = 100 + int(run)*1000 + (int(seq)*31+i*7)%900
	}
	body, err := json.Marshal(map[string]any{"model": model, "prompt": ids, "max_tokens": output, "ignore_eos": true, "temperature": 0,
		"stream": true, "return_token_ids": true, "stream_options": map[string]any{"include_usage": true}})
	if err != nil {
		panic(err)
	}
	now := func() request.Time { return request.Time(time.Now().UnixNano()) }
	r.Scheduled = now()
	r.Sent = r.Scheduled
	failed := func(c request.Class, err error) request.Record {
		r.Class, r.Message, r.End = c, err.Error(), now()
		return r
	}
	resp, err := http.Post(base+"/v1/completions", "application/json", bytes.NewReader(body))
	if err != nil {
		return failed(request.Refused, err)
	}
	defer resp.Body.Close()
	r.Status = uint16(resp.StatusCode)
	if resp.StatusCode != http.StatusOK {
		return failed(request.Status, fmt.Errorf("%s", resp.Status))
	}
	last := r.Sent
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			r.End = now()
			break
		}
		var chunk struct {
			Choices []struct {
				TokenIDs     []int  `json:"token_ids"`
				FinishReason string `json:"finish_reason"`
			}
			Usage *struct {
				PromptTokens        int32 `json:"prompt_tokens"`
				CompletionTokens    int32 `json:"completion_tokens"`
				PromptTokensDetails *struct {
					CachedTokens int32 `json:"cached_tokens"`
				} `json:"prompt_tokens_details"`
			}
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return failed(request.Malformed, err)
		}
		if u := chunk.Usage; u != nil {
			r.InputTokens, r.OutputTokens = u.PromptTokens, u.CompletionTokens
			if u.PromptTokensDetails != nil {
				r.CachedTokens = u.PromptTokensDetails.CachedTokens
			}
		}
		for _, c := range chunk.Choices {
			if c.FinishReason != "" {
				r.Finish = c.FinishReason
			}
			if len(c.TokenIDs) == 0 {
				continue
			}
			t := now()
			r.Chunks = append(r.Chunks, request.Chunk{Gap: t.Sub(last), Tokens: uint16(len(c.TokenIDs))})
			if r.FirstToken == 0 {
				r.FirstToken = t
			}
			r.LastToken, last = t, t
		}
	}
	if r.End == 0 {
		return failed(request.Cut, fmt.Errorf("no end mark"))
	}
	return r
}

// point is one shape of the test's load.
type point struct{ clients, input, output int }

// driven is a load that changes without a pause, over a recorder that ticks in real time.
type driven struct {
	rec     *sessions.Recorder
	records []request.Record
	runs    []sessions.Run
	ticks   chan struct{}
}

// drive runs the points for some ticks each, then waits until the page was read after the last request.
func drive(t *testing.T, base, model string, opt Options, d *dialect.Dialect, points []point, each int, stranger func()) *driven {
	t.Helper()
	scraper, err := engine.NewScraper(base, d, engine.Access{})
	if err != nil {
		t.Fatal(err)
	}
	out := &driven{ticks: make(chan struct{}, 1)}
	out.rec, err = sessions.NewRecorder(sessions.Options{Host: "h", Sources: func() []probes.Source { return []probes.Source{scraper} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var clock sync.WaitGroup
	clock.Go(func() {
		for tick := time.NewTicker(sessions.Tick); ; {
			if err := out.rec.Tick(ctx, time.Now()); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			select {
			case out.ticks <- struct{}{}:
			default:
			}
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	})
	t.Cleanup(func() { stop(); clock.Wait(); out.rec.Close() })
	wait := func(n int) {
		for range n {
			select {
			case <-out.ticks:
			case <-time.After(20 * time.Second):
				t.Fatal("no tick")
			}
		}
	}
	wait(2)
	var mu sync.Mutex
	var current atomic.Uint32
	begins := make([]time.Time, len(points)+1)
	ended := make([]time.Time, len(points)+1)
	var all sync.WaitGroup
	for i, p := range points {
		id := uint32(i + 1)
		begins[i] = time.Now()
		current.Store(id)
		var seq atomic.Uint32
		for range p.clients {
			all.Go(func() {
				for current.Load() == id {
					r := ask(base, model, id, seq.Add(1), p.input, p.output)
					mu.Lock()
					out.records = append(out.records, r)
					mu.Unlock()
				}
			})
		}
		if stranger != nil && i == len(points)-1 {
			stranger()
		}
		wait(each)
	}
	begins[len(points)] = time.Now()
	current.Store(0)
	all.Wait()
	for i := range points {
		for _, r := range out.records {
			if at := r.End.At(); r.Run == uint32(i+1) && at.After(ended[i]) {
				ended[i] = at
			}
		}
	}
	for i, p := range points {
		run := sessions.Run{ID: uint32(i + 1), Began: begins[i], Settled: begins[i], Cut: begins[i+1], Ended: ended[i],
			Point: shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: p.clients}}}
		if i > 0 {
			run.Settled = ended[i-1]
		}
		s := score.Of(score.Input{Records: out.records, Run: run.ID, Whole: score.Window{From: request.Time(run.Settled.UnixNano()), To: request.Time(run.Cut.UnixNano())}, Point: run.Point})
		run.Score = &s
		out.runs = append(out.runs, run)
	}
	last := out.runs[len(out.runs)-1]
	for i := 0; !Ready(t.Context(), out.rec, last, opt); i++ {
		if i > 30 {
			t.Fatal("the page is not read")
		}
		wait(1)
	}
	return out
}

// judgeAll judges every run and gives the tables.
func (d *driven) judgeAll(t *testing.T, opt Options) (flags [][]score.Flag, tables []Table) {
	t.Helper()
	for i, run := range d.runs {
		opt.Next = time.Time{}
		if i+1 < len(d.runs) {
			opt.Next = d.runs[i+1].Began
		}
		f, table, err := Judge(t.Context(), d.rec, run, d.records, opt)
		if err != nil {
			t.Fatal(err)
		}
		flags, tables = append(flags, f), append(tables, table)
		t.Logf("run %d: %s", run.ID, run.Score.SteadyWhy)
		for _, r := range table.Rows {
			t.Logf("run %d: %-14s ours %10.4g crossing %6.4g server %10.4g difference %8.4g %-9s %s", run.ID, r.Key, r.Ours, r.Crossing, r.Server, r.Difference, r.Verdict, r.Why)
		}
		for _, flag := range f {
			t.Logf("run %d: %s: %s: %s", run.ID, flag.Kind, flag.Title, flag.Evidence)
		}
	}
	return flags, tables
}

// exact checks that the sum over all runs is what was sent, on both sides.
func (d *driven) exact(t *testing.T, tables []Table) {
	t.Helper()
	sum := Sum(tables)
	requests, input, output := 0.0, 0.0, 0.0
	for _, r := range d.records {
		if r.Class != request.OK {
			t.Fatalf("%s: %s", r.Class, r.Message)
		}
		requests++
		input += float64(r.InputTokens)
		output += float64(r.OutputTokens)
	}
	for key, want := range map[string]float64{"requests": requests, "prompt_tokens": input, "output_tokens": output} {
		if r := rowOf(t, sum, key); r.Verdict != Exact || r.Ours != want || r.Server != want {
			t.Errorf("sum of %s: ours %v, the server's %v, want %v: %s", key, r.Ours, r.Server, want, r.Why)
		}
	}
}

func scopeOf(t *testing.T, base string) (Options, *dialect.Dialect) {
	t.Helper()
	opt := options(t)
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	opt.Scope.Sel = fmt.Sprintf("job=%q,instance=%q", "vllm", u.Host)
	return opt, opt.Scope.Dialect
}

func TestALoadThatIsTurnedUpAndDownReconcilesWithTheSimulatedEngine(t *testing.T) {
	t.Parallel()
	server, err := sim.Start(t.Context(), sim.Options{Quiet: true, TokenDetails: true})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	opt, d := scopeOf(t, server.URL())
	load := drive(t, server.URL(), "meta-llama/Meta-Llama-3-8B-Instruct", opt, d, []point{{2, 100, 30}, {6, 300, 50}, {1, 64, 20}}, 2, nil)
	flags, tables := load.judgeAll(t, opt)
	load.exact(t, tables)
	for i, f := range flags {
		if flagOf(f, "foreign-traffic") != nil || flagOf(f, "restarted") != nil {
			t.Errorf("run %d: %v", i+1, f)
		}
		if flagOf(f, "simulated") == nil {
			t.Errorf("run %d was simulated and doesn't say so", i+1)
		}
	}
}

func TestAStrangersRequestsAreTold(t *testing.T) {
	t.Parallel()
	server, err := sim.Start(t.Context(), sim.Options{Quiet: true, TokenDetails: true})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	opt, d := scopeOf(t, server.URL())
	const model = "meta-llama/Meta-Llama-3-8B-Instruct"
	load := drive(t, server.URL(), model, opt, d, []point{{2, 100, 30}}, 3, func() {
		for i := range 3 {
			if r := ask(server.URL(), model, 7, uint32(i), 50, 10); r.Class != request.OK {
				t.Error(r.Message)
			}
		}
	})
	flags, tables := load.judgeAll(t, opt)
	if r := rowOf(t, tables[0], "requests"); r.Verdict != More || r.Difference != 3 {
		t.Errorf("three requests of a stranger: %+v", r)
	}
	if flagOf(flags[0], "foreign-traffic") == nil {
		t.Errorf("a stranger's three requests raise no flag: %v", flags[0])
	}
}

// The same on a real vLLM that nobody else uses, at the address that PITWALL_REAL_VLLM gives.
func TestALoadReconcilesWithARealEngine(t *testing.T) {
	base := strings.TrimRight(os.Getenv("PITWALL_REAL_VLLM"), "/")
	if base == "" {
		t.Skip("NOT RUN: PITWALL_REAL_VLLM is not set to the address of a real vLLM")
	}
	resp, err := http.Get(base + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var models struct{ Data []struct{ ID string } }
	if err := json.NewDecoder(resp.Body).Decode(&models); err != nil || len(models.Data) == 0 {
		t.Fatalf("models of %s: %v", base, err)
	}
	opt, d := scopeOf(t, base)
	load := drive(t, base, models.Data[0].ID, opt, d, []point{{1, 40, 8}, {3, 60, 10}}, 8, nil)
	_, tables := load.judgeAll(t, opt)
	load.exact(t, tables)
}
