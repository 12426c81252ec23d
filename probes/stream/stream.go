// Package stream reads the server-sent events of an LLM server's streaming answer, as fast as they come and no faster than
// they are understood.
//
// In goes the body of one answer, whatever pieces the network makes of it. Out come its events, one by one: the bytes of
// the data, whether that data is an error or the end mark, and how many bytes and comments went by. It follows the
// specification (https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6) with all three line ends, a
// byte order mark and data of several lines. It does not decode JSON, takes no times and makes no requests: the one who
// reads does that. And it never takes the end of the connection for the end of the answer: a stream without its end mark
// ends with ErrCut.
package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Kind is what an event is, as far as it can be told without decoding it.
type Kind uint8

const (
	// Data is a chunk of the answer, or whatever else is no error and no end mark.
	Data Kind = iota
	// Error is an error under a status that said 200: an object that begins with a member "error" or with "object": "error"
	// (vLLM before 0.10), an event of type error, or a field error (llama.cpp before 2025). vLLM sends one when its engine
	// dies or its queue is full, and an end mark behind it as if nothing had been.
	Error
	// Done is the end mark, [DONE].
	Done
)

// String names a kind.
func (k Kind) String() string {
	switch k {
	case Error:
		return "error"
	case Done:
		return "done"
	}
	return "data"
}

// Event is one event of a stream.
type Event struct {
	Kind Kind
	// Type is the event's type, empty for the usual one.
	Type string
	// Data is valid until the next call of Next; lines of it are joined by \n.
	Data []byte
}

// MaxEvent is how many bytes the data of one event may have. A chunk with the log-probabilities of many tokens has some
// thousands.
const MaxEvent = 8 << 20

var (
	// ErrCut is the error of a stream that ended before its end mark, between two events or within one.
	ErrCut = errors.New("the stream was cut: it ended without [DONE]")
	// ErrTooLong is the error of an event with more than MaxEvent bytes.
	ErrTooLong = fmt.Errorf("an event of the stream has more than %d MB", MaxEvent>>20)
)

// Reader reads events. Use New.
type Reader struct {
	r   io.Reader
	buf []byte // what was read and is not used yet is buf[at:end]
	at  int
	end int
	err error // of the last read, io.EOF too

	data     []byte // of the event that is being read
	lines    int
	typ      []byte
	skipLF   bool // the line before ended with a \r: a \n that follows belongs to it
	begun    bool
	finished bool
	failed   error // what Next gave in the end
	bytes    int64
	events   int
	comments int
}

// New reads from a body.
func New(r io.Reader) *Reader { return &Reader{r: r, buf: make([]byte, 4096)} }

// Next gives the next event. After [DONE], which is an event itself, the error is io.EOF; that of a stream that was cut is
// ErrCut, and errors.Is finds the connection's own error in it. What stands behind [DONE] is not read.
func (r *Reader) Next() (Event, error) {
	if r.finished {
		return Event{}, io.EOF
	}
	if r.failed != nil {
		return Event{}, r.failed
	}
	e, err := r.next()
	r.failed = err
	return e, err
}

func (r *Reader) next() (Event, error) {
	r.data, r.lines, r.typ = r.data[:0], 0, r.typ[:0]
	for {
		line, err := r.line()
		if err != nil {
			return Event{}, err
		}
		if len(line) > 0 {
			if err := r.field(line); err != nil {
				return Event{}, err
			}
			continue
		}
		if r.lines == 0 { // an empty line after nothing, or after a comment only
			r.typ = r.typ[:0]
			continue
		}
		e := Event{Type: string(r.typ), Data: r.data, Kind: kindOf(r.data, r.typ)}
		r.events++
		r.finished = e.Kind == Done
		return e, nil
	}
}

// Bytes is how many bytes were read from the body, Events how many events were given, Comments how many comment lines were
// left out; servers send those to keep a connection open.
func (r *Reader) Bytes() int64 { return r.bytes }

// Events is explained at Bytes.
func (r *Reader) Events() int { return r.events }

