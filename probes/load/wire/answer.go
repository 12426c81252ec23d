package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"pitwall/probes/request"
	"pitwall/probes/stream"
)

// arrival is when what one read gave has come.
type arrival struct {
	at      request.Time
	late    time.Duration
	stamped bool
	behind  bool // more had come when it was read, so that at may be the arrival of that
}

// answer takes an answer apart as its bytes come: head, framing, events. It never waits and knows no connection; whoever reads
// puts the bytes into room and tells arrived.
//
// buf[at:body] is what was unpacked and not used yet. While the head is read it is buf[at:body] too.
type answer struct {
	buf      []byte
	at, body int
	looked   int // how much of the head has no end of it

	stage   stage
	framing framing
	left    int64 // of a body with a length
	chunks  chunks
	split   stream.Splitter
	events  bool // the body is a stream of events

	asked   bool // for a stream
	each    func(Piece)
	x       *Exchange
	lateSum time.Duration
	stamps  int
	last    request.Time // of the last arrival
	keep    bool         // the connection can be used again: the head did not say otherwise
	err     *Error

	lines *bufio.Reader // for heads
}

type stage uint8

const (
	inHead stage = iota
	inBody
	over
)

type framing uint8

const (
	untilClose framing = iota
	length
	chunked
)

const (
	// firstBuffer is a buffer's size to begin with; most events of a stream have some hundred bytes, and a late reader finds
	// several.
	firstBuffer = 8 << 10
	// maxHead is how many bytes a head may have.
	maxHead = 256 << 10
)

// begin makes it ready for the next answer, with the buffer of the last.
func (a *answer) begin(r *Request, x *Exchange, each func(Piece)) {
	*a = answer{buf: a.buf, lines: a.lines, asked: r.Stream, each: each, x: x}
	if len(a.buf) > 16*firstBuffer { // one long answer must not hold its memory for ever
		a.buf = nil
	}
}

// room is where the next bytes belong.
func (a *answer) room() []byte {
	switch {
	case a.buf == nil:
		a.buf = make([]byte, firstBuffer)
	case a.at == a.body:
		a.at, a.body = 0, 0
	case len(a.buf)-a.body < len(a.buf)/4 && a.at > 0:
		a.body = copy(a.buf, a.buf[a.at:a.body])
		a.at = 0
	}
	if len(a.buf)-a.body < len(a.buf)/4 {
		a.buf = append(a.buf, make([]byte, len(a.buf))...)
	}
	return a.buf[a.body:]
}

// arrived takes the n bytes that were put into room, and says whether whoever reads should stop: the answer is over, its end
// mark came, or it failed.
func (a *answer) arrived(n int, came arrival) (stop bool) {
	a.x.Reads++
	if came.stamped {
		a.stamps++
		a.lateSum += came.late
		a.x.LateMax = max(a.x.LateMax, came.late)
	}
	if a.x.FirstByte == 0 {
		a.x.FirstByte = came.at
	}
	a.last = came.at
	raw := a.buf[a.body : a.body+n]
	for a.stage == inHead {
		a.body += len(raw)
		n, ok := a.head()
		if !ok {
			return a.err != nil
		}
		raw = a.buf[a.at+n : a.body]
		a.at += n
		a.body = a.at // what follows is raw
		a.looked = 0
	}
	a.unpack(raw)
	a.use(came) // what came before broken framing, too
	if a.stage == over && a.x.End == 0 {
		a.x.End = came.at
	}
	return a.stage == over || a.x.Done || a.err != nil
}

// head reads the answer's head if all of it is there, and gives its length. A preliminary one (1xx) is passed over.
func (a *answer) head() (int, bool) {
	b := a.buf[a.at:a.body]
	n := headEnd(b, max(0, a.looked-3))
	a.looked = len(b)
	if n < 0 {
		if len(b) > maxHead {
			a.err = fail(request.Malformed, "the answer's head has more than %d KB", maxHead>>10)
		}
		return 0, false
	}
	if a.lines == nil {
		a.lines = bufio.NewReaderSize(nil, 1<<10)
	}
	a.lines.Reset(bytes.NewReader(b[:n]))
	h, err := http.ReadResponse(a.lines, &http.Request{Method: http.MethodPost})
	if err != nil {
		a.err = fail(request.Malformed, "what came is no HTTP/1.1 answer: %w", err)
		return 0, false
	}
	switch {
	case h.StatusCode == http.StatusSwitchingProtocols:
		a.err = fail(request.Malformed, "the server switched protocols unasked")
		return 0, false
	case h.StatusCode < 200:
		return n, true // and the stage is as before: another head follows
	}
	if e := h.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		a.err = fail(request.Malformed, "the answer is compressed (%.20q) though that was not asked for", e)
		return 0, false
	}
	a.x.Status, a.x.Header = h.StatusCode, h.Header
	a.stage, a.keep = inBody, !h.Close
	switch {
	case len(h.TransferEncoding) > 0: // ReadResponse knows no other than chunked
		a.framing = chunked
	case h.ContentLength >= 0:
		a.framing, a.left = length, h.ContentLength
		if a.left == 0 {
			a.stage = over
		}
	default:
		a.framing, a.keep = untilClose, false
	}
	kind := strings.ToLower(h.Header.Get("Content-Type"))
	a.events = h.StatusCode == http.StatusOK &&
		(strings.HasPrefix(kind, "text/event-stream") || a.asked && !strings.HasPrefix(kind, "application/json"))
	return n, true
}

