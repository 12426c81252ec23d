package events

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"pitwall/probes"
	"pitwall/probes/engine"
	"pitwall/probes/engine/dialect"
	"pitwall/sessions"
)

const (
	// gapAfter is how long nothing was looked at until that is a gap, and grace how long after it what had been there
	// counts as still there: rates need two readings before they say anything.
	gapAfter = 10 * time.Second
	grace    = 15 * time.Second
	// tellEvery bounds how often a condition that comes and goes is told again, and tellAway how soon it is told that it is
	// away: what comes and goes faster stays one event that goes on.
	tellEvery = 30 * time.Second
	tellAway  = 15 * time.Second
	// statesExpr names the engines and the state that each is in.
	statesExpr = "pitwall_engine_state == 1"
)

// watcher evaluates rules at one moment after the other. It holds no clock.
type watcher struct {
	rules []*watchedRule
	// ask gives the answer to an expression at a moment; every is how soon the same will be asked again.
	ask   func(ctx context.Context, expr string, at time.Time, every time.Duration, sc sessions.Scope) (sessions.Result, error)
	r     sessions.Reader
	prev  time.Time
	grace time.Time
	// exists are metric names that the session is known to have.
	exists map[string]bool
	states map[string]engine.State
}

// watchedRule is a rule with what is open of it.
type watchedRule struct {
	Rule
	due  time.Time
	open map[string]*condition // by subject
	// names are the metric names that the expression asks for, by dialect ("" without one); nil where it can't be asked.
	names map[string][]string
}

// condition is a rule that holds, or held not long ago, about one subject.
type condition struct {
	// since is the first and last the last moment of the stretch in which it holds or held.
	since, last time.Time
	// fired: it has held long enough to be an event, which began at began. away: it does not hold any more, since gone.
	// over: that it is away has been told.
	fired, away, over bool
	gone              time.Time
	count             int
	active            time.Duration // of the stretches that are over
	severity          probes.Severity
	// about is whom it was last asked about; interval, for a rule that looks back over a window, the time between two samples
	// in it, zero where that is not known.
	about    about
	interval time.Duration
	told     time.Time
	news     bool // something that has not been told
	cause    string
}

// about is one thing that a rule is asked about.
type about struct {
	subject string
	sc      sessions.Scope
}

func newWatcher(r sessions.Reader, rules []Rule) *watcher {
	w := &watcher{r: r, exists: map[string]bool{}}
	w.ask = func(ctx context.Context, expr string, at time.Time, _ time.Duration, sc sessions.Scope) (sessions.Result, error) {
		return r.Query(ctx, expr, at, sc)
	}
	for _, rule := range rules {
		w.rules = append(w.rules, &watchedRule{Rule: rule, open: map[string]*condition{}, names: map[string][]string{}})
	}
	return w
}

// resume takes up what goes on in a session that is gone on with. What no rule tells any more is over.
func (w *watcher) resume(last time.Time) []probes.Event {
	w.prev = last
	var out []probes.Event
	for _, e := range Of(w.r, time.Time{}, time.Time{}, last) {
		if e.Attrs["phase"] != began {
			continue
		}
		c := &condition{since: last, last: last, fired: true, count: e.Count, active: e.Active, severity: e.Severity}
		i := slices.IndexFunc(w.rules, func(r *watchedRule) bool { return r.Kind == e.Kind })
		switch {
		case i < 0 && e.Ongoing():
			out = append(out, ending(e.Kind, e.Subject, e.Title, c, last))
		case i < 0:
		case e.Ongoing():
			w.rules[i].open[e.Subject] = c
		case last.Sub(e.End) < w.rules[i].Keep:
			c.since, c.last, c.gone, c.away, c.over = e.Start, e.End, e.End, true, true
			w.rules[i].open[e.Subject] = c
		}
	}
	return out
}

