package sessions

import (
	"context"
	"iter"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
	"pitwall/probes/request"
)

// Reader answers every question about a session. The live recorder, a session that another process is recording, and a
// saved one all implement it, and a screen cannot tell which it is showing: live is only "the cursor is at now". All
// methods may be called from several goroutines.
type Reader interface {
	// Query evaluates a PromQL expression at one moment.
	Query(ctx context.Context, expr string, at time.Time, sc Scope) (Result, error)
	// QueryRange evaluates it at start, start+step, … up to end; the result's Value is a promql.Matrix.
	QueryRange(ctx context.Context, expr string, start, end time.Time, step time.Duration, sc Scope) (Result, error)

	// Info says which session this is and how its recording stands.
	Info() Info
	// Bounds gives the first and the last tick that are there; both zero while nothing is recorded. Last is "now" of
	// the live screen.
	Bounds() (first, last time.Time)
	// Version grows whenever there is something new: what was drawn for an equal version is still right.
	Version() uint64

	// Facts gives what held at that moment, by path (see probes.Reading.Facts).
	Facts(at time.Time) map[string]string
	// Absent gives the reasons for what could not be read at that moment (see probes.Reading.Absent).
	Absent(at time.Time) map[string]string
	// Events gives the events with from < Time ≤ to, oldest first.
	Events(from, to time.Time) []probes.Event
	// Targets gives the sources with their state at that moment, sorted by job and instance.
	Targets(at time.Time) []Target
	// Series lists every series of a metric name, or all of them for "".
	Series(name string) []SeriesInfo

	// Runs gives every run of load, oldest first, as far as each has come; those that nobody will go on with are Broken.
	Runs() []Run
	// Requests walks the requests of a run in the order in which they were put, or those of all runs, oldest run first, for 0.
	// Texts and token ids are there where they were kept. Where some are missing it gives a *MissingRequests (errors.As) in
	// their place and goes on; any other error is the last thing that it gives. A run that grows is walked as far as it had
	// come when its end was reached.
	Requests(ctx context.Context, run uint32) iter.Seq2[request.Record, error]

	Close() error
}

// Scope is what an expression is asked about. Its zero value asks about everything, with the default window.
type Scope struct {
	// Dialect expands the engine: names (engine:running); nil leaves them alone, and they match nothing.
	Dialect *dialect.Dialect
	// Sel is a list of label matchers without braces, `job="vllm",instance="127.0.0.1:8000"`: what $sel becomes.
	Sel string
	// Window is what $w and $__rate_interval become; zero means 4 intervals of the slowest source of the last minute, or
	// of the range, at least 10 s and the step. A smaller one is raised to that.
	Window time.Duration
	// Interval is what $__interval becomes (the step of a range query); zero means the step, or one second.
	Interval time.Duration
	// Range is what $__range becomes; zero means the window.
	Range time.Duration
}

// Result is the answer to a query.
type Result struct {
	// Value is a promql.Vector, promql.Scalar or promql.String for Query, a promql.Matrix for QueryRange.
	Value parser.Value
	// Expr is the expression as it was evaluated, after expansion.
	Expr string
	// Window is the $w that was used.
	Window time.Duration
	// Warnings are PromQL's own, in the order given.
	Warnings []string
}

// Vector gives the samples of an instant answer; nil when there are none. A scalar is a vector of one without labels.
func (r Result) Vector() promql.Vector {
	switch v := r.Value.(type) {
	case promql.Vector:
		return v
	case promql.Scalar:
		return promql.Vector{{T: v.T, F: v.V}}
	}
	return nil
}

// Matrix gives the series of a range answer; nil when there are none.
func (r Result) Matrix() promql.Matrix {
	m, _ := r.Value.(promql.Matrix)
	return m
}

// Recording is how the recording of a session stands. The zero value is a session that nobody records.
type Recording int

const (
	// Saved: nobody records it (any more).
	Saved Recording = iota
	// RecordingHere: this process records it.
	RecordingHere
	// RecordingElsewhere: another process on this host records it and this one reads its file.
	RecordingElsewhere
	// RecorderDied: another process recorded it and is gone without having ended it.
	RecorderDied
	// NotStored: this process gathers, but nothing reaches the disk (Info.Trouble says why); what is shown is in memory.
	NotStored
)

// String gives the word for the screen.
func (r Recording) String() string {
	return [...]string{"saved", "recording", "recorded by another process", "recorder died", "not stored"}[r]
}

// Info is what a session says of itself.
type Info struct {
	// ID is unique and sorts by start: "20261124-231800-7f3a". It is the name of the file without .pitwall.
	ID string
	// Name is the operator's, may be empty.
	Name string
	// Path is the session's file; empty while nothing is stored.
	Path string
	// Host is the name of the machine that was watched.
	Host string
	// Simulated is true for ever once any of it came from a simulation.
	Simulated bool
	// Started is the first tick that is there, Last the newest, Ended the clean end (zero while open, or after a crash).
	Started, Last, Ended time.Time
	// Recording is how it stands now; Trouble says in words what is wrong ("disk full: 12 MB needed, 0 free").
	Recording Recording
	Trouble   string
	// PID is that of the recording process, 0 if none.
	PID int
	// Dropped counts readings that were gathered but could not be stored.
	Dropped uint64
	// Bytes is the size of the file with its journal.
	Bytes int64
}

// Target is one source as the recorder sees it.
type Target struct {
	Job, Instance string
	// Every is the interval in force.
	Every time.Duration
	// Up is whether the last pull succeeded; Err why not.
	Up  bool
	Err string
	// Late is why the answer to the pull that is under way takes longer than a moment, empty if it does not.
	Late string
	// LastOK is the tick of the last pull that succeeded, zero if none. Took is how long the last pull lasted.
	LastOK time.Time
	Took   time.Duration
	// Samples is how many series the last good pull gave.
	Samples int
}

// SeriesInfo is one recorded series.
type SeriesInfo struct {
	Labels map[string]string
	Type   string
	Help   string
}
