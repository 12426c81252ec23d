package sessions

import (
	"time"

	"pitwall/probes"
)

// Options say what is recorded and where to.
type Options struct {
	// Dir is the directory of session files. Empty records into memory only.
	Dir string
	// Name is the operator's name for the session; may be empty.
	Name string
	// Host is the name of the machine that is watched; empty asks the operating system.
	Host string
	// Simulated marks the session as coming from a simulation. A source with the sample pitwall_simulated marks it too.
	Simulated bool
	// Sources is asked at every tick for what is to be pulled; it must return at once. A source with the job and the
	// instance of an earlier one goes on with its series.
	Sources func() []probes.Source
	// KeepAge and KeepBytes bound a long recording: older blocks are deleted. Zero keeps everything.
	KeepAge   time.Duration
	KeepBytes int64

	// SeriesPerTarget and SeriesPerSession bound how many different series a source and all of them together may bring, so
	// that label values that are new at every scrape fill neither memory nor disk; zero means 30,000 and 100,000. What is
	// beyond is left out and told, and what is there already goes on.
	SeriesPerTarget, SeriesPerSession int
	// Alone, if not empty, names what is recorded: a second recorder of the same in Dir is refused with ErrRecording, also
	// when both start at the same moment.
	Alone string

	clocks func() moment // for tests; nil asks the host
	disks  *disks        // the same
}
