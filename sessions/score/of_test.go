package score

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

const (
	t0 = request.Time(1_800_000_000e9)
	ms = time.Millisecond
)

func at(d time.Duration) request.Time { return t0 + request.Time(d) }

// answer is one request that went well: sent lag after it was due, first token after ttft, then n−1 tokens a gap apart.
func answer(run, seq uint32, due, lag, ttft, gap time.Duration, n int) request.Record {
	r := request.Record{Run: run, Seq: seq, Scheduled: at(due), Sent: at(due + lag), Streamed: true, Stamped: true, Counting: request.ByIDs,
		InputTokens: 100, CachedTokens: 0, OutputTokens: int32(n), Queue: request.Unknown, Prefill: request.Unknown, Decode: request.Unknown, Status: 200}
	r.FirstToken = r.Sent + request.Time(ttft)
	r.Chunks = append(r.Chunks, request.Chunk{Gap: ttft, Tokens: 1})
	for range n - 1 {
		r.Chunks = append(r.Chunks, request.Chunk{Gap: gap, Tokens: 1})
	}
	r.LastToken = r.FirstToken + request.Time(gap)*request.Time(n-1)
	r.End = r.LastToken + request.Time(ms)
	return r
}

// closed is a closed loop of c clients for a time; each answer's times come from each.
func closed(run uint32, c int, from, to time.Duration, each func(client, i int) (ttft, gap time.Duration, n int)) []request.Record {
	var out []request.Record
	for client := range c {
		due := from
		for i := 0; due < to; i++ {
			ttft, gap, n := each(client, i)
			r := answer(run, uint32(len(out)), due, 0, ttft, gap, n)
			r.Client = int32(client)
			out = append(out, r)
			due = r.End.Sub(t0)
		}
	}
	return out
}

func clients(c int) shape.Point {
	return shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: c}}
}

func whole(from, to time.Duration) Window { return Window{at(from), at(to)} }

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within || math.IsNaN(got) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestLatenciesFollowTheFormulas(t *testing.T) {
	// Worked out by hand: due 0, sent 10 ms, first chunk of 2 tokens at 110 ms, 3 tokens at 170 ms, 1 token at 230 ms.
	r := answer(1, 0, 0, 10*ms, 100*ms, 0, 1)
	r.Chunks = []request.Chunk{{Gap: 100 * ms, Tokens: 2}, {Gap: 60 * ms, Tokens: 3}, {Gap: 60 * ms, Tokens: 1, Merged: true}}
	r.OutputTokens, r.LastToken, r.End = 6, at(230*ms), at(240*ms)
	r.Queue, r.Prefill = 20*ms, 50*ms
	s := Of(Input{Records: []request.Record{r}, Run: 1, Whole: whole(0, time.Second), Point: clients(1)})
	near(t, "TTFT", s.TTFT.P50.Value, 0.100, 1e-9)
	near(t, "TTFT from schedule", s.TTFTSched.P50.Value, 0.110, 1e-9)
	near(t, "TPOT", s.TPOT.P50.Value, 0.120/4, 1e-9) // (230−110)/(6−2)
	near(t, "E2E", s.E2E.P50.Value, 0.220, 1e-9)
	near(t, "E2E from schedule", s.E2ESched.P50.Value, 0.230, 1e-9)
	near(t, "normalized", s.Normalized.P50.Value, 0.220/6, 1e-9)
	near(t, "lag", s.Lag.P50.Value, 0.010, 1e-9)
	near(t, "rest", s.Rest.P50.Value, 0.030, 1e-9)
	// ITL: 20 ms three times, 60 ms once; chunk gap: 60 ms twice.
	if s.ITL.Count != 4 || s.Gap.Count != 2 {
		t.Errorf("%d tokens and %d chunks after the first, want 4 and 2", s.ITL.Count, s.Gap.Count)
	}
	near(t, "ITL's median", s.ITL.P50.Value, 0.020, 1e-9)
	near(t, "ITL's mean", s.ITL.Mean.Value, 0.030, 1e-9)
	near(t, "chunk gap", s.Gap.Mean.Value, 0.060, 1e-9)
	near(t, "merged", s.Merged, 0.5, 1e-9)
	if s.TTFT.P50.Needs != 5 || s.TTFT.P99.Needs != 367 || !math.IsNaN(s.TTFT.P99.Low) {
		t.Errorf("one request: the median needs %d more and p99 %d, want 5 and 367", s.TTFT.P50.Needs, s.TTFT.P99.Needs)
	}
	if math.IsNaN(s.TTFT.P50.Value) {
		t.Error("the value itself stands without an interval")
	}
}

