package sessions

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"pitwall/probes"
)

// The file of a session is a SQLite database:
//
//	meta     what the session says of itself, by key
//	names    metric names with type, help and unit
//	series   label sets; ids are dense from 0
//	blocks   finished chunks, one row a name and blockSpan (block.go); key = name<<32 | start/blockSpan
//	journal  one row a commit, those that blocks do not hold yet (journal.go)
//	ledger   changes of facts and of reasons for absence
//	events   events
//	runs     runs of load, one row each, as far as they have come; seq counts how often one was put (runs.go)
//	requests requests in columns, up to a thousand of a run in a row (rows.go); key = run<<32 | place of the first in its run
//	texts    what was answered, where it is kept; key as that of the requests row that it came with
//
// Rows that carry data carry a CRC-32C of it. Blocks are found by key and never listed at open. A reader neither migrates
// nor writes. While it is being recorded the file is in WAL mode; a clean end leaves the one file.
const (
	applicationID = 0x70697477 // "pitw"
	schemaVersion = 2
	// runsVersion is the first with runs: files of an older format have none, and are read as they are.
	runsVersion = 2

	schema = `
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, help TEXT NOT NULL, unit TEXT NOT NULL);
CREATE TABLE series(id INTEGER PRIMARY KEY, name INTEGER NOT NULL, crc INTEGER NOT NULL, labels TEXT NOT NULL);
CREATE TABLE blocks(key INTEGER PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE journal(seq INTEGER PRIMARY KEY, t INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE ledger(seq INTEGER PRIMARY KEY AUTOINCREMENT, t INTEGER NOT NULL, kind INTEGER NOT NULL, path TEXT NOT NULL, value TEXT NOT NULL);
CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, t INTEGER NOT NULL, crc INTEGER NOT NULL, data TEXT NOT NULL);
` + runsSchema

	runsSchema = `
CREATE TABLE runs(id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, crc INTEGER NOT NULL, data TEXT NOT NULL);
CREATE TABLE requests(key INTEGER PRIMARY KEY, t INTEGER NOT NULL, n INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE texts(key INTEGER PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL);
`
)

// Extension is what the names of session files end with.
const Extension = ".pitwall"

// ErrNotSession is what errors.Is finds when a file is no session, or one of a newer pitwall.
var ErrNotSession = errors.New("not a session of this pitwall")

func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}}
	for _, p := range append([]string{"busy_timeout(5000)"}, pragmas...) {
		q.Add("_pragma", p)
	}
	// An absolute path keeps a relative one with a colon or a question mark from being read as something else.
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

func blockKey(name uint32, block int64) int64 { return int64(name)<<32 | block/blockSpan }

// writer is the one connection of the recorder that writes a session's file.
type writer struct {
	path   string
	db     *sql.DB
	file   os.FileInfo // the file when it was opened
	size   int64       // its size when it was last looked at
	pruned bool        // its size may shrink

	meta    map[string]string // what is in the file, for its checksum
	own     map[int64]bool    // events that this writer inserted, by seq, since foreign was last asked
	events  int64             // events up to this seq have been looked at
	changes int64             // SQLite's data_version: another value means that another process wrote

	hasRuns bool // its format has them
	codec   *requestCodec
	loose   map[uint32]int // requests by run whose rows may be joined; none for a run that this writer has not touched
}

// createFile makes a new, empty session file, readable by its owner only.
func createFile(path string) (*writer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("creating the sessions directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating session: %w", err)
	}
	f.Close()
	w, err := openWriter(path)
	if err != nil {
		os.Remove(path)
		return nil, err
	}
	_, err = w.db.Exec(fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d; BEGIN; %s COMMIT;", applicationID, schemaVersion, schema))
	if err != nil {
		w.db.Close()
		os.Remove(path)
		return nil, fmt.Errorf("creating session %s: %w", path, err)
	}
	w.hasRuns = true
	return w, nil
}

// upgrade adds what a file of an older format has not got, for a recorder that goes on with it.
func (w *writer) upgrade() error {
	if w.hasRuns {
		return nil
	}
	if _, err := w.db.Exec(fmt.Sprintf("BEGIN; %s PRAGMA user_version=%d; COMMIT;", runsSchema, schemaVersion)); err != nil {
		w.db.Exec("ROLLBACK") //nolint:errcheck // the first error says more
		return fmt.Errorf("opening session %s for writing: bringing its format up to date: %w", w.path, err)
	}
	w.hasRuns = true
	return nil
}

