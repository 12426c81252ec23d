// Package moment reads a time that a person types while looking at a session.
//
// In go a text and the session's bounds; out comes a moment, and in words how it was understood, so that what was meant can be
// checked before it is used. It asks no clock: "now" is the session's last tick. It moves nothing into the bounds.
//
//	-10m  -1h30m  -90       before the session's last tick (a bare number is seconds)
//	+16m45s  @00:16:45      into the session, from its first tick
//	00:16:45                into the session, if it is that long; else the time of day
//	14:02  14:02:05         time of day, the last one that the session has
//	2026-11-24 14:02[:05]   that day's; also with UTC or the zone behind it, 2026-11-24T14:02:05Z, Nov 24 14:02
//	1795562280              Unix seconds
//	start  end  now         the session's first and last tick
package moment

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Session is what a text is read against.
type Session struct {
	// First and Last are the session's first and last tick.
	First, Last time.Time
	// Zone is whose time of day is meant; nil means time.Local.
	Zone *time.Location
}

// Moment is a time that was read.
type Moment struct {
	At time.Time
	// How says how the text was understood: "10m0s before the end".
	How string
}

// Hint names the forms in one line.
const Hint = "-10m before the end, +16m45s or 00:16:45 into the session, 14:02 or 14:02:05 the time of day, 2026-11-24 14:02, start, end"

// longest bounds what is read.
const longest = 64

var errEmpty = errors.New("no time was typed")

// Parse reads a text. An error says what is wrong with it in a few words.
func Parse(text string, s Session) (Moment, error) {
	if s.Zone == nil {
		s.Zone = time.Local
	}
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case text == "":
		return Moment{}, errEmpty
	case len(text) > longest:
		return Moment{}, fmt.Errorf("a time has at most %d characters", longest)
	case s.First.IsZero() || s.Last.Before(s.First):
		return Moment{}, errors.New("the session holds nothing yet")
	}
	switch lower := strings.ToLower(text); {
	case lower == "now", lower == "end":
		return Moment{s.Last, "the session's last tick"}, nil
	case lower == "start", lower == "begin":
		return Moment{s.First, "the session's first tick"}, nil
	case strings.HasPrefix(lower, "-"), strings.HasPrefix(lower, "−"):
		d, err := span(strings.TrimPrefix(strings.TrimPrefix(lower, "-"), "−"))
		if err != nil {
			return Moment{}, err
		}
		return Moment{s.Last.Add(-d), d.String() + " before the end"}, nil
	case strings.HasPrefix(lower, "+"), strings.HasPrefix(lower, "@"):
		d, err := span(lower[1:])
		if err != nil {
			return Moment{}, err
		}
		return Moment{s.First.Add(d), d.String() + " into the session"}, nil
	}
	if at, ok := dated(text, s); ok {
		return Moment{at, "that day"}, nil
	}
	if sec, err := strconv.ParseFloat(text, 64); err == nil {
		if sec > 1e8 && sec < 1e11 {
			return Moment{time.UnixMilli(int64(math.Round(sec * 1000))), "Unix seconds"}, nil
		}
		return Moment{}, fmt.Errorf("-%s is so many seconds before the end, +%s after the beginning", text, text)
	}
	return s.timeOfDay(text)
}

// span reads a length of time: 10m, 1h30m, 2d, 90, 00:16:45, 16:45.
func span(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no length of time: 10m, 1h30m, 90 (seconds) and 00:16:45 are", text)
	if strings.Contains(text, ":") {
		if d, ok := hours(text); ok {
			return d, nil
		}
		return 0, bad
	}
	if sec, err := strconv.ParseFloat(text, 64); err == nil && sec >= 0 && sec < 1e10 {
		return time.Duration(sec * float64(time.Second)).Truncate(time.Millisecond), nil
	}
	days := 0.0
	if n, rest, ok := strings.Cut(text, "d"); ok {
		f, err := strconv.ParseFloat(n, 64)
		if err != nil || f < 0 || f > 36500 {
			return 0, bad
		}
		if days, text = f, rest; rest == "" {
			text = "0s"
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > 1e5*time.Hour {
		return 0, bad
	}
	return d + time.Duration(days*24*float64(time.Hour)), nil
}

// hours reads h:mm:ss or mm:ss as a length of time.
func hours(text string) (time.Duration, bool) {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, false
	}
	var d time.Duration
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || i > 0 && (n > 59 || len(p) != 2) {
			return 0, false
		}
		d = d*60 + time.Duration(n)*time.Second
	}
	return d, true
}

