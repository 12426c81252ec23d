package engine

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// State is the name of how an engine is, one of States.
type State string

// The states. The zero State is "not looked yet".
const (
	// NoEngine: nothing listens there and no process of it is known.
	NoEngine State = "no_engine"
	// Starting: its process is there, its port still closed (vLLM answers nothing at all until the model is loaded), or it
	// answers that it loads.
	Starting State = "starting"
	// Ready: it answers, and works or could work.
	Ready State = "ready"
	// Sleeping: it answers and says that its weights are offloaded or discarded.
	Sleeping State = "sleeping"
	// Stalled: it has work and none of the counters of its progress has moved for max(10 s, 5 × the longest recent step).
	Stalled State = "stalled"
	// NoAnswer: something should be there and does not answer as an engine does.
	NoAnswer State = "no_answer"
	// Restarted: it is ready, and less than a minute ago it was seen to have been restarted.
	Restarted State = "restarted"
)

// States lists every state.
func States() []State {
	return []State{NoEngine, Starting, Ready, Sleeping, Stalled, NoAnswer, Restarted}
}

// Words gives the state as one reads it: "no engine".
func (s State) Words() string {
	if s == "" {
		return "not looked yet"
	}
	return strings.ReplaceAll(string(s), "_", " ")
}

// Answers says whether an engine in this state answers requests.
func (s State) Answers() bool { return s == Ready || s == Restarted || s == Stalled || s == Sleeping }

// Status is a state with its history. The zero Status is "not looked yet".
type Status struct {
	State State
	// Since is when the state began, as far as it could be seen.
	Since time.Time
	// Reason says why, in plain words; empty where there is nothing to say.
	Reason string
}

// slowPage is how long a page takes of which the reader must know. A vLLM on a busy CPU was seen to take 1.9 s.
const slowPage = 2 * time.Second

// showRestart is how long a restart is shown.
const showRestart = time.Minute

// Outcome is how a scrape ended.
type Outcome int

const (
	// Answered: a page came and could be read.
	Answered Outcome = iota
	// Refused: nobody listens on the port.
	Refused
	// Failed: no answer in time, or a wrong one.
	Failed
	// Loads: it answers, and that its model is still being loaded.
	Loads
	// Pageless: it answers, and has no page of metrics.
	Pageless
)

// Observation is what was seen of an engine at one moment.
type Observation struct {
	At      time.Time
	Outcome Outcome
	// Err is the scrape's error in plain words, empty if Answered.
	Err string
	// Dead is whether the server says of itself that its engine is dead, while it still answers; Health the status of its
	// health check where that was asked for.
	Dead   bool
	Health int
	// Local is whether it is expected on this host, so that a closed port without a process means that there is none.
	Local bool
	// PID is the process that serves it, 0 if none was found; Started when that began.
	PID     int
	Started time.Time
	// Port is what it is expected to listen on, and Unseen why its process could not be looked for (empty if it could);
	// both for the reason's words.
	Port, Unseen string
	// Work is what the page says; only where Answered.
	Work Work
	// Still is what it means that no counter moved, in words, and Note is added to the reason of a stall.
	Still, Note string
	// Stranger is what answers instead of an engine, in plain words; empty if it is one.
	Stranger string
	// Took is how long the answer took, or how long it was waited for in vain.
	Took time.Duration
}

// machine turns observations into states. It holds no clock: time comes in with each observation. The zero value is ready.
type machine struct {
	now       Status
	pid       int       // process of the engine that last answered, 0 if unknown
	seen      int       // process that was last there, 0 if none was
	started   time.Time // its start by its own page
	answered  bool      // it has answered before
	failures  int       // failed scrapes in a row
	lastOK    time.Time // when it last answered
	silent    time.Time // when the first was begun of those that have failed in a row without being refused
	restarted time.Time // when the last restart was seen, and why it was one
	why       string
	mixed     bool // several servers answer in turn at this address
}

// change is one step from a state to another.
type change struct {
	from, to Status
	// lasted is how long the former state did.
	lasted time.Duration
}

// observe takes in what was seen. The second result is false while the state stays; its reason may change all the same.
func (m *machine) observe(o Observation) (change, bool) {
	next := m.next(o)
	if next.Since.IsZero() {
		next.Since = o.At
	}
	once := next.State == Restarted && m.restarted.Equal(o.At) // a second restart within the minute is one more
	if next.State == m.now.State && !once {
		m.now.Reason = next.Reason
		return change{}, false
	}
	c := change{from: m.now, to: next}
	if !m.now.Since.IsZero() {
		c.lasted = next.Since.Sub(m.now.Since)
		if c.lasted < 0 {
			c.lasted = o.At.Sub(m.now.Since)
		}
	}
	m.now = next
	return c, true
}

