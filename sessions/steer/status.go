package steer

import (
	"time"

	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/sessions"
	"pitwall/sessions/score"
)

// Phase is how the load stands.
type Phase string

const (
	// Idle: there is none.
	Idle Phase = "idle"
	// Preparing: a point was asked for and is not in force yet: the server is looked at, prompts are made.
	Preparing Phase = "preparing"
	// Settling: a point is in force, and requests of the one before are still under way.
	Settling Phase = "settling"
	// Running: a point is in force alone, and is being measured.
	Running Phase = "running"
	// Draining: it was stopped, and requests are still under way.
	Draining Phase = "draining"
)

// Status is how the load stands at one moment. Everything in it is the receiver's.
type Status struct {
	// Cannot says why no load can be started or changed from here at all; empty if it can.
	Cannot string
	Phase  Phase
	// Instance is the engine that is loaded, or was last; Server what was found there, nil until it was looked at.
	Instance string
	Server   *load.Server
	// Point is the one in force, or the last one; Pending one that was asked for and is not in force yet, else nil.
	Point   shape.Point
	Pending *shape.Point
	// Run is the run under way, or the last one; its ID is 0 before the first. Tally counts its requests.
	Run   sessions.Run
	Tally load.Tally
	// Clients and Rate are what the point asks for now (steps change them): a closed loop's clients, an open loop's requests a
	// second.
	Clients int
	Rate    float64
	// InFlight is how many requests are under way, Draining how many of them belong to earlier runs.
	InFlight, Draining int
	// Silent is how long no piece of any answer has come while requests are under way; zero where none is.
	Silent time.Duration
	// Live are the numbers of the run so far, of its newest requests; at most a second old.
	Live Live
	// LagP50, LagP99 and LagMax are how late requests were sent over the last 10 s; CPU the share of one core that this process
	// uses.
	LagP50, LagP99, LagMax time.Duration
	CPU                    float64
	// Bound says why the numbers are this client's own and not the server's: "client-bound: …"; empty if they are the server's.
	Bound string
	// Problem is why the last change did not happen, or what is wrong with the session; empty if nothing is.
	Problem string
	// Why is why the last run ended, where nobody ended it: "500 requests have ended"; empty otherwise.
	Why string
	// Judging is how many runs are over whose verdict is waited for: the engine's page must be read first.
	Judging int
	// Certified is whether the run has a certificate of this client on this host (pitwall calibrate).
	Certified bool
}

// Live are the numbers of a run that goes on.
type Live struct {
	// Requests is how many requests the latencies are of: the newest that have ended, at most 512 of them, over the time Over
	// until now.
	Requests int
	Over     time.Duration
	// The latencies by the formulas of package score, in seconds.
	TTFT, TTFTSched, TPOT, E2E score.Summary
	Goodput                    score.Goodput
	// RequestRate and OutputRate are requests that ended well and output tokens of requests that ended, a second, over the last
	// RateOver; NaN while that is less than a second.
	RequestRate, OutputRate float64
	RateOver                time.Duration
}

func (d *desk) status() Status {
	_, cannot := d.o.Book()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{Cannot: cannot, Phase: Idle, Instance: d.instance, Server: d.server, Problem: d.problem, Why: d.why}
	if w := d.wanted; w != nil {
		p := w.point
		s.Pending = &p
	}
	for _, r := range d.runs {
		if r.ended != 0 {
			s.Judging++
		}
	}
	if d.runner != nil {
		st := d.runner.State()
		s.Clients, s.Rate, s.InFlight, s.Silent = st.Clients, st.Rate, st.InFlight, st.Silent
		s.LagP50, s.LagP99, s.LagMax, s.CPU, s.Bound = st.LagP50, st.LagP99, st.LagMax, st.CPU, st.Bound
	}
	if r := d.current; r != nil {
		s.Point, s.Run, s.Tally, s.Live = r.Point, r.Run, r.tally, d.live.last
		s.Draining = max(0, s.InFlight-r.tally.InFlight)
		switch {
		case r.over:
		case r.cut != 0:
			s.Phase = Draining
		case r.settled == 0:
			s.Phase = Settling
		default:
			s.Phase = Running
		}
		if s.Bound == "" && s.Phase == Running && r.beyond != "" {
			s.Bound = "client-bound: " + r.beyond
		}
		s.Certified = r.certified != nil
		if s.Problem == "" {
			s.Problem = r.book.Info().Trouble
		}
	}
	if s.Pending != nil && s.Phase != Running && s.Phase != Settling {
		s.Phase = Preparing
	}
	return s
}
