package events

import (
	"path"
	"strings"
	"time"

	"pitwall/probes"
)

// Filter chooses episodes. Its zero value takes all.
type Filter struct {
	// Kinds are kinds or globs of them ("engine.*", "gpu.xid"); any of them will do.
	Kinds []string
	// Subject is part of the subject: "gpu/0", "127.0.0.1:8000".
	Subject string
	// MinSeverity leaves out what is less grave.
	MinSeverity probes.Severity
	// Text is looked for in kind, subject, title and cause, without regard to case; every word of it must be there.
	Text string
	// From and To leave out what does not touch the time between them; a zero one is no bound.
	From, To time.Time
}

// Match tells whether an episode is chosen.
func (f Filter) Match(e Episode) bool {
	if e.Severity < f.MinSeverity || !e.touches(f.From, f.To) || !strings.Contains(e.Subject, f.Subject) {
		return false
	}
	if len(f.Kinds) > 0 && !f.kind(e.Kind) {
		return false
	}
	if f.Text == "" {
		return true
	}
	all := strings.ToLower(e.Kind + " " + e.Subject + " " + e.Text())
	for _, word := range strings.Fields(strings.ToLower(f.Text)) {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}

func (f Filter) kind(kind string) bool {
	for _, glob := range f.Kinds {
		if ok, err := path.Match(glob, kind); ok && err == nil {
			return true
		}
	}
	return false
}

// Choose gives the episodes that match, in their order.
func (f Filter) Choose(all []Episode) []Episode {
	var out []Episode
	for _, e := range all {
		if f.Match(e) {
			out = append(out, e)
		}
	}
	return out
}
