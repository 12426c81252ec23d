package arrival

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pitwall/probes/load/shape"
)

func point(a shape.Arrival, seed uint64) shape.Point { return shape.Point{Arrival: a, Seed: seed} }

func schedule(t testing.TB, p shape.Point) Schedule {
	t.Helper()
	s, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// first gives the first n arrivals in seconds.
func first(t testing.TB, p shape.Point, n int) []float64 {
	t.Helper()
	s := schedule(t, p)
	out := make([]float64, n)
	last := time.Duration(0)
	for i := range out {
		at, ok := s.Next()
		if !ok {
			t.Fatalf("only %d arrivals", i)
		}
		if at < last {
			t.Fatalf("arrival %d at %v comes before the one before at %v", i, at, last)
		}
		out[i], last = at.Seconds(), at
	}
	return out
}

// process is what a sequence of arrivals looks like to a server: gaps, and numbers in windows.
type process struct{ mean, cv2, corr, dispersion float64 }

func measure(at []float64, window float64) process {
	gaps := make([]float64, len(at)-1)
	for i := range gaps {
		gaps[i] = at[i+1] - at[i]
	}
	mean, variance := moments(gaps)
	cov := 0.0
	for i := range gaps[1:] {
		cov += (gaps[i] - mean) * (gaps[i+1] - mean)
	}
	cov /= float64(len(gaps) - 1)
	counts := make([]float64, int(at[len(at)-1]/window))
	for _, t := range at {
		if i := int(t / window); i < len(counts) {
			counts[i]++
		}
	}
	cm, cv := moments(counts)
	p := process{mean: mean, cv2: variance / mean / mean, dispersion: cv / cm}
	if variance > 0 {
		p.corr = cov / variance
	}
	return p
}

func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(x)-1)
}

// TestRenewalProcesses holds the mean over many seeds of each statistic against its theory, within five standard errors, which
// are taken from the seeds themselves; so a bias of a per cent is seen and chance is not.
func TestRenewalProcesses(t *testing.T) {
	const seeds, n = 200, 4000
	for _, tt := range []struct {
		name string
		a    shape.Arrival
		cv2  float64 // squared coefficient of variation of the gaps: 1/shape
		// dispersion is the theory's index of dispersion in windows of 50 mean gaps. For Poisson it is 1 in any window. For other
		// gamma gaps it is cv² in long ones; in a window of 50 it is still apart by (1-cv⁴)/6 / 50 and less.
		dispersion float64
	}{
		{"Poisson gaps are exponential, independent, and as many in one window as chance has it", shape.Arrival{Kind: shape.Poisson, Rate: 7}, 1, 1},
		{"gamma of shape 1 is Poisson", shape.Arrival{Kind: shape.Gamma, Rate: 7, Burstiness: 1}, 1, 1},
		{"gamma of shape 0.25 comes in bursts", shape.Arrival{Kind: shape.Gamma, Rate: 0.5, Burstiness: 0.25}, 4, 4 + (1-16.0)/6/50},
		{"gamma of shape 4 is more even than Poisson", shape.Arrival{Kind: shape.Gamma, Rate: 900, Burstiness: 4}, 0.25, 0.25 + (1-1.0/16)/6/50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mean, cv2, corr, disp []float64
			for s := range uint64(seeds) {
				m := measure(first(t, point(tt.a, s), n), 50/tt.a.Rate)
				mean, cv2, corr, disp = append(mean, m.mean*tt.a.Rate), append(cv2, m.cv2), append(corr, m.corr), append(disp, m.dispersion)
			}
			for _, c := range []struct {
				name      string
				got       []float64
				want, add float64 // add: what estimates of n values are off by themselves
			}{
				{"mean gap times rate", mean, 1, 0},
				{"squared coefficient of variation", cv2, tt.cv2, 20 * tt.cv2 / n},
				{"autocorrelation of neighbouring gaps", corr, 0, 2.0 / n},
				{"index of dispersion", disp, tt.dispersion, 0.02 * tt.dispersion},
			} {
				m, v := moments(c.got)
				if tol := 5*math.Sqrt(v/seeds) + c.add; math.Abs(m-c.want) > tol || tol > 0.15*max(1, c.want) {
					t.Errorf("%s: %.4f, want %.4f ± %.4f", c.name, m, c.want, tol)
				}
			}
		})
	}
}

// TestGapsFollowTheirDistribution compares Poisson's gaps with the exponential distribution by Kolmogorov and Smirnov.
func TestGapsFollowTheirDistribution(t *testing.T) {
	const n = 20000
	at := first(t, point(shape.Arrival{Kind: shape.Poisson, Rate: 1}, 3), n+1)
	gaps := make([]float64, n)
	for i := range gaps {
		gaps[i] = at[i+1] - at[i]
	}
	slices.Sort(gaps)
	d := 0.0
	for i, g := range gaps {
		d = max(d, math.Abs(1-math.Exp(-g)-(float64(i)+0.5)/n))
	}
	if limit := 1.95 / math.Sqrt(n); d > limit { // p = 0.001
		t.Errorf("the distance from the exponential distribution is %.4f, above %.4f", d, limit)
	}
}

