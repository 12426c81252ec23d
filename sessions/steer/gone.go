package steer

import (
	"fmt"
	"time"

	"pitwall/probes/request"
)

const (
	// goneAfter and goneCount are for how long nothing but failures to reach the server must have come, and how many of them,
	// until the load is ended: a server that restarts its front end for a moment is not gone, and one that died is not asked
	// ten thousand times a second for ever.
	goneAfter = 3 * time.Second
	goneCount = 5
)

// unreachable says whether a request failed because there was no server to take it.
func unreachable(c request.Class) bool {
	switch c {
	case request.DNS, request.Refused, request.Unreachable:
		return true
	}
	return false
}

// unreached counts the requests that have found no server since one found it.
type unreached struct {
	since, last request.Time
	count       int
	first       string
}

func (u *unreached) add(rec *request.Record) {
	switch {
	case rec.Class == request.Cancelled:
	case !unreachable(rec.Class):
		*u = unreached{}
	default:
		if u.count == 0 {
			u.since, u.first = rec.End, rec.Message
		}
		u.last = rec.End
		u.count++
	}
}

// gone says in words that the engine is not there any more, "" while that can't be said.
func (d *desk) gone() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.live.unreached
	if !d.active() || u.count < goneCount || u.last.Sub(u.since) < goneAfter {
		return ""
	}
	return fmt.Sprintf("the engine is gone: nobody takes requests at %s since %s: %s", d.instance, u.since.At().Format(time.TimeOnly), u.first)
}

// breakOff ends the load because the run in force can't go on.
func (d *desk) breakOff(why string) {
	d.mu.Lock()
	if d.active() {
		d.current.broken = true
		d.problem = why
	}
	d.mu.Unlock()
	d.stop(true, why)
}
