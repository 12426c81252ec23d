package live

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/prometheus/prometheus/promql"

	"pitwall/sessions"
	"pitwall/ui/grid"
	"pitwall/ui/internal/staged"
	"pitwall/ui/keys"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

var clock = time.Date(2026, 11, 24, 0, 16, 45, 0, time.UTC)

// start makes a screen of a size that has had its first answer.
func start(t *testing.T, s *staged.Session, w, h int) *Model {
	t.Helper()
	m := New(Options{Reader: s, Now: clock})
	m.Update(screen.Size{W: w, H: h})
	run(m, m.Init())
	return m
}

// run executes commands until none is left and gives what was not for the screen itself.
func run(m *Model, cmd tea.Cmd) []tea.Msg {
	var out []tea.Msg
	for queue := []tea.Cmd{cmd}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == nil {
			continue
		}
		switch msg := queue[0]().(type) {
		case tea.BatchMsg:
			queue = append(queue, msg...)
		case answer, past, standing, compared, done, screen.Recording:
			queue = append(queue, m.Update(msg))
		default:
			out = append(out, msg)
		}
	}
	return out
}

func press(t *testing.T, m *Model, key string) []tea.Msg {
	t.Helper()
	b, ok := keys.Find(m.Keys(), key)
	if !ok {
		t.Fatalf("no key %q", key)
	}
	if why := b.Reason(); why != "" {
		t.Fatalf("%q is disabled: %s", key, why)
	}
	return run(m, b.Run(key))
}

// picture draws the screen without colours.
func picture(m *Model, w, h int) string {
	c := grid.New(w, h)
	th := theme.New(theme.Options{Dark: true, Profile: colorprofile.TrueColor})
	m.Draw(c.Pane(), screen.Frame{Now: m.now, Theme: th})
	return ansi.Strip(c.String(th, false))
}

func mustShow(t *testing.T, pic string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(pic, w) {
			t.Errorf("%q is not on the screen:\n%s", w, pic)
		}
	}
}

func mustNotShow(t *testing.T, pic string, not ...string) {
	t.Helper()
	for _, w := range not {
		if strings.Contains(pic, w) {
			t.Errorf("%q is on the screen:\n%s", w, pic)
		}
	}
}

func TestTheScreenShows(t *testing.T) {
	pic := picture(start(t, staged.Busy(clock, 1), 160, 45), 160, 45)
	mustShow(t, pic, "● READY 3h12m", "vLLM 0.32.0", "meta-llama/Llama-3.1-8B-Instruct", "127.0.0.1:8000", "A100-SXM4-80GB", "● REC 40m00s", "LIVE 00:16:45",
		"of 64", "tok/s", "of 451k", "× 8,192 tokens", "of 400 W", "slows at 89", "limit 95", "power cap began · lasted 24s", "EngineCore", "-2m", "now")
}

func TestScenes(t *testing.T) {
	for _, tc := range []struct {
		scene     string
		gpus      int
		want, not []string
	}{
		{"noengine", 1, []string{"○ NO ENGINE", "no engine found", "pitwall --engine http://HOST:PORT", "vllm serve MODEL", "pitwall demo"}, []string{"¹queue", "READY"}},
		{"starting", 1, []string{"STARTING", "is starting for 10m00s", "process 4211 found, port closed", "RSS 1.4 GiB", "EngineCore"}, []string{"¹queue"}},
		{"stalled", 1, []string{"✗ STALLED", "41 running, no token counter moved for 14 s", "ongoing, 14s", "¹queue"}, nil},
		{"noanswer", 1, []string{"✗ NO ANSWER", "connection refused", "12s old", "— the page lacks it", "— no answer"}, []string{"nothing ran", "none finished"}},
		{"dead", 1, []string{"✗ DEAD  12s", " DEAD  nothing listens on port 8000", "— no answer", "dead: nothing listens", "ongoing, 12s"}, []string{"NO ENGINE", "NO ANSWER"}},
		{"sleeping", 1, []string{"☾ SLEEPING", "asleep at level 1", "¹queue"}, nil},
		{"restarted", 1, []string{"▲ RESTARTED", "process start time changed, up for 20 s"}, nil},
		{"died", 1, []string{"RECORDER DIED", "nothing recorded since 00:16:45, pid 3911 is gone", "R records here", "R take over"}, []string{"● REC"}},
		{"notstored", 1, []string{"NOT STORED", "disk full: 12 MB needed, 0 free; what you see is in memory only"}, []string{"● REC"}},
		{"nothing", 1, []string{"nothing recorded yet"}, []string{"¹queue"}},
		{"simulated", 1, []string{" SIMULATED "}, nil},
		{"idle", 1, []string{"no first token in 10s", "no tokens in 10s", "none finished in 10s"}, []string{"≤80ms"}},
		{"", 0, []string{"GPU", "no NVIDIA driver: libnvidia-ml.so.1 not found", "⁶host"}, []string{"kernels"}},
		{"", 8, []string{"GPU0", "GPU7", "kern%", "held", "8 GPUs, g chooses", "8× A100"}, nil},
	} {
		t.Run(tc.scene, func(t *testing.T) {
			s := staged.Busy(clock, tc.gpus)
			if tc.gpus == 0 {
				s.FactsNow["gpu/status"] = "no NVIDIA driver: libnvidia-ml.so.1 not found"
			}
			staged.Scene(s, tc.scene)
			want := tc.want
			if tc.scene == "noanswer" {
				s.AbsentNow["engine:running"] = "the page lacks it" // the expression is not expanded here
			}
			pic := picture(start(t, s, 160, 45), 160, 45)
			mustShow(t, pic, want...)
			mustNotShow(t, pic, tc.not...)
		})
	}
}

