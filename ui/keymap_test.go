package ui

import (
	"slices"
	"strings"
	"testing"

	"pitwall/ui/internal/staged"
	"pitwall/ui/keys"
)

// plain tells whether a key can be sent by any terminal: one printable ASCII character, or enter, escape, tab, space, or a
// letter with ctrl.
func plain(key string) bool {
	switch key {
	case "enter", "esc", "tab", "space":
		return true
	}
	if k, ok := strings.CutPrefix(key, "ctrl+"); ok {
		return len(k) == 1 && k[0] >= 'a' && k[0] <= 'z'
	}
	return len(key) == 1 && key[0] > ' ' && key[0] < 127
}

// everyState gives the console in the states that have keys of their own.
func everyState(t *testing.T) map[string]*Model {
	out := map[string]*Model{}
	for name, pressed := range map[string][]string{"live": nil, "a panel is focused": {"tab"}, "a panel is zoomed": {"2"}, "frozen": {"space"}, "a time is marked": {"space", "x"}} {
		m := console(t, staged.Busy(clock, 8), 160, 45, func(o *Options) { o.Actions = &marker{} })
		press(t, m, pressed...)
		out[name] = m
	}
	s := staged.Busy(clock, 8)
	staged.LoadRuns(s)
	out["load is on"] = console(t, s, 160, 45, func(o *Options) { o.Actions, o.Load = &marker{}, staged.RunningDesk(s) })
	return out
}

func TestEveryActionHasAKeyThatAnyTerminalCanSend(t *testing.T) {
	for state, m := range everyState(t) {
		for _, b := range m.screen.Keys() {
			if !slices.ContainsFunc(b.Keys, plain) {
				t.Errorf("%s: %q (%v) needs a key that not every terminal sends", state, b.Help, b.Keys)
			}
		}
	}
}

func TestNoKeyHasTwoMeanings(t *testing.T) {
	for state, m := range everyState(t) {
		seen := map[string]keys.Binding{}
		for _, b := range m.screen.Keys() {
			for _, k := range b.Keys {
				if other, ok := seen[k]; ok {
					t.Errorf("%s: %s is %q and %q", state, k, other.Help, b.Help)
				}
				seen[k] = b
			}
		}
	}
}

func TestTheHelpShowsTheKeyThatAnyTerminalCanSend(t *testing.T) {
	for state, m := range everyState(t) {
		for _, b := range m.screen.Keys() {
			shown := strings.Fields(b.Label())
			ok := slices.ContainsFunc(b.Keys, func(k string) bool {
				return plain(k) && (slices.Contains(shown, k) || len(k) == 1 && k[0] >= '1' && k[0] <= '9')
			})
			if !ok {
				t.Errorf("%s: the help writes %q for %v", state, b.Label(), b.Keys)
			}
		}
	}
}
