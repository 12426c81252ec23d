package stream

import (
	"bytes"
	"errors"
)

// ErrMore is what Splitter.Next says when no event is complete: more bytes are needed.
var ErrMore = errors.New("the event is not complete yet")

// Splitter finds events in bytes that somebody else reads. The zero value is ready, for one stream.
//
//	e, used, err := s.Next(b)
//	b = b[used:]
//
// With ErrMore what is left of b has to be given again, with more behind it; the other error is ErrTooLong.
type Splitter struct {
	line   []byte // the data of an event with one line of it so far, within what Next was given
	data   []byte // the data, where it has several lines or did not come at once
	lines  int
	typ    []byte
	looked int  // how much of what is given again has no end of a line
	skipLF bool // the line before ended with a \r: a \n that follows belongs to it
	begun  bool

	events, comments int
}

// Events is how many events were given, Comments how many comment lines were left out.
func (s *Splitter) Events() int { return s.events }

// Comments is explained at Events.
func (s *Splitter) Comments() int { return s.comments }

// Next gives the first event that ends in b, and how much of b it has used, also where it gives none. The event's data is part
// of b wherever it stands there in one piece.
func (s *Splitter) Next(b []byte) (e Event, used int, err error) {
	for {
		line, n, ok := s.nextLine(b[used:])
		used += n
		if !ok {
			s.keep()
			return Event{}, used, ErrMore
		}
		if len(line) > 0 {
			if err := s.field(line); err != nil {
				return Event{}, used, err
			}
			continue
		}
		if s.lines == 0 { // an empty line after nothing, or after a comment only
			s.typ = s.typ[:0]
			continue
		}
		data := s.data
		if s.line != nil {
			data = s.line
		}
		e = Event{Data: data, Kind: kindOf(data, s.typ)}
		if len(s.typ) > 0 {
			e.Type = string(s.typ)
		}
		s.events++
		s.line, s.data, s.lines, s.typ = nil, s.data[:0], 0, s.typ[:0]
		return e, used, nil
	}
}

// keep copies what belongs to an event that is not complete, because what it lies in is the caller's.
func (s *Splitter) keep() {
	if s.line != nil {
		s.data, s.line = append(s.data[:0], s.line...), nil
	}
}

// nextLine gives the first line of b without its end, and how much of b is used with it.
func (s *Splitter) nextLine(b []byte) (line []byte, used int, ok bool) {
	from, at := s.looked, 0 // where to look for the end of the line, and where it begins
	s.looked = 0
	if s.skipLF && len(b) > 0 {
		if s.skipLF = false; b[0] == '\n' {
			at = 1
			from = max(from, at)
		}
	}
	if !s.begun && len(b)-at >= len(mark) {
		if s.begun = true; string(b[at:at+len(mark)]) == mark {
			at += len(mark)
			from = at
		}
	}
	i := lineEnd(b[from:])
	if i < 0 {
		s.looked = len(b) - at
		return nil, at, false
	}
	i += from
	s.skipLF, s.begun = b[i] == '\r', true
	return b[at:i], i + 1, true
}

// field takes one line in.
func (s *Splitter) field(line []byte) error {
	if line[0] == ':' {
		s.comments++
		return nil
	}
	name, value := line, []byte(nil)
	if i := bytes.IndexByte(line, ':'); i >= 0 {
		name, value = line[:i], line[i+1:]
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:]
		}
	}
	switch string(name) {
	case "data", "error":
		if name[0] == 'e' {
			s.typ = append(s.typ[:0], name...)
		}
		if len(s.line)+len(s.data)+len(value)+1 > MaxEvent {
			return ErrTooLong
		}
		if s.lines++; s.lines == 1 {
			s.line = value
			if value == nil { // a line without a colon has the empty value
				s.line = line[:0]
			}
			return nil
		}
		s.keep()
		s.data = append(append(s.data, '\n'), value...)
	case "event":
		s.typ = append(s.typ[:0], value...)
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
