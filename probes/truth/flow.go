package truth

import (
	"errors"
	"math"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"pitwall/probes/request"
)

// flow is one answer under way: what is written next, and when. It belongs to the pacer from add until done is closed.
type flow struct {
	server *Server
	plan   *Plan
	conn   *net.TCPConn
	raw    syscall.RawConn
	words  wording
	answer *Answer

	stream bool
	tokens int // that are to be sent
	fault  Fault
	keep   bool // the connection

	due   request.Time
	begin request.Time // when the first piece is due
	piece int          // the next one's number
	stage stage
	out   []byte       // what is being written
	rest  []byte       // what of it the socket had no room for
	stuck request.Time // since when
	write func(fd uintptr) bool
	wrote int
	err   error

	gone atomic.Bool // the client has closed, as far as its side of the connection goes
	done chan struct{}
}

type stage uint8

const (
	atStart stage = iota // nothing is sent
	atPieces
	atEnd  // only usage and end mark are left
	closes // the connection is closed next
	ended  // all is said, as soon as it is written
)

const (
	again   = time.Millisecond // after which a full socket is tried once more
	chokes  = time.Minute      // after which it is given up
	hangsUp = 5 * time.Millisecond
)

// start sets the first due.
func (f *flow) start() {
	f.begin = f.answer.Received + request.Time(f.plan.TTFT)
	if f.plan.Spread > 0 {
		_, part := math.Modf(float64(f.answer.N) * (math.Phi - 1))
		f.begin += request.Time(part * float64(f.plan.Spread))
	}
	if f.plan.Steps {
		gap := request.Time(f.plan.Gap)
		f.begin += (gap - f.begin%gap) % gap
	}
	f.due = f.begin
	f.answer.Fault = ""
	if f.fault.Trouble != "" {
		f.answer.Fault = f.fault.String()
	}
	early := f.stream && (f.plan.Head || f.plan.Role == RoleEarly && f.words.chat)
	switch {
	case f.fault.Trouble == Stall && f.fault.After == 0 && !early:
		f.due = maxTime
	case early:
		f.due = f.answer.Received
	case !f.stream:
		f.due += request.Time(f.pieces()-1) * request.Time(f.plan.Gap)
		f.stage = atEnd
	default:
		f.stage = atPieces
	}
}

func (f *flow) pieces() int { return (f.tokens + f.plan.Chunk - 1) / f.plan.Chunk }

// step does what is due, and says whether there is more to do. due is then when.
func (f *flow) step() bool {
	if len(f.rest) > 0 {
		return f.unchoke()
	}
	switch {
	case f.stage == closes:
		f.hangUp()
		return false
	case !f.stream:
		return f.whole()
	case f.stage == atStart:
		f.head()
		if f.plan.Role == RoleEarly && f.words.chat {
			f.role()
		}
		f.stage, f.due = atPieces, f.begin
		if f.fault.Trouble == Stall && f.fault.After == 0 {
			f.due = maxTime
		}
		_, ok := f.send(nil)
		return ok
	case f.stage == atPieces:
		return f.next()
	}
	f.answer.End = f.server.clock.Now()
	f.out = f.words.end(f.out[:0], f.answer.Tokens, f.fault.Trouble != Unmarked)
	_, ok := f.send(nil)
	return f.last(ok)
}

// last is the end, unless the socket had no room for it.
func (f *flow) last(ok bool) bool {
	f.stage = ended
	return ok && len(f.rest) > 0
}

// next writes the next piece, or does what goes wrong before it.
func (f *flow) next() bool {
	if f.answer.Head == 0 {
		f.head()
	}
	if f.piece == 0 && f.words.chat && f.answer.Role == 0 && f.plan.Role != RoleNone {
		f.role()
		if f.plan.Role == RoleApart {
			if _, ok := f.send(nil); !ok {
				return false
			}
		}
	}
	if f.fault.Trouble == Empty {
		return f.over()
	}
	if f.fault.Trouble != "" && f.piece == f.fault.After {
		switch f.fault.Trouble {
		case Cut, Reset:
			if _, ok := f.send(nil); !ok {
				return false
			}
			f.stage, f.due = closes, f.due+request.Time(hangsUp)
			return true
		case Unmarked, Short:
			return f.over()
		case Stall:
			f.due = maxTime
			_, ok := f.send(nil)
			return ok
		case Error:
			f.out = f.words.failure(f.out)
			return f.over()
		case Garbage:
			f.out = f.words.garbage(f.out)
		}
	}
	k := min(f.plan.Chunk, f.tokens-f.answer.Tokens)
	last := f.answer.Tokens+k == f.tokens
	short := f.fault.Trouble == Short && f.piece+1 == f.fault.After
	finish := ""
	switch {
	case short:
		finish = "stop"
	case last:
		finish = "length"
	}
	f.out = f.words.piece(f.out, f.answer.Tokens, k, finish)
	f.piece++
	f.answer.Tokens += k
	// Not the last due and a gap: a piece that was late must not make the next one late.
	f.due = f.begin + request.Time(f.piece)*request.Time(f.plan.Gap)
	if last {
		f.stage, f.due = atEnd, 0
	}
	f.answer.Chunks = append(f.answer.Chunks, Chunk{Tokens: k})
	_, ok := f.send(&f.answer.Chunks[len(f.answer.Chunks)-1])
	return ok
}

