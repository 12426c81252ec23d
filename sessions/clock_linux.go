package sessions

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// readClocks asks the kernel. Go's own monotonic time is CLOCK_MONOTONIC, which stands still while a machine is suspended.
func readClocks() moment {
	m := moment{wall: time.Now()}
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
		m.boot = time.Duration(ts.Nano())
	}
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil {
		m.awake = time.Duration(ts.Nano())
	}
	return m
}

// bootID names this boot of the machine, empty where the kernel doesn't tell.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
