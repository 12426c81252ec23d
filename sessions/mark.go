package sessions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pitwall/probes"
)

// Marker is a Reader that can put an operator's note on the clock: one whose session is being recorded, here or by
// another process.
type Marker interface {
	Mark(note string) error
}

var (
	_ Marker = (*Recorder)(nil)
	_ Marker = (*saved)(nil)
)

func mark(note string, t int64) (probes.Event, error) {
	note = strings.TrimSpace(note)
	if note == "" {
		return probes.Event{}, errors.New("a mark needs a note")
	}
	return probes.Event{Time: timeOf(t), Kind: probes.KindMark, Subject: "operator", Title: Redact(note)}, nil
}

// Now is the moment by the session's clock, which no step of the host's bends.
func (r *Recorder) Now() time.Time {
	if r.clock.ticking() {
		return timeOf(r.clock.now())
	}
	return timeOf(r.tick) // driven by hand, by the one who asks
}

// PutEvent puts an event on the clock, at its Time; zero is now. It is stored with the tick under way.
func (r *Recorder) PutEvent(e probes.Event) {
	if e.Time.IsZero() {
		e.Time = r.Now()
	}
	r.addEvents([]probes.Event{e}, msOf(e.Time))
	r.version.Add(1)
	r.wake()
}

// Mark puts a note on the clock, now.
func (r *Recorder) Mark(note string) error {
	var t int64
	if r.clock.ticking() {
		t = r.clock.now()
	} else {
		t = r.tick // driven by hand, by the one who marks
	}
	e, err := mark(note, t)
	if err != nil {
		return err
	}
	r.addEvents([]probes.Event{e}, t)
	r.version.Add(1)
	r.wake()
	return nil
}

// Mark writes the note into the session that another process records; its recorder and its other readers see it within a
// second or two.
func (s *saved) Mark(note string) error {
	now := readClocks()
	s.mu.Lock()
	t, ok := clockIn(s.meta, now)
	s.mu.Unlock()
	if !ok {
		t = now.wall.UnixMilli()
	}
	e, err := mark(note, t)
	if err != nil {
		return err
	}
	if recorderOf(s.path) == 0 {
		return fmt.Errorf("session %s is not being recorded: a mark would have no place on its clock", s.Info().ID)
	}
	w, err := openWriter(s.path)
	if err != nil {
		return err
	}
	err = w.commit(context.Background(), &batch{events: []probes.Event{e}})
	return errors.Join(err, w.db.Close())
}
