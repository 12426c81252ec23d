package shape

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// write makes a file and gives its path.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func closed(c, in, out int) Point {
	return Point{Arrival: Arrival{Kind: Closed, Clients: c}, Prompt: Prompt{Length: Tokens(in)}, Output: Output{Length: Tokens(out)}}
}

// everything is a point that sets all there is.
func everything() Point {
	temperature, topP, seed := 0.7, 0.9, int64(-3)
	think := Length{Draw: Lognormal, A: 1.5, B: 0.5, Most: 10}
	return Point{
		Label: "a \"label\": of mine",
		Arrival: Arrival{Kind: Gamma, Clients: 3, Think: &think, Rate: 1.0 / 3, Burstiness: 0.1,
			Steps: []Step{{After: 90 * time.Second, To: 2.5}, {After: 2 * time.Minute, Over: 1500 * time.Millisecond, To: 0}}, Trace: "a b.csv"},
		Prompt:   Prompt{Length: Length{Draw: Uniform, A: 100, B: 900}, File: "p.jsonl", Shared: 64, Groups: 3, Turns: 4},
		Output:   Output{Length: Length{Draw: Normal, A: 128, B: 16}, Free: true},
		Sampling: Sampling{Temperature: &temperature, TopP: &topP, Seed: &seed},
		API:      Chat, Unstreamed: true, Fresh: true, Cache: Cold, MaxInFlight: 77,
		Stop:            Stop{Requests: 1, After: time.Hour, Tokens: 3, Errors: 4, Precision: 0.05},
		FirstByteWithin: time.Minute, StallWithin: time.Second + time.Nanosecond, Seed: math.MaxUint64,
		Body:    map[string]any{"top_k": int64(5), "min_p": 0.1, "deep": map[string]any{"list": []any{"a", true, nil, int64(1) << 60}}},
		Headers: map[string]string{"X-Tenant": "blue: 1"}, KeepText: true,
		SLO: SLO{TTFT: 300 * time.Millisecond, TPOT: 25 * time.Millisecond, E2E: 10 * time.Second, Share: 0.95},
	}
}

func TestRoundTrip(t *testing.T) {
	points := []Point{everything(), everything().Filled(), {}, Point{}.Filled(), closed(16, 512, 128), closed(1, 1, 1).Filled()}
	for _, p := range Presets() {
		points = append(points, p.Point, p.Point.Filled())
	}
	for _, p := range points {
		t.Run(p.String(), func(t *testing.T) {
			j, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var back Point
			if err := json.Unmarshal(j, &back); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(p, back); d != "" {
				t.Errorf("through JSON %s:\n%s", j, d)
			}
			y, err := yaml.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if back, err = Parse("p.yaml", y); err != nil {
				t.Fatalf("%v in\n%s", err, y)
			}
			if d := cmp.Diff(p, back); d != "" {
				t.Errorf("through YAML:\n%s\n%s", y, d)
			}
		})
	}
}

// TestAllIsSet makes sure that the round trip tries every field there is, the next one too.
func TestAllIsSet(t *testing.T) {
	j, err := json.Marshal(everything())
	if err != nil {
		t.Fatal(err)
	}
	empty, err := json.Marshal(Point{})
	if err != nil {
		t.Fatal(err)
	}
	var all, none map[string]json.RawMessage
	if json.Unmarshal(j, &all) != nil || json.Unmarshal(empty, &none) != nil {
		t.Fatal("no objects")
	}
	for k, v := range none {
		if string(all[k]) == string(v) {
			t.Errorf("%s is not set in everything()", k)
		}
	}
	if len(all) != 18 {
		t.Errorf("a point has %d keys in everything(), 18 are known to this test", len(all))
	}
}

