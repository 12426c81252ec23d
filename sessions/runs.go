package sessions

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"pitwall/probes"
)

// Over says whether a run is at its end: Done or Broken.
func (r Run) Over() bool { return r.State == Done || r.State == Broken }

// abandoned gives a run as it reads when nobody will go on with it: what was not over is broken, and what is known of it
// ends at last.
func (r Run) abandoned(why string, last time.Time) Run {
	if r.Over() {
		return r
	}
	r.State, r.Why = Broken, why
	for _, t := range []*time.Time{&r.Cut, &r.Ended} {
		if t.IsZero() && last.After(r.Began) {
			*t = last
		}
	}
	return r
}

// Why a run that was not over is broken.
const (
	whyDied   = "the process that sent its load and recorded it was gone before it was over"
	whyEnded  = "the recording was ended before it was over"
	whyCopied = "the session was copied before it was over"
)

// book is every run of a session. They are few, so all of them are in memory.
type book struct {
	mu   sync.RWMutex // guards the next
	runs map[uint32]Run
}

func newBook() *book { return &book{runs: map[uint32]Run{}} }

func (b *book) put(r Run) {
	b.mu.Lock()
	b.runs[r.ID] = r
	b.mu.Unlock()
}

// clear empties it, for a reader that begins anew.
func (b *book) clear() {
	b.mu.Lock()
	clear(b.runs)
	b.mu.Unlock()
}

func (b *book) all() []Run {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.SortedFunc(maps.Values(b.runs), func(x, y Run) int { return cmp.Compare(x.ID, y.ID) })
}

func (b *book) has(id uint32) (Run, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	r, ok := b.runs[id]
	return r, ok
}

// newest is the highest ID, 0 if there is none.
func (b *book) newest() (id uint32) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for k := range b.runs {
		id = max(id, k)
	}
	return id
}

// Runs implements Reader.
func (a *asker) Runs() []Run { return a.book.all() }

// Runs implements Reader.
func (r *Recorder) Runs() []Run {
	runs := r.book.all()
	r.mu.Lock()
	over := r.over
	r.mu.Unlock()
	if over {
		_, last := r.Bounds()
		for i := range runs {
			runs[i] = runs[i].abandoned(whyEnded, last)
		}
	}
	return runs
}

// Runs implements Reader.
func (s *saved) Runs() []Run {
	runs := s.book.all()
	s.mu.Lock()
	why := ""
	switch {
	case s.meta[metaCopied] != "":
		why = whyCopied
	case s.meta["ended"] != "":
		why = whyEnded
	case s.pid == 0:
		why = whyDied
	}
	s.mu.Unlock()
	if why == "" {
		return runs
	}
	_, last := s.Bounds()
	for i := range runs {
		runs[i] = runs[i].abandoned(why, last)
	}
	return runs
}

var errOver = errors.New("the session is not recorded any more")

// PutRun stores how far a run has come, in the place of what was stored of it; the other readers of the session see it within
// a second or two. Secrets in its headers and body are cut. What its Score, Certificate and maps hold must not be changed
// afterwards. It waits for no disk: an error means that the run can't be stored ever.
func (r *Recorder) PutRun(run Run) error {
	if run.ID == 0 {
		return errors.New("storing run: it has no ID: they count from 1")
	}
	run = run.redacted()
	text, err := json.Marshal(run)
	if err != nil {
		return fmt.Errorf("storing run %d: %w", run.ID, err)
	}
	r.mu.Lock()
	if r.over {
		r.mu.Unlock()
		return fmt.Errorf("storing run %d: %w", run.ID, errOver)
	}
	r.book.put(run)
	r.pending.putRun(runRow{id: run.ID, over: run.Over(), data: text})
	r.mu.Unlock()
	r.version.Add(1)
	r.wake()
	return nil
}

// NextRun gives the ID for a run that begins now: one more than any that the session has seen, also where a run's own row
// is lost and only its requests are left.
func (r *Recorder) NextRun() uint32 {
	id := max(r.book.newest(), r.tail.newest())
	if a := r.archive.Load(); a.hasRuns() {
		var key sql.NullInt64
		if a.db.QueryRow("SELECT max(key) FROM requests").Scan(&key) == nil && key.Valid {
			id = max(id, runOf(key.Int64))
		}
	}
	return id + 1
}