// step looks at everything that is due at t, and gives what began and ended, in the order of time. An error is about single
// rules; the others have been looked at.
func (w *watcher) step(ctx context.Context, t time.Time) ([]probes.Event, error) {
	if !w.prev.IsZero() && t.Sub(w.prev) > gapAfter {
		w.grace = t.Add(grace)
	}
	w.prev = t
	engines, err := w.engines(ctx, t)
	if err != nil {
		return nil, err
	}
	var out []probes.Event
	var errs []error
	for _, rule := range w.rules {
		if t.Before(rule.due) {
			continue
		}
		rule.due = t.Add(rule.Every)
		found, err := w.holds(ctx, rule, engines, t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, h := range found {
			out = append(out, w.held(ctx, rule, h, t)...)
		}
		for subject, c := range rule.open {
			if c.last.Before(t) {
				ended, err := w.lapsed(ctx, rule, subject, c, t)
				out, errs = append(out, ended...), append(errs, err)
			}
		}
	}
	sortEvents(out)
	return out, errors.Join(errs...)
}

// sortEvents puts events in the order of time; what is of one time in an order that is always the same.
func sortEvents(all []probes.Event) {
	slices.SortStableFunc(all, func(a, b probes.Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
}

// engines lists the engines and takes down how each is.
func (w *watcher) engines(ctx context.Context, t time.Time) ([]about, error) {
	w.states = map[string]engine.State{}
	if !w.have([]string{"pitwall_engine_state"}) {
		return nil, nil
	}
	res, err := w.ask(ctx, statesExpr, t, sessions.Tick, sessions.Scope{})
	if err != nil {
		return nil, err
	}
	var out []about
	for _, s := range res.Vector() {
		job, instance := s.Metric.Get("job"), s.Metric.Get("instance")
		d, ok := dialect.Named(job)
		if !ok {
			continue // a page with pitwall's own series on it
		}
		a := about{subject: "engine/" + instance, sc: sessions.Scope{Dialect: d, Sel: "job=" + strconv.Quote(job) + ",instance=" + strconv.Quote(instance)}}
		w.states[a.subject] = engine.State(s.Metric.Get("state"))
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b about) int { return cmp.Compare(a.subject, b.subject) })
	return out, nil
}

// have tells whether the session has any of these metrics.
func (w *watcher) have(names []string) bool {
	for _, n := range names {
		if w.exists[n] {
			return true
		}
	}
	for _, n := range names {
		if len(w.r.Series(n)) > 0 {
			w.exists[n] = true
			return true
		}
	}
	return false
}

// holding is a subject about which a rule holds.
type holding struct {
	about
	sample promql.Sample
	res    sessions.Result
}

// holds asks a rule: the subjects about which it holds, with the largest value of each, sorted.
func (w *watcher) holds(ctx context.Context, rule *watchedRule, engines []about, t time.Time) ([]holding, error) {
	asked := []about{{sc: sessions.Scope{}}}
	if rule.Scope == PerEngine {
		asked = engines
	}
	best := map[string]holding{}
	for _, a := range asked {
		a.sc.Window = rule.Window
		if !w.have(rule.metrics(a.sc.Dialect)) {
			continue
		}
		res, err := w.ask(ctx, rule.Expr, t, rule.Every, a.sc)
		if err != nil {
			return nil, err
		}
		for _, s := range res.Vector() {
			h := holding{about: a, sample: s, res: res}
			h.subject = rule.about(a, s.Metric)
			if old, ok := best[h.subject]; (!ok || s.F > old.sample.F) && !w.explained(rule, h.subject) {
				best[h.subject] = h
			}
		}
	}
	out := make([]holding, 0, len(best))
	for _, h := range best {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b holding) int { return cmp.Compare(a.subject, b.subject) })
	return out, nil
}

// metrics gives the metric names that a rule asks for in a dialect; none where the dialect can't be asked.
func (r *watchedRule) metrics(d *dialect.Dialect) []string {
	key, expr, err := "", r.Expr, error(nil)
	if d != nil {
		key = d.Name
	}
	if names, ok := r.names[key]; ok {
		return names
	}
	if d != nil {
		expr, err = d.Expand(expr, "", 10*time.Second)
	} else {
		expr, err = expandOver(expr, r.Scope, 10*time.Second)
	}
	var names []string
	if err == nil {
		names = metricNames(expr)
	}
	r.names[key] = names
	return names
}

func metricNames(expr string) []string {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil
	}
	var out []string
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok && v.Name != "" && !slices.Contains(out, v.Name) {
			out = append(out, v.Name)
		}
		return nil
	})
	return out
}

