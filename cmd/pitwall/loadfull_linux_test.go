package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pitwall/probes/sim"
	"pitwall/sessions"
)

// The disk fills up in the middle of a load: the load goes on and is reported, the end says that not all of it is stored, and
// what was stored opens.
func TestALoadOnADiskThatFillsUp(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can mount the small tmpfs that this needs; .ci runs as root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("SKIPPED: a tmpfs can't be mounted here: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH) //nolint:errcheck // it is a test's
	s, err := sim.Start(t.Context(), sim.Options{Seed: 1, Quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "load", "--engine", s.URL(), "--concurrency", "8", "--duration", "6s", "--input", "64", "--output", "16", "--sessions", dir)
	cmd.Env = append(os.Environ(), asPitwall+"=1", "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() //nolint:errcheck // it has ended, unless the test failed
	runs := func() []sessions.Run {
		files, _ := filepath.Glob(filepath.Join(dir, "*"+sessions.Extension))
		if len(files) != 1 {
			return nil
		}
		r, err := sessions.Open(files[0])
		if err != nil {
			return nil
		}
		defer r.Close()
		return r.Runs()
	}
	for start := time.Now(); len(runs()) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("no run was stored; it said %s", errs.String())
		}
	}
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for n := 4096; n > 0; {
		if _, err := ballast.Write(make([]byte, n)); err != nil {
			n /= 2
		}
	}
	ballast.Close()
	_ = cmd.Wait() // the code is looked at
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(errs.String(), "disk full") {
		t.Errorf("exit code %d, stderr %s; want %d and that the disk is full", code, errs.String(), exitFailed)
	}
	if !strings.Contains(out.String(), "0 failed, 0 cancelled") || !strings.Contains(out.String(), "exact: equal") {
		t.Errorf("the report is not of the whole load:\n%s", out.String())
	}
	os.Remove(ballast.Name())
	all := runs()
	if len(all) != 1 || all[0].State != sessions.Broken || all[0].Why == "" {
		t.Errorf("the session has the runs %+v, want one that is broken, and why", all)
	}
}
