package sessions

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrRecording is what errors.Is finds when a session already has a living recorder.
var ErrRecording = errors.New("another process is recording it")

// lockFile shows that a session has a living recorder: the kernel drops the lock with the process, however it ends. It is
// a file beside the session, because closing any descriptor of the session itself would drop SQLite's own locks.
type lockFile struct{ f *os.File }

func lockPath(session string) string { return strings.TrimSuffix(session, Extension) + ".lock" }

// lockTries is how often a lock is asked for, lockPause apart: whoever asks for the recorder holds it for a moment, too.
const (
	lockTries = 5
	lockPause = 10 * time.Millisecond
)

func lockSession(session string) (*lockFile, error) {
	for try := 1; ; try++ {
		l, err := tryLock(lockPath(session))
		switch {
		case err == nil && l != nil:
			return l, nil
		case err != nil && !errors.Is(err, unix.EWOULDBLOCK):
			return nil, fmt.Errorf("locking session: %w", err)
		case try == lockTries:
			return nil, fmt.Errorf("session %s: %w", session, ErrRecording)
		}
		time.Sleep(lockPause)
	}
}

// tryLock asks once; nil without an error when the file was removed by its former owner while it was asked for: who locks
// that one shuts nobody out.
func tryLock(path string) (*lockFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		mine, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
			f.Close()
			return nil, nil
		}
		// The new owner over the old one, and only then cut: a lock without an owner would look like no recorder.
		pid := strconv.Itoa(os.Getpid()) + "\n"
		if _, err = f.WriteAt([]byte(pid), 0); err == nil {
			err = f.Truncate(int64(len(pid)))
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &lockFile{f}, nil
}

func (l *lockFile) release() {
	if l != nil && l.f != nil {
		if l.holds() { // else what stands there is somebody else's
			os.Remove(l.f.Name())
		}
		l.f.Close()
		l.f = nil
	}
}

// recorderOf gives the process that records a session, 0 if none lives.
func recorderOf(session string) (pid int) {
	f, err := os.Open(lockPath(session))
	if err != nil {
		return 0
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return 0 // closing f gives it back
	}
	b, _ := io.ReadAll(io.LimitReader(f, 20))
	line, _, _ := strings.Cut(string(b), "\n")
	pid, _ = strconv.Atoi(strings.TrimSpace(line))
	return pid
}

// holds says whether the lock's file is still where others look for it.
func (l *lockFile) holds() bool {
	if l == nil || l.f == nil {
		return false
	}
	mine, err1 := l.f.Stat()
	there, err2 := os.Stat(l.f.Name())
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

// aloneLock is the lock of those who want to be the only recorder of something in a directory. It is taken before anything
// else, so that of two that start at the same moment one loses.
func aloneLock(dir, what string) (*lockFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil // nothing can be stored there: told elsewhere, and nobody is in the way
	}
	path := filepath.Join(dir, fmt.Sprintf("recorder-%08x.alone", checksum([]byte(what))))
	for range lockTries {
		l, err := tryLock(path)
		switch {
		case err == nil && l != nil:
			return l, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil, ErrRecording
		case err != nil:
			return nil, nil // as above
		}
	}
	return nil, ErrRecording
}
