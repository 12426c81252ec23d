package wire

import (
	"context"
	"errors"
	"os"
	"time"

	"pitwall/probes/request"
)

const (
	// look is how often a stream that says nothing is looked at. A connection that was reset in the moment in which its last
	// bytes were read does not make itself heard, and a limit that follows the last piece is only known then.
	look = 2 * time.Second
	// tail is how long after its end mark a stream may take to end as its framing says; after that its connection is closed.
	tail = 100 * time.Millisecond
	// lastLook is how long a read that comes after its limit may take.
	lastLook = 50 * time.Millisecond
	// stale is how soon after sending on a kept connection its end means that the server had closed it before. Later it is the
	// server that failed.
	stale = 100 * time.Millisecond
)

func (c *Conn) do(ctx context.Context, r *Request, each func(Piece)) (Exchange, error) {
	var x Exchange
	if r.Fresh || c.link != nil && !c.link.idle() {
		c.Close()
	}
	again := false
	for {
		kept := c.link != nil
		err := c.exchange(ctx, r, &x, each)
		if err == nil {
			return x, nil
		}
		c.Close()
		if x.End == 0 {
			x.End = c.to.Clock.Now()
		}
		if kept && !again && err.Class == request.Reset && x.FirstByte == 0 &&
			(x.Wrote == 0 || x.End.Sub(x.Sent) < stale) && ctx.Err() == nil {
			again = true
			x = Exchange{Retried: true}
			continue
		}
		return x, err
	}
}

// exchange does it once.
func (c *Conn) exchange(ctx context.Context, r *Request, x *Exchange, each func(Piece)) *Error {
	if ctx.Err() != nil {
		return &Error{request.Cancelled, context.Cause(ctx)}
	}
	if c.link == nil {
		if err := c.dial(ctx); err != nil {
			var e *Error
			errors.As(err, &e)
			return e
		}
		x.Opened, x.Connect = true, c.connect
	}
	link := c.link
	stop := context.AfterFunc(ctx, func() { link.Close() })
	a := &c.answer
	a.begin(r, x, each)
	c.send(r, a)
	c.receive(r, a)
	closed := !stop()
	a.settle()
	if a.err != nil {
		if closed {
			a.err = &Error{request.Cancelled, context.Cause(ctx)}
		}
		return a.err
	}
	if r.Fresh || !a.keep || a.stage != over || closed {
		c.Close()
	}
	return nil
}

// send writes the request. That the server closes while it is being written is no failure yet: it may have answered before it
// had read everything, as one that refuses a long prompt does.
func (c *Conn) send(r *Request, a *answer) {
	if r.FirstByteWithin > 0 || c.limited {
		var by time.Time
		if c.limited = r.FirstByteWithin > 0; c.limited {
			by = time.Now().Add(r.FirstByteWithin)
		}
		if err := c.link.SetWriteDeadline(by); err != nil {
			a.err = &Error{request.Reset, err}
			return
		}
	}
	a.x.Sent = c.to.Clock.Now()
	err := c.link.send(r.Head, r.Body)
	switch {
	case err == nil:
		a.x.Wrote = c.to.Clock.Now()
	case errors.Is(err, os.ErrDeadlineExceeded):
		a.err = fail(request.NoFirstByte, "the server did not take the whole request within %v", r.FirstByteWithin)
	case gone(err):
	default:
		a.err = &Error{request.Reset, err}
	}
}

// receive reads the answer. Limits are deadlines of the connection, set once and looked at again when they have passed: nothing
// is set anew for each piece.
func (c *Conn) receive(r *Request, a *answer) {
	every := look
	if r.StallWithin > 0 {
		every = min(every, max(r.StallWithin/4, 5*time.Millisecond))
	}
	var tailEnd request.Time
	last := false
	for a.err == nil && a.stage != over {
		now, wait := c.to.Clock.Now(), every
		var limit request.Time
		switch {
		case a.x.Done:
			if a.framing == untilClose {
				return
			}
			if tailEnd == 0 {
				tailEnd, last = now+request.Time(tail), false
			}
			limit = tailEnd
		case a.x.FirstByte == 0 && r.FirstByteWithin > 0:
			limit = a.x.Sent + request.Time(r.FirstByteWithin)
		case a.x.FirstByte != 0 && r.StallWithin > 0:
			limit = a.last + request.Time(r.StallWithin)
		}
		switch left := limit.Sub(now); {
		case limit == 0:
		case left > 0:
			wait, last = min(wait, left), false
		case !last:
			// What has come in time may lie there, and only this goroutine is late.
			wait, last = lastLook, true
		default:
			c.expired(r, a)
			return
		}
		err := c.link.SetReadDeadline(time.Now().Add(wait))
		if err == nil {
			err = c.link.pump(a)
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			a.closed(err)
			return
		}
	}
}

// expired words a limit that has passed.
func (c *Conn) expired(r *Request, a *answer) {
	switch {
	case a.x.Done: // the answer is complete, and only its framing is not
	case a.x.FirstByte == 0:
		a.err = fail(request.NoFirstByte, "no answer began within %v", r.FirstByteWithin)
	default:
		a.err = fail(request.Stalled, "the answer stalled: nothing came for %v, after %d bytes of it", r.StallWithin, a.x.Bytes)
	}
}
