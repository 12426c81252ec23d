package sessions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"pitwall/probes/request"
)

// Requests are written with the tick in which they are put, a row a run and tick, so that a crash costs a second of them. Such
// rows are small and compress badly: when a run has enough of them, or is over, they are joined in the same commit that
// brings the last one.

// joinable is how many requests a row has at most that is joined with others.
const joinable = rowRequests / 2

// putRequests writes the requests of a batch, and its runs' number, and what the retention forgets. It changes b.meta, and
// gives what w.loose is when all of it is committed; meta is what the file says of itself before.
func (w *writer) putRequests(ctx context.Context, tx *sql.Tx, b *batch, meta map[string]string) (loose map[uint32]int, err error) {
	if b.forget == nil && len(b.requests) == 0 && len(b.runs) == 0 && !b.joinAll {
		return w.loose, nil
	}
	run := func(q string, args ...any) (n int64) {
		if err != nil {
			return 0
		}
		var res sql.Result
		if res, err = tx.ExecContext(ctx, q, args...); err == nil {
			n, _ = res.RowsAffected() // SQLite always knows
		}
		return n
	}
	stored := metaInt(meta, "requests")
	if b.forget != nil && w.hasRuns {
		var gone [][2]int64
		err = each(tx, "SELECT key, n FROM requests WHERE t<?", func(rows *sql.Rows) error {
			var r [2]int64
			err := rows.Scan(&r[0], &r[1])
			gone = append(gone, r)
			return err
		}, b.forget.before)
		for _, r := range gone {
			run("DELETE FROM requests WHERE key=?", r[0])
			run("DELETE FROM texts WHERE key>=? AND key<?", r[0], r[0]+r[1])
			stored = max(0, stored-r[1])
			b.meta[metaForgot] = strconv.FormatInt(b.forget.before, 10)
		}
	}
	loose = maps.Clone(w.loose)
	touched := map[uint32]bool{}
	for _, r := range b.requests {
		// One that is there already was committed by a commit that seemed to fail.
		if run("INSERT OR IGNORE INTO requests VALUES(?,?,?,?,?)", r.key(), r.t, r.count, checksum(r.data), r.data) > 0 {
			stored += int64(r.count)
		}
		if r.texts != nil {
			run("INSERT OR IGNORE INTO texts VALUES(?,?,?)", r.key(), checksum(r.texts), r.texts)
		}
		if _, known := loose[r.run]; !known {
			loose[r.run] = rowRequests // nobody knows: it is looked at
		}
		loose[r.run] += r.count
		touched[r.run] = loose[r.run] >= rowRequests
	}
	for _, r := range b.runs {
		if r.over {
			touched[r.id] = true
		}
	}
	if b.joinAll {
		for id := range loose {
			touched[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		if err == nil && touched[id] {
			loose[id], err = w.join(ctx, tx, id)
		}
	}
	b.meta["requests"] = strconv.FormatInt(stored, 10)
	if len(b.runs) > 0 {
		known := map[uint32]bool{}
		if err == nil {
			err = each(tx, "SELECT id FROM runs", func(rows *sql.Rows) error {
				var id uint32
				err := rows.Scan(&id)
				known[id] = true
				return err
			})
		}
		for _, r := range b.runs {
			known[r.id] = true
		}
		b.meta["runs"] = strconv.Itoa(len(known))
		b.meta[metaRunSeq] = strconv.FormatInt(metaInt(meta, metaRunSeq)+int64(len(b.runs)), 10)
	}
	return loose, err
}

// metaForgot is the key of meta that says before when requests were deleted by the retention.
const metaForgot = "forgot"

// join makes few large rows of the small ones at the end of a run, and gives how many requests are left in those that a later
// join takes up again. Rows that are damaged stay as they are, and so do those before them.
func (w *writer) join(ctx context.Context, tx *sql.Tx, run uint32) (left int, err error) {
	from, to := requestKey(run, 0), requestKey(run, 0)+1<<32-1
	var keys []int64
	next := int64(-1)
	err = each(tx, "SELECT key, n FROM requests WHERE key>=? AND key<=? ORDER BY key DESC", func(rows *sql.Rows) error {
		var key, n int64
		if err := rows.Scan(&key, &n); err != nil {
			return err
		}
		if n >= joinable || next >= 0 && key+n != next {
			return errJoined
		}
		keys, next = append(keys, key), key
		return nil
	}, from, to)
	if err != nil && !errors.Is(err, errJoined) {
		if isDamage(err) {
			err = nil
		}
		return 0, err
	}
	slices.Reverse(keys)
	var all []request.Record
	var room scratch
	var lengths []int            // of the rows that they come from
	first, newest := 0, int64(0) // the first of keys that is joined
	for i, key := range keys {
		var r requestRow
		var crc int64
		err := tx.QueryRowContext(ctx, "SELECT t, crc, data FROM requests WHERE key=?", key).Scan(&r.t, &crc, &r.data)
		r.run, r.first = run, placeOf(key)
		var part []request.Record
		if err == nil && checksum(r.data) == crc {
			part, err = w.codec.decode(r, &room)
		} else if err == nil {
			err = errChecksum
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err != nil {
			all, lengths, first = nil, nil, i+1
			continue
		}
		all, lengths, newest = append(all, part...), append(lengths, len(part)), max(newest, r.t)
	}
	if len(keys)-first < 2 {
		return len(all), nil
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM requests WHERE key>=? AND key<=?", keys[first], to); err != nil {
		return 0, fmt.Errorf("joining requests: %w", err)
	}
	for place := placeOf(keys[first]); len(all) > 0; {
		// Old rows go into new ones whole: their texts stay where they are.
		n, most := 0, rowLength(all)
		for len(lengths) > 0 && (n == 0 || n+lengths[0] <= most) {
			n, lengths = n+lengths[0], lengths[1:]
		}
		row, err := w.codec.encode(place, all[:n])
		if err != nil {
			return 0, err
		}
		if row.t == 0 {
			row.t = newest
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO requests VALUES(?,?,?,?,?)", row.key(), row.t, row.count, checksum(row.data), row.data); err != nil {
			return 0, fmt.Errorf("joining requests: %w", err)
		}
		if left = row.count; n >= joinable {
			left = 0
		}
		place, all = row.next(), all[n:]
	}
	return left, nil
}

// errJoined ends the search for rows that are to be joined.
var errJoined = errors.New("what is before it is joined")
