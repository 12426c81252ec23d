package sessions

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pitwall/probes"
	"pitwall/probes/request"
)

// requestsUntilKilled records into a directory, with a request every 5 ms, and says on its output what it has put.
func requestsUntilKilled(dir, session string) {
	src := engine()
	o := Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }}
	var r *Recorder
	var err error
	if session == "" {
		r, err = Record(context.Background(), o)
	} else {
		r, err = Resume(context.Background(), session, o)
	}
	if err != nil {
		panic(err)
	}
	fmt.Println(r.path)
	id := r.NextRun()
	if err := r.PutRun(aRun(id, Measuring, 0, 0)); err != nil {
		panic(err)
	}
	for i, one := range served(rand.New(rand.NewPCG(1, 1)), id, 100_000) {
		if err := r.PutRequests([]request.Record{one}); err != nil {
			panic(err)
		}
		fmt.Println(id, i, time.Now().UnixMilli())
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAKillCostsTwoSecondsOfRequestsAndBreaksTheRun(t *testing.T) {
	dir, session := t.TempDir(), ""
	put := map[uint32]int{}
	for round := range uint32(3) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "PITWALL_TEST_REQUESTS_INTO="+dir, "PITWALL_TEST_SESSION="+session)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		lines.Scan()
		session = lines.Text()
		var stamps []int64
		for lines.Scan() {
			var id uint32
			var i int
			var ms int64
			if _, err := fmt.Sscan(lines.Text(), &id, &i, &ms); err != nil {
				continue // it was killed in the middle of it
			}
			if id != round+1 {
				t.Fatalf("the run in round %d is %d", round, id)
			}
			stamps = append(stamps, ms)
			if len(stamps) > 1 && ms-stamps[0] > 2700+int64(round)*400 {
				cmd.Process.Kill() //nolint:errcheck // Wait tells
			}
		}
		cmd.Wait() //nolint:errcheck // "signal: killed" is the point
		s, err := Open(session)
		must(t, err)
		put[round+1] = 0
		for id := uint32(1); id <= round+1; id++ {
			got, missing := collect(t, s, id)
			if len(missing) > 0 {
				t.Fatalf("round %d: run %d: missing %v", round, id, missing)
			}
			if id <= round && len(got) != put[id] {
				t.Errorf("round %d: run %d has %d requests, and had %d", round, id, len(got), put[id])
			}
			put[id] = len(got)
			if id == round+1 && len(got) < len(stamps) {
				if lost := stamps[len(stamps)-1] - stamps[len(got)]; lost > 2000 {
					t.Errorf("round %d: %d of %d requests were stored: %d ms are lost", round, len(got), len(stamps), lost)
				}
			}
		}
		runs := s.Runs()
		if len(runs) != int(round)+1 {
			t.Fatalf("round %d: %d runs", round, len(runs))
		}
		for _, run := range runs {
			if run.State != Broken || run.Why != whyDied || run.Ended.IsZero() && run.Began.Before(s.Info().Last) {
				t.Errorf("round %d: run %d is %s: %q", round, run.ID, run.State, run.Why)
			}
		}
		must(t, s.Close())
	}
}

func TestAHandOverGoesOnWithTheRequests(t *testing.T) {
	src := engine()
	opt := Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }}
	r := newTestRecorder(t, opt)
	all := served(rand.New(rand.NewPCG(1, 4)), 1, 50)
	must(t, r.PutRun(aRun(1, Draining, 0, 0)))
	must(t, r.PutRequests(all[:20]))
	drive(t, r, 0, 5)
	must(t, r.PutRequests(all[20:40])) // the tick that stores them never comes
	must(t, r.Detach())
	again, err := Resume(context.Background(), r.path, opt)
	must(t, err)
	holds(t, "the next recorder", again, 1, all[:40])
	if runs := again.Runs(); len(runs) != 1 || runs[0].State != Broken || runs[0].Why == "" || again.NextRun() != 2 {
		t.Errorf("the next recorder has %+v", runs)
	}
	must(t, again.PutRequests(all[40:]))
	path := again.path
	must(t, again.Close())
	s, err := Open(path)
	must(t, err)
	defer s.Close()
	holds(t, "the saved session", s, 1, all)
	if runs := s.Runs(); len(runs) != 1 || runs[0].State != Broken {
		t.Errorf("the saved session has %+v", runs)
	}
}

func TestASessionOfTheFirstFormatIsReadAndGoneOnWith(t *testing.T) {
	for _, name := range []string{"format1-ended.db", "format1-died.db"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		must(t, err)
		path := filepath.Join(t.TempDir(), "x"+Extension)
		must(t, os.WriteFile(path, b, 0o600))
		s, err := open(path)
		must(t, err)
		if got := one(t, s, "now", at(500)); got != 500 {
			t.Errorf("%s: now = %v", name, got)
		}
		if all, missing := collect(t, s, 0); len(all) > 0 || len(missing) > 0 || len(s.Runs()) != 0 {
			t.Errorf("%s: it has requests", name)
		}
		must(t, s.verify(context.Background(), func() {}))
		if tr := s.Info().Trouble; tr != "" {
			t.Errorf("%s: trouble %q", name, tr)
		}
		copied := filepath.Join(t.TempDir(), "copy"+Extension)
		must(t, Export(context.Background(), path, copied))
		if now, err := os.ReadFile(path); err != nil || string(now) != string(b) {
			t.Errorf("%s: reading changed it", name)
		}
		if name == "format1-died.db" {
			r, err := Resume(context.Background(), path, Options{})
			must(t, err)
			must(t, r.PutRun(aRun(1, Measuring, 0, 0)))
			must(t, r.PutRequests(served(rand.New(rand.NewPCG(1, 4)), 1, 3)))
			waitFor(t, func() bool { return r.Info().Trouble == "" && s.read() == nil && len(s.Runs()) == 1 })
			if all, _ := collect(t, r, 1); len(all) != 3 {
				t.Errorf("%d requests", len(all))
			}
			must(t, r.Close())
			if all, _ := collect(t, s, 1); len(all) != 3 {
				t.Errorf("who had it open when it was brought up to date has %d requests", len(all))
			}
		}
		must(t, s.Close())
	}
}
