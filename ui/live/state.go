package live

import "pitwall/ui/theme"

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
