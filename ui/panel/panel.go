// Package panel is the form that built-in and user's panels share: YAML in, specifications and drawings out.
//
// In go files of panels and pages, Grafana boards, and numbers by column. Out come checked Specs, faults with line and
// reason, and pictures on a pane. It asks nothing: whoever shows a panel puts its queries to a reader and hands the
// answers in. Six of the drawings (queue, latency, throughput, cache, gpu, host) are named here and live in ui/live; all
// others are pure functions of a Spec, its Data and the room there is.
package panel

import (
	"slices"
	"strings"
)

// Spec is one panel.
type Spec struct {
	// ID names it: small letters, digits, - and _.
	ID    string `yaml:"id"`
	Title string `yaml:"title,omitempty"`
	// Key is the digit that zooms it on every page; empty: its place on the page.
	Key string `yaml:"key,omitempty"`
	// Unit is that of its numbers ("s", "bytes", "ratio", "requests"); see Units.
	Unit string `yaml:"unit,omitempty"`
	// Draw is how it is drawn: one of Drawings.
	Draw string `yaml:"draw,omitempty"`
	// Scope is what $sel selects and whose silence is the panel's: engine, gpu, host or any. Empty is told from the
	// expressions.
	Scope   Scope   `yaml:"scope,omitempty"`
	Queries []Query `yaml:"queries,omitempty"`
	// Thresholds colour values and stand as lines in the chart, the lowest first.
	Thresholds []Threshold `yaml:"thresholds,omitempty"`
	// Min and Max are the ends of the value axis; without them it starts at zero and ends above the peak, at least at
	// Least.
	Min   *float64 `yaml:"min,omitempty"`
	Max   *float64 `yaml:"max,omitempty"`
	Least float64  `yaml:"least,omitempty"`
	// Charts are what the zoomed panel draws instead of one chart of all queries.
	Charts []Chart `yaml:"charts,omitempty"`
	// Columns are the labels that a table shows; none: all that tell its rows apart.
	Columns []string `yaml:"columns,omitempty"`
	// Sort orders tables, bars and legends: "value" (largest first, the default of tables and bars), "-value", "name",
	// "query" (the default of charts: as the queries stand, each by name) or "none" (as they are answered).
	Sort string `yaml:"sort,omitempty"`
	// Limit is how many series are kept, after sorting; zero is DefaultLimit.
	Limit int `yaml:"limit,omitempty"`
	// Priority says what gives way first on a small screen: the smallest. Zero is "by place".
	Priority int `yaml:"priority,omitempty"`
	// About explains the numbers in the zoomed panel.
	About string `yaml:"about,omitempty"`
	// Source says where it was taken from, for imported panels.
	Source string `yaml:"source,omitempty"`

	// File and Line are where it stands; empty for one that was made by code.
	File string `yaml:"-"`
	Line int    `yaml:"-"`

	given  map[string]bool // the keys that the file names
	broken string          // the first fault of its own; such a panel shows it instead of numbers
}

// DefaultLimit is how many series one panel keeps unless it says otherwise.
const DefaultLimit = 50

// Query is one expression of a panel.
type Query struct {
	// ID names it within the panel; empty: "q1", "q2", ….
	ID string `yaml:"id,omitempty"`
	// Expr is PromQL with $sel, $w, $__rate_interval and the dialect's engine: names.
	Expr string `yaml:"expr,omitempty"`
	// Legend names its series, {{label}} being replaced; empty: the labels that tell them apart.
	Legend string `yaml:"legend,omitempty"`
	// By is the label that tells the series of the answer apart, in the panels drawn in Go.
	By string `yaml:"by,omitempty"`
	// Scope is the panel's unless it is given.
	Scope Scope `yaml:"scope,omitempty"`
	// Pick is which number of a column is shown: mean (rates, the default) or most (what must not hide a spike).
	Pick string `yaml:"pick,omitempty"`
	// Metric, in the panels drawn in Go, is the name under which another query's answer already holds the number: only
	// the history is asked for with Expr.
	Metric string `yaml:"metric,omitempty"`
	// Chart keeps a history in the panels drawn in Go; all others keep one where their drawing needs it. Heat keeps it
	// only while the panel fills the screen. Zoom asks only then or on a large screen, Alone only then.
	Chart bool `yaml:"chart,omitempty"`
	Heat  bool `yaml:"heat,omitempty"`
	Zoom  bool `yaml:"zoom,omitempty"`
	Alone bool `yaml:"alone,omitempty"`
	// Total says that it is the rate of counters, whose exact rise between two marked times is of interest.
	Total bool `yaml:"total,omitempty"`

	line, column int // of the expression
	block        bool
	given        map[string]bool
	broken       string
}

