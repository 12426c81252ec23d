// Package calibrate measures this client on this host against a server that knows when it said what, and says up to which load its
// numbers can be trusted.
//
// In goes a shape (how many streams, how many tokens a second each) and a way to start a truth server in a process of its own;
// out comes a Certificate: how far off the client's times were from the server's own, and the most streams and tokens a second at
// which they still were within bounds. A certificate is kept in a file, stored with every run that is made here afterwards, and
// asked by Covers whether a load lies within what was measured.
//
// It measures the whole client, as it is used: package load sends, records are what it hands over. It sends to the truth server
// alone, on loopback; it measures no model server and no network, and a certificate says nothing about another host.
package calibrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/probes/truth"
)

// Bounds are what the client's errors must stay within at their 99th percentile for a load to count as measured well: a fifth of
// what fast servers take for a token. How late requests leave is no error of a time, but a part of the load that is missing; that is
// judged as it is in every run, by the client's own watch (load.Tally.Bound).
type Bounds struct {
	TTFT time.Duration `json:"ttft"`
	Gap  time.Duration `json:"gap"`
}

// DefaultBounds are those that Options{} has.
func DefaultBounds() Bounds {
	return Bounds{TTFT: 2 * time.Millisecond, Gap: 2 * time.Millisecond}
}

// Options are what is measured.
type Options struct {
	// Server makes the command of a truth server's process, which must end up in truth.Run. Required.
	Server func() (*exec.Cmd, error)
	// Version is pitwall's own, for the certificate.
	Version string
	// Streams is how many at a time are asked for, 0 is 64; more are tried while the bounds hold, fewer when they don't.
	Streams int
	// Rate is tokens a second in each stream, 0 is 50.
	Rate float64
	// For is about how long it may take, 0 is 30 s.
	For time.Duration
	// Bounds are the bounds; the zero value is DefaultBounds.
	Bounds Bounds
	// Each is told each step when it has been measured. Nil is nobody.
	Each func(Step)
}

const (
	defaultStreams = 64
	defaultRate    = 50
	defaultFor     = 30 * time.Second
	// mostSteps is how many loads are measured at most: the asked one, and what it takes to find the edge.
	mostSteps = 5
	// trueTTFT is what the server takes to its first token; it has no part in any error.
	trueTTFT = 50 * time.Millisecond
	// Tries beyond the asked number grow by up and go back by down.
	up, down = 4, 2
	// mostStreams is where a step is no longer tried: ports and open files end there on many hosts.
	mostStreams = 4096
)

// Run measures. It takes about Options.For, and uses the host as hard as the load that is asked for: what else runs here
// disturbs it, and is meant to, if it runs when load is measured too. The error says why there is no certificate; a client that is out
// of bounds everywhere has one that says so.
func Run(ctx context.Context, o Options) (*Certificate, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.filled()
	gap := time.Duration(float64(time.Second) / o.Rate)
	cmd, err := o.Server()
	if err != nil {
		return nil, fmt.Errorf("calibrating: %w", err)
	}
	child, err := truth.Start(ctx, cmd, truth.Plan{TTFT: trueTTFT, Gap: gap, Spread: gap, Role: truth.RoleEarly, MaxModelLen: 8192})
	if err != nil {
		return nil, fmt.Errorf("calibrating: %w", err)
	}
	defer child.Close()
	server, err := load.Examine(ctx, load.Target{URL: child.URL})
	if err != nil {
		return nil, fmt.Errorf("calibrating: %w", err)
	}
	c := &Certificate{Version: o.Version, Cores: runtime.GOMAXPROCS(0), At: time.Now().UTC().Truncate(time.Second), Asked: o.Streams, Rate: o.Rate, Bounds: o.Bounds, Stamped: true}
	c.Host, _ = os.Hostname() // a host without a name is one like any other
	r := &rig{o: o, child: child, server: server, gap: gap}
	for n := o.Streams; n > 0 && len(c.Steps) < mostSteps; n = r.next(c.Steps) {
		p := r.point(n)
		if err := server.Check(p); err != nil {
			if len(c.Steps) == 0 {
				return nil, fmt.Errorf("calibrating with %d streams: %w", n, err)
			}
			break // more than this process may have open: the step before is the edge
		}
		s, err := r.step(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("calibrating with %d streams: %w", n, err)
		}
		c.Steps = append(c.Steps, s)
		c.Stamped = c.Stamped && s.Stamped
		if s.Holds && s.Streams > c.Streams {
			c.Streams, c.Tokens = s.Streams, s.Tokens
		}
		if o.Each != nil {
			o.Each(s)
		}
	}
	return c, nil
}