// about names whom a sample is about.
func (r *watchedRule) about(a about, ls labels.Labels) string {
	if r.Subject != "" {
		s, _ := fill(r.Subject, func(name string) (string, bool) { return ls.Get(name), true })
		return s
	}
	job, instance := ls.Get(model.JobLabel), ls.Get(model.InstanceLabel)
	switch {
	case a.subject != "":
		return a.subject
	case r.Scope == PerGPU:
		return "gpu/" + ls.Get("gpu")
	case r.Scope == PerHost || instance == "":
		return "host"
	}
	if _, ok := dialect.Named(job); ok {
		return "engine/" + instance
	}
	return job + "/" + instance
}

// explained tells whether something is there for the same subject that this rule is only a symptom of.
func (w *watcher) explained(rule *watchedRule, subject string) bool {
	for _, kind := range rule.DependsOn {
		switch st := w.states[subject]; kind {
		case kindDead, kindNoAnswer, kindNone:
			if st == engine.NoAnswer || st == engine.NoEngine {
				return true
			}
		case stateKind(st, ""):
			return true
		default:
			for _, other := range w.rules {
				if c := other.open[subject]; other.Kind == kind && c != nil && c.fired && !c.away {
					return true
				}
			}
		}
	}
	return false
}

// held takes in that a rule holds about a subject at t.
func (w *watcher) held(ctx context.Context, rule *watchedRule, h holding, t time.Time) []probes.Event {
	c := rule.open[h.subject]
	if c == nil {
		c = &condition{since: t, count: 1, severity: rule.Severity}
		rule.open[h.subject] = c
	}
	if c.away {
		c.away, c.since, c.news = false, t, true
		c.count++
	}
	c.last = t
	if rule.Trailing {
		c.about, c.interval = h.about, intervalOf(h.res.Window, rule.Window)
	}
	graver := rule.HasCritical && h.sample.F > rule.Critical && c.severity < probes.Critical
	if graver {
		c.severity = probes.Critical
	}
	switch {
	case !c.fired && t.Sub(c.since) >= rule.For:
		c.fired, c.told = true, t
		attrs := w.explain(ctx, rule, h, t)
		c.cause, attrs["phase"], attrs["count"] = attrs["cause"], began, "1"
		return []probes.Event{{Time: c.since, Kind: rule.Kind, Subject: h.subject, Severity: c.severity, Title: withReason(rule.Title, c.cause), Attrs: attrs}}
	case c.fired && (graver || c.over || c.news && t.Sub(c.told) >= tellEvery):
		c.told, c.news, c.over = t, false, false
		attrs := map[string]string{"phase": again, "count": strconv.Itoa(c.count), "active": c.active.String()}
		title := rule.Title + ", " + strconv.Itoa(c.count) + " times by now"
		if graver {
			attrs = w.explain(ctx, rule, h, t)
			attrs["phase"], attrs["count"], attrs["active"] = again, strconv.Itoa(c.count), c.active.String()
			title = withReason(rule.Title, attrs["cause"])
		}
		return []probes.Event{{Time: c.since, Kind: rule.Kind, Subject: h.subject, Severity: c.severity, Title: title, Attrs: attrs}}
	}
	return nil
}

