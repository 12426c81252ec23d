package live

import (
	"fmt"
	"testing"
)

func TestLayoutKeepsEverythingInsideAndApart(t *testing.T) {
	for _, size := range [][2]int{{60, 15}, {61, 16}, {80, 24}, {100, 30}, {120, 34}, {131, 40}, {132, 24}, {160, 45}, {200, 50}, {240, 70}, {300, 80}, {500, 200}, {132, 15}} {
		for _, shape := range []Shape{{Engine: true, GPUs: 1, Bar: true}, {Engine: false, Bar: true}, {Engine: true, GPUs: 1}, {Engine: true, GPUs: 8}, {Engine: true, GPUs: 0}, {Engine: false, GPUs: 1}, {Engine: false, GPUs: 0}, {Engine: true, GPUs: 16}} {
			t.Run(fmt.Sprintf("%dx%d %+v", size[0], size[1], shape), func(t *testing.T) {
				w, h := size[0], size[1]
				p := Layout(w, h, shape)
				used := make([]string, w*h)
				for _, b := range p.Boxes {
					if b.H < 0 || b.W < 1 || b.X < 1 || b.Y <= head || b.X+b.W > w-1 || b.Y+b.H > h-1 {
						t.Errorf("%s is outside: %+v", b.Panel, b.Rect)
						continue
					}
					for y := b.Y; y < b.Y+b.H; y++ {
						for x := b.X; x < b.X+b.W; x++ {
							if used[y*w+x] != "" {
								t.Fatalf("%s lies on %s at %d,%d", b.Panel, used[y*w+x], x, y)
							}
							used[y*w+x] = b.Panel
						}
					}
				}
				// Every line between the head and the last one belongs to a panel or is a border.
				for y := head; y < h; y++ {
					border := false
					for _, r := range p.Rows {
						border = border || r.Y == y
					}
					if !border && used[y*w+1] == "" {
						t.Errorf("line %d is neither a panel nor a border", y)
					}
				}
			})
		}
	}
}

func TestLayoutDropsTheLeastImportantFirst(t *testing.T) {
	has := func(w, h int, s Shape) map[string]bool {
		out := map[string]bool{}
		for _, b := range Layout(w, h, s).Boxes {
			out[b.Panel] = true
		}
		return out
	}
	for _, tc := range []struct {
		name     string
		w, h     int
		s        Shape
		in, gone []string
	}{
		{"at 80x24 all six panels are there, the events are a line on the axis", 80, 24, Shape{Engine: true, GPUs: 1}, []string{"queue", "latency", "throughput", "cache", "gpu", "host"}, []string{"events"}},
		{"at 60x15 queue, latency and GPU are left", 60, 15, Shape{Engine: true, GPUs: 1}, []string{"queue", "latency", "gpu"}, []string{"events", "host", "throughput"}},
		{"at 160x45 everything is there", 160, 45, Shape{Engine: true, GPUs: 1}, []string{"queue", "latency", "throughput", "cache", "gpu", "host", "events"}, nil},
		{"without a GPU its panel gives its rows away", 160, 45, Shape{Engine: true, GPUs: 0}, []string{"host"}, []string{"gpu"}},
		{"without an engine one box says what to do", 160, 45, Shape{Engine: false, GPUs: 1}, []string{"engine", "gpu", "host"}, []string{"queue", "latency", "throughput", "cache"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := has(tc.w, tc.h, tc.s)
			for _, id := range tc.in {
				if !got[id] {
					t.Errorf("%s is missing", id)
				}
			}
			for _, id := range tc.gone {
				if got[id] {
					t.Errorf("%s is there", id)
				}
			}
		})
	}
	if !Layout(59, 24, Shape{}).TooSmall || !Layout(80, 14, Shape{}).TooSmall || Layout(60, 15, Shape{}).TooSmall {
		t.Error("the smallest size is 60x15")
	}
}

func TestChartsOfAColumnShareOneTimeAxis(t *testing.T) {
	for _, w := range []int{60, 80, 131, 132, 160, 161, 240, 300} {
		m := New(Options{})
		m.w, m.h = w, 45
		v := view{m: m}
		p := Layout(w, 45, Shape{Engine: true, GPUs: 1})
		for _, a := range p.Axes {
			axis := v.geometryAt(a.W).timeline
			for _, b := range p.Boxes {
				if b.X != a.X || b.Panel == "events" {
					continue
				}
				if got := v.geometryAt(b.W).timeline; got != axis {
					t.Errorf("width %d: the chart of %s has %d columns, its axis %d", w, b.Panel, got.Columns, axis.Columns)
				}
			}
		}
	}
}
