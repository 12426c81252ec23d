package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pitwall/cmd/config"
	"pitwall/probes/engine"
	"pitwall/sessions"
	"pitwall/ui"
)

// console is pitwall without a subcommand.
func (p *program) console() *cobra.Command {
	var always bool
	cmd := &cobra.Command{
		Use:   "pitwall",
		Short: "A console for the engineer who runs language models on a GPU box",
		Long: para(`Shows the GPU, the engine's queue and cache, the host and the latencies of real requests on one clock, and records all of it.
It finds the vLLM of this host by itself. Where pitwall record runs already, it attaches to that recording instead of
scraping the engine a second time.`),
		Example: "pitwall\npitwall --engine http://127.0.0.1:8000\npitwall demo",
		Args:    noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			c, err := p.keeping(cmd)
			if err != nil {
				return err
			}
			if err := p.needTerminal("pitwall record records without one, pitwall snapshot gives one reading, pitwall query asks a recording"); err != nil {
				return err
			}
			return p.runConsole(cmd.Context(), c, always)
		}),
	}
	flags(cmd, engineFlags, screenFlags, keepingFlags)
	cmd.Flags().BoolVar(&always, "new", false, "record here, although another recorder of this host does")
	cmd.TraverseChildren = true
	return cmd
}

// needTerminal is checked before anything is opened.
func (p *program) needTerminal(hint string) error {
	out, ok := p.stdout.(*os.File)
	switch {
	case !ok || !term.IsTerminal(int(out.Fd())):
		return fail(exitNoTerminal, hint, "the console needs a terminal, and the output is none")
	case !term.IsTerminal(int(p.stdin.Fd())):
		return fail(exitNoTerminal, hint, "the console needs a terminal, and the input is none")
	}
	if t, _ := p.env("TERM"); t == "" || t == "dumb" {
		return fail(exitNoTerminal, hint, "the console needs a terminal that can place the cursor, and TERM is %q", t)
	}
	return nil
}

func (p *program) runConsole(ctx context.Context, c *config.Config, always bool) error {
	p.cores.watch()
	d := p.newDesk(c)
	defer d.Close()
	if !always {
		d.alone = aloneAs(c)
		other, err := recorderOf(c)
		if err != nil {
			return err
		}
		if other != nil {
			if err := d.attachTo(other); err != nil {
				return err
			}
		}
	}
	if d.reader == nil {
		err := d.record(ctx, func(known []engine.Known) (*watched, error) { return p.watch(c, known) })
		for try := 0; errors.Is(err, sessions.ErrRecording) && try < 40; try++ { // another one started at the same moment
			time.Sleep(50 * time.Millisecond)
			if other, errOther := recorderOf(c); errOther == nil && other != nil {
				err = d.attachTo(other)
			}
		}
		if err != nil {
			return err
		}
	}
	return p.show(ctx, c, d)
}

// show runs the screen until it is left, or until a signal ends ctx, which is an ordinary way to leave. The session is
// closed after it, and its errors reach a terminal that is a terminal again.
func (p *program) show(ctx context.Context, c *config.Config, d *desk) error {
	return p.showScreen(ctx, c, d, p.screen(c, d))
}

func (p *program) showScreen(ctx context.Context, c *config.Config, d *desk, o ui.Options) error {
	calm := p.guard(c.SessionsDir)
	p.addPanels(c, &o)
	err := ui.Run(ctx, o)
	calm()
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// screen is what the console is drawn from and with.
func (p *program) screen(c *config.Config, d *desk) ui.Options {
	o := ui.Options{
		Reader:  d.reader,
		Actions: d,
		Config:  ui.Config{ASCII: c.ASCII, NoColor: c.NoColor, Theme: c.Theme, Mouse: c.Mouse},
		Version: thisBuild().Version,
		Window:  startWindow(c),
	}
	if d.load != nil {
		o.Load, o.Presets = d.load, c.Presets
	}
	if len(c.Engine) > 0 {
		o.Engine = instance(c.Engine[0])
		for _, e := range c.Engine {
			o.Tried = append(o.Tried, config.Redact(e))
		}
		return o
	}
	o.Tried = []string{"the vLLM processes of this host", "http://127.0.0.1:8000"}
	return o
}

// startWindow is the window that the console begins with; the default one leaves it to the screen, which shows a minute
// while the session is young.
func startWindow(c *config.Config) time.Duration {
	switch {
	case !c.WindowChosen:
		return 0
	case c.Window == 0:
		return ui.WholeSession
	}
	return c.Window
}

// recorderOf finds a living recorder on this host that records all engines that are asked for, nil if there is none. A
// recording of a simulation stands for it only when its engine is asked for by name.
func recorderOf(c *config.Config) (*sessions.Info, error) {
	running, err := sessions.Running(c.SessionsDir)
	if err != nil {
		return nil, fail(exitFailed, "--new does without looking", "looking for a recorder in %s: %w", c.SessionsDir, err)
	}
	for _, s := range running {
		if s.PID == os.Getpid() {
			continue
		}
		if len(c.Engine) == 0 {
			if !s.Simulated {
				return &s, nil
			}
			continue
		}
		if ok, err := records(s, c.Engine); err == nil && ok {
			return &s, nil
		}
	}
	return nil, nil
}

// records says whether a session has all of these engines, now or at any time. A recorder that has only just begun has
// nothing yet, and is given a moment.
func records(s sessions.Info, engines []string) (bool, error) {
	r, err := sessions.Open(s.Path)
	if err != nil {
		return false, err
	}
	defer r.Close()
	have := r.Series("up")
	for start := time.Now(); len(have) == 0 && time.Since(start) < 2*time.Second; have = r.Series("up") {
		time.Sleep(50 * time.Millisecond)
	}
	for _, e := range engines {
		if !slices.ContainsFunc(have, func(up sessions.SeriesInfo) bool {
			return isEngine(up.Labels["job"]) && up.Labels["instance"] == instance(e)
		}) {
			return false, nil
		}
	}
	return true, nil
}

// instance gives an engine's host:port, as its series carry it.
func instance(engine string) string {
	u, err := url.Parse(engine)
	if err != nil || u.Host == "" {
		return strings.TrimPrefix(engine, "http://")
	}
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return u.Host + ":443"
	}
	return u.Host + ":80"
}
