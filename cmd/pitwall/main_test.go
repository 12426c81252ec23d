package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pitwall/probes/sim"
)

// asPitwall makes the test binary be pitwall, for tests that start it without a script. It stays set, because pitwall starts
// itself again to record in the background.
const asPitwall = "TEST_AS_PITWALL"

func TestMain(m *testing.M) {
	if os.Getenv(asPitwall) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"pitwall": main})
}

// The scripts in testdata are the specification of the command line; they run the real main. Beside testscript's own
// commands they have
//
//	simulate [quiet]          a simulated engine of this script's own; $ENGINE is its URL, $INSTANCE its host:port
//	eventually REGEXP CMD...  runs a command again and again until it succeeds and its stdout matches
//	pidof VAR SESSIONS_DIR    $VAR becomes the pid of the recorder that the directory has
//	signal NAME PID           sends a signal (0 asks whether it lives)
//	damage FILE               overwrites the middle of a file
//	faulty FILE               simulate quiet, with a schedule of faults
//	loaded DIR                a session with runs of load
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "data"))
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("TERM", "xterm-256color")
			e.Setenv("TZ", "UTC")
			// Port 1 is closed everywhere: without it a script would find whatever engine this machine happens to run.
			e.Setenv("PITWALL_ENGINE", "http://127.0.0.1:1")
			return os.MkdirAll(filepath.Join(e.WorkDir, "config", "pitwall"), 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"simulate":   simulate,
			"outside":    outside,
			"eventually": eventually,
			"pidof":      pidOf,
			"signal":     sendSignal,
			"damage":     damage,
			"loaded":     loaded,
			"faulty":     faulty,
		},
	})
}

func simulate(ts *testscript.TestScript, neg bool, args []string) {
	quiet := len(args) == 1 && args[0] == "quiet"
	if neg || len(args) > 1 || len(args) == 1 && !quiet {
		ts.Fatalf("usage: simulate [quiet]")
	}
	s, err := sim.Start(context.Background(), sim.Options{Seed: 1, Quiet: quiet})
	ts.Check(err)
	ts.Defer(func() { _ = s.Close() })
	ts.Setenv("ENGINE", s.URL())
	ts.Setenv("INSTANCE", instance(s.URL()))
	ts.Setenv("PITWALL_ENGINE", s.URL())
}

// patience is far more than anything here takes on a busy machine.
const patience = 20 * time.Second

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually REGEXP CMD ARGS...")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		out, err := quietly(ts, args[1:]...)
		if err == nil && want.Match(out) {
			return
		}
		if time.Since(start) > patience {
			ts.Fatalf("%q never matched: %v\n%s", args[0], err, out)
		}
	}
}

// quietly runs a command as the script would, without writing each try to its log.
func quietly(ts *testscript.TestScript, args ...string) ([]byte, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "TERM", "TZ", "PITWALL_ENGINE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	return cmd.Output()
}

func pidOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pidof VAR SESSIONS_DIR")
	}
	for start := time.Now(); time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		out, err := quietly(ts, "pitwall", "sessions", "--json", "--sessions", args[1])
		ts.Check(err)
		var lines []sessionLine
		ts.Check(json.Unmarshal(out, &lines))
		for _, l := range lines {
			if l.PID != 0 && l.ID != "" { // a file that was just made does not know its ID yet
				// A script that fails half way must not leave its recorder to the machine for ever.
				ts.Defer(func() { endRecorder(args[1], ts, l.PID) })
				ts.Setenv(args[0], strconv.Itoa(l.PID))
				ts.Setenv("SESSION", l.ID)
				return
			}
		}
	}
	ts.Fatalf("no recorder in %s", args[1])
}

func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage FILE")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	defer f.Close()
	st, err := f.Stat()
	ts.Check(err)
	for at := int64(0); at < st.Size(); at += 512 {
		_, err := f.WriteAt([]byte(fmt.Sprintf("%0256d", 0)), at)
		ts.Check(err)
	}
}
