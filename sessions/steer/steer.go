// Package steer is the operator's hand on the load: it starts it, changes it, stops it, and makes a run of every stretch in
// which it had one shape.
//
// In go points (package shape), as fast as a key repeats, and the records and tallies of the client that executes them. Out
// come the runs of a session: stored when they begin and at each step of their life, marked by events, scored when they are
// over, judged and reconciled as soon as the engine's page was read after them. Status tells all of it to a screen, and
// Look what a first start would do, and to whom.
//
// A change cuts the run that is under way at once. What it had under way ends under it, and counts in neither run: the next
// is scored from when the last of those was over until it is cut itself.
//
// What it will not do: send a request, open a connection, or draw. The client that sends is a Runner, the session that keeps
// is a Book; both are small interfaces of this package. It loads one server at a time.
package steer

import (
	"context"
	"encoding/json"
	"time"

	"pitwall/probes"
	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions"
)

// Runner sends load. *load.Client is one.
type Runner interface {
	// Set starts a point, or changes to it; it returns when that is in force, and leaves what was in force where it fails.
	Set(ctx context.Context, p shape.Point, run uint32) error
	// Stop lets nothing begin any more, Cancel gives up what is under way besides, Close waits for that and ends it all.
	Stop()
	Cancel()
	Close()
	State() load.State
	// Source gives the client's own series.
	Source() probes.Source
}

// Book is a session that is recorded in this process. *sessions.Recorder is one.
type Book interface {
	sessions.Reader
	PutRun(sessions.Run) error
	PutRequests([]request.Record) error
	// PutEvent puts a mark on the session's clock.
	PutEvent(probes.Event)
	// NextRun gives the ID for a run that begins now.
	NextRun() uint32
	// Now is the moment by the session's clock.
	Now() time.Time
}

// Options are what a Desk needs.
type Options struct {
	// Examine looks at the server of an engine, which is named as in the session's series ("127.0.0.1:8000").
	Examine func(ctx context.Context, instance string) (*load.Server, error)
	// Connect makes a client of it.
	Connect func(*load.Server, load.Options) Runner
	// Book gives the session to write into, or why there is none ("another process records this session: R takes it over").
	Book func() (Book, string)
	// Scope tells how an engine's series are asked for; its Dialect is nil where they are not known.
	Scope func(instance string) sessions.Scope
	// Scored is told when the first run begins and when the last one is over, so that the engine is scraped less. May be nil.
	Scored func(bool)
	// Certified gives what `pitwall calibrate` said of this client on this host, and how a load goes beyond it. It is asked when
	// a run begins; nil is never calibrated.
	Certified func() Certificate
	// Hold is how long the desk waits for another change before it makes one, so that a key that is held down makes one run
	// and not twenty. Zero is not at all. A first start never waits.
	Hold time.Duration
}

// Certificate is what is known of how far this client's own times can be trusted. The zero value is nothing.
type Certificate struct {
	// Text is stored with every run.
	Text json.RawMessage
	// Beyond says in words how a run with so many requests in flight and so many output tokens a second goes beyond it, "" if it
	// does not.
	Beyond func(inFlight int, tokensPerSecond float64) string
}

// Desk steers the load. Its methods may be called from any goroutine.
type Desk struct{ d *desk }

// New makes a desk. It does nothing until Look or Start.
func New(o Options) *Desk { return &Desk{newDesk(o)} }

// Look says what a start of a point would do, to whom, and who else is there; it examines the server if that was not done
// yet, and sends no prompt. The error says why there can be no load: no session of one's own, no answer, a point that is
// impossible there.
func (d *Desk) Look(ctx context.Context, instance string, p shape.Point) (Warning, error) {
	return d.d.look(ctx, instance, p)
}

// Start starts a point on an engine, or changes to it what is under way there. It returns once the point has been checked:
// Status tells when it is in force, and what kept it from that. The error is what makes it impossible, and then nothing has
// changed.
func (d *Desk) Start(ctx context.Context, instance string, p shape.Point) error {
	return d.d.start(ctx, instance, p)
}

// Stop ends the run; what is under way ends by itself. Without load it does nothing.
func (d *Desk) Stop() { d.d.stop(false, "") }

// Cancel ends the run and gives up what is under way. Without load it does nothing.
func (d *Desk) Cancel() { d.d.stop(true, "") }

// Status tells how it stands; it costs little and never waits.
func (d *Desk) Status() Status { return d.d.status() }

// Version grows with every change of what Status tells but the numbers that change all the time.
func (d *Desk) Version() uint64 { return d.d.version.Load() }

// Sources are to be pulled by the session's recorder: the series of the client, as soon as there is one.
func (d *Desk) Sources() []probes.Source { return d.d.sources() }

// Idle gives a channel that is closed as soon as no load is on, nothing is under way and every run is scored and judged. It is
// closed already where that is so now.
func (d *Desk) Idle() <-chan struct{} { return d.d.idle() }

// Close gives up what is under way, and stores what became of the runs: what has not been judged by then is judged by what is
// there. why is told with the run that this ends. The session must still be open.
func (d *Desk) Close(why string) { d.d.close(why) }
