// Package ui is the console: a root that routes messages to a screen, keeps the boxes on top of it, and runs it all in a
// terminal that is left as it was found.
//
// In go a sessions.Reader, which every number comes from, and the Actions the program offers. Out comes Run, which
// returns when the person has quit. Nothing here does I/O in Update or View; nothing is sent to the program from outside:
// the screen asks, about once a second, in the background.
package ui

import (
	"time"

	"pitwall/probes/load/shape"
	"pitwall/sessions"
	"pitwall/ui/live"
	"pitwall/ui/load"
	"pitwall/ui/panel"
)

// Actions is what the screen may ask the program to do; each may take time and runs in the background. A nil Actions
// leaves their keys disabled.
type Actions = live.Actions

// Config is how the console looks.
type Config struct {
	// ASCII draws without any character beyond ASCII, also where the terminal says it could do more.
	ASCII bool
	// NoColor draws without colours. A non-empty NO_COLOR in the environment does the same.
	NoColor bool
	// Theme is "dark", "light", or "auto" (and ""): what the terminal answers, dark if it doesn't.
	Theme string
	// Mouse turns clicks on. While it is on most terminals select text only with shift held.
	Mouse bool
	// NoSync leaves synchronized output (mode 2026) to what Bubble Tea finds out, which over SSH is: off.
	NoSync bool
}

// WholeSession is the Window that grows with the session.
const WholeSession = live.WholeSession

// Replay says where a replay begins and how fast it plays.
type Replay = live.Replay

// Options make a console.
type Options struct {
	Reader  sessions.Reader
	Actions Actions
	Config  Config
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Version is pitwall's own, for the help.
	Version string
	// Engine is the instance to show at first ("127.0.0.1:8000"); "" the first one.
	Engine string
	// Window is how much time the charts show at first, taken up to the next window there is; WholeSession is all of it.
	// Zero leaves it to the screen: a minute while the session is young, then five.
	Window time.Duration
	// Replay, where it is set, shows a session that is only read: space plays it.
	Replay *Replay
	// Load steers load on the engine; nil where a session is only read. Presets are loads of one's own, beside the built-in ones.
	Load    load.Desk
	Presets []shape.Preset
	// Panels are the pages of panels; nil is the built-in ones. Page is the name of the one to begin with, "" the first.
	Panels *panel.Book
	Page   string
	// Notice is said when the console begins: what is wrong with a file of panels.
	Notice string
	// Tried says where an engine was looked for, one place a line, for the screen that has none.
	Tried []string
	// Environ is the environment as "name=value"; nil means the process's own.
	Environ []string
}
