package ui

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// patience is how long something may take on a machine that is busy with other tests.
const patience = 30 * time.Second

// multiplexer is a terminal inside of another program, whose picture can be asked for.
type multiplexer struct {
	t       *testing.T
	picture func() string
	press   func(keys ...string)
	gone    func() bool
}

func (m multiplexer) until(what string, ok func(pic string) bool) {
	m.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		pic := m.picture()
		if ok(pic) {
			return
		}
		if time.Since(began) > patience {
			m.t.Fatalf("waited in vain for %s; the screen is\n%s", what, pic)
		}
	}
}

func (m multiplexer) shows(words ...string) {
	m.t.Helper()
	m.until(strings.Join(words, ", "), func(pic string) bool {
		for _, w := range words {
			if !strings.Contains(pic, w) {
				return false
			}
		}
		return true
	})
}

// inTmux runs a command in a tmux server of its own.
func inTmux(t *testing.T, command string) (m multiplexer, resize func(w, h int)) {
	t.Helper()
	bin, err := exec.LookPath("tmux")
	if err != nil {
		t.Skip("SKIPPED, tmux is NOT tested: there is none here (apt-get install tmux)")
	}
	socket := filepath.Join(t.TempDir(), "s")
	tmux := func(args ...string) (string, error) {
		cmd := exec.Command(bin, append([]string{"-S", socket, "-f", os.DevNull}, args...)...)
		cmd.Env = environment()
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := tmux("new-session", "-d", "-x", "160", "-y", "45", command); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _, _ = tmux("kill-server") }) // it has ended, unless the test failed
	return multiplexer{t,
			func() string { out, _ := tmux("capture-pane", "-p"); return out },
			func(keys ...string) {
				if out, err := tmux(append([]string{"send-keys"}, keys...)...); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			},
			func() bool { _, err := tmux("has-session"); return err != nil },
		}, func(w, h int) {
			if out, err := tmux("resize-window", "-x", fmt.Sprint(w), "-y", fmt.Sprint(h)); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func TestInsideTmuxThroughAStormOfSizes(t *testing.T) {
	t.Parallel()
	m, resize := inTmux(t, self(t))
	m.shows("pitwall", "READY", "quit")
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 60 {
		switch i % 10 {
		case 3:
			resize(1, 1)
		case 6:
			resize(400, 120)
		default:
			resize(1+r.IntN(250), 1+r.IntN(80))
		}
	}
	resize(160, 45)
	m.until("the whole screen at its last size", func(pic string) bool {
		lines := strings.Split(strings.TrimRight(pic, "\n"), "\n")
		return len(lines) == 45 && strings.Contains(lines[0], "pitwall") && strings.Contains(lines[44], "quit") && ansi.StringWidthWc(lines[44]) >= 150
	})
	m.press("?")
	m.shows("search", "keys of pitwall")
	m.press("Escape")
	m.until("the panels again", func(pic string) bool { return !strings.Contains(pic, "search") && strings.Contains(pic, "READY") })
	m.press("q")
	for began := time.Now(); !m.gone(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatal("q doesn't end it")
		}
	}
}

func TestItIsSuspendedAndComesBack(t *testing.T) {
	t.Parallel()
	m, _ := inTmux(t, "bash --norc --noprofile -i")
	m.press("PS1='$ '", "Enter", self(t), "Enter")
	m.shows("pitwall", "READY")
	m.press("C-z")
	m.until("the shell", func(pic string) bool { return strings.Contains(pic, "Stopped") && !strings.Contains(pic, "READY") })
	m.press("echo between=$((20+3))", "Enter")
	m.shows("between=23") // typed text is seen and taken by lines: the terminal is a shell's
	m.press("fg", "Enter")
	m.until("the console again", func(pic string) bool {
		return strings.Contains(pic, "READY") && strings.Contains(pic, "quit") && !strings.Contains(pic, "between")
	})
	m.press("q")
	m.until("the shell", func(pic string) bool { return !strings.Contains(pic, "READY") && strings.Contains(pic, "$") })
	m.press("echo after=$((20+4))", "Enter")
	m.shows("after=24")
}

func TestInsideGNUScreen(t *testing.T) {
	t.Parallel()
	bin, err := exec.LookPath("screen")
	if err != nil {
		t.Skip("SKIPPED, GNU screen is NOT tested: there is none here (apt-get install screen)")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const name = "pitwall-ui-test"
	run := func(args ...string) (string, error) {
		cmd := exec.Command(bin, args...)
		cmd.Env = environment("SCREENDIR=" + dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("-U", "-c", os.DevNull, "-dmS", name, self(t)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _, _ = run("-S", name, "-X", "quit") }) // it has ended, unless the test failed
	copied := filepath.Join(dir, "hardcopy")
	m := multiplexer{t: t,
		picture: func() string {
			_ = os.Remove(copied)
			_, _ = run("-S", name, "-p", "0", "-X", "hardcopy", copied) // fails once the session has ended
			for began := time.Now(); time.Since(began) < time.Second; time.Sleep(10 * time.Millisecond) {
				if b, err := os.ReadFile(copied); err == nil && len(b) > 0 {
					return string(b)
				}
			}
			return ""
		},
		press: func(keys ...string) {
			for _, k := range keys {
				if out, err := run("-S", name, "-p", "0", "-X", "stuff", k); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
		},
		gone: func() bool { out, _ := run("-ls"); return !strings.Contains(out, name) },
	}
	m.shows("pitwall", "READY", "quit")
	m.press("?")
	m.shows("search")
	m.press("\x1b")
	m.until("the panels again", func(pic string) bool { return !strings.Contains(pic, "search") && strings.Contains(pic, "READY") })
	m.press("q")
	for began := time.Now(); !m.gone(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatal("q doesn't end it")
		}
	}
}
