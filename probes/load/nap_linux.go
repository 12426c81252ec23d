package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// nap sleeps for a short time in the kernel, some 60 µs too long (the timer slack of a thread). A signal may end it early: then
// it goes on.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	for unix.Nanosleep(&ts, &ts) == unix.EINTR {
	}
}
