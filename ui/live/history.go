package live

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/sessions"
	"pitwall/ui/figure"
)

// spanRequest is a question for what the charts of a stretch of time are made of.
type spanRequest struct {
	gen    uint64
	reader sessions.Reader
	of     *snapshot // whose engine is asked about
	asked  []query
	zoom   bool
	// from is set when the history is to be continued rather than begun.
	from, until  time.Time
	length, slot time.Duration
}

// past is the answer: points by historyKey.
type past struct {
	gen          uint64
	points       map[string][]point
	errs         map[string]string
	continues    bool
	until        time.Time
	length, slot time.Duration
}

type point struct {
	at time.Time
	v  float64
}

// patience bounds the questions for a history: a day's charts take longer than a moment's numbers, and nothing waits for
// them.
const patience = 30 * time.Second

// fill asks for the history of the span that the cursor is in, unless it is being asked for.
func (m *Model) fill() tea.Cmd {
	if m.filling || m.reader == nil || m.snap == nil || m.snap.at.IsZero() {
		return nil
	}
	m.filling, m.stale, m.waiting = true, false, nil
	r := spanRequest{gen: m.gen, reader: m.reader, of: m.snap, asked: queriesFor(m.questions(), m.zoomed(), m.h >= 40), zoom: m.zoom >= 0, until: m.spanEnd(), length: m.spanLength()}
	r.slot = slotFor(r.length)
	if m.cursor.mode == playing && m.history != nil && r.slot == m.slot && r.length == m.length && r.until.After(m.until) && r.until.Sub(m.until) < r.length {
		r.from = m.until.Truncate(r.slot).Add(r.slot)
	}
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return r.ask(ctx)
	}
}

func (r spanRequest) ask(ctx context.Context) past {
	out := past{gen: r.gen, points: make(map[string][]point), errs: make(map[string]string), until: r.until, length: r.length, slot: r.slot, continues: !r.from.IsZero()}
	end := r.until.Truncate(r.slot)
	start := r.from
	if !out.continues {
		start = end.Add(-r.length - 2*r.slot).Truncate(r.slot)
	}
	if start.Before(r.of.first) {
		start = r.of.first.Truncate(r.slot)
	}
	if end.Before(start) {
		return out
	}
	for _, q := range r.asked {
		sc, ok := r.of.scopeOf(q)
		if !ok || !q.chart && !(q.heat && r.zoom) {
			continue
		}
		sc.Range = r.length
		res, err := r.reader.QueryRange(ctx, q.expr, start, end, r.slot, sc)
		if err != nil {
			out.errs[q.id] = err.Error()
			continue
		}
		for i, series := range res.Matrix() {
			if q.full && i >= maxSeries {
				break
			}
			key := historyKey(q, series.Metric)
			for _, p := range series.Floats {
				out.points[key] = append(out.points[key], point{time.UnixMilli(p.T), p.F})
			}
		}
	}
	return out
}

// takePast files a history, unless something else has been asked for since.
func (m *Model) takePast(p past) tea.Cmd {
	if p.gen != m.gen {
		return nil
	}
	m.filling = false
	if !p.continues || m.history == nil {
		m.history = make(map[string]*ring)
	}
	m.length, m.slot, m.until = p.length, p.slot, p.until
	for key, points := range p.points {
		for _, x := range points {
			m.ringOf(key).add(x.at, x.v)
		}
	}
	for _, s := range m.waiting {
		m.remember(s)
	}
	m.waiting = nil
	m.pastErrs = p.errs
	if m.stale || m.cursor.mode != live && (!m.spanEnd().Equal(m.until) || m.spanLength() != m.length) {
		return m.fill()
	}
	return nil
}

func (m *Model) ringOf(key string) *ring {
	if m.history[key] == nil {
		m.history[key] = newRing(m.slot, int(m.length/m.slot)+slotsPerWindow/4)
	}
	return m.history[key]
}

// spanLength is how much time the charts are to show.
func (m *Model) spanLength() time.Duration {
	l := m.custom
	if l == 0 {
		l = windows[m.window].length
	}
	if l == 0 && m.snap != nil {
		end := m.snap.last
		if m.cursor.mode == playing {
			end = m.snap.at
		}
		l = max(end.Sub(m.snap.first), time.Minute)
	}
	return max(l, shortest)
}

// spanEnd is the right end of the charts.
func (m *Model) spanEnd() time.Time {
	switch m.cursor.mode {
	case frozen:
		return m.cursor.end
	case playing:
		return m.snap.at
	}
	return m.snap.last
}

// lookAround is how far around a moment without data the gap is searched for.
const lookAround = time.Hour

// gapAt says why there is nothing at the snapshot's moment; "" where something was recorded. A gap is told by the series "up",
// which the recorder writes at every pull of every source.
func gapAt(ctx context.Context, r sessions.Reader, s *snapshot) string {
	if s.at.Equal(s.last) || s.at.Equal(s.first) {
		return ""
	}
	ticks := func(end time.Time, back time.Duration) (first, last time.Time) {
		res, err := r.Query(ctx, fmt.Sprintf("up[%ds]", int(back.Seconds())), end, sessions.Scope{})
		if err != nil {
			return first, last
		}
		for _, series := range res.Matrix() {
			for _, p := range series.Floats {
				if at := time.UnixMilli(p.T); first.IsZero() || at.Before(first) {
					first = at
				}
				if at := time.UnixMilli(p.T); at.After(last) {
					last = at
				}
			}
		}
		return first, last
	}
	if _, last := ticks(s.at, gapFrom(s.targets)); !last.IsZero() {
		return ""
	}
	_, before := ticks(s.at, lookAround)
	after, _ := ticks(s.at.Add(lookAround), lookAround)
	switch {
	case before.IsZero() && after.IsZero():
		return "not recorded"
	case before.IsZero():
		return "not recorded until " + after.Local().Format("15:04:05")
	case after.IsZero():
		return "not recorded since " + before.Local().Format("15:04:05")
	}
	return "not recorded: gap of " + figure.Ago(after.Sub(before)) + " from " + before.Local().Format("15:04:05")
}

// gapFrom is the length of time without any tick that is a gap: the source that is pulled most often is pulled every second,
// in a session without GPU and host every few.
func gapFrom(targets []sessions.Target) time.Duration {
	least := 4 * time.Second
	for _, t := range targets {
		if t.Every > 0 {
			least = min(least, t.Every)
		}
	}
	return least + 2*time.Second
}
