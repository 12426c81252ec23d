//go:build !linux

package truth

import (
	"net"

	"pitwall/probes/request"
)

// stamps reads a connection and remembers when its bytes came: when the read returned, as there is no better time here.
type stamps struct {
	conn        *net.TCPConn
	clock       request.Clock
	first, last request.Time
	of          bool
}

func newStamps(c *net.TCPConn, clock request.Clock) (*stamps, error) {
	return &stamps{conn: c, clock: clock}, nil
}

func (s *stamps) forget() { s.first, s.last, s.of = 0, 0, false }

func (s *stamps) Read(p []byte) (int, error) {
	n, err := s.conn.Read(p)
	if n > 0 {
		if s.last = s.clock.Now(); s.first == 0 {
			s.first = s.last
		}
	}
	return n, err
}
