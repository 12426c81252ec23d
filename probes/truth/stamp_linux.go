package truth

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pitwall/probes/request"
)

// stamps reads a connection and remembers when its bytes came, by the kernel's stamps.
type stamps struct {
	raw     syscall.RawConn
	clock   request.Clock
	stamped bool
	control [64]byte

	// first and last are when the first and the last bytes since forget came, zero if none did; of is whether the kernel said so.
	first, last request.Time
	of          bool
}

func newStamps(c *net.TCPConn, clock request.Clock) (*stamps, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &stamps{raw: raw, clock: clock}
	err = raw.Control(func(fd uintptr) {
		s.stamped = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) == nil
	})
	return s, err
}

func (s *stamps) forget() { s.first, s.last, s.of = 0, 0, s.stamped }

// Read is a recvmsg.
func (s *stamps) Read(p []byte) (n int, err error) {
	var oobn int
	rawErr := s.raw.Read(func(fd uintptr) bool {
		for {
			n, oobn, _, _, err = unix.Recvmsg(int(fd), p, s.control[:], unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	switch {
	case rawErr != nil:
		return 0, rawErr
	case err != nil:
		return 0, os.NewSyscallError("recvmsg", err)
	case n == 0:
		return 0, io.EOF
	}
	now := time.Now()
	at := s.clock.Of(now)
	if stamp := stampOf(s.control[:oobn]); stamp != 0 {
		// The wall clock minus our clock, from one reading of both; a stamp cannot be later than its reading.
		at -= request.Time(max(0, now.UnixNano()-stamp))
	} else {
		s.of = false
	}
	if s.last = at; s.first == 0 {
		s.first = at
	}
	return n, nil
}

// stampOf finds SCM_TIMESTAMPNS among control messages: nanoseconds since 1970, or 0.
func stampOf(b []byte) int64 {
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return (*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Nano()
		}
	}
	return 0
}
