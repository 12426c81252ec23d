package live

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"pitwall/probes"
	"pitwall/sessions"
	"pitwall/ui/grid"
	"pitwall/ui/internal/staged"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// pass lets seconds go by, with a tick of data and of the clock each.
func pass(m *Model, s *staged.Session, seconds int) {
	for range seconds {
		s.Move(s.Now.Add(time.Second))
		run(m, m.Update(screen.Tick{Now: s.Now}))
	}
}

func TestFrozenHoldsTheMomentAndSaysHowFarBehind(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := start(t, s, 160, 45)
	press(t, m, "space")
	before := s.Asked
	pass(m, s, 42)
	if s.Asked != before {
		t.Errorf("%d questions were asked while frozen", s.Asked-before)
	}
	mustShow(t, picture(m, 160, 45), " FROZEN  00:16:45", "00:40:00 in · behind by 42s", "● REC 40m42s", "space LIVE", "READY 3h12m")
	press(t, m, "space")
	mustNotShow(t, picture(m, 160, 45), "FROZEN", "behind")
	if !m.snap.at.Equal(clock.Add(42 * time.Second)) {
		t.Errorf("back to live the screen is at %v", m.snap.at)
	}
}

func TestTheCursorMoves(t *testing.T) {
	first := clock.Add(-40 * time.Minute)
	for _, tc := range []struct {
		name string
		keys string
		want time.Time
		span time.Time // the right end of the charts
	}{
		{"one column back", "left", time.Date(2026, 11, 24, 0, 16, 36, 0, time.UTC), clock},
		{"back and on again is where it began", "left right", clock, clock},
		{"on from the newest tick stays there", "right", clock, clock},
		{"half a window back", "pgup", clock.Add(-150 * time.Second), clock},
		{"a page on top of a page is at the charts' beginning", "pgup pgup", clock.Add(-5 * time.Minute), clock},
		{"beyond them they move, with the cursor in their middle", "pgup pgup pgup", clock.Add(-450 * time.Second), clock.Add(-300 * time.Second)},
		{"home is the first tick, and the charts begin with it", "home", first, first.Add(5 * time.Minute)},
		{"before the first tick there is nothing", "home left", first, first.Add(5 * time.Minute)},
		{"G is live again", "home G", time.Time{}, time.Time{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := start(t, staged.Busy(clock, 1), 160, 45)
			for _, k := range strings.Fields(tc.keys) {
				press(t, m, k)
			}
			if !m.cursor.at.Equal(tc.want) {
				t.Errorf("the cursor is at %v, want %v", m.cursor.at, tc.want)
			}
			if !m.cursor.end.Equal(tc.span) {
				t.Errorf("the charts end at %v, want %v", m.cursor.end, tc.span)
			}
			if !tc.want.IsZero() && (!m.snap.at.Equal(tc.want) || !m.until.Equal(tc.span)) {
				t.Errorf("shown are numbers of %v and charts up to %v", m.snap.at, m.until)
			}
		})
	}
}

func TestNothingOfTheFutureIsShownAtTheCursor(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := start(t, s, 160, 45)
	mustShow(t, picture(m, 160, 45), "power cap began")
	for range 2 {
		press(t, m, "pgup")
	}
	pic := picture(m, 160, 45)
	mustShow(t, pic, " FROZEN  00:11:45", "00:35:00 in", "READY 3h07m")
	mustNotShow(t, pic, "power cap began", "raised max_num_batched_tokens")
	press(t, m, "G")
	mustShow(t, picture(m, 160, 45), "power cap began")
}

func TestTheStateAndItsReasonAreThoseOfTheCursor(t *testing.T) {
	s := staged.Busy(clock, 1)
	const in = "engine/127.0.0.1:8000"
	s.EventsAll = append(s.EventsAll,
		probes.Event{Time: clock.Add(-200 * time.Second), Kind: probes.KindEngineState, Subject: in, Severity: probes.Warning, Title: "stalled", Attrs: map[string]string{"state": "stalled", "reason": "no token for 12 s"}},
		probes.Event{Time: clock.Add(-100 * time.Second), Kind: probes.KindEngineState, Subject: in, Title: "ready", Attrs: map[string]string{"state": "ready", "reason": "tokens again"}})
	m := start(t, s, 160, 45)
	if got := m.reasons[in]; got != "tokens again" {
		t.Errorf("now the reason is %q", got)
	}
	press(t, m, "pgup")
	if got := m.reasons[in]; got != "no token for 12 s" {
		t.Errorf("at %v the reason is %q", m.snap.at, got)
	}
	press(t, m, "end")
	if got := m.reasons[in]; got != "tokens again" {
		t.Errorf("back to live the reason is %q", got)
	}
}

