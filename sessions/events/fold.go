package events

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"pitwall/probes"
)

// The phases of an event that a rule leaves (Attrs "phase"); an event without one is a moment.
const (
	// began: the condition holds since the event's Time.
	began = "began"
	// again: it holds once more since Time, after it had been away for less than the rule's keep, whether its end has been
	// told or not. Attrs "count" and "active" are the sums so far, without what begins at Time.
	again = "again"
	// ended: it held last at Time. Attrs "count" and "active" are the sums of the whole. It is told before keep is over, so
	// that nothing is called ongoing that isn't, and "again" may follow.
	ended = "ended"
)

// repeatWithin is how near to each other two equal moments (the same XID of the same GPU) are one episode.
const repeatWithin = 5 * time.Minute

// folder makes episodes out of events that come in the order of time.
type folder struct {
	all []*Episode
	// open is what goes on, over what a rule found and has ended last, and moments the last of each sort; all by key.
	open, over, moments map[string]*Episode
	// since is when the present stretch of an open episode began, for the time that it was really there.
	since map[*Episode]time.Time
	sums  map[*Episode]time.Duration
}

func newFolder() *folder {
	return &folder{open: map[string]*Episode{}, over: map[string]*Episode{}, moments: map[string]*Episode{}, since: map[*Episode]time.Time{}, sums: map[*Episode]time.Duration{}}
}

func (f *folder) take(e probes.Event) {
	key := e.Kind + "\x00" + e.Subject
	switch phase := e.Attrs["phase"]; {
	case e.Kind == probes.KindEngineState:
		f.state(e)
	case isRun(e.Kind):
		f.run(e)
	case phase != "":
		f.phase(key, phase, e)
	case e.Kind == "gpu.back":
		f.end("gpu.lost\x00"+e.Subject, e.Time)
	case e.Kind == "gpu.throttle", e.Kind == "gpu.hang":
		key += "\x00" + e.Attrs["reason"] + e.Attrs["call"]
		if e.Attrs["over"] == "true" {
			f.tellsEnd(key, e)
			return
		}
		f.begin(key, episodeOf(e))
	case e.Kind == "gpu.lost":
		// Whatever held its clocks down, nobody will say that it is over.
		for _, other := range slices.Sorted(maps.Keys(f.open)) {
			if strings.HasPrefix(other, "gpu.throttle\x00"+e.Subject+"\x00") {
				f.end(other, e.Time)
			}
		}
		f.begin(key, episodeOf(e))
	default:
		f.moment(key+"\x00"+e.Title, e)
	}
}

// begin opens an episode; what is open under its key is ended by it.
func (f *folder) begin(key string, x *Episode) *Episode {
	f.end(key, x.Start)
	f.all = append(f.all, x)
	f.open[key], f.since[x] = x, x.Start
	return x
}

// end closes what is open under a key; nothing where nothing is.
func (f *folder) end(key string, at time.Time) *Episode {
	x := f.open[key]
	if x == nil {
		return nil
	}
	delete(f.open, key)
	x.End = latest(at, x.Start)
	x.Active = f.sums[x] + max(0, x.End.Sub(latest(f.since[x], x.Start)))
	return x
}

// tellsEnd ends what says itself how long it lasted: it was over before it could be said.
func (f *folder) tellsEnd(key string, e probes.Event) {
	x := f.open[key]
	if x == nil {
		return // it began before the recording did
	}
	at := e.Time
	if d, err := time.ParseDuration(e.Attrs["lasted"]); err == nil {
		at = earliest(at, x.Start.Add(d))
	}
	f.end(key, at)
}

// phase takes the event of a rule.
func (f *folder) phase(key, phase string, e probes.Event) {
	x := f.open[key]
	switch phase {
	case began:
		if x == nil { // else a recorder that went on with the session tells anew what is known
			f.begin(key, episodeOf(e))
		}
	case again, ended:
		if x == nil && phase == again && f.over[key] != nil {
			x = f.over[key]
			x.End = time.Time{}
			f.open[key], f.sums[x], f.since[x] = x, x.Active, e.Time
		}
		if x == nil {
			return
		}
		x.Severity = max(x.Severity, e.Severity)
		if n, err := strconv.Atoi(e.Attrs["count"]); err == nil {
			x.Count = max(x.Count, n)
		}
		if c := e.Attrs["cause"]; c != "" {
			x.Cause = c
		}
		active, err := time.ParseDuration(e.Attrs["active"])
		if phase == again {
			if err == nil {
				f.since[x], f.sums[x] = e.Time, active
			}
			return
		}
		f.over[key] = f.end(key, e.Time)
		if err == nil {
			x.Active = active
		}
	}
}

