package sessions

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"pitwall/probes/request"
)

// A requests row holds up to a thousand requests of one run in columns (column.go), compressed with zstd:
//
//	row = format (1 byte) run first count chunks zstd(columns)
//
// All numbers are uvarints. first is the place of the row's first request in its run, from 0: the row's key has both. The
// columns are those of fields.go. Points in time are kept to timeUnit, each as the difference to the one before it; the gaps
// between chunks, and durations that a request carries besides, by gapCode, to 0.05 % of themselves. So every latency that is
// computed from what is stored is within 0.1 % of what was measured, from 0.1 ms up. All the rest is kept exactly. Text and
// token ids stand in a row of their own, in the table texts, and only where they were kept.
const (
	requestsFormat = 1
	timeUnit       = 100 // nanoseconds

	// rowRequests, rowChunks and rowText are about the most that a row holds; one request alone may have more.
	rowRequests = 1024
	rowChunks   = 256 << 10
	rowText     = 4 << 20
	// maxRowRequests and maxRowBytes bound what a damaged or hostile row can make a reader allocate.
	maxRowRequests = 1 << 16
	maxRowBytes    = 64 << 20
)

// requestRow is some requests of one run as they are written.
type requestRow struct {
	run, first uint32
	count      int
	t          int64 // when the newest of them ended, milliseconds
	data       []byte
	texts      []byte // nil where none is kept
}

func (r requestRow) key() int64 { return requestKey(r.run, r.first) }

// next is the place behind its last request.
func (r requestRow) next() uint32 { return r.first + uint32(r.count) } //nolint:gosec // bounded

func (r requestRow) size() int { return len(r.data) + len(r.texts) }

func requestKey(run, first uint32) int64 { return int64(run)<<32 | int64(first) }

func runOf(key int64) uint32   { return uint32(key >> 32) } //nolint:gosec // the upper half
func placeOf(key int64) uint32 { return uint32(key) }       //nolint:gosec // the lower half

// requestCodec makes rows out of requests and back. It takes no memory until it is used: most sessions have no requests.
type requestCodec struct {
	once sync.Once
	enc  *zstd.Encoder
	dec  *zstd.Decoder
	err  error
}

func (c *requestCodec) start() error {
	c.once.Do(func() {
		// The checksum is the row's own, and a window beyond the usual row would only take memory.
		c.enc, c.err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedDefault),
			zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true))
		if c.err == nil {
			c.dec, c.err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRowBytes), zstd.WithDecoderLowmem(true))
		}
	})
	return c.err
}

// rowLength gives how many of the first requests go into one row: those of one run, within the bounds of a row.
func rowLength(all []request.Record) int {
	chunks, text := 0, 0
	for i := range all {
		chunks += len(all[i].Chunks)
		text += len(all[i].Text) + 2*len(all[i].IDs)
		if i > 0 && (all[i].Run != all[0].Run || i >= rowRequests || chunks > rowChunks || text > rowText) {
			return i
		}
	}
	return len(all)
}

// encode makes one row of requests of one run, the first of which is at place first. The caller sees to it that they fit.
func (c *requestCodec) encode(first uint32, all []request.Record) (requestRow, error) {
	if err := c.start(); err != nil {
		return requestRow{}, fmt.Errorf("storing requests: %w", err)
	}
	row := requestRow{run: all[0].Run, first: first, count: len(all)}
	chunks := 0
	for i := range all {
		chunks += len(all[i].Chunks)
		row.t = max(row.t, int64(all[i].End)/int64(time.Millisecond))
	}
	w := columnWriter{all: all, vs: make([]uint64, max(len(all), chunks)), b: make([]byte, 0, 64*len(all)+3*chunks)}
	w.fields()
	w.words(func(r *request.Record) string { return r.Finish })
	w.words(func(r *request.Record) string { return r.Message })
	w.chunks(chunks)
	w.times()
	head := []byte{requestsFormat}
	for _, v := range []uint64{uint64(row.run), uint64(first), uint64(len(all)), uint64(chunks)} { //nolint:gosec // lengths
		head = binary.AppendUvarint(head, v)
	}
	row.data = slices.Clip(c.enc.EncodeAll(w.b, head))
	if texts := appendTexts(nil, all); texts != nil {
		row.texts = c.enc.EncodeAll(texts, nil)
	}
	return row, nil
}

