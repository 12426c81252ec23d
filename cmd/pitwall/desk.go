package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"pitwall/cmd/config"
	"pitwall/probes/engine"
	"pitwall/sessions"
	"pitwall/sessions/steer"
)

// newDesk makes the desk of a console that may put load on what it watches.
func (p *program) newDesk(c *config.Config) *desk {
	d := &desk{p: p, c: c, hold: hold}
	d.load = d.steering()
	return d
}

// desk is what a console holds: the session that it shows and, when it records itself, the recorder with its probes. It
// does what the screen asks for (ui.Actions).
type desk struct {
	p *program
	c *config.Config
	// alone names what this console wants to be the only recorder of; empty where a second one is wanted.
	alone string
	// model is what load asks an engine for, empty the first that it serves; hold is how long a change of load waits for another.
	model string
	hold  time.Duration
	// session is the name of the session to be recorded, simulated whether it is of a simulation that runs elsewhere.
	session   string
	simulated bool
	// load steers load into the session that is recorded here; nil in a replay. writing is that session, nil while another
	// process records: who asks for it must not wait for a hand-over.
	load    *steer.Desk
	writing atomic.Pointer[sessions.Recorder]

	mu     sync.Mutex // guards the rest; the screen asks from its own goroutines
	reader sessions.Reader
	rec    *sessions.Recorder // nil while another process records
	watch  opener
	probes *watched
	closed bool
	// old are readers that are no longer shown. They are closed at the end: the screen may still be asking them.
	old []sessions.Reader
}

// opener opens the probes of a recorder that goes on from what was known of the engines.
type opener func(known []engine.Known) (*watched, error)

// attach shows what another process records.
func (d *desk) attach(r sessions.Reader) { d.reader = r }

// attachTo opens the session of another recorder.
func (d *desk) attachTo(other *sessions.Info) error {
	r, err := sessions.Open(other.Path)
	if err != nil {
		return fail(exitNoSession, "--new records here instead", "attaching to session %s: %w", other.ID, err)
	}
	d.attach(r)
	return nil
}

// record starts a session of its own; open makes its probes.
func (d *desk) record(ctx context.Context, open opener) error {
	w, err := open(nil)
	if err != nil {
		return err
	}
	rec, err := sessions.Record(context.WithoutCancel(ctx), d.options(w))
	if err != nil {
		w.Close()
		return fail(exitFailed, "pitwall doctor looks at the directory", "starting a session in %s: %w", d.c.SessionsDir, err)
	}
	w.follow(rec)
	d.mu.Lock()
	d.reader, d.rec, d.watch, d.probes = rec, rec, open, w
	d.mu.Unlock()
	d.writing.Store(rec)
	return nil
}

func (d *desk) options(w *watched) sessions.Options {
	if d.load != nil {
		w.load = d.load.Sources
	}
	return sessions.Options{Dir: d.c.SessionsDir, Name: d.session, Host: hostname(), Simulated: w.simulated || d.simulated, Sources: w.Sources, KeepAge: d.c.KeepAge, KeepBytes: d.c.KeepSize, Alone: d.alone}
}

// Mark puts the operator's note on every chart.
func (d *desk) Mark(_ context.Context, note string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.reader.(sessions.Marker)
	if !ok {
		return errors.New("this session can't be marked")
	}
	return m.Mark(note)
}

// HandOver gives the recording to a background recorder and goes on as its reader.
func (d *desk) HandOver(ctx context.Context) (sessions.Reader, error) {
	if err := d.loading(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, errors.New("the console is closing")
	case d.rec == nil:
		return nil, errors.New("another process records this session already")
	case d.probes.simulated:
		return nil, errors.New("a simulation lives in this program and ends with it: it can't be handed over")
	}
	info := d.rec.Info()
	if info.Recording == sessions.NotStored {
		return nil, fmt.Errorf("nothing is stored that could be handed over: %s", info.Trouble)
	}
	// What can fail beforehand does so while this process still records.
	b, err := d.p.background(d.c, "--session="+info.ID)
	if err != nil {
		return nil, fmt.Errorf("still recording here: %w", err)
	}
	defer b.Close()
	d.writing.Store(nil)
	if err := d.rec.Detach(); err != nil {
		d.probes.Close()
		if r, again := d.resume(ctx, info.Path); again == nil { // as below: a disk that has just filled up ends no recording
			return r, fmt.Errorf("still recording here: letting go of session %s: %w", info.ID, err)
		}
		return nil, fmt.Errorf("nobody records now: letting go of session %s: %w", info.ID, err)
	}
	d.probes.Close()
	if _, err := b.start(ctx); err != nil {
		// Nobody records now: go on here, so that only a moment is lost.
		if r, again := d.resume(ctx, info.Path); again == nil {
			return r, fmt.Errorf("still recording here: %w", err)
		}
		return nil, fmt.Errorf("nobody records now: %w", err)
	}
	r, err := sessions.Open(info.Path)
	if err != nil {
		return nil, fmt.Errorf("attaching to the background recorder: %w", err)
	}
	d.rec, d.probes, d.reader = nil, nil, r
	return r, nil
}

// TakeOver goes on with a session whose recorder is gone.
func (d *desk) TakeOver(ctx context.Context) (sessions.Reader, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.New("the console is closing")
	}
	if d.rec != nil {
		return nil, errors.New("this process records already")
	}
	old := d.reader
	info := old.Info()
	if info.Recording == sessions.RecordingElsewhere {
		if err := askToLetGo(info.PID); err != nil {
			return nil, err
		}
	}
	r, err := d.resume(ctx, info.Path)
	for start := time.Now(); errors.Is(err, sessions.ErrRecording) && time.Since(start) < letGoWithin && ctx.Err() == nil; {
		time.Sleep(50 * time.Millisecond)
		r, err = d.resume(ctx, info.Path)
	}
	if err != nil {
		return nil, err
	}
	d.old = append(d.old, old)
	return r, nil
}

// resume records a session again that nobody records. The caller holds mu.
func (d *desk) resume(ctx context.Context, path string) (sessions.Reader, error) {
	open := d.watch
	if open == nil {
		open = func(known []engine.Known) (*watched, error) { return d.p.watch(d.c, known) }
	}
	w, err := open(lastKnownOf(ctx, path))
	if err != nil {
		return nil, err
	}
	rec, err := sessions.Resume(context.WithoutCancel(ctx), path, d.options(w))
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("going on with %s: %w", path, err)
	}
	w.follow(rec)
	d.reader, d.rec, d.watch, d.probes = rec, rec, open, w
	d.writing.Store(rec)
	return rec, nil
}

// Close ends the session that is recorded here, or lets go of the one that isn't. A second Close does nothing.
func (d *desk) Close() error {
	if d.load != nil {
		d.load.Close("the console was left") // while the session is open
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.reader == nil {
		return nil
	}
	d.closed = true
	for _, r := range d.old {
		_ = r.Close() // it only read
	}
	id := d.reader.Info().ID
	err := d.reader.Close()
	if d.probes != nil {
		d.probes.Close() // after the recorder, which pulls them until its last tick
	}
	if err != nil {
		return fmt.Errorf("closing session %s: %w", id, err)
	}
	return nil
}
