package sessions

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// A block row holds the finished chunks of all series of one metric name in one stretch of blockSpan: what a histogram's
// quantile needs is one row, and a day is some 100,000 rows instead of a million.
//
//	row    = count series{count}
//	series = id chunks chunk{chunks}
//	chunk  = encoding (1 byte) min (varint, ms) max-min (uvarint) length (uvarint) bytes
//
// All of id, chunks, count are uvarints; ids are ascending, as differences.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC-32C that guards every row: chunks carry none of their own, and nearly half of all damaged ones
// would be decoded in silence.
func checksum(b []byte) int64 { return int64(crc32.Checksum(b, castagnoli)) }

// seriesChunks is one series' part of a block row.
type seriesChunks struct {
	id     uint32
	chunks []chunk
}

func encodeBlock(b []byte, parts []seriesChunks) []byte {
	b = binary.AppendUvarint(b, uint64(len(parts)))
	last := uint32(0)
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(p.id-last))
		last = p.id
		b = binary.AppendUvarint(b, uint64(len(p.chunks)))
		for _, c := range p.chunks {
			b = append(b, byte(c.data.Encoding()))
			b = binary.AppendVarint(b, c.min)
			b = binary.AppendUvarint(b, uint64(c.max-c.min))
			b = binary.AppendUvarint(b, uint64(len(c.data.Bytes())))
			b = append(b, c.data.Bytes()...)
		}
	}
	return b
}

var errShortBlock = errors.New("block: row ends early")

// decodeBlock reads a row whose checksum was right; the chunks share b.
func decodeBlock(block int64, b []byte) ([]seriesChunks, error) {
	uvarint := func() (uint64, bool) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, false
		}
		b = b[n:]
		return v, true
	}
	count, ok := uvarint()
	if !ok || count > uint64(len(b)) {
		return nil, errShortBlock
	}
	out := make([]seriesChunks, 0, count)
	id := uint32(0)
	for range count {
		d, ok := uvarint()
		n, ok2 := uvarint()
		if !ok || !ok2 || d > maxSeries || n > uint64(len(b)) {
			return nil, errShortBlock
		}
		id += uint32(d)
		p := seriesChunks{id: id, chunks: make([]chunk, 0, n)}
		for range n {
			if len(b) == 0 {
				return nil, errShortBlock
			}
			enc := chunkenc.Encoding(b[0])
			b = b[1:]
			t, k := binary.Varint(b)
			if k <= 0 {
				return nil, errShortBlock
			}
			b = b[k:]
			span, ok := uvarint()
			size, ok2 := uvarint()
			if !ok || !ok2 || size > uint64(len(b)) {
				return nil, errShortBlock
			}
			data, err := chunkenc.FromData(enc, b[:size:size])
			if err != nil {
				return nil, fmt.Errorf("block: series %d: %w", id, err)
			}
			b = b[size:]
			p.chunks = append(p.chunks, chunk{block: block, min: t, max: t + int64(span), data: data})
		}
		out = append(out, p)
	}
	return out, nil
}

// blockRows encodes the chunks in memory from a block on, one row a name and block.
func blockRows(h *head, from int64) []blockRow {
	var rows []blockRow
	for _, n := range h.names {
		parts := map[int64][]seriesChunks{}
		for _, s := range n.series {
			for i := 0; i < len(s.done); {
				b := s.done[i].block
				j := i + 1
				for j < len(s.done) && s.done[j].block == b {
					j++
				}
				if b >= from {
					parts[b] = append(parts[b], seriesChunks{id: s.id, chunks: s.done[i:j]})
				}
				i = j
			}
		}
		for b, p := range parts {
			rows = append(rows, blockRow{key: blockKey(n.id, b), data: encodeBlock(nil, p)})
		}
	}
	slices.SortFunc(rows, func(a, b blockRow) int { return cmp.Compare(a.key, b.key) })
	return rows
}
