package sessions

import (
	"encoding/binary"
	"math/bits"

	"pitwall/probes/request"
)

// A column is a list of whole numbers, stored as the least of them, and the differences to it byte by byte: first the lowest
// byte of all, then the next. What hardly changes then stands together, and zstd makes nothing of it; the lowest bytes of a
// measurement are noise and stay as they are.
//
//	column = least (uvarint) width (1 byte: how many bytes the greatest difference has) plane{width}
//	plane  = a byte a number

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) } //nolint:gosec // the bits are meant
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }    //nolint:gosec // as above

// columnWriter appends columns of requests to b.
type columnWriter struct {
	all []request.Record
	vs  []uint64 // room for a column
	b   []byte
}

// column appends a column with one number a request.
func (w *columnWriter) column(of func(*request.Record) uint64) {
	vs := w.vs[:len(w.all)]
	for i := range w.all {
		vs[i] = of(&w.all[i])
	}
	w.numbers(vs)
}

func (w *columnWriter) uvarint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }

func (w *columnWriter) numbers(vs []uint64) {
	if len(vs) == 0 {
		return
	}
	least, greatest := vs[0], vs[0]
	for _, v := range vs {
		least, greatest = min(least, v), max(greatest, v)
	}
	width := (bits.Len64(greatest-least) + 7) / 8
	w.uvarint(least)
	w.b = append(w.b, byte(width))
	for p := range width {
		for _, v := range vs {
			w.b = append(w.b, byte((v-least)>>(8*p)))
		}
	}
}

// columnReader takes columns of requests off b. After the first error everything is zero.
type columnReader struct {
	all  []request.Record
	b    []byte
	err  error
	room *scratch // nil where only texts are taken
}

// resized gives a slice of n elements, in the same room if it is large enough.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func (c *columnReader) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.b = nil
}

func (c *columnReader) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail(errShortRequests)
		return 0
	}
	c.b = c.b[n:]
	return v
}

// bytes takes n bytes, which stay shared with b; nil where there are fewer.
func (c *columnReader) bytes(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.fail(errShortRequests)
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

// column takes a column with one number a request.
func (c *columnReader) column(set func(*request.Record, uint64)) {
	c.room.vs = resized(c.room.vs, len(c.all))
	vs := c.room.vs
	takeNumbers(c, vs)
	for i := range c.all {
		set(&c.all[i], vs[i])
	}
}

// takeNumbers fills out with the next column.
func takeNumbers[T uint16 | uint64](c *columnReader, out []T) {
	if len(out) == 0 {
		return
	}
	least := T(c.uvarint())
	width := c.bytes(1)
	if c.err == nil && width[0] > 8 {
		c.fail(errShortRequests)
	}
	if c.err != nil {
		clear(out)
		return
	}
	for i := range out {
		out[i] = least
	}
	for p := range width[0] {
		plane := c.bytes(uint64(len(out)))
		for i, x := range plane {
			out[i] += T(x) << (8 * p)
		}
	}
}
