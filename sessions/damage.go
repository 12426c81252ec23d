package sessions

import (
	"cmp"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	sqlitelib "modernc.org/sqlite/lib"

	"pitwall/probes"
)

// What is damaged in a file is left out and told, and all the rest is read: rows carry checksums, and a bad page of the
// database is gone around. A reader gives the gap as a gap: the series end where it begins, an event lies on its stretch of
// time, and Absent says why nothing is there.

// wound is one thing that is damaged.
type wound struct {
	what  string // in the plural: "journal rows"
	count int    // of them; 0 is one, or that it can't be counted
	why   string
	// metric is the name that it is about, empty for all; from … to is the time, milliseconds, that it costs; zero: none.
	metric   string
	from, to int64
}

func blockWound(block int64, why error) wound {
	return wound{what: "blocks of readings", why: why.Error(), from: block, to: block + blockSpan}
}

// journalWound is a journal row that is lost; last is the tick before it.
func journalWound(t, last int64) wound {
	if t < last || t > last+24*time.Hour.Milliseconds() && last != 0 || t <= 0 { // the time is damaged itself
		t = last
	}
	return wound{what: "journal rows", from: t, to: t + Tick.Milliseconds()}
}

// Error says what is wrong: "damaged block left out: vllm:num_requests_running at 12:04:00: checksum differs".
func (w wound) Error() string {
	return fmt.Sprintf("damaged block left out: %s at %s: %s", w.metric, timeOf(w.from).UTC().Format("15:04:05"), w.why)
}

// wounds is everything that was found damaged, each thing once.
type wounds struct {
	counts map[string]int
	seen   map[wound]bool
	fresh  []wound // those that cost time and have not been taken
}

// maxWounds bounds what is kept of a file that is damaged everywhere.
const maxWounds = 10_000

func (ws *wounds) add(w wound) {
	if ws.counts == nil {
		ws.counts, ws.seen = map[string]int{}, map[wound]bool{}
	}
	if ws.seen[w] || len(ws.seen) >= maxWounds {
		return
	}
	ws.seen[w] = true
	ws.counts[w.what] += max(1, w.count)
	if w.to != 0 {
		ws.fresh = append(ws.fresh, w)
	}
}

// take gives what costs time and has not been given yet.
func (ws *wounds) take() []wound {
	out := ws.fresh
	ws.fresh = nil
	slices.SortStableFunc(out, func(a, b wound) int { return cmp.Compare(a.from, b.from) })
	return out
}

// text says what is damaged, for Info.Trouble; empty where nothing is.
func (ws *wounds) text() string {
	if len(ws.counts) == 0 {
		return ""
	}
	parts := make([]string, 0, len(ws.counts))
	for _, what := range sortedKeys(ws.counts) {
		parts = append(parts, what+" ("+strconv.Itoa(ws.counts[what])+")")
	}
	return "damaged, and left out: " + strings.Join(parts, ", ")
}

// KindDamage is the Kind of the events that lie where readings are damaged: Attrs "lasted" (the stretch of time), "cause".
const KindDamage = "recorder.damage"

// found takes what was found damaged: into Info.Trouble, as an event on its stretch of time, and as the reason for what is
// absent there. What is known already changes nothing.
func (a *asker) found(ws ...wound) {
	a.woundMu.Lock()
	for _, w := range ws {
		a.wounds.add(w)
	}
	fresh := a.wounds.take()
	a.woundMu.Unlock()
	for _, w := range fresh {
		path := w.metric
		if path == "" {
			path = "recorder"
		}
		a.ledger.damage(w.from, w.to, path)
	}
	if len(fresh) > 0 {
		a.changed()
	}
}

// damaged says in words what is damaged; empty where nothing is known to be.
func (a *asker) damaged() string {
	a.woundMu.Lock()
	defer a.woundMu.Unlock()
	return a.wounds.text()
}

