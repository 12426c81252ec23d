package wire

import (
	"net"

	"pitwall/probes/request"
)

// records hands the bytes of a TLS connection up so that no Read crosses the end of a TLS record: crypto/tls reads ahead as much
// as it is given, and then nobody could say which segment a record had come with.
type records struct {
	net.Conn
	clock request.Clock
	in    *socket // nil: no stamps

	buf     []byte
	at, end int
	came    arrival // of buf
	last    arrival // of what the last Read gave

	head [5]byte // of the record that is passing
	seen int     // bytes of head
	left int     // bytes of its content that are still to come
}

// Read gives bytes of at most one record (RFC 8446, section 5.1: type, version, length, content).
func (r *records) Read(p []byte) (int, error) {
	if r.at == r.end {
		if r.buf == nil {
			r.buf = make([]byte, 8<<10)
		}
		n, err := r.receive()
		if err != nil || n == 0 {
			return 0, err
		}
		r.at, r.end = 0, n
	}
	n := copy(p, r.buf[r.at:r.end])
	n = r.pass(p[:n])
	r.at += n
	r.last = r.came
	r.last.behind = r.came.behind || r.at < r.end
	return n, nil
}

func (r *records) receive() (n int, err error) {
	if r.in != nil {
		n, r.came, err = r.in.read(r.buf)
		return n, err
	}
	n, err = r.Conn.Read(r.buf)
	r.came = arrival{at: r.clock.Now(), behind: n == len(r.buf)}
	return n, err
}

// pass follows the records through p, and gives how much of it lies before the end of the first.
func (r *records) pass(p []byte) int {
	n := copy(r.head[r.seen:], p)
	if r.seen += n; r.seen < len(r.head) {
		return n
	}
	if n > 0 { // the head has just become complete
		r.left = int(r.head[3])<<8 | int(r.head[4])
	}
	more := min(r.left, len(p)-n)
	if r.left -= more; r.left == 0 {
		r.seen = 0
	}
	return n + more
}
