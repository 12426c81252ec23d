package sessions

import (
	"context"
	"testing"
	"time"

	"pitwall/probes"
)

func TestRetentionKeepsTheNewest(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), KeepAge: 30 * time.Minute, Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 4000)
	first, _ := r.Bounds()
	if age := at(3999).Sub(first); age < 29*time.Minute || age > 35*time.Minute {
		t.Errorf("the oldest reading is %s old", age)
	}
	path := r.path
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := one(t, s, "now", at(2500)); got != 2500 {
		t.Errorf("now = %v", got)
	}
	none(t, s, "now", at(1000))
	if f, _ := s.Bounds(); !f.Equal(first) {
		t.Errorf("bounds say %s, recorder said %s", f, first)
	}
	if i, _, err := Check(context.Background(), path); err != nil || i.Trouble != "" {
		t.Errorf("what is too old is taken for lost: %q, %v", i.Trouble, err)
	}
}

// A recorder that ends while it deletes what is too old has deleted all of it or nothing: the file knows how much it holds.
func TestRetentionThatIsInterruptedLeavesNoFalseDamage(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 1000)
	names, n := len(r.head.names), 0
	for _, broken := range []string{"ended in the middle", ""} {
		if broken != "" { // the second metric can't be deleted: what went before is undone
			_, err := r.w.db.Exec("CREATE TRIGGER stop BEFORE DELETE ON blocks WHEN old.key >= 1 << 32 BEGIN SELECT raise(FAIL, 'ended in the middle'); END")
			must(t, err)
		} else {
			_, err := r.w.db.Exec("DROP TRIGGER stop")
			must(t, err)
		}
		err := r.w.commit(context.Background(), &batch{meta: map[string]string{}, forget: &retention{names, blockOf(msOf(at(500)))}})
		if (err == nil) != (broken == "") {
			t.Fatalf("%q: %v", broken, err)
		}
		must(t, r.w.db.QueryRow("SELECT count(*) FROM blocks").Scan(&n))
		if m, err := metaOf(r.w.db); err != nil || metaInt(m, "blocks") != int64(n) || m[metaSum] != sumOf(m) || n == 0 {
			t.Errorf("%q: the file says that it has %s blocks, and has %d, %v", broken, m["blocks"], n, err)
		}
	}
	must(t, r.Close())
}
