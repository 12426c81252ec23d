package live

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"

	"pitwall/probes"
	"pitwall/sessions/events"
	"pitwall/ui/internal/staged"
	"pitwall/ui/screen"
)

// changes leaves an engine's change of state among the events, and the series that go with it.
func changes(s *staged.Session, ago time.Duration, from, to, reason string) {
	s.EventsAll = append(s.EventsAll, probes.Event{Time: s.Now.Add(-ago), Kind: probes.KindEngineState, Subject: "engine/127.0.0.1:8000", Severity: probes.Critical,
		Title: to, Attrs: map[string]string{"state": to, "from": from, "reason": reason}})
}

func TestAnEngineThatIsGoneIsDeadAndOneThatNeverWasIsNone(t *testing.T) {
	gone := func(scene, state string) *staged.Session {
		s := staged.Busy(clock, 1)
		staged.Scene(s, scene)
		s.EventsAll = nil
		s.Override("pitwall_engine_state ==", promql.Vector{staged.V(1, "instance", "127.0.0.1:8000", "job", "vllm", "state", state)})
		return s
	}
	for _, tc := range []struct {
		name      string
		s         func() *staged.Session
		want, not []string
	}{
		{"no process is left of one that answered", func() *staged.Session {
			s := gone("noanswer", "no_engine")
			changes(s, 25*time.Second, "ready", "no_engine", "nothing listens on port 8000, and no engine process is there")
			return s
		}, []string{"✗ DEAD  25s", " DEAD  nothing listens on port 8000"}, []string{"NO ENGINE", "NO ANSWER"}},
		{"it died in steps: it counts from the first", func() *staged.Session {
			s := gone("noanswer", "no_engine")
			changes(s, 40*time.Second, "ready", "no_answer", "connection refused; process 4211 is still there")
			changes(s, 25*time.Second, "no_answer", "no_engine", "no engine process is there")
			return s
		}, []string{"✗ DEAD  40s", "connection refused; process 4211 is still there; then no engine"}, []string{"NO ENGINE", "NO ANSWER"}},
		{"its start failed", func() *staged.Session {
			s := gone("noanswer", "no_engine")
			changes(s, 5*time.Second, "starting", "no_engine", "its process ended")
			return s
		}, []string{"✗ DEAD  5s", "start failed: its process ended"}, []string{"NO ENGINE"}},
		{"it was never there", func() *staged.Session {
			s := gone("noanswer", "no_engine")
			changes(s, 25*time.Second, "", "no_engine", "nothing listens on port 8000")
			return s
		}, []string{"○ NO ENGINE"}, []string{"DEAD"}},
		{"it never answered", func() *staged.Session {
			s := gone("noanswer", "no_answer")
			changes(s, 25*time.Second, "", "no_answer", "HTML instead of metrics")
			return s
		}, []string{"✗ NO ANSWER"}, []string{"DEAD"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := start(t, tc.s(), 160, 45)
			pic := picture(m, 160, 45)
			mustShow(t, pic, tc.want...)
			mustNotShow(t, strings.Join(strings.Split(pic, "\n")[:2], "\n"), tc.not...)
		})
	}
}

func TestADeadEngineIsDeadOnlyAtMomentsAfterItsDeath(t *testing.T) {
	s := staged.Busy(clock, 1)
	changes(s, 100*time.Second, "ready", "no_engine", "killed")
	changes(s, 60*time.Second, "no_engine", "restarted", "its process began anew")
	m := start(t, s, 160, 45)
	run(m, m.jump(clock.Add(-101*time.Second)))
	if len(m.deaths) != 0 {
		t.Errorf("before its death it is %v", m.deaths)
	}
	run(m, m.jump(clock.Add(-80*time.Second)))
	if d := m.deaths["engine/127.0.0.1:8000"]; d.Cause != "killed" || !d.Start.Equal(clock.Add(-100*time.Second)) {
		t.Errorf("while it is dead its death is %+v", d)
	}
	press(t, m, "end")
	if len(m.deaths) != 0 {
		t.Errorf("back again it is %v", m.deaths)
	}
}

func TestAnEventThatIsToldLateIsTaken(t *testing.T) {
	for name, late := range map[string]time.Duration{"by pitwall's own rules": 75 * time.Second, "by a rule that looks back an hour, within a minute": time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := staged.Busy(clock, 1)
			s.Start = clock.Add(-3 * time.Hour)
			begun := clock.Add(-late - 10*time.Second)
			rule := probes.Event{Time: begun, Kind: "engine.kv_full", Subject: "engine/127.0.0.1:8000", Severity: probes.Warning, Title: "KV cache full", Attrs: map[string]string{"phase": "began"}}
			s.EventsAll = append(s.EventsAll, rule)
			m := start(t, s, 160, 45)
			pass(m, s, 3)
			mustShow(t, picture(m, 160, 45), "KV cache full · ongoing")
			rule.Time, rule.Title, rule.Attrs = s.Now.Add(-late), "KV cache full: over", map[string]string{"phase": "ended", "count": "1"}
			s.EventsAll = append(s.EventsAll, rule)
			pass(m, s, 61)
			mustNotShow(t, picture(m, 160, 45), "KV cache full · ongoing")
			press(t, m, "space")
			rule.Time, rule.Attrs = s.Now.Add(-late), map[string]string{"phase": "again", "count": "2"}
			s.EventsAll = append(s.EventsAll, rule)
			pass(m, s, 61)
			i := slices.IndexFunc(m.happened, func(e events.Episode) bool { return e.Kind == "engine.kv_full" })
			if i < 0 || !m.happened[i].Ongoing() || m.happened[i].Count != 2 {
				t.Errorf("while frozen the events are %+v", m.happened)
			}
		})
	}
}

func TestAnEngineThatWorksAgainPressesNobody(t *testing.T) {
	s := staged.Busy(clock, 1)
	changes(s, 300*time.Second, "no_engine", "restarted", "its process began anew")
	changes(s, 240*time.Second, "restarted", "ready", "")
	s.EventsAll = append(s.EventsAll, probes.Event{Time: clock.Add(-200 * time.Second), Kind: probes.KindMark, Title: "later"})
	m := start(t, s, 160, 45)
	pic := picture(m, 160, 45)
	mustNotShow(t, pic, "ongoing, 5m00s")
	mustShow(t, pic, "ready again")
	for _, k := range m.viewNow(screen.Frame{Now: clock}).marks(m.timeline()) {
		if k.e.Kind == "engine.restarted" && k.to > k.column {
			t.Errorf("a healthy state is drawn as trouble: %+v", k)
		}
	}
}

func TestTheGravestTroubleStandsFirst(t *testing.T) {
	s := staged.Busy(clock, 1)
	staged.Scene(s, "restarted")
	s.EventsAll = append(s.EventsAll, probes.Event{Time: clock.Add(-5 * time.Second), Kind: "gpu.xid", Subject: "gpu/0", Severity: probes.Critical, Title: "XID 79", Attrs: map[string]string{"xid": "79", "meaning": "GPU has fallen off the bus"}})
	lines := strings.Split(picture(start(t, s, 160, 45), 160, 45), "\n")
	mustShow(t, lines[1], " CRITICAL  gpu/0: XID 79", "+1 more: restarted")
}

func TestADeadRecorderDiedAtTheLastTickNotAtTheCursor(t *testing.T) {
	s := staged.Busy(clock, 1)
	staged.Scene(s, "died")
	m := start(t, s, 160, 45)
	press(t, m, "pgup")
	mustShow(t, picture(m, 160, 45), " FROZEN  00:14:15", "nothing recorded since 00:16:45")
}
