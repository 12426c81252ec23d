package sessions

import (
	"encoding/binary"
	"time"

	"pitwall/probes/request"
)

// field is a whole number of a request: how it is written and how it is read.
type field struct {
	of  func(*request.Record) uint64
	set func(*request.Record, uint64)
}

// fields are the whole numbers of a request in the order of their columns. Where one is nearly the same as another the
// difference is written, and that other one stands before it.
func fields() []field {
	number := func(f func(*request.Record) *int32) field {
		return field{
			func(r *request.Record) uint64 { return zigzag(int64(*f(r))) },
			func(r *request.Record, v uint64) { *f(r) = int32(unzigzag(v)) },
		}
	}
	lasted := func(f func(*request.Record) *time.Duration) field {
		return field{
			func(r *request.Record) uint64 { return spanCode(int64(*f(r))) },
			func(r *request.Record, v uint64) { *f(r) = time.Duration(spanOf(v)) },
		}
	}
	return []field{
		{
			func(r *request.Record) uint64 { return zigzag(int64(r.Prompt) - int64(r.Seq)) },
			func(r *request.Record, v uint64) { r.Prompt = uint32(unzigzag(v) + int64(r.Seq)) },
		},
		{
			func(r *request.Record) uint64 { return uint64(r.Turn) },
			func(r *request.Record, v uint64) { r.Turn = uint16(v) },
		},
		number(func(r *request.Record) *int32 { return &r.Client }),
		number(func(r *request.Record) *int32 { return &r.Group }),
		number(func(r *request.Record) *int32 { return &r.InputTokens }),
		number(func(r *request.Record) *int32 { return &r.CachedTokens }),
		number(func(r *request.Record) *int32 { return &r.OutputTokens }),
		{
			func(r *request.Record) uint64 { return zigzag(int64(r.Asked) - int64(r.OutputTokens)) },
			func(r *request.Record, v uint64) { r.Asked = int32(unzigzag(v) + int64(r.OutputTokens)) },
		},
		{
			func(r *request.Record) uint64 { return zigzag(int64(r.AskedInput) - int64(r.InputTokens)) },
			func(r *request.Record, v uint64) { r.AskedInput = int32(unzigzag(v) + int64(r.InputTokens)) },
		},
		{
			func(r *request.Record) uint64 { return uint64(r.Class) },
			func(r *request.Record, v uint64) { r.Class = request.Class(v) },
		},
		{
			func(r *request.Record) uint64 { return uint64(r.Status) },
			func(r *request.Record, v uint64) { r.Status = uint16(v) },
		},
		lasted(func(r *request.Record) *time.Duration { return &r.Connect }),
		lasted(func(r *request.Record) *time.Duration { return &r.LateMean }),
		lasted(func(r *request.Record) *time.Duration { return &r.LateMax }),
		lasted(func(r *request.Record) *time.Duration { return &r.Queue }),
		lasted(func(r *request.Record) *time.Duration { return &r.Prefill }),
		lasted(func(r *request.Record) *time.Duration { return &r.Decode }),
	}
}

func (w *columnWriter) fields() {
	last := int64(0)
	w.column(func(r *request.Record) uint64 {
		d := int64(r.Seq) - last
		last = int64(r.Seq)
		return zigzag(d)
	})
	for _, f := range fields() {
		w.column(f.of)
	}
}

func (c *columnReader) fields() {
	last := int64(0)
	c.column(func(r *request.Record, v uint64) {
		last += unzigzag(v)
		r.Seq = uint32(last)
	})
	for _, f := range fields() {
		c.column(f.set)
	}
}

// words appends a text of every request: a column of places in a list of those that differ, and the list.
func (w *columnWriter) words(of func(*request.Record) string) {
	place := map[string]uint64{}
	var list []string
	w.column(func(r *request.Record) uint64 {
		s := of(r)
		i, ok := place[s]
		if !ok {
			i = uint64(len(list))
			place[s] = i
			list = append(list, s)
		}
		return i
	})
	w.uvarint(uint64(len(list)))
	for _, s := range list {
		w.uvarint(uint64(len(s)))
		w.b = append(w.b, s...)
	}
}

