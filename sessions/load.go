package sessions

import (
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
)

// load fills a head, a ledger and a book of runs with everything but the blocks and the requests, and gives what the session says of itself. after says how
// far it has been read, and takes what is found to be damaged on the way. All of it is read as of one moment: a recorder
// commits between any two statements, and a journal row whose series came later would put every value behind it wrong.
func (a *archive) load(h *head, l *ledger, b *book, after *position, codec *journalCodec) (m map[string]string, fresh bool, err error) {
	defer recovered(&err, "reading session")
	tx, err := a.db.Begin()
	if err != nil {
		return nil, false, fmt.Errorf("reading session: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	if m, err = metaOf(tx); err == nil && (m[metaSum] != "" && m[metaSum] != sumOf(m) || m["id"] == "") {
		err = errDamagedMeta
	}
	if err != nil {
		if !isDamage(err) && !errors.Is(err, errDamagedMeta) {
			return nil, false, err
		}
		fresh := len(m) == 0 // a recorder that has only just begun has said nothing yet
		if err := metaFromBlocks(tx, m); err != nil {
			return m, false, err
		}
		if !fresh || m["first"] != "" {
			after.wound(wound{what: "what it says of itself"})
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err = loadNames(tx, h, after); err != nil {
		return m, false, err
	}
	if err = loadSeries(tx, h, after); err != nil {
		return m, false, err
	}
	if n := metaInt(m, "names"); int64(len(h.names)) < n {
		after.wound(wound{what: "names of metrics", count: int(n) - len(h.names)})
	}
	if n := metaInt(m, "series"); int64(len(h.series)) < n {
		after.wound(wound{what: "labels of series", count: int(n) - len(h.series)})
	}
	if err = loadLedger(tx, l, after); err != nil {
		return m, false, err
	}
	freshRuns := false
	if err = a.look(tx); err == nil && a.hasRuns() {
		freshRuns, err = loadRuns(tx, b, m, after)
	}
	if err != nil {
		return m, false, err
	}
	fresh, err = loadJournal(tx, h, m, after, codec)
	return m, fresh || freshRuns, err
}

var errDamagedMeta = errors.New("what the session says of itself is damaged")

// position is how far a reader has followed a file, and what it found damaged on the way.
type position struct {
	journal, ledger, events int64
	runs                    int64 // how often one was put
	wounds                  []wound
}

func (p *position) wound(w wound) { p.wounds = append(p.wounds, w) }

// loadNames takes in names that are new, and what is said anew of those that are known. The caller holds h.mu.
func loadNames(from asked, h *head, after *position) error {
	lost, err := walk(from, "names", "id", "name, type, help, unit", -1, func(rows *sql.Rows) (id int64, err error) {
		var n name
		if err := rows.Scan(&id, &n.name, &n.typ, &n.help, &n.unit); err != nil {
			return id, err
		}
		n.id = uint32(id)
		if id < int64(len(h.names)) {
			old := h.names[id]
			old.typ, old.help, old.unit = n.typ, n.help, n.unit
			return id, nil
		}
		if id < 0 || id > maxSeries {
			return id, errOutOfRange
		}
		for int64(len(h.names)) < id {
			h.names = append(h.names, &name{id: uint32(len(h.names))}) // lost; a series that has it may tell
		}
		h.names = append(h.names, &n)
		if h.byName[n.name] == nil {
			h.byName[n.name] = &n
		}
		return id, nil
	})
	if len(lost) > 0 {
		after.wound(wound{what: "names of metrics", count: len(lost)})
	}
	return err
}

// loadSeries takes in series that are new. One whose labels are damaged stays nil: its readings can't be named. The caller
// holds h.mu.
func loadSeries(from asked, h *head, after *position) error {
	bad := 0
	lost, err := walk(from, "series", "id", "name, crc, labels", int64(len(h.series))-1, func(rows *sql.Rows) (id int64, err error) {
		var nid, crc int64
		var text string
		if err := rows.Scan(&id, &nid, &crc, &text); err != nil {
			return id, err
		}
		if id < 0 || id > maxSeries {
			return id, errOutOfRange
		}
		for int64(len(h.series)) < id {
			h.series = append(h.series, nil)
			bad++
		}
		var ls labels.Labels
		if checksum([]byte(text)) != crc || json.Unmarshal([]byte(text), &ls) != nil {
			h.series = append(h.series, nil)
			bad++
			return id, nil
		}
		if metric := ls.Get(model.MetricNameLabel); nid >= 0 && nid < int64(len(h.names)) && h.byName[metric] == nil {
			h.names[nid].name = metric // the name's own row is damaged
			h.byName[metric] = h.names[nid]
		}
		h.add(ls, ls.Hash())
		return id, nil
	})
	if n := max(bad, len(lost)); n > 0 {
		after.wound(wound{what: "labels of series", count: n})
	}
	return err
}

var errOutOfRange = errors.New("a number out of range")

func loadLedger(from asked, l *ledger, after *position) error {
	l.mu.Lock()
	lost, err := walk(from, "ledger", "seq", "t, kind, path, value", after.ledger, func(rows *sql.Rows) (int64, error) {
		var n note
		if err := rows.Scan(&n.seq, &n.t, &n.kind, &n.path, &n.value); err != nil {
			return n.seq, err
		}
		after.ledger = n.seq
		if l.now[n.kind] != nil {
			l.put(n)
		}
		return n.seq, nil
	})
	l.mu.Unlock()
	if len(lost) > 0 {
		after.wound(wound{what: "facts and reasons", count: len(lost)})
	}
	if err != nil {
		return err
	}
	bad := 0
	lost, err = walk(from, "events", "seq", "crc, data", after.events, func(rows *sql.Rows) (seq int64, err error) {
		var crc int64
		var text string
		if err := rows.Scan(&seq, &crc, &text); err != nil {
			return seq, err
		}
		after.events = seq
		var e probes.Event
		if checksum([]byte(text)) != crc || json.Unmarshal([]byte(text), &e) != nil {
			bad++
			return seq, nil
		}
		l.addEvent(e)
		return seq, nil
	})
	if n := bad + len(lost); n > 0 {
		after.wound(wound{what: "events", count: n})
	}
	return err
}

// loadJournal replays the journal rows that are new. m is the session's meta of the same moment. A damaged row takes those
// behind it with it, which need its values, up to the next epoch. The caller holds h.mu.
func loadJournal(from asked, h *head, m map[string]string, after *position, codec *journalCodec) (fresh bool, err error) {
	if dropped := metaInt(m, "seq"); dropped > after.journal {
		// Rows went into blocks before this reader saw them all: those are in the file now.
		h.restart(blockOf(metaInt(m, "last")) + blockSpan)
		after.journal, fresh = dropped, true
	}
	lost, err := walk(from, "journal", "seq", "t, crc, data", after.journal, func(rows *sql.Rows) (seq int64, err error) {
		var t, crc int64
		var data []byte
		if err := rows.Scan(&seq, &t, &crc, &data); err != nil {
			return seq, err
		}
		whole := checksum(data) == crc && inTime(data, t, h.last)
		codec.lost = codec.lost || !whole || seq != after.journal+1
		after.journal = seq
		if !whole || codec.lost && !startsEpoch(data) {
			h.end()
			after.wound(journalWound(t, h.last))
			return seq, nil
		}
		codec.lost = false
		h.cut(t)
		if err := codec.decode(data, func(t int64, e entry) error {
			if int(e.id) >= len(h.series) {
				return fmt.Errorf("journal: series %d is unknown", e.id)
			}
			s := h.series[e.id]
			if s == nil { // its labels are damaged
				return nil
			}
			if e.hist != nil {
				_, err := h.appendHistogram(s, t, e.hist)
				return err
			}
			h.appendFloat(s, t, e.v)
			return nil
		}); err != nil {
			codec.lost = true
			h.end()
			after.wound(journalWound(t, h.last))
			return seq, nil
		}
		if h.first == 0 {
			h.first = t
		}
		h.last, fresh = max(h.last, t), true
		return seq, nil
	})
	if len(lost) > 0 {
		h.end()
		after.wound(wound{what: "journal rows", count: len(lost), from: h.last, to: h.last + Tick.Milliseconds()})
	}
	return fresh, err
}

// inTime says whether a journal row's time can be: that column has no checksum, but the readings in the row have their times.
func inTime(row []byte, t, last int64) bool {
	if t <= 0 || t < last {
		return false
	}
	if len(row) < 3 {
		return last == 0 || t-last < time.Hour.Milliseconds()
	}
	first, n := binary.Varint(row[2:])
	// The row before a gap ends series within its tick, just after it; the one that a new file begins with holds a whole block.
	return n > 0 && first < t+Tick.Milliseconds() && t-first <= blockSpan+2*lateness
}

// end ends every series after the newest tick, because what follows it is lost: no line is drawn across. The caller holds mu.
func (h *head) end() {
	for _, s := range h.series {
		if s != nil && !s.stale && s.open.data != nil && s.lastT <= h.last && s.lastT >= h.last-maxInterval && h.appendFloat(s, h.last+1, staleNaN()) {
			s.stale = true
		}
	}
}

// restart empties the memory: the next block is block, everything before it is in the file. The caller holds mu.
func (h *head) restart(block int64) {
	for _, s := range h.series {
		if s != nil {
			s.done, s.open, s.app = nil, chunk{}, nil
		}
	}
	h.block, h.floor = block, block
}

func metaInt(m map[string]string, key string) int64 {
	v, _ := strconv.ParseInt(m[key], 10, 64)
	return v
}
