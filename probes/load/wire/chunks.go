package wire

import (
	"errors"
)

// chunks takes the chunked transfer coding (RFC 9112, section 7.1) off a body, in whatever pieces it comes. The zero value is at
// its beginning. Lines must end with \r\n: whoever accepts less sees another body than the proxy before it did.
type chunks struct {
	stage chunkStage
	left  int64 // of the chunk's data
	size  int64 // the number that is being read
	n     int   // digits of it, or bytes of the line
}

type chunkStage uint8

const (
	inSize      chunkStage = iota // digits of a size
	inExtension                   // what may follow them
	sizeLF                        // \n after the size
	inData
	dataCR // \r\n after the data
	dataLF
	inTrailer // header lines after the last chunk, and the empty line
	trailerLF
	atEnd
)

const (
	maxChunkLine = 4 << 10
	maxTrailer   = 64 << 10
)

var (
	errChunkSize  = errors.New("the answer's chunked coding is broken: no size where one must be")
	errChunkLarge = errors.New("the answer's chunked coding is broken: a chunk's size has too many digits")
	errChunkLine  = errors.New("the answer's chunked coding is broken: a chunk's first line is too long")
	errChunkEnd   = errors.New("the answer's chunked coding is broken: no end of line where one must be")
	errTrailer    = errors.New("the answer's trailer is too long")
)

// next gives the first piece of data in raw, what follows it, and whether the coding is at its end. There may be no data.
func (c *chunks) next(raw []byte) (data, rest []byte, end bool, err error) {
	for i := 0; i < len(raw); i++ {
		b := raw[i]
		switch c.stage {
		case inData:
			n := min(c.left, int64(len(raw)-i))
			if c.left -= n; c.left == 0 {
				c.stage = dataCR
			}
			return raw[i : i+int(n)], raw[i+int(n):], false, nil
		case inSize:
			if v, ok := hex(b); ok {
				if c.size, c.n = c.size<<4|v, c.n+1; c.n > 15 {
					return nil, nil, false, errChunkLarge
				}
				continue
			}
			if c.n == 0 {
				return nil, nil, false, errChunkSize
			}
			switch b {
			case '\r':
				c.stage = sizeLF
			case ';', ' ', '\t':
				c.stage = inExtension
			default:
				return nil, nil, false, errChunkSize
			}
		case inExtension:
			if b == '\r' {
				c.stage = sizeLF
			} else if c.n++; c.n > maxChunkLine {
				return nil, nil, false, errChunkLine
			} else if b == '\n' {
				return nil, nil, false, errChunkEnd
			}
		case sizeLF:
			if b != '\n' {
				return nil, nil, false, errChunkEnd
			}
			c.left, c.size, c.n = c.size, 0, 0
			if c.stage = inData; c.left == 0 {
				c.stage = inTrailer
			}
		case dataCR:
			if b != '\r' {
				return nil, nil, false, errChunkEnd
			}
			c.stage = dataLF
		case dataLF:
			if b != '\n' {
				return nil, nil, false, errChunkEnd
			}
			c.stage = inSize
		case inTrailer: // left counts the bytes of the line, n those of the trailer
			if c.n++; c.n > maxTrailer {
				return nil, nil, false, errTrailer
			}
			switch b {
			case '\r':
				c.stage = trailerLF
			case '\n':
				return nil, nil, false, errChunkEnd
			default:
				c.left++
			}
		case trailerLF:
			if b != '\n' {
				return nil, nil, false, errChunkEnd
			}
			if c.left == 0 {
				c.stage = atEnd
				return nil, raw[i+1:], true, nil
			}
			c.left, c.stage = 0, inTrailer
		case atEnd:
			return nil, raw[i:], true, nil
		}
	}
	return nil, nil, false, nil
}

func hex(b byte) (int64, bool) {
	switch {
	case '0' <= b && b <= '9':
		return int64(b - '0'), true
	case 'a' <= b && b <= 'f':
		return int64(b-'a') + 10, true
	case 'A' <= b && b <= 'F':
		return int64(b-'A') + 10, true
	}
	return 0, false
}