func TestAnAbsentNumberIsADashNeverAZero(t *testing.T) {
	s := staged.Busy(clock, 1)
	s.Answers = append([]staged.Answer{{Key: "engine:waiting", At: func(float64) promql.Vector { return nil }}}, s.Answers...)
	for _, l := range strings.Split(picture(start(t, s, 160, 45), 160, 45), "\n") {
		if strings.Contains(l, "▒ waiting") && !strings.Contains(strings.Split(l, "▒ waiting")[1][:24], "—") {
			t.Errorf("waiting reads %q", l)
		}
	}
}

func TestAnswersOfAnotherGenerationAreDropped(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := New(Options{Reader: s, Now: clock})
	m.Update(screen.Size{W: 160, H: 45})
	old := m.Init()
	// The person chooses another window before the answer is there.
	b, _ := keys.Find(m.Keys(), "w")
	fresh := b.Run("w")
	run(m, fresh)
	at := m.snap
	m.Update(old())
	if m.snap != at {
		t.Error("an answer to an older question was taken")
	}
}

func TestQuestionsNeverOverlap(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := start(t, s, 160, 45)
	s.Move(clock.Add(time.Second))
	first := m.Update(screen.Tick{Now: clock.Add(time.Second)})
	if first == nil {
		t.Fatal("a tick asks nothing")
	}
	if second := m.Update(screen.Tick{Now: clock.Add(2 * time.Second)}); second != nil {
		t.Error("a tick asks while the last question is still out")
	}
	run(m, first)
	if third := m.Update(screen.Tick{Now: clock.Add(3 * time.Second)}); third == nil {
		t.Error("after the answer the next tick asks nothing")
	}
}

func TestATickStaysWithinItsQuestions(t *testing.T) {
	s := staged.Busy(clock, 8)
	m := start(t, s, 200, 50)
	s.Asked = 0
	s.Move(clock.Add(time.Second))
	run(m, m.Update(screen.Tick{Now: clock.Add(time.Second)}))
	if s.Asked > 42 {
		t.Errorf("%d queries a tick", s.Asked)
	}
	t.Logf("%d queries a tick", s.Asked)
}

func TestAYoungSessionBeginsWithTheShortestWindow(t *testing.T) {
	s := staged.Busy(clock, 1)
	s.Start = clock.Add(-20 * time.Second)
	m := start(t, s, 160, 45)
	if got := m.windowName(); got != "1m" {
		t.Fatalf("window %s", got)
	}
	for _, tc := range []struct {
		age  time.Duration
		want string
	}{{149 * time.Second, "1m"}, {150 * time.Second, "5m"}} {
		later := s.Start.Add(tc.age)
		s.Move(later)
		run(m, m.Update(screen.Tick{Now: later}))
		if got := m.windowName(); got != tc.want {
			t.Errorf("at the age of %v the window is %s, want %s", tc.age, got, tc.want)
		}
	}
}