// openWriter opens an existing session for writing.
func openWriter(path string) (*writer, error) {
	// auto_vacuum must come before the first table; incremental, so that retention can give room back.
	db, err := sql.Open("sqlite", dsn(path, "rw", "auto_vacuum(incremental)", "journal_mode(WAL)", "synchronous(NORMAL)", "journal_size_limit(4194304)"))
	if err != nil {
		return nil, fmt.Errorf("opening session %s for writing: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	if err := db.Ping(); err != nil {
		db.Close()
		return nil, fmt.Errorf("opening session %s for writing: %w", path, err)
	}
	st, err := os.Stat(path)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("opening session %s for writing: %w", path, err)
	}
	w := &writer{path: path, db: db, file: st, own: map[int64]bool{}, meta: map[string]string{}, codec: &requestCodec{}, loose: map[uint32]int{}}
	if m, err := metaOf(db); err == nil { // else the file has just been made
		w.meta = m
	}
	// A new file has no table yet, and then nobody can have written events.
	db.QueryRow("SELECT coalesce(max(seq),0) FROM events").Scan(&w.events) //nolint:errcheck // see above
	var version int
	err = db.QueryRow("PRAGMA data_version").Scan(&w.changes)
	if err == nil {
		err = db.QueryRow("PRAGMA user_version").Scan(&version)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("opening session %s for writing: %w", path, err)
	}
	w.hasRuns = version >= runsVersion
	return w, nil
}

// batch is what one commit adds to the file.
type batch struct {
	meta   map[string]string
	names  []*name
	series []*series
	rows   []journalRow
	notes  []note
	events []probes.Event
	runs   []runRow
	// requests are written in rows as they come, and joined when there are enough, or a run is over, or joinAll is set.
	requests []requestRow
	joinAll  bool
	// blocks are finished chunks; with them the journal up to and including dropJournal goes.
	blocks      []blockRow
	dropJournal bool
	// forget deletes what is older than the retention keeps; in the same transaction as the count of what is left, because
	// a count that is too high would be taken for damage.
	forget *retention
}

// retention is which blocks go: those of the first names metrics that begin before a time, milliseconds.
type retention struct {
	names  int
	before int64
}

type journalRow struct {
	seq, t int64
	data   []byte
}

type blockRow struct {
	key  int64
	data []byte
}

// block is the start of the stretch of time that a row is of.
func (b blockRow) block() int64 { return (b.key & 0xffffffff) * blockSpan }

// commit writes a batch in one transaction: all of it or nothing.
func (w *writer) commit(ctx context.Context, b *batch) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("writing session: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a Commit it does nothing
	run := func(q string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, q, args...)
		}
	}
	meta := maps.Clone(w.meta)
	if b.forget != nil {
		w.pruned = true
		gone := int64(0)
		for n := range b.forget.names {
			if err != nil {
				break
			}
			var res sql.Result
			if res, err = tx.ExecContext(ctx, "DELETE FROM blocks WHERE key>=? AND key<?", blockKey(uint32(n), 0), blockKey(uint32(n), b.forget.before)); err == nil {
				k, _ := res.RowsAffected() // SQLite always knows
				gone += k
			}
		}
		b.meta["first"] = strconv.FormatInt(b.forget.before, 10)
		b.meta["blocks"] = strconv.FormatInt(max(0, metaInt(meta, "blocks")-gone), 10)
	}
	loose, errRequests := w.putRequests(ctx, tx, b, meta)
	if err == nil {
		err = errRequests
	}
	if len(b.blocks) > 0 {
		b.meta["blocks"] = strconv.FormatInt(metaInt(meta, "blocks")+int64(len(b.blocks)), 10)
	}
	if len(b.meta) > 0 {
		maps.Copy(meta, b.meta)
		for _, k := range sortedKeys(b.meta) {
			run("INSERT OR REPLACE INTO meta VALUES(?,?)", k, b.meta[k])
		}
		run("INSERT OR REPLACE INTO meta VALUES(?,?)", metaSum, sumOf(meta))
	}
	for _, n := range b.names {
		run("INSERT OR REPLACE INTO names VALUES(?,?,?,?,?)", n.id, n.name, n.typ, n.help, n.unit)
	}
	// encode never forgets an earlier error: after one SQLite may have ended the transaction, and what is written then stays.
	encode := func(v any) (text []byte) {
		if err == nil {
			text, err = json.Marshal(v)
		}
		return text
	}
	for _, s := range b.series {
		text := encode(s.lset)
		run("INSERT OR REPLACE INTO series VALUES(?,?,?,?)", s.id, s.name, checksum(text), string(text))
	}
	for _, n := range b.notes {
		run("DELETE FROM ledger WHERE t=? AND kind=? AND path=?", n.t, n.kind, n.path)
		run("INSERT INTO ledger(t,kind,path,value) VALUES(?,?,?,?)", n.t, n.kind, n.path, n.value)
	}
	own := make([]int64, 0, len(b.events))
	for _, e := range b.events {
		text := encode(e)
		if err != nil {
			break
		}
		var seq int64
		err = tx.QueryRowContext(ctx, "INSERT INTO events(t,crc,data) VALUES(?,?,?) RETURNING seq", msOf(e.Time), checksum(text), string(text)).Scan(&seq)
		own = append(own, seq)
	}
	if err == nil && len(b.blocks) > 0 {
		var st *sql.Stmt
		if st, err = tx.PrepareContext(ctx, "INSERT OR REPLACE INTO blocks VALUES(?,?,?)"); err == nil {
			for _, r := range b.blocks {
				if _, err = st.ExecContext(ctx, r.key, checksum(r.data), r.data); err != nil {
					break
				}
			}
			st.Close()
		}
	}
	for i, r := range b.runs {
		run("INSERT OR REPLACE INTO runs VALUES(?,?,?,?)", r.id, metaInt(w.meta, metaRunSeq)+int64(i)+1, checksum(r.data), string(r.data))
	}
	if b.dropJournal {
		run("DELETE FROM journal")
	}
	for _, r := range b.rows {
		run("INSERT INTO journal VALUES(?,?,?,?)", r.seq, r.t, checksum(r.data), r.data)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return fmt.Errorf("writing session: %w", err)
	}
	w.meta, w.loose = meta, loose
	for _, seq := range own {
		w.own[seq] = true
	}
	return nil
}