func TestLengths(t *testing.T) {
	file := write(t, "lengths", "# measured\n10\n20 # and a word\n\n30\n")
	for _, tt := range []struct {
		text        string
		least, most int // of 3,000 draws
		mean        float64
	}{
		{"512", 512, 512, 512},
		{"1", 1, 1, 1},
		{"uniform:100-199", 100, 199, 149.5},
		{"uniform:5-5", 5, 5, 5},
		{"normal:512,64", 256, 768, 512},
		{"normal:512,64,600", 256, 600, 501.2},
		{"normal:3,1", 1, 7, 3},
		{"lognormal:512,0.5", 69, 3783, 580},
		{"lognormal:512,0.5,1000", 69, 1000, 509.6},
		{"file:" + file, 10, 30, 20},
	} {
		t.Run(tt.text, func(t *testing.T) {
			l, err := ParseLength(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if l.String() != tt.text {
				t.Errorf("written as %q", l)
			}
			if l, err = l.Read(); err != nil {
				t.Fatal(err)
			}
			r, sum, n := rand.New(rand.NewPCG(1, 2)), 0.0, 3000
			for range n {
				v := l.Whole(r)
				if v < tt.least || v > tt.most {
					t.Fatalf("drew %d, want %d to %d", v, tt.least, tt.most)
				}
				sum += float64(v)
			}
			if m := sum / float64(n); math.Abs(m-tt.mean) > 0.025*tt.mean {
				t.Errorf("mean %.1f, want %.1f", m, tt.mean)
			}
			if _, most := l.Bounds(); most > float64(tt.most)+1 {
				t.Errorf("Bounds says up to %v, want %d", most, tt.most)
			}
		})
	}
	t.Run("every whole number of a range is drawn equally often, its ends too", func(t *testing.T) {
		l, _ := ParseLength("uniform:1-4")
		r, n := rand.New(rand.NewPCG(1, 2)), [5]int{}
		for range 4000 {
			n[l.Whole(r)]++
		}
		for _, c := range n[1:] {
			if c < 850 || c > 1150 {
				t.Errorf("drawn %v times", n)
			}
		}
	})
}

func TestWrongLengths(t *testing.T) {
	for text, want := range map[string]string{
		"many":              `"many" is no number; a length is`,
		"NaN":               "NaN is no length",
		"-5":                "-5 is no length",
		"inf":               "is no length",
		"1e12":              "is no length",
		"unifrom:1-2":       `did you mean "uniform"?`,
		"uniform:5":         "the two ends",
		"uniform:9-5":       "lower end is above",
		"uniform:a-b":       `"a" is no number`,
		"normal:5":          "two numbers are wanted",
		"normal:5,1,0":      "most must be above 0",
		"normal:5,1,4":      "most lies below the middle",
		"normal:5,1,9,9":    "two numbers are wanted",
		"lognormal:0,1":     "median must be above 0",
		"lognormal:100,300": "sigma above 4",
		"file:":             "names no file",
		"zebra:1":           "there are uniform, normal, lognormal and file",
	} {
		t.Run(text, func(t *testing.T) {
			if _, err := ParseLength(text); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestShortText(t *testing.T) {
	think := Tokens(2)
	for _, tt := range []struct {
		want string
		p    Point
	}{
		{"c=16 512→128 chat cold", Point{Arrival: Arrival{Kind: Closed, Clients: 16}, Prompt: Prompt{Length: Tokens(512)}, Output: Output{Length: Tokens(128)}, API: Chat, Cache: Cold}},
		{"poisson 3.5/s 512→128", Point{Arrival: Arrival{Kind: Poisson, Rate: 3.5}, Prompt: Prompt{Length: Tokens(512)}, Output: Output{Length: Tokens(128)}}},
		{"gamma 0.25/s b=0.4 steps=1@30s,0@1m30s+10s uniform:10-90→≤64", Point{Arrival: Arrival{Kind: Gamma, Rate: 0.25, Burstiness: 0.4,
			Steps: []Step{{After: 30 * time.Second, To: 1}, {After: 90 * time.Second, Over: 10 * time.Second}}},
			Prompt: Prompt{Length: Length{Draw: Uniform, A: 10, B: 90}}, Output: Output{Length: Tokens(64), Free: true}}},
		{"c=2 think=2 640→64 shared=512x4 turns=6 unstreamed fresh warm", Point{Arrival: Arrival{Kind: Closed, Clients: 2, Think: &think},
			Prompt: Prompt{Length: Tokens(640), Shared: 512, Groups: 4, Turns: 6}, Output: Output{Length: Tokens(64)}, Unstreamed: true, Fresh: true, Cache: Warm}},
		{"constant 1000/s file:p.jsonl→9 completions", Point{Arrival: Arrival{Kind: Constant, Rate: 1000}, Prompt: Prompt{File: "p.jsonl"}, Output: Output{Length: Tokens(9)}, API: Completions}},
		{"trace azure.csv", Point{Arrival: Arrival{Kind: Trace, Trace: "azure.csv"}}},
		{"trace azure.csv →128 warm", Point{Arrival: Arrival{Kind: Trace, Trace: "azure.csv"}, Output: Output{Length: Tokens(128)}, Cache: Warm}},
	} {
		t.Run(tt.want, func(t *testing.T) {
			if got := tt.p.String(); got != tt.want {
				t.Errorf("got %q", got)
			}
			back, err := Point{}.ParseText(tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.p, back); d != "" {
				t.Errorf("read back: %s", d)
			}
		})
	}
	t.Run("a line changes what it names and leaves the rest", func(t *testing.T) {
		p := everything()
		q, err := p.ParseText("c=4 ->32 warm")
		if err != nil {
			t.Fatal(err)
		}
		p.Arrival.Clients, p.Arrival.Kind, p.Arrival.Rate, p.Arrival.Burstiness, p.Arrival.Trace = 4, Closed, 0, 0, ""
		p.Output, p.Cache = Output{Length: Tokens(32)}, Warm
		if d := cmp.Diff(p, q); d != "" {
			t.Error(d)
		}
	})
	for line, want := range map[string]string{
		"c=four": `c: "four" is no whole number`, "512→many": `output length: "many"`, "colt": `"colt" is no word of a load: did you mean "cold"?`,
		"c=1 x=2": `"x=2" is no word of a load`, "fast/s": `"fast/s" is no rate`, "steps=5": `is no step`, "steps=5@soon": `"soon" is no time`,
		"steps=5@1s+x": `"x" is no time`, "shared=1xy": `shared: "y"`, "think=-1": "think: -1 is no length", "turns=1.5": "turns:",
	} {
		t.Run(line, func(t *testing.T) {
			if _, err := (Point{}).ParseText(line); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestFilled(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    Point
		want func(Point) bool
	}{
		{"clients make a closed loop", Point{Arrival: Arrival{Clients: 2}}, func(p Point) bool { return p.Arrival.Kind == Closed && p.MaxInFlight == 0 }},
		{"nothing at all is a closed loop without clients, which Validate refuses", Point{}, func(p Point) bool { return p.Arrival.Kind == Closed && p.Validate() != nil }},
		{"a rate is Poisson", Point{Arrival: Arrival{Rate: 2}}, func(p Point) bool { return p.Arrival.Kind == Poisson && p.MaxInFlight == 4096 }},
		{"a rate with burstiness is gamma", Point{Arrival: Arrival{Rate: 2, Burstiness: 0.5}}, func(p Point) bool { return p.Arrival.Kind == Gamma }},
		{"gamma's burstiness is 1", Point{Arrival: Arrival{Kind: Gamma, Rate: 2}}, func(p Point) bool { return p.Arrival.Burstiness == 1 }},
		{"a file is a trace", Point{Arrival: Arrival{Trace: "x"}}, func(p Point) bool { return p.Arrival.Kind == Trace }},
		{"prompts are cold", Point{}, func(p Point) bool { return p.Cache == Cold }},
		{"shared prompts are warm, and one group", Point{Prompt: Prompt{Shared: 5}}, func(p Point) bool { return p.Cache == Warm && p.Prompt.Groups == 1 }},
		{"conversations are warm", Point{Prompt: Prompt{Turns: 2}}, func(p Point) bool { return p.Cache == Warm }},
		{"what was said stays", Point{Prompt: Prompt{Turns: 2}, Cache: Cold}, func(p Point) bool { return p.Cache == Cold }},
		{"sampling is greedy", Point{}, func(p Point) bool {
			return *p.Sampling.Temperature == 0 && *p.Sampling.TopP == 1 && p.Sampling.Seed == nil
		}},
		{"waiting has an end", Point{}, func(p Point) bool { return p.FirstByteWithin == 10*time.Minute && p.StallWithin == 2*time.Minute }},
		{"an SLO is for 99 %", Point{SLO: SLO{TTFT: 1}}, func(p Point) bool { return p.SLO.Share == 0.99 }},
		{"no SLO is none", Point{}, func(p Point) bool { return p.SLO == SLO{} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.p.Filled()
			if !tt.want(got) {
				t.Errorf("%+v", got)
			}
			if d := cmp.Diff(got, got.Filled()); d != "" {
				t.Errorf("filled twice is not filled once: %s", d)
			}
		})
	}
}

func TestPresets(t *testing.T) {
	var names []string
	for _, p := range Presets() {
		names = append(names, p.Name)
		q := p.Point.Filled()
		if err := q.Validate(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if err := q.Check(Limits{MaxModelLen: 2048}); err != nil {
			t.Errorf("%s does not fit a small server: %v", p.Name, err)
		}
		if p.About == "" || q.SLO == (SLO{}) {
			t.Errorf("%s says too little", p.Name)
		}
	}
	if want := []string{"chat", "long prompt", "summarise", "agent turns"}; !slices.Equal(names, want) {
		t.Errorf("presets %q", names)
	}
}
