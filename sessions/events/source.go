package events

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"pitwall/probes"
	"pitwall/sessions"
)

// ActiveMetric is the series of what goes on, like Prometheus's ALERTS: 1 while the condition of a rule holds, 0 while it
// does not and may come again, absent otherwise. Its labels are kind, subject and severity.
const ActiveMetric = "pitwall_event_active"

// sourceTimeout bounds one look at all rules: a recorder must not wait for them.
const sourceTimeout = 5 * time.Second

// Source finds events while a session is recorded. It is one more source of the recorder that it asks, and looks at the
// tick before the one that asks it.
type Source struct {
	rules []Rule

	mu     sync.Mutex // guards the next two
	reader sessions.Reader
	w      *watcher
	seen   time.Time // Read's own
}

var _ probes.Source = (*Source)(nil)

// NewSource makes a source for rules; it gives nothing until it follows a recorder.
func NewSource(rules []Rule) *Source { return &Source{rules: rules} }

// Follow names the recorder that is asked. What goes on in a session that it continues goes on.
func (s *Source) Follow(r sessions.Reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reader, s.w = r, nil
}

// Following tells whether there is a recorder to ask.
func (s *Source) Following() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reader != nil
}

// Target gives "pitwall" and "events".
func (s *Source) Target() (job, instance string) { return "pitwall", "events" }

// Every is a second: the rules have their own intervals.
func (s *Source) Every() time.Duration { return sessions.Tick }

// Read looks at the rules that are due.
func (s *Source) Read(ctx context.Context) probes.Reading {
	start := time.Now()
	s.mu.Lock()
	r, w := s.reader, s.w
	s.mu.Unlock()
	if r == nil {
		return probes.Reading{}
	}
	_, last := r.Bounds()
	var out probes.Reading
	if w == nil {
		w = newWatcher(r, s.rules)
		if !last.IsZero() {
			out.Events = w.resume(last)
		}
		s.mu.Lock()
		s.w = w
		s.mu.Unlock()
		s.seen = time.Time{}
	}
	if !last.IsZero() && last.After(s.seen) {
		s.seen = last
		ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
		defer cancel()
		found, err := w.step(ctx, last)
		out.Events = append(out.Events, found...)
		if err != nil {
			// The rules that could be asked have been; that some could not is no failure of the source.
			out.Absent = map[string]string{ActiveMetric: "some rules could not be asked: " + err.Error()}
		}
	}
	out.Samples = w.active()
	out.Meta = map[string]probes.Meta{ActiveMetric: {Type: model.MetricTypeGauge, Help: "1 while the condition of an event's rule holds, 0 while it is away and may come again."}}
	out.Took = time.Since(start)
	return out
}