func TestSeeds(t *testing.T) {
	a := shape.Arrival{Kind: shape.Gamma, Rate: 10, Burstiness: 0.5}
	if d := cmp.Diff(first(t, point(a, 1), 1000), first(t, point(a, 1), 1000)); d != "" {
		t.Errorf("the same seed gave another schedule: %s", d)
	}
	x, y := first(t, point(a, 1), 5000), first(t, point(a, 2), 5000)
	if slices.Equal(x, y) {
		t.Error("two seeds gave the same schedule")
	}
	// Neighbouring seeds must not give alike gaps: two consoles started with seeds 1 and 2 are two independent loads.
	gx, gy := make([]float64, 4999), make([]float64, 4999)
	for i := range gx {
		gx[i], gy[i] = x[i+1]-x[i], y[i+1]-y[i]
	}
	mx, vx := moments(gx)
	my, vy := moments(gy)
	cov := 0.0
	for i := range gx {
		cov += (gx[i] - mx) * (gy[i] - my) / float64(len(gx))
	}
	if r := cov / math.Sqrt(vx*vy); math.Abs(r) > 5/math.Sqrt(5000) {
		t.Errorf("the gaps of seeds 1 and 2 are correlated by %.3f", r)
	}
}

// TestWorkersShareOneSequence is the defect of a peer turned into a test: its workers each draw the same gaps, which makes bursts of
// as many requests as there are workers (an index of dispersion of 6 with 10). Here a schedule is one sequence that whoever is free
// takes from; taken by 10 in turn it is the same sequence.
func TestWorkersShareOneSequence(t *testing.T) {
	a := shape.Arrival{Kind: shape.Poisson, Rate: 10}
	all := first(t, point(a, 5), 20000)
	if m := measure(all, 1); math.Abs(m.dispersion-1) > 0.15 {
		t.Errorf("index of dispersion in windows of a second: %.2f, want 1", m.dispersion)
	}
	copies := make([]float64, 0, 20000)
	for range 10 {
		copies = append(copies, first(t, point(shape.Arrival{Kind: shape.Poisson, Rate: 1}, 5), 2000)...)
	}
	slices.Sort(copies)
	if m := measure(copies, 1); m.dispersion < 3 {
		t.Errorf("ten copies of one sequence have an index of dispersion of %.2f: this test would not see the defect", m.dispersion)
	}
}

// TestNoDriftInAnHour adds the same gaps exactly, in nanoseconds of 128 bits in effect, and looks how far the schedule strays.
func TestNoDriftInAnHour(t *testing.T) {
	t.Run("a constant rate is where arithmetic says, to the nanosecond", func(t *testing.T) {
		s := schedule(t, point(shape.Arrival{Kind: shape.Constant, Rate: 333}, 0))
		for i := range 333*3600 + 1 {
			at, ok := s.Next()
			want := time.Duration(math.Round(float64(i) * 1e9 / 333))
			if d := at - want; !ok || d < -1 || d > 1 {
				t.Fatalf("arrival %d at %v, want %v", i, at, want)
			}
		}
	})
	t.Run("a million drawn gaps an hour sum up without loss", func(t *testing.T) {
		p := point(shape.Arrival{Kind: shape.Poisson, Rate: 300}, 9)
		s := schedule(t, p)
		again := schedule(t, p).(*open)
		// The exact sum: each gap split into whole 2^-40 and a rest that float64 adds without error worth the name.
		var whole int64
		var rest float64
		for range 300 * 3600 {
			at, _ := s.Next()
			g := again.gap()
			w := math.Floor(g * (1 << 40))
			whole += int64(w)
			rest += g*(1<<40) - w
			want := (float64(whole>>20)*(1<<20) + float64(whole&(1<<20-1)) + rest) / (1 << 40) / 300
			if d := math.Abs(at.Seconds() - want); d > 2e-9 {
				t.Fatalf("strays by %v s at %v", d, at)
			}
		}
	})
}

