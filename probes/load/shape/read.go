package shape

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// Bounds of the files that a point may name.
const (
	maxFileLine  = 16 << 20 // bytes in a line: a prompt of a million tokens fits
	maxFileBytes = 1 << 30
	maxFileLines = 10_000_000
)

// lines gives each of a file's lines, without its end and with its number, to each, until that gives an error, which comes back as
// a Problem with the line's place. A byte order mark and carriage returns are taken away.
func lines(path string, each func(number int, line string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return unreadable(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return unreadable(path, err)
	case info.IsDir():
		return &Problem{Where: path, What: "is a directory", Hint: "a file is wanted"}
	}
	// A pipe would be empty the second time, and Validate and the load both read the file.
	if !info.Mode().IsRegular() {
		return &Problem{Where: path, What: "is no plain file", Hint: "it is read more than once"}
	}
	if info.Size() > maxFileBytes {
		return &Problem{Where: path, What: fmt.Sprintf("%d bytes", info.Size()), Hint: fmt.Sprintf("at most %d", maxFileBytes)}
	}
	return scan(path, f, each)
}

func scan(path string, r io.Reader, each func(number int, line string) error) error {
	s := bufio.NewScanner(io.LimitReader(r, maxFileBytes))
	s.Buffer(make([]byte, 0, 64<<10), maxFileLine)
	n := 0
	at := func(what, hint string) error {
		return &Problem{Where: fmt.Sprintf("%s:%d", path, n), What: what, Hint: hint}
	}
	for s.Scan() {
		n++
		line := strings.TrimSuffix(s.Text(), "\r")
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		switch {
		case n > maxFileLines:
			return at(fmt.Sprintf("more than %d lines", maxFileLines), "")
		case !utf8.ValidString(line):
			return at("is no UTF-8", "")
		}
		if err := each(n, line); err != nil {
			var p *Problem
			if errors.As(err, &p) {
				return err
			}
			return at(err.Error(), "")
		}
	}
	if err := s.Err(); err != nil {
		n++
		if errors.Is(err, bufio.ErrTooLong) {
			return at(fmt.Sprintf("longer than %d bytes", maxFileLine), "")
		}
		return unreadable(path, err)
	}
	return nil
}

func unreadable(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &Problem{Where: path, What: err.Error()}
}

// Read reads the file of a FromFile one: one number a line; empty lines and what follows a # don't count. Others come back as they
// are, and so does one that was read.
func (l Length) Read() (Length, error) {
	if l.Draw != FromFile || l.Values != nil {
		return l, nil
	}
	err := lines(l.Path, func(_ int, line string) error {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			return nil
		}
		v, err := number(line)
		if err != nil {
			return fmt.Errorf("%.40q is no number: one length a line", line)
		}
		if !(v >= 0 && v <= maxLength) {
			return fmt.Errorf("%v is no length: between 0 and %d", v, maxLength)
		}
		l.Values = append(l.Values, v)
		return nil
	})
	if err == nil && len(l.Values) == 0 {
		err = &Problem{Where: l.Path, What: "holds no length", Hint: "one number a line"}
	}
	return l, err
}