func TestARequestOfOneTokenHasNoTPOTAndIsNoZero(t *testing.T) {
	s := Of(Input{Records: []request.Record{answer(1, 0, 0, 0, 100*ms, 0, 1)}, Run: 1, Whole: whole(0, time.Second), Point: clients(1)})
	if s.TPOT.Count != 0 || s.TPOT.Failed != 0 || !math.IsNaN(s.TPOT.Mean.Value) || !math.IsNaN(s.ITL.P50.Value) {
		t.Errorf("TPOT of a request of one token: %+v", s.TPOT)
	}
}

func TestAFailureRanksAboveEverySuccess(t *testing.T) {
	var records []request.Record
	for i := range 1000 {
		r := answer(1, uint32(i), time.Duration(i)*10*ms, 0, 100*ms, ms, 3)
		if i%50 == 7 { // 2 %, and fast
			r.Class, r.Message, r.End = request.Status, "503 busy", r.Sent+1
			r.FirstToken, r.LastToken, r.Chunks, r.OutputTokens = 0, 0, nil, request.Unknown
		}
		records = append(records, r)
	}
	s := Of(Input{Records: records, Run: 1, Whole: whole(0, 11*time.Second), Point: shape.Point{Arrival: shape.Arrival{Kind: shape.Constant, Rate: 100}}})
	for what, sum := range map[string]Summary{"TTFT": s.TTFT, "E2E": s.E2E, "TPOT": s.TPOT, "chunk gap": s.Gap} {
		if !sum.P99.Failed || !math.IsNaN(sum.P99.Value) {
			t.Errorf("%s: 2 %% failed, and p99 reads %v", what, sum.P99)
		}
		if sum.P95.Failed || math.IsNaN(sum.P95.Value) {
			t.Errorf("%s: 2 %% failed, and p95 reads %v", what, sum.P95)
		}
	}
	if !math.IsInf(s.TTFT.P99.High, 1) {
		t.Errorf("p99's upper bound is %v", s.TTFT.P99.High)
	}
	if s.Failed != 20 || len(s.Errors) != 1 || s.Errors[0] != (ErrorCount{request.Status, 20, "503 busy"}) {
		t.Errorf("errors are %+v", s.Errors)
	}
}

func TestRequestsThatCrossAnEdgeAreCountedApart(t *testing.T) {
	records := closed(2, 4, 0, 20*time.Second, func(client, i int) (time.Duration, time.Duration, int) {
		return 100*ms + time.Duration(client)*7*ms, 10 * ms, 50
	})
	old := answer(1, 0, -time.Second, 0, 100*ms, 10*ms, 250) // of the run before, until 1.6 s
	in := Input{Records: append(records, old), Run: 2, Whole: whole(2*time.Second, 18*time.Second), Point: clients(4)}
	s := Of(in)
	if s.OK+s.Failed+s.Cancelled+s.Crossing != s.Sent || s.Sent != len(records) {
		t.Errorf("%d + %d + %d + %d is not %d", s.OK, s.Failed, s.Cancelled, s.Crossing, s.Sent)
	}
	// Four under way at 2 s, four at 18 s, and what was sent outside.
	inside := 0
	for _, r := range records {
		if r.Sent >= in.Whole.From && r.End <= in.Whole.To {
			inside++
		}
	}
	if s.OK != inside {
		t.Errorf("%d inside, want %d", s.OK, inside)
	}
	if s.OutputTokens != int64(inside)*50 || s.InputTokens != int64(inside)*100 {
		t.Errorf("%d output and %d input tokens for %d requests of 50 and 100", s.OutputTokens, s.InputTokens, inside)
	}
	if s.Steady == (Window{}) {
		t.Fatal(s.SteadyWhy)
	}
	near(t, "in flight", s.MeanInFlight, 4, 0.02)
	// Each client: 50 tokens in 0.1…0.121 + 0.49 + 0.001 s.
	near(t, "tokens/s", s.Output.Value, 4*50/0.6015, 2)
	if !(s.Output.Low < s.Output.Value && s.Output.Value < s.Output.High) {
		t.Errorf("throughput %+v has no interval", s.Output)
	}
	near(t, "all tokens/s", s.Total.Value, 4*150/0.6015, 15)
}

func TestWarmUpAndTailAreCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	records := closed(1, 8, 0, 60*time.Second, func(client, i int) (time.Duration, time.Duration, int) {
		ttft := 100*ms + time.Duration(rng.IntN(20))*ms
		if i < 5 { // caches are cold
			ttft += time.Duration(5-i) * 300 * ms
		}
		return ttft, 5 * ms, 60
	})
	s := Of(Input{Records: records, Run: 1, Whole: whole(0, 61*time.Second), Point: clients(8)})
	if s.Steady == (Window{}) {
		t.Fatal(s.SteadyWhy)
	}
	from, to := s.Steady.From.Sub(t0), s.Steady.To.Sub(t0)
	if from < 3*time.Second || from > 20*time.Second {
		t.Errorf("the cold caches last some 6 s, the window begins at %v: %s", from, s.SteadyWhy)
	}
	if to > 60500*ms {
		t.Errorf("the window ends at %v, clients stop at 60 s: %s", to, s.SteadyWhy)
	}
	if s.TTFT.Max > 0.4 {
		t.Errorf("a request of the warm-up is in: %v", s.TTFT.Max)
	}
}

func TestAQueueThatGrowsIsNotSteady(t *testing.T) {
	var records []request.Record
	for i := range 600 { // 10 a second for 60 s to a server that does 8
		due := time.Duration(i) * 100 * ms
		wait := time.Duration(i) * 25 * ms
		records = append(records, answer(1, uint32(i), due, 0, 50*ms+wait, ms, 5))
	}
	s := Of(Input{Records: records, Run: 1, Whole: whole(0, 60*time.Second), Point: shape.Point{Arrival: shape.Arrival{Kind: shape.Constant, Rate: 10}}})
	if s.Steady != (Window{}) || !strings.Contains(s.SteadyWhy, "requests in flight went from") {
		t.Errorf("steady from %v to %v: %s", s.Steady.From, s.Steady.To, s.SteadyWhy)
	}
}

func TestASteadyOpenLoopIsFoundSteady(t *testing.T) {
	wrong := 0
	for seed := range 40 {
		rng := rand.New(rand.NewPCG(3, uint64(seed)))
		var records []request.Record
		due := time.Duration(0)
		for i := 0; due < 60*time.Second; i++ {
			records = append(records, answer(1, uint32(i), due, 0, time.Duration(50+rng.ExpFloat64()*30)*ms, time.Duration(5+rng.IntN(3))*ms, 20+rng.IntN(60)))
			due += time.Duration(rng.ExpFloat64() * 1e8)
		}
		s := Of(Input{Records: records, Run: 1, Whole: whole(0, 60*time.Second), Point: shape.Point{Arrival: shape.Arrival{Kind: shape.Poisson, Rate: 10}}})
		if s.Steady == (Window{}) {
			wrong++
			t.Log(s.SteadyWhy)
		}
	}
	if wrong > 2 {
		t.Errorf("%d of 40 steady loads are called unsteady", wrong)
	}
}

func TestNeverFullIsNotSteady(t *testing.T) {
	records := closed(1, 3, 0, 10*time.Second, func(int, int) (time.Duration, time.Duration, int) { return 100 * ms, ms, 10 })
	s := Of(Input{Records: records, Run: 1, Whole: whole(0, 10*time.Second), Point: clients(16)})
	if s.Steady != (Window{}) || !strings.Contains(s.SteadyWhy, "never were 16") {
		t.Errorf("3 of 16 clients: %s", s.SteadyWhy)
	}
	if s.TTFT.Count == 0 {
		t.Error("without a steady window everything is of the whole run, and there is nothing")
	}
}

