package ui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/exp/golden"

	"pitwall/probes"
	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/sessions"

	"pitwall/sessions/steer"
	"pitwall/ui/internal/staged"
)

// loaded is a busy session with runs of load, of which one goes on.
func loaded() (*staged.Session, *staged.Desk) {
	s := staged.Busy(clock, 1)
	staged.LoadRuns(s)
	staged.ClientSeries(s)
	return s, staged.RunningDesk(s)
}

// idle is a desk on a server that is not simulated, with nobody on it yet.
func idle() *staged.Desk {
	return &staged.Desk{Now: steer.Status{Phase: steer.Idle, Instance: "127.0.0.1:8000"}, Warning: steer.Warning{Needed: true,
		Server: &load.Server{URL: "http://127.0.0.1:8000", Title: "vLLM", Version: "0.32.0", Model: "meta-llama/Llama-3.1-8B-Instruct"},
		Does:   []string{"send up to 4 requests at a time until it is stopped, each of 512 tokens with an answer of exactly 128", "fill about 2,560 tokens of its KV cache"},
		Lacks:  []load.Lack{{What: "per-request metrics", Instead: "TTFT is not split into queue, prefill and the rest; --enable-per-request-metrics turns them on"}},
		Others: steer.Others{Known: true, Running: 3, Waiting: 1, Rate: 0.4, Text: "others use it: 3 running, 1 waiting, 0.4 requests/s"}}}
}

func withDesk(d *staged.Desk) func(*Options) { return func(o *Options) { o.Load = d } }

func TestGoldenLoad(t *testing.T) {
	for _, tc := range []struct {
		name  string
		keys  string // pressed one by one
		desk  func(s *staged.Session) *staged.Desk
		sizes [][2]int
	}{
		{"idle", "l", func(*staged.Session) *staged.Desk { return idle() }, sizes[1:]},
		{"running", "w", staged.RunningDesk, sizes[1:]},
		{"failing", "", staged.FailingDesk, sizes[1:3]},
		{"bound", "", func(s *staged.Session) *staged.Desk {
			d := staged.RunningDesk(s)
			d.Now.Bound = "client-bound: send lag p99 38 ms, a tenth of TTFT"
			return d
		}, sizes[1:3]},
		{"cannot", "l", func(*staged.Session) *staged.Desk {
			return &staged.Desk{Now: steer.Status{Cannot: "another process records this session: R takes the recording over"}}
		}, sizes[1:3]},
		{"one line", "", staged.RunningDesk, [][2]int{{60, 15}}},
		{"warning", "ls", func(*staged.Session) *staged.Desk { return idle() }, sizes[1:3]},
		{"typing", "c16", staged.RunningDesk, sizes[1:3]},
		{"form", "F", staged.RunningDesk, sizes[1:3]},
		{"presets", "*", staged.RunningDesk, sizes[1:3]},
		{"runs", "L", staged.RunningDesk, sizes[1:4]},
		{"run with flags and failures", "Ljjjjz", staged.RunningDesk, sizes[1:4]},
		{"run that is too short", "Ljjjz", staged.RunningDesk, sizes[2:3]},
		{"run without requests", "Ljjz", staged.RunningDesk, sizes[2:3]},
		{"run that broke", "Ljz", staged.RunningDesk, sizes[2:3]},
		{"run that goes on", "Lz", staged.RunningDesk, sizes[2:3]},
		{"difference", "Ljjjjxjx", staged.RunningDesk, sizes[1:4]},
		{"client panels", "pp", staged.RunningDesk, sizes[2:3]},
		{"latency zoomed", "2", staged.RunningDesk, sizes[2:3]},
	} {
		for _, size := range tc.sizes {
			t.Run(fmt.Sprintf("%s-%dx%d", tc.name, size[0], size[1]), func(t *testing.T) {
				s, _ := loaded()
				m := console(t, s, size[0], size[1], withDesk(tc.desk(s)))
				press(t, m, strings.Split(tc.keys, "")...)
				pic := shown(m)
				fits(t, pic, size[0], size[1])
				golden.RequireEqual(t, pic)
			})
		}
	}
	t.Run("ascii-160x45", func(t *testing.T) {
		s, d := loaded()
		m := console(t, s, 160, 45, withDesk(d), func(o *Options) { o.Config.ASCII = true })
		press(t, m, "L")
		pic := shown(m)
		for _, r := range pic {
			if r > 126 {
				t.Fatalf("%q is no ASCII character", r)
			}
		}
		golden.RequireEqual(t, pic)
	})
}

