package score

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// What a run's rates must be for whoever knows the truth: clients of a closed loop that all go round in the same time.
func TestAShortRunHasTheRateOfALongOne(t *testing.T) {
	for _, c := range []struct {
		what     string
		clients  int
		rounds   int
		tokens   int
		streamed bool
	}{
		{"one request", 1, 1, 10, true},
		{"one request in one piece", 1, 1, 10, false},
		{"one client, five requests", 1, 5, 10, true},
		{"eight clients, two rounds", 8, 2, 40, true},
		{"eight clients, twenty rounds", 8, 20, 40, true},
		{"eight clients, twenty rounds in one piece", 8, 20, 40, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			const gap = 10 * ms
			var round time.Duration
			var end request.Time
			var records []request.Record
			for client := range c.clients {
				due := time.Duration(client) * ms // a prefill at a time
				for range c.rounds {
					r := answer(1, uint32(len(records)), due, 0, 50*ms, gap, c.tokens)
					r.End = r.LastToken
					if r.Streamed = c.streamed; !c.streamed {
						r.FirstToken, r.LastToken, r.Chunks = 0, 0, nil
					}
					records = append(records, r)
					round = r.End.Sub(r.Sent)
					due += round
					end = max(end, r.End)
				}
			}
			s := Of(Input{Records: records, Run: 1, Whole: Window{at(0), end}, Point: clients(c.clients)})
			want := float64(c.clients) / round.Seconds()
			near(t, "requests/s", s.Requests.Value, want, 0.01*want)
			edge := 1 / float64(c.tokens*c.rounds) // a token more or less
			near(t, "tokens/s", s.Output.Value, want*float64(c.tokens), (0.06+edge)*want*float64(c.tokens))
			near(t, "all tokens/s", s.Total.Value, want*float64(100+c.tokens), (0.06+edge)*want*float64(100+c.tokens))
		})
	}
}

func TestRequestsThatWereGivenUpDoNotLowerTheRate(t *testing.T) {
	for _, c := range []struct {
		what     string
		streamed bool
		hung     bool
	}{{"streams", true, false}, {"answers in one piece", false, false}, {"streams, and one that hung all the time", true, true}} {
		// Four clients that take 0.5 s, given up 0.4 s into their last round of ten.
		records := closed(1, 4, 0, 5*time.Second, func(client, i int) (time.Duration, time.Duration, int) { return 99 * ms, 10 * ms, 41 })
		cut := at(4900 * ms)
		for i := range records {
			r := &records[i]
			if r.Streamed = c.streamed; !c.streamed {
				r.FirstToken, r.LastToken, r.Chunks = 0, 0, nil
			}
			if r.End > cut {
				r.Class, r.End = request.Cancelled, cut
			}
		}
		want := 8.0
		if c.hung {
			hung := answer(1, uint32(len(records)), 0, 0, 0, 0, 0)
			hung.Class, hung.End, hung.FirstToken, hung.LastToken, hung.Chunks = request.Cancelled, cut, 0, 0, nil
			records = append(records, hung)
			want *= 4.5 / 4.9 // less than there is: of four requests it is not known how much longer they would have taken
		}
		p := clients(4)
		p.SLO.E2E = time.Second
		s := Of(Input{Records: records, Run: 1, Whole: Window{at(0), cut}, Point: p})
		near(t, c.what+": requests/s", s.Requests.Value, want, 0.1)
		near(t, c.what+": good requests/s", s.Goodput.Requests, want, 0.1)
		if !c.streamed {
			near(t, c.what+": tokens/s", s.Output.Value, 8*41, 0.02*8*41)
		}
	}
}

func TestWhatEndsWithTheWindowIsInItAndWhatItBeganWithIsNot(t *testing.T) {
	s := newSeries(Window{at(time.Second), at(2 * time.Second)})
	for _, d := range []time.Duration{time.Second, 1500 * ms, 2 * time.Second, 2*time.Second + 1} {
		s.add(at(d), 1)
	}
	near(t, "moments", s.rate().Value, 2, 1e-9)
}