// damage marks a stretch of time as damaged for one path. Stretches that touch an earlier one of its kind are one event.
func (l *ledger) damage(from, to int64, path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const why = "the session's file is damaged here"
	behind := l.heldLocked(ledgerAbsent, path, to)
	l.insertLocked(note{t: from, kind: ledgerAbsent, path: path, value: why})
	l.insertLocked(note{t: to, kind: ledgerAbsent, path: path, value: behind})
	for i := len(l.events) - 1; i >= 0; i-- {
		e := &l.events[i]
		if e.Kind != KindDamage {
			continue
		}
		end, _ := time.ParseDuration(e.Attrs["lasted"])
		if start := msOf(e.Time); from >= start && from <= start+end.Milliseconds() {
			attrs := map[string]string{"cause": e.Attrs["cause"], "lasted": (time.Duration(max(to-start, end.Milliseconds())) * time.Millisecond).String()}
			if path != "recorder" && !strings.Contains(", "+attrs["cause"]+", ", ", "+path+", ") && len(attrs["cause"]) < 400 {
				attrs["cause"] += ", " + path
			}
			e.Attrs = attrs
			return
		}
	}
	e := probes.Event{
		Time: timeOf(from), Kind: KindDamage, Subject: "recorder", Severity: probes.Warning,
		Title: "readings are damaged and left out",
		Attrs: map[string]string{"lasted": (time.Duration(to-from) * time.Millisecond).String(), "cause": path},
	}
	if path == "recorder" {
		e.Attrs["cause"] = "all of them"
	}
	l.addEventLocked(e)
}

// isDamage says whether an error means that the file's content is bad, not that the disk or the caller is.
func isDamage(err error) bool {
	if err == nil {
		return false
	}
	c := sqliteCode(err)
	return c == sqlitelib.SQLITE_CORRUPT || c == sqlitelib.SQLITE_NOTADB
}

// lostSpan is a stretch of keys between two that can be read, neither of them in it.
type lostSpan struct{ after, before int64 }

// walk reads a table in the order of its integer key, which is the first column, from after on, going around what is bad:
// rows that don't hold what they should, and pages that can't be read. row gives the key of its row. What is lost comes back.
func walk(from asked, table, key, columns string, after int64, row func(*sql.Rows) (int64, error)) (lost []lostSpan, err error) {
	key0 := after
	for range maxWounds {
		err = each(from, "SELECT "+key+", "+columns+" FROM "+table+" WHERE "+key+">? ORDER BY "+key, func(rows *sql.Rows) error {
			k, err := row(rows)
			if k > after {
				if err != nil && len(lost) < maxWounds {
					lost = append(lost, lostSpan{k - 1, k + 1})
				}
				after = k
			}
			return nil
		}, after)
		if !isDamage(err) {
			return lost, err
		}
		// The next row may be bad alone (its content lies on other pages), or the page with it is.
		next := int64(-1)
		err := each(from, "SELECT "+key+" FROM "+table+" WHERE "+key+">? ORDER BY "+key+" LIMIT 1", func(rows *sql.Rows) error { return rows.Scan(&next) }, after)
		switch {
		case err == nil && next <= after:
			return lost, nil // it was the last one
		case err == nil:
			lost = append(lost, lostSpan{after, next + 1})
			after = next
			continue
		case !isDamage(err):
			return lost, err
		}
		// From the other side as far as it goes: behind the bad page all may be well.
		beyond := int64(math.MaxInt64)
		_ = each(from, "SELECT "+key+" FROM "+table+" WHERE "+key+">? ORDER BY "+key+" DESC", func(rows *sql.Rows) error {
			var k int64
			if err := rows.Scan(&k); err != nil {
				return err
			}
			if k > after {
				beyond = min(beyond, k)
			}
			return nil
		}, after)
		lost = append(lost, lostSpan{after, beyond})
		if beyond == math.MaxInt64 || beyond-1 <= after {
			return lost, nil
		}
		after = beyond - 1
		if after == key0 {
			return lost, nil
		}
		key0 = after
	}
	return lost, nil
}

// metaFromBlocks gives back what can be told of a session without its meta: from when to when it has readings.
func metaFromBlocks(from asked, m map[string]string) error {
	var first, last sql.NullInt64
	err := each(from, "SELECT min(key & 4294967295), max(key & 4294967295) FROM blocks", func(rows *sql.Rows) error { return rows.Scan(&first, &last) })
	if err != nil && !isDamage(err) {
		return err
	}
	for _, key := range []string{"first", "last", "ended", "started", "offset", "seq"} {
		delete(m, key)
	}
	if first.Valid {
		m["first"], m["started"] = strconv.FormatInt(first.Int64*blockSpan, 10), strconv.FormatInt(first.Int64*blockSpan, 10)
		m["last"] = strconv.FormatInt((last.Int64+1)*blockSpan-Tick.Milliseconds(), 10)
	}
	return nil
}

// metaSum is the key of meta that holds the checksum of the others.
const metaSum = "sum"

func sumOf(m map[string]string) string {
	var b strings.Builder
	for _, k := range sortedKeys(m) {
		if k != metaSum {
			fmt.Fprintf(&b, "%q=%q\n", k, m[k])
		}
	}
	return strconv.FormatInt(checksum([]byte(b.String())), 16)
}