func TestAWindowThatWasAskedForStays(t *testing.T) {
	for _, tc := range []struct {
		ask  time.Duration
		want string
	}{{time.Minute, "1m"}, {5 * time.Minute, "5m"}, {20 * time.Minute, "1h"}, {WholeSession, "all 1m"}} {
		s := staged.Busy(clock, 1)
		s.Start = clock.Add(-20 * time.Second)
		m := New(Options{Reader: s, Now: clock, Window: tc.ask})
		m.Update(screen.Size{W: 160, H: 45})
		run(m, m.Init())
		if got := m.windowName(); got != tc.want {
			t.Errorf("asked for %v, the window is %s, want %s", tc.ask, got, tc.want)
		}
		s.Move(s.Start.Add(4 * time.Minute))
		run(m, m.Update(screen.Tick{Now: s.Now}))
		if got := m.windowName(); got != strings.Replace(tc.want, "all 1m", "all 4m", 1) {
			t.Errorf("asked for %v, after four minutes the window is %s", tc.ask, got)
		}
	}
}

func TestWindows(t *testing.T) {
	m := start(t, staged.Busy(clock, 1), 160, 45)
	var got []string
	for range windows {
		got = append(got, m.windowName())
		press(t, m, "w")
	}
	if want := "5m 15m 1h 6h all 40m 1m"; strings.Join(got, " ") != want {
		t.Errorf("w goes through %v, want %s", got, want)
	}
	press(t, m, "]")
	press(t, m, "]")
	press(t, m, "[")
	if got := m.windowName(); got != "15m" {
		t.Errorf("] ] [ from 5m gives %s", got)
	}
}

func TestZoomShowsEveryNumberAndItsSource(t *testing.T) {
	for key, want := range map[string][]string{
		"1": {"running", "preempted", "aborted", "engine:waiting_by_reason", "once per engine"},
		"2": {"TPOT", "p50 ≤", "formulas", "time to first token", "engine:ttft_buckets"},
		"3": {"decode", "J/output token", "engine:decode_tokens"},
		"4": {"used", "prefix hit", "engine:kv_usage"},
		"5": {"GPU 0", "UUID", "driver", "580.95.05", "DCGM_FI_DEV_GPU_UTIL", "reserved"},
		"6": {"CPU limit", "free", "EngineCore", "node_cpu_seconds_total"},
	} {
		t.Run("panel "+key, func(t *testing.T) {
			m := start(t, staged.Busy(clock, 1), 200, 60)
			press(t, m, key)
			mustShow(t, picture(m, 200, 60), append(want, "esc back", "PromQL", "now")...)
			press(t, m, "esc")
			mustShow(t, picture(m, 200, 60), "¹queue", "⁶host")
		})
	}
}

