package sessions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"pitwall/probes"
)

// What can happen to a session's file while it is recorded, and what the recorder does: a file that was removed (or whose
// -wal was) is written again in its place, whole, because the recorder still holds it open; one that was damaged or
// replaced is set aside under another name, and a new one is begun with what is in memory: the last quarter of an hour.

// The fates after which all of the session is still to be had, through the files that the recorder holds open.
const (
	fileRemoved    = "its file was removed"
	journalRemoved = "its journal was removed"
)

// fate says what has happened to the file that w writes; empty while it is there. An error means that nobody knows: then
// nothing has happened to it yet.
func (w *writer) fate() (string, error) {
	st, err := os.Stat(w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fileRemoved, nil
	case err != nil:
		return "", fmt.Errorf("looking at the session's file: %w", err)
	case w.file != nil && !os.SameFile(st, w.file):
		return "another file stands in its place", nil
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(w.path + suffix); errors.Is(err, fs.ErrNotExist) {
			return journalRemoved, nil
		}
	}
	// Only retention makes a session smaller.
	if size := st.Size(); size == 0 || size < w.size && !w.pruned {
		return "its file was cut short", nil
	}
	w.size = st.Size()
	// SQLite looks at these once: what it has in memory it takes for what is on the disk.
	if !begins(w.path, "SQLite format 3\x00") || !begins(w.path+"-wal", "\x37\x7f\x06") {
		return "its file was damaged (overwritten)", nil
	}
	return "", nil
}

// begins says whether a file begins with these bytes, or is empty, or can't be read.
func begins(path, with string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	b := make([]byte, len(with))
	n, err := f.ReadAt(b, 0)
	return n == 0 || n < len(with) && !errors.Is(err, io.EOF) || string(b) == with
}

// rescue does for a file whose fate is known what can be done; the next tick then brings what is missing. An error means that
// nothing has changed, and that it is to be tried again. The caller is the one who stores.
func (r *Recorder) rescue(ctx context.Context, w *writer, fate string) error {
	// Whoever ends the recording just now still wants to have it: the only other copy is open here, and ends with this.
	ctx = context.WithoutCancel(ctx)
	copied := false
	switch fate {
	case fileRemoved:
		copied = w.copyTo(ctx, r.path) == nil
	case journalRemoved:
		copied = w.copyTo(ctx, r.path) == nil || w.fold(ctx) == nil // no room for a copy: then in place
	}
	told := fate + ": "
	old := r.archive.Load()
	if copied {
		w.db.Close() //nolint:errcheck // what it held is in the other one
		again, err := openWriter(r.path)
		var a *archive
		if err == nil {
			if a, err = openArchive(r.path); err != nil {
				again.db.Close()
			}
		}
		if err == nil {
			r.archive.Store(a)
			if old != nil {
				old.db.Close()
			}
			r.mu.Lock()
			r.w = again
			r.mu.Unlock()
			if !r.lock.holds() {
				r.lock.release()
				if r.lock, err = lockSession(r.path); err != nil {
					return err
				}
			}
			r.tellFile(told + "written again, nothing is lost")
			return nil
		}
	}
	aside, err := setAside(r.path)
	if err != nil {
		return err
	}
	w.db.Close() //nolint:errcheck // its file has another name now, and SQLite leaves that alone
	r.archive.Store(nil)
	if old != nil {
		old.db.Close()
	}
	r.lock.release()
	r.mu.Lock()
	r.w = nil
	r.mu.Unlock()
	r.tail.again()
	r.wantAll.Store(true)
	if aside != "" {
		told += "set aside as " + aside + ", "
	}
	r.tellFile(told + "a new one is begun with what is in memory")
	return nil
}

// keepLock takes the session's lock again when its file was removed: without it the session looks like one whose recorder is
// gone. When another process has taken it for that and goes on with it, the file is that one's, and a new one is begun: false.
func (r *Recorder) keepLock() bool {
	if r.lock.holds() {
		return true
	}
	lock, err := lockSession(r.path)
	if err != nil && !errors.Is(err, ErrRecording) {
		return true // its directory may be gone as well: the file's fate tells
	}
	r.lock.release()
	r.lock = lock
	if err == nil {
		return true
	}
	r.mu.Lock()
	w := r.w
	r.w = nil
	r.mu.Unlock()
	w.db.Close() //nolint:errcheck // all of it is in memory or in that file
	if old := r.archive.Swap(nil); old != nil {
		old.db.Close()
	}
	r.tail.again()
	r.wantAll.Store(true)
	r.tellFile("its lock was removed, and another process goes on with its file: a new one is begun with what is in memory")
	return false
}

func (r *Recorder) tellFile(what string) {
	_, last := r.Bounds()
	r.addEvents([]probes.Event{{Kind: "recorder.file", Subject: "recorder", Severity: probes.Warning, Title: what}}, msOf(last))
	r.version.Add(1)
}

