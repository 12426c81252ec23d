package sessions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pitwall/probes"
)

// What happens to the file under a recorder after 300 ticks of 600: whatever it is, the recorder goes on, says so, and the
// session can be read at the end from the tick that is told on.
func TestWhatHappensToTheFileUnderItsRecorder(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(t *testing.T, path string)
		told string
		from int // the first tick that is in the session at its end
	}{
		"it is removed, with its journal": {
			do: func(t *testing.T, path string) {
				for _, suffix := range []string{"", "-wal", "-shm"} {
					must(t, os.Remove(path+suffix))
				}
			},
			told: "its file was removed: written again, nothing is lost",
		},
		"its whole directory is removed and made again": {
			do: func(t *testing.T, path string) {
				must(t, os.RemoveAll(filepath.Dir(path)))
				must(t, os.Mkdir(filepath.Dir(path), 0o700))
			},
			told: "its file was removed: written again, nothing is lost",
		},
		"its whole directory is removed": {
			do:   func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) },
			told: "its file was removed: written again, nothing is lost",
		},
		"only its journal is removed": {
			do:   func(t *testing.T, path string) { must(t, os.Remove(path+"-wal")) },
			told: "its journal was removed: written again, nothing is lost",
		},
		"only its journal is removed, while somebody reads": {
			do: func(t *testing.T, path string) {
				reading(t, path)
				must(t, os.Remove(path+"-wal"))
			},
			told: "its journal was removed: written again, nothing is lost",
		},
		"only the index of its journal is removed": {
			do:   func(t *testing.T, path string) { must(t, os.Remove(path+"-shm")) },
			told: "its journal was removed: written again, nothing is lost",
		},
		"another file is moved into its place": {
			do: func(t *testing.T, path string) {
				must(t, os.WriteFile(path+".tmp", []byte("not a session"), 0o600))
				must(t, os.Rename(path+".tmp", path))
			},
			told: "another file stands in its place: set aside as ", from: 0,
		},
		"it is emptied": {
			do:   func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
			told: "its file was cut short: set aside as ", from: 0,
		},
		"it is cut in half": {
			do: func(t *testing.T, path string) {
				st, err := os.Stat(path)
				must(t, err)
				must(t, os.Truncate(path, st.Size()/2))
			},
			told: "its file was cut short: set aside as ", from: 0,
		},
		"it is overwritten with nonsense": {
			do: func(t *testing.T, path string) {
				st, err := os.Stat(path)
				must(t, err)
				must(t, os.WriteFile(path, []byte(strings.Repeat("nonsense", int(st.Size()/8))), 0o600))
				must(t, os.WriteFile(path+"-wal", []byte(strings.Repeat("nonsense", 1000)), 0o600))
			},
			told: "its file was damaged (", from: 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := engine()
			r := newTestRecorder(t, Options{Dir: filepath.Join(t.TempDir(), "sessions"), Sources: func() []probes.Source { return []probes.Source{src} }})
			drive(t, r, 0, 300)
			follower, err := open(r.path)
			must(t, err)
			defer follower.Close()
			tt.do(t, r.path)
			for i := 300; i < 600; i++ {
				r.Tick(context.Background(), at(i)) //nolint:errcheck // what it says is looked at below
			}
			if i := r.Info(); i.Recording != RecordingHere || i.Trouble != "" {
				t.Errorf("in the end it is %s: %s", i.Recording, i.Trouble)
			}
			if follower.read() != nil { // as follow does: an error makes it open the file anew
				follower.failed = true
			}
			must(t, follower.again())
			must(t, follower.read())
			if got := one(t, follower, "now", at(599)); got != 599 {
				t.Errorf("a console that reads along has %v at tick 599", got)
			}
			path := r.path
			must(t, r.Close())
			s, err := Open(path)
			must(t, err)
			defer s.Close()
			told := ""
			for _, e := range s.Events(time.Time{}, at(600)) {
				if e.Kind == "recorder.file" {
					told += e.Title
				}
			}
			if !strings.HasPrefix(told, tt.told) {
				t.Errorf("told %q, want %q", told, tt.told)
			}
			for i := tt.from; i < 600; i++ {
				if got := one(t, s, "now", at(i)); got != float64(i) {
					t.Fatalf("now at tick %d = %v", i, got)
				}
				if got := one(t, s, "histogram_count(lat)", at(i)); got != float64(i) {
					t.Fatalf("histogram_count at tick %d = %v", i, got)
				}
			}
			if tr := s.Info().Trouble; tr != "" {
				t.Errorf("trouble in the new file: %s", tr)
			}
		})
	}
}

// reading begins to read a session and does so until the test ends, as a console does that is stopped by ctrl-z.
func reading(t *testing.T, path string) {
	t.Helper()
	a, err := openArchive(path)
	must(t, err)
	tx, err := a.db.Begin()
	must(t, err)
	var n int
	must(t, tx.QueryRow("SELECT count(*) FROM journal").Scan(&n))
	t.Cleanup(func() {
		tx.Rollback() //nolint:errcheck // it only read
		a.db.Close()
	})
}

