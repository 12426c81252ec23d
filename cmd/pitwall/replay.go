package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pitwall/cmd/config"
	"pitwall/sessions"
	"pitwall/ui"
	when "pitwall/ui/moment"
)

// replayFlags are replay's own.
type replayFlags struct {
	at, engine, size, page string
	speed                  float64
	once                   bool
}

func (p *program) replay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay [SESSION]",
		Short: "The console on a session that was recorded",
		Long: para(`Shows a session on the same screen as while it was recorded, and plays it: a saved one (an ID or its start, a name, by default
the newest), a file copied from elsewhere, or one that another process is recording. It only reads. Space freezes and plays
on, the arrow keys move the cursor, n and N go from event to event, t takes a time; ? lists the keys. With --at it begins
there and holds still, unless --speed is given too. At its end a saved session stops; one that is being recorded is live.
Times: -10m (before the end), +16m45s or 00:16:45 (into the session), 14:02 or 14:02:05 (time of day), "2026-11-24 14:02".
--once prints the screen as text instead, without a terminal.`),
		Example: "pitwall replay\npitwall replay 20261124-231800-7f3a --at 14:02:05\npitwall replay tuesday.pitwall --speed 10\npitwall replay --at -5m --once --size 160x45",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fail(exitUsage, cmd.CommandPath()+" --help shows its flags", "one session can be replayed, and %d arguments were given", len(args))
			}
			return nil
		},
		RunE: p.run(func(cmd *cobra.Command, args []string) error {
			c, err := p.keeping(cmd)
			if err != nil {
				return err
			}
			w, h, err := screenSize(f.size)
			if err != nil {
				return err
			}
			if f.speed < 0 || f.speed > maxSpeed {
				return fail(exitUsage, "--speed 10 plays ten seconds in one", "--speed: %v is not between 0 and %d", f.speed, maxSpeed)
			}
			if !f.once {
				if f.size != "" {
					return fail(exitUsage, "--once prints the screen in a size", "--size: a terminal has its own")
				}
				if err := p.needTerminal("--once prints the screen as text, pitwall query asks for numbers"); err != nil {
					return err
				}
			}
			path, err := findSession(c.SessionsDir, strings.Join(args, ""))
			if err != nil {
				return err
			}
			r, err := sessions.Open(path)
			if err != nil {
				return fail(exitNoSession, "pitwall sessions lists those that can be read", "opening %s: %w", path, err)
			}
			o, err := p.replayScreen(c, r, f)
			if err != nil {
				_ = r.Close() // it was only read
				return err
			}
			if f.once {
				defer r.Close()
				p.addPanels(c, &o)
				return p.printScreen(cmd.Context(), o, w, h)
			}
			d := &desk{p: p, c: c}
			defer d.Close()
			d.attach(r)
			return p.showScreen(cmd.Context(), c, d, o)
		}),
	}
	flags(cmd, screenFlags)
	cmd.Flags().StringVar(&f.at, "at", "", "the moment to begin with (default the session's beginning; with --once its end)")
	cmd.Flags().Float64Var(&f.speed, "speed", 0, "seconds of the session in one second (default 1)")
	cmd.Flags().BoolVar(&f.once, "once", false, "print the screen at that moment as text")
	cmd.Flags().StringVar(&f.page, "page", "", "the page of panels to begin with (pitwall panels list)")
	cmd.Flags().StringVar(&f.size, "size", "", "columns and lines of --once (default 160x45)")
	cmd.Flags().StringVar(&f.engine, "engine", "", "which engine is shown at first, as host:port or URL")
	return cmd
}

// maxSpeed is as fast as anything can be played: a day in a minute and a half.
const maxSpeed = 1000

// replayScreen is what a replay is drawn from.
func (p *program) replayScreen(c *config.Config, r sessions.Reader, f replayFlags) (ui.Options, error) {
	first, last := r.Bounds()
	if last.IsZero() && r.Info().Recording == sessions.Saved {
		return ui.Options{}, fail(exitNoSession, "", "session %s holds nothing", r.Info().ID)
	}
	if err := knowsEngine(r, f.engine); err != nil {
		return ui.Options{}, err
	}
	replay := &ui.Replay{At: first, Speed: f.speed, Frozen: f.once}
	if f.once {
		replay.At = last
	}
	if f.at != "" {
		m, err := when.Parse(f.at, when.Session{First: first, Last: last})
		switch {
		case err != nil:
			return ui.Options{}, fail(exitUsage, "--at wants "+when.Hint, "--at: %w", err)
		case m.At.Before(first.Add(-time.Second)) || m.At.After(last.Add(time.Second)):
			return ui.Options{}, fail(exitUsage, "the session is from "+first.Format(time.RFC3339)+" to "+last.Format(time.RFC3339), "--at: %s lies outside the session", m.At.Format(time.RFC3339))
		}
		replay.At = m.At.Truncate(time.Second)
		replay.Frozen = f.once || f.speed == 0
	}
	o := ui.Options{
		Reader: r, Replay: replay, Page: f.page, Version: thisBuild().Version, Window: startWindow(c),
		Config: ui.Config{ASCII: c.ASCII, NoColor: c.NoColor, Theme: c.Theme, Mouse: c.Mouse},
		Tried:  []string{"the session has none"},
	}
	if o.Window == 0 {
		// What holds the session, from one minute to five. One that grows will fill five.
		o.Window = min(max(last.Sub(first).Truncate(10*time.Second)+10*time.Second, time.Minute), 5*time.Minute)
		if o.Window > time.Minute && r.Info().Recording != sessions.Saved {
			o.Window = 5 * time.Minute
		}
	}
	if f.engine != "" {
		o.Engine = instance(f.engine)
	}
	return o, nil
}

// screenSize reads "160x45".
func screenSize(s string) (w, h int, err error) {
	if s == "" {
		return 160, 45, nil
	}
	ws, hs, ok := strings.Cut(s, "x")
	w, errW := strconv.Atoi(ws)
	h, errH := strconv.Atoi(hs)
	if !ok || errW != nil || errH != nil || w < 1 || h < 1 || w > 1000 || h > 1000 {
		return 0, 0, fail(exitUsage, "--size 160x45 is 160 columns and 45 lines", "--size: %q is no size", s)
	}
	return w, h, nil
}

// printScreen prints one picture.
func (p *program) printScreen(ctx context.Context, o ui.Options, w, h int) error {
	text, err := ui.Once(ctx, o, w, h)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(p.stdout, text)
	return err
}
