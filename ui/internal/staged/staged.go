// Package staged is a made-up session for tests of the screens: a sessions.Reader whose answers are functions of time.
//
// It evaluates no PromQL. An expression is answered by the first answer whose key it contains, so that what a screen asks
// and what it draws can be tested without a recorder. Nothing outside tests uses it.
package staged

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"pitwall/probes"
	"pitwall/probes/request"
	"pitwall/sessions"
)

// Answer gives the samples of every expression that contains Key. At is called with the seconds since the session's
// start.
type Answer struct {
	Key string
	At  func(t float64) promql.Vector
}

// Session is a sessions.Reader. Its fields may be changed between calls, not during one.
type Session struct {
	Start, Now   time.Time
	Answers      []Answer
	FactsNow     map[string]string
	AbsentNow    map[string]string
	TargetsNow   []sessions.Target
	EventsAll    []probes.Event
	RunsNow      []sessions.Run
	RequestsAll  []request.Record
	InfoNow      sessions.Info
	Err          error // of every query
	Asked        int   // queries so far
	WindowOfRate time.Duration
}

var _ sessions.Reader = (*Session)(nil)

// V makes a sample; pairs are label names and values.
func V(v float64, pairs ...string) promql.Sample {
	return promql.Sample{F: v, Metric: labels.FromStrings(pairs...)}
}

// One answers with one number.
func One(f func(t float64) float64) func(t float64) promql.Vector {
	return func(t float64) promql.Vector {
		v := f(t)
		if math.IsInf(v, -1) {
			return nil // absent
		}
		return promql.Vector{V(v)}
	}
}

func (s *Session) eval(expr string, at time.Time) promql.Vector {
	for _, a := range s.Answers {
		if strings.Contains(expr, a.Key) {
			return a.At(at.Sub(s.Start).Seconds())
		}
	}
	return nil
}

// Query implements sessions.Reader.
func (s *Session) Query(_ context.Context, expr string, at time.Time, sc sessions.Scope) (sessions.Result, error) {
	s.Asked++
	if s.Err != nil {
		return sessions.Result{}, s.Err
	}
	if back, ok := strings.CutPrefix(expr, "up["); ok {
		return sessions.Result{Value: s.ticks(strings.TrimSuffix(back, "]"), at), Expr: expr}, nil
	}
	asked := expr
	if sc.Sel != "" {
		asked += "{" + sc.Sel + "}" // what an expansion would leave of the scope
	}
	return sessions.Result{Value: s.eval(expr, at), Expr: asked, Window: s.WindowOfRate}, nil
}

// ticks gives the samples of a source that was read every second, of the time back before at.
func (s *Session) ticks(back string, at time.Time) promql.Matrix {
	d, err := time.ParseDuration(back)
	if err != nil {
		return nil
	}
	up := promql.Series{Metric: labels.FromStrings("__name__", "up", "job", "node")}
	for t := at.Add(-d).Truncate(time.Second).Add(time.Second); !t.After(at); t = t.Add(time.Second) {
		if !t.Before(s.Start) && !t.After(s.Now) {
			up.Floats = append(up.Floats, promql.FPoint{T: t.UnixMilli(), F: 1})
		}
	}
	if len(up.Floats) == 0 {
		return nil
	}
	return promql.Matrix{up}
}

// QueryRange implements sessions.Reader.
func (s *Session) QueryRange(_ context.Context, expr string, start, end time.Time, step time.Duration, _ sessions.Scope) (sessions.Result, error) {
	if step <= 0 {
		return sessions.Result{}, errors.New("step must be above zero")
	}
	if s.Err != nil {
		return sessions.Result{}, s.Err
	}
	byLabels := map[string]*promql.Series{}
	var order []string
	for t := start; !t.After(end); t = t.Add(step) {
		for _, x := range s.eval(expr, t) {
			k := x.Metric.String()
			if byLabels[k] == nil {
				byLabels[k] = &promql.Series{Metric: x.Metric}
				order = append(order, k)
			}
			byLabels[k].Floats = append(byLabels[k].Floats, promql.FPoint{T: t.UnixMilli(), F: x.F})
		}
	}
	var m promql.Matrix
	for _, k := range order {
		m = append(m, *byLabels[k])
	}
	return sessions.Result{Value: m, Expr: expr}, nil
}

// Info implements sessions.Reader.
func (s *Session) Info() sessions.Info { return s.InfoNow }

// Bounds implements sessions.Reader.
func (s *Session) Bounds() (first, last time.Time) {
	if s.Now.IsZero() {
		return time.Time{}, time.Time{}
	}
	return s.Start, s.Now
}

// Version implements sessions.Reader.
func (s *Session) Version() uint64 { return uint64(max(s.Now.Unix(), 0)) }

// Facts implements sessions.Reader.
func (s *Session) Facts(time.Time) map[string]string { return s.FactsNow }

// Absent implements sessions.Reader.
func (s *Session) Absent(time.Time) map[string]string { return s.AbsentNow }

// Events implements sessions.Reader.
func (s *Session) Events(from, to time.Time) []probes.Event {
	var out []probes.Event
	for _, e := range s.EventsAll {
		if e.Time.After(from) && !e.Time.After(to) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b probes.Event) int { return a.Time.Compare(b.Time) })
	return out
}

// Targets implements sessions.Reader.
func (s *Session) Targets(at time.Time) []sessions.Target {
	out := slices.Clone(s.TargetsNow)
	for i := range out {
		if out[i].LastOK.After(at) {
			out[i].LastOK = at
		}
	}
	return out
}

// Series implements sessions.Reader.
func (s *Session) Series(string) []sessions.SeriesInfo { return nil }

// Runs implements sessions.Reader.
func (s *Session) Runs() []sessions.Run { return slices.Clone(s.RunsNow) }

// Requests implements sessions.Reader.
func (s *Session) Requests(_ context.Context, run uint32) iter.Seq2[request.Record, error] {
	return func(yield func(request.Record, error) bool) {
		for _, r := range s.RequestsAll {
			if (run == 0 || r.Run == run) && !yield(r, nil) {
				return
			}
		}
	}
}

// Close implements sessions.Reader.
func (s *Session) Close() error { return nil }

// Buckets makes the answer of a histogram: rate observations a second, spread around centre seconds.
func Buckets(edges []float64, rate, centre float64) promql.Vector {
	var out promql.Vector
	for _, le := range edges {
		share := 1 / (1 + math.Pow(centre/le, 5))
		out = append(out, V(rate*share, "le", strconv.FormatFloat(le, 'g', -1, 64)))
	}
	return append(out, V(rate, "le", "+Inf"))
}