// over goes on to the end, once what is ready is written.
func (f *flow) over() bool {
	f.stage, f.due = atEnd, 0
	_, ok := f.send(nil)
	return ok
}

func (f *flow) head() {
	f.out = f.words.head(f.out, f.keep)
	f.answer.Head = f.server.clock.Now()
}

func (f *flow) role() {
	f.out = f.words.role(f.out)
	f.answer.Role = f.server.clock.Now()
}

// whole writes an answer that is no stream.
func (f *flow) whole() bool {
	switch f.fault.Trouble {
	case Stall:
		f.due = maxTime
		return true
	case Cut, Reset:
		f.stage, f.due = closes, 0
		return true
	case Short:
		f.tokens = min(f.tokens, max(1, f.fault.After))
	case Empty:
		f.tokens = 0
	}
	f.out = f.words.whole(f.out[:0], f.tokens, f.fault.Trouble, f.keep)
	f.answer.Tokens = f.tokens
	f.answer.Chunks = append(f.answer.Chunks, Chunk{Tokens: f.tokens})
	at, ok := f.send(&f.answer.Chunks[0])
	f.answer.Head, f.answer.End = at, at
	return f.last(ok)
}

// send writes what is in out, and puts the stamps on c where it is not nil.
func (f *flow) send(c *Chunk) (at request.Time, ok bool) {
	at = f.server.clock.Now()
	if len(f.out) == 0 {
		return at, true
	}
	ok = f.push(f.out)
	if c != nil {
		c.At, c.Took = at, f.server.clock.Now().Sub(at)
	}
	if f.out = f.out[:0]; len(f.rest) > 0 {
		f.answer.Choked = true
		f.server.counters.choked.Add(1)
		f.stuck, f.due = at, at+request.Time(again)
	}
	return at, ok
}

// push is one write, behind what had no room before; what does not fit is in rest. It is false when the connection is gone.
func (f *flow) push(b []byte) bool {
	if len(f.rest) > 0 {
		f.rest = append(f.rest, b...)
	} else {
		f.rest = b
	}
	if f.write == nil { // made once: a closure for each write would be garbage for each
		f.write = func(fd uintptr) bool {
			f.wrote, f.err = syscall.Write(int(fd), f.rest)
			return true
		}
	}
	if err := f.raw.Write(f.write); err != nil {
		f.wrote, f.err = 0, err
	}
	switch {
	case f.err == nil:
		f.rest = f.rest[f.wrote:]
	case errors.Is(f.err, syscall.EAGAIN), errors.Is(f.err, syscall.EINTR):
	default:
		f.answer.Left = true
		f.rest, f.keep = nil, false
		f.conn.Close()
		return false
	}
	if len(f.rest) > 0 {
		f.rest = append([]byte(nil), f.rest...) // b is used again
	}
	return true
}

// unchoke tries what had no room once more, and then goes on as it would have.
func (f *flow) unchoke() bool {
	if !f.push(nil) {
		return false
	}
	now := f.server.clock.Now()
	if len(f.rest) > 0 {
		if now.Sub(f.stuck) > chokes {
			f.answer.Left, f.keep = true, false
			f.conn.Close()
			return false
		}
		f.due = now + request.Time(again)
		return true
	}
	if f.due = 0; f.stage == atPieces {
		f.due = f.begin + request.Time(f.piece)*request.Time(f.plan.Gap)
	}
	return f.stage != ended
}

// hangUp closes the connection as the fault says.
func (f *flow) hangUp() {
	if f.fault.Trouble == Reset {
		_ = f.conn.SetLinger(0)
	}
	f.keep = false
	f.conn.Close()
}

// finish writes down what happened, and gives the connection back.
func (f *flow) finish() {
	f.server.counters.end(f)
	f.server.keep(f.answer)
	if !f.keep {
		f.conn.Close()
	}
	close(f.done)
}

// abandon ends it without a word: the server is closing.
func (f *flow) abandon() {
	f.answer.Left = true
	f.finish()
}
