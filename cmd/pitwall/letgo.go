package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// letGoSignal asks pitwall record to let go of its session, so that a console can go on with it.
const letGoSignal = syscall.SIGUSR1

// letGoWithin is how long a recorder may take to let go: it stores what it has first.
const letGoWithin = 10 * time.Second

// askToLetGo asks a recorder without a terminal for its session. Any other process is left alone: to a console the signal would
// be the end of it.
func askToLetGo(pid int) error {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return fmt.Errorf("the recorder (pid %d) can't be looked at, so it is not asked for its session: %w", pid, err)
	}
	args := bytes.Split(bytes.TrimRight(line, "\x00"), []byte{0})
	if !slices.ContainsFunc(args, func(a []byte) bool { return string(a) == "record" }) {
		return fmt.Errorf("another console (pid %d) records this session: leave that one first", pid)
	}
	if err := syscall.Kill(pid, letGoSignal); err != nil {
		return fmt.Errorf("asking the recorder (pid %d) for its session: %w", pid, err)
	}
	return nil
}