// Comments is explained at Bytes.
func (r *Reader) Comments() int { return r.comments }

// field takes one line in.
func (r *Reader) field(line []byte) error {
	if line[0] == ':' {
		r.comments++
		return nil
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data", "error":
		if string(name) == "error" {
			r.typ = append(r.typ[:0], name...)
		}
		if len(r.data)+len(value)+1 > MaxEvent {
			return ErrTooLong
		}
		if r.lines > 0 {
			r.data = append(r.data, '\n')
		}
		r.data = append(r.data, value...)
		r.lines++
	case "event":
		r.typ = append(r.typ[:0], value...)
	}
	return nil // id, retry and unknown fields mean nothing here
}

// kindOf tells what an event is from its first bytes: an answer's chunk is not looked through for the word error, which
// its text may hold.
func kindOf(data, typ []byte) Kind {
	d := bytes.TrimSpace(data)
	switch {
	case string(d) == "[DONE]":
		return Done
	case string(typ) == "error":
		return Error
	case len(d) > 0 && d[0] == '{':
		rest := space(d[1:])
		if v, ok := member(rest, `"error"`); ok {
			if !bytes.HasPrefix(v, []byte("null")) { // an error that is null is none
				return Error
			}
		} else if v, ok := member(rest, `"object"`); ok && bytes.HasPrefix(v, []byte(`"error"`)) {
			return Error
		}
	}
	return Data
}

// member gives what stands behind a name and its colon.
func member(b []byte, name string) ([]byte, bool) {
	v, ok := bytes.CutPrefix(b, []byte(name))
	if !ok {
		return nil, false
	}
	if v, ok = bytes.CutPrefix(space(v), []byte(":")); !ok {
		return nil, false
	}
	return space(v), true
}

func space(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// line gives the next line without its end. It is valid until the next call.
func (r *Reader) line() ([]byte, error) {
	from := r.at // where to look for the end of the line
	for {
		if r.skipLF && r.at < r.end {
			if r.skipLF = false; r.buf[r.at] == '\n' {
				r.at++
				from = max(from, r.at)
			}
		}
		if !r.begun && r.end-r.at >= len(mark) {
			if r.begun = true; string(r.buf[r.at:r.at+len(mark)]) == mark {
				r.at += len(mark)
				from = r.at
			}
		}
		if i := lineEnd(r.buf[from:r.end]); i >= 0 {
			i += from
			line := r.buf[r.at:i]
			r.skipLF = r.buf[i] == '\r'
			r.at, r.begun = i+1, true
			return line, nil
		}
		if r.err != nil {
			// A line that has no end is no line: the specification drops it, and here it means that the stream was cut.
			return nil, r.cut()
		}
		from = r.end
		from -= r.fill()
	}
}

func lineEnd(b []byte) int {
	i := bytes.IndexByte(b, '\n')
	if i >= 0 {
		b = b[:i]
	}
	if j := bytes.IndexByte(b, '\r'); j >= 0 {
		return j
	}
	return i
}

// mark is the byte order mark in UTF-8.
const mark = "\xef\xbb\xbf"

// fill reads once more, and gives by how much it has moved what was there to the front.
func (r *Reader) fill() (moved int) {
	if r.at > 0 {
		moved = r.at
		copy(r.buf, r.buf[r.at:r.end])
		r.at, r.end = 0, r.end-moved
	}
	if r.end == len(r.buf) {
		if len(r.buf) > MaxEvent {
			r.err = ErrTooLong
			return moved
		}
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	for range 100 {
		n, err := r.r.Read(r.buf[r.end:])
		r.end += n
		r.bytes += int64(n)
		if r.err = err; n > 0 || err != nil {
			return moved
		}
	}
	r.err = io.ErrNoProgress
	return moved
}

// cut words the end of a body.
func (r *Reader) cut() error {
	if errors.Is(r.err, io.EOF) {
		return ErrCut
	}
	if errors.Is(r.err, ErrTooLong) {
		return r.err
	}
	return fmt.Errorf("%w: %w", ErrCut, r.err)
}
