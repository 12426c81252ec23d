package sessions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	sqlitelib "modernc.org/sqlite/lib"
)

// archive is the reading side of a session's file.
type archive struct {
	db    *sql.DB
	cache blockCache
	cut   string // what is wrong with the file as a whole, in words

	version atomic.Int32 // of its format; a recorder that goes on with an older one brings it up to date
}

// hasRuns says whether the file's format has runs and requests.
func (a *archive) hasRuns() bool { return a != nil && a.version.Load() >= runsVersion }

// look takes down which format the file has by now.
func (a *archive) look(q asked) error {
	if a.hasRuns() {
		return nil
	}
	return each(q, "SELECT user_version FROM pragma_user_version", func(rows *sql.Rows) error {
		var version int32
		err := rows.Scan(&version)
		a.version.Store(version)
		return err
	})
}

// openArchive opens a session's file read-only and checks that it is one.
func openArchive(path string) (*archive, error) {
	if err := looksLikeSession(path); err != nil {
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
		if err == nil {
			err = hasTables(db, version)
		}
		if err != nil {
			db.Close()
			return nil, err
		}
		return db, nil
	}
	cut := ""
	db, err := open("")
	if c := sqliteCode(err); c == sqlitelib.SQLITE_CANTOPEN || c == sqlitelib.SQLITE_READONLY {
		// A file in WAL mode on a read-only disk: SQLite can't make its -shm there. Without a -wal nothing is lost.
		if st, errWAL := os.Stat(path + "-wal"); errWAL == nil && st.Size() > 0 {
			err = fmt.Errorf("its newest readings are in %s-wal, which can't be read where nothing can be written: copy both files to a directory that is writable (%w)", filepath.Base(path), err)
		} else {
			db, err = open("&immutable=1")
		}
	}
	if sqliteCode(err) == sqlitelib.SQLITE_CORRUPT {
		// A file that was cut short: SQLite refuses it unless it is told that its schema may be wrong, too.
		if db, err = open("&_pragma=" + url.QueryEscape("writable_schema(1)")); err != nil {
			err = fmt.Errorf("its first page is damaged, and without it nothing can be found: %w", err)
		}
		cut = "damaged: the file was cut short"
	}
	if sqliteCode(err) == sqlitelib.SQLITE_NOTADB {
		err = fmt.Errorf("%w: it is no SQLite database", ErrNotSession)
	}
	if err != nil {
		return nil, fmt.Errorf("opening session %s: %w", path, err)
	}
	a := &archive{db: db, cache: newBlockCache(), cut: cut}
	if err := a.look(db); err != nil {
		db.Close()
		return nil, fmt.Errorf("opening session %s: %w", path, err)
	}
	return a, nil
}

// hasTables says whether a file has what a session has; its first page lists them.
func hasTables(db *sql.DB, version int) error {
	tables := []string{"meta", "names", "series", "blocks", "journal", "ledger", "events"}
	if version >= runsVersion {
		tables = append(tables, "runs", "requests", "texts")
	}
	var n int
	err := db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE type='table' AND name IN ('" + strings.Join(tables, "', '") + "')").Scan(&n)
	if err == nil && n != len(tables) {
		err = fmt.Errorf("its first page is damaged: %d of its %d tables are listed there", n, len(tables))
	}
	return err
}

// looksLikeSession says in words why a path can't be a session, where SQLite would only say that it can't open it.
func looksLikeSession(path string) error {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case st.IsDir():
		return fmt.Errorf("%s: %w: it is a directory", path, ErrNotSession)
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s: %w: it is no file", path, ErrNotSession)
	case st.Size() == 0:
		return fmt.Errorf("%s: %w: it is empty", path, ErrNotSession)
	}
	f, err := os.Open(path)
	if err != nil {
		return err // it can't be read: permission, or a disk that fails
	}
	return f.Close()
}

// asked is where statements go: the file as it is now (*sql.DB), or as it was at one moment (*sql.Tx).
type asked interface {
	Query(query string, args ...any) (*sql.Rows, error)
}

// meta gives what the session says of itself.
func (a *archive) meta() (map[string]string, error) { return metaOf(a.db) }

func metaOf(q asked) (map[string]string, error) {
	out := map[string]string{}
	read := func(rows *sql.Rows) error {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return err
		}
		out[k] = v
		return nil
	}
	err := each(q, "SELECT key, value FROM meta", read)
	if isDamage(err) {
		_ = each(q, "SELECT key, value FROM meta ORDER BY key DESC", read) // from the other side as far as it goes
	}
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
// floor). Damaged rows are left out and told: a series ends at the beginning of a block that is lost.
func (a *archive) chunks(ctx context.Context, name uint32, mint, maxt, floor int64, out map[uint32][]chunk) (damaged []wound, err error) {
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
	rows, damaged, err := a.blocks(ctx, name, from, to)
	if isDamage(err) { // a page of the file is bad: what is on the others is found block by block
		rows, damaged = nil, nil
		for b := from; b <= to; b += blockSpan {
			one, bad, err := a.blocks(ctx, name, b, b)
			switch {
			case isDamage(err):
				bad = []wound{blockWound(b, err)}
			case err != nil:
				return nil, err
			}
			rows, damaged = append(rows, one...), append(damaged, bad...)
		}
	} else if err != nil {
		return nil, err
	}
	for _, parts := range rows {
		add(parts)
	}
	return damaged, nil
}

// blocks gives the rows of a name whose blocks begin in [from, to].
func (a *archive) blocks(ctx context.Context, name uint32, from, to int64) (out [][]seriesChunks, damaged []wound, err error) {
	err = eachBlock(ctx, a.db, blockKey(name, from), blockKey(name, to), func(key, crc int64, data []byte) {
		block := (key & 0xffffffff) * blockSpan
		parts, err := checkedBlock(block, crc, data)
		if err != nil {
			damaged = append(damaged, blockWound(block, err))
			return
		}
		a.cache.put(key, parts, len(data))
		out = append(out, parts)
	})
	return out, damaged, err
}

var (
	errChecksum   = errors.New("checksum differs")
	errUnreadable = errors.New("its page of the file is bad")
	errMisplaced  = errors.New("its readings are of another time")
)

// checkedBlock decodes a block row whose key says that it begins at block.
func checkedBlock(block, crc int64, data []byte) ([]seriesChunks, error) {
	if checksum(data) != crc {
		return nil, errChecksum
	}
	parts, err := decodeBlock(block, data)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		for _, c := range p.chunks { // the key has no checksum
			if c.min < block-lateness || c.max >= block+blockSpan {
				return nil, errMisplaced
			}
		}
	}
	return parts, nil
}

func eachBlock(ctx context.Context, db *sql.DB, from, to int64, row func(key, crc int64, data []byte)) error {
	rows, err := db.QueryContext(ctx, "SELECT key, crc, data FROM blocks WHERE key>=? AND key<=? ORDER BY key", from, to)
	if err != nil {
		return fmt.Errorf("reading session: %w", err)
	}
	defer rows.Close()
	last := int64(-1)
	for rows.Next() {
		var key, crc int64
		var data []byte
		if err := rows.Scan(&key, &crc, &data); err != nil {
			crc = -1 // it isn't what it should be: as if its checksum differed
		}
		if key > last { // a page that stands in the place of another one has its rows twice
			row(key, crc, data)
			last = key
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading session: %w", err)
	}
	return nil
}
