package live

import (
	"pitwall/ui/grid"
)

// scope is what a query is asked about.
type scope int

const (
	engineScope scope = iota // the chosen engine: $sel and the dialect's names
	gpuScope                 // every GPU
	hostScope                // this host
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
}

// panel is one part of the live screen, as data.
type panel struct {
	id    string
	key   string // the digit that zooms it
	title string
	// unit is what the chart's axis counts.
	unit    string
	queries []query
	// job is the kind of source it comes from, for its age and its reason of absence.
	scope scope
	// draw fills the panel's inside; heading gives what stands at the right of its title.
	draw    func(v view, p grid.Pane, g geometry)
	heading func(v view, w int) string
	// lines names the charted queries that the zoomed panel draws, with the top of their axis; groups share a chart.
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

// panels is the live screen. Their order is that of the digits.
func panels() []panel {
	return []panel{queuePanel(), latencyPanel(), throughputPanel(), cachePanel(), gpuPanel(), hostPanel()}
}

// common are the queries of the frame itself.
var common = []query{
	{id: "state", expr: `pitwall_engine_state == 1`, scope: hostScope, by: "state"},
	{id: "state_since", expr: `pitwall_engine_state_start_time_seconds`, scope: hostScope, by: "instance"},
}
