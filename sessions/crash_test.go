package sessions

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
)

// The recorder as another process, so that it can be killed: TestMain is entered again with a directory to record into.
func TestMain(m *testing.M) {
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
