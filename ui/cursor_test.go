package ui

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/exp/golden"

	"pitwall/sessions"
	"pitwall/ui/internal/staged"
)

// named are the keys of this file's tests that are no single character.
func named(k string) tea.KeyPressMsg {
	switch k {
	case "left":
		return tea.KeyPressMsg{Code: tea.KeyLeft}
	case "right":
		return tea.KeyPressMsg{Code: tea.KeyRight}
	case "pgup":
		return tea.KeyPressMsg{Code: tea.KeyPgUp}
	case "pgdown":
		return tea.KeyPressMsg{Code: tea.KeyPgDown}
	case "home":
		return tea.KeyPressMsg{Code: tea.KeyHome}
	case "end":
		return tea.KeyPressMsg{Code: tea.KeyEnd}
	case "down":
		return tea.KeyPressMsg{Code: tea.KeyDown}
	}
	return key(k)
}

// typed types keys by their names.
func typed(m *Model, keys ...string) {
	for _, k := range keys {
		_, cmd := m.Update(named(k))
		settle(m, cmd)
	}
}

func TestGoldenCursor(t *testing.T) {
	for _, tc := range []struct {
		name, keys string
		change     func(*Options)
	}{
		{"frozen", "pgup", nil},
		{"marked", "pgup x right right right right right right right right x", nil},
		{"events", "v down", nil},
		{"time", "t - 1 0 m", nil},
		{"zoomed", "1 pgup", nil},
		{"replay", "", func(o *Options) { o.Replay = &Replay{At: clock.Add(-2 * time.Minute), Speed: 10} }},
	} {
		for _, size := range [][2]int{{80, 24}, {160, 45}, {240, 70}} {
			t.Run(fmt.Sprintf("%s-%dx%d", tc.name, size[0], size[1]), func(t *testing.T) {
				s := staged.Busy(clock, 1)
				staged.Scene(s, "incident")
				if tc.change != nil {
					staged.Scene(s, "saved")
				}
				changes := []func(*Options){func(o *Options) { o.Actions = &marker{} }}
				if tc.change != nil {
					changes = append(changes, tc.change)
				}
				m := console(t, s, size[0], size[1], changes...)
				typed(m, strings.Fields(tc.keys)...)
				fits(t, shown(m), size[0], size[1])
				golden.RequireEqual(t, shown(m))
			})
		}
	}
}

func TestATimeIsTypedAndGoneTo(t *testing.T) {
	m := console(t, staged.Busy(clock, 1), 160, 45)
	typed(m, "t")
	if !strings.Contains(shown(m), "go to a time") {
		t.Fatal("t opens no box")
	}
	typed(m, "0", "0", ":", "1", "2")
	if pic := shown(m); !strings.Contains(pic, "2026-11-24 00:12:00 · 00:35:15 in · time of day") {
		t.Errorf("what is typed is not explained:\n%s", pic)
	}
	typed(m, "x")
	if pic := shown(m); !strings.Contains(pic, `"00:12x" is no time`) {
		t.Errorf("it isn't said that this is no time:\n%s", pic)
	}
	typed(m, "enter")
	if !strings.Contains(shown(m), "go to a time") {
		t.Error("enter takes what is no time")
	}
	typed(m, "backspace", "enter")
	if pic := shown(m); !strings.Contains(pic, " FROZEN  00:12:00") {
		t.Errorf("the cursor is not there:\n%s", pic)
	}
}

func TestTheMouseGoesToMoments(t *testing.T) {
	s := staged.Busy(clock, 1)
	staged.Scene(s, "incident")
	m := console(t, s, 160, 45)
	at := func(text string) (x, y int) {
		for y, l := range strings.Split(shown(m), "\n") {
			if i := strings.Index(l, text); i >= 0 {
				return len([]rune(l[:i])), y
			}
		}
		t.Fatalf("%q is not on the screen:\n%s", text, shown(m))
		return 0, 0
	}
	click := func(x, y int) {
		_, cmd := m.Update(tea.MouseClickMsg{X: x, Y: y, Button: tea.MouseLeft})
		settle(m, cmd)
	}
	click(20, 10)
	if !strings.Contains(shown(m), " FROZEN  00:14:0") {
		t.Errorf("a click into a chart doesn't go there:\n%s", shown(m))
	}
	x, y := at("space LIVE")
	click(x, y)
	if strings.Contains(shown(m), "FROZEN") {
		t.Error("a click on a key on the last line doesn't press it")
	}
	x, y = at("✗ 00:14:15")
	click(x, y)
	if !strings.Contains(shown(m), " FROZEN  00:14:15") {
		t.Errorf("a click on an event doesn't go to it:\n%s", shown(m))
	}
	before := shown(m)
	_, cmd := m.Update(tea.MouseWheelMsg{X: 20, Y: 10, Button: tea.MouseWheelUp})
	settle(m, cmd)
	if pic := shown(m); !strings.Contains(pic, "window 4m") || pic == before || !strings.Contains(pic, " FROZEN  00:14:15") {
		t.Errorf("the wheel over a chart doesn't zoom time around the pointer:\n%s", pic)
	}
	click(4, 2)
	if !strings.Contains(shown(m), "where it comes from") {
		t.Error("a click on a title doesn't zoom it")
	}
}

