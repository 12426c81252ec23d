// Package load executes one point of load against one server, and gives a record of every request.
//
// In goes a Target, which Examine looks at: what it is, what it serves, and what it can't do, said before anything is sent. In
// go points (package shape), one after the other. Out come request.Records, one for each request that was begun, whatever
// became of it, handed to Options.Each in the order in which they ended; a probes.Source with the latencies as native
// histograms and the client's own state; and a State for a screen.
//
// A point is executed as it is written: an open loop's requests are due on an absolute schedule that slow answers don't shift,
// and what the bound on requests in flight keeps from being sent is counted; a closed loop's clients send when they are free.
// When another point is set, nothing of the old one begins any more; its requests that are under way end under their own run.
// Prompts and the bytes of requests are made before they are due, and answers are decoded after they have ended: between the two
// there is only package wire, one goroutine and one connection a request.
//
// Begun is ended: for each run, the requests begun are those in flight and those ended, by class, at every moment.
//
// What it will not do: store, score, judge, or know of sessions and experiments; decide what to send next; speak of a latency
// that is its own: when this process could not keep up, State says that the load is client-bound, and why.
package load

import (
	"context"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// Target is the server that load goes to.
type Target struct {
	// URL is its address as an operator types it: "127.0.0.1:8000", "https://host/prefix/v1".
	URL string
	// Model is which of its models; empty takes the first that it lists.
	Model string
	// Access is how to get at it; none of it is in an error, a record or a fact.
	Access engine.Access
}

// Lack is something that a server can't do, and what is done instead.
type Lack struct {
	// What is missing, in plain words: "token ids in the stream".
	What string
	// Instead is what is done, and what that costs: "tokens are counted by chunk, so several in one count as one".
	Instead string
}

// Options are what a Client needs besides a server.
type Options struct {
	// Clock gives all times; the zero value makes one of its own. Whoever compares times with the client's hands it in.
	Clock request.Clock
	// Each is given every record once its request has ended, by one goroutine, in the order of ending. The client does not
	// wait for it: what it has not taken yet is held in memory. It keeps the record. Nil drops them.
	Each func(*request.Record)
	// Over is told when a run has been cut, stopped or has ended by itself and its last record has been given to Each, by the
	// same goroutine. Nil is nobody.
	Over func(Tally)
}

// Client sends load. Its methods may be called from any goroutine.
type Client struct{ c *client }

// New makes a client of an examined server. It sends nothing until Set.
func New(s *Server, o Options) *Client { return newClient(s, o) }

// Set starts a point, or changes to it from the one before. It returns when the point is in force: the prompts are made
// before, while the former point goes on. Then, in one step, the former sends nothing more, and this one does; a closed loop's
// clients carry over, so that those with a request under way take up the new point when it has ended. The error is what makes
// the point impossible (Server.Check), prompts that could not be made, or ctx's; the former point then goes on.
//
// run marks its records; it must not have been used before.
func (c *Client) Set(ctx context.Context, p shape.Point, run uint32) error {
	return c.c.set(ctx, p, run)
}

// Stop lets nothing begin any more; what is under way ends by itself.
func (c *Client) Stop() { c.c.stop() }

// Cancel lets nothing begin any more and gives up what is under way: those records are of class Cancelled. A later Set may
// start again.
func (c *Client) Cancel() { c.c.cancel() }

// Close cancels, waits for the last record to be handed over, and lets connections and goroutines go. The client is of no use
// afterwards.
func (c *Client) Close() { c.c.close() }

// Idle gives a channel that is closed as soon as nothing is under way and nothing will begin without another Set, and every
// record was handed over. It is closed already where that is so now.
func (c *Client) Idle() <-chan struct{} { return c.c.idle() }

// State tells how it is. It costs little, and may be asked often.
func (c *Client) State() State { return c.c.state() }

// Source gives the series of this client: job "client", instance the server's host:port. It may be asked for before Set.
func (c *Client) Source() probes.Source { return c.c.source() }

// State is how a client is at one moment.
type State struct {
	// Active is whether a point is in force; Point and Run are the last one set, Began when that came into force.
	Active bool
	Point  shape.Point
	Run    uint32
	Began  request.Time
	// Clients is how many clients a closed loop is to have now, Rate how many requests a second an open loop is to begin now.
	Clients int
	Rate    float64
	// Cold is how Point's cold cache is made sure of, in a few words ("cache_salt"), empty where it may be warm; Lacks are what
	// its prompts cannot be on this server, a sentence each.
	Cold  string
	Lacks []string
	// InFlight is how many requests are under way, of all runs.
	InFlight int
	// Silent is how long no piece of any answer has come while requests are under way; zero where none is.
	Silent time.Duration
	// Ended is why the point ended by itself, in plain words ("500 requests have ended"); empty if it did not.
	Ended string
	// Runs are the runs that this client has had, at most the last 64, oldest first.
	Runs []Tally
	// Lag is how late requests were begun over the last 10 s, from schedule to first byte sent: median, 99th percentile, most.
	// It is zero where nothing was sent.
	LagP50, LagP99, LagMax time.Duration
	// Bound is why this client, and not the server, decides the numbers now: "client-bound: …" with the evidence; empty when
	// it doesn't.
	Bound string
	// CPU is the share of one core that this process used over the last 10 s.
	CPU float64
}

// Of gives the tally of a run.
func (s *State) Of(run uint32) (Tally, bool) {
	for _, t := range s.Runs {
		if t.Run == run {
			return t, true
		}
	}
	return Tally{}, false
}

// Tally counts one run's requests.
type Tally struct {
	Run uint32
	// Began is when it came into force, Cut when nothing of it began any more, Ended when its last request was over. Zero is
	// not yet.
	Began, Cut, Ended request.Time
	// Begun is how many requests were begun; each is in flight or in Class.
	Begun, InFlight int
	// Class is how many ended, by class; First the first message of each class, redacted and cut to a line.
	Class [request.Classes]int
	First [request.Classes]string
	// Dropped is how many were due and not begun, because of the bound on requests in flight.
	Dropped int
	// Good is how many met the point's SLO, by TTFT and E2E from the schedule.
	Good int
	// Input, Cached and Output are tokens as the server's usage has them, of requests that have ended. UnknownUsage is how many
	// answers of status 200 gave none; their output is counted by chunk.
	Input, Cached, Output int64
	UnknownUsage          int
	// Why is why it ended by itself, in plain words; empty if it did not.
	Why string
	// Bound is the first reason for which it was client-bound, with its evidence; empty if it never was.
	Bound string
}

// Ends is how many requests have ended.
func (t Tally) Ends() (n int) {
	for _, k := range t.Class {
		n += k
	}
	return n
}

// Failed is how many of them failed.
func (t Tally) Failed() (n int) {
	for c, k := range t.Class {
		if request.Class(c).Failed() {
			n += k
		}
	}
	return n
}
