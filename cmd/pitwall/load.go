package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pitwall/cmd/config"
	"pitwall/probes/engine"
	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/sessions"
	"pitwall/sessions/steer"
)

func (p *program) load() *cobra.Command {
	f := &loadFlags{}
	cmd := &cobra.Command{
		Use:   "load",
		Short: "One point of load, measured",
		Long: para(`Puts one point of load on an engine, and records it with the engine, the GPUs and the host beside it in a session of its own.
Progress goes to stderr; what came out, with intervals, flags and the server's own counts beside ours, to stdout. Ctrl-c once lets what is
under way end and then reports, twice gives it up. Lengths are in the server's tokens: 512, uniform:100-900, normal:512,64,
lognormal:512,0.5 or file:PATH. The exit code tells whether the numbers stand up and the SLO was met: pitwall help exit-codes.`),
		Example: `pitwall load --engine http://127.0.0.1:8000 --concurrency 16 --requests 500 --input 512 --output 128
pitwall load --rate 4 --arrival gamma --burstiness 0.5 --duration 5m --input 512 --output 128 --slo ttft=500ms,tpot=50ms
pitwall load --trace azure.csv --json
pitwall load --preset chat --concurrency 32 --duration 2m`,
		Args: noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			c, err := p.keeping(cmd)
			if err != nil {
				return err
			}
			point, err := f.parse(cmd.Flags(), append(slices.Clone(c.Presets), shape.Presets()...))
			if err != nil {
				return err
			}
			return p.runLoad(c, f, point)
		}),
	}
	flags(cmd, engineFlags, []string{"rules"})
	f.add(cmd)
	return cmd
}

// readingWithin is how long the first reading of the engine is waited for: without one before the first request there is
// nothing to reconcile with.
const readingWithin = 5 * time.Second

// runLoad measures one point. Nothing is recorded and nothing sent before it is known to be possible.
func (p *program) runLoad(c *config.Config, f *loadFlags, point shape.Point) (err error) {
	// Hanging up ends a console, not a measurement; and ctrl-c is counted here.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	ctx := context.Background()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	if err := point.Filled().Validate(); err != nil {
		return f.impossible(err)
	}
	d := &desk{p: p, c: c, model: f.model}
	d.load = d.steering()
	defer func() { err = errors.Join(err, d.Close()) }()
	server, err := p.examineFor(ctx, c, f.model, signals)
	if err != nil {
		return err
	}
	if err := server.Check(point); err != nil {
		return f.impossible(err)
	}
	c.Engine = []string{server.URL}
	d.session, d.simulated = f.name, server.Simulated
	if err := d.record(ctx, func(known []engine.Known) (*watched, error) { return p.watch(c, known) }); err != nil {
		return err
	}
	if info := d.rec.Info(); info.Recording == sessions.NotStored {
		return fail(exitFailed, "--sessions names another directory", "nothing can be stored: %s", info.Trouble)
	}
	unread := d.awaitReading(ctx, server.Instance, readingWithin)
	w, err := d.load.Look(ctx, server.Instance, point)
	if err != nil {
		return f.impossible(err)
	}
	p.announce(w, d.rec.Info())
	if unread != nil {
		p.notice("%v: what was sent can't be compared with the server's own counts", unread)
	}
	if err := d.load.Start(ctx, server.Instance, point); err != nil {
		return f.impossible(err)
	}
	stopped := p.attendLoad(d.load, signals)
	st := d.load.Status()
	if st.Run.ID == 0 || st.Run.Began.IsZero() {
		return fail(exitUsage, "", "the load could not be started: %s", st.Problem)
	}
	r := reportOf(d.rec.Info(), st, w, unread)
	if r.Why == "" {
		r.Why = stopped
	}
	if f.asJSON {
		err = printJSON(p.stdout, r)
	} else {
		err = r.print(p.stdout)
	}
	if err != nil {
		return err
	}
	if r.ExitCode != exitOK {
		return exit(r.ExitCode)
	}
	return nil
}

// examineFor looks at the server that load is for: the one engine that is given, or the one that is found.
func (p *program) examineFor(ctx context.Context, c *config.Config, model string, signals <-chan os.Signal) (*load.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, findPatience+lookPatience)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-done:
		}
	}()
	url := ""
	switch {
	case len(c.Engine) > 1:
		return nil, fail(exitUsage, "give one --engine", "load goes to one engine, and %d are given", len(c.Engine))
	case len(c.Engine) == 1:
		url = c.Engine[0]
	default:
		w, err := p.watch(c, nil)
		if err != nil {
			return nil, err
		}
		w.settle(ctx, findPatience, 0)
		found := w.engines.Engines()
		_ = w.Close() // it only looked
		if len(found) != 1 {
			return nil, fail(exitUsage, "--engine URL says which", "load goes to one engine, and %d are found on this host", len(found))
		}
		url = found[0].URL()
	}
	access, err := p.access(c)
	if err != nil {
		return nil, err
	}
	s, err := load.Examine(ctx, load.Target{URL: url, Model: model, Access: access})
	var none *load.NoModelError
	if errors.As(err, &none) {
		return nil, fail(exitNoAnswer, "it serves "+none.Served()+": --model takes one of them, or leave it out", "%s serves no model %q", none.URL, none.Model)
	}
	if err != nil {
		return nil, fail(exitNoAnswer, "pitwall doctor looks at the engine", "%w", err)
	}
	return s, nil
}

