package sessions

import (
	"bytes"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

func TestJournalRowsComeBackBitByBit(t *testing.T) {
	stale := math.Float64frombits(value.StaleNaN)
	fh := &histogram.FloatHistogram{Schema: 5, Count: 3, Sum: 1.5, ZeroThreshold: 1e-9,
		PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []float64{1, 2}}
	rows := [][]group{
		{{t: 1000, entries: []entry{{id: 0, v: 0}, {id: 3, v: 1.5}, {id: 70000, v: math.Inf(1)}}}},
		{{t: 2000, entries: []entry{{id: 0, v: -0.1}, {id: 3, v: 1.5}}}, {t: 2000, hist: true, entries: []entry{{id: 9, hist: fh}}}},
		{},
		{{t: 3000, entries: []entry{{id: 3, v: stale}}}, {t: 2500, entries: []entry{{id: 4, v: math.MaxFloat64}}}},
	}
	var w, r journalCodec
	for i, groups := range rows {
		b, err := w.encode(nil, i == 0, groups)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []entry
		for _, g := range groups {
			want = append(want, g.entries...)
		}
		if err := r.decode(b, func(_ int64, e entry) error { got = append(got, e); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("row %d: %d samples, want %d", i, len(got), len(want))
		}
		for j := range want {
			if got[j].id != want[j].id || math.Float64bits(got[j].v) != math.Float64bits(want[j].v) {
				t.Errorf("row %d: %+v, want %+v", i, got[j], want[j])
			}
			if want[j].hist != nil && !want[j].hist.Equals(got[j].hist) {
				t.Errorf("row %d: histogram %v, want %v", i, got[j].hist, want[j].hist)
			}
		}
	}
}

func FuzzJournalDecode(f *testing.F) {
	var w journalCodec
	b, _ := w.encode(nil, true, []group{{t: 5, entries: []entry{{id: 1, v: 2}, {id: 9, v: 3}}}})
	f.Add(b)
	f.Add([]byte{1, 'h', 2, 1, 0, 3, 1, 2, 3})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c journalCodec
		n := 0
		_ = c.decode(b, func(int64, entry) error { n++; return nil })
		if n > len(b) {
			t.Errorf("%d samples out of %d bytes", n, len(b))
		}
	})
}

func FuzzBlockDecode(f *testing.F) {
	c := chunkenc.NewXORChunk()
	app, _ := c.Appender()
	app.Append(0, 1000, 1)
	app.Append(0, 2000, 2)
	f.Add(encodeBlock(nil, []seriesChunks{{id: 3, chunks: []chunk{{min: 1000, max: 2000, data: c}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		parts, err := decodeBlock(0, b)
		if err != nil {
			return
		}
		if again, err := decodeBlock(0, encodeBlock(nil, parts)); err != nil || len(again) != len(parts) {
			t.Errorf("what was decoded can't be encoded and decoded again: %v", err)
		}
	})
}

func TestBlockRowKeepsChunksAndIds(t *testing.T) {
	var parts []seriesChunks
	for id := uint32(5); id < 9; id++ {
		c := chunkenc.NewXORChunk()
		app, _ := c.Appender()
		app.Append(0, int64(id)*1000, float64(id))
		parts = append(parts, seriesChunks{id: id, chunks: []chunk{{block: 7, min: int64(id) * 1000, max: int64(id) * 1000, data: c}}})
	}
	got, err := decodeBlock(7, encodeBlock(nil, parts))
	if err != nil || len(got) != len(parts) {
		t.Fatalf("%v, %v", got, err)
	}
	for i := range parts {
		g, w := got[i].chunks[0], parts[i].chunks[0]
		if got[i].id != parts[i].id || g.min != w.min || g.max != w.max || g.block != 7 || !bytes.Equal(g.data.Bytes(), w.data.Bytes()) {
			t.Errorf("series %d: %+v, want %+v", parts[i].id, g, w)
		}
	}
}
