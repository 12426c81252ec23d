package sessions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"pitwall/probes"
)

// ErrIncomplete is what errors.Is finds when a copy was made of a session that is damaged: what can be read is in it.
var ErrIncomplete = errors.New("the copy has what can be read")

// Export copies a session, also one that is being recorded, into one new file that stands alone. Of a damaged session what
// can be read is copied, gaps stay gaps, and the error is ErrIncomplete with what is missing.
func Export(ctx context.Context, session, to string) error {
	a, err := openArchive(session)
	if err != nil {
		return err
	}
	defer a.db.Close()
	// Made here, so that nothing is overwritten.
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("exporting session: %w", err)
	}
	f.Close()
	err = copyInto(ctx, a.db, to, func() {})
	if err == nil {
		err = endCopy(ctx, to)
	}
	damage, lost := "", error(nil)
	if isDamage(err) {
		damage, err = salvage(ctx, session, to)
	} else if err == nil { // bad checksums are copied as they are
		var i Info
		i, _, lost = Check(ctx, to)
		damage = i.Trouble
	}
	if err != nil {
		os.Remove(to)
		return fmt.Errorf("exporting session: %w", err)
	}
	if lost != nil {
		return fmt.Errorf("exporting session: looking at the copy: %w", lost)
	}
	if damage != "" {
		return fmt.Errorf("%w: %s", ErrIncomplete, damage)
	}
	return nil
}

// copyInto writes all of a database that can be read into a file, readable by its owner only, in the place of what stands at
// to. Whoever is killed meanwhile leaves what stood there, and a file that ends with ".part". before is called when the
// copy is whole, before it takes its place.
func copyInto(ctx context.Context, db *sql.DB, to string, before func()) error {
	part := to + ".part"
	if err := removeIfThere(part); err != nil {
		return err
	}
	// VACUUM INTO takes an empty file as new: made here, so that nobody else can read it.
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", part)
	if err == nil {
		err = f.Sync() // before it has its name: else a crash of the machine can leave an empty file there
	}
	f.Close() // only now: SQLite has its own descriptors, and has closed them
	if err == nil {
		before()
		err = os.Rename(part, to)
	}
	if err != nil {
		os.Remove(part)
	}
	return err
}

// removeIfThere removes a file that may be there.
func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// endCopy ends the copy of a session where it was when it was copied: nobody will go on with it.
func endCopy(ctx context.Context, path string) error {
	i := glance(path)
	if !i.Ended.IsZero() {
		return nil
	}
	w, err := openWriter(path)
	if err != nil {
		return err
	}
	err = w.commit(ctx, &batch{meta: map[string]string{"ended": strconv.FormatInt(msOf(i.Last), 10), metaCopied: "true"}})
	return errors.Join(err, w.close(true))
}

// metaLost is the key of meta that says, in a copy, what of the session that it was made from was damaged.
const metaLost = "lost"

// salvageBlocks is how many blocks are copied in one transaction.
const salvageBlocks = 500