func (c *columnReader) words(of func(*request.Record) *string) {
	places := make([]uint64, len(c.all))
	takeNumbers(c, places)
	n := c.uvarint()
	if n > uint64(len(c.b)) { // each has a length
		c.fail(errShortRequests)
	}
	if c.err != nil {
		return
	}
	list := make([]string, n)
	for i := range list {
		list[i] = string(c.bytes(c.uvarint()))
	}
	for i, p := range places {
		if p >= n {
			c.fail(errShortRequests)
			return
		}
		*of(&c.all[i]) = list[p]
	}
}

// A chunk is its gap's code and, in the highest bit, whether it is merged; its tokens are a column of their own. A gap that
// has no code of 15 bits (negative, or above 36 minutes) has gapMax there, and stands behind with its place.
const chunkMerged = 1 << 15

func (w *columnWriter) chunks(n int) {
	w.column(func(r *request.Record) uint64 { return zigzag(int64(len(r.Chunks)) - int64(r.OutputTokens)) })
	if n == 0 {
		return
	}
	tokens := w.vs[:0]
	for i := range w.all {
		for _, c := range w.all[i].Chunks {
			tokens = append(tokens, uint64(c.Tokens))
		}
	}
	w.numbers(tokens)
	at := len(w.b)
	w.b = append(w.b, make([]byte, 2*n)...)
	low, high := w.b[at:at+n], w.b[at+n:at+2*n]
	var odd []byte // gaps without a code
	odds, k, last := uint64(0), 0, 0
	for i := range w.all {
		for _, c := range w.all[i].Chunks {
			code, ok := chunkCode(c.Gap)
			if !ok {
				odd = binary.AppendUvarint(odd, uint64(k-last))
				odd = binary.AppendUvarint(odd, zigzag(int64(c.Gap)))
				last = k
				odds++
			}
			if c.Merged {
				code |= chunkMerged
			}
			low[k], high[k] = byte(code), byte(code>>8)
			k++
		}
	}
	w.uvarint(odds)
	w.b = append(w.b, odd...)
}

// chunkCode gives the code of a gap; not ok where it has none.
func chunkCode(gap time.Duration) (code uint64, ok bool) {
	if gap < 0 {
		return gapMax, false
	}
	if code = gapCode(uint64(gap)); code >= gapMax {
		return gapMax, false
	}
	return code, true
}

// storedGap is a gap as it will be read back.
func storedGap(gap time.Duration) time.Duration {
	code, ok := chunkCode(gap)
	if !ok {
		return gap
	}
	return time.Duration(gapOf(code))
}

func (c *columnReader) chunks(n int) {
	left := n
	lengths := make([]int, len(c.all))
	i := 0
	c.column(func(r *request.Record, v uint64) {
		k := unzigzag(v) + int64(r.OutputTokens)
		if k < 0 || k > int64(left) {
			c.fail(errShortRequests)
			k = 0
		}
		lengths[i] = int(k)
		left -= int(k)
		i++
	})
	if left != 0 || n > len(c.b) { // each takes two bytes
		c.fail(errShortRequests)
	}
	if c.err != nil || n == 0 {
		return
	}
	c.room.tokens = resized(c.room.tokens, n)
	tokens := c.room.tokens
	takeNumbers(c, tokens)
	low, high := c.bytes(uint64(n)), c.bytes(uint64(n))
	if c.err != nil {
		return
	}
	chunks := make([]request.Chunk, n)
	low, high, tokens = low[:n], high[:n], tokens[:n]
	for k := range chunks {
		h := high[k]
		c := &chunks[k]
		c.Gap, c.Tokens, c.Merged = time.Duration(gapOf(uint64(low[k])|uint64(h&0x7f)<<8)), tokens[k], h&0x80 != 0
	}
	at := uint64(0)
	for range c.uvarint() {
		at += c.uvarint()
		gap := unzigzag(c.uvarint())
		if at >= uint64(n) {
			c.fail(errShortRequests)
		}
		if c.err != nil {
			return
		}
		chunks[at].Gap = time.Duration(gap)
	}
	for i, k := range lengths {
		if k > 0 {
			c.all[i].Chunks = chunks[:k:k]
			chunks = chunks[k:]
		}
	}
}

