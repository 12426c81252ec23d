package sessions

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pitwall/probes"
)

// Sources of several intervals, late readings across block borders, a gap of several blocks, followers that look rarely:
// every reader gives at every moment exactly the samples that a plain list of them gives.
func TestLateReadingsAndGapsReadTheSameEverywhere(t *testing.T) {
	type point struct{ t, v int64 }
	const ticks, gap = 1600, 400
	seeds := uint64(3)
	if raced { // one of them crosses every border too
		seeds = 1
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		plain := map[string][]point{}
		var sources []probes.Source
		for i, every := range []int{1, 2, 5} {
			name := fmt.Sprintf("s%d", i)
			sources = append(sources, &page{job: name, instance: "i", every: time.Duration(every) * time.Second, read: func(n int) probes.Reading {
				return probes.Reading{Samples: []probes.Sample{sample(float64(n), "__name__", name)}}
			}})
		}
		r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return sources }})
		ctx := context.Background()
		late := map[int][]pulled{} // by the tick at which they come in
		var followers []*saved
		for tick := 0; tick < ticks+gap; tick++ {
			if tick == 700 {
				tick += gap
			}
			r.begin(ctx, msOf(at(tick)))
			for range r.out {
				due := tick
				if rng.IntN(4) == 0 {
					due += 1 + rng.IntN(22)
				}
				late[due] = append(late[due], <-r.results)
			}
			r.flush()
			for due := range tick + 1 {
				for _, got := range late[due] {
					if r.tick-got.t <= lateness-5_000 && len(got.r.Samples) == 1 {
						plain[got.p.job] = append(plain[got.p.job], point{got.t, int64(got.r.Samples[0].Value)})
					}
					r.take(got)
					r.flush()
					if rng.IntN(3) == 0 {
						r.store(ctx)
					}
				}
				delete(late, due)
			}
			r.store(ctx)
			if tick%400 == 13 {
				f, err := open(r.path)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				followers = append(followers, f)
			}
			for _, f := range followers {
				if rng.IntN(40) == 0 {
					if err := f.read(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		check := func(name string, rd Reader) {
			t.Helper()
			for range 200 {
				s, end, w := fmt.Sprintf("s%d", rng.IntN(3)), msOf(at(rng.IntN(ticks+gap))), int64(1+rng.IntN(400))
				var count, sum, got float64
				for _, p := range plain[s] {
					if p.t > end-w*1000 && p.t <= end {
						count++
						sum += float64(p.v)
					}
				}
				res, err := rd.Query(ctx, fmt.Sprintf("count_over_time(%s[%ds])*1e9+sum_over_time(%s[%ds])", s, w, s, w), time.UnixMilli(end), Scope{})
				if err != nil {
					t.Fatal(err)
				}
				if v := res.Vector(); len(v) == 1 {
					got = v[0].F
				}
				if want := count*1e9 + sum; got != want {
					t.Fatalf("%s, seed %d: %s[%ds] at %d: %v, want %v", name, seed, s, w, end, got, want)
				}
			}
		}
		readAll := func() {
			for _, f := range followers {
				if err := f.read(); err != nil {
					t.Fatal(err)
				}
			}
		}
		readAll()
		check("recorder", r)
		for _, f := range followers {
			check("follower", f)
		}
		fresh, err := open(r.path)
		if err != nil {
			t.Fatal(err)
		}
		check("opened while it is recorded", fresh)
		fresh.Close()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		readAll()
		for _, f := range followers {
			check("follower after the end", f)
		}
		// Readers were there at the end, so SQLite leaves its -wal: the one file must hold all nevertheless.
		b, err := os.ReadFile(r.path)
		if err != nil {
			t.Fatal(err)
		}
		alone := filepath.Join(t.TempDir(), "alone.pitwall")
		if err := os.WriteFile(alone, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := open(alone)
		if err != nil {
			t.Fatal(err)
		}
		check("the one file alone", s)
		s.Close()
	}
}

// The recorder commits between any two statements of a reader: what is read must be of one moment.
func TestAFollowerReadsOneMoment(t *testing.T) {
	src := &page{job: "j", instance: "i", read: func(n int) probes.Reading { // every reading brings new names and series
		return probes.Reading{Samples: []probes.Sample{sample(float64(n*n), "__name__", "now"), sample(1, "__name__", fmt.Sprintf("m%d", n))}}
	}}
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	drive(t, r, 0, 1)
	f, err := open(r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const ticks = 600
	done := make(chan error)
	go func() {
		for i := 1; i < ticks; i++ {
			if err := r.Tick(context.Background(), at(i)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		if err := f.read(); err != nil {
			t.Fatal(err)
		}
		if tr := f.Info().Trouble; tr != "" {
			t.Fatal(tr)
		}
	}
	for i := range ticks {
		if got := one(t, f, "now", at(i)); got != float64(i*i) {
			t.Fatalf("now at tick %d = %v, want %d", i, got, i*i)
		}
	}
}

func TestAFollowerHasTheLastTicksOfASessionThatEnded(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 50)
	f, err := open(r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	drive(t, r, 50, 8) // it doesn't see these as journal rows
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.read(); err != nil {
		t.Fatal(err)
	}
	for i := range 58 {
		if got := one(t, f, "now", at(i)); got != float64(i) {
			t.Errorf("now at tick %d = %v", i, got)
		}
	}
}

func TestARangeWithASlowBeginningHasTheWindowForIt(t *testing.T) {
	src := &page{job: "j", instance: "i", every: 5 * time.Second}
	src.read = func(n int) probes.Reading {
		if n == 20 { // from tick 100 on every second
			src.every = time.Second
		}
		return probes.Reading{Samples: []probes.Sample{sample(float64(n), "__name__", "a_total")}}
	}
	r := newTestRecorder(t, Options{Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	drive(t, r, 0, 300)
	res, err := r.QueryRange(context.Background(), "rate(a_total[$w])", at(0), at(299), time.Second, Scope{})
	if err != nil || res.Window != 20*time.Second {
		t.Errorf("window %s, %v", res.Window, err)
	}
	if res, err = r.QueryRange(context.Background(), "rate(a_total[$w])", at(200), at(299), time.Second, Scope{}); err != nil || res.Window != 10*time.Second {
		t.Errorf("window of the fast part %s, %v", res.Window, err)
	}
}

func TestASourceThatIsGoneEndsItsOwnSeriesToo(t *testing.T) {
	src := engine()
	sources := []probes.Source{src}
	r := newTestRecorder(t, Options{Sources: func() []probes.Source { return sources }})
	defer r.Close()
	for round := range 2 { // it may come and go again
		drive(t, r, 20*round, 10)
		one(t, r, `up{job="vllm"}`, at(20*round+9))
		sources = nil
		drive(t, r, 20*round+10, 10)
		none(t, r, `up{job="vllm"}`, at(20*round+10))
		sources = []probes.Source{src}
	}
}

func TestMemoryAloneSaysFromWhenItKnows(t *testing.T) {
	src := &page{job: "j", instance: "i", read: func(n int) probes.Reading {
		return probes.Reading{Samples: []probes.Sample{sample(float64(n), "__name__", "now")}}
	}}
	r := newTestRecorder(t, Options{Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	drive(t, r, 0, 5000)
	first, _ := r.Bounds()
	if got, want := one(t, r, "now", first), first.Sub(t0).Seconds(); got != want || want == 0 {
		t.Errorf("now at the first tick that is there = %v, want %v", got, want)
	}
}