func TestSteps(t *testing.T) {
	a := shape.Arrival{Kind: shape.Constant, Rate: 10, Steps: []shape.Step{
		{After: 10 * time.Second, To: 100},
		{After: 20 * time.Second, Over: 10 * time.Second, To: 0},
		{After: 40 * time.Second, To: 5},
		{After: 50 * time.Second, Over: 10 * time.Second, To: 15},
		{After: 70 * time.Second, To: 0},
	}}
	s := schedule(t, point(a, 0))
	count := map[int]int{}
	total := 0
	for {
		at, ok := s.Next()
		if !ok {
			break
		}
		count[int(at.Seconds()-1e-9)/10]++ // an arrival at 20 s sharp ends the window
		if total++; total > 10000 {
			t.Fatal("a rate of 0 for ever must end the schedule")
		}
	}
	// 10/s for 10 s and the one at 0; 100/s; a ramp from 100 to 0; nothing; 5/s; a ramp from 5 to 15; 15/s.
	want := map[int]int{0: 101, 1: 1000, 2: 500, 4: 50, 5: 100, 6: 150}
	if d := cmp.Diff(want, count); d != "" {
		t.Error(d)
	}
	for seed := range uint64(50) {
		p := point(a, seed)
		p.Arrival.Kind = shape.Poisson
		s, n := schedule(t, p), 0
		for {
			if _, ok := s.Next(); !ok {
				break
			}
			n++
		}
		if sd := math.Sqrt(1900); math.Abs(float64(n)-1900) > 5*sd {
			t.Errorf("seed %d: %d arrivals, want 1900 ± %.0f", seed, n, 5*sd)
		}
	}
}

func TestCrowd(t *testing.T) {
	s := time.Second
	for _, tt := range []struct {
		name string
		a    shape.Arrival
		want []Level
	}{
		{"without steps it stays", shape.Arrival{Clients: 3}, []Level{{0, 3}}},
		{"a step is at once", shape.Arrival{Clients: 1, Steps: []shape.Step{{After: 10 * s, To: 16}}}, []Level{{0, 1}, {10 * s, 16}}},
		{"a ramp goes up one by one and is there when its time is over", shape.Arrival{Clients: 1, Steps: []shape.Step{{After: 10 * s, Over: 3 * s, To: 4}}},
			[]Level{{0, 1}, {11 * s, 2}, {12 * s, 3}, {13 * s, 4}}},
		{"a ramp goes down too", shape.Arrival{Clients: 2, Steps: []shape.Step{{Over: 4 * s, To: 0}}}, []Level{{0, 2}, {2 * s, 1}, {4 * s, 0}}},
		{"a step at the start is the start", shape.Arrival{Clients: 2, Steps: []shape.Step{{To: 5}}}, []Level{{0, 5}}},
		{"a step to where it is changes nothing", shape.Arrival{Clients: 2, Steps: []shape.Step{{After: s, To: 2}}}, []Level{{0, 2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, Crowd(tt.a)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestThinking(t *testing.T) {
	l := shape.Length{Draw: shape.Uniform, A: 1, B: 3}
	p := point(shape.Arrival{Kind: shape.Closed, Clients: 2, Think: &l}, 4)
	sum, seen := 0.0, map[time.Duration]bool{}
	for c := range uint32(40) {
		for n := range uint32(50) {
			d := Think(p, c, n)
			if d < time.Second || d > 3*time.Second || d != Think(p, c, n) {
				t.Fatalf("client %d thinks %v", c, d)
			}
			sum += d.Seconds()
			seen[d] = true
		}
	}
	if m := sum / 2000; math.Abs(m-2) > 0.08 || len(seen) < 1990 {
		t.Errorf("mean %.3f s over %d different times", m, len(seen))
	}
	if d := Think(point(shape.Arrival{Kind: shape.Closed}, 0), 0, 0); d != 0 {
		t.Errorf("nobody asked for thinking: %v", d)
	}
}

func TestTraceGivesItsTimes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace.csv")
	if err := os.WriteFile(file, []byte("time,input,output\n100.5,10,5\n100,20,5\n102,1,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := schedule(t, point(shape.Arrival{Kind: shape.Trace, Trace: file}, 0))
	var got []time.Duration
	for {
		at, ok := s.Next()
		if !ok {
			break
		}
		got = append(got, at)
	}
	if d := cmp.Diff([]time.Duration{0, 500 * time.Millisecond, 2 * time.Second}, got); d != "" {
		t.Error(d)
	}
}

func TestNoSchedule(t *testing.T) {
	for _, a := range []shape.Arrival{
		{Kind: shape.Closed, Clients: 1}, {}, {Kind: shape.Poisson}, {Kind: shape.Constant, Rate: math.NaN()},
		{Kind: shape.Gamma, Rate: 1}, {Kind: shape.Gamma, Rate: 1, Burstiness: math.NaN()}, {Kind: shape.Trace, Trace: "/nonexistent"},
	} {
		t.Run(fmt.Sprint(a.Kind, a.Rate), func(t *testing.T) {
			if _, err := New(point(a, 0)); err == nil {
				t.Errorf("%+v has a schedule", a)
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	for _, k := range []shape.Arrival{{Kind: shape.Constant, Rate: 1000}, {Kind: shape.Poisson, Rate: 1000}, {Kind: shape.Gamma, Rate: 1000, Burstiness: 0.3}} {
		b.Run(string(k.Kind), func(b *testing.B) {
			s := schedule(b, point(k, 1))
			for b.Loop() {
				s.Next()
			}
		})
	}
}