// salvage writes what can be read of a session with bad pages to a new session in the place of to, and says in words what
// is missing. Where a block can't be read the new one has one that can't either, so that its readers end the series there
// and say why, as those of the old one do.
func salvage(ctx context.Context, session, to string) (damage string, err error) {
	s, err := open(session)
	if err != nil {
		return "", err
	}
	defer s.Close()                              //nolint:errcheck // it only read
	events := s.Events(timeOf(0), timeOf(1<<62)) // with what of the journal is lost; blocks are told by whoever reads the copy
	s.ledger.mu.RLock()
	notes := slices.Clone(s.ledger.notes)
	s.ledger.mu.RUnlock()
	if err := s.verify(ctx, func() {}); err != nil {
		return "", err
	}
	part := to + ".part"
	if err := removeFile(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	w, err := createFile(part)
	if err != nil {
		return "", err
	}
	err = s.copyReadable(ctx, w, notes, events)
	if err = errors.Join(err, w.close(true)); err == nil {
		err = os.Rename(part, to)
	}
	if err != nil {
		removeFile(part) //nolint:errcheck // the first error says more
		return "", err
	}
	return s.Info().Trouble, nil
}

// copyReadable writes what s has read, and the blocks of its file, with w.
func (s *saved) copyReadable(ctx context.Context, w *writer, notes []note, events []probes.Event) error {
	h := s.head
	h.mu.Lock()
	first := &batch{meta: map[string]string{}, notes: notes, events: events, runs: s.book.encoded()}
	for _, n := range h.names {
		first.names = append(first.names, &name{id: n.id, name: n.name, typ: n.typ, help: n.help, unit: n.unit})
	}
	for _, one := range h.series {
		if one != nil {
			one.finish()
			first.series = append(first.series, one)
		}
	}
	newest := blockRows(h, h.floor) // what the journal holds
	ended := h.last
	h.mu.Unlock()
	if err := w.commit(ctx, first); err != nil {
		return err
	}

	written := 0
	var rows []rawBlock
	put := func(b rawBlock) error {
		rows = append(rows, b)
		if len(rows) < salvageBlocks {
			return nil
		}
		n, err := w.addBlocks(ctx, rows)
		rows, written = rows[:0], written+n
		return err
	}
	var failed error
	lost, err := walk(asking{ctx, s.archive.Load().db}, "blocks", "key", "crc, data", -1, func(r *sql.Rows) (int64, error) {
		var b rawBlock
		if err := r.Scan(&b.key, &b.crc, &b.data); err != nil {
			return b.key, err
		}
		if failed == nil {
			failed = put(b)
		}
		return b.key, nil
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	for _, span := range lost {
		s.eachLost(span, func(_ string, key, _ int64) {
			if failed == nil {
				failed = put(rawBlock{key: key, crc: -1})
			}
		})
	}
	for _, b := range newest {
		if failed == nil {
			failed = put(rawBlock{b.key, checksum(b.data), b.data})
		}
	}
	if failed != nil {
		return failed
	}
	n, err := w.addBlocks(ctx, rows)
	if err != nil {
		return err
	}
	requests, err := s.copyRequests(ctx, w)
	if err != nil {
		return err
	}
	s.mu.Lock()
	meta := map[string]string{}
	for _, k := range []string{"id", "name", "host", "simulated", "started", "first", "last", "offset", "clock", metaForgot} {
		if v, ok := s.meta[k]; ok {
			meta[k] = v
		}
	}
	if s.meta["ended"] == "" || s.meta[metaCopied] != "" {
		meta[metaCopied] = "true"
	}
	s.mu.Unlock()
	from, _ := s.Bounds()
	meta["first"], meta["last"] = strconv.FormatInt(msOf(from), 10), strconv.FormatInt(ended, 10)
	meta["ended"], meta["blocks"] = meta["last"], strconv.Itoa(written+n)
	meta["requests"] = strconv.Itoa(requests)
	meta[metaLost] = s.Info().Trouble
	return w.commit(ctx, &batch{meta: meta})
}

// rawBlock is a row of blocks as it stands in a file, whole or not. A crc of -1 is none that any data has.
type rawBlock struct {
	key, crc int64
	data     []byte
}

// addBlocks writes rows as they are, but for those that are there already, and gives how many there were of the others.
func (w *writer) addBlocks(ctx context.Context, rows []rawBlock) (n int, err error) {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("writing session: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a Commit it does nothing
	for _, b := range rows {
		res, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO blocks VALUES(?,?,?)", b.key, b.crc, append([]byte{}, b.data...))
		if err != nil {
			return 0, fmt.Errorf("writing session: %w", err)
		}
		k, _ := res.RowsAffected() // SQLite always knows
		n += int(k)
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("writing session: %w", err)
	}
	return n, nil
}