func TestTheFirstLoadOnAServerIsAskedAbout(t *testing.T) {
	s := staged.Busy(clock, 1)
	d := idle()
	m := console(t, s, 160, 45, withDesk(d))
	press(t, m, "l", "s")
	for _, want := range []string{"start load on this server?", "vLLM 0.32.0 at http://127.0.0.1:8000 serves meta-llama", "send up to 4 requests", "▲ others use it: 3 running, 1 waiting", "per-request metrics"} {
		if !strings.Contains(shown(m), want) {
			t.Errorf("%q is not asked:\n%s", want, shown(m))
		}
	}
	press(t, m, "enter") // too easily pressed to mean yes
	if len(d.Started) != 0 {
		t.Fatal("enter started it")
	}
	press(t, m, "n")
	if len(d.Started) != 0 || !strings.Contains(shown(m), "nothing was started") {
		t.Fatal("no started it, or said nothing")
	}
	press(t, m, "s", "y")
	if len(d.Started) != 1 || d.On != "127.0.0.1:8000" {
		t.Fatalf("yes started %d points on %q", len(d.Started), d.On)
	}
	press(t, m, "u")
	if len(d.Started) != 2 {
		t.Error("a change of what runs was asked about")
	}
}

func TestASimulatedServerIsNotAskedAbout(t *testing.T) {
	d := idle()
	d.Warning.Needed = false
	m := console(t, staged.Busy(clock, 1), 80, 24, withDesk(d))
	press(t, m, "l", "s")
	if len(d.Started) != 1 {
		t.Errorf("%d points were started", len(d.Started))
	}
}

func TestKeysTurnTheLoad(t *testing.T) {
	for _, tc := range []struct{ keys, want string }{
		{"u", "c=36 "}, {"d", "c=28 "}, {"U", "c=64 "}, {"D", "c=16 "}, {"a", "poisson 32/s"}, {"h", " warm"}, {"U U", "c=128 "},
		{"c 1 6 enter", "c=16 "}, {"r 3 . 5 enter", "poisson 3.5/s"}, {"i 1 0 2 4 enter", "1024→128"}, {"o 6 4 enter", "512→64"}, {": w a r m enter", " warm"},
		{"* j enter", "c=2 1536→64 cold"}, {"F 1 enter", "c=321 "},
	} {
		t.Run(tc.keys, func(t *testing.T) {
			s, d := loaded()
			m := console(t, s, 80, 24, withDesk(d))
			press(t, m, strings.Fields(tc.keys)...)
			if n := len(d.Started); n == 0 || !strings.Contains(d.Started[n-1].Filled().String(), tc.want) {
				t.Fatalf("it became %v, want %q in it", d.Started, tc.want)
			}
			if d.On != "127.0.0.1:8000" {
				t.Errorf("it went to %q", d.On)
			}
		})
	}
}

func TestWhileNothingRunsKeysOnlyChooseWhatWouldStart(t *testing.T) {
	d := idle()
	m := console(t, staged.Busy(clock, 1), 160, 45, withDesk(d))
	press(t, m, "l", "U", "c", "9", "enter", "h")
	if len(d.Started) != 0 {
		t.Fatalf("%v was started", d.Started)
	}
	if !strings.Contains(shown(m), "c=9 512→128 warm") {
		t.Errorf("the bar does not say what would start:\n%s", shown(m))
	}
}

func TestWhatIsTypedWrongChangesNothing(t *testing.T) {
	s, d := loaded()
	m := console(t, s, 160, 45, withDesk(d))
	press(t, m, "c", "m", "a", "n", "y", "enter")
	if len(d.Started) != 0 || !strings.Contains(shown(m), `"many" is no whole number`) {
		t.Errorf("started %v\n%s", d.Started, shown(m))
	}
	press(t, m, "esc", "c", "0", "enter")
	if len(d.Started) != 0 || !strings.Contains(shown(m), "arrival.clients") {
		t.Errorf("started %v\n%s", d.Started, shown(m))
	}
}

func TestStoppingDrainsAndCancelGivesUp(t *testing.T) {
	s, d := loaded()
	m := console(t, s, 160, 45, withDesk(d))
	press(t, m, "s")
	if d.Stops != 1 || !strings.Contains(shown(m), "DRAINING") {
		t.Errorf("%d stops\n%s", d.Stops, shown(m))
	}
	press(t, m, "s")
	if d.Stops != 1 || d.Cancels != 0 || !strings.Contains(shown(m), "C gives it up") {
		t.Error("a second s did something, or did not say how to cancel")
	}
	press(t, m, "C")
	if d.Cancels != 1 {
		t.Error("C did not cancel")
	}
}

func TestWhatALoadFailsWithIsSaid(t *testing.T) {
	d := idle()
	d.Err = errors.New("prompt.length: 4096 and 128 tokens are more than 2048 (max_model_len)")
	m := console(t, staged.Busy(clock, 1), 80, 24, withDesk(d))
	press(t, m, "l", "s")
	if !strings.Contains(shown(m), "128 tokens are more than 2048") || !strings.Contains(shown(m), "(max_model_len)") || len(d.Started) != 0 {
		t.Errorf("the reason is not on the screen:\n%s", shown(m))
	}
}