// moments are the points in time of a request, in the order in which they come.
func moments(r *request.Record) [7]*request.Time {
	return [7]*request.Time{&r.Scheduled, &r.Sent, &r.Wrote, &r.FirstByte, &r.FirstToken, &r.LastToken, &r.End}
}

// The flags of a request: the lowest seven bits say which points in time there are, then these.
const (
	firstToken = 4 // the place in moments
	lastToken  = 5

	flagFresh    = 1 << 7
	flagStamped  = 1 << 8
	flagStreamed = 1 << 9
	counting     = 10 // the bit that Counting begins at
)

// expected is how far, in units, the last token should be behind the first one: the sum of the gaps, as they will be read.
// What is written of LastToken is then next to nothing, and it is exact however many gaps were rounded.
func expected(r *request.Record) int64 {
	var sum time.Duration
	for _, c := range r.Chunks[min(1, len(r.Chunks)):] {
		sum += storedGap(c.Gap)
	}
	return int64(sum) / timeUnit
}

// expectedOf is expected for a request whose gaps were read.
func expectedOf(r *request.Record) int64 {
	var sum time.Duration
	for i := 1; i < len(r.Chunks); i++ {
		sum += r.Chunks[i].Gap
	}
	return int64(sum) / timeUnit
}

// units gives a point in time in units; the division rounds, and takes 292 years on either side.
func units(t request.Time) int64 { return (int64(t) + timeUnit/2) / timeUnit }

func (w *columnWriter) times() {
	w.column(func(r *request.Record) (flags uint64) {
		for k, t := range moments(r) {
			if *t != 0 {
				flags |= 1 << k
			}
		}
		if r.Fresh {
			flags |= flagFresh
		}
		if r.Stamped {
			flags |= flagStamped
		}
		if r.Streamed {
			flags |= flagStreamed
		}
		return flags | uint64(r.Counting)<<counting
	})
	// The first point in time of a request is the difference to that of the request before, every other one to the one
	// before it.
	before := make([]int64, len(w.all))
	first := int64(0)
	for i := range w.all {
		before[i] = first
		for _, t := range moments(&w.all[i]) {
			if *t != 0 {
				first = units(*t)
				break
			}
		}
	}
	for k := range 7 {
		i := -1
		w.column(func(r *request.Record) uint64 {
			i++
			t := *moments(r)[k]
			if t == 0 {
				return 0
			}
			d := units(t) - before[i]
			if before[i] = units(t); k == lastToken && r.FirstToken != 0 {
				d -= expected(r)
			}
			return zigzag(d)
		})
	}
}

func (c *columnReader) times() {
	flags := make([]uint64, len(c.all))
	takeNumbers(c, flags)
	var columns [7][]uint64
	for k := range columns {
		columns[k] = make([]uint64, len(c.all))
		takeNumbers(c, columns[k])
	}
	first := int64(0)
	for i := range c.all {
		r, f := &c.all[i], flags[i]
		r.Fresh, r.Stamped, r.Streamed, r.Counting = f&flagFresh != 0, f&flagStamped != 0, f&flagStreamed != 0, request.Counting(f>>counting&0xff)
		now, begun := first, false
		for k, t := range moments(r) {
			if f>>k&1 == 0 {
				continue
			}
			now += unzigzag(columns[k][i])
			if k == lastToken && f>>firstToken&1 == 1 {
				now += expectedOf(r)
			}
			*t = request.Time(now * timeUnit)
			if !begun {
				first, begun = now, true
			}
		}
	}
}
