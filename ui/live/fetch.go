package live

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"pitwall/probes/engine/dialect"
	"pitwall/sessions"
)

// request is what one tick wants to know.
type request struct {
	gen    uint64
	reader sessions.Reader
	engine string // wanted instance; "" for the first
	length time.Duration
	detail bool   // ask the zoom queries too: of every panel, or of one
	zoom   string // the panel that fills the screen
	// backfill asks for the history of the whole window; eventsFrom for the events after it.
	backfill   bool
	eventsFrom time.Time
}

// answer is what the request brought.
type answer struct {
	gen     uint64
	snap    *snapshot
	history map[string]*ring // only after a backfill
	length  time.Duration    // the window's real length
	slot    time.Duration
}

// deadline bounds one tick's questions, so that a hung reader costs one goroutine and a line on the screen.
const deadline = 5 * time.Second

// fetch asks everything in the background. Nothing here touches the model.
func fetch(r request, all []panel) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		return ask(ctx, r, all)
	}
}

func ask(ctx context.Context, r request, all []panel) answer {
	s := &snapshot{version: r.reader.Version(), info: r.reader.Info(), engine: -1,
		values: make(map[string]promql.Vector), exprs: make(map[string]string), errs: make(map[string]string), metrics: make(map[string]promql.Vector)}
	out := answer{gen: r.gen, snap: s, length: r.length}
	s.first, s.at = r.reader.Bounds()
	if s.at.IsZero() {
		return out
	}
	s.facts, s.absent, s.targets = r.reader.Facts(s.at), r.reader.Absent(s.at), r.reader.Targets(s.at)
	// An event may be stamped a little before the tick that carries it, so the last seconds are asked again each time.
	from := r.eventsFrom
	if from.IsZero() {
		from = s.at.Add(-24 * time.Hour)
	}
	s.lastEvents, s.eventsUntil = r.reader.Events(from, s.at), s.at

	for _, q := range common {
		instant(ctx, r.reader, s, q, sessions.Scope{})
	}
	s.findEngines()
	if len(s.engines) > 0 {
		s.engine = max(slices.IndexFunc(s.engines, func(e engine) bool { return e.instance == r.engine }), 0)
	}
	var asked []query
	for _, p := range all {
		for _, q := range p.queries {
			if r.zoom == p.id || !q.alone && (!q.zoom || r.detail) {
				asked = append(asked, q)
			}
		}
	}
	for _, q := range asked {
		if sc, ok := s.scopeOf(q); ok && q.name == "" {
			instant(ctx, r.reader, s, q, sc)
		}
	}
	for _, q := range asked {
		for _, x := range s.metrics[q.name] {
			if x.Metric.Get("GPU_I_ID") == "" { // not a MIG instance
				s.values[q.id] = append(s.values[q.id], x)
			}
		}
	}
	s.findGPUs()

	if out.length == 0 {
		out.length = max(s.at.Sub(s.first), time.Minute)
	}
	out.slot = slotFor(out.length)
	if r.backfill {
		out.history = make(map[string]*ring)
		end := s.at.Truncate(out.slot)
		start := end.Add(-out.length - 2*out.slot).Truncate(out.slot)
		if start.Before(s.first) {
			start = s.first.Truncate(out.slot)
		}
		for _, q := range asked {
			sc, ok := s.scopeOf(q)
			if !ok || !q.chart && !(q.heat && r.zoom != "") {
				continue
			}
			res, err := r.reader.QueryRange(ctx, q.expr, start, end, out.slot, sc)
			if err != nil {
				s.errs[q.id] = err.Error()
				continue
			}
			for _, series := range res.Matrix() {
				h := out.ringFor(historyKey(q, series.Metric))
				for _, p := range series.Floats {
					h.add(time.UnixMilli(p.T), p.F)
				}
			}
		}
	}
	return out
}

func (a answer) ringFor(key string) *ring {
	if a.history[key] == nil {
		a.history[key] = newRing(a.slot, int(a.length/a.slot)+slotsPerWindow/4)
	}
	return a.history[key]
}

// historyKey names the history of one series of a query.
func historyKey(q query, ls labels.Labels) string {
	if q.by == "" {
		return q.id
	}
	return q.id + "\x00" + ls.Get(q.by)
}

// scopeOf gives the scope of a query; false if it makes no sense to ask, because there is no engine.
func (s *snapshot) scopeOf(q query) (sessions.Scope, bool) {
	if q.scope != engineScope {
		return sessions.Scope{}, true
	}
	e, ok := s.chosen()
	if !ok {
		return sessions.Scope{}, false
	}
	d, ok := dialect.Named(e.dialect)
	if !ok {
		return sessions.Scope{}, false
	}
	return sessions.Scope{Dialect: d, Sel: "job=" + strconv.Quote(e.dialect) + ",instance=" + strconv.Quote(e.instance)}, true
}

// instant asks one question and files the answer.
func instant(ctx context.Context, r sessions.Reader, s *snapshot, q query, sc sessions.Scope) {
	res, err := r.Query(ctx, q.expr, s.at, sc)
	if err != nil {
		s.errs[q.id] = err.Error()
		return
	}
	s.exprs[q.id] = res.Expr
	if res.Window > 0 {
		s.window = res.Window
	}
	v := res.Vector()
	if q.by != model.MetricNameLabel {
		s.values[q.id] = preferOwn(v, q.by)
		return
	}
	for _, x := range v {
		name := x.Metric.Get(model.MetricNameLabel)
		s.metrics[name] = append(s.metrics[name], x)
	}
	for name, v := range s.metrics {
		s.metrics[name] = preferOwn(v, "")
	}
}

// preferOwn drops what another exporter says of the same thing (dcgm-exporter beside our own NVML reading): where
// several jobs answer, one of pitwall's own wins.
func preferOwn(v promql.Vector, by string) promql.Vector {
	own := func(x promql.Sample) bool {
		j := x.Metric.Get("job")
		return j == "dcgm" || j == "node"
	}
	if !slices.ContainsFunc(v, own) || !slices.ContainsFunc(v, func(x promql.Sample) bool { return !own(x) && x.Metric.Get("job") != "" }) {
		return v
	}
	v = slices.DeleteFunc(slices.Clone(v), func(x promql.Sample) bool { return !own(x) })
	if by != "" {
		slices.SortStableFunc(v, func(a, b promql.Sample) int { return cmp.Compare(a.Metric.Get(by), b.Metric.Get(by)) })
	}
	return v
}
