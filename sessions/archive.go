package sessions

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	sqlitelib "modernc.org/sqlite/lib"

	"pitwall/probes"
)

// archive is the reading side of a session's file.
type archive struct {
	db    *sql.DB
	cache blockCache
}

// openArchive opens a session's file read-only and checks that it is one.
func openArchive(path string) (*archive, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("opening session: %w", err)
	}
	open := func(extra string) (*sql.DB, error) {
		db, err := sql.Open("sqlite", dsn(path, "ro")+extra)
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(3)
		var app, version int
		err = db.QueryRow("SELECT application_id, user_version FROM pragma_application_id, pragma_user_version").Scan(&app, &version)
		switch {
		case err != nil:
		case app != applicationID:
			err = fmt.Errorf("%w: its application_id is %#x", ErrNotSession, app)
		case version > schemaVersion:
			err = fmt.Errorf("%w: it has format %d, this one reads up to %d: use the pitwall that wrote it", ErrNotSession, version, schemaVersion)
		}
		if err != nil {
			db.Close()
			return nil, err
		}
		return db, nil
	}
	db, err := open("")
	if c := sqliteCode(err); c == sqlitelib.SQLITE_CANTOPEN || c == sqlitelib.SQLITE_READONLY {
		// A file in WAL mode on a read-only disk: SQLite can't make its -shm there. Without a -wal nothing is lost.
		db, err = open("&immutable=1")
	}
	if sqliteCode(err) == sqlitelib.SQLITE_NOTADB {
		err = fmt.Errorf("%w: it is no SQLite database", ErrNotSession)
	}
	if err != nil {
		return nil, fmt.Errorf("opening session %s: %w", path, err)
	}
	return &archive{db: db, cache: newBlockCache()}, nil
}

// meta gives what the session says of itself.
func (a *archive) meta() (map[string]string, error) {
	out := map[string]string{}
	err := a.each("SELECT key, value FROM meta", func(rows *sql.Rows) error {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return err
		}
		out[k] = v
		return nil
	})
	return out, err
}

