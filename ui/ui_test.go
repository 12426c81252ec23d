package ui

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/golden"

	"pitwall/probes"
	"pitwall/sessions"
	"pitwall/ui/internal/staged"
)

var clock = time.Date(2026, 11, 24, 0, 16, 45, 0, time.UTC)

func TestMain(m *testing.M) {
	if os.Getenv(asConsole) != "" {
		os.Exit(consoleMain())
	}
	// Event times are shown in local time; the pictures are those of one zone.
	time.Local = time.UTC
	os.Exit(m.Run())
}

// console makes a console of a size that has had its first answers, without a terminal.
func console(t testing.TB, s *staged.Session, w, h int, change ...func(*Options)) *Model {
	t.Helper()
	o := Options{Reader: s, Now: func() time.Time { return clock }, Environ: []string{"TERM=xterm-256color", "LANG=C.UTF-8"}}
	for _, c := range change {
		c(&o)
	}
	m := New(o)
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	settle(m, m.screen.Init())
	return m
}

// settle executes commands until none is left.
func settle(m *Model, cmd tea.Cmd) (quit bool) {
	for queue := []tea.Cmd{cmd}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == nil {
			continue
		}
		switch msg := queue[0]().(type) {
		case tea.BatchMsg:
			queue = append(queue, msg...)
		case tea.QuitMsg:
			quit = true
		default:
			_, next := m.Update(msg)
			queue = append(queue, next)
		}
	}
	return quit
}

func key(s string) tea.KeyPressMsg {
	switch s {
	case "enter":
		return tea.KeyPressMsg{Code: tea.KeyEnter}
	case "esc":
		return tea.KeyPressMsg{Code: tea.KeyEscape}
	case "space":
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	case "tab":
		return tea.KeyPressMsg{Code: tea.KeyTab}
	case "backspace":
		return tea.KeyPressMsg{Code: tea.KeyBackspace}
	case "ctrl+c":
		return tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: []rune(s)[0], Text: s}
}

func press(t testing.TB, m *Model, keys ...string) (quit bool) {
	t.Helper()
	for _, k := range keys {
		_, cmd := m.Update(key(k))
		quit = settle(m, cmd) || quit
	}
	return quit
}

func shown(m *Model) string { return ansi.Strip(m.View().Content) }

// fits fails unless the picture is at most w by h cells and holds no control character.
func fits(t *testing.T, pic string, w, h int) {
	t.Helper()
	lines := strings.Split(pic, "\n")
	if len(lines) > h {
		t.Errorf("%d lines on a screen of %d", len(lines), h)
	}
	for i, l := range lines {
		if n := ansi.StringWidthWc(l); n > w {
			t.Errorf("line %d is %d cells wide on a screen of %d: %q", i, n, w, l)
		}
		for _, r := range l {
			if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r == 0x200d {
				t.Errorf("line %d has %q in it", i, r)
			}
		}
	}
}

var sizes = [][2]int{{40, 10}, {80, 24}, {160, 45}, {240, 70}, {300, 80}}