func TestManyKeysAtOnceAskAgainOnceAndEndWhereTheyShould(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := start(t, s, 160, 45)
	press(t, m, "space")
	first := m.step(-1)
	for range 20 {
		if cmd := m.step(-1); cmd != nil {
			for _, msg := range run(m, cmd) {
				t.Logf("%T", msg)
			}
		}
	}
	run(m, first)
	if !m.snap.at.Equal(m.cursor.at) || m.fetching {
		t.Errorf("the cursor is at %v, shown is %v", m.cursor.at, m.snap.at)
	}
}

func TestWhatBeganBeforeTheChartsReachesIntoThem(t *testing.T) {
	s := staged.Busy(clock, 1)
	staged.Scene(s, "incident")
	m := start(t, s, 160, 45)
	press(t, m, "[") // a minute: the queue grows since 40 s, and nothing else reaches into it
	press(t, m, "space")
	m.window, m.custom = 0, 30*time.Second
	run(m, m.restart())
	v := m.viewNow(screen.Frame{Now: clock})
	marks := v.marks(m.timeline())
	if len(marks) != 1 || marks[0].column != -1 || marks[0].e.Kind != "engine.queue_growing" || marks[0].to < m.timeline().Columns-6 {
		t.Errorf("the marks are %+v", marks)
	}
}

func TestPlayingAGrowingSessionBecomesLiveAtItsEnd(t *testing.T) {
	s := staged.Busy(clock, 1)
	s.InfoNow.Recording, s.InfoNow.PID = sessions.RecordingElsewhere, 4711
	m := New(Options{Reader: s, Now: clock, Replay: &Replay{At: clock.Add(-5 * time.Second), Speed: 2}})
	m.Update(screen.Size{W: 160, H: 45})
	run(m, m.Init())
	mustShow(t, picture(m, 160, 45), " REPLAY ×2 ", "behind by")
	pass(m, s, 8)
	pic := picture(m, 160, 45)
	mustShow(t, pic, "LIVE 00:16:53")
	mustNotShow(t, pic, "REPLAY", "behind")
	press(t, m, "space")
	press(t, m, "left")
	mustShow(t, picture(m, 160, 45), "FROZEN", "space play", "G LIVE")
	press(t, m, "space")
	mustShow(t, picture(m, 160, 45), " REPLAY ×2 ")
	press(t, m, "+")
	mustShow(t, picture(m, 160, 45), " REPLAY ×5 ")
}

func TestWhatHadBegunButWasSeenLaterStandsAtItsBeginning(t *testing.T) {
	s := staged.Busy(clock, 1)
	stalled := clock.Add(-100 * time.Second)
	s.EventsAll = append(s.EventsAll, probes.Event{Time: stalled.Add(12 * time.Second), Kind: probes.KindEngineState, Subject: "engine/127.0.0.1:8000", Severity: probes.Critical, Title: "stalled",
		Attrs: map[string]string{"state": "stalled", "from": "ready", "reason": "no token counter moved for 12s", "since": stalled.Format(time.RFC3339Nano)}})
	m := start(t, s, 160, 45)
	run(m, m.jump(stalled.Add(-time.Second)))
	mustNotShow(t, picture(m, 160, 45), "no token counter moved")
	press(t, m, "n")
	if !m.snap.at.Equal(stalled) {
		t.Fatalf("n goes to %v, want %v", m.snap.at, stalled)
	}
	mustShow(t, picture(m, 160, 45), "stalled: no token counter moved for 12s · had begun, seen later", "READY")
	box := grid.New(120, 30)
	newEventList(m).Draw(box.Pane(), screen.Frame{Now: clock})
	th := theme.New(theme.Options{})
	if list := ansi.Strip(box.String(th, false)); !strings.Contains(list, "no token counter moved for 12s · ongoing, 1m40s") {
		t.Errorf("the list, which is of what is known now, has not how long it lasts:\n%s", list)
	}
	run(m, m.jump(stalled.Add(20*time.Second)))
	mustShow(t, picture(m, 160, 45), "stalled: no token counter moved for 12s · ongoing, 20s")
}
