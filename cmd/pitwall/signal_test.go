package main

import (
	"slices"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"pitwall/sessions"
)

// endRecorder kills a recorder that a script has left behind. The directory says whether this pid is still its recorder.
func endRecorder(dir string, ts *testscript.TestScript, pid int) {
	running, err := sessions.Running(ts.MkAbs(dir))
	if err == nil && slices.ContainsFunc(running, func(s sessions.Info) bool { return s.PID == pid }) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended in this moment
	}
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: signal SIGNAL PID")
	}
	signals := map[string]syscall.Signal{"0": 0, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}
	sig, known := signals[args[0]]
	pid, err := strconv.Atoi(args[1])
	if !known || err != nil || pid <= 1 {
		ts.Fatalf("signal %s %s: not a signal and a pid", args[0], args[1])
	}
	if err := syscall.Kill(pid, sig); (err != nil) != neg {
		ts.Fatalf("signal %s %d: %v", args[0], pid, err)
	}
}
