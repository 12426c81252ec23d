package sessions

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// Limits of one query: an expression typed at 3 a.m. must not take the console down.
const (
	queryTimeout = 10 * time.Second
	maxSamples   = 20_000_000
	minWindow    = 10 * time.Second
)

// IntervalMetric is the series, written by the recorder for every source, that holds the interval in force in seconds.
const IntervalMetric = "pitwall_scrape_interval_seconds"

// asker answers the questions of Reader over a head, an archive and a ledger; recorder and saved sessions embed it.
type asker struct {
	view
	ledger *ledger
	book   *book
	rows   *requestCodec
	tail   *tail        // nil unless it is recorded here
	forgot atomic.Int64 // requests that ended before it are deleted, milliseconds; 0 if none were
	engine *promql.Engine

	mu        sync.Mutex // guards the next
	expanded  map[expansion]string
	slowestOf [3]int64 // from, to and newest tick of the last answer of slowestBetween
	slowestIs time.Duration

	changed func() // called when something new is known about the past
	woundMu sync.Mutex
	wounds  wounds // guarded by woundMu
}

type expansion struct {
	expr                  string
	dialect               *dialect.Dialect
	sel                   string
	window, interval, rng time.Duration
}

func newAsker(h *head, a *archive, l *ledger) *asker {
	asker := &asker{
		view:     view{head: h},
		ledger:   l,
		book:     newBook(),
		rows:     &requestCodec{},
		expanded: map[expansion]string{},
		changed:  func() {},
		engine: promql.NewEngine(promql.EngineOpts{
			MaxSamples:               maxSamples,
			Timeout:                  queryTimeout,
			LookbackDelta:            5 * Tick,
			NoStepSubqueryIntervalFn: func(int64) int64 { return Tick.Milliseconds() }, // nil panics on [1m:]
			EnableAtModifier:         true,
			EnableNegativeOffset:     true,
			Parser:                   parser.NewParser(parser.Options{}),
		}),
	}
	asker.archive.Store(a)
	asker.view.found = asker.found
	return asker
}

// slowest gives the longest interval of any source in the minute before at; one tick if none says.
func (a *asker) slowest(at int64) time.Duration { return a.slowestBetween(at, at) }

// slowestBetween is slowest for the moments of a range: its beginning may have had longer intervals than its end. A screen
// asks dozens of questions about one moment; the answer is kept until there is a newer sample.
func (a *asker) slowestBetween(from, to int64) time.Duration {
	a.head.mu.RLock()
	key := [3]int64{from, to, a.head.last}
	a.head.mu.RUnlock()
	a.mu.Lock()
	known, out := a.slowestOf == key, a.slowestIs
	a.mu.Unlock()
	if known {
		return out
	}
	from -= 60_000
	out = Tick
	a.raw(from, to, IntervalMetric, func(_ labels.Labels, it chunkenc.Iterator) {
		for it.Next() == chunkenc.ValFloat {
			t, v := it.At()
			if t > from && t <= to && !value.IsStaleNaN(v) {
				out = max(out, time.Duration(v*float64(time.Second)))
			}
		}
	})
	a.mu.Lock()
	a.slowestOf, a.slowestIs = key, out
	a.mu.Unlock()
	return out
}

// raw walks the samples of a metric, also those outside of the bounds that share a chunk with some inside. What a damaged
// chunk would still have given is left out.
func (a *asker) raw(mint, maxt int64, metric string, each func(labels.Labels, chunkenc.Iterator)) {
	var damaged error
	defer recovered(&damaged, metric)
	q := querier{view: &a.view, mint: mint, maxt: maxt}
	set := q.Select(context.Background(), false, nil, labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric))
	for set.Next() {
		each(set.At().Labels(), set.At().Iterator(nil))
	}
}

