// Package wire sends one request over one connection and stamps what comes back: the hot path of a load client.
//
// In goes an endpoint, and a request whose bytes are ready. Out come the pieces of the answer, each event of a stream with the
// time at which the *kernel* received it, and in the end an Exchange: when what was sent and came, what the answer's head was,
// and, where it failed, an Error with its class. One goroutine does it all, on one connection that is kept for the next request:
// nothing is handed from goroutine to goroutine, and nothing is allocated for a piece.
//
// Times. Sent is taken just before the first byte is handed to the kernel, on a connection that stands already. On Linux each
// read asks the kernel when the bytes came (SO_TIMESTAMPNS), so that a goroutine that gets its turn late, on a host whose cores
// all work, reports the arrival all the same and its own lateness beside it. The stamp is of the last segment that the read
// consumed, and what waits in a socket the kernel has joined to one segment with the last one's stamp: when several pieces lie
// ready they have one stamp, right for the last of them and too late for those before it, which are marked as merged. With TLS
// the stamps are those of the segments that carried the records. On other systems, and where the kernel gives no stamp, a piece
// came when its read returned; Exchange.Stamped says which it is.
//
// What it will not do: make requests' bodies, decode JSON, follow redirects, speak HTTP/2, ask a proxy, decompress, store, or
// retry anything but a kept connection that the server had closed meanwhile. The number of tokens in a piece is counted by
// package tokens, beside this one.
package wire

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"pitwall/probes/request"
	"pitwall/probes/stream"
)

// Endpoint is where to: what all connections of a client have in common. It is read only, and may be shared.
type Endpoint struct {
	// Address is host and port, as net.Dial takes them.
	Address string
	// TLS, where it is not nil, makes connections secure. An empty ServerName becomes Address's host. HTTP/1.1 is all
	// that is offered.
	TLS *tls.Config
	// Clock gives the times.
	Clock request.Clock
	// ConnectWithin is how long connecting may take, name look-up and TLS included; zero is 10 s.
	ConnectWithin time.Duration
	// ReadTimes takes the time after the read as a piece's arrival even where the kernel would stamp it: for comparisons.
	ReadTimes bool
}

// Request is one request, its bytes ready. It is read only, and may be sent many times at once.
type Request struct {
	// Head is the request line and all headers with the empty line behind them, Body what follows. See Head, the function.
	Head, Body []byte
	// Fresh asks for a connection of its own: a kept one is closed first, and this one is not kept.
	Fresh bool
	// Stream says that the answer was asked for as a stream: one of status 200 is then read as events unless its
	// Content-Type is JSON. Where it is false, only one of Content-Type text/event-stream is.
	Stream bool
	// FirstByteWithin is how long after Sent the answer must begin, StallWithin how long there may be silence after that; the
	// zero of either is no limit. It is never noticed early, and at most a quarter of StallWithin or 2 s too late.
	FirstByteWithin, StallWithin time.Duration
}

// Piece is one event of a stream.
type Piece struct {
	// Event is the event; its Data is valid until the function that was given it returns.
	stream.Event
	// At is when its last byte came.
	At request.Time
	// Late is how much later the goroutine read it; zero where At is the time of reading itself.
	Late time.Duration
	// Merged is set when At may be the arrival of a later piece.
	Merged bool
	// Sent is when the request was, as in Exchange.
	Sent request.Time
}

// Exchange is what one request and its answer were. Times that did not happen are zero.
type Exchange struct {
	// Connect is how long connecting took, zero on a kept connection. Opened is whether it got a new one.
	Connect time.Duration
	Opened  bool
	// Retried is whether a kept connection turned out to be closed by the server, and the request was sent again on a new one.
	// All times are of the second sending.
	Retried bool
	// Sent is just before the first byte was written, Wrote after the last, FirstByte when the answer's first byte came, End
	// when it was over: the stream's end mark or the answer's last byte came, or it was given up.
	Sent, Wrote, FirstByte, End request.Time

	// Status and Header are of the answer's head; Status is zero without one.
	Status int
	Header http.Header
	// Body is the answer where it was no stream of events, at most MaxBody bytes of it.
	Body []byte
	// Events is how many events came, Comments how many comment lines between them, Bytes how many bytes of an answer's body.
	Events, Comments int
	Bytes            int64
	// Done is whether the end mark of a stream came.
	Done bool

	// Stamped is whether all arrivals are the kernel's stamps. LateMean and LateMax are how much later than they came this
	// goroutine read them, over Reads reads.
	Stamped           bool
	LateMean, LateMax time.Duration
	Reads             int
}

// MaxBody is how many bytes of an answer that is no stream are kept; a longer one is an error.
const MaxBody = 32 << 20

// NewConn gives a connection that is made when it is first needed.
func NewConn(to *Endpoint) *Conn { return &Conn{to: to} }

// Do sends a request and reads the answer to its end, giving each event of a stream to each as soon as it is read. What it
// returns with an error is as far as it came; the error is always an *Error. A status other than 200 is no error here.
// Afterwards the connection is kept if it can be: the answer ended as its head said, neither side asked for a close. Cancelling
// ctx closes the connection at once.
func (c *Conn) Do(ctx context.Context, r *Request, each func(Piece)) (Exchange, error) {
	return c.do(ctx, r, each)
}
