// Package load is the load on the screen: the bar that steers it, and the runs that it left.
//
// In go a Desk (package steer's), what a key or a typed line asks for, and the runs of a session; out come commands for the
// desk, and pictures: the bar under the panels, the boxes to type in, the table of runs, one run in full, two runs beside each
// other. Every number is written with its unit and its interval, a percentile that cannot be told as the reason for which it
// can't, and the formulas are those that package score prints.
//
// It starts nothing by itself: what a key asks for is done in a tea.Cmd, and a server that is not simulated is asked about
// before its first request. It computes no statistics and asks no session; whoever shows it hands the runs in.
//
//	bar.go, keys.go, draw.go   the bar: state, keys, picture     field.go, change.go, step.go   a point, typed and stepped
//	line.go, form.go, presets.go, warn.go   boxes                number.go   estimates as text
//	runs.go, columns.go   the table of runs                      full.go, difference.go   one run, and two
package load

import (
	"context"

	"pitwall/probes/load/shape"
	"pitwall/sessions/steer"
)

// Desk steers the load. *steer.Desk is one.
type Desk interface {
	// Look says what a first start would do, to whom, and who else is there. It takes time.
	Look(ctx context.Context, instance string, p shape.Point) (steer.Warning, error)
	// Start starts a point on an engine, or changes to it. It may take time.
	Start(ctx context.Context, instance string, p shape.Point) error
	// Stop lets what is under way end; Cancel gives it up. Neither waits.
	Stop()
	Cancel()
	// Status tells how it stands; it never waits.
	Status() steer.Status
}

var _ Desk = (*steer.Desk)(nil)
