package sessions

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pitwall/probes"
	probe "pitwall/probes/engine"
	"pitwall/probes/sim"
)

// recordUntilKilled is a recorder as another process: of a simulated engine over HTTP and of a large box. It says on its
// output what it would show on a screen: the file, then every tick that it has.
func recordUntilKilled(dir, session, url string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	w, err := probe.Open(probe.Options{URLs: []string{url}, NoExporters: true})
	if err != nil {
		fail(err)
	}
	load, count := box(1500, 500, 100), 0
	stamp := &page{job: "stamp", instance: "i", read: func(int) probes.Reading {
		count++
		return probes.Reading{Samples: []probes.Sample{sample(float64(time.Now().UnixMilli()), "__name__", "stamp"), sample(float64(count), "__name__", "count")}}
	}}
	o := Options{Dir: dir, Sources: func() []probes.Source { return append(w.Sources(), load, stamp) }}
	var r *Recorder
	if session == "" {
		r, err = Record(context.Background(), o)
	} else {
		r, err = Resume(context.Background(), session, o)
	}
	if err != nil {
		fail(err)
	}
	if i := r.Info(); i.Recording != RecordingHere {
		fail(fmt.Errorf("%s: %s", i.Recording, i.Trouble))
	}
	fmt.Println(r.path)
	for seen := uint64(0); ; time.Sleep(5 * time.Millisecond) {
		if v := r.Version(); v != seen {
			seen = v
			if _, last := r.Bounds(); !last.IsZero() {
				fmt.Println(last.UnixMilli())
			}
		}
	}
}

// A recorder under load is killed with -9 at random moments, and now and then another one goes on with its session: of what
// it had acknowledged, on its screen, never more than two seconds are missing, and there is never a file that doesn't open.
func TestKillsAtRandomMomentsLoseTwoSecondsAtMost(t *testing.T) {
	kills := 6
	if s := os.Getenv("PITWALL_KILLS"); s != "" {
		if kills, _ = strconv.Atoi(s); kills <= 0 {
			t.Fatalf("PITWALL_KILLS=%s is not a number of kills", s)
		}
	}
	server, err := sim.Start(t.Context(), sim.Options{Seed: 7})
	must(t, err)
	defer server.Close()
	var worst, done, resumed atomic.Int64
	const lanes = 3 // at once, so that they are in each other's way
	t.Run("lanes", func(t *testing.T) {
		for lane := range lanes {
			t.Run(strconv.Itoa(lane), func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(uint64(lane), uint64(time.Now().UnixNano())))
				dir, session := t.TempDir(), ""
				for n := lane; n < kills; n += lanes {
					if rng.IntN(3) == 0 {
						session = ""
					} else if session != "" {
						resumed.Add(1)
					}
					session = killOnce(t, rng, dir, session, server.URL(), &worst)
					done.Add(1)
				}
			})
		}
	})
	t.Logf("%d kills, %d of sessions that had been gone on with; at most %d ms of what was acknowledged were lost", done.Load(), resumed.Load(), worst.Load())
}

func killOnce(t *testing.T, rng *rand.Rand, dir, session, url string, worst *atomic.Int64) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PITWALL_TEST_KILLED_IN="+dir, "PITWALL_TEST_SESSION="+session, "PITWALL_TEST_ENGINE="+url)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewReader(out)
	path, err := lines.ReadString('\n')
	if err != nil {
		cmd.Process.Kill() //nolint:errcheck // it has ended
		cmd.Wait()         //nolint:errcheck // as above
		t.Fatalf("the recorder said nothing: %v, %s", err, said.String())
	}
	path = strings.TrimSpace(path)
	// The moment is any: before the first tick, in the middle of a commit, at the border of a block.
	time.AfterFunc(time.Duration(rng.IntN(3000))*time.Millisecond, func() { cmd.Process.Kill() }) //nolint:errcheck // Wait tells
	rest, _ := io.ReadAll(lines)
	cmd.Wait() //nolint:errcheck // "signal: killed" is the point
	var acknowledged, begun int64
	all := strings.Split(string(rest), "\n")
	for _, line := range all[:len(all)-1] { // the last one is cut
		if ms, err := strconv.ParseInt(line, 10, 64); err == nil {
			if acknowledged = ms; begun == 0 {
				begun = ms
			}
		}
	}
	s, err := Open(path)
	if err != nil {
		t.Fatalf("after a kill the session can't be opened: %v", err)
	}
	defer s.Close()
	first, last := s.Bounds()
	if tr := s.Info().Trouble; tr != "" || first.After(last) {
		t.Errorf("after a kill: %s … %s, %s", first, last, tr)
	}
	if acknowledged != 0 {
		lost := acknowledged - msOf(last)
		if last.IsZero() { // it was killed before anything of it was stored
			lost = acknowledged - begun + Tick.Milliseconds()
		}
		for old := worst.Load(); lost > old && !worst.CompareAndSwap(old, lost); old = worst.Load() {
		}
		if lost > 2000 {
			t.Errorf("%d ms of what was acknowledged are missing", lost)
		}
	}
	if last.IsZero() {
		return path
	}
	// What is there is right: every reading is stamped with the second in which it was taken.
	res, err := s.QueryRange(context.Background(), "last_over_time(stamp[1s])", first, last, time.Second, Scope{})
	must(t, err)
	for _, series := range res.Matrix() {
		for _, p := range series.Floats {
			if d := p.F - float64(p.T); d < -1000 || d > 20_000 {
				t.Errorf("at %d a reading of %.0f ms before", p.T, -d)
			}
		}
	}
	return path
}
