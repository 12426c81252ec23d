package theme_test

import (
	"strings"
	"testing"

	"github.com/charmbracelet/colorprofile"

	"pitwall/ui/theme"
)

func TestWithoutColoursThereAreAttributesOnly(t *testing.T) {
	th := theme.New(theme.Options{Profile: colorprofile.ASCII})
	if !th.Flat() {
		t.Error("not flat")
	}
	for role := theme.Plain; role < theme.X+theme.Shades; role++ {
		for _, p := range strings.Split(strings.Trim(th.Open(role), "\x1b[m"), ";") {
			if len(p) > 1 {
				t.Errorf("role %d has the parameter %s: a colour", role, p)
			}
		}
	}
	for name, role := range map[string]theme.Ink{"alarm": theme.Alarm, "notice": theme.Notice, "the chosen row": theme.Selected} {
		if !strings.Contains(th.Open(role), "7") {
			t.Errorf("%s is not inverted: %q", name, th.Open(role))
		}
	}
}

func TestGoodWarnAndBadDifferInEveryTheme(t *testing.T) {
	for _, o := range []theme.Options{
		{Dark: true, Profile: colorprofile.TrueColor}, {Dark: false, Profile: colorprofile.TrueColor}, {Dark: true, Profile: colorprofile.ANSI256},
		{Dark: true, Profile: colorprofile.ANSI}, {Dark: false, Profile: colorprofile.ANSI},
	} {
		th := theme.New(o)
		seen := map[string]string{}
		for name, role := range map[string]theme.Ink{"good": theme.Good, "warn": theme.Warn, "bad": theme.Bad, "info": theme.Info, "alarm": theme.Alarm, "notice": theme.Notice} {
			s := th.Open(role)
			if s == "" {
				t.Errorf("%+v: %s has no look", o, name)
			}
			if other, ok := seen[s]; ok {
				t.Errorf("%+v: %s looks like %s", o, name, other)
			}
			seen[s] = name
		}
	}
}

func TestSixteenColoursAreTheTerminalsOwn(t *testing.T) {
	th := theme.New(theme.Options{Dark: true, Profile: colorprofile.ANSI})
	for role := theme.Plain; role < theme.X+theme.Shades; role++ {
		if s := th.Open(role); strings.Contains(s, "38;2") || strings.Contains(s, "38;5") {
			t.Errorf("role %d asks for more than sixteen colours: %q", role, s)
		}
	}
}

func TestInksCombine(t *testing.T) {
	i := theme.A.On(theme.B)
	if i.Back() != theme.B || i.IsReversed() || i.On(0) != theme.A {
		t.Errorf("On: back %d", i.Back())
	}
	if r := theme.C.Reversed(); !r.IsReversed() || r.Reversed() != theme.C {
		t.Error("Reversed twice is not what it was")
	}
	th := theme.New(theme.Options{Dark: true, Profile: colorprofile.TrueColor})
	if !strings.Contains(th.Open(i), "48;2") || !strings.HasSuffix(th.Open(theme.C.Reversed()), "7m") {
		t.Errorf("%q %q", th.Open(i), th.Open(theme.C.Reversed()))
	}
}

func TestALookIsWhatTheTerminalShows(t *testing.T) {
	th := theme.New(theme.Options{Dark: true, Profile: colorprofile.TrueColor})
	text, ground := th.Ground()
	if l := th.Look(theme.Plain); l.Back != ground || l.Filled || l.Bold {
		t.Errorf("plain text: %+v", l)
	}
	if l := th.Look(theme.Alarm); !l.Filled || !l.Bold || l.Back != th.Look(theme.Bad).Fore {
		t.Errorf("an alarm: %+v", l)
	}
	if l, r := th.Look(theme.A), th.Look(theme.A.Reversed()); l.Fore != r.Back || l.Back != r.Fore || !r.Filled {
		t.Errorf("reversed: %+v of %+v", r, l)
	}
	if l := th.Look(theme.A.On(theme.B)); l.Back != th.Look(theme.B).Fore || !l.Filled {
		t.Errorf("on another series: %+v", l)
	}
	flat := theme.New(theme.Options{Dark: true, Profile: colorprofile.ASCII})
	if l := flat.Look(theme.Selected); !l.Filled || l.Fore != ground || l.Back != text {
		t.Errorf("without colours the chosen row is not inverted: %+v", l)
	}
	if l := flat.Look(theme.Dim); l.Fore == text || !l.Faint {
		t.Errorf("without colours quiet text is as loud as any: %+v", l)
	}
}
