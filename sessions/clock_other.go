//go:build !linux

package sessions

import "time"

// readClocks has only Go's monotonic time here: a suspended machine shows as a step of the clock.
func readClocks() moment {
	now := time.Now()
	up := now.Sub(processStart)
	return moment{wall: now, boot: up, awake: up}
}

// processStart is what monotonic times are counted from; it never changes.
var processStart = time.Now()

// bootID is not known here: a session that is gone on with takes the time of day anew.
func bootID() string { return "" }
