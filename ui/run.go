package ui

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"pitwall/ui/line"
)

// frames is how often a second the terminal may be written to: a key is answered within 50 ms, and data come once a
// second.
const frames = 20

// Run shows the console until the person quits, ctx ends, or the process is told to go (SIGTERM, SIGHUP). It restores the
// terminal before it returns, also after a panic, and waits for nothing that is still being asked. A quit of any kind is
// no error.
func Run(ctx context.Context, o Options) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// A closed terminal sends SIGHUP, which Bubble Tea leaves alone; unhandled it would end the process before the
	// session is closed.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	go func() {
		select {
		case <-hup:
			stop()
		case <-ctx.Done():
		}
	}()
	m := New(o)
	opts := []tea.ProgramOption{tea.WithContext(ctx), tea.WithFPS(frames), tea.WithEnvironment(m.env.list)}
	if m.opts.Config.NoColor {
		// Bubble Tea knows NO_COLOR=1 only; by convention any value counts.
		opts = append(opts, tea.WithColorProfile(colorprofile.ASCII))
	}
	m.line = line.New(m.env.answers(), line.Baud(os.Stdout.Fd()), nil)
	opts = append(opts, tea.WithFilter(m.hold), tea.WithOutput(line.File{File: os.Stdout, Meter: m.line}))
	m.restyle()
	_, err := tea.NewProgram(m, opts...).Run()
	switch {
	case errors.Is(err, tea.ErrProgramPanic):
		return err
	case errors.Is(err, tea.ErrInterrupted), errors.Is(err, context.Canceled):
		return nil
	}
	return err
}

// environ is the environment, as far as a terminal is concerned.
type environ struct{ list []string }

func newEnviron(list []string) environ {
	if list == nil {
		list = os.Environ()
	}
	return environ{list}
}

func (e environ) value(name string) string {
	for i := len(e.list) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(e.list[i], name+"="); ok {
			return v
		}
	}
	return ""
}

func (e environ) noColor() bool { return e.value("NO_COLOR") != "" }

// overSSH tells whether the terminal is at the other end of an SSH connection.
func (e environ) overSSH() bool { return e.value("SSH_TTY") != "" }

// answers tells whether the terminal may be asked questions: the console of Linux and dumb terminals print what they
// don't understand.
func (e environ) answers() bool {
	switch t := e.value("TERM"); t {
	case "", "dumb", "linux", "cons25", "vt100", "vt220":
		return false
	}
	return e.value("TERM_PROGRAM") != "Apple_Terminal"
}

// asciiOnly tells whether characters beyond ASCII would come out wrong: the console of Linux has no braille and few
// blocks, and a locale without UTF-8 has none at all.
func (e environ) asciiOnly() bool {
	switch e.value("TERM") {
	case "linux", "dumb", "vt100", "vt220":
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(e.value(name)); v != "" {
			return !strings.Contains(v, "UTF-8") && !strings.Contains(v, "UTF8")
		}
	}
	// Nothing is set: the C locale, as in a bare container. Terminals that come with one of these know UTF-8.
	return e.value("TERM_PROGRAM") == "" && e.value("WT_SESSION") == "" && e.value("TMUX") == "" && e.value("SSH_TTY") == "" && e.value("TERM") == "xterm"
}