func TestDisabledKeysSayWhy(t *testing.T) {
	m := start(t, staged.Busy(clock, 1), 160, 45)
	for key, want := range map[string]string{"g": "there is only one GPU", "R": "this session is not being recorded", "m": "this session is not being recorded"} {
		b, _ := keys.Find(m.Keys(), key)
		if got := b.Reason(); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestEveryBindingHasAKeyAHelpAndAnAction(t *testing.T) {
	m := start(t, staged.Busy(clock, 8), 160, 45)
	seen := map[string]string{}
	for _, b := range m.Keys() {
		if len(b.Keys) == 0 || b.Help == "" || b.Group == "" || b.Run == nil {
			t.Errorf("%+v is incomplete", b.Keys)
		}
		for _, k := range b.Keys {
			if other, ok := seen[k]; ok {
				t.Errorf("%s does two things: %s; %s", k, other, b.Help)
			}
			seen[k] = b.Help
		}
	}
}

// acts counts what the screen asked for.
type acts struct {
	notes  []string
	err    error
	reader sessions.Reader
}

func (a *acts) Mark(_ context.Context, note string) error {
	a.notes = append(a.notes, note)
	return a.err
}
func (a *acts) HandOver(context.Context) (sessions.Reader, error) {
	return a.reader, a.err
}
func (a *acts) TakeOver(context.Context) (sessions.Reader, error) { return a.reader, a.err }

func TestHandOverGoesOnAsAReader(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := start(t, s, 160, 45)
	other := staged.Busy(clock, 1)
	other.InfoNow.Recording, other.InfoNow.PID = sessions.RecordingElsewhere, 4711
	m.actions = &acts{reader: other}
	press(t, m, "B")
	mustShow(t, picture(m, 200, 45), "attached to pid 4711")
	b, _ := keys.Find(m.Keys(), "B")
	if got := b.Reason(); !strings.Contains(got, "another process records already") {
		t.Errorf("B is %q", got)
	}
}

func TestAFailedActionIsSaidAndTheKeyWorksAgain(t *testing.T) {
	m := start(t, staged.Busy(clock, 1), 160, 45)
	m.actions = &acts{err: errors.New("no room in /var/lib")}
	for _, msg := range press(t, m, "B") {
		if say, ok := msg.(screen.Say); ok && say.Bad && strings.Contains(say.Text, "no room in /var/lib") {
			if m.busy != "" {
				t.Error("still busy")
			}
			return
		}
	}
	t.Error("the failure was not said")
}

func TestAReaderThatComesWithAnErrorIsUsedAndTheErrorSaid(t *testing.T) {
	m := start(t, staged.Busy(clock, 1), 160, 45)
	other := staged.Busy(clock, 1)
	other.InfoNow.ID = "20261124-235959-0001"
	m.actions = &acts{reader: other, err: errors.New("the background recorder did not start; recording goes on here")}
	said := ""
	for _, msg := range press(t, m, "B") {
		if say, ok := msg.(screen.Say); ok && say.Bad {
			said = say.Text
		}
	}
	if !strings.Contains(said, "did not start") {
		t.Errorf("said %q", said)
	}
	if m.reader != sessions.Reader(other) {
		t.Error("the old reader is still in use")
	}
	mustShow(t, picture(m, 200, 45), "20261124-235959-0001")
}

func TestASecondEngineCanBeChosen(t *testing.T) {
	s := staged.Busy(clock, 1)
	s.FactsNow["engine/127.0.0.1:8001/url"], s.FactsNow["engine/127.0.0.1:8001/dialect"], s.FactsNow["engine/127.0.0.1:8001/model"] = "http://127.0.0.1:8001", "vllm", "Qwen/Qwen3-4B"
	m := start(t, s, 160, 45)
	mustShow(t, picture(m, 200, 45), "1 of 2 engines")
	var list screen.Overlay
	for _, msg := range press(t, m, "e") {
		if o, ok := msg.(screen.Open); ok {
			list = o.Overlay
		}
	}
	if list == nil {
		t.Fatal("e opens nothing")
	}
	cmd, closed := list.Key(tea.KeyPressMsg{Code: '2', Text: "2"})
	if !closed {
		t.Error("the list stays open")
	}
	run(m, cmd)
	mustShow(t, picture(m, 200, 45), "Qwen/Qwen3-4B")
}

func TestClickOnATitleZooms(t *testing.T) {
	m := start(t, staged.Busy(clock, 1), 160, 45)
	for _, b := range Layout(160, 45, m.shape()).Boxes {
		if b.Panel == "cache" {
			run(m, m.Click(b.TitleX+2, b.Y-1))
		}
	}
	if m.zoom < 0 || m.panels[m.zoom].id != "cache" {
		t.Errorf("zoom is %d", m.zoom)
	}
	run(m, m.Click(5, head))
	if m.zoom >= 0 {
		t.Error("a click on the zoomed title doesn't go back")
	}
}

func TestAQueryThatFailsIsShownInTheZoomedPanel(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := start(t, s, 200, 60)
	press(t, m, "4")
	s.Err = errors.New("query took longer than 5s")
	s.Move(clock.Add(time.Second))
	run(m, m.Update(screen.Tick{Now: clock.Add(time.Second)}))
	mustShow(t, picture(m, 200, 60), "query took longer than 5s")
}

func frameAt(t time.Time) screen.Frame { return screen.Frame{Now: t} }

func TestAReaderThatHangsIsNamed(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := start(t, s, 160, 45)
	if m.Update(screen.Tick{Now: clock.Add(time.Second)}) == nil {
		t.Fatal("a tick asks nothing")
	}
	for i := 2; i < 14; i++ {
		m.Update(screen.Tick{Now: clock.Add(time.Duration(i) * time.Second)})
	}
	mustShow(t, picture(m, 160, 45), "NO ANSWER", "the recording has not answered for 12s")
}

func TestTheFooterLeavesOutTheLeastImportantKeys(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := start(t, s, 80, 24)
	m.actions = &acts{}
	last := strings.Split(strings.TrimRight(picture(m, 80, 24), "\n"), "\n")[23]
	mustShow(t, last, "w window", "space freeze", "1-6 zoom", "m mark", "B background", "? help", "q quit")
	mustNotShow(t, last, "g GPU", "e engine")
	mustShow(t, strings.Split(picture(m, 160, 45), "\n")[44], "g GPU", "e engine", "B background")
}

func TestWithoutAListTheLastEventIsOnTheSecondLine(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := start(t, s, 80, 24)
	mustShow(t, strings.Split(picture(m, 80, 24), "\n")[1], "▲ 00:15:34 gpu/0 power cap began · lasted 24s", "running 6/64")
	m = start(t, s, 160, 45)
	mustNotShow(t, strings.Split(picture(m, 160, 45), "\n")[1], "power cap")
}

func TestAStateThatTheRecordingFoundHasNoLengthOfItsOwn(t *testing.T) {
	s := staged.Busy(clock, 1)
	s.Override("pitwall_engine_state_start", promql.Vector{staged.V(float64(s.Start.Add(time.Second).Unix()), "instance", "127.0.0.1:8000", "job", "vllm")})
	s.FactsNow["engine/127.0.0.1:8000/started"] = clock.Add(-5 * time.Hour).Format(time.RFC3339)
	pic := picture(start(t, s, 160, 45), 160, 45)
	mustShow(t, pic, "● READY  up 5h00m", "ready: so when the recording began")
	mustNotShow(t, pic, "READY 39m59s", "for 39m59s")
}

func TestAnEngineElsewhereOnThisHostIsNamed(t *testing.T) {
	s := staged.Busy(clock, 0)
	staged.Scene(s, "noengine")
	mustShow(t, picture(start(t, s, 160, 45), 160, 45), "An engine of this host listens on 127.0.0.1:8000:", "pitwall --engine http://127.0.0.1:8000")
}

func TestSameEngine(t *testing.T) {
	for _, tc := range []struct {
		name, found, instance string
		want                  bool
	}{
		{"the same words", "127.0.0.1:8000", "127.0.0.1:8000", true},
		{"localhost is this host", "127.0.0.1:8000", "localhost:8000", true},
		{"IPv6 loopback is this host", "127.0.0.1:8000", "[::1]:8000", true},
		{"another port", "127.0.0.1:8000", "localhost:8001", false},
		{"another host", "127.0.0.1:8000", "10.0.0.7:8000", false},
		{"no port is known yet", "", "127.0.0.1:8000", false},
	} {
		if got := sameEngine(tc.found, tc.instance); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestKVTokensCountHeldBlocks(t *testing.T) {
	// Six of 181 usable blocks of 128 tokens; the 182nd is the engine's own.
	s := staged.Busy(clock, 1)
	s.Override("engine:kv_usage", promql.Vector{staged.V(6.0 / 181)})
	for name, v := range map[string]string{"num_gpu_blocks": "182", "block_size": "128", "kv_tokens": "23296"} {
		s.FactsNow["engine/127.0.0.1:8000/"+name] = v
	}
	mustShow(t, picture(start(t, s, 160, 45), 160, 45), "768 of 23,296", "6 of 182 × 128")
}

func TestWhatHoldsTheClocksIsInTheTableOfGPUs(t *testing.T) {
	s := staged.Busy(clock, 8)
	s.Override("pitwall_gpu_clocks_event_reason_seconds_total", promql.Vector{
		staged.V(0.9, "gpu", "0", "reason", "power_cap"), staged.V(0.02, "gpu", "0", "reason", "hw_thermal"), staged.V(0, "gpu", "1", "reason", "power_cap")})
	pic := picture(start(t, s, 160, 45), 160, 45)
	for i, want := range []string{"heat", "no", "—"} {
		line := ""
		for _, l := range strings.Split(pic, "\n") {
			if strings.Contains(l, "GPU"+itoa(i)+" ") {
				line = string([]rune(l)[:79])
			}
		}
		if !strings.HasSuffix(strings.TrimRight(line, " │"), " "+want) {
			t.Errorf("GPU %d: %q does not end with %q", i, line, want)
		}
	}
}
