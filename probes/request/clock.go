package request

import "time"

// Clock gives Times: the monotonic clock over one anchor on the wall clock, which is read once. A process that compares Times
// has one Clock, and hands it round. The zero Clock is of no use; take NewClock.
type Clock struct {
	anchor time.Time // with its monotonic reading
	wall   int64     // the anchor in nanoseconds since 1970
}

// NewClock anchors a clock now.
func NewClock() Clock {
	t := time.Now()
	return Clock{anchor: t, wall: t.UnixNano()}
}

// Now is the moment.
func (c Clock) Now() Time { return Time(c.wall + int64(time.Since(c.anchor))) }

// Of turns what time.Now gave in this process into a Time.
func (c Clock) Of(t time.Time) Time { return Time(c.wall + int64(t.Sub(c.anchor))) }

// ClockAt anchors a clock at what another clock says now, so that its Times can be compared with that one's.
func ClockAt(now time.Time) Clock {
	return Clock{anchor: time.Now(), wall: now.UnixNano()}
}