var (
	errRowFormat     = errors.New("requests: a row of a newer format")
	errShortRequests = errors.New("requests: row ends early")
)

// head reads what stands before the columns of a row.
func (r *requestRow) head() (chunks int, columns []byte, err error) {
	if len(r.data) == 0 {
		return 0, nil, errShortRequests
	}
	if r.data[0] != requestsFormat {
		return 0, nil, errRowFormat
	}
	c := columnReader{b: r.data[1:]}
	run, first, count, n := c.uvarint(), c.uvarint(), c.uvarint(), c.uvarint()
	if c.err != nil {
		return 0, nil, c.err
	}
	if run != uint64(r.run) || first != uint64(r.first) {
		return 0, nil, errMisplaced
	}
	if count == 0 || count > maxRowRequests || n > maxRowBytes/2 {
		return 0, nil, errShortRequests
	}
	r.count = int(count)
	return int(n), c.b, nil
}

// scratch is room that one row after the other is read in; nothing of it is in what comes out.
type scratch struct {
	columns []byte
	vs      []uint64
	tokens  []uint16
}

// decode reads a row whose checksum was right, and whose run and first are those of its key. Chunks of several requests share
// one array.
func (c *requestCodec) decode(row requestRow, room *scratch) ([]request.Record, error) {
	if err := c.start(); err != nil {
		return nil, fmt.Errorf("reading requests: %w", err)
	}
	chunks, b, err := row.head()
	if err != nil {
		return nil, err
	}
	if b, err = c.dec.DecodeAll(b, room.columns[:0]); err != nil {
		return nil, fmt.Errorf("requests: %w", err)
	}
	room.columns = b
	all := make([]request.Record, row.count)
	for i := range all {
		all[i].Run = row.run
	}
	r := columnReader{b: b, all: all, room: room}
	r.fields()
	r.words(func(r *request.Record) *string { return &r.Finish })
	r.words(func(r *request.Record) *string { return &r.Message })
	r.chunks(chunks)
	r.times()
	if r.err != nil {
		return nil, r.err
	}
	return all, nil
}

// decodeTexts puts kept texts to the requests that they belong to; first and all are those of the texts' own row.
func (c *requestCodec) decodeTexts(data []byte, all []request.Record) error {
	if err := c.start(); err != nil {
		return fmt.Errorf("reading texts: %w", err)
	}
	b, err := c.dec.DecodeAll(data, nil)
	if err != nil {
		return fmt.Errorf("texts: %w", err)
	}
	return takeTexts(b, all)
}

// appendTexts appends what is kept of answers: for each request that has some, how many before it have none, then both with
// their lengths. It gives nil where no request has any.
func appendTexts(b []byte, all []request.Record) []byte {
	skipped := uint64(0)
	for i := range all {
		r := &all[i]
		if r.Text == "" && len(r.IDs) == 0 {
			skipped++
			continue
		}
		b = binary.AppendUvarint(b, skipped)
		skipped = 0
		b = binary.AppendUvarint(b, uint64(len(r.Text)))
		b = append(b, r.Text...)
		b = binary.AppendUvarint(b, uint64(len(r.IDs)))
		for _, id := range r.IDs {
			b = binary.AppendUvarint(b, zigzag(int64(id)))
		}
	}
	return b
}

func takeTexts(b []byte, all []request.Record) error {
	c := columnReader{b: b}
	for i := uint64(0); len(c.b) > 0 && c.err == nil; i++ {
		if i += c.uvarint(); c.err == nil && i >= uint64(len(all)) {
			return errShortRequests
		}
		text := string(c.bytes(c.uvarint()))
		n := c.uvarint()
		if c.err != nil || n > uint64(len(c.b)) {
			return errShortRequests
		}
		var ids []int32
		if n > 0 {
			ids = make([]int32, n)
		}
		for j := range ids {
			ids[j] = int32(unzigzag(c.uvarint())) //nolint:gosec // it was one
		}
		if c.err == nil {
			all[i].Text, all[i].IDs = text, ids
		}
	}
	return c.err
}
