package sessions

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"pitwall/probes"
)

// pull is a source with what the recorder remembers of it.
type pull struct {
	src           probes.Source
	job, instance string
	busy          bool
	due           int64
	every         time.Duration
	cache         map[uint64]cachedSeries
	seen          []*series // those that the last reading had
	own           [4]*series
	facts, absent map[string]string
	made          int // series that it has had
	hour          int64
	events        int  // that it has brought in this hour of the clock
	flooded       bool // and it was told that there are no more
	refusing      bool
}

type cachedSeries struct {
	orig labels.Labels
	s    *series
}

// all gives the series that the source gave last, with those that the recorder writes about it.
func (p *pull) all() []*series {
	out := slices.Clone(p.seen)
	for _, s := range p.own {
		if s != nil {
			out = append(out, s)
		}
	}
	return out
}

// staleNaN is Prometheus's marker for the end of a series.
func staleNaN() float64 { return math.Float64frombits(value.StaleNaN) }

// pulled is what came back.
type pulled struct {
	p    *pull
	t    int64
	took time.Duration
	r    probes.Reading
}

// begin opens a tick: finishes the block if it is over, and asks the sources that are due.
func (r *Recorder) begin(ctx context.Context, t int64) {
	if r.tick != 0 && t-r.tick >= gapAfter {
		r.interrupted(t)
	}
	r.tick = t
	r.mu.Lock()
	if r.started == 0 {
		r.started = t
		r.pending.meta["started"] = strconv.FormatInt(t, 10)
	}
	r.mu.Unlock()
	r.head.mu.Lock()
	if r.head.cut(t) {
		r.finishBlock()
	}
	if r.stored == 0 {
		r.stored = r.head.block
	}
	r.head.mu.Unlock()
	r.out = 0
	asked := map[[2]string]bool{}
	for _, src := range slices.Concat(r.opt.Sources(), []probes.Source{(*self)(r)}) {
		job, instance := src.Target()
		key := [2]string{job, instance}
		if asked[key] {
			continue
		}
		asked[key] = true
		p := r.pulls[key]
		if p == nil {
			p = &pull{job: job, instance: instance, cache: map[uint64]cachedSeries{}}
			r.pulls[key] = p
		}
		p.src = src
		if p.busy || t < p.due {
			continue
		}
		p.busy = true
		r.out++
		go func() {
			got := pulled{p: p, t: t}
			start := time.Now()
			func() {
				defer func() {
					if e := recover(); e != nil {
						got.r = probes.Reading{Err: fmt.Errorf("reading %s %s panicked: %v", job, instance, e)}
					}
				}()
				ctx, cancel := context.WithTimeout(ctx, pullTimeout)
				defer cancel()
				got.r = src.Read(ctx)
			}()
			got.took = time.Since(start)
			if got.r.Took > 0 {
				got.took = got.r.Took
			}
			select {
			case r.results <- got:
			case <-ctx.Done():
			}
		}()
	}
	for key, p := range r.pulls {
		if !asked[key] && !p.busy { // no longer there: its series end here
			p.seen = p.all()
			r.ingest(p, t, nil)
			r.takeFacts(p, t, nil, nil)
			delete(r.pulls, key)
		}
	}
}