// Threshold is a value from which things are worth a word.
type Threshold struct {
	// From is the value; Below turns it round: bad is what is less.
	From  float64 `yaml:"from"`
	Below bool    `yaml:"below,omitempty"`
	// Level is warn or bad.
	Level string `yaml:"level"`
	// Word says it without colour: "high", "FULL".
	Word string `yaml:"word,omitempty"`
}

// Chart is one chart of a zoomed panel.
type Chart struct {
	Title string `yaml:"title,omitempty"`
	// Queries are the ids it draws as lines; Heat is the id of a query of buckets that it draws as a heat map instead.
	Queries []string `yaml:"queries,omitempty"`
	Heat    string   `yaml:"heat,omitempty"`
	// Unit is the panel's unless it is given; Least and Max are ends of the axis.
	Unit  string  `yaml:"unit,omitempty"`
	Least float64 `yaml:"least,omitempty"`
	Max   float64 `yaml:"max,omitempty"`
}

// Page is a named screen of panels.
type Page struct {
	Name string `yaml:"name"`
	// Panels are the ids in their order.
	Panels []string `yaml:"panels,omitempty"`
	// Columns is how many panels stand beside each other; zero: as many as the width allows.
	Columns int `yaml:"columns,omitempty"`
	// Weights are the shares of the rows in the height; what is left out is 1.
	Weights []int `yaml:"weights,omitempty"`
	// About is a line about the page, for the list of them.
	About string `yaml:"about,omitempty"`
}

// Scope is what a panel is about.
type Scope string

// The scopes.
const (
	ScopeEngine Scope = "engine" // the chosen engine: $sel is its selector
	ScopeGPU    Scope = "gpu"
	ScopeHost   Scope = "host"
	ScopeAny    Scope = "any" // everything that is recorded: $sel is empty
)

// Scopes lists them.
func Scopes() []Scope { return []Scope{ScopeEngine, ScopeGPU, ScopeHost, ScopeAny} }

// The drawings of this package.
const (
	DrawLine    = "line"
	DrawArea    = "area"
	DrawStacked = "stacked"
	DrawHeat    = "heat"
	DrawBars    = "bars"
	DrawNumber  = "number"
	DrawTable   = "table"
)

// Drawings lists what draw: may say: the drawings of this package, then those in Go.
func Drawings() []string {
	return []string{DrawLine, DrawArea, DrawStacked, DrawHeat, DrawBars, DrawNumber, DrawTable,
		"queue", "latency", "throughput", "cache", "gpu", "host"}
}

// Needs gives the query ids that a drawing in Go reads, nil for the drawings of this package.
func Needs(draw string) []string {
	switch draw {
	case "queue":
		return []string{"running", "waiting"}
	case "latency":
		return []string{"ttft_buckets", "ttft_mean", "itl_buckets", "itl_mean"}
	case "throughput":
		return []string{"decode", "prefill"}
	case "cache":
		return []string{"kv"}
	case "gpu":
		return []string{"gpu_util", "gpu_power", "gpu_fb", "gpu_all"}
	case "host":
		return []string{"cpu", "mem", "host_all"}
	}
	return nil
}

// InGo tells whether a panel's drawing lives in Go.
func (s Spec) InGo() bool { return Needs(s.Draw) != nil }

// Drawing is how the panel is drawn; a line chart unless it says otherwise.
func (s Spec) Drawing() string {
	if s.Draw == "" {
		return DrawLine
	}
	return s.Draw
}

// Charted tells whether the drawing has a time axis, and so needs the history of its queries.
func (s Spec) Charted() bool {
	switch s.Drawing() {
	case DrawBars, DrawTable:
		return false
	}
	return true
}

// ScopeOf is the panel's scope: its own, or what the names in its expressions say.
func (s Spec) ScopeOf() Scope {
	if s.Scope != "" {
		return s.Scope
	}
	var all strings.Builder
	for _, q := range s.Queries {
		all.WriteString(q.Expr)
	}
	e := all.String()
	switch {
	case strings.Contains(e, "$sel"), strings.Contains(e, "engine:"):
		return ScopeEngine
	case strings.Contains(e, "DCGM_FI_"), strings.Contains(e, "pitwall_gpu_"):
		return ScopeGPU
	case strings.Contains(e, "node_"):
		return ScopeHost
	}
	return ScopeAny
}

// Query gives a query by its id.
func (s Spec) Query(id string) (Query, bool) {
	i := slices.IndexFunc(s.Queries, func(q Query) bool { return q.ID == id })
	if i < 0 {
		return Query{}, false
	}
	return s.Queries[i], true
}

// ScopeOf is a query's scope within its panel.
func (q Query) ScopeOf(s Spec) Scope {
	if q.Scope != "" {
		return q.Scope
	}
	return s.ScopeOf()
}

// Broken gives the fault of a query that cannot be asked, "" for one that can.
func (q Query) Broken() string { return q.broken }

// Broken gives the fault that keeps the whole panel from being shown, "" for none.
func (s Spec) Broken() string { return s.broken }