// headEnd gives the length of the head that b begins with, or -1.
func headEnd(b []byte, from int) int {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return -1
		}
		from += i + 1
		switch rest := b[from:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return from + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return from + 2
		}
	}
}

// unpack takes the framing off raw, which lies in buf at or behind body, and moves what is in it to body. Where nothing is
// unused yet the first piece stays where it is.
func (a *answer) unpack(raw []byte) {
	for len(raw) > 0 && a.stage == inBody && a.err == nil {
		var data []byte
		switch a.framing {
		case untilClose:
			data, raw = raw, nil
		case length:
			n := min(a.left, int64(len(raw)))
			data, raw = raw[:n], raw[n:]
			if a.left -= n; a.left == 0 {
				a.stage = over
			}
		case chunked:
			var err error
			var end bool
			data, raw, end, err = a.chunks.next(raw)
			if err != nil {
				a.err = &Error{request.Malformed, err}
				return
			}
			if end {
				a.stage = over
			}
		}
		if len(data) == 0 {
			continue
		}
		a.x.Bytes += int64(len(data))
		if a.at == a.body {
			a.at = cap(a.buf) - cap(data)
			a.body = a.at + len(data)
		} else {
			a.body += copy(a.buf[a.body:], data)
		}
	}
	if len(raw) > 0 && a.stage == over {
		a.keep = false // what follows an answer that nobody asked for
	}
}

// use hands on what is complete.
func (a *answer) use(came arrival) {
	if !a.events {
		if a.x.Body = append(a.x.Body, a.buf[a.at:a.body]...); len(a.x.Body) > MaxBody {
			a.err = fail(request.Malformed, "the answer has more than %d MB", MaxBody>>20)
		}
		a.at = a.body
		return
	}
	for !a.x.Done {
		e, used, err := a.split.Next(a.buf[a.at:a.body])
		a.at += used
		if errors.Is(err, stream.ErrMore) {
			break
		}
		if err != nil {
			a.err = &Error{request.Malformed, err}
			return
		}
		if e.Kind == stream.Done {
			a.x.Done, a.x.End = true, came.at
		}
		if a.each == nil {
			continue
		}
		a.each(Piece{Event: e, At: came.at, Late: came.late, Merged: came.behind || more(a.buf[a.at:a.body]), Sent: a.x.Sent})
	}
	if a.body-a.at > stream.MaxEvent+firstBuffer {
		a.err = &Error{request.Malformed, stream.ErrTooLong}
	}
	if a.x.Done { // what follows is only read to be rid of it
		a.at = a.body
	}
	a.x.Events, a.x.Comments = a.split.Events(), a.split.Comments()
}

// more says whether there is more than ends of lines.
func more(b []byte) bool {
	for _, c := range b {
		if c != '\n' && c != '\r' {
			return true
		}
	}
	return false
}

// closed takes the end of the connection, which is the end of an answer that has no other.
func (a *answer) closed(err error) {
	switch {
	case a.stage == inBody && a.framing == untilClose && errors.Is(err, io.EOF):
		a.stage = over
	case a.stage == over, a.x.Done:
	case isTLS(err):
		a.err = fail(request.TLS, "TLS: %w", err)
	case a.x.FirstByte == 0:
		a.err = fail(request.Reset, "the server closed the connection without an answer: %w", err)
	case a.stage == inHead:
		a.err = fail(request.Reset, "the server closed the connection within the answer's head: %w", err)
	default:
		a.err = fail(request.Cut, "the server closed the connection in the middle of its answer: %w", err)
	}
}

// settle sums up.
func (a *answer) settle() {
	if a.err == nil && a.events && !a.x.Done {
		a.err = &Error{request.Cut, stream.ErrCut}
		if a.x.Events+a.x.Comments == 0 && a.x.Bytes > 0 {
			a.err = fail(request.Malformed, "the answer is no stream of events (Content-Type %.40q)", a.x.Header.Get("Content-Type"))
		}
	}
	a.x.Stamped = a.stamps > 0 && a.stamps == a.x.Reads
	if a.stamps > 0 {
		a.x.LateMean = a.lateSum / time.Duration(a.stamps)
	}
}