// awaitReading waits until the session has a reading of an engine's page.
func (d *desk) awaitReading(ctx context.Context, instance string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		rec := d.writing.Load()
		if rec == nil {
			return errors.New("nothing is recorded here")
		}
		_, last := rec.Bounds()
		for _, t := range rec.Targets(last) {
			if t.Instance == instance && isEngine(t.Job) && t.Up {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the page of %s has not been read within %s", instance, within)
		case <-tick.C:
		}
	}
}

// announce says what is going to happen, to whom, and who else is there.
func (p *program) announce(w steer.Warning, info sessions.Info) {
	s := w.Server
	what := strings.TrimSpace(s.Title + " " + s.Version)
	if s.Simulated {
		what += ", simulated"
	}
	p.notice("load goes to %s (%s, model %s)", s.URL, what, s.Model)
	for _, d := range w.Does {
		p.notice("it %s", d)
	}
	p.notice("%s", w.Others.Text)
	for _, l := range w.Lacks {
		p.notice("it lacks %s: %s", l.What, l.Instead)
	}
	p.notice("session %s, %s", info.ID, info.Path)
}

// notice writes a line to stderr.
func (p *program) notice(format string, args ...any) {
	fmt.Fprintf(p.stderr, "pitwall: %s\n", clean(fmt.Sprintf(format, args...)))
}

const (
	// progressEvery is how often progress is told on a terminal, logEvery elsewhere.
	progressEvery = time.Second
	logEvery      = 10 * time.Second
)

// attendLoad tells how the load gets on until it is over and judged. The first signal drains it, the second gives it up. It
// gives in words what signals did, empty if none came.
func (p *program) attendLoad(d *steer.Desk, signals <-chan os.Signal) (stopped string) {
	every, end := logEvery, "\n"
	if f, ok := p.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		every, end = progressEvery, ""
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	wipe := func() {
		if end == "" {
			fmt.Fprint(p.stderr, "\r\033[K")
		}
	}
	idle, asked := d.Idle(), 0
	for {
		select {
		case <-idle:
			wipe()
			if st := d.Status(); st.Problem != "" && st.Run.ID != 0 { // else it is the error
				p.notice("%s", st.Problem)
			}
			return stopped
		case sig := <-signals:
			wipe()
			by := "ctrl-c"
			if sig != os.Interrupt {
				by = sig.String()
			}
			if asked++; asked == 1 {
				p.notice("ending: %d requests that are under way may end; ctrl-c again gives them up", d.Status().InFlight)
				stopped = by + ": what was under way was let end"
				d.Stop()
				continue
			}
			p.notice("giving up what is under way")
			stopped = by + " again: what was under way was given up"
			d.Cancel()
		case <-tick.C:
			wipe()
			fmt.Fprintf(p.stderr, "pitwall: %s%s", clean(progress(d.Status())), end)
		}
	}
}

// progress is one line about a load under way.
func progress(st steer.Status) string {
	switch {
	case st.Phase == steer.Preparing:
		return "making prompts"
	case st.Phase == steer.Idle && st.Judging > 0:
		return "over; waiting for the server's own counts"
	}
	s := fmt.Sprintf("%s %s: %d ended, %d under way", st.Phase, time.Since(st.Run.Began).Round(time.Second), st.Tally.Ends(), st.InFlight)
	if n := st.Tally.Failed(); n > 0 {
		s += fmt.Sprintf(", %d failed", n)
	}
	if st.Tally.Dropped > 0 {
		s += fmt.Sprintf(", %d dropped", st.Tally.Dropped)
	}
	if l := st.Live; l.Requests > 0 {
		s += fmt.Sprintf(" · %s req/s, %s tok/s, TTFT p50 %s p99 %s, TPOT p50 %s", plain(l.RequestRate), plain(l.OutputRate),
			millis(l.TTFT.P50), millis(l.TTFT.P99), millis(l.TPOT.P50))
	}
	if st.Bound != "" {
		s += " · " + st.Bound
	}
	return s
}
