package live

import (
	"cmp"

	"pitwall/ui/grid"
	form "pitwall/ui/panel"
)

// scope is what a query is asked about.
type scope int

const (
	engineScope scope = iota // the chosen engine: $sel and the dialect's names
	gpuScope                 // every GPU
	hostScope                // this host
	anyScope                 // everything that is recorded
)

// query is one expression that a panel asks at each tick.
type query struct {
	id   string
	expr string
	// legend is what its line is called in the zoomed panel.
	legend string
	scope  scope
	// by is the label that tells the series of the answer apart; "" for an answer of one number.
	by string
	// name, where it is set, is the metric whose samples answer it: they come with the answer that holds many names, so
	// only its history is asked for with expr.
	name string
	// chart keeps a history of it, which is what charts and the extremes beside them are made of.
	chart bool
	// heat keeps a history too, but only while its panel fills the screen.
	heat bool
	// total says that it is the rate of counters, whose exact rise between two marked times is of interest.
	total bool
	// pick is which number of a chart's column is shown.
	pick pick
	// zoom asks it only while its panel fills the screen, or the screen is large; alone only while its panel fills it.
	zoom, alone bool
	// full tells its series apart by all of their labels: of a panel that is not drawn in Go.
	full bool
	// buckets says that its series are those of a heat map, of which none may be missing.
	buckets bool
	// broken is why it cannot be asked, "" for one that can.
	broken string
}

// panel is one part of the live screen: what the form says of it, and what draws it.
type panel struct {
	form form.Spec
	id   string
	key  string // the digit that zooms it
	// title stands on its border; unit is what the chart's axis counts.
	title, unit string
	queries     []query
	// scope is the kind of source it comes from, for its age and its reason of absence.
	scope scope
	// draw fills the panel's inside; heading gives what stands at the right of its title.
	draw    func(v view, p grid.Pane, g geometry)
	heading func(v view, w int) string
	// groups are the charts of the zoomed panel.
	groups []group
	// rows gives every number of the panel, for the zoomed panel.
	rows func(v view) []row
	// about explains the panel's numbers in the zoomed panel.
	about string
}

// group is one chart of a zoomed panel.
type group struct {
	title string
	ids   []string
	// heat, where it is set, is the id of a query of buckets: the chart shows how they fill over time.
	heat string
	// least is the smallest top of its axis, most the largest (0: none).
	least, most float64
	format      func(float64) string
}

// inGo are the drawings that live here, by the word that a panel's draw: has for them.
func inGo(draw string) (p panel, ok bool) {
	switch draw {
	case "queue":
		return panel{draw: drawQueue, heading: maxHeading, rows: queueRows}, true
	case "latency":
		return panel{draw: drawLatency, heading: latencyHeading, rows: latencyRows}, true
	case "throughput":
		return panel{draw: drawThroughput, heading: maxHeading, rows: throughputRows}, true
	case "cache":
		return panel{draw: drawCache, heading: maxHeading, rows: cacheRows}, true
	case "gpu":
		return panel{draw: drawGPU, heading: gpuHeading, rows: gpuRows}, true
	case "host":
		return panel{draw: drawHost, heading: hostHeading, rows: hostRows}, true
	}
	return panel{}, false
}

// fromForm makes a panel out of its form.
func fromForm(s form.Spec) panel {
	p, here := inGo(s.Draw)
	if s.Broken() != "" {
		p, here = panel{}, false // its fault stands in its place
	}
	p.form, p.id, p.title, p.unit, p.about = s, s.ID, s.Title, s.Unit, s.About
	p.scope = scopeFrom(s.ScopeOf())
	if p.unit == "none" {
		p.unit = ""
	}
	for _, f := range s.Queries {
		q := query{id: f.ID, expr: f.Expr, legend: f.Legend, scope: scopeFrom(f.ScopeOf(s)), by: f.By, name: f.Metric,
			chart: f.Chart, heat: f.Heat, total: f.Total, zoom: f.Zoom, alone: f.Alone, broken: f.Broken()}
		if f.Pick == "most" {
			q.pick = most
		}
		if !here {
			q.id, q.full, q.chart, q.buckets = s.ID+"/"+f.ID, true, s.Charted(), s.Drawing() == form.DrawHeat
		}
		p.queries = append(p.queries, q)
	}
	if !here {
		p.draw = func(v view, box grid.Pane, g geometry) { v.drawForm(p, box, g) }
		p.heading = func(v view, w int) string { return v.formHeading(p, w) }
		p.rows = func(v view) []row { return v.formRows(p) }
	}
	for _, c := range s.Charts {
		unit := cmp.Or(c.Unit, s.Unit)
		g := group{title: c.Title, ids: c.Queries, heat: c.Heat, least: c.Least, most: c.Max}
		g.format = func(v float64) string { return form.Tick(unit, v, v) }
		p.groups = append(p.groups, g)
	}
	return p
}

func scopeFrom(s form.Scope) scope {
	switch s {
	case form.ScopeEngine:
		return engineScope
	case form.ScopeGPU:
		return gpuScope
	case form.ScopeHost:
		return hostScope
	}
	return anyScope
}

// common are the queries of the frame itself.
var common = []query{
	{id: "state", expr: `pitwall_engine_state == 1`, scope: hostScope, by: "state"},
	{id: "state_since", expr: `pitwall_engine_state_start_time_seconds`, scope: hostScope, by: "instance"},
}