func TestGolden(t *testing.T) {
	for _, size := range sizes {
		t.Run(fmt.Sprintf("busy-%dx%d", size[0], size[1]), func(t *testing.T) {
			golden.RequireEqual(t, shown(console(t, staged.Busy(clock, 1), size[0], size[1])))
		})
	}
	for _, tc := range []struct {
		name string
		gpus int
		w, h int
		keys []string
	}{
		{"", 8, 160, 45, nil}, {"noengine", 0, 80, 24, nil}, {"noengine", 0, 160, 45, nil}, {"starting", 1, 160, 45, nil}, {"stalled", 1, 80, 24, nil}, {"noanswer", 1, 160, 45, nil},
		{"nothing", 1, 80, 24, nil}, {"died", 1, 80, 24, nil}, {"notstored", 1, 160, 45, nil}, {"simulated", 1, 80, 24, []string{"2"}}, {"", 1, 160, 45, []string{"?"}},
		{"", 1, 160, 45, []string{"5"}}, {"", 8, 160, 45, []string{"g"}}, {"", 1, 80, 24, []string{"space"}},
	} {
		t.Run(strings.ReplaceAll(fmt.Sprintf("%s-%dgpu-%dx%d-%s", cmp.Or(tc.name, "busy"), tc.gpus, tc.w, tc.h, cmp.Or(strings.Join(tc.keys, ""), "nokey")), "?", "help"), func(t *testing.T) {
			s := staged.Busy(clock, tc.gpus)
			if tc.gpus == 0 {
				s.FactsNow["gpu/status"] = "no NVIDIA driver: libnvidia-ml.so.1 not found"
			}
			staged.Scene(s, tc.name)
			m := console(t, s, tc.w, tc.h)
			press(t, m, tc.keys...)
			golden.RequireEqual(t, shown(m))
		})
	}
	t.Run("ascii-120x40", func(t *testing.T) {
		pic := shown(console(t, staged.Busy(clock, 1), 120, 40, func(o *Options) { o.Config.ASCII = true }))
		for _, r := range pic {
			if r > 126 {
				t.Fatalf("%q is no ASCII character", r)
			}
		}
		golden.RequireEqual(t, pic)
	})
}

// nasty names try to leave their place: they move the cursor, turn the direction of writing, are wide, or endless.
var nasty = []string{
	"\x1b[2J\x1b[1;1Hgotcha", "a\r\nb\tc\x07", "\u202etxet desrever\u202c", "模型名称很长的一个模型/全角字符测试专用", "👩‍👩‍👧‍👦🇩🇪❤️", "e\u0301\u0301\u0301\u0301", strings.Repeat("x", 5000),
	strings.Repeat("世", 300), "\xff\xfe\x80", "]0;title\x07", "",
}

func TestNothingFromOutsideLeavesItsPlace(t *testing.T) {
	t.Parallel()
	for i, name := range nasty {
		for _, size := range [][2]int{{1, 1}, {20, 3}, {40, 10}, {60, 15}, {80, 24}, {100, 30}, {131, 33}, {132, 24}, {160, 45}, {200, 50}, {300, 80}} {
			{
				gpus := []int{0, 1, 8}[(i+size[0])%3]
				w, h := size[0], size[1]
				s := staged.Busy(clock, gpus)
				for k := range s.FactsNow {
					if strings.HasSuffix(k, "/model") || strings.HasSuffix(k, "/version") || strings.HasSuffix(k, "/name") || strings.HasSuffix(k, "cache_dtype") || strings.HasSuffix(k, "status") {
						s.FactsNow[k] = name
					}
				}
				s.InfoNow.Name, s.InfoNow.Trouble = name, name
				s.TargetsNow[0].Up, s.TargetsNow[0].Err = false, name
				s.AbsentNow["DCGM_FI_DEV_GPU_UTIL"], s.AbsentNow["engine:running"] = name, name
				s.EventsAll = append(s.EventsAll, probes.Event{Time: clock.Add(-time.Second), Kind: name, Subject: name, Severity: probes.Critical, Title: name, Attrs: map[string]string{"reason": name}})
				m := console(t, s, w, h, func(o *Options) { o.Tried = []string{name} })
				for _, keys := range [][]string{nil, {"2"}, {"5"}, {"6"}, {"esc", "?"}, {"esc", "e"}} {
					press(t, m, keys...)
					fits(t, shown(m), w, h)
					if t.Failed() {
						t.Fatalf("name %d at %dx%d with %d GPUs after %v", i, w, h, gpus, keys)
					}
				}
				if strings.ContainsAny(m.View().WindowTitle, "\x1b\x07\n") {
					t.Fatalf("the window title is %q", m.View().WindowTitle)
				}
			}
		}
	}
}

func TestEverySceneFitsEverySize(t *testing.T) {
	t.Parallel()
	for _, scene := range []string{"noengine", "starting", "stalled", "noanswer", "died", "notstored", "nothing", "simulated", "idle"} {
		for w := 58; w <= 200; w += 19 {
			for h := 13; h <= 60; h += 11 {
				s := staged.Busy(clock, w%3)
				staged.Scene(s, scene)
				m := console(t, s, w, h)
				fits(t, shown(m), w, h)
				if w >= 60 && h >= 15 && !strings.Contains(shown(m), "pitwall") {
					t.Errorf("%s at %dx%d has no top line", scene, w, h)
				}
			}
		}
	}
}