// take stores in memory what came back.
func (r *Recorder) take(got pulled) {
	p := got.p
	p.busy = false
	if got.t == r.tick {
		r.out--
	}
	p.every = max(Tick, p.src.Every().Truncate(Tick))
	p.due = got.t + p.every.Milliseconds()
	if r.tick-got.t > lateness-5_000 {
		r.dropped.Add(1)
		return
	}
	absent := make(map[string]string, len(got.r.Absent)+1)
	for path, why := range got.r.Absent {
		absent[path] = r.redact(why)
	}
	up := 1.0
	if got.r.Err != nil {
		up = 0
		absent[targetPath(p.job, p.instance)] = Redact(got.r.Err.Error())
	}
	r.takeMeta(got.r.Meta)
	if got.r.Late != "" { // it is neither up nor down, and none of its series has ended
		absent[latePath(p.job, p.instance)] = r.redact(got.r.Late)
		before := p.seen
		p.seen = nil
		r.tellRefused(p, got.t, r.ingest(p, got.t, got.r.Samples), absent)
		p.seen = append(p.seen, before...)
		r.ingestInterval(p, got.t, p.every.Seconds())
		r.takeFacts(p, got.t, redactFacts(got.r.Facts, r.secretPath, r.redact), absent)
		r.addEvents(p.boundEvents(got.r.Events, got.t), got.t)
		return
	}
	n := float64(len(got.r.Samples))
	r.tellRefused(p, got.t, r.ingest(p, got.t, got.r.Samples), absent)
	r.ingestOwn(p, got.t, [4]float64{up, got.took.Seconds(), n, p.every.Seconds()})
	r.takeFacts(p, got.t, redactFacts(got.r.Facts, r.secretPath, r.redact), absent)
	r.addEvents(p.boundEvents(got.r.Events, got.t), got.t)
}

// redact is Redact for texts that come again every second: looking for secrets in all of them anew would cost as much as
// storing the samples. It is for the goroutine that takes readings.
func (r *Recorder) redact(s string) string {
	out, ok := r.redacted[s]
	if !ok {
		if len(r.redacted) > 4096 {
			clear(r.redacted)
		}
		out = Redact(s)
		r.redacted[s] = out
	}
	return out
}

// secretPath is the function of that name, kept in the same way and for the same reason.
func (r *Recorder) secretPath(path string) bool {
	secret, ok := r.secrets[path]
	if !ok {
		if len(r.secrets) > 4096 {
			clear(r.secrets)
		}
		secret = secretPath(path)
		r.secrets[path] = secret
	}
	return secret
}

// ownMetrics are what the recorder writes about every pull: Prometheus's own names, and the interval in force.
var ownMetrics = [4]string{"up", "scrape_duration_seconds", "scrape_samples_scraped", IntervalMetric}

func (r *Recorder) ingestOwn(p *pull, t int64, vs [4]float64) {
	h := r.head
	h.mu.Lock()
	defer h.mu.Unlock()
	g := group{t: t}
	for i, m := range ownMetrics {
		if p.own[i] == nil {
			p.own[i], _ = h.find(labels.FromStrings(model.MetricNameLabel, m, "job", p.job, "instance", p.instance))
		}
		if h.appendFloat(p.own[i], t, vs[i]) {
			p.own[i].stale = false
			g.entries = append(g.entries, entry{id: p.own[i].id, v: vs[i]})
		}
	}
	r.addGroup(g)
}

// ingestInterval writes only the interval, the last of ownMetrics: that a source is asked, and not what it answered.
func (r *Recorder) ingestInterval(p *pull, t int64, v float64) {
	h := r.head
	h.mu.Lock()
	defer h.mu.Unlock()
	i := len(ownMetrics) - 1
	if p.own[i] == nil {
		p.own[i], _ = h.find(labels.FromStrings(model.MetricNameLabel, ownMetrics[i], "job", p.job, "instance", p.instance))
	}
	if h.appendFloat(p.own[i], t, v) {
		p.own[i].stale = false
		r.addGroup(group{t: t, entries: []entry{{id: p.own[i].id, v: v}}})
	}
}