// expand puts the scope into the expression: variables first, because $w doesn't parse, then the dialect's names.
func (a *asker) expand(expr string, sc Scope, step time.Duration, slowest time.Duration) (string, time.Duration, error) {
	window := max(sc.Window, 4*slowest, minWindow, step)
	interval := max(sc.Interval, step, Tick)
	rng := sc.Range
	if rng <= 0 {
		rng = window
	}
	key := expansion{expr, sc.Dialect, sc.Sel, window, interval, rng}
	a.mu.Lock()
	out, ok := a.expanded[key]
	a.mu.Unlock()
	if ok {
		return out, window, nil
	}
	out = substitute(expr, sc.Sel, window, interval, rng)
	if sc.Dialect != nil {
		var err error
		if out, err = sc.Dialect.Expand(out, sc.Sel, window); err != nil {
			return "", window, err
		}
	}
	a.mu.Lock()
	if len(a.expanded) > 1024 {
		clear(a.expanded)
	}
	a.expanded[key] = out
	a.mu.Unlock()
	return out, window, nil
}

func substitute(expr, sel string, window, interval, rng time.Duration) string {
	if !strings.Contains(expr, "$") {
		return expr
	}
	d := func(d time.Duration) string { return model.Duration(d).String() }
	if sel == "" {
		expr = strings.ReplaceAll(expr, "{$sel,", "{") // a leading comma doesn't parse, a trailing one does
	}
	return strings.NewReplacer(
		"$__rate_interval", d(window), "${__rate_interval}", d(window),
		"$__interval_ms", fmt.Sprint(interval.Milliseconds()), "$__interval", d(interval), "${__interval}", d(interval),
		"$__range_s", fmt.Sprint(int64(rng.Seconds())), "$__range_ms", fmt.Sprint(rng.Milliseconds()), "$__range", d(rng), "${__range}", d(rng),
		"$sel", sel, "$w", d(window),
	).Replace(expr)
}

// Query implements Reader.
func (a *asker) Query(ctx context.Context, expr string, at time.Time, sc Scope) (res Result, err error) {
	defer recovered(&err, "query "+expr)
	slowest := a.slowest(msOf(at))
	if res.Expr, res.Window, err = a.expand(expr, sc, 0, slowest); err != nil {
		return res, err
	}
	q, err := a.engine.NewInstantQuery(ctx, &a.view, promql.NewPrometheusQueryOpts(false, 5*slowest, nil), res.Expr, at)
	if err != nil {
		return res, queryError(expr, err)
	}
	return finishQuery(ctx, expr, q, res)
}

// QueryRange implements Reader.
func (a *asker) QueryRange(ctx context.Context, expr string, start, end time.Time, step time.Duration, sc Scope) (res Result, err error) {
	defer recovered(&err, "query "+expr)
	if step <= 0 || end.Before(start) {
		return res, fmt.Errorf("query %s: from %s to %s in steps of %s is no range", expr, start.Format(time.RFC3339), end.Format(time.RFC3339), step)
	}
	slowest := a.slowestBetween(msOf(start), msOf(end))
	if res.Expr, res.Window, err = a.expand(expr, sc, step, slowest); err != nil {
		return res, err
	}
	q, err := a.engine.NewRangeQuery(ctx, &a.view, promql.NewPrometheusQueryOpts(false, 5*slowest, nil), res.Expr, start, end, step)
	if err != nil {
		return res, queryError(expr, err)
	}
	return finishQuery(ctx, expr, q, res)
}

// finishQuery runs a query. It is not closed: Close takes the points of the answer back into a pool.
func finishQuery(ctx context.Context, expr string, q promql.Query, res Result) (Result, error) {
	r := q.Exec(ctx)
	if r.Err != nil {
		return res, queryError(expr, r.Err)
	}
	res.Value = r.Value
	warn, info := r.Warnings.AsStrings(expr, 0, 0)
	res.Warnings = append(warn, info...)
	return res, nil
}

func queryError(expr string, err error) error { return fmt.Errorf("query %s: %w", expr, err) }