func (a *archive) each(q string, row func(*sql.Rows) error, args ...any) error {
	rows, err := a.db.Query(q, args...)
	if err != nil {
		return fmt.Errorf("reading session: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return fmt.Errorf("reading session: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading session: %w", err)
	}
	return nil
}

// chunks adds to out the stored chunks of a metric name that may overlap [mint, maxt] and lie before the block floor (0: no
// floor). Damaged rows are left out and told.
func (a *archive) chunks(ctx context.Context, name uint32, mint, maxt, floor int64, out map[uint32][]chunk) (damaged []error, err error) {
	// A sample is in the block of its time, or in the next one if it came late.
	from, to := blockOf(max(0, mint)), blockOf(max(0, maxt+lateness))
	if floor > 0 {
		to = min(to, floor-blockSpan)
	}
	if to < from {
		return nil, nil
	}
	add := func(parts []seriesChunks) {
		for _, p := range parts {
			for _, c := range p.chunks {
				if c.max >= mint && c.min <= maxt {
					out[p.id] = append(out[p.id], c)
				}
			}
		}
	}
	// One block is asked for again and again by instant queries at one moment: those come from the cache.
	if to == from || to == from+blockSpan || to == from+2*blockSpan {
		hit := make([][]seriesChunks, 0, 3)
		for b := from; b <= to; b += blockSpan {
			parts, ok := a.cache.get(blockKey(name, b))
			if !ok {
				break
			}
			hit = append(hit, parts)
		}
		if int64(len(hit)) == (to-from)/blockSpan+1 {
			for _, parts := range hit {
				add(parts)
			}
			return nil, nil
		}
	}
	rows, err := a.db.QueryContext(ctx, "SELECT key, crc, data FROM blocks WHERE key>=? AND key<=? ORDER BY key", blockKey(name, from), blockKey(name, to))
	if err != nil {
		return nil, fmt.Errorf("reading session: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key, crc int64
		var data []byte
		if err := rows.Scan(&key, &crc, &data); err != nil {
			return nil, fmt.Errorf("reading session: %w", err)
		}
		block := (key & 0xffffffff) * blockSpan
		parts, err := decodeBlock(block, data)
		if err == nil && checksum(data) != crc {
			err = errors.New("checksum differs")
		}
		if err != nil {
			damaged = append(damaged, fmt.Errorf("damaged block left out: name %d at %s: %w", name, timeOf(block).UTC().Format("15:04:05"), err))
			continue
		}
		a.cache.put(key, parts, len(data))
		add(parts)
	}
	return damaged, rows.Err()
}

// load fills a head and a ledger with everything but the blocks. after are the last sequence numbers already taken.
func (a *archive) load(h *head, l *ledger, after *position, codec *journalCodec) (fresh bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err = a.each("SELECT id, name, type, help, unit FROM names ORDER BY id", func(rows *sql.Rows) error {
		var n name
		if err := rows.Scan(&n.id, &n.name, &n.typ, &n.help, &n.unit); err != nil {
			return err
		}
		if int(n.id) < len(h.names) {
			old := h.names[n.id]
			old.typ, old.help, old.unit = n.typ, n.help, n.unit
			return nil
		}
		if int(n.id) != len(h.names) {
			return fmt.Errorf("metric name %d is missing", len(h.names))
		}
		h.names = append(h.names, &n)
		h.byName[n.name] = &n
		return nil
	})
	if err != nil {
		return false, err
	}
	err = a.each("SELECT id, crc, labels FROM series WHERE id>=? ORDER BY id", func(rows *sql.Rows) error {
		var id uint32
		var crc int64
		var text string
		if err := rows.Scan(&id, &crc, &text); err != nil {
			return err
		}
		if checksum([]byte(text)) != crc {
			return fmt.Errorf("labels of series %d are damaged", id)
		}
		if int(id) != len(h.series) {
			return fmt.Errorf("series %d is missing", len(h.series))
		}
		var ls labels.Labels
		if err := json.Unmarshal([]byte(text), &ls); err != nil {
			return err
		}
		h.add(ls, ls.Hash())
		return nil
	}, len(h.series))
	if err != nil {
		return false, err
	}
	if err := a.loadLedger(l, after); err != nil {
		return false, err
	}
	return a.loadJournal(h, after, codec)
}

// position is how far a reader has followed a file.
type position struct{ journal, ledger, events int64 }

func (a *archive) loadLedger(l *ledger, after *position) error {
	l.mu.Lock()
	err := a.each("SELECT seq, t, kind, path, value FROM ledger WHERE seq>? ORDER BY seq", func(rows *sql.Rows) error {
		var n note
		if err := rows.Scan(&n.seq, &n.t, &n.kind, &n.path, &n.value); err != nil {
			return err
		}
		after.ledger = n.seq
		if l.now[n.kind] != nil {
			l.put(n)
		}
		return nil
	}, after.ledger)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return a.each("SELECT seq, crc, data FROM events WHERE seq>? ORDER BY seq", func(rows *sql.Rows) error {
		var seq, crc int64
		var text string
		if err := rows.Scan(&seq, &crc, &text); err != nil {
			return err
		}
		after.events = seq
		var e probes.Event
		if checksum([]byte(text)) != crc || json.Unmarshal([]byte(text), &e) != nil {
			e = probes.Event{Kind: "session.damaged", Severity: probes.Warning, Subject: "session", Title: "an event record is damaged and was left out"}
		}
		l.addEvent(e)
		return nil
	}, after.events)
}

// errDamagedJournal ends the replay of a journal; what came before it is good.
var errDamagedJournal = errors.New("a journal row is damaged: the readings behind it are lost")

// loadJournal replays the journal rows that are new. The caller holds h.mu.
func (a *archive) loadJournal(h *head, after *position, codec *journalCodec) (fresh bool, err error) {
	err = a.each("SELECT seq, t, crc, data FROM journal WHERE seq>? ORDER BY seq", func(rows *sql.Rows) error {
		var seq, t, crc int64
		var data []byte
		if err := rows.Scan(&seq, &t, &crc, &data); err != nil {
			return err
		}
		if checksum(data) != crc {
			return errDamagedJournal
		}
		if seq != after.journal+1 {
			// First row of an open, or rows went into blocks before this reader saw them: those are in the file now.
			h.restart(blockOf(t))
		}
		h.cut(t)
		if err := codec.decode(data, func(t int64, e entry) error {
			if int(e.id) >= len(h.series) {
				return fmt.Errorf("%w: series %d is unknown", errDamagedJournal, e.id)
			}
			s := h.series[e.id]
			if e.hist != nil {
				_, err := h.appendHistogram(s, t, e.hist)
				return err
			}
			h.appendFloat(s, t, e.v)
			return nil
		}); err != nil {
			return err
		}
		if h.first == 0 {
			h.first = t
		}
		after.journal, h.last, fresh = seq, max(h.last, t), true
		return nil
	}, after.journal)
	return fresh, err
}

// restart empties the memory: the next block is block, everything before it is in the file. The caller holds mu.
func (h *head) restart(block int64) {
	for _, s := range h.series {
		s.done, s.open, s.app = nil, chunk{}, nil
	}
	h.block, h.floor = block, block
}

func metaInt(m map[string]string, key string) int64 {
	v, _ := strconv.ParseInt(m[key], 10, 64)
	return v
}
