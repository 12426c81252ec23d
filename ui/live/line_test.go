package live

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
	"pitwall/ui/internal/staged"
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
	s := staged.Busy(clock, 1)
	s.EventsAll = nil
	for i := range 24 {
		if at := time.Duration(i) * 12 * time.Second; i%5 > 1 || i%2 == 0 {
			s.EventsAll = append(s.EventsAll, probes.Event{Time: clock.Add(-at), Kind: probes.KindMark, Title: fmt.Sprint("mark ", i)})
		}
	}
	m := start(t, s, 160, 45)
	press(t, m, "pgup")
	for _, l := range axisOf(picture(m, 160, 45)) {
		if !regexp.MustCompile(`\d\d:\d\d`).MatchString(strings.Replace(l, m.snap.at.Local().Format("15:04:05"), "", -1)) {
			t.Errorf("no time but the cursor's: %s", l)
		}
	}
}

func TestATableThatIsNotComparedSaysOfWhenItIs(t *testing.T) {
	for _, gpus := range []int{1, 8} {
		m := start(t, staged.Busy(clock, gpus), 160, 45)
		mustNotShow(t, picture(m, 160, 45), "not A and B")
		press(t, m, "x")
		press(t, m, "pgup")
		press(t, m, "x")
		pic := picture(m, 160, 45)
		mustShow(t, pic, "process at the cursor, not A and B")
		if gpus > 1 {
			mustShow(t, pic, "8 GPUs at the cursor, not A and B")
		}
		press(t, m, "end")
		mustShow(t, picture(m, 160, 45), "process now, not A and B")
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