// redacted gives the run without what must not be stored.
func (r Run) redacted() Run {
	r.Label, r.Why, r.Point.Label = Redact(r.Label), Redact(r.Why), Redact(r.Point.Label)
	if r.Target != nil {
		r.Target = redactFacts(r.Target, secretPath, Redact)
	}
	if r.Point.Headers != nil {
		headers := make(map[string]string, len(r.Point.Headers))
		for k, v := range r.Point.Headers {
			if headers[k] = Redact(v); secretName.MatchString(k) {
				headers[k] = cutMark
			}
		}
		r.Point.Headers = headers
	}
	if r.Point.Body != nil {
		r.Point.Body, _ = redactJSON(r.Point.Body).(map[string]any)
	}
	return r
}

// redactJSON gives a copy of a JSON value in which no field with a secret's name has its value.
func redactJSON(v any) any {
	switch v := v.(type) {
	case string:
		return Redact(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = redactJSON(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			if out[k] = redactJSON(x); secretName.MatchString(k) {
				out[k] = cutMark
			}
		}
		return out
	}
	return v
}

// runRow is a run as it is written.
type runRow struct {
	id   uint32
	over bool
	data []byte
}

// putRun adds a run to what is to be written, in the place of what waits of it.
func (b *batch) putRun(row runRow) {
	b.runs = slices.DeleteFunc(b.runs, func(old runRow) bool { return old.id == row.id })
	b.runs = append(b.runs, row)
}

// encoded gives every run as it is written, for a file that is begun anew.
func (b *book) encoded() (rows []runRow) {
	for _, r := range b.all() {
		if text, err := json.Marshal(r); err == nil { // it was encoded before, or came out of JSON
			rows = append(rows, runRow{id: r.ID, over: r.Over(), data: text})
		}
	}
	return rows
}

// breakOff breaks, in a session that is gone on with, the runs that nobody will go on with, and has that stored.
func (r *Recorder) breakOff(why string) {
	_, last := r.Bounds()
	for _, run := range r.book.all() {
		if run.Over() {
			continue
		}
		run = run.abandoned(why, last)
		text, err := json.Marshal(run)
		if err != nil {
			continue // it came out of JSON
		}
		r.book.put(run)
		r.pending.putRun(runRow{id: run.ID, over: true, data: text})
		r.pending.events = append(r.pending.events, probes.Event{
			Time: last, Kind: "run.ended", Subject: "run/" + fmt.Sprint(run.ID), Severity: probes.Warning, Title: "run " + fmt.Sprint(run.ID) + " is broken: " + why,
			Attrs: map[string]string{"run": fmt.Sprint(run.ID), "state": string(Broken)},
		})
		r.ledger.addEvent(r.pending.events[len(r.pending.events)-1])
	}
}

// loadRuns takes in the runs that have come further. m is the session's meta of the same moment.
func loadRuns(from asked, b *book, m map[string]string, after *position) (fresh bool, err error) {
	if whole := m[metaSum] == sumOf(m); whole && metaInt(m, metaRunSeq) == after.runs {
		return false, nil // nothing was put since
	}
	bad, seen := 0, 0
	lost, err := walk(from, "runs", "id", "seq, crc, data", 0, func(rows *sql.Rows) (id int64, err error) {
		var seq, crc int64
		var text string
		if err := rows.Scan(&id, &seq, &crc, &text); err != nil {
			return id, err
		}
		seen++
		if seq <= after.runs && seq > 0 {
			return id, nil
		}
		var r Run
		if checksum([]byte(text)) != crc || json.Unmarshal([]byte(text), &r) != nil || int64(r.ID) != id {
			bad++
			return id, nil
		}
		b.put(r)
		fresh = true
		return id, nil
	})
	after.runs = metaInt(m, metaRunSeq)
	if n := bad + max(len(lost), int(metaInt(m, "runs"))-seen); n > 0 {
		after.wound(wound{what: "runs", count: n})
	}
	return fresh, err
}

// metaRunSeq is the key of meta that counts how often a run was put, metaCopied the one that says in a copy that its
// session was still being recorded.
const (
	metaRunSeq = "runseq"
	metaCopied = "copied"
)
