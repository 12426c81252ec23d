package truth

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// alarm waits until a moment or until it is rung, to some microseconds: the runtime's own timers are good to a millisecond on an
// idle machine. wait must always be called by the same goroutine.
type alarm struct {
	fd     int
	locked bool
}

func newAlarm() (*alarm, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("truth server: eventfd: %w", err)
	}
	return &alarm{fd: fd}, nil
}

// wait returns after d, or when rung; a negative d is for ever.
func (a *alarm) wait(d time.Duration) {
	if !a.locked {
		// The slack with which the kernel may join timers is the thread's, so this goroutine keeps its thread.
		runtime.LockOSThread()
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it waits are up to 50 µs longer
		a.locked = true
	}
	var limit *unix.Timespec
	if d >= 0 {
		t := unix.NsecToTimespec(int64(d))
		limit = &t
	}
	fds := []unix.PollFd{{Fd: int32(a.fd), Events: unix.POLLIN}}
	if n, err := unix.Ppoll(fds, limit, nil); n > 0 && err == nil {
		var b [8]byte
		_, _ = unix.Read(a.fd, b[:])
	}
}

func (a *alarm) ring() {
	one := [8]byte{1}
	if _, err := unix.Write(a.fd, one[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
		panic(fmt.Sprintf("truth server: eventfd: %v", err)) // it is our own, and open
	}
}

// close is for when nobody waits or rings any more. The goroutine that waited ends with its thread.
func (a *alarm) close() { unix.Close(a.fd) }
