package sessions

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"pitwall/probes"
)

// Check reads all of a session's file. It gives what the session says of itself, with what is damaged in Trouble, and the
// stretches of time that the damage costs, as events of KindDamage. An error means that nothing of it can be read.
func Check(ctx context.Context, path string) (Info, []probes.Event, error) {
	s, err := open(path)
	if err != nil {
		return Info{Path: path}, nil, err
	}
	defer s.Close() //nolint:errcheck // it only read
	if err := s.verify(ctx, func() {}); err != nil {
		return s.Info(), nil, fmt.Errorf("checking session %s: %w", path, err)
	}
	first, last := s.Bounds()
	var out []probes.Event
	for _, e := range s.Events(first.Add(-time.Hour), last.Add(time.Hour)) {
		if e.Kind == KindDamage {
			out = append(out, e)
		}
	}
	return s.Info(), out, nil
}

// verifyPart is how many blocks are looked at between two pauses.
const verifyPart = 200

// verify looks at the checksum of every block, so that damage is told before somebody happens to ask for it.
func (s *saved) verify(ctx context.Context, pause func()) error {
	names := s.metrics()
	named := func(key int64) string {
		if n := key >> 32; n >= 0 && n < int64(len(names)) {
			return names[n]
		}
		return ""
	}
	n, newest := 0, int64(-1)
	lost, err := walk(asking{ctx, s.archive.Load().db}, "blocks", "key", "crc, data", -1, func(rows *sql.Rows) (key int64, err error) {
		var crc int64
		var data sql.RawBytes
		if err := rows.Scan(&key, &crc, &data); err != nil {
			return key, err
		}
		block := (key & 0xffffffff) * blockSpan
		if _, err := checkedBlock(block, crc, data); err != nil {
			w := blockWound(block, err)
			w.metric = named(key)
			s.found(w)
		}
		if key > newest { // a page that stands in the place of another one has its rows twice
			newest = key
			n++
		}
		if n%verifyPart == 0 {
			pause()
		}
		return key, nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	want := metaInt(s.meta, "blocks")
	s.mu.Unlock()
	if missing := max(int(want)-n, len(lost)); missing > 0 {
		s.found(wound{what: "blocks of readings", count: missing})
	}
	for _, span := range lost {
		s.eachLost(span, func(metric string, _, block int64) {
			w := blockWound(block, errUnreadable)
			w.metric = metric
			s.found(w)
		})
	}
	return s.verifyRequests(ctx, pause)
}

// metrics gives the names of the metrics by their number.
func (s *saved) metrics() []string {
	s.head.mu.RLock()
	defer s.head.mu.RUnlock()
	names := make([]string, len(s.head.names))
	for i, n := range s.head.names {
		names[i] = n.name
	}
	return names
}

// eachLost gives the blocks that a stretch of keys which can't be read may have held. Which it did nobody knows any more: those
// that should have been between its neighbours.
func (s *saved) eachLost(span lostSpan, each func(metric string, key, block int64)) {
	names := s.metrics()
	first, last := s.Bounds()
	end := msOf(last)
	s.head.mu.RLock()
	if s.head.floor != 0 {
		end = min(end, s.head.floor-1) // newer ones are in the journal
	}
	s.head.mu.RUnlock()
	for n := max(0, span.after>>32); n < int64(len(names)) && n <= min(span.before, math.MaxInt64-1)>>32; n++ {
		for b := blockOf(msOf(first)); b <= end; b += blockSpan {
			if key := blockKey(uint32(n), b); key > span.after && key < span.before { //nolint:gosec // names are numbered in 32 bits
				each(names[n], key, b)
			}
		}
	}
}

// asking asks a database until a context ends.
type asking struct {
	ctx context.Context
	db  *sql.DB
}

func (a asking) Query(query string, args ...any) (*sql.Rows, error) {
	return a.db.QueryContext(a.ctx, query, args...)
}

// verifyShare is which part of the time the check of an opened session takes at most: it must not be felt on the screen.
const verifyShare = 4

// verifySlowly is verify beside a screen.
func (s *saved) verifySlowly(ctx context.Context) {
	began := time.Now()
	err := s.verify(ctx, func() {
		select {
		case <-ctx.Done():
		case <-time.After(verifyShare * time.Since(began)):
		}
		began = time.Now()
	})
	if err != nil && ctx.Err() == nil {
		s.mu.Lock()
		s.trouble = err.Error()
		s.mu.Unlock()
		s.changed()
	}
}