func TestWhatTakesTimeIsCountedByItsShareOfTheWindow(t *testing.T) {
	for _, c := range []struct {
		from, to time.Duration
		want     float64
	}{
		{1000 * ms, 2000 * ms, 1}, {500 * ms, 1500 * ms, 0.5}, {1900 * ms, 2900 * ms, 0.1}, {0, 4000 * ms, 0.25},
		{0, 900 * ms, 0}, {0, 1000 * ms, 0}, {2000 * ms, 3000 * ms, 0}, {1234 * ms, 1235 * ms, 1}, {1500 * ms, 1500 * ms, 1},
	} {
		t.Run(fmt.Sprintf("from %v to %v", c.from, c.to), func(t *testing.T) {
			s := newSeries(Window{at(time.Second), at(2 * time.Second)})
			s.spread(at(c.from), at(c.to), 1)
			near(t, "share", s.rate().Value, c.want, 1e-9)
		})
	}
}

// Requests that take long are smeared over many parts of a window, which then hang together: the interval must know it.
func TestTheIntervalOfTheRequestRateHoldsTheTruth(t *testing.T) {
	const trials, rate, seconds = 300, 20.0, 60.0
	for _, c := range []struct {
		what   string
		mean   time.Duration
		lowest float64
	}{{"short requests", 100 * ms, 0.9}, {"requests longer than a part", 2 * time.Second, 0.88}} {
		rng := rand.New(rand.NewPCG(3, 9))
		held := 0
		for range trials {
			var records []request.Record
			for at := -20.0; at < seconds; at += rng.ExpFloat64() / rate {
				took := time.Duration(float64(c.mean) * math.Exp(0.3*rng.NormFloat64()))
				r := answer(1, uint32(len(records)), time.Duration(at*1e9), 0, took, 0, 1)
				r.End = r.LastToken
				records = append(records, r)
			}
			own := make([]*request.Record, len(records))
			for i := range records {
				own[i] = &records[i]
			}
			var s Score
			s.rates(Input{Point: shape.Point{}}, own, whole(0, time.Duration(seconds*1e9)))
			if e := s.Requests; e.Low <= rate && rate <= e.High {
				held++
			}
		}
		share := float64(held) / trials
		t.Logf("%s: held in %.1f %%", c.what, 100*share)
		if share < c.lowest || share > 0.995 {
			t.Errorf("%s: held in %.1f %%, want 95 %%", c.what, 100*share)
		}
	}
}

func TestTheWholeRunIsCountedAsOtherToolsCountIt(t *testing.T) {
	records := []request.Record{
		answer(1, 0, time.Second, 500*ms, 100*ms, 0, 30), // sent at 1.5 s
		answer(1, 1, 2*time.Second, 0, 100*ms, 10*ms, 90),
		answer(1, 2, 3*time.Second, 0, 100*ms, 10*ms, 50), // fails
		answer(1, 3, 4*time.Second, 0, 1498*ms, 0, 2),     // over at 5.5 s - 1 ms, after the cut
		answer(2, 0, 0, 0, 100*ms, 0, 70),                 // another run's
	}
	records[2].Class, records[3].End = request.Cut, at(5500*ms)
	s := Of(Input{Records: records, Run: 1, Whole: whole(time.Second, 5*time.Second), Point: clients(1)})
	if s.Overall == nil {
		t.Fatal("none")
	}
	near(t, "seconds", s.Overall.Seconds, 4, 1e-9)
	near(t, "requests/s", s.Overall.Requests, 3.0/4, 1e-9)
	near(t, "output tokens/s", s.Overall.Output, (30+90+2)/4.0, 1e-9)
	near(t, "all tokens/s", s.Overall.Total, (30+90+2+300)/4.0, 1e-9)
	if s := Of(Input{Records: records[2:3], Run: 1, Whole: whole(0, 5*time.Second), Point: clients(1)}); s.Overall != nil {
		t.Errorf("of a run of which nothing ended OK: %+v", *s.Overall)
	}
}

func TestRatesOfAFewRequestsHaveNoInterval(t *testing.T) {
	for n, want := range map[int]bool{leastEnded - 1: false, 4 * leastEnded: true} {
		var records []request.Record
		for i := range n {
			records = append(records, answer(1, uint32(i), time.Duration(i)*500*ms, 0, 50*ms, 4*ms, 100))
		}
		s := Of(Input{Records: records, Run: 1, Whole: whole(0, time.Duration(n)*500*ms), Point: clients(1)})
		if got := !math.IsNaN(s.Output.Low); got != want || math.IsNaN(s.Output.Value) {
			t.Errorf("%d requests: %v tokens/s, an interval: %t, want %t", n, s.Output, got, want)
		}
	}
}
