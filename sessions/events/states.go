package events

import (
	"strings"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine"
)

// The kinds of an engine's states.
const (
	kindStarting  = "engine.starting"
	kindReady     = "engine.ready"
	kindRestarted = "engine.restarted"
	kindSleeping  = "engine.sleeping"
	kindStalled   = "engine.stalled"
	kindDead      = "engine.dead"
	kindNoAnswer  = "engine.no_answer"
	kindNone      = "engine.none"
)

// stateKind names a state as an event: an engine that is known to have been there and gives no answer is dead, whether its
// process is still there or not.
func stateKind(state, from engine.State) string {
	known := from != "" && from != engine.NoEngine
	switch state {
	case engine.Starting:
		return kindStarting
	case engine.Ready:
		return kindReady
	case engine.Restarted:
		return kindRestarted
	case engine.Sleeping:
		return kindSleeping
	case engine.Stalled:
		return kindStalled
	case engine.NoAnswer:
		if known {
			return kindDead
		}
		return kindNoAnswer
	case engine.NoEngine:
		if known {
			return kindDead
		}
		return kindNone
	}
	return "engine." + string(state)
}

// stateKey is where a folder keeps the state that an engine is in.
func stateKey(subject string) string { return probes.KindEngineState + "\x00" + subject }

// state takes a change of an engine's state: it ends the state before. Two states that are one thing (it does not answer,
// then its process is gone) are one episode.
func (f *folder) state(e probes.Event) {
	to, from := engine.State(e.Attrs["state"]), engine.State(e.Attrs["from"])
	x := &Episode{Kind: stateKind(to, from), Subject: e.Subject, Severity: e.Severity, Start: e.Time, Count: 1, Attrs: e.Attrs}
	x.Title, x.Cause = stateText(e, to, from, x.Kind)
	key := stateKey(e.Subject)
	old := f.open[key]
	if since, err := time.Parse(time.RFC3339Nano, e.Attrs["since"]); err == nil && since.Before(e.Time) {
		// A stall or a start is seen after it began. It can't have begun before the state that it ended.
		if x.Start = since; old != nil {
			x.Start = earliest(latest(since, old.Start), e.Time)
		}
	}
	if old != nil && goesOn(old.Kind, x.Kind, from) {
		old.Severity = max(old.Severity, x.Severity)
		if old.Kind == kindNoAnswer || old.Kind == kindNone {
			old.Kind, old.Title = x.Kind, x.Title
		}
		if x.Kind != kindReady && x.Cause != "" && !strings.Contains(old.Cause, x.Cause) {
			old.Cause = joinCauses(old.Cause, x.Cause)
		}
		return
	}
	f.begin(key, x)
}

// goesOn tells whether a state is the one before under another name.
func goesOn(old, now string, from engine.State) bool {
	switch {
	case old == now:
		return true
	case old == kindRestarted && now == kindReady:
		// For a minute after a restart the state is called restarted; nothing changes when it isn't any more.
		return from == engine.Restarted || from == ""
	case (old == kindDead || old == kindNoAnswer) && (now == kindNone || now == kindDead || now == kindNoAnswer):
		return true
	}
	return false
}

// maxCauses bounds a cause that grows while an engine is away.
const maxCauses = 400

func joinCauses(a, b string) string {
	switch {
	case a == "":
		return b
	case len(a)+len(b) > maxCauses:
		return a
	}
	return a + "; then " + b
}

// stateText gives title and cause of a state.
func stateText(e probes.Event, to, from engine.State, kind string) (title, cause string) {
	cause = e.Attrs["reason"]
	lasted := ""
	if d, err := time.ParseDuration(e.Attrs["lasted"]); err == nil && d >= time.Second && from != "" {
		lasted = d.Round(time.Second).String()
	}
	title = to.Words()
	switch kind {
	case kindReady:
		return readyText(from, cause, lasted)
	case kindRestarted:
		title = "ready again"
		if cause = "restarted (" + cause + ")"; cause == "restarted ()" {
			cause = "restarted"
		}
		if from == engine.Starting && lasted != "" {
			cause += ", after starting for " + lasted
		}
	case kindDead:
		if title = "dead"; from == engine.Starting {
			title = "start failed"
		}
		if cause == "" {
			cause = "no reason known"
		}
		if log := lastLine(e.Attrs["log"]); log != "" && !strings.Contains(cause, log) {
			cause += "; its log: " + log
		}
	case kindNoAnswer, kindNone, kindStarting, kindSleeping, kindStalled:
	default:
		title = e.Title
	}
	return title, cause
}

func readyText(from engine.State, reason, lasted string) (title, cause string) {
	after := func(what string) string {
		if lasted == "" {
			return reason
		}
		text := "after " + lasted + " " + what
		if reason != "" {
			text += "; " + reason
		}
		return text
	}
	switch from {
	case "":
		if reason == "" {
			reason = "so when the recording began"
		}
		return "ready", reason
	case engine.Starting:
		return "ready", after("of starting")
	case engine.Stalled:
		return "works again", after("of standing still")
	case engine.Sleeping:
		return "awake", after("of sleep")
	case engine.NoAnswer, engine.NoEngine:
		return "ready again", after("without an answer")
	}
	return "ready", reason
}

func withReason(title, reason string) string {
	if reason == "" {
		return title
	}
	return title + ": " + reason
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}
