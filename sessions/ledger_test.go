package sessions

import (
	"testing"
)

func TestALedgerEntryHoldsUntilItChanges(t *testing.T) {
	l := newLedger()
	a := map[string]string{"v": "1", "w": "x"}
	b := map[string]string{"v": "2"}
	if n := l.change(ledgerFact, 10, nil, a); len(n) != 2 {
		t.Errorf("notes %+v", n)
	}
	if n := l.change(ledgerFact, 20, a, a); len(n) != 0 {
		t.Errorf("nothing changed, but %+v", n)
	}
	l.change(ledgerFact, 30, a, b)
	for _, tt := range []struct {
		t    int64
		v, w string
	}{{9, "", ""}, {10, "1", "x"}, {29, "1", "x"}, {30, "2", ""}, {99, "2", ""}} {
		got := l.at(ledgerFact, tt.t)
		if got["v"] != tt.v || got["w"] != tt.w {
			t.Errorf("at %d: %v", tt.t, got)
		}
	}
	if got := l.at(ledgerAbsent, 99); len(got) != 0 {
		t.Errorf("facts are not reasons: %v", got)
	}
}

func TestACountingReasonTakesOneEntry(t *testing.T) {
	l := newLedger()
	old := map[string]string{}
	for i, reason := range []string{"no answer for 5 s", "no answer for 6 s", "no answer for 12.5 s"} {
		now := map[string]string{"x": reason}
		l.change(ledgerAbsent, int64(100+i), old, now)
		old = now
	}
	if len(l.notes) != 1 || l.notes[0].t != 100 || l.notes[0].value != "no answer for 12.5 s" {
		t.Errorf("notes %+v", l.notes)
	}
	l.change(ledgerAbsent, 200, old, map[string]string{"x": "not supported"})
	if got := l.at(ledgerAbsent, 150)["x"]; got != "no answer for 12.5 s" || len(l.notes) != 2 {
		t.Errorf("at 150: %q, notes %+v", got, l.notes)
	}
}
