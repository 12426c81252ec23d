// Package screen is what the root and its screens know of each other, so that neither imports the other.
//
// A screen is a value with its own keys. It gets messages, and draws itself on a pane out of a Frame: size, time and
// theme come in with it, nothing is asked for while drawing.
package screen

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/sessions"
	"pitwall/ui/grid"
	"pitwall/ui/keys"
	"pitwall/ui/theme"
)

// Frame is what a screen needs in order to draw, apart from its own state.
type Frame struct {
	// Now is the last tick's time; Drawing never asks a clock.
	Now time.Time
	// Theme gives the inks their colours; drawing needs it only to know about light and dark.
	Theme *theme.Theme
	// ASCII says that glyphs beyond ASCII will be replaced, so that "≤" had better be "<=".
	ASCII bool
}

// Screen is one full screen of the console.
type Screen interface {
	// Init gives the first command.
	Init() tea.Cmd
	// Update takes a message. It does no I/O: that is for the command it returns.
	Update(msg tea.Msg) tea.Cmd
	// Draw fills the pane. It changes nothing.
	Draw(p grid.Pane, f Frame)
	// Keys lists what can be done now, in the order of the footer.
	Keys() []keys.Binding
	// Click handles a mouse click on a cell of the screen.
	Click(x, y int) tea.Cmd
	// Title is the terminal's window title.
	Title() string
}

// Tick says that time has passed. The root sends it to its screen about once a second.
type Tick struct{ Now time.Time }

// Size is the size of the pane that Draw will get.
type Size struct{ W, H int }

// Resumed says that the program was stopped (ctrl+z) and goes on.
type Resumed struct{ Now time.Time }

// Recording tells the screen that its data come from another reader from now on.
type Recording struct{ Reader sessions.Reader }

// Open asks the root to show an overlay on top of the screen.
type Open struct{ Overlay Overlay }

// Say asks the root to show one line for a few seconds; Bad marks a failure.
type Say struct {
	Text string
	Bad  bool
}

// Save asks the root to offer the whole screen as a file; Path is the proposed name, without its ending.
type Save struct{ Path string }

// Mouse asks the root to turn the mouse on, or off again.
type Mouse struct{}

// Dragger is a Screen that follows the pointer while the left button is held down. used is false where nothing moves.
type Dragger interface {
	Drag(x, y int) (cmd tea.Cmd, used bool)
}

// Wheeler is a Screen that uses the mouse wheel itself where the pointer is; by is below zero for the wheel turned up. What it
// doesn't use is the keys up and down.
type Wheeler interface {
	Wheel(x, y, by int) (cmd tea.Cmd, used bool)
}

// Overlay is a box on top of a screen. It gets every key until it closes.
type Overlay interface {
	// Size gives how large the box wants to be, borders included, on a screen of w by h.
	Size(w, h int) (int, int)
	// Draw fills the box, borders included.
	Draw(p grid.Pane, f Frame)
	// Key handles a key or a paste; close tells the root to take the box away.
	Key(msg tea.Msg) (cmd tea.Cmd, close bool)
	// Hint is the footer's text while the box is open: pairs of key and word.
	Hint() [][2]string
}

// Docked is an Overlay with a place of its own on a screen of w by h, instead of the middle. What is under it is not faded: one
// types into it while watching the rest.
type Docked interface {
	Overlay
	Dock(w, h int) (x, y, width, height int)
}

// Listener is an Overlay that asks questions of its own: it hears ticks, sizes and every message that no one else takes.
type Listener interface {
	Overlay
	// Init gives the first command, when the box has been opened.
	Init() tea.Cmd
	// Update takes a message, as a Screen does.
	Update(msg tea.Msg) tea.Cmd
}
