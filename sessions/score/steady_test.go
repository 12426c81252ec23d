package score

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// counter is an open loop of so many requests a second on a server that ends at most capacity a second, each hold after it was begun with.
func counter(rng *rand.Rand, rate, capacity float64, hold, until time.Duration) []request.Record {
	var records []request.Record
	free := 0.0
	for due := 0.0; due < until.Seconds(); due += rng.ExpFloat64() / rate {
		free = max(due, free) + 1/capacity
		ttft := time.Duration((free - due) * 1e9)
		records = append(records, answer(1, uint32(len(records)), time.Duration(due*1e9), 0, ttft+10*ms, hold/10, 11))
	}
	return records
}

func poisson(rate float64) shape.Point {
	return shape.Point{Arrival: shape.Arrival{Kind: shape.Poisson, Rate: rate}}
}

// The first answer comes so late that the queue is long by then and grows by a small share of itself in what is left of the run.
func TestAQueueThatWasLongBeforeTheFirstAnswerIsNotSteady(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, c := range []struct {
		what           string
		rate, capacity float64
		hold, until    time.Duration
	}{
		{"three times too much, seen for the last quarter", 60, 20, 15 * time.Second, 20 * time.Second},
		{"three times too much, seen for most of the run", 60, 20, time.Second, 20 * time.Second},
		{"a third too much", 20, 15, 2 * time.Second, 5 * time.Minute},
	} {
		s := Of(Input{Records: counter(rng, c.rate, c.capacity, c.hold, c.until), Run: 1, Whole: whole(0, c.until), Point: poisson(c.rate)})
		if s.Steady != (Window{}) || !strings.HasPrefix(s.SteadyWhy, "not steady: ") {
			t.Errorf("%s: found steady: %s", c.what, s.SteadyWhy)
		}
	}
}

func TestAServerThatKeepsUpIsSeldomSaidToFallBehind(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	const trials = 200
	wrong := 0
	for range trials {
		until := time.Duration(20+rng.IntN(40)) * time.Second
		in := Input{Records: counter(rng, 20, 28, time.Second, until), Run: 1, Whole: whole(0, until), Point: poisson(20)}
		own := pointers(in.Records)
		w := whole(3*time.Second, until)
		if overrun(flightOf(in.Records), w, sentIn(own, w), in.Point.Arrival) > 0 {
			wrong++
		}
	}
	if share := float64(wrong) / trials; share > 0.02 {
		t.Errorf("%.1f %% of steady runs are said to pile up", 100*share)
	}
}

func TestALoadThatRampsUntilItsEndLeavesNothingSteady(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	p := poisson(5)
	p.Arrival.Steps = []shape.Step{{To: 20, After: 2 * time.Second, Over: 18 * time.Second}}
	records := counter(rng, 10, 100, 500*ms, 20*time.Second)
	last := records[len(records)-1].Sent.Sub(t0)
	for _, until := range []time.Duration{19 * time.Second, 20 * time.Second, max(last, 20*time.Second) + ms} {
		s := Of(Input{Records: records, Run: 1, Whole: whole(0, until), Point: p})
		if s.Steady != (Window{}) {
			t.Errorf("cut at %v: %s", until, s.SteadyWhy)
		}
		if math.IsNaN(s.Requests.Value) {
			t.Errorf("cut at %v: no rate of the whole run", until)
		}
	}
}

func TestClientsThatWaitAfterFailuresAreSaidToBeWhyItIsNotSteady(t *testing.T) {
	var records []request.Record
	for i := range 20 {
		r := answer(1, uint32(i), time.Duration(i)*500*ms, 0, ms, 0, 1)
		r.Class, r.Status, r.End, r.FirstToken, r.LastToken, r.Chunks = request.Status, 503, r.Sent+request.Time(ms), 0, 0, nil
		records = append(records, r)
	}
	s := Of(Input{Records: records, Run: 1, Whole: whole(0, 10*time.Second), Point: clients(1)})
	if s.Steady != (Window{}) || !strings.Contains(s.SteadyWhy, " requests failed") {
		t.Errorf("%q", s.SteadyWhy)
	}
}