// moment takes what has no length, unless the event says how long it lasted or when it began. The same once more soon
// after is one episode with a count; an operator's marks are each their own.
func (f *folder) moment(key string, e probes.Event) {
	x := episodeOf(e)
	x.Moment, x.End = true, x.Start
	if from, ok := startOf(e); ok {
		x.Start, x.Moment, x.Active = from, false, x.End.Sub(from)
	} else if d, err := time.ParseDuration(e.Attrs["lasted"]); err == nil && d > 0 {
		x.End, x.Moment, x.Active = x.Start.Add(d), false, d
	}
	if old := f.moments[key]; old != nil && e.Kind != probes.KindMark && x.Start.Sub(old.End) <= repeatWithin {
		old.End, old.Moment = latest(x.End, old.End), false
		old.Count++
		old.Active += x.Active
		return
	}
	f.moments[key] = x
	f.all = append(f.all, x)
}

// startOf gives the beginning of what is told at its end: a gap in the recording.
func startOf(e probes.Event) (time.Time, bool) {
	if e.Kind != "recorder.gap" {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, e.Attrs["from"])
	return t, err == nil && t.Before(e.Time)
}

// finish gives the episodes as they stand at a moment.
func (f *folder) finish(at time.Time) []Episode {
	out := make([]Episode, 0, len(f.all))
	for _, x := range f.all {
		if x.Ongoing() {
			x.Active = f.sums[x] + max(0, at.Sub(f.since[x]))
		}
		// What an event says of its sums may be damaged, and must not tell more than there can have been.
		x.Active = min(max(0, x.Active), x.Lasted(at))
		out = append(out, *x)
	}
	return out
}

// episodeOf takes an event over: its title without what the cause says again, and its evidence.
func episodeOf(e probes.Event) *Episode {
	x := &Episode{Kind: e.Kind, Subject: e.Subject, Severity: e.Severity, Title: e.Title, Start: e.Time, Count: 1, Attrs: e.Attrs}
	switch {
	case e.Kind == "gpu.xid" && e.Attrs["xid"] != "":
		x.Title, x.Cause = "XID "+e.Attrs["xid"], e.Attrs["meaning"]
	case e.Kind == "gpu.throttle":
		_, text, _ := strings.Cut(e.Title, ": ")
		x.Title, x.Cause = "throttled ("+e.Attrs["reason"]+")", text
	case e.Kind == "gpu.lost":
		x.Title = "lost"
		if call := e.Attrs["call"]; call != "" {
			x.Cause = call + " says so"
		}
	case e.Attrs["cause"] != "":
		x.Cause = e.Attrs["cause"]
		x.Title = strings.TrimSuffix(x.Title, ": "+x.Cause)
		if e.Kind == "recorder.gap" { // its title has how long it was, which an episode says itself
			x.Title = "not recorded"
		}
	case e.Attrs["reason"] != "" && e.Attrs["phase"] == "":
		x.Cause = e.Attrs["reason"]
	}
	if n, err := strconv.Atoi(e.Attrs["count"]); err == nil && n > 0 {
		x.Count = n
	}
	x.Evidence = evidenceOf(e.Attrs)
	return x
}

// evidenceOf reads the numbers that a rule's event carries: expr, value and threshold, and expr.NAME and value.NAME for each
// number of its cause, in the order of their names.
func evidenceOf(attrs map[string]string) []Evidence {
	var out []Evidence
	if x := attrs["expr"]; x != "" {
		out = append(out, Evidence{Expr: x, Value: attrs["value"], Threshold: attrs["threshold"]})
	}
	for _, key := range slices.Sorted(maps.Keys(attrs)) {
		if name, ok := strings.CutPrefix(key, "expr."); ok {
			out = append(out, Evidence{Expr: attrs[key], Value: attrs["value."+name]})
		}
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