// What was still running at the cut were mostly the slow ones: leaving them out would make the last ones look fast.
func TestTheCutDoesNotFavourShortAnswers(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	var means, naive float64
	const trials = 200
	for range trials {
		records := closed(1, 8, 0, 30*time.Second, func(int, int) (time.Duration, time.Duration, int) {
			n := 100
			if rng.IntN(4) == 0 {
				n = 800
			}
			return 50 * ms, 5 * ms, n
		})
		s := Of(Input{Records: records, Run: 1, Whole: whole(0, 20*time.Second), Point: clients(8)})
		means += s.E2E.Mean.Value / trials
		sum, n := 0.0, 0
		for i := range records {
			if r := &records[i]; r.Sent >= s.Steady.From && r.Sent < at(20*time.Second) && r.End <= at(20*time.Second) {
				d, _ := r.E2E()
				sum, n = sum+d.Seconds(), n+1
			}
		}
		naive += sum / float64(n) / trials
	}
	// 3/4 · (0.05 + 99·0.005) + 1/4 · (0.05 + 799·0.005)
	truth := 0.05 + 0.005*(0.75*99+0.25*799)
	t.Logf("truth %.4f, found %.4f, leaving out what was not over %.4f", truth, means, naive)
	if math.Abs(means-truth) > 0.04*truth {
		t.Errorf("mean E2E is %.4f, the truth is %.4f", means, truth)
	}
	if math.Abs(naive-truth) < math.Abs(means-truth) {
		t.Error("the test's load has no bias to be free of")
	}
}

func TestAnAnswerThatHangsToTheEndRanksWithTheFailures(t *testing.T) {
	records := closed(1, 4, 0, 20*time.Second, func(int, int) (time.Duration, time.Duration, int) { return 50 * ms, 5 * ms, 100 })
	for i := range 40 {
		r := answer(1, uint32(10_000+i), 5*time.Second+time.Duration(i)*ms, 0, 50*ms, time.Second, 100) // until 104 s
		records = append(records, r)
	}
	s := Of(Input{Records: records, Run: 1, Whole: whole(0, 20*time.Second), Point: clients(4)})
	if s.E2E.Unfinished != 40 || s.E2E.Failed != 0 {
		t.Errorf("%d unfinished and %d failed rank above all, want the 40 that hang and none: %s", s.E2E.Unfinished, s.E2E.Failed, s.SteadyWhy)
	}
	if q := s.E2E.P90; !q.Unfinished || q.Failed || !math.IsNaN(q.Value) {
		t.Errorf("p90 of E2E reads %v", s.E2E.P90)
	}
}

func TestGoodputCountsFailuresAndMissingNumbersAsNotGood(t *testing.T) {
	var records []request.Record
	add := func(n int, make func(r *request.Record)) {
		for range n {
			i := len(records)
			r := answer(1, uint32(i), time.Duration(i)*10*ms, 0, 100*ms, 10*ms, 10)
			if make != nil {
				make(&r)
			}
			records = append(records, r)
		}
	}
	add(60, nil)
	add(10, func(r *request.Record) { r.Scheduled -= request.Time(300 * ms) }) // good from the send, not from the schedule
	add(10, func(r *request.Record) { r.Class = request.Cut })
	add(10, func(r *request.Record) { *r = answer(1, r.Seq, r.Scheduled.Sub(t0), 0, 100*ms, 0, 1) }) // no TPOT
	add(10, func(r *request.Record) { r.Class, r.End = request.Cancelled, r.Sent+1 })
	p := shape.Point{Arrival: shape.Arrival{Kind: shape.Constant, Rate: 100}, SLO: shape.SLO{TTFT: 200 * ms, TPOT: 20 * ms, Share: 0.9}}
	s := Of(Input{Records: records, Run: 1, Whole: whole(-time.Second, 5*time.Second), Point: p})
	g := s.Goodput
	if s.Steady != (Window{}) {
		// All of it must be judged for the counts below.
		s2 := Input{Records: records, Run: 1, Whole: whole(-time.Second, 5*time.Second), Point: p}
		g = goodput(p.SLO, judge(s2, pointers(records), s2.Whole), pointers(records), s2.Whole)
	}
	if !g.Asked || g.Tried != 90 || g.Good != 60 || g.GoodSent != 70 || g.Met {
		t.Errorf("goodput is %+v, want 60 good (70 from the send) of 90", g)
	}
	near(t, "share", g.Share.Value, 60.0/90, 1e-9)
	// 60 requests of 10 tokens in a window of 6 s.
	all := goodput(p.SLO, judge(Input{Records: records, Whole: whole(-time.Second, 5*time.Second)}, pointers(records), whole(-time.Second, 5*time.Second)),
		pointers(records), whole(-time.Second, 5*time.Second))
	near(t, "good requests/s", all.Requests, 10, 1e-9)
	near(t, "good tokens/s", all.Tokens, 100, 1e-9)
	if low, high := wilson(60.0/90, 90); g.Share.Low > low+1e-9 || g.Share.High < high-1e-9 {
		t.Errorf("interval %v to %v is narrower than Wilson's %v to %v", g.Share.Low, g.Share.High, low, high)
	}
	if none := Of(Input{Records: records, Run: 1, Whole: whole(0, time.Second), Point: clients(1)}).Goodput; none.Asked || !math.IsNaN(none.Share.Value) {
		t.Errorf("without an SLO goodput is %+v", none)
	}
}

