package sessions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"pitwall/probes/request"
)

// MissingRequests stands where requests of a run are missing.
type MissingRequests struct {
	Run uint32
	// From is the place of the first of them in the run, from 0, in the order in which they were put.
	From uint32
	// Count is how many there are, 0 if nobody knows.
	Count int
	// Forgotten is set where the recording's retention deleted them; otherwise the file is damaged, or the disk was full for
	// too long.
	Forgotten bool
	// Why says it in words.
	Why string
}

// Error says how many of which are missing, and why.
func (m *MissingRequests) Error() string {
	n := "requests"
	if m.Count > 0 {
		n = strconv.Itoa(m.Count) + " requests"
	}
	return fmt.Sprintf("%s of run %d, from its number %d on, are missing: %s", n, m.Run, m.From+1, m.Why)
}

const (
	whyForgotten = "they are older than what the recording keeps"
	whyNotStored = "nothing is stored of them: the file is damaged, or the disk took nothing for too long"
)

// Requests implements Reader.
func (a *asker) Requests(ctx context.Context, run uint32) iter.Seq2[request.Record, error] {
	return func(yield func(request.Record, error) bool) {
		var waiting []requestRow
		if a.tail != nil { // before the file is asked: what is written meanwhile is then there twice, and not missing
			var err error
			if waiting, err = a.tail.newestRows(a.archive.Load() != nil); err != nil {
				yield(request.Record{}, err)
				return
			}
		}
		runs, err := a.runsWithRequests(ctx, run, waiting)
		if err != nil {
			yield(request.Record{}, err)
			return
		}
		var room scratch
		for _, id := range runs {
			w := requestWalk{asker: a, ctx: ctx, yield: yield, run: id, archive: a.archive.Load(), room: &room}
			if !w.walk(waiting) {
				return
			}
		}
	}
}