func TestTheMouseIsTurnedOnAndOffByAKey(t *testing.T) {
	m := console(t, staged.Busy(clock, 1), 160, 45)
	for i, want := range []tea.MouseMode{tea.MouseModeNone, tea.MouseModeCellMotion, tea.MouseModeNone} {
		if got := m.View().MouseMode; got != want {
			t.Errorf("after %d times M the mouse is %v", i, got)
		}
		press(t, m, "M")
	}
}

func TestTheEventListIsSearchedAndLeadsToTheEvent(t *testing.T) {
	s := staged.Busy(clock, 1)
	staged.Scene(s, "incident")
	m := console(t, s, 160, 45)
	typed(m, "v")
	pic := shown(m)
	for _, want := range []string{"events of this session", "queue growing: 35 waiting, 1.2 more a second · ongoing, 40s", "preempting: KV cache 100 %, 64 of 64 running · lasted 38s, 3 times", "deriv(engine:waiting[1m]) = 1.2/s, and the rule fires at > 0.2/s"} {
		if !strings.Contains(pic, want) {
			t.Errorf("%q is not in the list:\n%s", want, pic)
		}
	}
	typed(m, "p", "r", "e", "e", "m")
	pic = shown(m)
	if !strings.Contains(pic, "1 of 7") || !strings.Contains(pic, "0.4/s") || !strings.Contains(pic, "preempting 3 times, 0.9 % of the session so far") {
		t.Errorf("the search or the frequency is wrong:\n%s", pic)
	}
	typed(m, "enter")
	if pic := shown(m); !strings.Contains(pic, " FROZEN  00:12:33") {
		t.Errorf("enter doesn't go to the event:\n%s", pic)
	}
	typed(m, "v", "tab", "tab")
	if pic := shown(m); !strings.Contains(pic, "1 of 7, ✗ critical only") {
		t.Errorf("tab doesn't leave out what is less grave:\n%s", pic)
	}
}

func TestOnceGivesOnePictureAsText(t *testing.T) {
	s := staged.Busy(clock, 1)
	staged.Scene(s, "saved")
	text, err := Once(t.Context(), Options{Reader: s, Now: func() time.Time { return clock }, Replay: &Replay{At: clock.Add(-time.Minute), Frozen: true}, Environ: []string{"TERM=dumb", "LANG=C.UTF-8", "TMUX=x"}}, 120, 30)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsRune(text, 0x1b) || !strings.Contains(text, "00:15:45") || !strings.Contains(text, "00:39:00 in of 00:40:00") {
		t.Errorf("the picture is\n%s", text)
	}
	fits(t, strings.TrimSuffix(text, "\n"), 120, 30)
}

func TestTheCursorStaysWhenTheReaderIsReplaced(t *testing.T) {
	s := staged.Busy(clock, 1)
	m := console(t, s, 160, 45, func(o *Options) { o.Actions = &handing{staged.Busy(clock, 1)} })
	typed(m, "pgup", "B")
	if pic := shown(m); !strings.Contains(pic, " FROZEN  00:14:15") || !strings.Contains(pic, "¹queue") {
		t.Errorf("after the hand-over the moment is another:\n%s", pic)
	}
}

// handing hands over to another reader.
type handing struct{ to sessions.Reader }

func (h *handing) Mark(context.Context, string) error                { return nil }
func (h *handing) HandOver(context.Context) (sessions.Reader, error) { return h.to, nil }
func (h *handing) TakeOver(context.Context) (sessions.Reader, error) { return nil, nil }