// intervalOf is the time from one sample to the next: a fourth of the window, unless that has its least length or its rule's.
func intervalOf(window, asked time.Duration) time.Duration {
	if window > 10*time.Second && asked == 0 {
		return window / 4
	}
	return sessions.Tick
}

// trueUntil is when a condition ended. One that looks back over a window holds for too long: the same is asked again of a
// window that has room for two samples only.
func (w *watcher) trueUntil(ctx context.Context, rule *watchedRule, subject string, c *condition) (time.Time, error) {
	looked := c.last.Add(rule.Every)
	if c.interval == 0 {
		return looked, nil
	}
	window, expr, err := 2*c.interval, rule.Expr, error(nil)
	if d := c.about.sc.Dialect; d != nil {
		expr, err = d.Expand(expr, c.about.sc.Sel, window)
	} else {
		expr, err = expandOver(expr, rule.Scope, window)
	}
	if err != nil {
		return looked, err
	}
	from := latest(c.since, c.last.Add(-time.Minute)) // no rule looks back over more
	res, err := w.r.QueryRange(ctx, expr, from, c.last, sessions.Tick, sessions.Scope{})
	if err != nil {
		return looked, err
	}
	var until time.Time
	for _, s := range res.Matrix() {
		if n := len(s.Floats); n > 0 && rule.about(c.about, s.Metric) == subject {
			until = latest(until, time.UnixMilli(s.Floats[n-1].T).UTC())
		}
	}
	// It stays true until the last sample but one has left the window.
	return until.Add(2*sessions.Tick - c.interval), nil
}

// lapsed takes in that a rule does not hold about a subject at t.
func (w *watcher) lapsed(ctx context.Context, rule *watchedRule, subject string, c *condition, t time.Time) ([]probes.Event, error) {
	switch {
	case !c.fired:
		delete(rule.open, subject)
		return nil, nil
	case t.Before(w.grace):
		return nil, nil
	}
	var err error
	// What has died does not come back in a moment: its symptoms are over with it, and those of its next life are new events.
	explained := w.explained(rule, subject)
	if !c.away {
		var until time.Time
		until, err = w.trueUntil(ctx, rule, subject, c)
		c.away, c.gone = true, latest(c.since.Add(sessions.Tick), until)
		c.active += c.gone.Sub(c.since)
	}
	gone := t.Sub(c.last)
	if gone >= rule.Keep || explained {
		delete(rule.open, subject)
	}
	if c.over || gone < min(rule.Keep, tellAway) && !explained {
		return nil, err
	}
	c.over = true
	return []probes.Event{ending(rule.Kind, subject, rule.Title, c, c.gone)}, err
}

// ending is the event that ends a condition.
func ending(kind, subject, title string, c *condition, gone time.Time) probes.Event {
	text := title + ": over"
	if c.count > 1 {
		text = title + ": over, " + strconv.Itoa(c.count) + " times"
	}
	return probes.Event{Time: gone, Kind: kind, Subject: subject, Severity: probes.Note, Title: text,
		Attrs: map[string]string{"phase": ended, "count": strconv.Itoa(c.count), "active": c.active.String()}}
}

// active gives what has begun and not been away for as long as its rule keeps it, as series: 1 while it holds, 0 while it is
// away and may come again.
func (w *watcher) active() []probes.Sample {
	var out []probes.Sample
	for _, rule := range w.rules {
		for subject, c := range rule.open {
			if !c.fired {
				continue
			}
			v := 1.0
			if c.away {
				v = 0
			}
			out = append(out, probes.Sample{Value: v, Labels: labels.FromStrings(model.MetricNameLabel, ActiveMetric,
				"kind", rule.Kind, "subject", subject, "severity", c.severity.String())})
		}
	}
	slices.SortFunc(out, func(a, b probes.Sample) int { return labels.Compare(a.Labels, b.Labels) })
	return out
}
