package engine

import (
	"context"
	"time"
)

// waitInRead is how long one Read waits for a page; then it says that the page is late, and the state and its age go on being
// recorded while a server hangs. It is short of a second, so that what comes late is read by the Read that was begun just
// before, and stamped with its time.
const waitInRead = 900 * time.Millisecond

// asking is a question for a page that one Read sent and a later one takes the answer of.
type asking struct {
	cancel context.CancelFunc
	done   chan struct{}
	// What follows is written before done is closed. came is when, by the wall clock, which goes on while a machine sleeps.
	a    answer
	err  error
	came time.Time
}

// freshFor is how long an answer that came between two readings may wait for the next one, which is stamped as now.
const freshFor = 2 * time.Second

// stale says whether an answer has lain about: nobody has read for a while (the machine slept, the recorder was held up),
// and it is not how the engine is now.
func (q *asking) stale(now time.Time) bool {
	select {
	case <-q.done:
		return now.Round(0).Sub(q.came) > freshFor
	default:
		return false
	}
}

// page asks for the page. late is whether it is still awaited: asking again would only put the question behind those that
// wait already. While it is awaited nothing else is asked of the server.
func (s *Scraper) page(ctx context.Context, path string) (a answer, late bool, err error) {
	if s.c.patience <= s.hold {
		a, err = s.c.get(ctx, path, acceptMetrics, maxPage)
		return a, false, err
	}
	q := s.asking.Load()
	if q != nil && q.stale(time.Now()) {
		q.cancel()
		q = nil
	}
	if q == nil {
		q = &asking{done: make(chan struct{})}
		var own context.Context
		own, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.asking.Store(q)
		go func() {
			defer close(q.done)
			q.a, q.err = s.c.get(own, path, acceptMetrics, maxPage)
			q.came = time.Now().Round(0)
		}()
	}
	patience := time.NewTimer(s.hold)
	defer patience.Stop()
	select {
	case <-q.done:
	case <-ctx.Done():
		q.cancel()
		<-q.done
	case <-patience.C:
		return answer{}, true, nil
	}
	q.cancel()
	s.asking.Store(nil)
	return q.a, false, q.err
}

// stop gives up what is still awaited.
func (s *Scraper) stop() {
	if q := s.asking.Load(); q != nil {
		q.cancel()
	}
}
