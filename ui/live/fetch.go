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

// request is what is asked about one moment.
type request struct {
	gen    uint64
	reader sessions.Reader
	engine string               // wanted instance; "" for the first
	detail bool                 // ask the zoom queries too: of every panel, or of one
	zoom   string               // the panel that fills the screen
	length time.Duration        // of the charts: what $__range is
	bounds map[string][]float64 // those of the last answer
	// at is the moment; zero is the newest tick.
	at time.Time
	// Events are asked for up to the newest tick, whatever the moment: those after eventsFrom.
	eventsFrom time.Time
}

// answer is what the request brought.
type answer struct {
	gen  uint64
	snap *snapshot
}

// deadline bounds one tick's questions, so that a hung reader costs one goroutine and a line on the screen.
const deadline = 5 * time.Second

// fetch asks everything in the background. Nothing here touches the model.
func fetch(r request, all []panel) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		return answer{gen: r.gen, snap: ask(ctx, r, all)}
	}
}

func ask(ctx context.Context, r request, all []panel) *snapshot {
	s := &snapshot{version: r.reader.Version(), info: r.reader.Info(), engine: -1, asked: r.at,
		values: make(map[string]promql.Vector), exprs: make(map[string]string), errs: make(map[string]string), metrics: make(map[string]promql.Vector), missing: make(map[string]string), dropped: make(map[string]int), bounds: make(map[string][]float64)}
	s.first, s.last = r.reader.Bounds()
	if s.at = s.last; s.at.IsZero() {
		return s
	}
	if !r.at.IsZero() {
		s.at = within(r.at, s.first, s.last)
	}
	s.facts, s.absent, s.targets = r.reader.Facts(s.at), r.reader.Absent(s.at), r.reader.Targets(s.at)
	s.lastEvents, s.eventsFrom = r.reader.Events(r.eventsFrom, s.last), r.eventsFrom
	s.runs = r.reader.Runs()

	for _, q := range common {
		instant(ctx, r.reader, s, q, sessions.Scope{})
	}
	s.findEngines()
	if len(s.engines) > 0 {
		s.engine = max(slices.IndexFunc(s.engines, func(e engine) bool { return e.instance == r.engine }), 0)
	}
	for _, p := range all {
		for _, q := range p.queries {
			if q.broken != "" {
				s.errs[q.id] = q.broken
			}
		}
	}
	asked := queriesFor(all, r.zoom, r.detail)
	for _, q := range asked {
		if sc, ok := s.scopeOf(q); ok && q.name == "" {
			sc.Range = r.length
			instant(ctx, r.reader, s, q, sc)
			if q.full {
				if b := boundsOf(r.reader, s.exprs[q.id], r.bounds); b != nil {
					s.bounds[s.exprs[q.id]] = b
				}
			}
		}
	}
	for _, q := range asked {
		for _, x := range s.metrics[q.name] {
			if x.Metric.Get("GPU_I_ID") == "" { // not a MIG instance
				s.values[q.id] = append(s.values[q.id], x)
			}
		}
	}
	if _, ok := s.target(clientJob, ""); ok {
		for _, q := range clientQueries {
			instant(ctx, r.reader, s, q, sessions.Scope{})
		}
	}
	s.findGPUs()
	if !r.at.IsZero() {
		s.gap = gapAt(ctx, r.reader, s)
	}
	return s
}

// queriesFor gives the queries of the panels as they are shown.
func queriesFor(all []panel, zoom string, detail bool) []query {
	var out []query
	for _, p := range all {
		for _, q := range p.queries {
			if q.broken == "" && (zoom == p.id || !q.alone && (!q.zoom || detail)) {
				out = append(out, q)
			}
		}
	}
	return out
}

// historyKey names the history of one series of a query.
func historyKey(q query, ls labels.Labels) string {
	if q.full {
		return q.id + "\x00" + fullKey(ls)
	}
	if q.by == "" {
		return q.id
	}
	return q.id + "\x00" + ls.Get(q.by)
}

// scopeOf gives the scope of a query; false if it makes no sense to ask, because there is no engine.
func (s *snapshot) scopeOf(q query) (sessions.Scope, bool) {
	if q.scope != engineScope {
		sc := sessions.Scope{}
		if e, ok := s.chosen(); ok && q.scope == anyScope {
			sc.Dialect, _ = dialect.Named(e.dialect) // for its names; nil leaves them alone
		}
		return sc, true
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
	if q.full {
		if q.scope == gpuScope || q.scope == hostScope {
			v = preferOwn(v, "")
		}
		kept, more := largest(v)
		if s.values[q.id] = kept; len(v) == 0 {
			s.missing[q.id] = notRecorded(r, res.Expr)
		}
		if s.dropped[q.id] = more; more > 0 && q.buckets {
			s.values[q.id], s.errs[q.id] = nil, tooManyBuckets(len(v))
		}
		return
	}
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
