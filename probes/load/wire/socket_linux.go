package wire

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pitwall/probes/request"
)

// socket reads a TCP connection with the kernel's receive stamps.
type socket struct {
	*net.TCPConn
	raw   syscall.RawConn
	clock request.Clock
	// offset is the wall clock minus Clock, as it was at the last read: what turns a stamp into a Time.
	offset int64
	// told is whether the kernel tells how much is left after a read (TCP_INQ, Linux 4.18). Then a read that left nothing
	// needs no second one to learn that nothing is there: half the system calls of a stream.
	told    bool
	control [64]byte
	// header and vector are recvmsg's arguments; kept, because it is called for every piece.
	header unix.Msghdr
	vector unix.Iovec

	answer *answer // that pump reads into
	err    error   // that ended it
	step   func(fd uintptr) bool
}

// stamped gives a socket, or nil where there are no stamps to be had.
func stamped(to *Endpoint, conn net.Conn) *socket {
	tcp, ok := conn.(*net.TCPConn)
	if !ok || to.ReadTimes {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{TCPConn: tcp, raw: raw, clock: to.Clock}
	var stamps, inq error
	if err := raw.Control(func(fd uintptr) {
		stamps = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		inq = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_INQ, 1)
	}); err != nil || stamps != nil {
		return nil
	}
	s.told = inq == nil
	s.offset = s.sample()
	s.step = s.ready
	return s
}

// KeepStamps makes the kernel stamp what it receives, until the closer is closed. It does so anyway while any socket asks for it,
// but begins some tens of milliseconds after the first one has: whoever wants the first arrivals stamped too calls this early, and keeps
// it for as long as there may be a moment without connections.
func KeepStamps() (io.Closer, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("asking the kernel for receive stamps: %w", os.NewSyscallError("socket", err))
	}
	f := os.NewFile(uintptr(fd), "receive stamps")
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		f.Close()
		return nil, fmt.Errorf("asking the kernel for receive stamps: %w", os.NewSyscallError("setsockopt", err))
	}
	return f, nil
}

// plainLink is a connection without TLS.
func plainLink(to *Endpoint, conn net.Conn) link {
	if s := stamped(to, conn); s != nil {
		return s
	}
	return &reading{Conn: conn, clock: to.Clock}
}

func (s *socket) send(head, body []byte) error { return send(s.TCPConn, head, body) }

// pump stays inside one RawRead for as long as it can: the runtime forgets that a descriptor was ready when a RawRead begins,
// so that each has to try a read first, and that would be in vain for every piece of a stream.
func (s *socket) pump(a *answer) error {
	s.answer, s.err = a, nil
	err := s.raw.Read(s.step)
	s.answer = nil
	if s.err != nil {
		return s.err
	}
	return err
}

// ready is called when there may be something to read; false means wait.
func (s *socket) ready(fd uintptr) bool {
	for {
		room := s.answer.room()
		n, came, left, err := s.receive(fd, room)
		switch {
		case err == unix.EAGAIN:
			return false
		case err != nil:
			s.err = os.NewSyscallError("recvmsg", err)
			return true
		case n == 0:
			s.err = io.EOF
			return true
		}
		if s.answer.arrived(n, came) {
			return true
		}
		if left == 0 {
			return false
		}
	}
}

// read is a Read with the time.
func (s *socket) read(p []byte) (n int, came arrival, err error) {
	rawErr := s.raw.Read(func(fd uintptr) bool {
		n, came, _, err = s.receive(fd, p)
		return err != unix.EAGAIN
	})
	switch {
	case rawErr != nil:
		return 0, came, rawErr
	case err != nil:
		return 0, came, os.NewSyscallError("recvmsg", err)
	case n == 0:
		return 0, came, io.EOF
	}
	return n, came, nil
}

// receive is one recvmsg, again when a signal has come between. left is how much is still to be read, 1 also where the other
// side has closed, and -1 where the kernel does not say; it never says 0 to one who would wait in vain for the end (tcp_inq_hint).
func (s *socket) receive(fd uintptr, p []byte) (n int, came arrival, left int, err error) {
	for {
		n, err = s.recvmsg(fd, p)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || n <= 0 {
		return n, came, -1, err
	}
	now := time.Now()
	stamp, left := messages(s.control[:s.header.Controllen])
	came = s.arrival(now, stamp)
	came.behind = left > 1 || left < 0 && n == len(p)
	return n, came, left, nil
}

// recvmsg fills p and control. It is the system call alone, since it never waits: unix.Recvmsg tells the scheduler each time that it
// may, and makes room for the sender's address, at every piece of a stream. p is not empty.
func (s *socket) recvmsg(fd uintptr, p []byte) (int, error) {
	s.vector.Base = &p[0]
	s.vector.SetLen(len(p))
	s.header = unix.Msghdr{Iov: &s.vector, Control: &s.control[0]}
	s.header.SetIovlen(1)
	s.header.SetControllen(len(s.control))
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&s.header)), unix.MSG_DONTWAIT)
	s.vector.Base = nil
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// open says whether the other side has not closed and nothing has come unasked.
func (s *socket) open() bool {
	open := false
	if err := s.raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		open = err == unix.EAGAIN || err == unix.EINTR
	}); err != nil {
		return false
	}
	return open
}

func (s *socket) idle() bool { return s.open() }

// messages reads the control messages: the stamp in nanoseconds since 1970, 0 where there is none, and what is left, -1 likewise.
func messages(b []byte) (stamp int64, left int) {
	left = -1
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		size := int(h.Len)
		if size < unix.SizeofCmsghdr || size > len(b) {
			return stamp, left
		}
		data := b[unix.CmsgLen(0):size]
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			stamp = (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
		case h.Level == unix.SOL_TCP && h.Type == unix.TCP_INQ && len(data) >= 4:
			left = int(*(*int32)(unsafe.Pointer(&data[0])))
		}
		b = b[min(len(b), unix.CmsgSpace(size-unix.CmsgLen(0))):]
	}
	return stamp, left
}

// Bounds of the mapping. Both clocks are slewed alike, so that their offset changes only when the wall clock is set.
const (
	// jitter is by how much two samples of the offset may differ without a second look: this goroutine's thread may have lost
	// its core between the readings of the two clocks.
	jitter = 20 * int64(time.Microsecond)
	// step is what makes a change of the offset one of the wall clock: a stamp taken about then has an unknown offset.
	step = int64(time.Millisecond)
)

// arrival maps a stamp of the wall clock to a Time, with the offset between the two as it is now.
func (s *socket) arrival(now time.Time, stamp int64) arrival {
	read := s.clock.Of(now)
	if stamp == 0 {
		return arrival{at: read}
	}
	offset, sure := now.UnixNano()-int64(read), true
	if d := offset - s.offset; d > jitter || d < -jitter {
		offset = s.sample()
		d = offset - s.offset
		sure = d < step && d > -step
		s.offset = offset
	} else {
		offset = s.offset
	}
	late := int64(read) - (stamp - offset)
	switch {
	case !sure, late < -step:
		return arrival{at: read}
	case late < 0:
		late = 0
	}
	return arrival{at: read - request.Time(late), late: time.Duration(late), stamped: true}
}

// sample reads both clocks, several times if that takes long, and gives the offset.
func (s *socket) sample() (offset int64) {
	best := int64(1 << 62)
	for range 5 {
		from := s.clock.Now()
		wall := time.Now().UnixNano()
		to := s.clock.Now()
		if took := int64(to - from); took < best {
			best, offset = took, wall-(int64(from)+took/2)
		}
		if best < jitter/20 {
			break
		}
	}
	return offset
}
