package engine

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// askAgain is how long an engine that nothing has told apart yet is left in peace until it is asked again who it is.
const askAgain = 20 * time.Second

// identify finds out which engine answers at the place of a scraper that nobody has read yet: by its page, else by what is
// asked in askWho. Nil if it is the one that was taken for granted, or if there is no telling.
func (s *Scraper) identify(ctx context.Context) *dialect.Dialect {
	a, err := s.c.get(ctx, s.d.Paths.Metrics, acceptMetrics, maxPage)
	if err != nil {
		return nil
	}
	var p pages
	samples, _, err := p.parse(a.contentType, unquoted(a.body))
	if a.status != http.StatusOK || err != nil {
		return s.unlike(ctx, a)
	}
	if slices.ContainsFunc(samples, func(x probes.Sample) bool { return s.d.Owns(x.Labels.Get(model.MetricNameLabel)) }) {
		return nil
	}
	return s.notOurs(ctx, samples)
}

// isAnother is asked after every scrape, a being the answer and samples its page, nil if it was none. It gives the dialect
// that this engine should be read with instead; mostly nil. An answer that did not come to its end says nothing, and a
// server that had no time for it is not asked more.
func (s *Scraper) isAnother(ctx context.Context, now time.Time, o *Observation, a answer, samples []probes.Sample) *dialect.Dialect {
	switch {
	case s.fixed || a.body == nil || samples != nil && o.Work.Own:
		return nil
	case samples != nil:
		if d, ok := dialect.Detected(metricNames(samples)); ok {
			return d
		}
		if s.settled {
			return nil
		}
	default:
		if d, ok := dialect.Loads(a.status, a.body); ok {
			return another(d, s.d)
		}
	}
	if now.Sub(s.askedWho) < askAgain {
		return nil
	}
	s.askedWho = now
	if samples != nil {
		return s.notOurs(ctx, samples)
	}
	return s.unlike(ctx, a)
}

// notOurs decides about a page without any metric of the dialect's: it is another engine's by its metrics, or by who owns
// its models. An engine may also be told to publish nothing: then its models still say that it is the one.
func (s *Scraper) notOurs(ctx context.Context, samples []probes.Sample) *dialect.Dialect {
	if d, ok := dialect.Detected(metricNames(samples)); ok {
		return d
	}
	d, known, answered := s.owner(ctx)
	switch {
	case known:
		s.settled = true
		return another(d, s.d)
	case !answered:
		return nil
	}
	return another(dialect.Fallback(), s.d)
}

// unlike decides about a server that answers, and not with a page where this dialect has one: another dialect's page may be
// elsewhere, or there is none.
func (s *Scraper) unlike(ctx context.Context, a answer) *dialect.Dialect {
	if d, ok := dialect.Loads(a.status, a.body); ok {
		return another(d, s.d)
	}
	var tried []string
	for _, d := range dialect.All() {
		path := d.Paths.Metrics
		if path == s.d.Paths.Metrics || slices.Contains(tried, path) {
			continue
		}
		tried = append(tried, path)
		page, err := s.c.get(ctx, path, acceptMetrics, maxPage)
		if err != nil {
			return nil
		}
		var p pages
		if samples, _, err := p.parse(page.contentType, page.body); page.status == http.StatusOK && err == nil {
			if d, ok := dialect.Detected(metricNames(samples)); ok {
				return another(d, s.d)
			}
		}
	}
	d, known, answered := s.owner(ctx)
	switch {
	case known:
		s.settled = true
		return another(d, s.d)
	case answered && !s.settled && slices.Contains(dialect.Fallback().NoPage.Status, a.status):
		return another(dialect.Fallback(), s.d)
	}
	return nil
}

// owner asks who owns the models. answered is whether there was a list of them: whether it is an engine at all.
func (s *Scraper) owner(ctx context.Context) (d *dialect.Dialect, known, answered bool) {
	path := s.d.Paths.Models
	if path == "" {
		return nil, false, false
	}
	a, err := s.c.get(ctx, path, acceptJSON, maxJSON)
	if err != nil || a.status != http.StatusOK {
		return nil, false, false
	}
	ms, err := modelList(a.body)
	if err != nil || ms == nil {
		return nil, false, false
	}
	for _, m := range ms {
		if d, ok := dialect.OwnedBy(m.OwnedBy); ok {
			return d, true, true
		}
	}
	return nil, false, true
}

// another gives d if it is not the one in use.
func another(d, inUse *dialect.Dialect) *dialect.Dialect {
	if d.Name == inUse.Name {
		return nil
	}
	return d
}

func metricNames(samples []probes.Sample) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, s := range samples {
			if !yield(s.Labels.Get(model.MetricNameLabel)) {
				return
			}
		}
	}
}

// byProcess gives the dialect of a new process at this place, nil if it is the one in use. Each process is asked once: what
// it serves says more than what it is called.
func (s *Scraper) byProcess(srv Server) *dialect.Dialect {
	if s.fixed || srv.Dialect == "" || srv.PID == s.judged {
		return nil
	}
	s.judged = srv.PID
	d, ok := dialect.Named(srv.Dialect)
	if !ok {
		return nil
	}
	s.settled = true
	return another(d, s.d)
}

// turn ends this scraper: from now on another one reads the engine, with that dialect.
func (s *Scraper) turn(d *dialect.Dialect) probes.Reading {
	s.turned.Store(d)
	if s.onTurn != nil {
		s.onTurn()
	}
	return probes.Reading{}
}

// successor is the scraper that reads the engine with another dialect. It knows what has been seen of the state.
func (s *Scraper) successor(d *dialect.Dialect, a Access) (*Scraper, error) {
	n, err := newScraper(s.c.place, d, a, s.server)
	if err != nil {
		return nil, err
	}
	n.alive, n.clock, n.root, n.onTurn = s.alive, s.clock, s.root, s.onTurn
	n.machine, n.judged, n.settled, n.was, n.known = s.machine, s.judged, s.settled, s.was, s.known
	// Another engine at the same place is no version of the former one.
	delete(n.was, "version")
	n.status.Store(s.status.Load())
	n.seen.Store(s.seen.Load())
	n.scored.Store(s.scored.Load())
	return n, nil
}