// Whoever ends a recording while its removed file is written again still gets all of it.
func TestAFileThatIsWrittenAgainAtTheEndIsWhole(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 2000) // more than memory holds
	must(t, os.Remove(r.path))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	must(t, r.rescue(ctx, r.w, fileRemoved))
	must(t, r.Close())
	s, err := Open(r.path)
	must(t, err)
	defer s.Close()
	if got := one(t, s, "now", at(0)); got != 0 {
		t.Errorf("the first reading is %v", got)
	}
}

// A directory that can't be looked at for a while, as one whose mount comes and goes, is no reason to begin a new file.
func TestAFileThatCantBeLookedAtForAWhileIsGoneOnWith(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sessions")
	src := engine()
	r := newTestRecorder(t, Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 200)
	must(t, os.Rename(dir, dir+"-away"))
	must(t, os.WriteFile(dir, nil, 0o600))
	for i := 200; i < 400; i++ {
		if err := r.Tick(context.Background(), at(i)); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Fatalf("tick %d: %v", i, err)
		}
	}
	must(t, os.Remove(dir))
	must(t, os.Rename(dir+"-away", dir))
	drive(t, r, 400, 200)
	must(t, r.Close())
	all, err := List(dir)
	must(t, err)
	if len(all) != 1 || all[0].Trouble != "" {
		t.Errorf("the list says %+v", all)
	}
	s, err := Open(r.path)
	must(t, err)
	defer s.Close()
	for i := range 600 {
		if got := one(t, s, "now", at(i)); got != float64(i) {
			t.Fatalf("now at tick %d = %v", i, got)
		}
	}
}

// A recorder whose lock file is removed takes it again; when another one was quicker, both record, each into a file of its
// own.
func TestARecorderWhoseLockIsRemoved(t *testing.T) {
	src := engine()
	o := Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }}
	r := newTestRecorder(t, o)
	drive(t, r, 0, 300)
	old := r.path
	must(t, os.Remove(lockPath(old)))
	drive(t, r, 300, 1)
	if recorderOf(old) != os.Getpid() {
		t.Fatal("nobody is said to record")
	}
	must(t, os.Remove(lockPath(old)))
	other, err := Resume(context.Background(), old, Options{})
	must(t, err)
	for i := 301; i < 600; i++ {
		r.Tick(context.Background(), at(i)) //nolint:errcheck // what comes of it is looked at below
	}
	if r.path == old {
		t.Fatal("two record into one file")
	}
	must(t, r.Close())
	if recorderOf(old) != os.Getpid() {
		t.Error("the other one's lock is gone")
	}
	must(t, other.Close())
	for _, path := range []string{old, r.path} {
		i, _, err := Check(context.Background(), path)
		if err != nil || i.Trouble != "" || i.Ended.IsZero() {
			t.Errorf("%+v, %v", i, err)
		}
	}
	s, err := Open(r.path)
	must(t, err)
	defer s.Close()
	for _, i := range []int{0, 301, 599} {
		if got := one(t, s, "now", at(i)); got != float64(i) {
			t.Errorf("now at tick %d = %v", i, got)
		}
	}
	if e := s.Events(time.Time{}, at(600)); len(e) != 1 || !strings.Contains(e[0].Title, "another process goes on with its file") {
		t.Errorf("told %+v", e)
	}
}

// A recorder that is killed just after it began a new file leaves all that was in memory there.
func TestANewFileThatIsLeftAtOnceIsWhole(t *testing.T) {
	for _, ticks := range []int{20, 70, 119, 125, 239} {
		src := engine()
		r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
		drive(t, r, 0, ticks)
		must(t, os.Truncate(r.path, 0))
		for i := ticks; i < ticks+3; i++ {
			r.Tick(context.Background(), at(i)) //nolint:errcheck // what comes of it is looked at below
		}
		s, err := open(r.path)
		must(t, err)
		must(t, s.verify(context.Background(), func() {}))
		for i := range ticks + 3 {
			if got := one(t, s, "now", at(i)); got != float64(i) {
				t.Fatalf("left at tick %d: now at tick %d = %v", ticks, i, got)
			}
		}
		if tr := s.Info().Trouble; tr != "" {
			t.Errorf("left at tick %d: trouble %q", ticks, tr)
		}
		s.Close()
		must(t, r.Close())
	}
}

