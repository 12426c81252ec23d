package sessions

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"pitwall/probes"
)

// The kinds of ledger entries.
const (
	ledgerFact   = 'F'
	ledgerAbsent = 'A'
)

// note is one change of a fact or of a reason for absence: from t on, path is value. An empty value ends it.
type note struct {
	seq   int64 // position in the file, 0 while not written
	t     int64
	kind  byte
	path  string
	value string
}

// ledger holds facts, reasons and events with their times. They are few, so all of them are in memory.
type ledger struct {
	mu     sync.RWMutex // guards everything below
	notes  []note       // by t
	now    map[byte]map[string]note
	events []probes.Event // by Time
}

func newLedger() *ledger {
	return &ledger{now: map[byte]map[string]note{ledgerFact: {}, ledgerAbsent: {}}}
}

// clear empties it, for a reader that begins anew.
func (l *ledger) clear() {
	fresh := newLedger()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes, l.now, l.events = nil, fresh.now, nil
}

// change records what a source says now against what it said before, and gives the notes that are new. old is what this
// source said last: paths that it no longer names end.
//
// A value that differs from the one in force only in its digits ("no answer for 12 s", "… 13 s") replaces it in place and
// keeps its time, else a counting reason would fill the ledger.
func (l *ledger) change(kind byte, t int64, old, new map[string]string) []note {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []note
	put := func(path, value string) {
		cur, ok := l.now[kind][path]
		if ok && cur.value == value || !ok && value == "" {
			return
		}
		n := note{t: t, kind: kind, path: path, value: value}
		if ok && value != "" && digitless(cur.value) == digitless(value) && kind == ledgerAbsent {
			n.t = cur.t
		}
		l.put(n)
		out = append(out, n)
	}
	for _, p := range sortedKeys(new) {
		put(p, new[p])
	}
	for _, p := range sortedKeys(old) {
		if _, still := new[p]; !still {
			put(p, "")
		}
	}
	return out
}

// end ends at t everything that holds, and gives the notes that say so.
func (l *ledger) end(t int64) []note {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []note
	for _, kind := range []byte{ledgerFact, ledgerAbsent} {
		for _, p := range sortedKeys(l.now[kind]) {
			n := note{t: t, kind: kind, path: p}
			l.put(n)
			out = append(out, n)
		}
	}
	return out
}

// put adds a note in the order of time; one of equal kind, path and time takes the place of the former. The caller holds mu.
func (l *ledger) put(n note) {
	if n.value == "" {
		delete(l.now[n.kind], n.path)
	} else {
		l.now[n.kind][n.path] = n
	}
	l.insertLocked(n)
}

// at gives what held at t.
func (l *ledger) at(kind byte, t int64) map[string]string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := map[string]string{}
	if n := len(l.notes); n == 0 || l.notes[n-1].t <= t {
		for p, x := range l.now[kind] {
			out[p] = x.value
		}
		return out
	}
	for _, n := range l.notes {
		if n.t > t {
			break
		}
		if n.kind != kind {
			continue
		}
		if n.value == "" {
			delete(out, n.path)
		} else {
			out[n.path] = n.value
		}
	}
	return out
}

// insertLocked adds a note about the past, which changes nothing of what holds now. The caller holds mu.
func (l *ledger) insertLocked(n note) {
	i := sort.Search(len(l.notes), func(i int) bool { return l.notes[i].t >= n.t })
	for ; i < len(l.notes) && l.notes[i].t == n.t; i++ {
		if l.notes[i].kind == n.kind && l.notes[i].path == n.path {
			l.notes[i] = n
			return
		}
	}
	l.notes = slices.Insert(l.notes, i, n)
}

// heldLocked gives the value of one path at t. The caller holds mu.
func (l *ledger) heldLocked(kind byte, path string, t int64) string {
	i := sort.Search(len(l.notes), func(i int) bool { return l.notes[i].t > t })
	for i--; i >= 0; i-- {
		if n := l.notes[i]; n.kind == kind && n.path == path {
			return n.value
		}
	}
	return ""
}

func (l *ledger) addEvent(e probes.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addEventLocked(e)
}

func (l *ledger) addEventLocked(e probes.Event) {
	e.Attrs = maps.Clone(e.Attrs)
	i := sort.Search(len(l.events), func(i int) bool { return l.events[i].Time.After(e.Time) })
	l.events = slices.Insert(l.events, i, e)
}

func (l *ledger) between(from, to time.Time) []probes.Event {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sort.Search(len(l.events), func(i int) bool { return l.events[i].Time.After(from) })
	j := sort.Search(len(l.events), func(i int) bool { return l.events[i].Time.After(to) })
	if i >= j {
		return nil
	}
	return slices.Clone(l.events[i:j])
}

func digitless(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' {
			return -1
		}
		return r
	}, s)
}