func TestKeys(t *testing.T) {
	for _, tc := range []struct {
		name      string
		keys      []string
		want, not string
		quit      bool
	}{
		{"q quits", []string{"q"}, "", "", true},
		{"ctrl+c quits, from a box too", []string{"?", "ctrl+c"}, "", "", true},
		{"? opens the help, made from the keys", []string{"?"}, "put a mark with a note on every chart", "", false},
		{"the help says why a key cannot be used", []string{"?"}, "not now: there is only one GPU", "", false},
		{"typing in the help searches it", []string{"?", "m", "a", "r", "k"}, "put a mark", "next length of time", false},
		{"q in the help's search is a letter", []string{"?", "s", "e", "q"}, "no key has that", "", false},
		{"esc empties the search, then closes the help", []string{"?", "m", "esc", "esc"}, "¹queue", "search", false},
		{"a digit zooms its panel", []string{"4"}, "where it comes from", "¹queue", false},
		{"the same digit goes back", []string{"4", "4"}, "¹queue", "where it comes from", false},
		{"tab focuses, enter zooms", []string{"tab", "tab", "enter"}, "formulas", "", false},
		{"esc leaves the zoom", []string{"2", "esc"}, "¹queue", "formulas", false},
		{"w changes the window", []string{"w"}, "window 15m", "", false},
		{"space freezes", []string{"space"}, "FROZEN", "", false},
		{"a disabled key says why", []string{"g"}, "not now, there is only one GPU", "", false},
		{"e lists the engines", []string{"e"}, "which engine", "", false},
		{"- asks less often", []string{"-"}, "asks every 2s", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := console(t, staged.Busy(clock, 1), 160, 45)
			if quit := press(t, m, tc.keys...); quit != tc.quit {
				t.Errorf("quit is %v", quit)
			}
			pic := shown(m)
			if !strings.Contains(pic, tc.want) {
				t.Errorf("%q is not on the screen:\n%s", tc.want, pic)
			}
			if tc.not != "" && strings.Contains(pic, tc.not) {
				t.Errorf("%q is on the screen:\n%s", tc.not, pic)
			}
		})
	}
}

// marker records the notes it is given.
type marker struct{ notes []string }

func (a *marker) Mark(_ context.Context, note string) error {
	a.notes = append(a.notes, note)
	return nil
}
func (a *marker) HandOver(context.Context) (sessions.Reader, error) {
	return nil, context.DeadlineExceeded
}
func (a *marker) TakeOver(context.Context) (sessions.Reader, error) { return nil, nil }

func TestANoteIsTypedAndMarked(t *testing.T) {
	a := &marker{}
	m := console(t, staged.Busy(clock, 1), 160, 45, func(o *Options) { o.Actions = a })
	press(t, m, "m", "q", "x", "backspace", " ", "ö")
	if !strings.Contains(shown(m), "q ö") {
		t.Errorf("the note is not on the screen:\n%s", shown(m))
	}
	m.Update(tea.PasteMsg{Content: "\x1b[2J\npasted"})
	press(t, m, "enter")
	if len(a.notes) != 1 || !strings.HasPrefix(a.notes[0], "q ö") || strings.ContainsAny(a.notes[0], "\x1b\n") {
		t.Errorf("marked %q", a.notes)
	}
	if !strings.Contains(shown(m), "mark: done") {
		t.Error("it isn't said that the mark is set")
	}
	press(t, m, "m", "x", "esc")
	if len(a.notes) != 1 {
		t.Error("esc sets a mark")
	}
}

func TestAFailureIsSaid(t *testing.T) {
	m := console(t, staged.Busy(clock, 1), 160, 45, func(o *Options) { o.Actions = &marker{} })
	press(t, m, "B")
	if !strings.Contains(shown(m), "hand over the recording: context deadline exceeded") {
		t.Errorf("the failure is not on the screen:\n%s", shown(m))
	}
}

