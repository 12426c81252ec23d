// Package keys holds what a key does. One list of bindings feeds the handler, the footer and the help, so that none of
// them can know a key that another does not.
package keys

import (
	tea "charm.land/bubbletea/v2"
)

// Binding is one action.
type Binding struct {
	// Keys are the names by which Bubble Tea calls them; any of them acts.
	Keys []string
	// Show is how the keys are written for people, "1-6"; empty means the first of Keys.
	Show string
	// Help is what it does, in a few words; Short is one word for the footer, empty for what is not shown there.
	Help, Short string
	// Rank says how soon the footer leaves it out when there is no room: the highest first, those with the same from the
	// end. What cannot be used now goes before what can.
	Rank int
	// Group gathers bindings in the help.
	Group string
	// Run does it. It is only called while Disabled gives "".
	Run func(key string) tea.Cmd
	// Disabled gives the reason why it cannot be done now, "" if it can; nil means always.
	Disabled func() string
	// Danger marks what cannot be undone.
	Danger bool
}

// Label is how the binding's keys are written.
func (b Binding) Label() string {
	if b.Show != "" {
		return b.Show
	}
	if len(b.Keys) == 0 {
		return ""
	}
	return b.Keys[0]
}

// Reason gives why the binding cannot be used now, "" if it can.
func (b Binding) Reason() string {
	if b.Disabled == nil {
		return ""
	}
	return b.Disabled()
}

// Find gives the first binding that a key belongs to.
func Find(list []Binding, key string) (Binding, bool) {
	for _, b := range list {
		for _, k := range b.Keys {
			if k == key {
				return b, true
			}
		}
	}
	return Binding{}, false
}
