package sessions

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
)

// verifyRequests looks at every row of requests and of texts, as verify does at blocks.
func (s *saved) verifyRequests(ctx context.Context, pause func()) error {
	a := s.archive.Load()
	if !a.hasRuns() {
		return nil
	}
	s.mu.Lock()
	want := metaInt(s.meta, "requests")
	s.mu.Unlock()
	there, bad, looked := int64(0), 0, 0
	lost, err := walk(asking{ctx, a.db}, "requests", "key", "n, crc, data", 0, func(rows *sql.Rows) (key int64, err error) {
		var r storedRow
		var n int64
		if err := rows.Scan(&key, &n, &r.crc, &r.data); err != nil {
			return key, err
		}
		r.run, r.first = runOf(key), placeOf(key)
		if _, _, err := r.head(); err != nil || checksum(r.data) != r.crc || int64(r.count) != n {
			bad += int(min(max(n, 1), maxRowRequests))
			return key, nil
		}
		there += int64(r.count)
		if looked++; looked%verifyPart == 0 {
			pause()
		}
		return key, nil
	})
	if err != nil {
		return err
	}
	badTexts := 0
	lostTexts, err := walk(asking{ctx, a.db}, "texts", "key", "crc, data", 0, func(rows *sql.Rows) (key int64, err error) {
		var crc int64
		var data sql.RawBytes
		if err := rows.Scan(&key, &crc, &data); err != nil {
			return key, err
		}
		if checksum(data) != crc {
			badTexts++
		}
		return key, nil
	})
	if err != nil {
		return err
	}
	if missing := max(int(want-there), bad, len(lost)); missing > 0 {
		s.found(wound{what: "requests", count: missing})
	}
	if n := badTexts + len(lostTexts); n > 0 {
		s.found(wound{what: "texts of answers", count: n})
	}
	return nil
}

// copyRequests writes the rows of requests and texts that can be read with w, and gives how many requests are in them. Where
// one is missing the places of the others tell it.
func (s *saved) copyRequests(ctx context.Context, w *writer) (n int, err error) {
	a := s.archive.Load()
	if !a.hasRuns() {
		return 0, nil
	}
	for _, table := range []string{"requests", "texts"} {
		columns, insert := "t, n, crc, data", "INSERT OR IGNORE INTO requests(key, t, n, crc, data) VALUES(?,?,?,?,?)"
		if table == "texts" {
			columns, insert = "0, 0, crc, data", "INSERT OR IGNORE INTO texts(key, crc, data) SELECT ?1, ?4, ?5 WHERE ?2 = 0 AND ?3 = 0"
		}
		var failed error
		_, err := walk(asking{ctx, a.db}, table, "key", columns, 0, func(rows *sql.Rows) (key int64, err error) {
			var t, count, crc int64
			var data []byte
			if err := rows.Scan(&key, &t, &count, &crc, &data); err != nil {
				return key, err
			}
			r := requestRow{run: runOf(key), first: placeOf(key), data: data}
			if failed != nil || checksum(data) != crc {
				return key, nil
			}
			if table == "requests" {
				if _, _, err := r.head(); err != nil {
					return key, nil
				}
				count = int64(r.count)
				n += r.count
			}
			_, failed = w.db.ExecContext(ctx, insert, key, t, count, crc, data)
			return key, nil
		})
		if err != nil || failed != nil {
			return n, fmt.Errorf("writing session: %w", cmp.Or(failed, err))
		}
	}
	return n, nil
}