// copyTo writes all of the database that is open to a path, in the place of what stands there.
func (w *writer) copyTo(ctx context.Context, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { // its directory may be gone with it
		return err
	}
	return copyInto(ctx, w.db, path, func() {
		for _, suffix := range []string{"-wal", "-shm"} {
			os.Remove(path + suffix) //nolint:errcheck // of the file that is gone
		}
	})
}

// fold writes all of the journal into the file. An error also means that a reader kept it from that.
func (w *writer) fold(ctx context.Context) error {
	var busy, pages, done int
	if err := w.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &done); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("somebody reads the session just now")
	}
	return nil
}

// asideMark is what the name of a session has between its ID and a number when it was set aside.
const asideMark = "-damaged"

// setAside gives what stands at a session's path another name that is a session's too, so that it can be looked at. It gives
// that name, empty when nothing stood there.
func setAside(path string) (string, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	stem := strings.TrimSuffix(path, Extension)
	for n := 1; ; n++ {
		to := stem + asideMark + strconv.Itoa(n) + Extension
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			if n < 1000 {
				continue
			}
			return "", fmt.Errorf("setting the damaged session aside: there are %d of its kind already: move them elsewhere", n)
		}
		// The journal has both names before the file has its new one: whoever is killed here leaves them together.
		linked := os.Link(path+"-wal", to+"-wal")
		if err := os.Rename(path, to); err != nil {
			os.Remove(to + "-wal") //nolint:errcheck // only its second name
			return "", fmt.Errorf("setting the damaged session aside: %w", err)
		}
		if linked == nil {
			os.Remove(path + "-wal") //nolint:errcheck // only its first name
		} else {
			os.Rename(path+"-wal", to+"-wal") //nolint:errcheck // mostly there is none; or a disk without hard links
		}
		os.Remove(path + "-shm") //nolint:errcheck // made anew
		return filepath.Base(to), nil
	}
}

// everything is a batch that holds all that is in memory, for a file that is begun anew. It is for the goroutine that takes
// readings: what it gives is followed by rows that are relative to it.
func (r *Recorder) everything() (*batch, error) {
	h := r.head
	h.mu.Lock()
	defer h.mu.Unlock()
	b := &batch{meta: map[string]string{}, dropJournal: true}
	for _, n := range h.names {
		n.unwritten = false
		b.names = append(b.names, &name{id: n.id, name: n.name, typ: n.typ, help: n.help, unit: n.unit})
	}
	b.series = slices.DeleteFunc(slices.Clone(h.series), func(s *series) bool { return s == nil })
	r.written.series = len(h.series)
	b.blocks = blockRows(h, h.floor)
	byTime := map[int64]map[bool][]entry{}
	for _, s := range h.series {
		if s == nil {
			continue
		}
		for _, c := range s.chunks(h.block, h.last+lateness, nil) {
			if c.block != h.block {
				continue
			}
			if err := samplesOf(c, func(t int64, e entry) {
				if byTime[t] == nil {
					byTime[t] = map[bool][]entry{}
				}
				e.id = s.id
				byTime[t][e.hist != nil] = append(byTime[t][e.hist != nil], e)
			}); err != nil {
				return nil, err
			}
		}
	}
	var groups []group
	for _, t := range slices.Sorted(maps.Keys(byTime)) {
		for _, hist := range []bool{false, true} {
			if es := byTime[t][hist]; len(es) > 0 {
				groups = append(groups, group{t: t, hist: hist, entries: es})
			}
		}
	}
	row, err := r.codec.encode(nil, true, groups)
	if err != nil {
		return nil, err
	}
	r.seq++
	b.rows = []journalRow{{seq: r.seq, t: h.last, data: row}}
	h.first = max(h.first, min(h.floor, h.last))
	b.meta["first"], b.meta["last"] = strconv.FormatInt(h.first, 10), strconv.FormatInt(h.last, 10)
	r.count(b.meta)
	b.meta["seq"] = strconv.FormatInt(r.seq-1, 10)
	b.meta["started"], b.meta["offset"] = strconv.FormatInt(r.started, 10), strconv.FormatInt(r.offset.Load(), 10)
	if r.clock.ticking() {
		b.meta["clock"] = r.clock.text()
	}
	r.ledger.mu.RLock()
	b.notes, b.events = slices.Clone(r.ledger.notes), slices.Clone(r.ledger.events)
	r.ledger.mu.RUnlock()
	return b, nil
}

// samplesOf gives the samples of a chunk.
func samplesOf(c chunk, each func(t int64, e entry)) (err error) {
	defer recovered(&err, "chunk")
	it := c.data.Iterator(nil)
	for {
		switch it.Next() {
		case chunkenc.ValFloat:
			t, v := it.At()
			each(t, entry{v: v})
		case chunkenc.ValFloatHistogram:
			t, h := it.AtFloatHistogram(nil)
			each(t, entry{hist: h})
		default:
			return it.Err()
		}
	}
}
