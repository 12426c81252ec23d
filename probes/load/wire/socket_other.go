//go:build !linux

package wire

import (
	"io"
	"net"
)

// socket would read with stamps; this system has none that can be asked for, so that none is ever made.
type socket struct{}

func (*socket) read([]byte) (int, arrival, error) { return 0, arrival{}, net.ErrClosed }

func (*socket) open() bool { return true }

func stamped(*Endpoint, net.Conn) *socket { return nil }

// plainLink is a connection without TLS.
func plainLink(to *Endpoint, conn net.Conn) link { return &reading{Conn: conn, clock: to.Clock} }

// KeepStamps has nothing to keep where there are none.
func KeepStamps() (io.Closer, error) { return io.NopCloser(nil), nil }
