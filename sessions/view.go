package sessions

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// view is the whole of a session as one storage.Queryable: the newest blocks from memory, older ones from the file.
type view struct {
	head    *head
	archive atomic.Pointer[archive] // nil while nothing is stored
	found   func(...wound)          // takes what a question found to be damaged
}

func (v *view) Querier(mint, maxt int64) (storage.Querier, error) {
	return &querier{view: v, mint: mint, maxt: maxt}, nil
}

type querier struct {
	*view
	mint, maxt int64
}

func (q *querier) Close() error { return nil }

// match gives the series that all matchers accept. The caller holds head.mu.
func (q *querier) match(ms []*labels.Matcher) []*series {
	candidates := q.head.series
	for _, m := range ms {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			candidates = nil
			if n := q.head.byName[m.Value]; n != nil {
				candidates = n.series
			}
			break
		}
	}
	var out []*series
next:
	for _, s := range candidates {
		if s == nil {
			continue
		}
		for _, m := range ms {
			if !m.Matches(s.lset.Get(m.Name)) {
				continue next
			}
		}
		out = append(out, s)
	}
	return out
}

func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	mint, maxt := q.mint, q.maxt
	if hints != nil {
		mint, maxt = max(mint, hints.Start), min(maxt, hints.End)
	}
	q.head.mu.RLock()
	found := q.match(ms)
	set := &seriesSet{at: -1, entries: make([]storage.SeriesEntry, 0, len(found))}
	byName, names := map[uint32][]*series{}, map[uint32]string{}
	newest := make(map[uint32][]chunk, len(found))
	for _, s := range found {
		newest[s.id] = s.chunks(mint, maxt, nil)
		byName[s.name] = append(byName[s.name], s)
		names[s.name] = q.head.names[s.name].name
	}
	floor := q.head.floor
	q.head.mu.RUnlock()

	var older map[uint32][]chunk
	if a := q.archive.Load(); a != nil && (floor == 0 || mint < floor) {
		older = make(map[uint32][]chunk, len(found))
		for n := range byName {
			damaged, err := a.chunks(ctx, n, mint, maxt, floor, older)
			if err != nil {
				return storage.ErrSeriesSet(err)
			}
			for i := range damaged {
				damaged[i].metric = names[n]
				set.warnings.Add(damaged[i])
			}
			q.found(damaged...)
			endAt(byName[n], damaged, older)
		}
	}
	for _, s := range found {
		cs := newest[s.id]
		if old := older[s.id]; len(old) > 0 {
			cs = append(slices.Clone(old), cs...)
		}
		if len(cs) == 0 {
			continue
		}
		set.entries = append(set.entries, storage.SeriesEntry{Lset: s.lset, SampleIteratorFn: func(chunkenc.Iterator) chunkenc.Iterator {
			return &chunkIterator[int64]{chunks: cs}
		}})
	}
	if sorted {
		sort.Slice(set.entries, func(i, j int) bool { return labels.Compare(set.entries[i].Lset, set.entries[j].Lset) < 0 })
	}
	return set
}

// endAt ends series where their readings are damaged, as a source does that stops.
func endAt(all []*series, damaged []wound, chunks map[uint32][]chunk) {
	if len(damaged) == 0 {
		return
	}
	for _, s := range all {
		for _, w := range damaged {
			c := chunkenc.NewXORChunk()
			app, err := c.Appender()
			if err != nil {
				continue // a fresh chunk always has one
			}
			app.Append(0, w.from, staleNaN())
			chunks[s.id] = append(chunks[s.id], chunk{block: w.from, min: w.from, max: w.from, data: c})
		}
		slices.SortStableFunc(chunks[s.id], func(a, b chunk) int { return cmp.Compare(a.min, b.min) })
	}
}

func (q *querier) LabelValues(_ context.Context, label string, _ *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	q.head.mu.RLock()
	defer q.head.mu.RUnlock()
	seen := map[string]struct{}{}
	for _, s := range q.match(ms) {
		if v := s.lset.Get(label); v != "" {
			seen[v] = struct{}{}
		}
	}
	return sortedKeys(seen), nil, nil
}

func (q *querier) LabelNames(_ context.Context, _ *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	q.head.mu.RLock()
	defer q.head.mu.RUnlock()
	seen := map[string]struct{}{}
	for _, s := range q.match(ms) {
		s.lset.Range(func(l labels.Label) { seen[l.Name] = struct{}{} })
	}
	return sortedKeys(seen), nil, nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// seriesSet walks a list of series.
type seriesSet struct {
	entries  []storage.SeriesEntry
	at       int
	warnings annotations.Annotations
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at < len(s.entries) }
func (s *seriesSet) At() storage.Series                { return &s.entries[s.at] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return s.warnings }

// chunkIterator walks the samples of consecutive chunks. Its parameter is always int64: vet holds every method
// Seek(int64) to be meant for io.Seeker, and chunkenc.Iterator wants one that is not.
type chunkIterator[ms interface{ int64 }] struct {
	chunks []chunk
	next   int // index of the chunk after the current one
	it     chunkenc.Iterator
	typ    chunkenc.ValueType
	err    error
}

func (c *chunkIterator[ms]) Next() chunkenc.ValueType {
	for c.err == nil {
		if c.it != nil {
			if c.typ = c.it.Next(); c.typ != chunkenc.ValNone {
				return c.typ
			}
			if c.err = c.it.Err(); c.err != nil {
				break
			}
		}
		if c.next >= len(c.chunks) {
			break
		}
		c.it = c.chunks[c.next].data.Iterator(c.it)
		c.next++
	}
	c.typ = chunkenc.ValNone
	return c.typ
}

// Seek skips whole chunks by their bounds; it doesn't move when it already stands at t or behind it.
func (c *chunkIterator[ms]) Seek(t ms) chunkenc.ValueType {
	if c.typ != chunkenc.ValNone && c.it.AtT() >= int64(t) {
		return c.typ
	}
	skip := c.next
	for skip < len(c.chunks) && c.chunks[skip].max < int64(t) {
		skip++
	}
	if skip > c.next || (c.next > 0 && c.chunks[c.next-1].max < int64(t)) {
		// Nothing left for t in the current chunk: go on with the first that can hold it.
		c.next, c.it = skip, nil
	}
	for c.Next() != chunkenc.ValNone {
		if c.it.AtT() >= int64(t) {
			return c.typ
		}
	}
	return chunkenc.ValNone
}

func (c *chunkIterator[ms]) At() (int64, float64) { return c.it.At() }

func (c *chunkIterator[ms]) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	return c.it.AtHistogram(h)
}

func (c *chunkIterator[ms]) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	return c.it.AtFloatHistogram(h)
}

func (c *chunkIterator[ms]) AtT() int64  { return c.it.AtT() }
func (c *chunkIterator[ms]) AtST() int64 { return c.it.AtST() }
func (c *chunkIterator[ms]) Err() error  { return c.err }
