package sessions

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// A journal row is what one commit added, so that a crash loses at most what had not been committed. Rows are deleted once
// the chunks that hold the same samples are stored; a reader replays those that are left.
//
//	row    = flags group*
//	flags  = 1 byte; bit 0: start of an epoch, values are not relative to former rows
//	group  = kind time count sample{count}
//	kind   = 1 byte; 'f' floats, 'h' native histograms
//	time   = varint, milliseconds
//	count  = uvarint
//	sample = id value   (ids ascending, each as uvarint difference to the one before)
//	value  = 'f': uvarint of the byte-reversed XOR with the series' value of its former row: 0 where nothing changed
//	         'h': uvarint length, a float histogram chunk of one sample
//
// A damaged row takes the rows behind it with it, which need its values, up to the next epoch.

const (
	epochFlag  = 1
	groupFloat = 'f'
	groupHist  = 'h'
)

// entry is one sample of a journal group.
type entry struct {
	id   uint32
	v    float64
	hist *histogram.FloatHistogram
}

// group is the samples of one timestamp, floats or histograms, ids ascending.
type group struct {
	t       int64
	hist    bool
	entries []entry
}

// journalCodec holds the values that the next row is relative to; one for the writer, one for each reader.
type journalCodec struct {
	prev []uint64
	lost bool // a reader: a row is missing, and values mean nothing until the next epoch
}

// startsEpoch says whether a row needs no other.
func startsEpoch(row []byte) bool { return len(row) > 0 && row[0]&epochFlag != 0 }

func (c *journalCodec) slot(id uint32) *uint64 {
	if int(id) >= len(c.prev) {
		c.prev = append(c.prev, make([]uint64, int(id)+1-len(c.prev))...)
	}
	return &c.prev[id]
}

// encode appends a row to b.
func (c *journalCodec) encode(b []byte, epoch bool, groups []group) ([]byte, error) {
	if epoch {
		clear(c.prev)
		b = append(b, epochFlag)
	} else {
		b = append(b, 0)
	}
	for _, g := range groups {
		kind := byte(groupFloat)
		if g.hist {
			kind = groupHist
		}
		b = append(b, kind)
		b = binary.AppendVarint(b, g.t)
		b = binary.AppendUvarint(b, uint64(len(g.entries)))
		last := uint32(0)
		for _, e := range g.entries {
			b = binary.AppendUvarint(b, uint64(e.id-last))
			last = e.id
			if !g.hist {
				p := c.slot(e.id)
				v := math.Float64bits(e.v)
				b = binary.AppendUvarint(b, bits.ReverseBytes64(v^*p))
				*p = v
				continue
			}
			one := chunkenc.NewFloatHistogramChunk()
			app, err := one.Appender()
			if err == nil {
				_, _, _, err = app.AppendFloatHistogram(nil, 0, g.t, e.hist.Copy(), true)
			}
			if err != nil {
				return nil, fmt.Errorf("journal: histogram of series %d: %w", e.id, err)
			}
			b = binary.AppendUvarint(b, uint64(len(one.Bytes())))
			b = append(b, one.Bytes()...)
		}
	}
	return b, nil
}

var errShortRow = errors.New("journal: row ends early")

// decode reads a row, calling each with every sample in the order of the row.
func (c *journalCodec) decode(b []byte, each func(t int64, e entry) error) error {
	if len(b) == 0 {
		return errShortRow
	}
	if startsEpoch(b) {
		clear(c.prev)
	}
	b = b[1:]
	uvarint := func() (uint64, bool) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, false
		}
		b = b[n:]
		return v, true
	}
	for len(b) > 0 {
		kind := b[0]
		b = b[1:]
		if kind != groupFloat && kind != groupHist {
			return fmt.Errorf("journal: unknown group %q", kind)
		}
		t, n := binary.Varint(b)
		if n <= 0 {
			return errShortRow
		}
		b = b[n:]
		count, ok := uvarint()
		if !ok || count > uint64(len(b)) {
			return errShortRow
		}
		id := uint32(0)
		for range count {
			d, ok := uvarint()
			if !ok || d > maxSeries {
				return errShortRow
			}
			if id += uint32(d); id > maxSeries {
				return fmt.Errorf("journal: series id %d out of range", id)
			}
			v, ok := uvarint()
			if !ok {
				return errShortRow
			}
			e := entry{id: id}
			if kind == groupFloat {
				p := c.slot(id)
				*p ^= bits.ReverseBytes64(v)
				e.v = math.Float64frombits(*p)
			} else {
				if v > uint64(len(b)) {
					return errShortRow
				}
				h, err := oneHistogram(b[:v])
				if err != nil {
					return err
				}
				e.hist, b = h, b[v:]
			}
			if err := each(t, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxSeries bounds what a damaged or hostile file can make a reader allocate.
const maxSeries = 1 << 22

func oneHistogram(b []byte) (h *histogram.FloatHistogram, err error) {
	defer recovered(&err, "journal: histogram")
	c, err := chunkenc.FromData(chunkenc.EncFloatHistogram, b)
	if err != nil {
		return nil, err
	}
	it := c.Iterator(nil)
	if it.Next() != chunkenc.ValFloatHistogram {
		return nil, fmt.Errorf("journal: histogram: %w", errShortRow)
	}
	_, h = it.AtFloatHistogram(nil)
	return h, nil
}

// recovered turns a panic into an error: the chunk decoders panic on some damaged input.
func recovered(err *error, what string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: damaged (%v)", what, p)
	}
}