func TestThePictureIsKeptWhileNothingChanges(t *testing.T) {
	m := console(t, staged.Busy(clock, 1), 160, 45)
	m.View()
	r := m.picture.revision
	for _, msg := range []tea.Msg{tea.KeyReleaseMsg{}, tea.MouseMotionMsg{}, tea.FocusMsg{}, tea.EnvMsg{}, tea.ColorProfileMsg{Profile: m.profile}} {
		m.Update(msg)
		m.View()
	}
	if m.picture.revision != r {
		t.Error("it was drawn again")
	}
	m.Update(beat{})
	m.View()
	if m.picture.revision == r {
		t.Error("a tick doesn't draw it again")
	}
}

func TestWithoutColourNothingIsColoured(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"by the flag":      func(o *Options) { o.Config.NoColor = true },
		"by NO_COLOR=yes":  func(o *Options) { o.Environ = append(o.Environ, "NO_COLOR=yes") },
		"by the terminal ": func(o *Options) {},
	} {
		t.Run(name, func(t *testing.T) {
			m := console(t, staged.Busy(clock, 1), 160, 45, change)
			if strings.HasPrefix(name, "by the terminal") {
				m.Update(tea.ColorProfileMsg{Profile: colorprofile.ASCII})
			}
			for _, code := range []string{"38;", "48;", "\x1b[3", "\x1b[9"} {
				if strings.Contains(m.View().Content, code) {
					t.Errorf("the picture has %q in it", code)
				}
			}
		})
	}
}

func TestTheBackgroundDecidesTheThemeUnlessItIsGiven(t *testing.T) {
	light := tea.BackgroundColorMsg{Color: ansi.RGBColor{R: 255, G: 255, B: 255}}
	m := console(t, staged.Busy(clock, 1), 80, 24)
	m.Update(light)
	if m.theme.Dark() {
		t.Error("a light background has the dark theme")
	}
	m = console(t, staged.Busy(clock, 1), 80, 24, func(o *Options) { o.Config.Theme = "dark" })
	m.Update(light)
	if !m.theme.Dark() {
		t.Error("the theme that was asked for is gone")
	}
}

func TestEnvironment(t *testing.T) {
	for _, tc := range []struct {
		name                    string
		env                     []string
		ascii, answers, noColor bool
	}{
		{"a modern terminal", []string{"TERM=xterm-256color", "LANG=en_US.UTF-8"}, false, true, false},
		{"the console of Linux", []string{"TERM=linux", "LANG=en_US.UTF-8"}, true, false, false},
		{"a locale without UTF-8", []string{"TERM=xterm-256color", "LANG=C"}, true, true, false},
		{"LC_ALL is above LANG", []string{"TERM=xterm-256color", "LC_ALL=C", "LANG=en_US.UTF-8"}, true, true, false},
		{"no locale at all in a colour terminal", []string{"TERM=xterm-256color"}, false, true, false},
		{"NO_COLOR with any value", []string{"TERM=xterm-256color", "LANG=C.UTF-8", "NO_COLOR=0"}, false, true, true},
		{"an empty NO_COLOR says nothing", []string{"TERM=xterm-256color", "LANG=C.UTF-8", "NO_COLOR="}, false, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEnviron(tc.env)
			if e.asciiOnly() != tc.ascii || e.answers() != tc.answers || e.noColor() != tc.noColor {
				t.Errorf("ascii %v, answers %v, no colour %v", e.asciiOnly(), e.answers(), e.noColor())
			}
		})
	}
}

func BenchmarkView(b *testing.B) {
	m := console(b, staged.Busy(clock, 8), 200, 50)
	b.ReportAllocs()
	for b.Loop() {
		m.revision++
		m.View()
	}
}

func BenchmarkTick(b *testing.B) {
	s := staged.Busy(clock, 8)
	m := console(b, s, 200, 50)
	now := clock
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		s.Move(now)
		m.now = func() time.Time { return now }
		_, cmd := m.Update(beat{})
		for _, c := range cmd().(tea.BatchMsg)[1:] {
			settle(m, c)
		}
		m.View()
	}
}