func (o Options) filled() Options {
	if o.Streams == 0 {
		o.Streams = defaultStreams
	}
	if o.Rate == 0 {
		o.Rate = defaultRate
	}
	if o.For == 0 {
		o.For = defaultFor
	}
	if o.Bounds == (Bounds{}) {
		o.Bounds = DefaultBounds()
	}
	return o
}

// Validate says what is impossible, before anything runs.
func (o Options) Validate() error {
	o = o.filled()
	switch {
	case o.Streams < 1 || o.Streams > mostStreams:
		return fmt.Errorf("%d streams: between 1 and %d", o.Streams, mostStreams)
	case !(o.Rate >= 1 && o.Rate <= 1000):
		return fmt.Errorf("%v tokens a second in a stream: between 1 and 1000", o.Rate)
	case o.For < time.Second || o.For > 10*time.Minute:
		return fmt.Errorf("a calibration of %v: between 1s and 10m", o.For)
	case o.Server == nil:
		return errors.New("calibrating: no truth server to start")
	}
	return nil
}

// rig is what stays the same from step to step.
type rig struct {
	o      Options
	child  *truth.Child
	server *load.Server
	gap    time.Duration
	run    uint32
}

// next is how many streams to try after these steps, 0 for none: up until it doesn't hold, or down until it does, and then once
// between the two.
func (r *rig) next(done []Step) int {
	best, worst := 0, 0
	for _, s := range done {
		if s.Holds {
			best = max(best, s.Streams)
		} else if worst == 0 || s.Streams < worst {
			worst = s.Streams
		}
	}
	switch {
	case worst == 0 && best == mostStreams:
		return 0
	case worst == 0:
		return min(best*up, mostStreams)
	case best == 0:
		return worst / down
	case worst-best > best/4:
		return (best + worst) / 2
	}
	return 0
}

// point is a step's load: a closed loop that comes up over a part of its time, so that its streams are not all at the same token.
// Answers are as long as a third of the step, so that each client has several requests.
func (r *rig) point(streams int) shape.Point {
	lasts := r.lasts()
	tokens := max(4, int((lasts/3-trueTTFT)/r.gap))
	p := shape.Point{
		Arrival: shape.Arrival{Kind: shape.Closed, Clients: max(1, streams/10)},
		Prompt:  shape.Prompt{Length: shape.Tokens(64)}, Output: shape.Output{Length: shape.Tokens(tokens)},
		API: shape.Chat, Cache: shape.Warm, Stop: shape.Stop{After: lasts}, Seed: uint64(streams),
	}
	if streams > 1 {
		p.Arrival.Steps = []shape.Step{{Over: lasts / 5, To: float64(streams)}}
	}
	return p.Filled()
}

func (r *rig) lasts() time.Duration { return r.o.For / mostSteps * 9 / 10 }

// step measures one load, and gives up what is under way at its end.
func (r *rig) step(ctx context.Context, p shape.Point) (Step, error) {
	r.run++
	streams := p.Arrival.Clients
	for _, s := range p.Arrival.Steps {
		streams = int(s.To)
	}
	var records []*request.Record
	client := load.New(r.server, load.Options{Each: func(rec *request.Record) { records = append(records, rec) }})
	defer client.Close()
	if err := client.Set(ctx, p, r.run); err != nil {
		return Step{}, err
	}
	// The point ends by its time; its last requests are of no use.
	end := time.NewTimer(r.lasts() + 10*time.Millisecond)
	defer end.Stop()
	select {
	case <-end.C:
	case <-client.Idle():
	case <-ctx.Done():
		return Step{}, context.Cause(ctx)
	}
	client.Cancel()
	select {
	case <-client.Idle():
	case <-ctx.Done():
		return Step{}, context.Cause(ctx)
	}
	st := client.State()
	tally, _ := st.Of(r.run)
	client.Close() // after it no record comes any more
	answers, err := r.child.Answers(ctx)
	if err != nil {
		return Step{}, err
	}
	return measure(records, answers, measured{run: r.run, streams: streams, bounds: r.o.Bounds, bound: tally.Bound, lasts: r.lasts(), ramp: r.lasts() / 5})
}
