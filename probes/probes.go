// Package probes fixes what every probe hands over, so that whoever records needs to know one shape only.
//
// In goes the outside world, through the packages below this one: gpu (NVML), host (CPU, memory, processes), engine (the
// server's HTTP API and /metrics), sim (a simulated engine and GPU). Out come Readings: samples under the names that the
// field already uses, facts, events, and reasons for what could not be read. A probe never draws, never stores, and does
// not know that a session exists. It also stamps nothing: one clock, the recorder's, stamps every reading, so that all
// series of a tick can be joined.
package probes

import (
	"context"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// Sample is the value of one series in one reading.
type Sample struct {
	// Labels holds the metric name (__name__) and the labels as the source gives them. job and instance are not in it:
	// the recorder adds them from Source.Target, and a label of that name here becomes exported_job or
	// exported_instance, as in Prometheus.
	Labels labels.Labels
	// Value is the sample of a float series; ignored where Hist is set.
	Value float64
	// Hist is the sample of a native histogram series, nil for floats. It must not be changed after the hand-over.
	Hist *histogram.FloatHistogram
}

// Meta is what a source says about a metric family.
type Meta struct {
	Type model.MetricType
	Help string
	Unit string
}

// Reading is what one pull of a source gave. The zero Reading is an empty page, read without an error.
type Reading struct {
	// Samples has no two entries of equal labels. It is handed over: the probe doesn't touch it afterwards.
	Samples []Sample
	// Meta is keyed by metric family name (for a histogram without _bucket, _sum, _count).
	Meta map[string]Meta
	// Facts are things that hold until they change, by path: "engine/127.0.0.1:8000/version", "gpu/0/name",
	// "host/kernel". A probe gives all of its facts every time; the recorder keeps the changes with their times. Only
	// what an allow-list names may be in it, and never a secret.
	Facts map[string]string
	// Absent says why a series that one would expect is not in Samples: the metric name, or name{label="value"} in the
	// order of the labels, to a reason in plain words ("not supported on this GPU", "no permission").
	Absent map[string]string
	// Events happened since the last reading.
	Events []Event
	// Took is how long the pull lasted, as the probe measured it.
	Took time.Duration
	// Late is set, to why in plain words, when the source has not answered yet and is still waited for: nothing of the last
	// reading has ended. Samples then are only those that do not depend on the answer, and Err is nil.
	Late string
	// Err is set when the source could not be read: "scrape http://127.0.0.1:8000/metrics: connection refused". The
	// other fields may still hold what is known without it; Samples then are only those that the failure does not touch.
	Err error
}

// Source is something that can be pulled again and again. Read is never called while another Read of the same source is
// still running; it must return soon after ctx ends.
type Source interface {
	// Target names the source for ever: job is the kind ("vllm", "dcgm", "node"), instance which one of its kind
	// ("127.0.0.1:8000", the host's name). Two sources of a session never share both.
	Target() (job, instance string)
	// Every is the time from one Read to the next, a whole number of seconds, at least one. A source may change its
	// mind after each Read.
	Every() time.Duration
	// Read pulls the source once.
	Read(ctx context.Context) Reading
}

// Severity grades events. The zero value is a note, nothing to act on.
type Severity int

const (
	Note Severity = iota
	Warning
	Critical
)

// String gives "note", "warning" or "critical".
func (s Severity) String() string {
	switch s {
	case Warning:
		return "warning"
	case Critical:
		return "critical"
	}
	return "note"
}

// Event is a moment worth a mark on every chart.
type Event struct {
	// Time is when it happened; zero means "at the tick of the reading that carries it".
	Time time.Time
	// Kind is a short, fixed, dotted word: "engine.state", "gpu.xid", "recorder.gap", "mark".
	Kind string
	// Subject is whom it is about, as in Facts: "engine/127.0.0.1:8000", "gpu/0", "host", "recorder".
	Subject string
	// Severity says whether somebody should act.
	Severity Severity
	// Title is one line for the screen, without the time: "ready after 1m18s".
	Title string
	// Attrs holds the parts of the title for machines, all values as text: {"state": "ready", "from": "starting",
	// "reason": "", "lasted": "78s"} for engine.state.
	Attrs map[string]string
}

// KindEngineState is the Kind of the events that carry an engine's state: Attrs "state" (the new one), "from" (the old
// one), "reason" (why, in plain words; may be empty), "lasted" (how long the old one did, time.Duration's text).
const KindEngineState = "engine.state"

// KindMark is the Kind of an operator's mark; its Title is the note.
const KindMark = "mark"