// dated reads a time with its day.
func dated(text string, s Session) (time.Time, bool) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, true
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"} {
		if at, err := time.ParseInLocation(layout, text, s.Zone); err == nil {
			return s.latest(at), true
		}
	}
	// A zone's abbreviation says something only for the session's own and UTC; of any other Go knows the name and nothing else.
	if at, err := time.ParseInLocation("2006-01-02 15:04:05 MST", text, s.Zone); err == nil && (at.Location() == s.Zone || at.Location() == time.UTC) {
		return at, true
	}
	// As the screen writes it: the year is the one in which the session has that day.
	for _, layout := range []string{"Jan 2 15:04:05", "Jan 2 15:04"} {
		at, err := time.ParseInLocation(layout, text, s.Zone)
		if err != nil {
			continue
		}
		_, m, d := at.Date()
		at = time.Date(s.Last.In(s.Zone).Year(), m, d, at.Hour(), at.Minute(), at.Second(), 0, s.Zone)
		if at.After(s.Last.Add(24 * time.Hour)) {
			at = at.AddDate(-1, 0, 0)
		}
		return s.latest(at), true
	}
	return time.Time{}, false
}

// timeOfDay reads 14:02 and 14:02:05, which may also be how far into the session something was.
func (s Session) timeOfDay(text string) (Moment, error) {
	parts := strings.Split(text, ":")
	if len(parts) == 3 {
		if d, ok := hours(text); ok && d <= s.Last.Sub(s.First) {
			if parts[0] == "00" || parts[0] == "0" || !s.has(parts) {
				return Moment{s.First.Add(d), d.String() + " into the session (for the time of day add the date)"}, nil
			}
		}
	}
	h, m, sec, ok := clock(parts)
	if !ok {
		return Moment{}, fmt.Errorf("%q is no time", text)
	}
	return Moment{s.last(h, m, sec), "time of day"}, nil
}

// has tells whether a time of day lies within the session.
func (s Session) has(parts []string) bool {
	h, m, sec, ok := clock(parts)
	if !ok {
		return false
	}
	at := s.last(h, m, sec)
	return !at.Before(s.First)
}

func clock(parts []string) (h, m, sec int, ok bool) {
	if len(parts) < 2 || len(parts) > 3 {
		return 0, 0, 0, false
	}
	n := [3]int{}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 8)
		if err != nil || len(p) > 2 || i > 0 && len(p) != 2 || i == 0 && v > 23 || i > 0 && v > 59 {
			return 0, 0, 0, false
		}
		n[i] = int(v)
	}
	return n[0], n[1], n[2], true
}

// last gives the last moment of the session, or before it, at which clocks showed a time of day.
func (s Session) last(h, m, sec int) time.Time {
	y, month, d := s.Last.In(s.Zone).Date()
	at := time.Date(y, month, d, h, m, sec, 0, s.Zone)
	if twice := s.latest(at); !twice.After(s.Last) {
		return twice
	}
	if at.After(s.Last) {
		return s.latest(time.Date(y, month, d-1, h, m, sec, 0, s.Zone))
	}
	return at
}

// latest gives, of the two moments that an hour which clocks go through twice has at one time of day, the later one that is
// not after the session.
func (s Session) latest(at time.Time) time.Time {
	again := at.Add(time.Hour)
	if again.In(s.Zone).Format("15:04:05") == at.In(s.Zone).Format("15:04:05") && !again.After(s.Last) {
		return again
	}
	return at
}
