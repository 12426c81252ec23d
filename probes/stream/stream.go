// Package stream reads the server-sent events of an LLM server's streaming answer, as fast as they come and no faster than
// they are understood.
//
// In goes the body of one answer, whatever pieces the network makes of it: a Reader reads it itself, a Splitter finds the
// events in bytes that somebody else has read, without copying them. Out come the events, one by one: the bytes of
// the data, whether that data is an error or the end mark, and how many bytes and comments went by. It follows the
// specification (https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6) with all three line ends, a
// byte order mark and data of several lines. It does not decode JSON, takes no times and makes no requests: the one who
// reads does that. And it never takes the end of the connection for the end of the answer: a stream without its end mark
// ends with ErrCut.
package stream

import (
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
	// Data is valid until the next call of Next; lines of it are joined by \n. A Splitter's may be part of what it was given.
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

	split    Splitter
	finished bool
	failed   error // what Next gave in the end
	bytes    int64
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
	for {
		e, used, err := r.split.Next(r.buf[r.at:r.end])
		r.at += used
		if err == nil {
			r.finished = e.Kind == Done
			return e, nil
		}
		if !errors.Is(err, ErrMore) {
			return Event{}, err
		}
		if r.err != nil {
			// A line that has no end is no line: the specification drops it, and here it means that the stream was cut.
			return Event{}, r.cut()
		}
		r.fill()
	}
}

// Bytes is how many bytes were read from the body, Events how many events were given, Comments how many comment lines were
// left out; servers send those to keep a connection open.
func (r *Reader) Bytes() int64 { return r.bytes }

// Events is explained at Bytes.
func (r *Reader) Events() int { return r.split.Events() }

// Comments is explained at Bytes.
func (r *Reader) Comments() int { return r.split.Comments() }

// fill reads once more.
func (r *Reader) fill() {
	if r.at > 0 {
		copy(r.buf, r.buf[r.at:r.end])
		r.at, r.end = 0, r.end-r.at
	}
	if r.end == len(r.buf) {
		if len(r.buf) > MaxEvent {
			r.err = ErrTooLong
			return
		}
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	for range 100 {
		n, err := r.r.Read(r.buf[r.end:])
		r.end += n
		r.bytes += int64(n)
		if r.err = err; n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
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
