package live

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"pitwall/ui/grid"
	"pitwall/ui/internal/staged"
	"pitwall/ui/plot"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// axisOf gives the lines of a picture that are time axes: those with a tick or with the cursor's time between border lines.
func axisOf(pic string) []string {
	var out []string
	for _, l := range strings.Split(pic, "\n") {
		if strings.HasPrefix(l, "├─") && regexp.MustCompile(`\d\d:\d\d`).MatchString(l) {
			out = append(out, l)
		}
	}
	return out
}

func TestTicksKeepOffTheCursorsTime(t *testing.T) {
	tick := regexp.MustCompile(`\d+:\d+(:\d+)?`)
	for _, size := range [][2]int{{80, 24}, {160, 45}, {240, 70}} {
		m := start(t, staged.Busy(clock, 1), size[0], size[1])
		for i := range 60 {
			press(t, m, "left")
			axes := axisOf(picture(m, size[0], size[1]))
			if len(axes) == 0 {
				t.Fatalf("no axis at %v", size)
			}
			for _, l := range axes {
				for _, found := range tick.FindAllStringIndex(l, -1) {
					before, after := l[:found[0]], l[found[1]:]
					text := l[found[0]:found[1]]
					if len(text) != len("00:16") && len(text) != len("00:16:45") || regexp.MustCompile(`[0-9:]$`).MatchString(before) || regexp.MustCompile(`^[0-9:]`).MatchString(after) {
						t.Fatalf("%v, step %d: %q runs into its neighbour: %s", size, i, text, l)
					}
				}
			}
		}
	}
}

func TestTheAxisKeepsATimeAmongManyEvents(t *testing.T) {
	m := start(t, staged.Busy(clock, 1), 160, 45)
	press(t, m, "space")
	run(m, m.jump(clock.Add(-1200*time.Second))) // out of the axis below, which so has no label
	v := m.viewNow(screen.Frame{Now: clock})
	axis := plot.NewTimeline(clock, 10*time.Minute, 60)
	var taken []int
	for at := nextRound(axis.Begin(), 2*time.Minute); at.Before(axis.End); at = at.Add(2 * time.Minute) {
		c, _ := axis.Column(at)
		taken = append(taken, c)
	}
	c := grid.New(64, 1)
	v.drawTicks(c.Pane(), 0, 0, axis, nil)
	th := theme.New(theme.Options{})
	if pic := ansi.Strip(c.String(th, false)); !strings.Contains(pic, "00:08") || strings.Contains(pic, "00:09") {
		t.Errorf("without events: %s", pic)
	}
	c = grid.New(64, 1)
	v.drawTicks(c.Pane(), 0, 0, axis, taken)
	if pic := ansi.Strip(c.String(th, false)); !strings.Contains(pic, "00:09") || strings.Contains(pic, "00:08") {
		t.Errorf("with events at all ticks: %s", pic)
	}
}

func TestWithTwoTimesMarkedTablesAndPercentilesShowTheChangeToo(t *testing.T) {
	for _, gpus := range []int{1, 8} {
		m := start(t, staged.Busy(clock, gpus), 240, 70)
		before := picture(m, 240, 70)
		press(t, m, "x")
		for range 12 {
			press(t, m, "left")
		}
		press(t, m, "x")
		pic := picture(m, 240, 70)
		want := []string{`APIServer_0 +\d+ % → \d+ % `, `TTFT p99 +≤\d+ms → ≤\d+ms`}
		if gpus > 1 {
			want = append(want, `GPU3 .* \d+→\d+ `)
		}
		for _, w := range want {
			if re := regexp.MustCompile(w); !re.MatchString(pic) || re.MatchString(before) {
				t.Errorf("%d GPUs: %s is in the picture of two times: %t, of one: %t, want the first only", gpus, w, re.MatchString(pic), re.MatchString(before))
			}
		}
	}
}

func TestThePointerDragsTheCursorFromWhereItWentDown(t *testing.T) {
	m := start(t, staged.Busy(clock, 1), 160, 45)
	b := Layout(160, 45, m.shape()).Boxes[0]
	if cmd, used := m.Drag(b.X+axisW+10, b.Y+2); used || cmd != nil {
		t.Error("a pointer that went down nowhere drags")
	}
	run(m, m.Click(b.X+axisW+10, b.Y+2))
	at := m.cursor.at
	cmd, used := m.Drag(b.X+axisW+14, b.Y+3)
	run(m, cmd)
	if want := at.Add(4 * m.timeline().Step).Truncate(time.Second); !used || m.cursor.mode != frozen || m.cursor.at.Sub(want).Abs() > time.Second {
		t.Errorf("dragged four columns on from %v the cursor is at %v, want %v", at, m.cursor.at, want)
	}
	if _, used := m.Drag(b.X+axisW+14, b.Y+4); used {
		t.Error("the same moment moves it again")
	}
	run(m, m.Click(b.X+2, b.Y-1)) // a title: it zooms
	run(m, m.Click(5, head))      // and back
	if _, used := m.Drag(b.X+axisW+3, b.Y+2); used {
		t.Error("a pointer that went down on a title drags the cursor")
	}
}
