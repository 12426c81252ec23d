package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"pitwall/cmd/config"
	"pitwall/probes"
	"pitwall/probes/engine"
	"pitwall/sessions"
)

// recordFlags are record's own.
type recordFlags struct {
	session, name   string
	background, new bool
	length          string
	readyFD         int
}

func (p *program) record() *cobra.Command {
	var f recordFlags
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record without a terminal",
		Long: para(`Records the engines, the GPUs and the host until it is told to stop. It needs no terminal, and neither a hang-up nor a
logout nor a closed tmux touches it; ctrl-c and SIGTERM end the session cleanly. pitwall attaches to it.`),
		Example: "pitwall record --background\npitwall record --engine http://127.0.0.1:8000 --keep-age 14d\nkill 4711    # the pid that --background prints",
		Args:    noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			c, err := p.keeping(cmd)
			if err != nil {
				return err
			}
			if f.background {
				return p.recordInBackground(cmd.Context(), c, f)
			}
			p.cores.watch()
			err = p.recordHere(cmd.Context(), c, f)
			if f.readyFD > 0 && err != nil {
				p.tell(f.readyFD, failedStart(err)) // no use once it has said that it records: then nobody listens
			}
			return err
		}),
	}
	flags(cmd, engineFlags, keepingFlags)
	cmd.Flags().StringVar(&f.session, "session", "", "go on with this unfinished session, whose recorder is gone")
	cmd.Flags().StringVar(&f.name, "name", "", "a name for the session")
	cmd.Flags().BoolVar(&f.background, "background", false, "record in the background; prints the pid and the session")
	cmd.Flags().BoolVar(&f.new, "new", false, "record although another recorder of this host does")
	cmd.Flags().StringVar(&f.length, "for", "", "stop by itself after this time (10m, 6h)")
	cmd.Flags().IntVar(&f.readyFD, "ready-fd", 0, "")
	_ = cmd.Flags().MarkHidden("ready-fd") // the flag was made in the line above
	return cmd
}

// recordHere records in this process until ctx ends.
func (p *program) recordHere(ctx context.Context, c *config.Config, f recordFlags) error {
	// Hanging up is what happens to terminals, not to recorders; a broken pipe is a reader of stdout that went away.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.length != "" {
		d, err := model.ParseDuration(f.length)
		if err != nil || d == 0 {
			return fail(exitUsage, "--for wants a time such as 90s, 10m or 6h", "--for: %q is not a time", f.length)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(d))
		defer cancel()
	}
	letGo, unasked := signal.NotifyContext(ctx, letGoSignal) // a console wants the session
	defer unasked()
	if !f.new && f.session == "" {
		other, err := recorderOf(c)
		if err != nil {
			return err
		}
		if other != nil {
			return recordedBy(other)
		}
	}
	var known []engine.Known
	if f.session != "" {
		if path, err := findSession(c.SessionsDir, f.session); err == nil { // else startRecorder says so
			known = lastKnownOf(ctx, path)
		}
	}
	w, err := p.watch(c, known)
	if err != nil {
		return err
	}
	defer w.Close()
	rec, err := p.startRecorder(ctx, c, w.Sources, f)
	if err != nil {
		return err
	}
	w.follow(rec)
	info := rec.Info()
	if info.Recording == sessions.NotStored {
		err := fail(exitFailed, "--sessions names another directory; pitwall without record shows without storing", "nothing can be stored: %s", info.Trouble)
		return errors.Join(err, rec.Close())
	}
	if f.readyFD > 0 {
		p.tell(f.readyFD, started{PID: os.Getpid(), Session: info.ID, Path: info.Path})
	}
	p.say("recording session %s to %s (pid %d); ctrl-c or kill %d ends it", info.ID, info.Path, os.Getpid(), os.Getpid())
	p.attend(letGo, c, rec)
	if letGo.Err() != nil && ctx.Err() == nil {
		if err := rec.Detach(); err != nil {
			return fmt.Errorf("letting go of session %s: %w", info.ID, err)
		}
		p.say("session %s is gone on with by a console, which asked for it", info.ID)
		return nil
	}
	if err := rec.Close(); err != nil {
		return fmt.Errorf("ending session %s: %w", info.ID, err)
	}
	first, last := rec.Bounds()
	var bytes int64
	if st, err := os.Stat(info.Path); err == nil {
		bytes = st.Size()
	}
	p.say("session %s ended: %s, %s", info.ID, span(last.Sub(first)), humanize.IBytes(uint64(bytes)))
	return nil
}

