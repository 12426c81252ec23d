package ui

import (
	"testing"
	"time"

	"github.com/charmbracelet/colorprofile"

	"pitwall/ui/internal/staged"
)

// TestBytesOfABusyHour sends what a terminal of 200x50 gets in an hour of a busy engine with eight GPUs, a minute of every
// ten as a sample, and of an idle one. The budgets are those of the design: 12 and 3 KB a second.
func TestBytesOfABusyHour(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, scene string
		gpus, most  int
	}{{"busy, eight GPUs", "", 8, 12_000}, {"busy, one GPU", "", 1, 12_000}, {"busy, load on", "load", 1, 12_000}, {"idle, no load", "quiet", 1, 3_000}} {
		t.Run(tc.name, func(t *testing.T) {
			s := staged.Busy(clock, tc.gpus)
			if tc.scene == "quiet" {
				s = staged.Quiet(clock, tc.gpus)
			}
			var change []func(*Options)
			if tc.scene == "load" {
				staged.LoadRuns(s)
				staged.ClientSeries(s)
				change = append(change, withDesk(staged.RunningDesk(s)))
			}
			m := console(t, s, 200, 50, change...)
			x := newWire(200, 50, colorprofile.TrueColor)
			bytes, beats, worst := 0, 0, 0
			for minute := range 6 {
				from := clock.Add(time.Duration(minute) * 10 * time.Minute)
				for i := range 61 {
					now := from.Add(time.Duration(i) * time.Second)
					s.Move(now)
					m.now = func() time.Time { return now }
					settle(m, m.pass())
					n := len(x.send(m.View()))
					if i > 0 { // the first one is a jump of nine minutes
						bytes, beats, worst = bytes+n, beats+1, max(worst, n)
					}
				}
			}
			t.Logf("%d bytes a second on average, %d at most", bytes/beats, worst)
			if got := bytes / beats; got > tc.most {
				t.Errorf("%d bytes a second, the budget is %d", got, tc.most)
			}
		})
	}
}