// ingest appends a page, and a staleness marker to every series that the page before had and this one has not. It gives the
// metric names of the samples whose series were refused, with how many.
func (r *Recorder) ingest(p *pull, t int64, samples []probes.Sample) (refused map[string]int) {
	h := r.head
	h.mu.Lock()
	defer h.mu.Unlock()
	floats, hists := group{t: t}, group{t: t, hist: true}
	seen := make([]*series, 0, len(samples))
	for _, sm := range samples {
		if sm.Labels.Len() == 1 && slices.Contains(ownMetrics[:], sm.Labels.Get(model.MetricNameLabel)) {
			continue // the page's own "up" would be the recorder's, and say that all is well when it isn't
		}
		s := r.seriesOf(p, sm.Labels)
		if s == nil {
			if refused == nil {
				refused = map[string]int{}
			}
			refused[sm.Labels.Get(model.MetricNameLabel)]++
			continue
		}
		ok := false
		if sm.Hist == nil {
			if ok = h.appendFloat(s, t, sm.Value); ok {
				floats.entries = append(floats.entries, entry{id: s.id, v: sm.Value})
			}
			if sm.Value == 1 && sm.Labels.Get(model.MetricNameLabel) == "pitwall_simulated" && !r.simulated.Swap(true) {
				r.mu.Lock()
				r.pending.meta["simulated"] = "true"
				r.mu.Unlock()
			}
		} else {
			var err error
			if ok, err = h.appendHistogram(s, t, sm.Hist); ok && err == nil {
				hists.entries = append(hists.entries, entry{id: s.id, hist: sm.Hist})
			}
		}
		if !ok {
			r.dropped.Add(1)
			continue
		}
		s.stale = false
		seen = append(seen, s)
	}
	for _, s := range p.seen {
		if s.lastT < t && !s.stale {
			v := staleNaN()
			if h.appendFloat(s, t, v) {
				s.stale = true
				floats.entries = append(floats.entries, entry{id: s.id, v: v})
			}
		}
	}
	p.seen = seen
	if len(p.cache) > 2*len(seen)+1024 { // a source whose series come and go: only those of its last page are worth keeping
		clear(p.cache)
	}
	r.addGroup(floats)
	r.addGroup(hists)
	return refused
}

func (r *Recorder) addGroup(g group) {
	if len(g.entries) > 0 {
		slices.SortFunc(g.entries, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
		r.groups = append(r.groups, g)
	}
}

// seriesOf gives the series of a source's label set, through the source's cache: building the full set every second would
// cost more than all the rest. It gives nil for a new series where there are too many already. The caller holds head.mu.
func (r *Recorder) seriesOf(p *pull, ls labels.Labels) *series {
	hash := ls.Hash()
	if c, ok := p.cache[hash]; ok && labels.Equal(c.orig, ls) {
		return c.s
	}
	b := labels.NewBuilder(ls)
	for name, v := range map[string]string{"job": p.job, "instance": p.instance} {
		if old := ls.Get(name); old != "" {
			b.Set("exported_"+name, old)
		}
		b.Set(name, v)
	}
	lset := b.Labels()
	s := r.head.lookup(lset)
	if s == nil {
		if p.made >= r.opt.SeriesPerTarget || len(r.head.series) >= r.opt.SeriesPerSession {
			return nil
		}
		p.made++
		s = r.head.add(lset, lset.Hash())
	}
	p.cache[hash] = cachedSeries{orig: ls, s: s}
	return s
}

// takeMeta keeps type, help and unit with the names that they are about.
func (r *Recorder) takeMeta(meta map[string]probes.Meta) {
	h := r.head
	h.mu.Lock()
	defer h.mu.Unlock()
	for fam, m := range meta {
		for _, suffix := range [...]string{"", "_bucket", "_sum", "_count", "_total"} {
			n := h.byName[fam+suffix]
			if n == nil || n.known {
				continue
			}
			n.typ, n.help, n.unit, n.known = string(m.Type), m.Help, m.Unit, true
			n.unwritten = true
		}
	}
}

func (r *Recorder) takeFacts(p *pull, t int64, facts, absent map[string]string) {
	notes := r.ledger.change(ledgerFact, t, p.facts, facts)
	notes = append(notes, r.ledger.change(ledgerAbsent, t, p.absent, absent)...)
	p.facts, p.absent = facts, absent
	if len(notes) > 0 {
		r.mu.Lock()
		r.pending.notes = append(r.pending.notes, notes...)
		r.mu.Unlock()
	}
}

func (r *Recorder) addEvents(events []probes.Event, t int64) {
	for _, e := range events {
		if e.Time.IsZero() {
			e.Time = timeOf(t)
		}
		e.Title = Redact(e.Title)
		e.Attrs = redactFacts(e.Attrs, secretPath, Redact)
		r.ledger.addEvent(e)
		r.mu.Lock()
		r.pending.events = append(r.pending.events, e)
		r.mu.Unlock()
	}
}