func (m *machine) next(o Observation) Status {
	if o.PID != 0 {
		m.seen = o.PID
	}
	switch {
	case o.Outcome != Failed:
		m.silent = time.Time{}
	case m.silent.IsZero():
		m.silent = latest(o.At.Add(-o.Took), m.lastOK)
	}
	switch {
	case o.Outcome == Answered && !o.Dead && o.Stranger == "":
		return m.answering(o)
	case o.Outcome == Pageless && !o.Dead:
		st := m.answering(o)
		st.Reason = o.Err
		return st
	case o.Outcome == Loads:
		m.failures = 0
		return Status{State: Starting, Since: o.Started, Reason: o.Err}
	}
	m.failures++
	switch {
	case o.Dead:
		return Status{State: NoAnswer, Reason: fmt.Sprintf("the server answers, its engine is dead (health check: %d)", o.Health)}
	case o.Stranger != "":
		return Status{State: NoAnswer, Reason: o.Stranger}
	case o.Outcome == Refused && o.PID != 0 && m.answered && (m.pid == 0 || m.pid == o.PID) && !o.Started.After(m.lastOK):
		// The process that had been ready is still there and does not listen any more: it is dying, not starting.
		return Status{State: NoAnswer, Reason: o.Err + fmt.Sprintf("; process %d is still there", o.PID)}
	case o.Outcome == Refused && o.PID != 0:
		return Status{State: Starting, Since: o.Started, Reason: fmt.Sprintf("process %d is there, port %s is not open yet", o.PID, o.Port)}
	case o.Outcome == Refused && o.Local:
		why := fmt.Sprintf("nothing listens on port %s, and no engine process is there", o.Port)
		if o.Unseen != "" {
			why = fmt.Sprintf("nothing listens on port %s; %s", o.Port, o.Unseen)
		}
		switch {
		case m.seen != 0 && m.seen == m.pid:
			why = fmt.Sprintf("process %d is gone", m.pid)
		case m.seen != 0:
			why = fmt.Sprintf("process %d ended before it was ready", m.seen)
		}
		return Status{State: NoEngine, Reason: why}
	case o.Outcome == Refused:
		return Status{State: NoAnswer, Reason: o.Err}
	}
	if m.failures < 2 && m.now.State.Answers() {
		// One scrape that fails is a busy server; the source is shown as down, the state waits for the second.
		return m.now
	}
	return Status{State: NoAnswer, Since: m.silent, Reason: o.Err}
}

func (m *machine) answering(o Observation) Status {
	m.failures = 0
	if why := m.again(o); why != "" {
		m.restarted, m.why = o.At, why
	}
	m.answered, m.lastOK = true, o.At
	if o.PID != 0 {
		m.pid = o.PID
	}
	if !o.Work.Started.IsZero() {
		m.started = o.Work.Started
	}
	w := o.Work
	switch {
	case w.Asleep:
		return Status{State: Sleeping, Reason: strings.ReplaceAll(w.Level, "_", " ")}
	case w.Still > 0 && w.Still >= stallAfter(w.Step):
		return Status{State: Stalled, Since: o.At.Add(-w.Still), Reason: stall(w, o.Still, o.Note)}
	case !m.restarted.IsZero() && o.At.Sub(m.restarted) < showRestart:
		return Status{State: Restarted, Reason: m.why}
	case m.mixed:
		return Status{State: Ready, Reason: "several servers answer here in turn, as behind a load balancer: counters are of no use"}
	case o.Took >= slowPage:
		return Status{State: Ready, Reason: fmt.Sprintf("its page of metrics took %s: what is shown is that old, and short moments are missed", o.Took.Round(100*time.Millisecond))}
	}
	return Status{State: Ready}
}

// again tells why the engine that answers now is another than the one that answered before; empty if it is the same. A server
// that started before the last one is no restart: then there are two, which a load balancer asks in turn, and what looks
// like a restart means nothing from then on.
func (m *machine) again(o Observation) string {
	if !m.answered {
		return ""
	}
	newer := time.Duration(0)
	if !o.Work.Started.IsZero() && !m.started.IsZero() {
		newer = o.Work.Started.Sub(m.started)
	}
	if newer < -sameStart {
		m.mixed = true
	}
	switch {
	case m.mixed:
		return ""
	case o.PID != 0 && m.pid != 0 && o.PID != m.pid:
		return fmt.Sprintf("process %d instead of %d", o.PID, m.pid)
	case newer > sameStart:
		return "its process began at " + o.Work.Started.UTC().Format(time.DateTime) + " UTC"
	case o.Work.Fell:
		return "its counters began again"
	}
	return ""
}

func stall(w Work, still, note string) string {
	work := "unknown work"
	switch run, wait := w.Running, w.Waiting; {
	case run > 0 && wait > 0:
		work = fmt.Sprintf("%.0f running, %.0f waiting", run, wait)
	case run > 0:
		work = fmt.Sprintf("%.0f running", run)
	case wait > 0:
		work = fmt.Sprintf("%.0f waiting, none running", wait)
	}
	why := fmt.Sprintf("%s, and %s for %s", work, cmp.Or(still, "no counter of its progress moved"), w.Still.Round(time.Second))
	if w.Step > 0 {
		why += fmt.Sprintf(" (longest recent step at most %s)", roundStep(w.Step))
	}
	if note != "" {
		why += "; " + note
	}
	return why
}

func roundStep(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

// title is a change in one line.
func (c change) title() string {
	lasted := ""
	if c.from.State != "" && c.lasted >= time.Second {
		lasted = c.lasted.Round(time.Second).String()
	}
	why := c.to.Reason
	join := func(s string) string {
		if why == "" {
			return s
		}
		return s + ": " + why
	}
	switch c.to.State {
	case Restarted:
		if c.from.State == Starting && lasted != "" {
			return join("restarted, ready after " + lasted)
		}
	case Ready:
		if c.from.State == Starting && lasted != "" {
			return "ready after " + lasted
		}
		if c.from.State == Stalled && lasted != "" {
			return "works again after standing still for " + lasted
		}
		if c.from.State == Sleeping {
			return join("awake")
		}
		return join("ready")
	case Starting:
		return join("starting")
	case NoEngine:
		switch c.from.State {
		case "":
		case Starting:
			return join("start failed")
		default:
			return join("engine is gone")
		}
	}
	return join(c.to.State.Words())
}

// gauge is 1 for the state that is, 0 for every other.
func (s State) gauge(is State) float64 {
	if s == is {
		return 1
	}
	return 0
}
