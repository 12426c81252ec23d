package plot_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

var nan = math.NaN()

// draw gives what f draws, without colours, on w by h cells.
func draw(w, h int, f func(p grid.Pane)) string {
	c := grid.New(w, h)
	f(c.Pane())
	return ansi.Strip(c.String(theme.New(theme.Options{Dark: true, Profile: colorprofile.TrueColor}), false))
}

func TestScaleIsARoundNumberThatHoldsThePeak(t *testing.T) {
	for _, tc := range []struct{ peak, least, want float64 }{
		{0, 4, 4}, {3, 4, 4}, {5, 4, 5}, {101, 4, 150}, {5810, 10, 6000}, {0.37, 0.01, 0.4}, {256, 4, 300}, {200, 4, 200}, {nan, 10, 10}, {math.Inf(1), 10, 10}, {-5, 0, 1},
	} {
		if got := plot.Scale(tc.peak, tc.least); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("Scale(%v, %v) = %v, want %v", tc.peak, tc.least, got, tc.want)
		}
	}
}

func TestArea(t *testing.T) {
	for _, tc := range []struct {
		name   string
		w, h   int
		top    float64
		layers []plot.Layer
		want   string
	}{
		{"values stand on the floor, to an eighth of a cell", 4, 2, 16, []plot.Layer{{Values: []float64{16, 12, 8, 1}, Ink: theme.A}}, "█▄\n███▁"},
		{"a gap stays a gap", 3, 1, 8, []plot.Layer{{Values: []float64{8, nan, 8}, Ink: theme.A}}, "█ █"},
		{"zero is empty, a little is not", 2, 1, 1000, []plot.Layer{{Values: []float64{0, 1}, Ink: theme.A}}, " ▁"},
		{"fewer values than columns are the latest ones", 4, 1, 8, []plot.Layer{{Values: []float64{8, 4}, Ink: theme.A}}, "  █▄"},
		{"more values than columns: the oldest are cut", 2, 1, 8, []plot.Layer{{Values: []float64{1, 8, 4}, Ink: theme.A}}, "█▄"},
		{"beyond the top is cut to the frame, infinity too", 2, 1, 8, []plot.Layer{{Values: []float64{99, math.Inf(1)}, Ink: theme.A}}, "██"},
		{"a layer stands on the one below, shaded", 2, 2, 16, []plot.Layer{{Values: []float64{8, 4}, Ink: theme.A}, {Values: []float64{8, 12}, Ink: theme.B}}, "▒▒\n█▄"},
		{"no values leave the frame empty", 2, 1, 8, []plot.Layer{{}}, ""},
		{"a scale that is no scale draws nothing", 2, 1, nan, []plot.Layer{{Values: []float64{8, 4}}}, ""},
		{"negative values are nothing", 1, 1, 8, []plot.Layer{{Values: []float64{-3}, Ink: theme.A}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := draw(tc.w, tc.h, func(p grid.Pane) { plot.Area(p, tc.top, tc.layers...) }); strings.TrimRight(got, "\n ") != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestLinesSurviveWhatAsciigraphDoesNot(t *testing.T) {
	for name, s := range map[string][]float64{
		"nothing": nil, "only gaps": {nan, nan}, "infinity": {1, math.Inf(1), math.Inf(-1)}, "one value": {3}, "flat": {5, 5, 5, 5, 5, 5}, "flat at zero": {0, 0, 0},
		"beyond both ends": {-10, 99}, "gaps between": {1, nan, 2, nan, nan, 3},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range [][2]int{{0, 0}, {1, 1}, {2, 2}, {6, 3}, {40, 10}} {
				out := draw(size[0], size[1], func(p grid.Pane) { plot.Lines(p, 10, [][]float64{s, s}, []theme.Ink{theme.A, theme.B}) })
				for _, l := range strings.Split(out, "\n") {
					if ansi.StringWidth(l) > size[0] {
						t.Errorf("%v: %q is too wide", size, l)
					}
				}
			}
		})
	}
}

func TestLinesKeepEveryColumn(t *testing.T) {
	// A spike of one column is what asciigraph's own resampling loses.
	values := make([]float64, 30)
	values[11] = 10
	out := strings.Split(draw(30, 5, func(p grid.Pane) { plot.Lines(p, 10, [][]float64{values}, []theme.Ink{theme.A}) }), "\n")
	if !strings.ContainsAny(out[0], "╭╮─") {
		t.Errorf("the spike is not on the top line:\n%s", strings.Join(out, "\n"))
	}
	if w := ansi.StringWidth(out[4]); w != 30 {
		t.Errorf("the line is %d columns long, want 30:\n%s", w, strings.Join(out, "\n"))
	}
}

func TestSparkShowsZeroAsALineAndAbsenceAsAGap(t *testing.T) {
	if got := draw(4, 1, func(p grid.Pane) { plot.Spark(p, 100, []float64{0, nan, 50, 100}, theme.A) }); got != "▁ ▄▇" {
		t.Errorf("got %q", got)
	}
}

func TestBar(t *testing.T) {
	for _, tc := range []struct {
		ratio float64
		want  string
	}{{0, "────"}, {0.5, "██──"}, {0.53, "██▏─"}, {1, "████"}, {7, "████"}, {-1, "────"}, {nan, "────"}} {
		if got := draw(4, 1, func(p grid.Pane) { plot.Bar(p, tc.ratio, theme.A, theme.Border) }); got != tc.want {
			t.Errorf("Bar(%v) = %q, want %q", tc.ratio, got, tc.want)
		}
	}
}

func TestHangBeginsAtTheUpperEdge(t *testing.T) {
	got := draw(2, 2, func(p grid.Pane) { plot.Hang(p, 16, plot.Layer{Values: []float64{16, 8}, Ink: theme.C}) })
	if got != "██\n█" {
		t.Errorf("got %q", got)
	}
}

func TestAxisWritesRoundTicksBesideTheirRows(t *testing.T) {
	got := draw(6, 5, func(p grid.Pane) { plot.Axis{Top: 100, Format: figure.Short}.Draw(p, theme.Faint, theme.Border) })
	if want := "  100┤\n     │\n   50┤\n     │\n    0┤"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAChartMovesByWholeColumnsOnly(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	moves := 0
	last := plot.NewTimeline(at, 5*time.Minute, 60).End
	for s := 1; s <= 300; s++ {
		l := plot.NewTimeline(at.Add(time.Duration(s)*time.Second), 5*time.Minute, 60)
		if l.Step != 5*time.Second {
			t.Fatalf("step %v", l.Step)
		}
		if d := l.End.Sub(last); d != 0 {
			moves++
			if d != l.Step {
				t.Fatalf("moved by %v", d)
			}
		}
		last = l.End
	}
	if moves != 60 {
		t.Errorf("moved %d times in five minutes, want 60", moves)
	}
}

func TestTimelineColumns(t *testing.T) {
	now := time.Unix(1_000_003, 0)
	l := plot.NewTimeline(now, time.Minute, 12)
	if c, ok := l.Column(now); !ok || c != 11 {
		t.Errorf("now is in column %d, %v", c, ok)
	}
	if c, ok := l.Column(l.Begin()); !ok || c != 0 {
		t.Errorf("the beginning is in column %d, %v", c, ok)
	}
	for name, at := range map[string]time.Time{"before": l.Begin().Add(-time.Nanosecond), "after": l.End} {
		if _, ok := l.Column(at); ok {
			t.Errorf("a moment %s the timeline has a column", name)
		}
	}
}

func TestTimeAxis(t *testing.T) {
	l := plot.NewTimeline(time.Unix(1_000_000, 0), 5*time.Minute, 60)
	got := draw(70, 1, func(p grid.Pane) { l.Draw(p, 0, 0, theme.Faint, theme.Border) })
	for _, want := range []string{"-1m", "-2m", "-4m", "now"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q has no %s", got, want)
		}
	}
	// A minute is twelve columns here: the middle of its tick stands there, to within a cell.
	if at := strings.Index(got, "-1m") + 1; at < 46 || at > 49 {
		t.Errorf("-1m stands at column %d of %q", at, got)
	}
	free := draw(70, 1, func(p grid.Pane) { l.Draw(p, 0, 0, theme.Faint, theme.Border, 47) })
	if strings.Contains(free, "-1m") {
		t.Errorf("the tick covers the mark at column 47: %q", free)
	}
}

func TestLinesAreToldApartWithoutColour(t *testing.T) {
	flat := func(v float64) []float64 { return []float64{v, v, v, v, v, v} }
	out := strings.Split(draw(6, 5, func(p grid.Pane) {
		plot.Lines(p, 10, [][]float64{flat(10), flat(5), flat(0)}, []theme.Ink{theme.A, theme.B, theme.C})
	}), "\n")
	for i, y := range []int{0, 2, 4} {
		if want := strings.Repeat(string(plot.Stroke(i)), 5); !strings.Contains(out[y], want) {
			t.Errorf("line %d is %q, want %q in it", i, out[y], want)
		}
	}
	if plot.Stroke(0) == plot.Stroke(1) || plot.Stroke(1) == plot.Stroke(2) {
		t.Error("two strokes are the same")
	}
}

func TestChartsOfEveryWidthMoveAtTheSameMoments(t *testing.T) {
	for _, columns := range []int{21, 40, 63, 65, 200} {
		moved := map[int64]bool{}
		start := time.Unix(999_999, 0)
		last := plot.NewTimeline(start, time.Minute, columns).End
		for s := range int64(30) {
			now := start.Add(time.Duration(s) * time.Second)
			l := plot.NewTimeline(now, time.Minute, columns)
			if _, ok := l.Column(now); !ok {
				t.Fatalf("%d columns: now is outside", columns)
			}
			if ahead := l.End.Sub(now); ahead > 3*time.Second+l.Step {
				t.Errorf("%d columns: the axis ends %v after now", columns, ahead)
			}
			if !l.End.Equal(last) {
				moved[now.Unix()%3] = true
			}
			last = l.End
		}
		if len(moved) != 1 || !moved[0] {
			t.Errorf("%d columns: moved at seconds %v of three", columns, moved)
		}
	}
}

func TestAnAxisThatHangsHasItsTopBelow(t *testing.T) {
	c := grid.New(6, 5)
	plot.Axis{Top: 40, Hangs: true, Marks: []float64{40}, Format: func(v float64) string { return strconv.Itoa(int(v)) }}.Draw(c.Pane(), theme.Plain, theme.Plain)
	for y, want := range []string{"     │", "     │", "     │", "     │", "   40┤"} {
		got := ""
		for x := range 6 {
			r, _ := c.Pane().At(x, y)
			got += string(r)
		}
		if got != want {
			t.Errorf("line %d is %q, want %q", y, got, want)
		}
	}
}
