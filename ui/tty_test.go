package ui

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pitwall/probes"
	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/ui/internal/staged"
)

// asConsole makes the test's own program a console of a staged session that moves with the clock, for the tests that need
// a real terminal around it.
const asConsole = "UI_TEST_CONSOLE"

func consoleMain() int {
	began := time.Now()
	now := func() time.Time { return clock.Add(time.Since(began)) }
	s := staged.Busy(clock, 1)
	if err := Run(context.Background(), Options{Reader: &moving{s: s, now: now}, Now: now}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// moving is a staged session whose time passes, safe for the goroutines that a program asks from.
type moving struct {
	mu  sync.Mutex
	s   *staged.Session
	now func() time.Time
}

func (m *moving) lock() func() {
	m.mu.Lock()
	m.s.Move(m.now().Truncate(time.Second))
	return m.mu.Unlock
}

func (m *moving) Query(ctx context.Context, expr string, at time.Time, sc sessions.Scope) (sessions.Result, error) {
	defer m.lock()()
	return m.s.Query(ctx, expr, at, sc)
}

func (m *moving) QueryRange(ctx context.Context, expr string, start, end time.Time, step time.Duration, sc sessions.Scope) (sessions.Result, error) {
	defer m.lock()()
	return m.s.QueryRange(ctx, expr, start, end, step, sc)
}

func (m *moving) Info() sessions.Info { defer m.lock()(); return m.s.Info() }
func (m *moving) Bounds() (first, last time.Time) {
	defer m.lock()()
	return m.s.Bounds()
}
func (m *moving) Version() uint64                      { defer m.lock()(); return m.s.Version() }
func (m *moving) Facts(at time.Time) map[string]string { defer m.lock()(); return m.s.Facts(at) }
func (m *moving) Absent(at time.Time) map[string]string {
	defer m.lock()()
	return m.s.Absent(at)
}
func (m *moving) Events(from, to time.Time) []probes.Event {
	defer m.lock()()
	return m.s.Events(from, to)
}
func (m *moving) Targets(at time.Time) []sessions.Target   { defer m.lock()(); return m.s.Targets(at) }
func (m *moving) Series(name string) []sessions.SeriesInfo { return m.s.Series(name) }
func (m *moving) Runs() []sessions.Run                     { defer m.lock()(); return m.s.Runs() }
func (m *moving) Requests(ctx context.Context, run uint32) iter.Seq2[request.Record, error] {
	return m.s.Requests(ctx, run)
}
func (m *moving) Close() error { return nil }

// environment is that of a program in a terminal.
func environment(extra ...string) []string {
	var out []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TMUX") && !strings.HasPrefix(e, "NO_COLOR") && !strings.HasPrefix(e, "SSH_") {
			out = append(out, e)
		}
	}
	return append(out, append([]string{asConsole + "=1", "TERM=xterm-256color", "LANG=C.UTF-8"}, extra...)...)
}

// slowTerminal is a pseudo terminal with a console in it whose other end takes so many bytes a second and no more, and
// answers what a terminal is asked when the question arrives there.
type slowTerminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd

	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func newSlowTerminal(t *testing.T, w, h uint16, rate int, delay time.Duration) *slowTerminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("SKIPPED, slow lines are NOT tested: no pseudo terminals here: %v", err)
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
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: h, Col: w}); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	x := &slowTerminal{t: t, master: master, cmd: exec.Command(exe)}
	x.cmd.Env = environment()
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = slave, slave, slave
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go x.take(rate, delay)
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill() // it has ended, unless the test failed
		_ = x.cmd.Wait()
		master.Close()
	})
	return x
}

// take reads in slices of 20 ms as many bytes as the line carries in them.
func (x *slowTerminal) take(rate int, delay time.Duration) {
	const slice = 20 * time.Millisecond
	b := make([]byte, max(rate/50, 1))
	for next := time.Now(); ; next = next.Add(slice) {
		time.Sleep(time.Until(next)) // the line's own pace: this is what is simulated
		n, err := x.master.Read(b)
		if now := time.Now(); now.Sub(next) > slice {
			next = now // nothing came for a while: a line does not catch up
		}
		x.mu.Lock()
		asked := strings.Count(x.text.String(), "\x1b[c")
		x.text.Write(b[:n])
		asked = strings.Count(x.text.String(), "\x1b[c") - asked
		x.mu.Unlock()
		for range asked {
			time.AfterFunc(delay, func() { _, _ = x.master.WriteString("\x1b[?62;22c") }) // fails when the test is over
		}
		if err != nil {
			return
		}
	}
}

