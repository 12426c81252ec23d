package sessions

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
)

func TestSimulatedForEver(t *testing.T) {
	dir := t.TempDir()
	src := &page{job: "vllm", instance: "i", read: func(n int) probes.Reading {
		return probes.Reading{Samples: []probes.Sample{sample(map[bool]float64{true: 1, false: 0}[n == 3], "__name__", "pitwall_simulated")}}
	}}
	r := newTestRecorder(t, Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 3)
	if r.Info().Simulated {
		t.Error("simulated too early")
	}
	drive(t, r, 3, 3)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := List(dir)
	if err != nil || len(all) != 1 || !all[0].Simulated {
		t.Errorf("list %+v, %v", all, err)
	}
}

func TestLibrary(t *testing.T) {
	dir := t.TempDir()
	src := engine()
	sources := func() []probes.Source { return []probes.Source{src} }
	var paths []string
	for i := range 3 {
		r, err := NewRecorder(Options{Dir: dir, Name: fmt.Sprintf("tuning-%d", i), Sources: sources})
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, r.path)
		drive(t, r, 0, 5)
		if i < 2 {
			r.Close()
			continue
		}
		defer r.Close()
	}
	if err := os.WriteFile(filepath.Join(dir, "00000000-000000-0000.pitwall"), []byte("not a database, but long enough to look at"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := List(dir)
	if err != nil || len(all) != 4 {
		t.Fatalf("list %+v, %v", all, err)
	}
	if bad := all[3]; !strings.Contains(bad.Trouble, "no SQLite database") {
		t.Errorf("the broken file says %q", bad.Trouble)
	}
	live, err := Running(dir)
	if err != nil || len(live) != 1 || live[0].Path != paths[2] || live[0].PID != os.Getpid() || !live[0].Last.Equal(at(4)) {
		t.Errorf("running %+v, %v", live, err)
	}
	if p, err := Find(dir, "tuning-1"); err != nil || p != paths[1] {
		t.Errorf("find by name: %s, %v", p, err)
	}
	if _, err := Find(dir, strconv.Itoa(time.Now().UTC().Year())); err == nil || !strings.Contains(err.Error(), "the beginning of 3 sessions") {
		t.Errorf("ambiguous: %v", err)
	}
	out := filepath.Join(t.TempDir(), "copy.pitwall")
	if err := Export(context.Background(), paths[2], out); err != nil {
		t.Fatal(err)
	}
	s, err := Open(out)
	if err != nil {
		t.Fatal(err)
	}
	if got := one(t, s, "now", at(4)); got != 14 { // the third recorder of the same source
		t.Errorf("now in the copy = %v", got)
	}
	if i := s.Info(); i.Recording != Saved || !i.Ended.Equal(at(4)) {
		t.Errorf("the copy says %+v", i)
	}
	s.Close()
	if err := Export(context.Background(), paths[0], out); err == nil {
		t.Error("an export overwrote a file")
	}
	if gone, err := Prune(dir, at(86400), time.Hour, 0); err != nil || len(gone) != 0 {
		t.Errorf("sessions with names were deleted: %+v, %v", gone, err)
	}
}

// A session that is damaged may have had a name or a mark: nobody knows, so it stays.
func TestPruneKeepsWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	for i, damage := range []string{
		"UPDATE meta SET value='' WHERE key='name'",
		`UPDATE events SET data=replace(data, '"mark"', '"mbrk"')`,
	} {
		path := filepath.Join(dir, strconv.Itoa(i)+Extension)
		must(t, os.WriteFile(path, wholeSession(t, true), 0o600))
		w, err := openWriter(path)
		must(t, err)
		if i == 1 {
			must(t, w.commit(context.Background(), &batch{meta: map[string]string{"name": ""}}))
		}
		if res, err := w.db.Exec(damage); err != nil {
			t.Fatal(err)
		} else if n, err := res.RowsAffected(); err != nil || n == 0 {
			t.Fatalf("%s changes nothing, %v", damage, err)
		}
		must(t, w.close(true))
	}
	if gone, err := Prune(dir, at(1e9), time.Hour, 1); err != nil || len(gone) != 0 {
		t.Errorf("%+v are deleted, %v", gone, err)
	}
}

func TestPruneKeepsWhatSomebodyCaresFor(t *testing.T) {
	dir := t.TempDir()
	src := engine()
	for _, note := range []string{"", "", "the night the queue grew"} {
		r := newTestRecorder(t, Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }})
		drive(t, r, 0, 5)
		if note != "" {
			if err := r.Mark(note); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if gone, err := Prune(dir, at(600), time.Hour, 0); err != nil || len(gone) != 0 {
		t.Errorf("too young to go: %+v, %v", gone, err)
	}
	if gone, err := Prune(dir, at(86400), time.Hour, 0); err != nil || len(gone) != 2 {
		t.Errorf("pruned %+v, %v", gone, err)
	}
	if left, _ := List(dir); len(left) != 1 {
		t.Errorf("left %+v", left)
	}
}

func TestAMarkFromAConsoleThatReadsAlongReachesEverybody(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 5)
	if err := r.Mark("from the recorder"); err != nil {
		t.Fatal(err)
	}
	a, err := open(r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Mark("from another console, --api-key hunter2"); err != nil {
		t.Fatal(err)
	}
	if err := a.Mark("  "); err == nil {
		t.Error("an empty mark was taken")
	}
	drive(t, r, 5, 3)
	if err := a.read(); err != nil {
		t.Fatal(err)
	}
	far := time.Now().Add(100 * 365 * 24 * time.Hour)
	for name, rd := range map[string]Reader{"recorder": r, "reader": a} {
		var titles []string
		for _, e := range rd.Events(time.Time{}, far) {
			titles = append(titles, e.Title)
		}
		if len(titles) != 2 || !slices.Contains(titles, "from the recorder") || !slices.Contains(titles, "from another console, --api-key [cut]") {
			t.Errorf("%s sees %q", name, titles)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Mark("too late"); err == nil || !strings.Contains(err.Error(), "is not being recorded") {
		t.Errorf("a mark in an ended session: %v", err)
	}
}
