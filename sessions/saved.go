package sessions

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// followEvery is how often the file of a session that another process records is looked at.
const followEvery = 500 * time.Millisecond

// Open opens a session to be read: a saved one, one left by a recorder that died, or one that another process on this host
// is recording. One that was not ended grows while it is open, also when somebody goes on with it only then. Nothing of the
// file is changed.
func Open(path string) (Reader, error) {
	s, err := open(path)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if s.meta["ended"] == "" {
		s.stopped.Go(func() { s.follow(ctx) })
	}
	if s.pid == 0 { // what is being recorded was whole a moment ago
		s.stopped.Go(func() { s.verifySlowly(ctx) })
	}
	return s, nil
}

// saved is a session that this process only reads.
type saved struct {
	*asker
	path    string
	file    os.FileInfo // the file that is open
	failed  bool        // the last read of it did
	pos     position
	codec   journalCodec
	version atomic.Uint64

	mu      sync.Mutex // guards the next
	meta    map[string]string
	pid     int
	died    bool
	trouble string

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

func open(path string) (*saved, error) {
	a, err := openArchive(path)
	if err != nil {
		return nil, err
	}
	s := &saved{asker: newAsker(newHead(), a, newLedger()), path: path, stop: func() {}}
	if s.file, err = os.Stat(path); err != nil {
		a.db.Close()
		return nil, fmt.Errorf("opening session: %w", err)
	}
	s.version.Store(1)
	s.changed = func() { s.version.Add(1) }
	s.pid = recorderOf(path)
	if err := s.read(); err != nil {
		a.db.Close()
		return nil, fmt.Errorf("session %s: %w", path, err)
	}
	s.died = s.pid == 0 && s.meta["ended"] == ""
	return s, nil
}

// read takes in what is new in the file.
func (s *saved) read() error {
	m, fresh, err := s.archive.Load().load(s.head, s.ledger, s.book, &s.pos, &s.codec)
	if s.failed = err != nil && !isBusy(err); err != nil {
		return err
	}
	s.found(s.pos.wounds...)
	s.pos.wounds = nil
	loadBounds(s.head, m)
	s.forgot.Store(metaInt(m, metaForgot))
	s.head.mu.Lock()
	s.head.forget(s.head.block - memoryBlocks*blockSpan)
	s.head.mu.Unlock()
	s.mu.Lock()
	if fresh || s.meta["ended"] != m["ended"] {
		s.version.Add(1)
	}
	s.meta = m
	s.trouble = ""
	s.mu.Unlock()
	return nil
}

// loadBounds sets what the journal alone does not tell. Blocks are not listed: meta knows their first and last tick.
func loadBounds(h *head, m map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := metaInt(m, "first"); f != 0 {
		h.first = f
	}
	h.last = max(h.last, metaInt(m, "last"), metaInt(m, "ended"))
	h.first = min(h.first, h.last)
}

// again opens the file anew when another one stands in its place: its recorder has begun a new one, or written it again.
func (s *saved) again() error {
	st, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("its file is gone: %w", err)
	}
	if os.SameFile(st, s.file) && !s.failed {
		return nil
	}
	a, err := openArchive(s.path)
	if err != nil {
		return err
	}
	s.head.clear()
	s.ledger.clear()
	s.book.clear()
	s.pos, s.codec, s.file, s.failed = position{}, journalCodec{}, st, false
	old := s.archive.Swap(a)
	s.changed()
	return old.db.Close()
}

func (s *saved) follow(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pid := recorderOf(s.path)
		err := s.again()
		if err == nil {
			err = s.read()
		}
		s.mu.Lock()
		if err != nil {
			s.trouble = err.Error()
		}
		over := s.meta["ended"] != ""
		if died := pid == 0 && !over; pid != s.pid || died != s.died {
			s.pid, s.died = pid, died
			s.version.Add(1)
		}
		s.mu.Unlock()
		if over {
			return
		}
	}
}

// Version implements Reader.
func (s *saved) Version() uint64 { return s.version.Load() }

// Info implements Reader.
func (s *saved) Info() Info {
	first, last := s.Bounds()
	s.mu.Lock()
	defer s.mu.Unlock()
	i := infoOf(s.path, s.meta)
	i.Started, i.Last, i.Trouble, i.PID, i.Bytes = first, last, s.trouble, s.pid, fileBytes(s.path)
	i.Trouble = cmp.Or(i.Trouble, s.damaged(), s.archive.Load().cut, copied(s.meta))
	switch {
	case s.meta["ended"] != "":
	case s.pid != 0:
		i.Recording = RecordingElsewhere
	default:
		i.Recording = RecorderDied
	}
	return i
}

// copied says what was damaged in the session that this one is a copy of; empty for one that is whole, or no copy.
func copied(m map[string]string) string {
	if m[metaLost] == "" {
		return ""
	}
	return "copied from one that was " + m[metaLost]
}

func infoOf(path string, m map[string]string) Info {
	return Info{
		ID: m["id"], Name: m["name"], Host: m["host"], Path: path, Simulated: m["simulated"] == "true",
		Started: timeOf(metaInt(m, "started")), Ended: timeOf(metaInt(m, "ended")),
	}
}

// Close implements Reader.
func (s *saved) Close() error {
	s.stop()
	s.stopped.Wait()
	return s.archive.Load().db.Close()
}

var (
	_ Reader = (*Recorder)(nil)
	_ Reader = (*saved)(nil)
)
