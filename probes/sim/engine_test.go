package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"
)

// request makes a request whose blocks are named by an id: equal ids share all blocks.
func request(prompt, output int, id uint64) *Request {
	r := &Request{Prompt: prompt, Output: output}
	if id != 0 {
		r.Hash = func(i int) uint64 { return mix(id, uint64(i)) }
	}
	return r
}

func engine(t testing.TB, cfg Config) *Engine {
	t.Helper()
	e, err := NewEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func submit(t testing.TB, e *Engine, rs ...*Request) {
	t.Helper()
	for _, r := range rs {
		if err := e.Submit(r, e.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// drain steps until nothing is left, and checks the cache after each step.
func drain(t testing.TB, e *Engine) {
	t.Helper()
	for n := 0; ; n++ {
		if _, ok := e.Advance(); !ok {
			break
		}
		if err := e.pool.check(); err != nil {
			t.Fatalf("after step %d: %v", n, err)
		}
		if n > 1_000_000 {
			t.Fatal("requests do not end")
		}
	}
	if e.pool.free != e.pool.usable() {
		t.Errorf("%d blocks of %d are free when all is done", e.pool.free, e.pool.usable())
	}
}

func TestOneRequestMovesTheCountersAsOnARealServer(t *testing.T) {
	// 5 prompt tokens and 16 output tokens on a real 0.32.0: iteration_tokens count 16 and sum 21, 15 gaps between tokens.
	e := engine(t, Config{})
	r := request(5, 16, 0)
	submit(t, e, r)
	drain(t, e)
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"prompt tokens", e.tally.promptTokens, 5},
		{"generated tokens", e.tally.generated, 16},
		{"steps with tokens", e.tally.iteration.n, 16},
		{"tokens of steps", uint64(e.tally.iteration.sum), 21},
		{"gaps between tokens", e.tally.itl.n, 15},
		{"prefix cache queries", e.tally.prefixQueries, 5},
		{"prefix cache hits", e.tally.prefixHits, 0},
		{"first tokens", e.tally.ttft.n, 1},
		{"ends by length", e.tally.success[Length], 1},
		{"ends by stop", e.tally.success[Stop], 0},
		{"end-to-end times", e.tally.e2e.n, 1},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.what, c.got, c.want)
		}
	}
	x := r.Times()
	if got, want := e.tally.inference.sum, (x.Last - x.Scheduled).Seconds(); got != want {
		t.Errorf("inference time %g s, want %g s", got, want)
	}
}

func TestThePrefixCacheHitsWholeBlocksAndNeverTheLastToken(t *testing.T) {
	for _, c := range []struct {
		name           string
		prompt, cached int
	}{
		{"a prompt below one block never hits", 15, 0},
		{"a prompt of exactly one block must compute its last token, so all of its only block", 16, 0},
		{"one token more and the block hits", 17, 16},
		{"1005 tokens hit 62 blocks", 1005, 992},
		{"1008 tokens are 63 blocks, of which the last is computed again", 1008, 992},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := engine(t, Config{})
			first, second, other := request(c.prompt, 4, 7), request(c.prompt, 4, 7), request(c.prompt, 4, 8)
			for _, r := range []*Request{first, second, other} {
				submit(t, e, r)
				drain(t, e)
			}
			if first.Cached() != 0 || second.Cached() != c.cached || other.Cached() != 0 {
				t.Errorf("cached: first %d, again %d, other content %d; want 0, %d, 0",
					first.Cached(), second.Cached(), other.Cached(), c.cached)
			}
			if got := e.tally.prefixHits; got != uint64(c.cached) {
				t.Errorf("hits counted: %d, want %d", got, c.cached)
			}
			if got := e.tally.prefixQueries; got != uint64(3*c.prompt) {
				t.Errorf("queries counted: %d, want %d", got, 3*c.prompt)
			}
		})
	}
}

func TestALongPromptIsComputedInChunksBesideTheOthers(t *testing.T) {
	e := engine(t, Config{MaxNumBatchedTokens: 512})
	short := request(10, 50, 0)
	submit(t, e, short)
	e.Advance() // the short one's prompt
	long := request(2000, 1, 0)
	submit(t, e, long)
	for steps, before := 1, short.produced; ; steps++ {
		e.Advance()
		if short.produced != before+steps {
			t.Fatalf("step %d: the decoding request stood still", steps)
		}
		if long.produced == 1 {
			if steps != 4 { // 511 + 511 + 511 + 467
				t.Errorf("2000 tokens beside one decode took %d steps of 512, want 4", steps)
			}
			return
		}
	}
}

func TestRequestsStartInOrderAndOnlyWhenTheWholePromptFits(t *testing.T) {
	e := engine(t, Config{MaxModelLen: 1024, Blocks: 66}) // 65 usable blocks: 1040 tokens
	running, big, small := request(800, 100, 0), request(600, 10, 0), request(10, 10, 0)
	submit(t, e, running, big, small)
	e.Advance()
	if e.tally.running != 1 || e.tally.waiting != 2 {
		t.Fatalf("running %d, waiting %d: want the small one to wait behind the big one", e.tally.running, e.tally.waiting)
	}
	drain(t, e)
	if big.Times().Scheduled < running.Times().Last || small.Times().Scheduled < big.Times().Scheduled {
		t.Error("somebody jumped the queue")
	}
}

