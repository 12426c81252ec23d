package wire

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"pitwall/probes/request"
)

// Conn is one connection to an endpoint, used by one goroutine at a time.
type Conn struct {
	to      *Endpoint
	link    link          // nil: not connected
	connect time.Duration // how long that took
	limited bool          // a write deadline is set
	answer  answer
}

// link is a connection that stands.
type link interface {
	// pump reads into the answer until that is over or has something to say; the error is the connection's.
	pump(a *answer) error
	// send writes one part behind the other.
	send(head, body []byte) error
	// idle says whether nothing has happened on a kept connection, as far as can be told without waiting.
	idle() bool
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	Close() error
}

// Close closes the connection, if there is one. It may be used again afterwards.
func (c *Conn) Close() {
	if c.link != nil {
		c.link.Close()
		c.link, c.limited = nil, false
	}
}

// connectWithin is Endpoint.ConnectWithin's default.
const connectWithin = 10 * time.Second

// dial makes the connection.
func (c *Conn) dial(ctx context.Context) error {
	from := c.to.Clock.Now()
	limit := c.to.ConnectWithin
	if limit <= 0 {
		limit = connectWithin
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(within, "tcp", c.to.Address)
	if err != nil {
		return dialFailure(ctx, err)
	}
	c.link = plainLink(c.to, conn)
	if c.to.TLS != nil {
		if c.link, err = secureLink(within, c.to, conn); err != nil {
			c.link = nil
			conn.Close()
			return tlsFailure(ctx, err)
		}
	}
	c.connect = c.to.Clock.Now().Sub(from)
	return nil
}

// reading is a link whose arrivals are the times after the reads.
type reading struct {
	net.Conn
	clock request.Clock
}

func (l *reading) pump(a *answer) error {
	for {
		room := a.room()
		n, err := l.Read(room)
		if n > 0 && a.arrived(n, arrival{at: l.clock.Now(), behind: n == len(room)}) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *reading) send(head, body []byte) error { return send(l.Conn, head, body) }

// idle cannot tell.
func (l *reading) idle() bool { return true }

// send writes head and body, in one system call where conn is a TCP connection.
func send(conn net.Conn, head, body []byte) error {
	parts := net.Buffers{head, body}
	_, err := parts.WriteTo(conn)
	return err
}

// secureLink puts TLS on a connection, over a reader that knows when each record came.
func secureLink(ctx context.Context, to *Endpoint, conn net.Conn) (link, error) {
	config := to.TLS.Clone()
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(to.Address)
		if err != nil {
			return nil, err
		}
		config.ServerName = host
	}
	under := &records{Conn: conn, clock: to.Clock, in: stamped(to, conn)}
	over := tls.Client(under, config)
	if err := over.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return &secure{Conn: over, under: under}, nil
}

// secure is a link with TLS.
type secure struct {
	*tls.Conn
	under *records
}

func (l *secure) pump(a *answer) error {
	for {
		n, err := l.Read(a.room())
		if n > 0 && a.arrived(n, l.under.last) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// send puts a small request into one record.
func (l *secure) send(head, body []byte) error {
	if len(head)+len(body) <= 16<<10 {
		head, body = append(append(make([]byte, 0, len(head)+len(body)), head...), body...), nil
	}
	_, err := l.Write(head)
	if err == nil && len(body) > 0 {
		_, err = l.Write(body)
	}
	return err
}

func (l *secure) idle() bool { return l.under.in == nil || l.under.in.open() }

// Close closes the connection below: waiting for a peer that does not read, to tell it that it will be closed, helps nobody.
func (l *secure) Close() error { return l.under.Conn.Close() }
