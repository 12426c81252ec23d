package sessions

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"pitwall/probes"
	"pitwall/probes/request"
)

const (
	// recentRequests is how many bytes of stored requests stay in memory, for a file that has to be begun anew.
	recentRequests = 4 << 20
	// unstoredRequests is how many bytes of requests wait for a disk that doesn't take them, or are kept where there is none:
	// two hundred thousand requests of a hundred chunks. Then the oldest are given up.
	unstoredRequests = 64 << 20
)

// tail holds the newest requests of a recorder: those that are not in its file, and the last that are.
type tail struct {
	codec *requestCodec

	mu      sync.Mutex              // guards everything below
	next    map[uint32]uint32       // the place that the next request of a run has
	begin   func(run uint32) uint32 // gives it for a run that is not in next
	fresh   []request.Record        // not in rows yet
	rows    []requestRow            // oldest first
	stored  int                     // the first so many of rows are in the file
	bytes   int                     // of rows
	waiting int                     // bytes of those that are not in the file
	limit   int                     // of waiting
	given   int                     // requests that were given up since it was last asked
}

func newTail(codec *requestCodec) *tail {
	return &tail{codec: codec, next: map[uint32]uint32{}, limit: unstoredRequests, begin: func(uint32) uint32 { return 0 }}
}

func (t *tail) newest() (id uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for run := range t.next {
		id = max(id, run)
	}
	for i := range t.fresh {
		id = max(id, t.fresh[i].Run)
	}
	return id
}

func (t *tail) put(records []request.Record) {
	t.mu.Lock()
	t.fresh = append(t.fresh, records...)
	t.mu.Unlock()
}

// seal makes rows of what is fresh. The caller holds mu.
func (t *tail) seal() error {
	if len(t.fresh) == 0 {
		return nil
	}
	// Runs apart, each in the order in which it was put: two of them overlap where one drains.
	slices.SortStableFunc(t.fresh, func(a, b request.Record) int { return int(int64(a.Run) - int64(b.Run)) })
	for len(t.fresh) > 0 {
		n := rowLength(t.fresh)
		run := t.fresh[0].Run
		first, ok := t.next[run]
		if !ok {
			first = t.begin(run)
		}
		row, err := t.codec.encode(first, t.fresh[:n])
		if err != nil {
			return err
		}
		t.next[run] = row.next()
		t.rows = append(t.rows, row)
		t.bytes += row.size()
		t.waiting += row.size()
		t.fresh = t.fresh[n:]
	}
	t.fresh = nil // what it held must not stay
	t.bound()
	return nil
}

// bound gives up the oldest of what waits for too long. The caller holds mu.
func (t *tail) bound() {
	for t.waiting > t.limit && t.stored < len(t.rows)-1 {
		row := t.rows[t.stored]
		t.rows = slices.Delete(t.rows, t.stored, t.stored+1)
		t.waiting -= row.size()
		t.bytes -= row.size()
		t.given += row.count
	}
}

// unstored gives what is not in the file, and how many requests were given up since it was last asked.
func (t *tail) unstored() (rows []requestRow, given int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	err = t.seal()
	given, t.given = t.given, 0
	return slices.Clone(t.rows[t.stored:]), given, err
}

// wrote says that rows are in the file now.
func (t *tail) wrote(rows []requestRow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, row := range rows {
		if t.stored < len(t.rows) && t.rows[t.stored].key() == row.key() { // else it was given up meanwhile
			t.stored++
			t.waiting -= row.size()
		}
	}
	drop := 0
	for t.bytes > recentRequests && drop < t.stored {
		t.bytes -= t.rows[drop].size()
		drop++
	}
	t.rows = slices.Clone(t.rows[drop:])
	t.stored -= drop
}

// again says that the file is begun anew: everything that is in memory is to be written.
func (t *tail) again() {
	t.mu.Lock()
	t.stored, t.waiting = 0, t.bytes
	t.mu.Unlock()
}

// PutRequests takes requests that are over, of one or several runs. They are stored with the tick under way, a second later
// at most, and then read alike everywhere (see Reader.Requests); what the records hold must not be changed afterwards. It
// waits for no disk: where that takes nothing they wait in memory, 64 MB of them at most, then the oldest are given up, counted
// in Info.Dropped, and told by an event. An error means that none of them is taken.
func (r *Recorder) PutRequests(records []request.Record) error {
	own := slices.Clone(records)
	for i := range own {
		if own[i].Run == 0 {
			return errors.New("storing requests: one belongs to no run: they count from 1")
		}
		if m := own[i].Message; m != "" {
			own[i].Message = Redact(m)
		}
	}
	r.mu.Lock()
	over := r.over
	if !over {
		r.tail.put(own)
	}
	r.mu.Unlock()
	if over {
		return fmt.Errorf("storing requests: %w", errOver)
	}
	r.version.Add(1)
	return nil
}

// takeRequests gives what waits to be written, and tells what was given up.
func (r *Recorder) takeRequests() ([]requestRow, error) {
	rows, given, err := r.tail.unstored()
	if given > 0 {
		r.dropped.Add(uint64(given)) //nolint:gosec // a count
		_, last := r.Bounds()
		r.addEvents([]probes.Event{{
			Kind: "recorder.requests", Subject: "recorder", Severity: probes.Warning,
			Title: fmt.Sprintf("%d requests were given up: the session could not be stored, and %d MB of them waited in memory", given, unstoredRequests>>20),
			Attrs: map[string]string{"value": strconv.Itoa(given)},
		}}, msOf(last))
	}
	return rows, err
}

// newestRows gives everything that is in memory, oldest first, or only what is not in the file.
func (t *tail) newestRows(unstored bool) ([]requestRow, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.seal()
	if unstored {
		return slices.Clone(t.rows[t.stored:]), err
	}
	return slices.Clone(t.rows), err
}
