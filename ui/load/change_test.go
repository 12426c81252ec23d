package load

import (
	"strings"
	"testing"
	"time"

	"pitwall/probes/load/shape"
)

func base() shape.Point {
	return shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: 4}, Prompt: shape.Prompt{Length: shape.Tokens(512)}, Output: shape.Output{Length: shape.Tokens(128)}, Cache: shape.Cold}
}

func TestALineChangesWhatItSaysAndNothingElse(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"c 16", "c=16 512→128 cold"},
		{"c=16", "c=16 512→128 cold"},
		{"clients 16 i 1024", "c=16 1024→128 cold"},
		{"r 3.5", "poisson 3.5/s 512→128 cold"},
		{"rate=3.5/s", "poisson 3.5/s 512→128 cold"},
		{"constant r 3.5", "constant 3.5/s 512→128 cold"},
		{"r 2 gamma b 0.4", "gamma 2/s b=0.4 512→128 cold"},
		{"poisson", "poisson 4/s 512→128 cold"},
		{"r 8 closed", "c=8 512→128 cold"},
		{"i uniform:100-900 o 64", "c=4 uniform:100-900→64 cold"},
		{"700->80", "c=4 700→80 cold"},
		{"warm chat", "c=4 512→128 chat warm"},
		{"shared 256 groups 3 warm", "c=4 512→128 shared=256x3 warm"},
		{"turns 6", "c=4 512→128 turns=6 cold"},
		{"free", "c=4 512→≤128 cold"},
		{"whole fresh", "c=4 512→128 unstreamed fresh cold"},
		{"preset long prompt", "c=2 1536→64 cold"},
	} {
		t.Run(tc.line, func(t *testing.T) {
			p, err := Change(base(), tc.line, shape.Presets())
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Filled().String(); got != tc.want {
				t.Errorf("%q makes %q, want %q", tc.line, got, tc.want)
			}
			if why := wrong(p); why != "" {
				t.Errorf("that is wrong: %s", why)
			}
		})
	}
}

func TestALineSetsWhatTheShortTextHasNoWordFor(t *testing.T) {
	p, err := Change(base(), "slo ttft=500ms,tpot=50ms for 2m n 500 max 64 seed 7 temperature 0.7 label night run", nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.SLO != (shape.SLO{TTFT: 500 * time.Millisecond, TPOT: 50 * time.Millisecond}) || p.Stop.After != 2*time.Minute || p.Stop.Requests != 500 || p.MaxInFlight != 64 ||
		p.Seed != 7 || *p.Sampling.Temperature != 0.7 || p.Label != "night run" {
		t.Errorf("it is %+v", p)
	}
	if p, err = Change(p, "slo off", nil); err != nil || p.SLO != (shape.SLO{}) {
		t.Errorf("slo off leaves %+v, %v", p.SLO, err)
	}
}

func TestWhatCantBeMeantIsNamed(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"", "nothing was typed"},
		{"c", "clients: of a closed loop"},
		{"c many", `clients: "many" is no whole number`},
		{"c -3", `clients: "-3" lies below 0`},
		{"r NaN", `rate: "NaN" is no number`},
		{"r inf", `rate: "inf" is no number`},
		{"i 1e9x", `prompt length: "1e9x" is no number`},
		{"a sometimes", `arrival: "sometimes" is none of closed, constant, poisson, gamma, trace`},
		{"a trace", "which file?"},
		{"slo", "slo: what is good enough?"},
		{"slo tftt=5ms", `"tftt=5ms" is none of`},
		{"slo ttft=5", `SLO TTFT: "5" is no time`},
		{"preset nobody", `no preset "nobody": there are chat`},
		{"for soon", `stop after: "soon" is no time`},
		{"bananas", `"bananas" is no word of a load`},
		{"steps 3", `steps: "3" is no step`},
	} {
		t.Run(tc.line, func(t *testing.T) {
			_, err := Change(base(), tc.line, shape.Presets())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q gives %v, want %q", tc.line, err, tc.want)
			}
		})
	}
}

func TestWhatIsWrongIsSaidBeforeItIsStarted(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"c 0", "arrival.clients"}, {"r 0", "arrival.rate"}, {"i 0", "prompt.length"}, {"o 0", "output.length"}, {"r 2 turns 3", "prompt.turns"}, {"shared 600", "prompt.shared"},
	} {
		p, err := Change(base(), tc.line, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := wrong(p); !strings.Contains(got, tc.want) {
			t.Errorf("%q: %q, want %q in it", tc.line, got, tc.want)
		}
	}
}

func TestAFileIsNotOpenedWhileItIsTyped(t *testing.T) {
	p, err := Change(base(), "trace /nowhere/at/all.csv", nil)
	if err != nil {
		t.Fatal(err)
	}
	if why := wrong(p); why != "" {
		t.Errorf("it was looked at: %s", why)
	}
}

func TestStepsGoUpAndComeBack(t *testing.T) {
	p := base()
	for range 100 {
		p = Step(p, 1)
	}
	if p.Arrival.Clients <= 100 || p.Arrival.Clients > mostByKey {
		t.Errorf("a hundred steps up are %d clients", p.Arrival.Clients)
	}
	for range 400 {
		p = Step(p, -1)
	}
	if p.Arrival.Clients != 1 {
		t.Errorf("and all the way down %d", p.Arrival.Clients)
	}
	if p = Scale(Scale(base(), 1), 1); p.Arrival.Clients != 16 {
		t.Errorf("twice twice four are %d", p.Arrival.Clients)
	}
	if p = Scale(withClients(base(), 1), -1); p.Arrival.Clients != 1 {
		t.Errorf("half of one client is %d", p.Arrival.Clients)
	}
	r, err := Change(base(), "r 1", nil)
	if err != nil {
		t.Fatal(err)
	}
	var seen []float64
	for range 13 {
		r = Step(r, 1)
		seen = append(seen, r.Arrival.Rate)
	}
	for i, want := range []float64{1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 4, 5, 6, 7, 8.5, 10, 12} {
		if seen[i] != want {
			t.Fatalf("the rates go %v", seen)
		}
	}
	for range 13 {
		r = Step(r, -1)
	}
	if r.Arrival.Rate != 1 {
		t.Errorf("and come back to %v", r.Arrival.Rate)
	}
	for range 200 {
		r = Step(r, -1)
	}
	if r.Arrival.Rate < leastRate || r.Arrival.Rate > 2*leastRate {
		t.Errorf("the least rate is %v", r.Arrival.Rate)
	}
	trace := shape.Point{Arrival: shape.Arrival{Kind: shape.Trace, Trace: "x.csv"}}
	if got := Step(trace, 1); got.Arrival.Trace != "x.csv" || got.Arrival.Rate != 0 {
		t.Errorf("a trace was stepped: %+v", got.Arrival)
	}
}

// FuzzChange: whatever is typed, it is an error or a point whose short text is written; nothing panics, and no error holds a
// control character.
func FuzzChange(f *testing.F) {
	for _, s := range []string{"c 16", "r 3.5 poisson", "i uniform:1-2 o 5", "slo ttft=1s,tpot=2ms", "preset chat", "label \x1b[31m", "steps 10@30s,20@1m+5s", "512->128", "c=99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p, err := Change(base(), line, shape.Presets())
		if err != nil {
			return
		}
		_ = p.Filled().String()
		_ = wrong(p)
		_, _ = Step(p, 1), Scale(p, -1)
	})
}