// A session that was set aside has a name of its own: its ID gives the one that is in its place, and no other file is
// overwritten.
func TestASessionThatWasSetAsideIsNotTakenForTheOneInItsPlace(t *testing.T) {
	dir := t.TempDir()
	src := engine()
	r := newTestRecorder(t, Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 20)
	before := filepath.Join(dir, r.id+asideMark+"1"+Extension)
	must(t, os.WriteFile(before, []byte("somebody's"), 0o600))
	must(t, os.WriteFile(r.path+".new", wholeSession(t, true), 0o600))
	must(t, os.Rename(r.path+".new", r.path))
	r.Tick(context.Background(), at(20)) //nolint:errcheck // what comes of it is looked at below
	drive(t, r, 21, 10)
	must(t, r.w.commit(context.Background(), &batch{meta: map[string]string{}}))
	for _, which := range []string{r.id, "last"} {
		if path, err := Find(dir, which); err != nil || path != r.path && which == r.id {
			t.Errorf("%s is %s, %v", which, path, err)
		}
	}
	if b, err := os.ReadFile(before); err != nil || string(b) != "somebody's" {
		t.Errorf("the file that stood there holds %q, %v", b, err)
	}
	must(t, r.Close())
	// One whose meta says the same ID as the one in its place, as a damaged one does.
	must(t, os.Remove(before))
	b, err := os.ReadFile(r.path)
	must(t, err)
	must(t, os.WriteFile(before, b, 0o600))
	for _, id := range []string{r.id, r.id + asideMark + "1"} {
		if path, err := Find(dir, id); err != nil || path != filepath.Join(dir, id+Extension) {
			t.Errorf("%s is %s, %v", id, path, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A disk of one megabyte, full, freed, full again: what was gathered meanwhile is stored once there is room, and every file
// that is left opens.
func TestADiskThatIsReallyFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can mount the small tmpfs that this needs; .ci runs as root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("SKIPPED: a tmpfs can't be mounted here: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH) //nolint:errcheck // it is a test's
	ballast := filepath.Join(dir, "ballast")
	fill := func() {
		f, err := os.Create(ballast)
		must(t, err)
		defer f.Close()
		for n := 4096; n > 0; {
			if _, err := f.Write(make([]byte, n)); err != nil {
				n /= 2
			}
		}
	}
	src := engine()
	r := newTestRecorder(t, Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }})
	next := 0
	tick := func(n int) (last error) {
		for range n {
			last = r.Tick(context.Background(), at(next))
			next++
		}
		return last
	}
	must(t, tick(20))
	for round := range 2 {
		fill()
		if err := tick(400); err == nil || !strings.HasPrefix(err.Error(), "disk full: ") || !strings.HasSuffix(err.Error(), " free") {
			t.Errorf("round %d, with a full disk: %v", round, err)
		}
		if i := r.Info(); i.Recording != NotStored {
			t.Errorf("round %d: with a full disk it is %s", round, i.Recording)
		}
		if got := one(t, r, "now", at(next-1)); got != float64(next-1) {
			t.Errorf("the screen has %v", got)
		}
		s, err := Open(r.path) // what was stored before can be read
		if err != nil {
			t.Errorf("round %d: opening the session on a full disk: %v", round, err)
		} else {
			s.Close()
		}
		must(t, os.Remove(ballast))
		if err := tick(20); err != nil {
			t.Errorf("round %d: after room was made: %v", round, err)
		}
	}
	path := r.path
	must(t, r.Close())
	s, err := Open(path)
	must(t, err)
	for i := range next {
		if got := one(t, s, "now", at(i)); got != float64(i) {
			t.Fatalf("now at tick %d = %v", i, got)
		}
	}
	s.Close()

	// A session that begins on a full disk is in memory until there is room.
	fill()
	other, err := Record(context.Background(), Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }})
	must(t, err)
	if i := other.Info(); i.Recording != NotStored || !strings.Contains(i.Trouble, "disk full") {
		t.Errorf("begun on a full disk: %s: %s", i.Recording, i.Trouble)
	}
	must(t, os.Remove(ballast))
	waitFor(t, func() bool { _, last := other.Bounds(); return !last.IsZero() })
	must(t, other.Close())
	if _, err := Open(other.path); err != nil {
		t.Errorf("begun on a full disk, ended with room: %v", err)
	}
}

// Of recorders that start at the same moment and want to be the only one, one is.
func TestOfTwoRecordersThatStartAtOnceOneRecords(t *testing.T) {
	dir := t.TempDir()
	const n = 12
	recorders := make([]*Recorder, n)
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			r, err := Record(context.Background(), Options{Dir: dir, Alone: "everything"})
			if err != nil && !errors.Is(err, ErrRecording) {
				t.Error(err)
			}
			recorders[i] = r
		})
	}
	close(begin)
	wg.Wait()
	alive := 0
	for _, r := range recorders {
		if r != nil {
			alive++
			defer r.Close()
		}
	}
	if alive != 1 {
		t.Errorf("%d record, want 1", alive)
	}
	other, err := Record(context.Background(), Options{Dir: dir, Alone: "another engine"})
	must(t, err)
	must(t, other.Close())
	for _, r := range recorders {
		if r != nil {
			must(t, r.Detach())
		}
	}
	again, err := Record(context.Background(), Options{Dir: dir, Alone: "everything"})
	if err != nil {
		t.Fatalf("after the first has let go: %v", err)
	}
	must(t, again.Close())
}

// Two recorders that draw the same name in the same second both have a file.
func TestTwoSessionsOfOneNameAreTwoFiles(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		one := newTestRecorder(t, Options{Dir: dir})
		two := newRecorder(Options{Dir: dir})
		two.id, two.path = one.id, one.path
		must(t, two.create())
		if two.path == one.path || two.Info().ID == one.id {
			t.Errorf("both write %s", one.path)
		}
		must(t, one.Close())
		must(t, two.Close())
	})
}