func (x *slowTerminal) all() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.String()
}

func (x *slowTerminal) until(what string, limit time.Duration, ok func(s string) bool) time.Duration {
	x.t.Helper()
	began := time.Now()
	for !ok(x.all()) {
		if time.Since(began) > limit {
			s := x.all()
			x.t.Fatalf("waited %v in vain for %s; %d bytes came, the last are %q", limit, what, len(s), s[max(0, len(s)-1500):])
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

func (x *slowTerminal) press(keys string) {
	x.t.Helper()
	if _, err := x.master.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// TestALineOf9600BaudStaysUsable has a console at the end of 960 bytes a second: it says that it draws less, the line is
// mostly free then, a key is answered soon, and what is on its way never grows. It takes as long as the line takes for the
// two pictures that it begins with, and a few seconds.
func TestALineOf9600BaudStaysUsable(t *testing.T) {
	t.Parallel()
	x := newSlowTerminal(t, 80, 24, 960, 0)
	x.until("the first picture", 30*time.Second, func(s string) bool { return strings.Contains(s, "pitwall") })
	x.until("that it draws less to be said", 60*time.Second, func(s string) bool { return strings.Contains(s, "slow line") })
	// The colours change once, to the cheaper ones; after that the line is mostly free.
	x.quiet(500 * time.Millisecond)
	from, began := len(x.all()), time.Now()
	time.Sleep(4 * time.Second) // what comes in this time is what is measured
	if rate := float64(len(x.all())-from) / time.Since(began).Seconds(); rate > 0.6*960 {
		t.Errorf("%.0f bytes a second keep the line full, want at most 0.6 of its 960", rate)
	}
	from = len(x.all())
	x.press("?")
	took := x.until("the help", 15*time.Second, func(s string) bool { return strings.Contains(s[from:], "search") })
	t.Logf("a key is answered after %v", took)
	if took > 4*time.Second {
		t.Errorf("a key is answered after %v, want 2 s (with room for one picture that was on its way)", took)
	}
	from = len(x.all())
	x.press("\x1b")
	x.until("the panels", 20*time.Second, func(s string) bool { return len(s) > from+300 })
	x.press("q")
	began = time.Now()
	if err := x.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if d := time.Since(began); d > 8*time.Second {
		t.Errorf("quitting took %v, longer than the one picture that was on its way", d)
	}
}

// quiet waits until nothing has come for a while.
func (x *slowTerminal) quiet(d time.Duration) {
	x.t.Helper()
	last, since := len(x.all()), time.Now()
	for began := time.Now(); time.Since(since) < d; time.Sleep(10 * time.Millisecond) {
		if n := len(x.all()); n != last {
			last, since = n, time.Now()
		}
		if time.Since(began) > 60*time.Second {
			x.t.Fatal("the line is never free")
		}
	}
}

// TestAFastTerminalIsDrawnOnEverySecond is the other side: where nothing holds it up nothing changes.
func TestAFastTerminalIsDrawnOnEverySecond(t *testing.T) {
	t.Parallel()
	x := newSlowTerminal(t, 160, 45, 50_000_000, 0)
	x.until("the first picture", 20*time.Second, func(s string) bool { return strings.Contains(s, "REC") })
	from := strings.Count(x.all(), "\x1b[c")
	x.until("pictures to be acknowledged", 20*time.Second, func(s string) bool { return strings.Count(s, "\x1b[c") >= from+4 })
	if strings.Contains(x.all(), "slow line") {
		t.Error("it says that the line is slow")
	}
	x.press("q")
	if err := x.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestNoAnswerIsTypedIntoTheShell quits and suspends while the terminal, far away, still owes an answer: one that came
// after the terminal was given back would stand in the shell's line.
func TestNoAnswerIsTypedIntoTheShell(t *testing.T) {
	t.Parallel()
	for range 3 { // at different moments between two questions
		x := newSlowTerminal(t, 100, 30, 50_000_000, 150*time.Millisecond)
		x.until("a question", 20*time.Second, func(s string) bool { return strings.Count(s, "\x1b[c") >= 2 })
		x.press("q")
		if err := x.cmd.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
		time.Sleep(400 * time.Millisecond) // longer than an answer that is on its way takes
		if s := x.all(); strings.Contains(s, "62;22c") {
			t.Errorf("the shell gets %q", s[strings.Index(s, "62;22c")-5:])
		}
	}
}