func TestThoseThatNoBlockIsFreeForArePreemptedAndFinishLater(t *testing.T) {
	e := engine(t, Config{MaxModelLen: 1024, Blocks: 66})
	var all []*Request
	for range 4 {
		all = append(all, request(200, 400, 0))
	}
	submit(t, e, all...)
	drain(t, e)
	if e.tally.preemptions == 0 {
		t.Fatal("4 × 600 tokens in 1040 went without preemption")
	}
	if all[0].preemptions != 0 {
		t.Error("the oldest was preempted")
	}
	if got := e.tally.perPreemptions.sum; got != float64(e.tally.preemptions) {
		t.Errorf("preemptions by request %g, in all %d", got, e.tally.preemptions)
	}
	// Computing again is in no counter of tokens.
	if e.tally.promptTokens != 800 || e.tally.generated != 1600 || e.tally.prefixQueries != 800 {
		t.Errorf("prompt %d, generated %d, queries %d: want 800, 1600, 800",
			e.tally.promptTokens, e.tally.generated, e.tally.prefixQueries)
	}
}

func TestGaugesStandStillDuringAStep(t *testing.T) {
	e := engine(t, Config{})
	submit(t, e, request(5000, 3, 0))
	e.Begin()
	if e.tally.running != 0 {
		t.Error("the gauges moved before the step's end")
	}
	submit(t, e, request(10, 3, 0))
	e.End()
	if e.tally.running != 1 || e.tally.waiting != 0 {
		t.Errorf("running %d, waiting %d: what arrived during the step is not seen yet", e.tally.running, e.tally.waiting)
	}
	e.Begin()
	e.End()
	if e.tally.running+e.tally.waiting != 2 {
		t.Error("the second request was not seen at the next step")
	}
}

func TestAnAbortedRequestIsInNoHistogramOfFinishedOnes(t *testing.T) {
	e := engine(t, Config{})
	r := request(100, 1000, 0)
	submit(t, e, r)
	for range 5 {
		e.Advance()
	}
	e.Abort(r)
	drain(t, e)
	if e.tally.running != 0 || e.tally.success != [finishReasons]uint64{} || e.tally.e2e.n != 0 {
		t.Errorf("running %d, successes %v, e2e %d: want none", e.tally.running, e.tally.success, e.tally.e2e.n)
	}
	if e.tally.ttft.n != 1 || e.tally.promptTokens != 100 || e.tally.generated != 5 {
		t.Errorf("ttft %d, prompt %d, generated %d: want 1, 100, 5", e.tally.ttft.n, e.tally.promptTokens, e.tally.generated)
	}
}

func TestWhatCannotFitIsRefused(t *testing.T) {
	if _, err := NewEngine(Config{MaxModelLen: 8192, Blocks: 512}); err == nil {
		t.Error("512 blocks, one of them reserved, cannot hold 8192 tokens")
	}
	if _, err := NewEngine(Config{MaxModelLen: 8192, Blocks: 513}); err != nil {
		t.Error(err)
	}
	e := engine(t, Config{})
	for _, r := range []*Request{request(0, 1, 0), request(1, 0, 0), request(8192, 1, 0)} {
		if e.Submit(r, 0) == nil {
			t.Errorf("%d + %d tokens were accepted", r.Prompt, r.Output)
		}
	}
}

