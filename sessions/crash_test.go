package sessions

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"golang.org/x/sys/unix"

	"pitwall/probes"
)

// The recorder as another process, so that it can be killed: TestMain is entered again with a directory to record into.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PITWALL_TEST_KILLED_IN"); dir != "" {
		recordUntilKilled(dir, os.Getenv("PITWALL_TEST_SESSION"), os.Getenv("PITWALL_TEST_ENGINE"))
	}
	if dir := os.Getenv("PITWALL_TEST_REQUESTS_INTO"); dir != "" {
		requestsUntilKilled(dir, os.Getenv("PITWALL_TEST_SESSION"))
	}
	if dir := os.Getenv("PITWALL_TEST_RECORD_INTO"); dir != "" {
		src := engine()
		r, err := Record(context.Background(), Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }})
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(r.path + "\n")
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

func TestKillLosesAtMostTwoSeconds(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PITWALL_TEST_RECORD_INTO="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() //nolint:errcheck // it is dead already where the test went well
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimSpace(line)
	var follower Reader
	waitFor(t, func() bool { follower, err = Open(path); return err == nil })
	defer follower.Close()
	waitFor(t, func() bool { first, last := follower.Bounds(); return last.Sub(first) >= 4*time.Second })
	if i := follower.Info(); i.Recording != RecordingElsewhere || i.PID != cmd.Process.Pid {
		t.Errorf("while it lives: %+v", i)
	}
	killed := time.Now()
	cmd.Process.Kill() //nolint:errcheck // Wait tells
	cmd.Wait()         //nolint:errcheck // "signal: killed" is the point
	waitFor(t, func() bool { return follower.Info().Recording == RecorderDied })

	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, last := s.Bounds()
	if lost := killed.Sub(last); lost > 2*time.Second {
		t.Errorf("%s are missing before the kill", lost)
	}
	if got, want := one(t, s, "now", last), last.Sub(first).Seconds(); got < want-1 || got > want {
		t.Errorf("the last reading is %v, want about %v", got, want)
	}
	r, err := Resume(context.Background(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, l := r.Bounds(); return l.After(last) })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestALockHasOneHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x"+Extension)
	var holders, clashes, taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				l, err := tryLock(lockPath(path))
				if err != nil || l == nil {
					continue
				}
				taken.Add(1)
				if holders.Add(1) > 1 {
					clashes.Add(1)
				}
				runtime.Gosched()
				holders.Add(-1)
				l.release() // which removes the file that the others may have open
			}
		})
	}
	wg.Wait()
	if clashes.Load() > 0 || taken.Load() == 0 {
		t.Errorf("two held the lock %d times, of %d", clashes.Load(), taken.Load())
	}
}

// Asking who records takes the lock for a moment: that is not a recorder.
func TestAskingForTheRecorderLocksNobodyOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x"+Extension)
	if err := os.WriteFile(lockPath(path), []byte("4711"), 0o600); err != nil { // its recorder was killed
		t.Fatal(err)
	}
	asker, err := os.Open(lockPath(path))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(asker.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(lockPause/2, func() { asker.Close() })
	l, err := lockSession(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	if pid := recorderOf(path); pid != os.Getpid() {
		t.Errorf("pid %d", pid)
	}
	if _, err := lockSession(path); !errors.Is(err, ErrRecording) {
		t.Errorf("a second holder: %v", err)
	}
}

func TestResumeKeepsNothingThatOnlyHeldBefore(t *testing.T) {
	reading := probes.Reading{Err: errors.New("refused"), Facts: map[string]string{"engine/i/pid": "7"}}
	src := &page{job: "j", instance: "i", read: func(int) probes.Reading { return reading }}
	opt := Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }}
	r := newTestRecorder(t, opt)
	drive(t, r, 0, 5)
	if err := r.Detach(); err != nil {
		t.Fatal(err)
	}
	reading = probes.Reading{Samples: []probes.Sample{sample(1, "__name__", "a")}}
	opt.Simulated = true
	again, err := Resume(context.Background(), r.path, opt)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, last := again.Bounds(); return last.After(at(5)) })
	_, last := again.Bounds()
	if again.Facts(last)["recorder/clock"] == "" {
		t.Error("the ticks above are not of today, and nobody says that the host's clock is elsewhere")
	}
	facts, absent := again.Facts(last), again.Absent(last)
	delete(facts, "recorder/clock")
	if len(facts) != 0 || len(absent) != 0 {
		t.Errorf("what an earlier recorder saw still holds: %v, %v", facts, absent)
	}
	if facts, absent := again.Facts(at(4)), again.Absent(at(4)); len(facts) != 1 || len(absent) != 1 {
		t.Errorf("what held before is gone: %v, %v", facts, absent)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if all, err := List(opt.Dir); err != nil || len(all) != 1 || !all[0].Simulated {
		t.Errorf("a session that a simulation went on with: %+v, %v", all, err)
	}
}

