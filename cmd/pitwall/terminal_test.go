package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pitwall/probes/sim"
)

// terminal is a pseudo terminal of 160x45 with a program in it.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	cmd    *exec.Cmd
	dir    string
	cooked unix.Termios // as it was before the program

	mu  sync.Mutex // guards all
	all bytes.Buffer
}

// inTerminal starts the real main with these arguments. Its sessions are under dir.
func inTerminal(t *testing.T, dir string, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("SKIPPED, the console is NOT tested: no pseudo terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 45, Col: 160}); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, master: master, slave: slave, dir: dir}
	x.cooked = x.modes()
	x.cmd = exec.Command(exe, args...)
	x.cmd.Env = append(os.Environ(), asPitwall+"=1", "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "TERM=xterm-256color", "LANG=C.UTF-8",
		"GORACE=exitcode=0 log_path='"+filepath.Join(dir, "race")+"'")
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = slave, slave, slave
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		b := make([]byte, 32<<10)
		for {
			n, err := master.Read(b)
			x.mu.Lock()
			x.all.Write(b[:n])
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill() // it has ended, unless the test failed
		master.Close()
		slave.Close()
	})
	return x
}

func (x *terminal) modes() unix.Termios {
	x.t.Helper()
	m, err := unix.IoctlGetTermios(int(x.slave.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *m
}

func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.all.String()
}

// tail is the end of what has been written, for messages.
func (x *terminal) tail() string {
	s := x.text()
	return s[max(0, len(s)-2000):]
}

// waitFor waits until something has been written.
func (x *terminal) waitFor(what string) {
	x.t.Helper()
	x.until("the terminal to show "+what, func() bool { return strings.Contains(x.text(), what) })
}

func (x *terminal) until(what string, ok func() bool) {
	x.t.Helper()
	for start := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			x.t.Fatalf("waited in vain for %s; the terminal has %q", what, x.tail())
		}
	}
}

// end waits for the program and gives its exit code, -1 after a signal.
func (x *terminal) end() int {
	x.t.Helper()
	done := make(chan struct{})
	go func() { _ = x.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		x.t.Fatalf("it does not end; the terminal has %q", x.tail())
	}
	x.races()
	return x.cmd.ProcessState.ExitCode()
}

// races fails the test for every data race that a program under -race has seen, but one that is not ours and harmless: when
// it is told to end, Bubble Tea closes its input reader without waiting for the goroutine that reads it
// (github.com/muesli/cancelreader, epollCancelReader.Close against its Read).
func (x *terminal) races() {
	x.t.Helper()
	files, err := filepath.Glob(filepath.Join(x.dir, "race.*"))
	if err != nil {
		x.t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			x.t.Fatal(err)
		}
		for _, report := range strings.Split(string(b), "WARNING: DATA RACE")[1:] {
			if !strings.Contains(report, "cancelreader.(*epollCancelReader).Close()") {
				x.t.Errorf("data race:%s", report)
			}
		}
	}
}

// sane checks that the terminal is as it was: its line modes, the normal screen, a visible cursor.
func (x *terminal) sane() {
	x.t.Helper()
	x.until("the alternate screen to be left", func() bool {
		s := x.text()
		return strings.LastIndex(s, "\x1b[?1049l") > strings.LastIndex(s, "\x1b[?1049h")
	})
	x.until("the cursor to be shown", func() bool {
		s := x.text()
		return strings.LastIndex(s, "\x1b[?25h") > strings.LastIndex(s, "\x1b[?25l")
	})
	x.until("the line modes to be those from before", func() bool {
		m := x.modes()
		return m.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) == x.cooked.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) && m.Oflag&unix.OPOST == x.cooked.Oflag&unix.OPOST
	})
}

// sessions lists what is in the sessions directory.
func (x *terminal) sessions() []sessionLine {
	x.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		x.t.Fatal(err)
	}
	cmd := exec.Command(exe, "sessions", "--json")
	cmd.Env = append(os.Environ(), asPitwall+"=1", "XDG_DATA_HOME="+x.dir, "XDG_CONFIG_HOME="+x.dir)
	out, err := cmd.Output()
	if err != nil {
		x.t.Fatal(err)
	}
	var lines []sessionLine
	if err := json.Unmarshal(out, &lines); err != nil {
		x.t.Fatal(err)
	}
	return lines
}