// foreign gives the events that other processes wrote into the session since it was last asked: an operator's marks from
// a console that reads along.
func (w *writer) foreign() ([]probes.Event, error) {
	var changes int64
	if err := w.db.QueryRow("PRAGMA data_version").Scan(&changes); err != nil || changes == w.changes {
		return nil, err
	}
	rows, err := w.db.Query("SELECT seq, crc, data FROM events WHERE seq>? ORDER BY seq", w.events)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []probes.Event
	for rows.Next() {
		var seq, crc int64
		var text string
		if err := rows.Scan(&seq, &crc, &text); err != nil {
			return nil, err
		}
		w.events = seq
		var e probes.Event
		if !w.own[seq] && checksum([]byte(text)) == crc && json.Unmarshal([]byte(text), &e) == nil {
			out = append(out, e)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	w.changes = changes
	clear(w.own)
	return out, nil
}

// shrink gives the room of what was deleted back to the file system.
func (w *writer) shrink(ctx context.Context) error {
	if _, err := w.db.ExecContext(ctx, "PRAGMA incremental_vacuum"); err != nil {
		return fmt.Errorf("making the session's file smaller: %w", err)
	}
	return nil
}

// used gives the bytes of the file that hold something.
func (w *writer) used() (int64, error) {
	var size, pages, free int64
	err := w.db.QueryRow("SELECT page_size, page_count, freelist_count FROM pragma_page_size, pragma_page_count, pragma_freelist_count").Scan(&size, &pages, &free)
	return size * (pages - free), err
}

// close checkpoints the journal away, so that one file is left, unless somebody is reading just now: then SQLite's -wal
// file stays and the next reader takes it in.
func (w *writer) close(clean bool) error {
	if clean {
		_, err := w.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
		if err == nil {
			_, err = w.db.Exec("PRAGMA journal_mode=DELETE")
		}
		if err != nil && !isBusy(err) {
			w.db.Close()
			return fmt.Errorf("closing session: %w", err)
		}
	}
	return w.db.Close()
}

func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

func isBusy(err error) bool {
	c := sqliteCode(err)
	return c == sqlitelib.SQLITE_BUSY || c == sqlitelib.SQLITE_LOCKED
}

// troubleOf says in words why a session can't be written.
func (r *Recorder) troubleOf(err error) string {
	if isFull(err) {
		return r.fullText()
	}
	switch sqliteCode(err) {
	case sqlitelib.SQLITE_FULL:
		return r.fullText()
	case sqlitelib.SQLITE_READONLY:
		return "the sessions directory is read-only"
	case sqlitelib.SQLITE_IOERR:
		if free, errFree := r.opt.disks.free(r.path); errFree == nil && free < 64<<10 { // it can't make its files beside the session
			return r.fullText()
		}
		return "the disk gives errors: " + err.Error()
	}
	return err.Error()
}

func (r *Recorder) fullText() string {
	r.mu.Lock()
	n := r.pending.bytes()
	r.mu.Unlock()
	return r.opt.disks.fullText(r.path, n)
}

// bytes is about how much a batch will take on the disk.
func (b *batch) bytes() (n int) {
	for _, r := range b.rows {
		n += len(r.data)
	}
	for _, r := range b.blocks {
		n += len(r.data)
	}
	for _, s := range b.series {
		n += int(s.lset.ByteSize()) //nolint:gosec // a length
	}
	for _, r := range b.runs {
		n += len(r.data)
	}
	return n
}