func TestADamagedJournalRowCostsOneEpochAndStopsNoRecording(t *testing.T) {
	src := engine()
	opt := Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }}
	r := newTestRecorder(t, opt)
	drive(t, r, 0, 60)
	if err := r.Detach(); err != nil {
		t.Fatal(err)
	}
	w, err := openWriter(r.path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Exec("UPDATE journal SET crc=crc+1 WHERE seq=30"); err != nil {
		t.Fatal(err)
	}
	w.close(true)
	again, err := Resume(context.Background(), r.path, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	_, before := again.Bounds()
	waitFor(t, func() bool {
		again.mu.Lock()
		defer again.mu.Unlock()
		return again.bytes > 0 || again.trouble != ""
	})
	if tr := again.Info().Trouble; tr != "" {
		t.Fatal(tr)
	}
	s, err := open(r.path) // the journal with the damage is still there
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if tr := s.Info().Trouble; !strings.Contains(tr, "damaged") {
		t.Errorf("trouble %q", tr)
	}
	_, last := s.Bounds()
	if got := one(t, s, "now", last); !last.After(before) || got < 60 {
		t.Errorf("now at %s = %v", last, got)
	}
	if got := one(t, s, "now", before); got != before.Sub(t0).Seconds() {
		t.Errorf("now before the damage = %v", got)
	}
}

func TestASessionEndedBeforeItsFirstTickLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	r := newTestRecorder(t, Options{Dir: dir})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// An INSERT that fails may end SQLite's transaction: nothing may be written after it as if it still ran.
func TestACommitThatFailsHalfwayWritesNothing(t *testing.T) {
	wide := false
	src := &page{job: "j", instance: "i", read: func(n int) probes.Reading {
		s := []probes.Sample{sample(float64(n), "__name__", "now")}
		if wide {
			s = append(s, sample(1, "__name__", "a", "l", strings.Repeat("x", 20_000)), sample(1, "__name__", "a", "l", "short"))
		}
		return probes.Reading{Samples: s}
	}}
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	drive(t, r, 0, 10)
	if _, err := r.w.db.Exec("PRAGMA max_page_count=1"); err != nil {
		t.Fatal(err)
	}
	wide = true
	if err := r.Tick(context.Background(), at(10)); err == nil || !strings.HasPrefix(err.Error(), "disk full") {
		t.Errorf("with a full disk: %v", err)
	}
	if _, err := r.w.db.Exec("PRAGMA max_page_count=1000000"); err != nil {
		t.Fatal(err)
	}
	drive(t, r, 11, 3)
	s, err := open(r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 14 {
		if got := one(t, s, "now", at(i)); got != float64(i) {
			t.Errorf("now at tick %d = %v", i, got)
		}
	}
}

// A chunk that only its checksum vouches for may still make the decoder panic.
func TestAHostileChunkTakesNobodyDown(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 200)
	up, interval := r.head.byName["up"].id, r.head.byName[IntervalMetric].id
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := openWriter(r.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []uint32{up, interval} {
		for _, i := range []int{0, 150} {
			ms := msOf(at(i))
			data := []byte{1, byte(r.head.names[name].series[0].id), 1, byte(chunkenc.EncXOR)}
			data = binary.AppendVarint(data, ms)
			data = append(data, 0, 1, 0xff)
			if _, err := w.db.Exec("UPDATE blocks SET data=?, crc=? WHERE key=?", data, checksum(data), blockKey(name, blockOf(ms))); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.close(true)
	s, err := Open(r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Targets(at(150))
	if got := one(t, s, "now", at(150)); got != 150 {
		t.Errorf("now = %v", got)
	}
	if _, err := s.Query(context.Background(), "up", at(0), Scope{}); err == nil {
		t.Error("a query for the hostile chunk says nothing")
	}
}