func TestWhereNothingCanBeLoadedTheReasonIsThere(t *testing.T) {
	s, _ := loaded()
	attached := &staged.Desk{Now: steer.Status{Cannot: "another process records this session: R takes the recording over"}}
	m := console(t, s, 160, 45, withDesk(attached))
	press(t, m, "l", "s", "u")
	if !strings.Contains(shown(m), "another process records this session") || len(attached.Started) != 0 {
		t.Errorf("it is not said:\n%s", shown(m))
	}
	staged.Scene(s, "saved")
	m = console(t, s, 160, 45, func(o *Options) { o.Replay = &Replay{At: clock.Add(-5 * time.Minute), Frozen: true} })
	press(t, m, "l")
	if !strings.Contains(shown(m), "not now, a session that is only read") {
		t.Errorf("a replay does not say why:\n%s", shown(m))
	}
	press(t, m, "L")
	if !strings.Contains(shown(m), "runs of this session") {
		t.Error("a replay does not list the runs")
	}
}

func TestARunsTimeIsGoneTo(t *testing.T) {
	s, d := loaded()
	m := console(t, s, 160, 45, withDesk(d))
	press(t, m, "L", "j", "j", "j", "j", "g")
	run := s.RunsNow[2]
	want := run.Settled.Add(run.Cut.Sub(run.Settled) / 2).UTC().Format("15:04:05")
	if !strings.Contains(shown(m), "FROZEN  "+want) {
		t.Errorf("the cursor is not at %s:\n%s", want, shown(m))
	}
}

func TestRunsAreMarkedOnEveryPageOfCharts(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {160, 45}, {240, 70}} {
		s, d := loaded()
		m := console(t, s, size[0], size[1], withDesk(d))
		for range 8 {
			if pic := shown(m); !strings.Contains(pic, "▸7") {
				t.Errorf("%v: the run is not on the time axis of\n%s", size, pic)
			}
			press(t, m, "p")
		}
	}
}

func TestNoGraverEventHidesARun(t *testing.T) {
	s, d := loaded()
	s.EventsAll[len(s.EventsAll)-1].Time = s.RunsNow[6].Began // the last of them
	for i := range s.EventsAll {
		if s.EventsAll[i].Severity > 0 {
			s.EventsAll[i].Time = s.RunsNow[6].Began
		}
	}
	slices.SortStableFunc(s.EventsAll, func(a, b probes.Event) int { return a.Time.Compare(b.Time) })
	m := console(t, s, 160, 45, withDesk(d))
	if pic := shown(m); !strings.Contains(pic, "▲▸7") {
		t.Errorf("a warning and the run are not beside each other:\n%s", pic)
	}
}

func TestHostileNamesOfRunsAreHarmless(t *testing.T) {
	s, d := loaded()
	evil := "x\x1b[31m\u202ey\nz"
	for i := range s.RunsNow {
		s.RunsNow[i].Label, s.RunsNow[i].Why = evil, evil
		s.RunsNow[i].Target = map[string]string{"model": evil, "url": evil}
	}
	d.Now.Problem = evil
	for _, keys := range [][]string{{}, {"L"}, {"L", "z"}, {"L", "j", "j", "j", "j", "z"}, {"L", "j", "j", "j", "j", "x", "j", "x"}} {
		m := console(t, s, 160, 45, withDesk(d))
		press(t, m, keys...)
		fits(t, shown(m), 160, 45)
	}
}

func TestTheBarNeverAsksWhileItDraws(t *testing.T) {
	s, _ := loaded()
	d := &counting{Desk: staged.RunningDesk(s)}
	m := console(t, s, 160, 45, func(o *Options) { o.Load = d })
	before := d.asked
	for range 10 {
		m.revision++
		m.View()
	}
	if d.asked != before {
		t.Errorf("drawing asked the desk %d times", d.asked-before)
	}
}

// counting counts how often it is asked.
type counting struct {
	*staged.Desk
	asked int
}

func (c *counting) Status() steer.Status { c.asked++; return c.Desk.Status() }
func (c *counting) Look(ctx context.Context, in string, p shape.Point) (steer.Warning, error) {
	c.asked++
	return c.Desk.Look(ctx, in, p)
}

func TestASessionWithoutRunsSaysHowToGetOne(t *testing.T) {
	m := console(t, staged.Busy(clock, 1), 80, 24, withDesk(idle()))
	press(t, m, "L")
	if !strings.Contains(shown(m), "no load was put on in this session") {
		t.Errorf("it does not say so:\n%s", shown(m))
	}
}

// taking notes that the recording was taken over.
type taking struct {
	marker
	took int
}

func (k *taking) TakeOver(context.Context) (sessions.Reader, error) {
	k.took++
	return nil, errors.New("the other recorder does not let go")
}

func TestALivingRecorderIsTakenOverOnlyAfterAQuestion(t *testing.T) {
	s, _ := loaded()
	s.InfoNow.Recording, s.InfoNow.PID = sessions.RecordingElsewhere, 4711
	k := &taking{}
	m := console(t, s, 160, 45, withDesk(&staged.Desk{Now: steer.Status{Cannot: "another process records this session: R takes the recording over"}}), func(o *Options) { o.Actions = k })
	press(t, m, "l", "R", "enter")
	if k.took != 0 {
		t.Fatal("it was taken over by the first choice")
	}
	press(t, m, "R", "j", "enter")
	if k.took != 1 || !strings.Contains(shown(m), "the other recorder does not let go") {
		t.Errorf("taken over %d times\n%s", k.took, shown(m))
	}
}
