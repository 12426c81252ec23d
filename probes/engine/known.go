package engine

import (
	"strconv"
	"time"
)

// Known is what a recorder before this one saw last of an engine. A Watch that is given it goes on from there, so that a state
// does not begin anew because somebody else records it now.
type Known struct {
	// Instance is the engine's host:port, as in Target.
	Instance string
	Status
	// Seen is when it was last seen so.
	Seen time.Time
	// PID is its process, 0 if that was not known; Started when that began, zero if not known.
	PID     int
	Started time.Time
}

// ProcessOf reads the process of an engine from the facts of a Reading, with that of its start; 0 and zero where they are not
// among them.
func ProcessOf(facts map[string]string, instance string) (pid int, started time.Time) {
	pid, _ = strconv.Atoi(facts["engine/"+instance+"/pid"])                     // 0 if it is not there
	started, _ = time.Parse(time.RFC3339, facts["engine/"+instance+"/started"]) // likewise
	return pid, started
}

// handOver is how long nobody may have watched for what may pass, or have another reason by now, to be held for the same:
// starting a background recorder takes seconds.
const handOver = time.Minute

// sameStart is by how much two readings of one process's start may differ: process_start_time_seconds is derived from boot time
// and may wander.
const sameStart = 2 * time.Second

// sameProcess says whether what is seen now is the engine that was known; sure is whether there is any telling.
func (k Known) sameProcess(o Observation) (same, sure bool) {
	if k.PID != 0 && o.PID != 0 && k.PID != o.PID {
		return false, true
	}
	started := o.Started
	if started.IsZero() {
		started = o.Work.Started
	}
	if k.Started.IsZero() || started.IsZero() {
		return k.PID != 0 && k.PID == o.PID, k.PID != 0 && o.PID != 0
	}
	d := started.Sub(k.Started)
	return d <= sameStart && d >= -sameStart, true
}

// holds says whether what was known is still a history of what is seen now. A process that is the same has gone on being
// ready, however long nobody looked; that it stood still then and stands still now may be two things. If another process
// answers, or nothing does, it depends on when that was: what was there a moment ago has ended now.
func (k Known) holds(o Observation) bool {
	gap := o.At.Sub(k.Seen)
	recent := gap >= 0 && gap <= handOver
	same, sure := k.sameProcess(o)
	switch {
	case k.State == "" || k.Since.IsZero() || k.Since.After(o.At):
		return false
	case same:
		return recent || k.State.Answers() && k.State != Stalled || k.State == Starting
	case o.Outcome == Answered || o.Outcome == Pageless:
		return recent && sure
	}
	return recent
}

// recall goes on from what was known, if that holds. It is asked with the first observation only, and corrects its Work: one
// page alone does not show that work stands still.
func (s *Scraper) recall(o *Observation) {
	k := s.known
	if k == nil {
		return
	}
	s.known = nil
	if !k.holds(*o) {
		return
	}
	m := machine{now: k.Status, seen: k.PID, lastOK: k.Seen}
	if k.PID == 0 { // else it is the start of the process on the command line, and the page's may be a child of that
		m.started = k.Started
	}
	switch k.State {
	case Starting:
	case NoEngine, NoAnswer:
		m.pid, m.answered = k.PID, true
	default:
		m.pid, m.answered = k.PID, true
		if k.State == Restarted {
			m.restarted, m.why = k.Since, k.Reason
		}
	}
	s.machine = m
	if same, _ := k.sameProcess(*o); same && k.State == Stalled {
		o.Work.Still = s.tracker.stoodSince(k.Since, o.At, o.Work)
	}
}
