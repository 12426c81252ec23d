package steer

import (
	"math"
	"time"

	"pitwall/probes/load"
	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/sessions/score"
)

const (
	// newest is how many of a run's newest requests its live numbers are made of: enough for a 99th percentile, and scored in
	// a few milliseconds.
	newest = 512
	// rateOver is how far back the live rates look.
	rateOver = 10 * time.Second
)

// live gathers the numbers of the run that goes on.
type live struct {
	run       uint32
	ring      []request.Record // the newest, in the order of ending from at on
	at        int
	tallies   []tallied
	unreached unreached
	last      Live
}

// tallied is a tally at a moment.
type tallied struct {
	at         request.Time
	ok, output float64
}

// begin forgets the run before.
func (l *live) begin(run uint32) {
	kept := make([]request.Record, 0, len(l.ring)) // its first requests may have ended before it was known to be in force
	for i := range l.ring {
		if r := l.ring[(l.at+i)%len(l.ring)]; r.Run == run {
			kept = append(kept, r)
		}
	}
	*l = live{run: run, ring: kept, unreached: l.unreached, last: Live{RequestRate: math.NaN(), OutputRate: math.NaN()}}
}

// add takes a record that has ended, of whatever run.
func (l *live) add(rec *request.Record) {
	l.unreached.add(rec)
	if rec.Run < l.run {
		return
	}
	r := *rec
	// Only what the latencies of requests need: all the chunks of so many would be scored anew every second.
	r.OutputTokens, r.Text, r.IDs = int32(rec.Tokens()), "", nil //nolint:gosec // a count of tokens
	if len(r.Chunks) > 2 {
		r.Chunks = r.Chunks[:2:2]
	}
	if len(l.ring) < newest {
		l.ring = append(l.ring, r)
		return
	}
	l.ring[l.at] = r
	l.at = (l.at + 1) % newest
}

// tally takes the run's counts at a moment.
func (l *live) tally(now request.Time, t load.Tally) {
	l.tallies = append(l.tallies, tallied{now, float64(t.Class[request.OK]), float64(t.Output)})
	for len(l.tallies) > 2 && now.Sub(l.tallies[1].at) >= rateOver {
		l.tallies = l.tallies[1:]
	}
}

// rates are of the time between the oldest tally that is kept and the newest.
func (l *live) rates() (requests, output float64, over time.Duration) {
	if len(l.tallies) < 2 {
		return math.NaN(), math.NaN(), 0
	}
	a, b := l.tallies[0], l.tallies[len(l.tallies)-1]
	over = b.at.Sub(a.at)
	if over < time.Second {
		return math.NaN(), math.NaN(), over
	}
	return (b.ok - a.ok) / over.Seconds(), (b.output - a.output) / over.Seconds(), over
}

// refresh makes the live numbers anew.
func (d *desk) refresh() {
	d.mu.Lock()
	r := d.current
	if r == nil {
		d.mu.Unlock()
		return
	}
	now := d.clock.Now()
	d.live.tally(now, r.tally)
	own := make([]request.Record, 0, len(d.live.ring))
	first := now
	for i := range d.live.ring {
		if rec := &d.live.ring[i]; rec.Run == r.ID {
			own = append(own, *rec)
			first = min(first, max(rec.Sent, r.tally.Began))
		}
	}
	from, to, point := max(r.settled, first), now, r.Point
	if r.cut != 0 {
		to = r.cut
	}
	out := Live{Requests: len(own)}
	out.RequestRate, out.OutputRate, out.RateOver = d.live.rates()
	if r.certified != nil && r.beyond == "" && r.State == sessions.Measuring {
		r.beyond = r.certified(r.tally.InFlight, out.OutputRate)
	}
	d.mu.Unlock()
	if to > from && len(own) > 0 {
		s := score.Of(score.Input{Records: own, Run: r.ID, Whole: score.Window{From: from, To: to}, Point: point})
		out.Over, out.TTFT, out.TTFTSched, out.TPOT, out.E2E, out.Goodput = to.Sub(from), s.TTFT, s.TTFTSched, s.TPOT, s.E2E, s.Goodput
	}
	d.mu.Lock()
	if d.live.run == r.ID {
		d.live.last = out
	}
	d.mu.Unlock()
	d.version.Add(1)
}