// startRecorder begins a session, or goes on with the one that --session names.
func (p *program) startRecorder(ctx context.Context, c *config.Config, sources func() []probes.Source, f recordFlags) (*sessions.Recorder, error) {
	o := sessions.Options{Dir: c.SessionsDir, Name: f.name, Host: hostname(), Sources: sources, KeepAge: c.KeepAge, KeepBytes: c.KeepSize}
	// The recorder stops by Close, after the last tick, not by the signal.
	ctx = context.WithoutCancel(ctx)
	if f.session == "" {
		if !f.new {
			o.Alone = aloneAs(c)
		}
		rec, err := sessions.Record(ctx, o)
		if errors.Is(err, sessions.ErrRecording) {
			return nil, p.beaten(c)
		}
		if err != nil {
			return nil, fail(exitFailed, "pitwall doctor looks at the directory", "starting a session in %s: %w", c.SessionsDir, err)
		}
		return rec, nil
	}
	path, err := findSession(c.SessionsDir, f.session)
	if err != nil {
		return nil, err
	}
	rec, err := sessions.Resume(ctx, path, o)
	if err != nil {
		return nil, fail(exitNoSession, "pitwall sessions shows how each one stands", "going on with session %s: %w", f.session, err)
	}
	return rec, nil
}

func recordedBy(other *sessions.Info) error {
	return fail(exitFailed, "pitwall shows it; --new records a second time, and scrapes the engine twice",
		"pid %d records this host already, session %s", other.PID, other.ID)
}

// aloneAs names what is recorded, so that of two recorders of it that start at the same moment one is refused.
func aloneAs(c *config.Config) string {
	if len(c.Engine) == 0 {
		return "the engines of this host"
	}
	return strings.Join(slices.Sorted(slices.Values(c.Engine)), ",")
}

// beaten says who was quicker; its session may not be there yet.
func (p *program) beaten(c *config.Config) error {
	for range 40 {
		if other, err := recorderOf(c); err == nil && other != nil {
			return recordedBy(other)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fail(exitFailed, "pitwall shows it in a moment; --new records a second time", "another recorder of this host started at the same moment")
}

// attend keeps a recording company: retention every hour, and a line in the log when storing fails or works again.
func (p *program) attend(ctx context.Context, c *config.Config, rec *sessions.Recorder) {
	prune := time.NewTicker(time.Hour)
	defer prune.Stop()
	look := time.NewTicker(5 * time.Second)
	defer look.Stop()
	p.prune(c)
	trouble := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-prune.C:
			p.prune(c)
		case <-look.C:
			if now := rec.Info().Trouble; now != trouble {
				if trouble = now; now == "" {
					now = "storing works again"
				}
				p.say("%s", now)
			}
		}
	}
}

// prune applies the retention to ended sessions.
func (p *program) prune(c *config.Config) {
	if c.KeepAge == 0 && c.KeepSize == 0 {
		return
	}
	gone, err := sessions.Prune(c.SessionsDir, time.Now(), c.KeepAge, c.KeepSize)
	for _, s := range gone {
		p.say("removed session %s (%s, ended %s): beyond keep_age %s, keep_size %s", s.ID, humanize.IBytes(uint64(max(0, s.Bytes))), clock(s.Ended),
			model.Duration(c.KeepAge), humanize.IBytes(uint64(c.KeepSize)))
	}
	if err != nil {
		p.say("removing old sessions: %v", err)
	}
}

func (p *program) recordInBackground(ctx context.Context, c *config.Config, f recordFlags) error {
	var args []string
	for flag, v := range map[string]string{"--session": f.session, "--name": f.name, "--for": f.length} {
		if v != "" {
			args = append(args, flag+"="+v)
		}
	}
	if f.new {
		args = append(args, "--new")
	}
	b, err := p.background(c, args...)
	if err != nil {
		return err
	}
	defer b.Close()
	s, err := b.start(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "pid %d\nsession %s\nfile %s\nlog %s\n", s.PID, s.Session, s.Path, s.Log)
	if why, what := endsAtLogout(thisLogin()); why != "" {
		fmt.Fprintf(p.stderr, "pitwall: warning: %s\npitwall: hint: %s\n", clean(why), clean(what))
	}
	return nil
}

// say writes a dated line to stderr: the log of a recorder. Whether anybody reads it does not matter.
func (p *program) say(format string, args ...any) {
	fmt.Fprintf(p.stderr, "%s %s\n", time.Now().Format(time.RFC3339), clean(fmt.Sprintf(format, args...)))
}

// tell writes one line to the pipe that the parent listens to.
func (p *program) tell(fd int, s started) {
	w := os.NewFile(uintptr(fd), "ready")
	if w == nil {
		return
	}
	defer w.Close()
	b, err := json.Marshal(s)
	if err != nil {
		return
	}
	_, _ = w.Write(append(b, '\n')) // a parent that is gone needs no answer
}

func failedStart(err error) started {
	s := started{PID: os.Getpid(), Error: err.Error(), Code: exitFailed}
	var f *failure
	if errors.As(err, &f) {
		s.Hint, s.Code = f.hint, f.code
	}
	return s
}