// runsWithRequests gives the runs that may have requests, in order: that one, or all for 0.
func (a *asker) runsWithRequests(ctx context.Context, run uint32, waiting []requestRow) ([]uint32, error) {
	if run != 0 {
		return []uint32{run}, nil
	}
	all := map[uint32]bool{}
	for _, row := range waiting {
		all[row.run] = true
	}
	for _, r := range a.book.all() {
		all[r.ID] = true
	}
	if arch := a.archive.Load(); arch.hasRuns() {
		stored, err := arch.requestRuns(ctx)
		if err != nil {
			return nil, err
		}
		for _, id := range stored {
			all[id] = true
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// requestRuns gives the runs that have requests in the file, one look at the index each. What is damaged gives none.
func (a *archive) requestRuns(ctx context.Context) (ids []uint32, err error) {
	for key := int64(0); ; {
		var found int64
		err := a.db.QueryRowContext(ctx, "SELECT key FROM requests WHERE key>=? ORDER BY key LIMIT 1", key).Scan(&found)
		switch {
		case errors.Is(err, sql.ErrNoRows), isDamage(err):
			return ids, nil
		case err != nil:
			return ids, fmt.Errorf("reading requests: %w", err)
		}
		ids = append(ids, runOf(found))
		key = requestKey(runOf(found), 0) + 1<<32
	}
}

// storedRow is a row of requests as it stands in the file.
type storedRow struct {
	requestRow
	crc   int64
	whole error // why it can't be read, nil if it seems to be all right
}

// requestWalk walks the requests of one run.
type requestWalk struct {
	*asker
	ctx     context.Context
	yield   func(request.Record, error) bool
	run     uint32
	archive *archive // nil where nothing is stored
	room    *scratch

	next  uint32  // the place of the request that comes next
	t     int64   // when the last one ended
	bad   error   // what is wrong with a row that was to hold it
	until uint32  // where that row seemed to end
	keys  []int64 // what is there, where pages of the file are damaged; nil where not
	lost  []lostSpan
}

// rowsAtOnce is how many rows are read in one statement: nobody who walks slowly holds the file.
const rowsAtOnce = 4

// walk gives the run's requests, and says whether it is to go on with the next run.
func (w *requestWalk) walk(waiting []requestRow) bool {
	if w.archive.hasRuns() {
		for {
			rows, err := w.read()
			if err != nil {
				w.yield(request.Record{}, fmt.Errorf("reading requests of run %d: %w", w.run, err))
				return false
			}
			if len(rows) == 0 {
				break
			}
			for _, row := range rows {
				if !w.row(row) {
					return false
				}
			}
		}
	}
	for _, row := range waiting {
		if row.run == w.run && row.next() > w.next && !w.row(storedRow{requestRow: row, crc: checksum(row.data)}) {
			return false
		}
	}
	return w.end()
}

// row gives the requests of one row that come next.
func (w *requestWalk) row(row storedRow) bool {
	if err := w.ctx.Err(); err != nil {
		w.yield(request.Record{}, err)
		return false
	}
	var all []request.Record
	err := row.whole
	if err == nil && checksum(row.data) != row.crc {
		err = errChecksum
	}
	if err == nil {
		all, err = w.rows.decode(row.requestRow, w.room)
	}
	if err != nil {
		w.bad, w.until = err, max(w.until, row.first+uint32(min(max(row.count, 1), maxRowRequests))) //nolint:gosec // bounded
		return true
	}
	if row.first > w.next && !w.gap(row.first, row.t) {
		return false
	}
	w.bad = nil
	w.texts(row.requestRow, all)
	for i := range all {
		if place := row.first + uint32(i); place >= w.next { //nolint:gosec // bounded
			if !w.yield(all[i], nil) {
				return false
			}
		}
	}
	w.next, w.t = max(w.next, row.first+uint32(len(all))), row.t //nolint:gosec // bounded
	return true
}

// gap tells that requests up to the place to, which ended before t, are missing.
func (w *requestWalk) gap(to uint32, t int64) bool {
	m := &MissingRequests{Run: w.run, From: w.next, Count: int(to - w.next), Why: whyNotStored}
	forgot := w.forgot.Load()
	switch {
	case w.bad != nil:
		m.Why = "the session's file is damaged here: " + w.bad.Error()
	case w.next == 0 && forgot != 0:
		m.Forgotten, m.Why = true, whyForgotten
	}
	if !m.Forgotten {
		from := w.t
		if run, ok := w.book.has(w.run); from == 0 && ok {
			from = msOf(run.Began)
		}
		lost := wound{what: "requests", count: m.Count, metric: "requests of run " + strconv.Itoa(int(w.run)), from: from, to: t}
		if from == 0 || t <= from {
			lost.from, lost.to = 0, 0
		}
		w.found(lost)
	}
	w.next = to
	return w.yield(request.Record{}, m)
}

// end tells what is missing at the end of the run.
func (w *requestWalk) end() bool {
	if w.bad != nil && w.until > w.next {
		return w.gap(w.until, 0)
	}
	base := requestKey(w.run, w.next) - 1
	for _, span := range w.lost {
		if span.before > base && span.after < requestKey(w.run, 0)+1<<32 && (w.next == 0 || span.before > base+1) {
			if run, ok := w.book.has(w.run); !ok || !run.Over() || run.Score != nil && run.Score.Sent <= int(w.next) {
				continue // all that it had is there
			}
			w.found(wound{what: "requests"})
			return w.yield(request.Record{}, &MissingRequests{Run: w.run, From: w.next, Why: "the session's file is damaged here: " + errUnreadable.Error()})
		}
	}
	if run, ok := w.book.has(w.run); ok && w.next == 0 && !run.Ended.IsZero() && msOf(run.Ended) < w.forgot.Load() {
		return w.yield(request.Record{}, &MissingRequests{Run: w.run, Forgotten: true, Why: whyForgotten})
	}
	return true
}

// read gives the rows that come next, none at the end.
func (w *requestWalk) read() ([]storedRow, error) {
	from, to := requestKey(w.run, max(w.next, w.until)), requestKey(w.run, 0)+1<<32-1
	if w.keys == nil {
		// Rows that were read one by one may have been joined meanwhile: the one that holds the next request can begin before it.
		rows, err := w.archive.requestRows(w.ctx, "key>=coalesce((SELECT max(key) FROM requests WHERE key<=?1 AND key>=?2), ?2) AND key<=?3 ORDER BY key LIMIT ?4",
			from, requestKey(w.run, 0), to, rowsAtOnce+1)
		if !isDamage(err) {
			return slices.DeleteFunc(rows, func(r storedRow) bool { return r.next() <= max(w.next, w.until) }), err
		}
		if err := w.list(); err != nil {
			return nil, err
		}
	}
	for len(w.keys) > 0 {
		key := w.keys[0]
		w.keys = w.keys[1:]
		if key < from && placeOf(key) < w.next {
			continue
		}
		rows, err := w.archive.requestRows(w.ctx, "key=?", key)
		if isDamage(err) {
			return []storedRow{{requestRow: requestRow{run: w.run, first: placeOf(key), count: 1}, whole: errUnreadable}}, nil
		}
		if err != nil || len(rows) > 0 {
			return rows, err
		}
	}
	return nil, nil
}

// list takes down which rows there are, where a page that holds some can't be read.
func (w *requestWalk) list() (err error) {
	w.keys = []int64{}
	w.lost, err = walk(asking{w.ctx, w.archive.db}, "requests", "key", "n", requestKey(w.run, 0)-1, func(rows *sql.Rows) (key int64, err error) {
		var n int64
		err = rows.Scan(&key, &n)
		if runOf(key) == w.run {
			w.keys = append(w.keys, key)
		}
		return key, err
	})
	return err
}

// requestRows reads rows of the file.
func (a *archive) requestRows(ctx context.Context, where string, args ...any) (out []storedRow, err error) {
	rows, err := a.db.QueryContext(ctx, "SELECT key, t, n, crc, data FROM requests WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key, n int64
		var r storedRow
		if err := rows.Scan(&key, &r.t, &n, &r.crc, &r.data); err != nil {
			r.whole = err // it isn't what it should be
		}
		r.run, r.first, r.count = runOf(key), placeOf(key), int(min(max(n, 1), maxRowRequests))
		_, _, _ = r.head() // what stands in the row itself is under its checksum, and that is looked at before it is believed
		out = append(out, r)
	}
	return out, rows.Err()
}

// texts puts the kept texts to a row's requests. What can't be read of them is told, and missing.
func (w *requestWalk) texts(row requestRow, all []request.Record) {
	if row.texts != nil {
		if w.rows.decodeTexts(row.texts, all) != nil {
			w.found(wound{what: "texts of answers"})
		}
		return
	}
	if !w.archive.hasRuns() {
		return
	}
	// Texts stay in the rows that they came in: several of them where rows were joined.
	rows, err := w.archive.textRows(w.ctx, row.key(), row.key()+int64(len(all))-1)
	if err != nil {
		w.found(wound{what: "texts of answers"})
	}
	for _, r := range rows {
		if from := r.first - row.first; checksum(r.texts) != r.crc || w.rows.decodeTexts(r.texts, all[from:]) != nil {
			w.found(wound{what: "texts of answers"})
		}
	}
}

func (a *archive) textRows(ctx context.Context, from, to int64) (out []storedRow, err error) {
	rows, err := a.db.QueryContext(ctx, "SELECT key, crc, data FROM texts WHERE key>=? AND key<=? ORDER BY key", from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key int64
		var r storedRow
		if err := rows.Scan(&key, &r.crc, &r.texts); err != nil {
			return out, err
		}
		r.run, r.first = runOf(key), placeOf(key)
		out = append(out, r)
	}
	return out, rows.Err()
}

// lastPlace gives the place behind the last request of a run in the file; 0 if it has none. Where that can't be read it is one
// that no run comes to.
func (a *archive) lastPlace(run uint32) uint32 {
	if !a.hasRuns() {
		return 0
	}
	var key, n int64
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := a.db.QueryRowContext(ctx, "SELECT key, n FROM requests WHERE key>=? AND key<? ORDER BY key DESC LIMIT 1", requestKey(run, 0), requestKey(run, 0)+1<<32).Scan(&key, &n)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0
	case err != nil:
		return 1 << 31
	}
	return placeOf(key) + uint32(min(max(n, 1), maxRowRequests)) //nolint:gosec // bounded
}
