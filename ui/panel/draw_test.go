package panel_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/golden"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/panel"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

var nan = math.NaN()

// wave makes a series of n columns around a mean.
func wave(n int, mean, swing float64, phase int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = mean + swing*math.Sin(float64(i+phase)/6)
	}
	return out
}

func series(values []float64, pairs ...string) panel.Series {
	s := panel.Series{Labels: labels.FromStrings(pairs...), Values: values, Now: figure.Of(nan)}
	for _, v := range values {
		if math.IsNaN(v) {
			continue
		}
		if !s.Peak.OK || v > s.Peak.V {
			s.Peak = figure.Of(v)
		}
		if !s.Low.OK || v < s.Low.V {
			s.Low = figure.Of(v)
		}
		s.Now = figure.Of(v)
	}
	return s
}

func answer(s ...panel.Series) panel.Answer { return panel.Answer{Series: s} }

// buckets makes cumulative buckets that wander upwards.
func buckets(n int) panel.Answer {
	var out []panel.Series
	bounds := []string{"0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"}
	for i, le := range bounds {
		v := make([]float64, n)
		for x := range v {
			centre := float64(x) / float64(n) * 5
			v[x] = 4 / (1 + math.Exp(centre-float64(i)))
			if x > n/2 && x < n/2+4 {
				v[x] = nan
			}
		}
		out = append(out, series(v, "le", le))
	}
	return panel.Answer{Series: out}
}

func gap(v []float64, from, to int) []float64 {
	for i := from; i < to && i < len(v); i++ {
		v[i] = nan
	}
	return v
}

// scene is one panel with its data.
type scene struct {
	name string
	spec panel.Spec
	data panel.Data
	mark bool
}

func spec(t *testing.T, text string) panel.Spec {
	t.Helper()
	f, faults := panel.Parse("test.yaml", []byte("panels:\n  - "+strings.ReplaceAll(text, "\n", "\n    ")))
	for _, x := range faults {
		if !x.Warning {
			t.Log(x)
		}
	}
	b, _ := panel.NewBook("", f)
	s, ok := b.Panel(f.Panels[0].ID)
	if !ok {
		t.Fatal("no panel")
	}
	return s
}

func scenes(t *testing.T) []scene {
	n := 200
	three := panel.Data{Answers: []panel.Answer{answer(
		series(wave(n, 20, 8, 0), "gpu", "0"), series(gap(wave(n, 12, 4, 9), 150, 160), "gpu", "1"), series(wave(n, 30, 3, 20), "gpu", "2"))}}
	full := wave(n, 0.9, 0.12, 0)
	for i := range full {
		full[i] = min(full[i], 1)
	}
	return []scene{
		{"line", spec(t, "id: a\ntitle: power\nunit: W\ndraw: line\nsort: name\nqueries: [{expr: x, legend: 'GPU {{gpu}}'}]"), three, false},
		{"line-marked", spec(t, "id: a\ntitle: power\nunit: W\nqueries: [{expr: x, legend: 'GPU {{gpu}}'}]"),
			panel.Data{Answers: []panel.Answer{answer(panel.Series{Labels: labels.FromStrings("gpu", "0"), Values: wave(n, 20, 8, 0), Now: figure.Of(20), Before: figure.Of(12), After: figure.Of(25)})}}, true},
		{"area", spec(t, "id: a\ntitle: KV\nunit: ratio\ndraw: area\nmax: 1\nqueries: [{expr: x, legend: used}]\nthresholds: [{from: 0.9, level: warn, word: high}, {from: 0.98, level: bad, word: FULL}]"),
			panel.Data{Answers: []panel.Answer{answer(series(full))}}, false},
		{"stacked", spec(t, "id: a\ntitle: tokens\nunit: tokens/s\ndraw: stacked\nqueries: [{expr: x}]"), three, false},
		{"negative", spec(t, "id: a\ntitle: delta\nunit: none\nqueries: [{expr: x}]"), panel.Data{Answers: []panel.Answer{answer(series(wave(n, 0, 5, 0)))}}, false},
		{"heat", spec(t, "id: a\ntitle: TTFT\nunit: s\ndraw: heat\nqueries: [{expr: 'sum by (le) (rate(x_bucket[$w]))'}]"), panel.Data{Answers: []panel.Answer{buckets(n)}}, false},
		{"bars", spec(t, "id: a\ntitle: limits\nunit: ratio\ndraw: bars\nmax: 1\nqueries: [{expr: x, legend: '{{gpu}}'}]\nthresholds: [{from: 0.5, level: warn, word: high}]"),
			panel.Data{Answers: []panel.Answer{answer(series([]float64{.12}, "gpu", "GPU 0 power cap"), series([]float64{.81}, "gpu", "GPU 1 thermal"), series([]float64{nan}, "gpu", "GPU 2 lost"))}}, false},
		{"number", spec(t, "id: a\ntitle: p99\nunit: s\ndraw: number\nqueries: [{expr: x}]\nthresholds: [{from: 0.02, level: bad, word: SLOW}]"), panel.Data{Answers: []panel.Answer{answer(series(wave(n, .02, .01, 0)))}}, false},
		{"numbers", spec(t, "id: a\ntitle: GPUs\nunit: percent\ndraw: number\nqueries: [{expr: x, legend: 'GPU {{gpu}}'}]"), three, false},
		{"table", spec(t, "id: a\ntitle: processes\nunit: bytes\ndraw: table\nqueries: [{id: rss, expr: x}, {id: swap, expr: y}]"),
			panel.Data{Answers: []panel.Answer{
				answer(series([]float64{3 << 30}, "title", "EngineCore", "pid", "412"), series([]float64{1 << 30}, "title", "APIServer", "pid", "398")),
				answer(series([]float64{0}, "title", "EngineCore", "pid", "412"))}}, false},
		{"empty", spec(t, "id: a\ntitle: steps\nunit: /s\nqueries: [{expr: x}]"), panel.Data{Answers: []panel.Answer{{Reason: "the Rust frontend of vLLM has none"}}}, false},
		{"broken", spec(t, "id: a\ntitle: wrong\nunit: s\nqueries: [{expr: 'sum(rate(x[5m])'}]"), panel.Data{Answers: []panel.Answer{{}}}, false},
		{"half-broken", spec(t, "id: a\ntitle: half\nunit: s\nqueries: [{id: good, expr: x}, {id: bad, expr: 'y['}]"), panel.Data{Answers: []panel.Answer{answer(series(wave(n, 2, 1, 0))), {}}}, false},
		{"hostile", spec(t, "id: a\ntitle: names\nunit: none\nqueries: [{expr: x}]"),
			panel.Data{Answers: []panel.Answer{answer(series(wave(n, 2, 1, 0), "n", "\x1b[31mred\u202e"+strings.Repeat("long", 300)), series(wave(n, 1, 1, 0), "n", "语言模型"))}}, false},
	}
}