// Bounds implements Reader.
func (a *asker) Bounds() (first, last time.Time) {
	a.head.mu.RLock()
	defer a.head.mu.RUnlock()
	return timeOf(a.head.first), timeOf(a.head.last)
}

// Facts implements Reader.
func (a *asker) Facts(at time.Time) map[string]string { return a.ledger.at(ledgerFact, msOf(at)) }

// Absent implements Reader.
func (a *asker) Absent(at time.Time) map[string]string { return a.ledger.at(ledgerAbsent, msOf(at)) }

// Events implements Reader.
func (a *asker) Events(from, to time.Time) []probes.Event { return a.ledger.between(from, to) }

// Series implements Reader.
func (a *asker) Series(metric string) []SeriesInfo {
	a.head.mu.RLock()
	defer a.head.mu.RUnlock()
	names := a.head.names
	if metric != "" {
		names = nil
		if n := a.head.byName[metric]; n != nil {
			names = []*name{n}
		}
	}
	var out []SeriesInfo
	for _, n := range names {
		for _, s := range n.series {
			out = append(out, SeriesInfo{Labels: s.lset.Map(), Type: n.typ, Help: n.help})
		}
	}
	return out
}

// targetsBack is how far before a moment the last good pull of a source is looked for.
const targetsBack = 15 * 60 * 1000

// Targets implements Reader. It reads them from the series that the recorder writes for every pull.
func (a *asker) Targets(at time.Time) []Target {
	t := msOf(at)
	lookback := 5 * a.slowest(t).Milliseconds()
	byKey := map[[2]string]*Target{}
	each := func(metric string, back int64, take func(tg *Target, t int64, v float64)) {
		a.raw(t-back, t, metric, func(ls labels.Labels, it chunkenc.Iterator) {
			key := [2]string{ls.Get("job"), ls.Get("instance")}
			for it.Next() == chunkenc.ValFloat {
				st, v := it.At()
				if st > t || st <= t-back || value.IsStaleNaN(v) {
					continue
				}
				if byKey[key] == nil {
					byKey[key] = &Target{Job: key[0], Instance: key[1]}
				}
				take(byKey[key], st, v)
			}
		})
	}
	newest := map[[2]string]int64{}
	each("up", targetsBack, func(tg *Target, t int64, v float64) {
		newest[[2]string{tg.Job, tg.Instance}] = t
		if tg.Up = v == 1; tg.Up {
			tg.LastOK = timeOf(t)
		}
	})
	each(IntervalMetric, lookback, func(tg *Target, st int64, v float64) {
		tg.Every = seconds(v)
		// A source that is late has no "up", and is asked all the same.
		key := [2]string{tg.Job, tg.Instance}
		newest[key] = max(newest[key], st)
	})
	each("scrape_duration_seconds", lookback, func(tg *Target, _ int64, v float64) { tg.Took = seconds(v) })
	each("scrape_samples_scraped", lookback, func(tg *Target, _ int64, v float64) {
		if v > 0 {
			tg.Samples = int(v)
		}
	})
	absent := a.Absent(at)
	var out []Target
	for key, tg := range byKey {
		if t-newest[key] > max(lookback, 5*tg.Every.Milliseconds()) {
			continue // a source that is no longer asked
		}
		if !tg.Up {
			tg.Err = absent[targetPath(tg.Job, tg.Instance)]
		}
		tg.Late = absent[latePath(tg.Job, tg.Instance)]
		out = append(out, *tg)
	}
	slices.SortFunc(out, func(x, y Target) int {
		return strings.Compare(x.Job+"\x00"+x.Instance, y.Job+"\x00"+y.Instance)
	})
	return out
}

// targetPath is where the ledger keeps a source's error.
func targetPath(job, instance string) string {
	return fmt.Sprintf("up{instance=%q,job=%q}", instance, job)
}

// latePath is where the ledger keeps why a source has not answered yet.
func latePath(job, instance string) string {
	return fmt.Sprintf("up{instance=%q,job=%q,late=\"true\"}", instance, job)
}

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }
