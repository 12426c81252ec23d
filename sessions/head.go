package sessions

import (
	"slices"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// chunk is a stretch of one series. Once finished it is never changed, so it is shared without a lock.
type chunk struct {
	block    int64 // the block it was written in
	min, max int64 // first and last timestamp, milliseconds
	data     chunkenc.Chunk
}

// series is one series of a session: its identity, and what of it is in memory.
type series struct {
	id   uint32
	name uint32 // index into head.names
	lset labels.Labels

	done  []chunk // finished chunks in memory, oldest first
	open  chunk   // the one that grows; data is nil when there is none
	app   chunkenc.Appender
	lastT int64
	stale bool // the last sample is a staleness marker
}

// name is a metric name with what its source said of it.
type name struct {
	id               uint32
	name             string
	typ, help, unit  string
	series           []*series
	unwritten, known bool // unwritten: not yet in the file
}

// head holds the newest samples of a session in memory: whole blocks from floor on, and the one that grows.
type head struct {
	mu     sync.RWMutex // guards everything below
	names  []*name
	byName map[string]*name
	series []*series // by id; ids are dense from 0
	byHash map[uint64][]*series
	block  int64 // start of the block that grows, 0 before the first sample
	floor  int64 // the oldest block in memory; older ones are in the file only
	first  int64 // the first timestamp ever, 0 if none
	last   int64 // the newest tick
}

func newHead() *head {
	return &head{byName: map[string]*name{}, byHash: map[uint64][]*series{}}
}

// clear empties it, for a reader that begins anew.
func (h *head) clear() {
	fresh := newHead()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.names, h.byName, h.series, h.byHash = nil, fresh.byName, nil, fresh.byHash
	h.block, h.floor = 0, 0
}

// find gives the series of a label set, making it if there is none. The caller holds mu.
func (h *head) find(lset labels.Labels) (s *series, fresh bool) {
	if s := h.lookup(lset); s != nil {
		return s, false
	}
	return h.add(lset, lset.Hash()), true
}

// lookup gives the series of a label set, nil if there is none. The caller holds mu.
func (h *head) lookup(lset labels.Labels) *series {
	for _, s := range h.byHash[lset.Hash()] {
		if labels.Equal(s.lset, lset) {
			return s
		}
	}
	return nil
}

func (h *head) add(lset labels.Labels, hash uint64) *series {
	n := h.nameOf(lset.Get(model.MetricNameLabel))
	s := &series{id: uint32(len(h.series)), name: n.id, lset: lset}
	h.series = append(h.series, s)
	h.byHash[hash] = append(h.byHash[hash], s)
	n.series = append(n.series, s)
	return s
}

func (h *head) nameOf(metric string) *name {
	n, ok := h.byName[metric]
	if !ok {
		n = &name{id: uint32(len(h.names)), name: metric, unwritten: true}
		h.names = append(h.names, n)
		h.byName[metric] = n
	}
	return n
}

// appendFloat adds a sample, or refuses it (false) when it is not newer than the last of its series: a chunk would take it
// in silence and lie afterwards. The caller holds mu.
func (h *head) appendFloat(s *series, t int64, v float64) bool {
	if t <= s.lastT {
		return false
	}
	if s.open.data == nil || s.open.data.Encoding() != chunkenc.EncXOR {
		s.finish()
		h.start(s, t, chunkenc.NewXORChunk())
	}
	s.app.Append(0, t, v)
	s.open.max, s.lastT = t, t
	return true
}

// appendHistogram is appendFloat for native histograms; it may finish the open chunk on its own account (a counter reset,
// other buckets).
func (h *head) appendHistogram(s *series, t int64, fh *histogram.FloatHistogram) (bool, error) {
	if t <= s.lastT {
		return false, nil
	}
	var prev chunkenc.Appender
	if s.open.data == nil || s.open.data.Encoding() != chunkenc.EncFloatHistogram {
		s.finish()
		h.start(s, t, chunkenc.NewFloatHistogramChunk())
	}
	c, recoded, app, err := s.app.AppendFloatHistogram(prev, 0, t, fh.Copy(), false)
	if err != nil {
		return false, err
	}
	s.app = app
	switch {
	case c == nil:
	case recoded:
		s.open.data = c
	default:
		s.done = append(s.done, s.open)
		s.open = chunk{block: h.block, min: t, data: c}
	}
	s.open.max, s.lastT = t, t
	return true, nil
}

func (h *head) start(s *series, t int64, c chunkenc.Chunk) {
	app, err := c.Appender()
	if err != nil {
		panic("sessions: a fresh chunk gives no appender: " + err.Error()) // only a chunk of unknown encoding does
	}
	s.open, s.app = chunk{block: h.block, min: t, max: t, data: c}, app
}

// finish moves the open chunk to the finished ones.
func (s *series) finish() {
	if s.open.data == nil {
		return
	}
	s.open.data.Compact()
	s.done = append(s.done, s.open)
	s.open, s.app = chunk{}, nil
}

// cut finishes every open chunk when t lies beyond the growing block, and says whether it did. The caller holds mu.
func (h *head) cut(t int64) bool {
	b := blockOf(t)
	if b <= h.block {
		return false
	}
	had := h.block != 0
	if had {
		for _, s := range h.series {
			if s != nil {
				s.finish()
			}
		}
	} else {
		h.floor = b
	}
	h.block = b
	return had
}

// forget drops the blocks before floor from memory.
func (h *head) forget(floor int64) {
	if floor <= h.floor {
		return
	}
	for _, s := range h.series {
		if s == nil {
			continue
		}
		i := 0
		for i < len(s.done) && s.done[i].block < floor {
			i++
		}
		if i > 0 {
			s.done = slices.Clone(s.done[i:])
		}
	}
	h.floor = floor
}

// chunks gives the chunks of a series that overlap [mint, maxt], the growing one as a copy: it is changed in place.
func (s *series) chunks(mint, maxt int64, out []chunk) []chunk {
	for _, c := range s.done {
		if c.max >= mint && c.min <= maxt {
			out = append(out, c)
		}
	}
	if c := s.open; c.data != nil && c.max >= mint && c.min <= maxt {
		data, err := chunkenc.FromData(c.data.Encoding(), slices.Clone(c.data.Bytes()))
		if err == nil {
			c.data = data
			out = append(out, c)
		}
	}
	return out
}