// load runs random requests through a small engine and checks that everything adds up.
func load(t testing.TB, seed uint64, n int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	cfg := Config{
		MaxModelLen: 64 + rng.IntN(1000), MaxNumSeqs: 1 + rng.IntN(20), MaxNumBatchedTokens: 1 + rng.IntN(600),
	}
	cfg.Blocks = blocksFor(cfg.MaxModelLen, DefaultBlockSize) + 1 + rng.IntN(60)
	e := engine(t, cfg)
	var prompts, outputs, stops, started uint64
	var all []*Request
	for len(all) < n {
		for range rng.IntN(4) {
			p := 1 + rng.IntN(cfg.MaxModelLen-1)
			r := request(p, 1+rng.IntN(cfg.MaxModelLen-p), uint64(rng.IntN(5)))
			r.Reason = FinishReason(rng.IntN(2))
			if rng.IntN(6) == 0 {
				r.HangUp = 1 + rng.IntN(r.Output)
			}
			submit(t, e, r)
			all = append(all, r)
		}
		for range rng.IntN(30) {
			e.Advance()
			if err := e.pool.check(); err != nil {
				t.Fatal(err)
			}
			if len(e.running) > cfg.MaxNumSeqs {
				t.Fatalf("%d sequences run, at most %d may", len(e.running), cfg.MaxNumSeqs)
			}
			if e.prefill+e.decodes > cfg.MaxNumBatchedTokens {
				t.Fatalf("a step of %d tokens, at most %d may be", e.prefill+e.decodes, cfg.MaxNumBatchedTokens)
			}
		}
		if rng.IntN(8) == 0 && len(all) > 0 {
			e.Abort(all[rng.IntN(len(all))])
		}
	}
	drain(t, e)
	ended := uint64(0)
	for i, r := range all {
		if !r.aborted && r.produced != r.Output && (r.HangUp == 0 || r.produced != r.HangUp) {
			t.Fatalf("request %d produced %d of %d", i, r.produced, r.Output)
		}
		if r.produced == r.Output {
			ended++
			stops += uint64(r.Reason)
		}
		if r.produced > 0 {
			started++
			prompts += uint64(r.Prompt)
		}
		outputs += uint64(r.produced)
	}
	got := []uint64{e.tally.promptTokens, e.tally.generated, e.tally.ttft.n, e.tally.itl.n, e.tally.success[Stop],
		e.tally.success[Stop] + e.tally.success[Length]}
	want := []uint64{prompts, outputs, started, outputs - started, stops, ended}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("prompt, generated, first, gaps, stops, ends: %v, want %v", got, want)
	}
	if e.tally.promptCached > e.tally.prefixHits || e.tally.prefixHits%DefaultBlockSize != 0 {
		t.Errorf("cached %d, hits %d", e.tally.promptCached, e.tally.prefixHits)
	}
}

func TestEverythingAddsUpUnderRandomLoad(t *testing.T) {
	for seed := range uint64(60) {
		load(t, seed, 60)
	}
}

func FuzzEverythingAddsUp(f *testing.F) {
	f.Add(uint64(1), uint8(20))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) { load(t, seed, int(n)) })
}

// hour simulates an hour and gives a digest of every step and of the whole page at the end.
func hour(t testing.TB, seed uint64) (digest uint64, e *Engine) {
	e = engine(t, Config{Traffic: NewTraffic(seed, time.Minute, 8192)})
	h := fnv.New64a()
	for e.Now() < time.Hour {
		d, ok := e.Advance()
		if !ok {
			at, _ := e.NextEvent()
			e.Idle(at)
		}
		fmt.Fprintln(h, d, e.tally.running, e.tally.waiting, e.tally.generated, e.gpu.watts)
	}
	p := &page{}
	(&Server{options: Options{Model: "m"}}).engineFamilies(p, e)
	h.Write(p.buf)
	return h.Sum64(), e
}

func TestTheSameSeedGivesTheSameHour(t *testing.T) {
	a, e := hour(t, 42)
	b, _ := hour(t, 42)
	c, _ := hour(t, 43)
	if a != b {
		t.Error("two hours of one seed differ")
	}
	if a == c {
		t.Error("another seed gave the same hour")
	}
	if err := e.pool.check(); err != nil {
		t.Error(err)
	}
	if n := e.tally.success[Stop]; n < 2000 {
		t.Errorf("only %d requests in an hour", n)
	}
}

func TestTheFirstMinuteShowsQueueAndPreemptionWithSixtySeeds(t *testing.T) {
	const warm = 2 * time.Minute
	for seed := range uint64(60) {
		e := engine(t, Config{Traffic: NewTraffic(seed, warm, 8192)})
		e.RunUntil(warm)
		if e.tally.running < 60 || e.tally.kvUsage < 0.2 {
			t.Errorf("seed %d starts cold: %d running, KV %.2f", seed, e.tally.running, e.tally.kvUsage)
		}
		before, most, drained := e.tally.preemptions, 0, time.Duration(0)
		for e.Now() < warm+time.Minute {
			e.RunUntil(e.Now() + 200*time.Millisecond)
			most = max(most, e.tally.waiting)
			if most > 20 && e.tally.waiting < 3 && drained == 0 {
				drained = e.Now() - warm
			}
		}
		if most < 20 || drained == 0 || e.tally.preemptions == before {
			t.Errorf("seed %d: at most %d waiting, drained after %v, %d preemptions", seed, most, drained, e.tally.preemptions-before)
		}
	}
}

func TestTrafficStaysGentleOverAnHour(t *testing.T) {
	e := engine(t, Config{Traffic: NewTraffic(3, time.Minute, 8192)})
	empty, looks, most := 0, 0, 0
	for e.Now() < time.Hour {
		e.RunUntil(e.Now() + time.Second)
		looks++
		if e.tally.waiting == 0 {
			empty++
		}
		most = max(most, e.tally.waiting)
	}
	if share := float64(empty) / float64(looks); share < 0.4 || share > 0.97 || most > 250 {
		t.Errorf("the queue is empty %.0f %% of the time and at most %d long", 100*share, most)
	}
}

func BenchmarkHour(b *testing.B) {
	for range b.N {
		e := engine(b, Config{Traffic: NewTraffic(1, time.Minute, 8192)})
		e.RunUntil(time.Hour)
	}
}