func pointers(records []request.Record) []*request.Record {
	var out []*request.Record
	for i := range records {
		out = append(out, &records[i])
	}
	bySent(out)
	return out
}

func TestUnstreamedAnswersHaveNoTTFTAndTheirTokensCountOverTheirTime(t *testing.T) {
	var records []request.Record
	for i := range 200 {
		r := answer(1, uint32(i), time.Duration(i)*50*ms, 0, 0, 0, 1)
		r.Streamed, r.Chunks, r.FirstToken, r.LastToken, r.OutputTokens = false, nil, 0, 0, 20
		r.End = r.Sent + request.Time(200*ms)
		records = append(records, r)
	}
	s := Of(Input{Records: records, Run: 1, Whole: whole(0, 10*time.Second), Point: shape.Point{Unstreamed: true, Arrival: shape.Arrival{Kind: shape.Constant, Rate: 20}}})
	if s.TTFT.Count != 0 || s.TTFT.Failed != 0 || s.ITL.Count != 0 {
		t.Errorf("TTFT of whole answers: %+v", s.TTFT)
	}
	near(t, "E2E", s.E2E.P50.Value, 0.2, 1e-9)
	near(t, "tokens/s", s.Output.Value, 400, 10)
}

func TestGuessedTokensAreSpreadOverTheChunksAndSaidSo(t *testing.T) {
	r := answer(1, 0, 0, 0, 100*ms, 100*ms, 5)
	r.Counting, r.OutputTokens = request.Guessed, 20
	s := Of(Input{Records: []request.Record{r}, Run: 1, Whole: whole(0, time.Second), Point: clients(1)})
	near(t, "guessed", s.Guessed, 1, 0)
	in := Input{Records: []request.Record{r}, Run: 1, Whole: whole(0, time.Second), Point: clients(1)}
	out := Score{}
	out.rates(in, pointers(in.Records), in.Whole)
	near(t, "tokens/s", out.Output.Value, 20, 1e-9)
}