func TestTheConsoleLeavesASaneTerminalAndAClosedSession(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave func(x *terminal)
		code  int
		state string
	}{
		{"q quits", func(x *terminal) { x.typed("q") }, exitOK, "saved"},
		{"ctrl-c quits", func(x *terminal) { x.typed("\x03") }, exitOK, "saved"},
		{"SIGTERM ends it", func(x *terminal) { x.signal(syscall.SIGTERM) }, exitOK, "saved"},
		{"SIGHUP, as a closed terminal sends, ends it", func(x *terminal) { x.signal(syscall.SIGHUP) }, exitOK, "saved"},
		{"SIGKILL leaves the terminal sane and the session readable", func(x *terminal) { x.signal(syscall.SIGKILL) }, -1, "recorder died"},
		// By a signal, not by Go's exit code 2: a shell that sees a code takes the terminal as it is for what was wanted.
		{"a crash ends by a signal and says where it was", func(x *terminal) { x.signal(syscall.SIGABRT) }, -1, "recorder died"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := inTerminal(t, t.TempDir(), "demo")
			x.waitFor("SIMULATED")
			x.until("a tick to be recorded", func() bool { s := x.sessions(); return len(s) == 1 && !s[0].Last.IsZero() })
			tt.leave(x)
			if code := x.end(); code != tt.code {
				t.Errorf("exit code %d, want %d; the terminal has %q", code, tt.code, x.tail())
			}
			x.sane()
			if s := x.sessions(); len(s) != 1 || s[0].State != tt.state || !s[0].Simulated {
				t.Errorf("sessions: %+v, want one, simulated, %s", s, tt.state)
			}
			crashed := strings.HasPrefix(tt.name, "a crash")
			if crashed {
				x.waitFor("it crashed, and the file ")
			}
			x.until("the crash's file to be there after a crash only", func() bool {
				logs, _ := filepath.Glob(filepath.Join(x.dir, "pitwall", "sessions", "crash-*.log"))
				return len(logs) > 0 == crashed
			})
			if found, _ := filepath.Glob(filepath.Join(x.dir, "pitwall", "sessions", "*.lock")); tt.code == exitOK && len(found) > 0 {
				t.Errorf("left behind: %v", found)
			}
		})
	}
}

func (x *terminal) typed(keys string) {
	if _, err := x.master.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) signal(s syscall.Signal) {
	if err := x.cmd.Process.Signal(s); err != nil {
		x.t.Fatal(err)
	}
}

func TestARecordingIsHandedOverAndTakenBack(t *testing.T) {
	t.Parallel()
	s, err := sim.Start(t.Context(), sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	x := inTerminal(t, t.TempDir(), "--engine", s.URL())
	recorder := func() int {
		for _, l := range x.sessions() {
			if l.ID != "" {
				return l.PID
			}
		}
		return 0
	}
	x.waitFor("SIMULATED")
	x.until("the console to record", func() bool { return recorder() == x.cmd.Process.Pid })

	x.typed("B")
	x.until("a background recorder to record", func() bool { p := recorder(); return p != 0 && p != x.cmd.Process.Pid })
	background := recorder()
	t.Cleanup(func() { _ = syscall.Kill(background, syscall.SIGKILL) }) // it has ended, unless the test failed

	// A second console attaches instead of recording.
	y := inTerminal(t, x.dir, "--engine", s.URL())
	y.waitFor("SIMULATED")
	y.typed("q")
	if code := y.end(); code != exitOK || recorder() != background || len(y.sessions()) != 1 {
		t.Errorf("the second console ended with %d, recorder %d, want 0, %d; sessions %+v; it shows %q", code, recorder(), background, y.sessions(), y.tail())
	}

	// The recorder dies: the console goes on recording the same session.
	if err := syscall.Kill(background, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	x.until("the recorder to be gone", func() bool { return recorder() == 0 })
	x.waitFor("RECORDER DIED") // of one that it takes for alive R would ask first
	x.until("the console to record again", func() bool { x.typed("R"); return recorder() == x.cmd.Process.Pid })

	// A background recorder that lives lets go of the session when it is asked for it.
	x.until("another background recorder to record", func() bool {
		x.typed("B")
		background = recorder()
		return background != 0 && background != x.cmd.Process.Pid
	})
	x.waitFor(fmt.Sprintf("attached to pid %d", background))
	x.typed("R")
	x.waitFor("take it over")
	x.typed("2")
	x.until("the console to have taken over from the living recorder", func() bool { return recorder() == x.cmd.Process.Pid })
	x.until("the recorder to have gone", func() bool { return syscall.Kill(background, 0) != nil })
	x.typed("q")
	if code := x.end(); code != exitOK {
		t.Errorf("exit code %d; the terminal has %q", code, x.tail())
	}
	x.sane()
	if s := x.sessions(); len(s) != 1 || s[0].State != "saved" {
		t.Errorf("sessions: %+v, want one, saved", s)
	}
}
