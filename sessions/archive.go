package sessions

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
		if st, errWAL := os.Stat(path + "-wal"); errWAL == nil && st.Size() > 0 {
			err = fmt.Errorf("its newest readings are in %s-wal, which can't be read where nothing can be written: copy both files to a directory that is writable (%w)", filepath.Base(path), err)
		} else {
			db, err = open("&immutable=1")
		}
	}
	if sqliteCode(err) == sqlitelib.SQLITE_NOTADB {
		err = fmt.Errorf("%w: it is no SQLite database", ErrNotSession)
	}
	if err != nil {
		return nil, fmt.Errorf("opening session %s: %w", path, err)
	}
	return &archive{db: db, cache: newBlockCache()}, nil
}

// asked is where statements go: the file as it is now (*sql.DB), or as it was at one moment (*sql.Tx).
type asked interface {
	Query(query string, args ...any) (*sql.Rows, error)
}

// meta gives what the session says of itself.
func (a *archive) meta() (map[string]string, error) { return metaOf(a.db) }

func metaOf(q asked) (map[string]string, error) {
	out := map[string]string{}
	err := each(q, "SELECT key, value FROM meta", func(rows *sql.Rows) error {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return err
		}
		out[k] = v
		return nil
	})
	return out, err
}

func each(from asked, q string, row func(*sql.Rows) error, args ...any) error {
	rows, err := from.Query(q, args...)
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

// load fills a head and a ledger with everything but the blocks, and gives what the session says of itself. after are the
// last sequence numbers already taken. All of it is read as of one moment: a recorder commits between any two statements,
// and a journal row whose series came later would put every value behind it wrong.
func (a *archive) load(h *head, l *ledger, after *position, codec *journalCodec) (m map[string]string, fresh bool, err error) {
	defer recovered(&err, "reading session")
	tx, err := a.db.Begin()
	if err != nil {
		return nil, false, fmt.Errorf("reading session: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	if m, err = metaOf(tx); err != nil {
		return nil, false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err = loadSeries(tx, h); err != nil {
		return m, false, err
	}
	if err = loadLedger(tx, l, after); err != nil {
		return m, false, err
	}
	fresh, err = loadJournal(tx, h, m, after, codec)
	return m, fresh, err
}

// loadSeries takes in names and series that are new. The caller holds h.mu.
func loadSeries(from asked, h *head) error {
	err := each(from, "SELECT id, name, type, help, unit FROM names ORDER BY id", func(rows *sql.Rows) error {
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
		return err
	}
	return each(from, "SELECT id, crc, labels FROM series WHERE id>=? ORDER BY id", func(rows *sql.Rows) error {
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
}

// position is how far a reader has followed a file.
type position struct{ journal, ledger, events int64 }

func loadLedger(from asked, l *ledger, after *position) error {
	l.mu.Lock()
	err := each(from, "SELECT seq, t, kind, path, value FROM ledger WHERE seq>? ORDER BY seq", func(rows *sql.Rows) error {
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
	return each(from, "SELECT seq, crc, data FROM events WHERE seq>? ORDER BY seq", func(rows *sql.Rows) error {
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

// errDamagedJournal says that journal rows were left out: the damaged one, and those behind it up to the next epoch, which
// need its values.
var errDamagedJournal = errors.New("a journal row is damaged: it and the readings up to two minutes behind it are lost")

// loadJournal replays the journal rows that are new. m is the session's meta of the same moment. The caller holds h.mu.
func loadJournal(from asked, h *head, m map[string]string, after *position, codec *journalCodec) (fresh bool, err error) {
	if dropped := metaInt(m, "seq"); dropped > after.journal {
		// Rows went into blocks before this reader saw them all: those are in the file now.
		h.restart(blockOf(metaInt(m, "last")) + blockSpan)
		after.journal, fresh = dropped, true
	}
	damaged := false
	err = each(from, "SELECT seq, t, crc, data FROM journal WHERE seq>? ORDER BY seq", func(rows *sql.Rows) error {
		var seq, t, crc int64
		var data []byte
		if err := rows.Scan(&seq, &t, &crc, &data); err != nil {
			return err
		}
		whole := checksum(data) == crc
		codec.lost = codec.lost || !whole || seq != after.journal+1
		after.journal = seq
		if !whole || codec.lost && !startsEpoch(data) {
			damaged = true
			return nil
		}
		codec.lost = false
		h.cut(t)
		if err := codec.decode(data, func(t int64, e entry) error {
			if int(e.id) >= len(h.series) {
				return fmt.Errorf("journal: series %d is unknown", e.id)
			}
			s := h.series[e.id]
			if e.hist != nil {
				_, err := h.appendHistogram(s, t, e.hist)
				return err
			}
			h.appendFloat(s, t, e.v)
			return nil
		}); err != nil {
			codec.lost, damaged = true, true
			return nil
		}
		if h.first == 0 {
			h.first = t
		}
		h.last, fresh = max(h.last, t), true
		return nil
	}, after.journal)
	if err == nil && (damaged || codec.lost) {
		err = errDamagedJournal
	}
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
