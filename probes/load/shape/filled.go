package shape

import (
	"slices"
	"time"
)

// The defaults that Filled fills in.
const (
	DefaultMaxInFlight     = 4096
	DefaultFirstByteWithin = 10 * time.Minute
	DefaultStallWithin     = 2 * time.Minute
	DefaultShare           = 0.99
)

// Filled is the point with every default written out, so that what is stored and shown says everything. What has no default
// (how many clients, how long prompts are) is left for Validate to miss. The receiver is not changed, and shares its maps.
func (p Point) Filled() Point {
	a := &p.Arrival
	if a.Kind == "" {
		switch {
		case a.Trace != "":
			a.Kind = Trace
		case a.Rate != 0 && a.Burstiness != 0:
			a.Kind = Gamma
		case a.Rate != 0:
			a.Kind = Poisson
		default:
			a.Kind = Closed
		}
	}
	if a.Kind == Gamma && a.Burstiness == 0 {
		a.Burstiness = 1
	}
	a.Steps = slices.Clone(a.Steps)
	if p.Prompt.Shared > 0 && p.Prompt.Groups == 0 {
		p.Prompt.Groups = 1
	}
	if p.Sampling.Temperature == nil {
		p.Sampling.Temperature = new(float64)
	}
	if p.Sampling.TopP == nil {
		one := 1.0
		p.Sampling.TopP = &one
	}
	if p.Cache == "" {
		p.Cache = Cold
		if p.Prompt.Shared > 0 || p.Prompt.Turns > 1 || p.Prompt.File != "" || a.Kind == Trace {
			p.Cache = Warm
		}
	}
	if p.MaxInFlight == 0 && a.Kind != Closed {
		p.MaxInFlight = DefaultMaxInFlight
	}
	if p.FirstByteWithin == 0 {
		p.FirstByteWithin = DefaultFirstByteWithin
	}
	if p.StallWithin == 0 {
		p.StallWithin = DefaultStallWithin
	}
	if p.SLO != (SLO{}) && p.SLO.Share == 0 {
		p.SLO.Share = DefaultShare
	}
	return p
}

// Name is the label, or the short text where there is none.
func (p Point) Name() string {
	if p.Label != "" {
		return p.Label
	}
	return p.String()
}
