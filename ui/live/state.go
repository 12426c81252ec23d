package live

import (
	"time"

	"pitwall/sessions/events"
	"pitwall/ui/theme"
)

// stateLook is how an engine's state is shown: a word, a sign and an ink; badge is the ink of the word alone.
type stateLook struct {
	word  string
	sign  rune
	ink   theme.Ink
	badge theme.Ink
	bad   bool
}

// stateOf gives the look of a state by its name in pitwall_engine_state.
func stateOf(name string) stateLook {
	switch name {
	case "ready":
		return stateLook{"READY", '●', theme.Good, theme.Good, false}
	case "starting":
		return stateLook{"STARTING", '◌', theme.Info, theme.Badge, false}
	case "sleeping":
		return stateLook{"SLEEPING", '☾', theme.Info, theme.Badge, false}
	case "stalled":
		return stateLook{"STALLED", '✗', theme.Bad, theme.Alarm, true}
	case "no_answer":
		return stateLook{"NO ANSWER", '✗', theme.Bad, theme.Alarm, true}
	case "restarted":
		return stateLook{"RESTARTED", '▲', theme.Warn, theme.Notice, true}
	case "no_engine":
		return stateLook{"NO ENGINE", '○', theme.Warn, theme.Notice, false}
	}
	return stateLook{"UNKNOWN", '○', theme.Dim, theme.Dim, false}
}

// deadLook is how an engine is shown that was there and is gone, whatever is left of it.
var deadLook = stateLook{"DEAD", '✗', theme.Bad, theme.Alarm, true}

// condition is how an engine is at the moment that is shown.
type condition struct {
	stateLook
	since  time.Time
	reason string
	dead   bool
}

// condition gives how an engine is. The series tell an engine that never was from one that died only by what came before,
// which the events know: both are no_engine, or no_answer while something of it is left.
func (m *Model) condition(e engine) condition {
	subject := "engine/" + e.instance
	c := condition{stateLook: stateOf(e.state), since: e.since, reason: m.reasons[subject]}
	if d, ok := m.deaths[subject]; ok && (e.state == "no_engine" || e.state == "no_answer") {
		c.stateLook, c.since, c.dead = deadLook, d.Start, true
		if d.Cause != "" {
			c.reason = d.Cause
		}
		if d.Title != "dead" { // "start failed"
			c.reason = d.Title + ": " + c.reason
		}
	}
	return c
}

// deathsOf gives the engines that are dead, by subject.
func deathsOf(known []events.Episode, later map[chosenEpisode]bool) map[string]events.Episode {
	out := make(map[string]events.Episode)
	for _, e := range known {
		if e.Kind == "engine.dead" && e.Ongoing() && !later[chosenOf(e)] {
			out[e.Subject] = e
		}
	}
	return out
}