func drawn(s scene, w, h int, ascii bool) string {
	c := grid.New(w, h)
	end := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := panel.Split(c.Pane(), func(cols int) plot.Timeline { return plot.NewTimeline(end, 5*time.Minute, cols) })
	r.ASCII, r.Marked = ascii, s.mark
	panel.Draw(s.spec, s.data, r)
	return ansi.Strip(c.String(theme.New(theme.Options{Dark: true, Profile: colorprofile.TrueColor}), ascii))
}

func TestGolden(t *testing.T) {
	for _, s := range scenes(t) {
		for _, size := range [][2]int{{38, 4}, {78, 9}, {119, 14}} {
			for _, ascii := range []bool{false, true} {
				if ascii && size[0] != 78 {
					continue
				}
				name := s.name + "/" + map[int]string{38: "38x4", 78: "78x9", 119: "119x14"}[size[0]]
				if ascii {
					name += "-ascii"
				}
				t.Run(name, func(t *testing.T) { golden.RequireEqual(t, drawn(s, size[0], size[1], ascii)) })
			}
		}
	}
}

func TestEveryDrawingStaysInItsBoxAtAnySize(t *testing.T) {
	list := scenes(t)
	for _, s := range scenes(t) { // and what is sent where nothing was asked for
		s.data = panel.Data{}
		list = append(list, s)
	}
	for _, s := range list {
		for _, w := range []int{0, 1, 2, 5, 7, 12, 21, 33, 60, 161, 500} {
			for _, h := range []int{0, 1, 2, 3, 4, 7, 20, 60} {
				out := drawn(s, w, h, false)
				lines := strings.Split(out, "\n")
				if len(lines) > max(h, 1) {
					t.Errorf("%s at %dx%d: %d lines", s.name, w, h, len(lines))
				}
				for _, l := range lines {
					if ansi.StringWidthWc(l) > w {
						t.Errorf("%s at %dx%d: %q is too wide", s.name, w, h, l)
					}
				}
			}
		}
	}
}

func TestWithoutColoursLayersAndLinesAreToldApart(t *testing.T) {
	var many []panel.Series
	for i := range 16 {
		many = append(many, series(wave(100, float64(i+1), 0, 0), "n", string(rune('a'+i))))
	}
	s := scene{spec: spec(t, "id: a\ntitle: t\nunit: none\ndraw: stacked\nqueries: [{expr: x}]"), data: panel.Data{Answers: []panel.Answer{answer(many[:4]...)}}}
	out := drawn(s, 100, 20, false)
	for _, glyph := range []string{"█ a", "▒ b", "▓ c", "░ d"} {
		if !strings.Contains(out, glyph) {
			t.Errorf("no %q in\n%s", glyph, out)
		}
	}
}
