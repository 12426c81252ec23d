package browse

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"

	"pitwall/sessions"
)

// chart is one series, or one family, that fills the box.
type chart struct {
	f       *family
	e       *entry
	found   []*entry // the series that it is of
	meaning meaning
	answer  drawn
	asked   time.Time
}

// line is one series of a chart.
type line struct {
	name   string
	points []promql.FPoint
}

// drawn brings the points of a chart.
type drawn struct {
	gen    uint64
	at     time.Time
	window time.Duration // of the rates
	span   time.Duration
	step   time.Duration
	expr   string // as it was evaluated
	lines  []line
	more   int // series that are not drawn
	err    string
}

// maxLines is how many series a chart draws; there are as many strokes that can be told apart.
const maxLines = 6

// maxPoints is how many moments a chart asks for: one a column of the widest screen.
const maxPoints = 320

func newChart(r row) *chart {
	return &chart{f: r.f, e: r.only(), found: r.found, meaning: chartOf(r)}
}

// due tells whether the chart is to be asked for at a moment.
func (c *chart) due(at time.Time) bool {
	return c.asked.IsZero() || at.Before(c.asked) || at.Sub(c.asked) >= stale
}

func (c *chart) ask(r sessions.Reader, gen uint64, at time.Time, span time.Duration) tea.Cmd {
	c.asked = at
	expr, heat := c.meaning.expr, c.meaning.draw == "heat"
	step := max((span / maxPoints).Round(time.Second), time.Second)
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		out := drawn{gen: gen, at: at, span: span, step: step}
		end := at.Truncate(time.Millisecond)
		res, err := r.QueryRange(ctx, expr, end.Add(-span).Truncate(step), end, step, sessions.Scope{})
		out.expr, out.window = res.Expr, res.Window
		if err != nil {
			out.err = err.Error()
			return out
		}
		m := res.Matrix()
		shared := sharedLabels(m)
		for _, s := range m {
			var name []string
			for l, v := range s.Metric.Map() {
				if l != model.MetricNameLabel && !shared[l] {
					name = append(name, l+"="+v)
				}
			}
			slices.Sort(name)
			out.lines = append(out.lines, line{strings.Join(name, " "), s.Floats})
		}
		if heat {
			slices.SortStableFunc(out.lines, func(a, b line) int { return cmp.Compare(edge(a.name), edge(b.name)) })
			return out
		}
		slices.SortStableFunc(out.lines, func(a, b line) int { return cmp.Compare(b.greatest(), a.greatest()) })
		if n := len(out.lines); n > maxLines {
			out.lines, out.more = out.lines[:maxLines], n-maxLines
		}
		return out
	}
}

// take keeps an answer.
func (c *chart) take(d drawn) { c.answer = d }

// sharedLabels are those that all series have with the same value: they tell nothing apart.
func sharedLabels(m promql.Matrix) map[string]bool {
	out := map[string]bool{}
	if len(m) < 2 {
		return out
	}
	for l, v := range m[0].Metric.Map() {
		out[l] = !slices.ContainsFunc(m, func(s promql.Series) bool { return s.Metric.Get(l) != v })
	}
	return out
}

// edge reads a bucket's upper bound off its line's name.
func edge(name string) float64 {
	v, err := strconv.ParseFloat(strings.TrimPrefix(name, "le="), 64)
	if err != nil {
		return math.Inf(1)
	}
	return v
}

func (l line) greatest() float64 {
	most := math.Inf(-1)
	for _, p := range l.points {
		if p.F > most {
			most = p.F
		}
	}
	return most
}

func (l line) least() float64 {
	least := math.Inf(1)
	for _, p := range l.points {
		if p.F < least {
			least = p.F
		}
	}
	return least
}

// columns puts points into columns of a timeline that begins at start: the greatest value within each, so that no peak is
// lost. A column between two points holds the one before it as long as that stands for it.
func columns(points []promql.FPoint, start time.Time, step time.Duration, n int, every time.Duration) []float64 {
	out := make([]float64, n)
	at := 0
	for x := range n {
		out[x] = math.NaN()
		from := start.Add(time.Duration(x) * step).UnixMilli()
		to := start.Add(time.Duration(x+1) * step).UnixMilli()
		for at < len(points) && points[at].T < from {
			at++
		}
		in := false
		for i := at; i < len(points) && points[i].T < to; i++ {
			if !in || points[i].F > out[x] {
				out[x], in = points[i].F, true
			}
		}
		if !in && at > 0 && from-points[at-1].T < every.Milliseconds() {
			out[x] = points[at-1].F
		}
	}
	return out
}

// toAdd is the chart as a panel of a page.
func (c *chart) toAdd() Chart {
	m := c.meaning
	add := Chart{Title: c.f.name, Unit: m.unit, Expr: m.expr, Draw: m.draw}
	if c.e == nil && m.draw != "heat" {
		// The labels that differ among the series tell its lines apart.
		var differ []string
		for _, some := range c.found {
			for _, l := range some.names {
				template, v := "{{"+l+"}}", c.found[0].labels[l]
				if !slices.Contains(differ, template) && slices.ContainsFunc(c.found, func(e *entry) bool { return e.labels[l] != v }) {
					differ = append(differ, template)
				}
			}
		}
		add.Legend = strings.Join(differ, " ")
	}
	return add
}
