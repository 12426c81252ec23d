package main

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestOnlyARecorderWithoutATerminalIsAskedForItsSession(t *testing.T) {
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	if err := askToLetGo(other.Process.Pid); err == nil || !strings.Contains(err.Error(), "another console") {
		t.Errorf("got %v, want that it is another console's", err)
	}
	if err := syscall.Kill(other.Process.Pid, 0); err != nil {
		t.Errorf("it did not survive the question: %v", err)
	}
}