func TestNothingIsScoredFromNothing(t *testing.T) {
	for what, in := range map[string]Input{
		"no records":          {Run: 1, Whole: whole(0, time.Second), Point: clients(1)},
		"no window":           {Run: 1, Records: []request.Record{answer(1, 0, 0, 0, ms, ms, 2)}, Point: clients(1)},
		"a window backwards":  {Run: 1, Records: []request.Record{answer(1, 0, 0, 0, ms, ms, 2)}, Whole: whole(time.Second, 0), Point: clients(1)},
		"only other requests": {Run: 1, Records: []request.Record{answer(2, 0, 0, 0, ms, ms, 2)}, Whole: whole(0, time.Second), Point: clients(1)},
		"only what never went out": {Run: 1, Records: []request.Record{{Run: 1, Scheduled: at(0), End: at(ms), Class: request.Refused, Message: "refused",
			Queue: request.Unknown, Prefill: request.Unknown}}, Whole: whole(0, time.Second), Point: clients(1)},
	} {
		s := Of(in)
		if s.SteadyWhy == "" || s.Steady != (Window{}) {
			t.Errorf("%s: steady %v because %q", what, s.Steady, s.SteadyWhy)
		}
		if !math.IsNaN(s.TTFT.P50.Value) && s.TTFT.Count == 0 {
			t.Errorf("%s: a median of nothing: %v", what, s.TTFT.P50)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAScoreSurvivesJSON(t *testing.T) {
	records := closed(1, 4, 0, 20*time.Second, func(client, i int) (time.Duration, time.Duration, int) {
		return 100*ms + time.Duration(i%7)*ms, 10 * ms, 50
	})
	records[3].Class, records[3].Message = request.InStream, `{"error": "busy"}`
	s := Of(Input{Records: records, Run: 1, Whole: whole(0, 21*time.Second), Point: clients(4), Dropped: 3})
	s.Flags = []Flag{{Kind: "too-few", Title: "few"}}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Score
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, back, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
	var null Score
	if err := json.Unmarshal([]byte(`{}`), &null); err != nil || !math.IsNaN(null.Merged) {
		t.Errorf("an empty score reads %v, %v", null.Merged, err)
	}
	if !strings.Contains(string(b), `"value":null`) || !strings.Contains(string(b), `"class":"in_stream"`) {
		t.Errorf("NaN is not null, or classes are numbers: %s", b)
	}
}

func TestAMedianNeedsSixAndAP99ThreeHundredSixtyEight(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, c := range []struct {
		p     float64
		least int
	}{{0.5, 6}, {0.9, 36}, {0.95, 72}, {0.99, 368}, {0.999, 3688}} {
		// By the definition itself: the greatest of n lies below the quantile with probability pⁿ.
		n := 1
		for math.Pow(c.p, float64(n)) > 0.025 {
			n++
		}
		if got := least(c.p); got != n || n > c.least+1 || n < c.least-1 {
			t.Errorf("p%g needs %d, want %d", 100*c.p, got, n)
		}
	}
	var s sample
	for range 300 {
		s.one(rng.Float64())
	}
	if needs := s.summary().P99.Needs; needs != least(0.99)-300 {
		t.Errorf("300 independent requests: p99 needs %d more, want %d", needs, least(0.99)-300)
	}
	for range least(0.99) - 300 {
		s.one(rng.Float64())
	}
	if q := s.summary().P99; q.Needs != 0 || math.IsNaN(q.High) {
		t.Errorf("with as many as it said, p99 needs %d more", q.Needs)
	}
}

func TestEveryFormulaIsANumberOfTheScore(t *testing.T) {
	b, err := json.Marshal(Score{})
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range Formulas() {
		if keys[f.Key] == nil {
			t.Errorf("%s (%s) is no key of a score", f.Key, f.Name)
		}
		if f.Formula == "" || f.Unit == "" || seen[f.Key] {
			t.Errorf("%s: formula %q, unit %q, or given twice", f.Key, f.Formula, f.Unit)
		}
		seen[f.Key] = true
	}
	for key, v := range keys {
		if strings.Contains(string(v), `"p99"`) && !seen[key] {
			t.Errorf("%s has no formula", key)
		}
	}
}

func BenchmarkScoringTenThousandRequestsOf128Chunks(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	records := closed(1, 64, 0, 400*time.Second, func(int, int) (time.Duration, time.Duration, int) { return 100 * ms, 20 * ms, 128 })
	for i := range records {
		for j := range records[i].Chunks {
			records[i].Chunks[j].Gap += time.Duration(rng.IntN(1e6))
			records[i].Chunks[j].Tokens = uint16(1 + rng.IntN(2))
		}
	}
	records = records[:10_000]
	in := Input{Records: records, Run: 1, Whole: whole(0, 400*time.Second), Point: clients(64)}
	b.ReportAllocs()
	for b.Loop() {
		if s := Of(in); s.ITL.Count == 0 {
			b.Fatal("nothing scored")
		}
	}
}
