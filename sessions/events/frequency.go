package events

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pitwall/probes"
)

// Frequency is how often one thing happened in a stretch of time, and how much of it.
type Frequency struct {
	Kind, Subject, Title string
	// Severity is the gravest that there was.
	Severity probes.Severity
	// Times is how often it came: the counts of the episodes that began in the stretch, and one for each that began before
	// it and was still there.
	Times int
	// Active is how long it was there. An episode that reaches over a border counts with the share of its time that lies
	// inside, as if what comes and goes were spread evenly.
	Active time.Duration
	// Share is Active as a ratio of the stretch.
	Share float64
	// Longest is the longest time that it was there at one go, as far as the episodes tell: the mean of one with a count.
	Longest time.Duration
	// Of is the length of the stretch.
	Of time.Duration
}

// String is the frequency in words: "power-capped 14 times, 22 % of 1h0m0s". A moment has no share.
func (f Frequency) String() string {
	s := fmt.Sprintf("%s %d times", f.Title, f.Times)
	if f.Times == 1 {
		s = f.Title + " once"
	}
	if f.Active > 0 {
		s += fmt.Sprintf(", %s of %s", percent(f.Share), period(f.Of))
	}
	return s
}

// percent writes a ratio with as many digits as tell it from nothing and from all.
func percent(share float64) string {
	p := 100 * share
	switch {
	case p > 0 && p < 0.1:
		return "< 0.1 %"
	case p < 10 && p != math.Trunc(p), p > 99 && p < 100:
		return fmt.Sprintf("%.1f %%", min(p, 99.9))
	}
	return fmt.Sprintf("%.0f %%", p)
}

// period names a stretch of time: "the last hour" is what its user writes, this is "1h", "10m30s".
func period(d time.Duration) string {
	s := d.Round(time.Second).String()
	s = strings.Replace(s, "m0s", "m", 1)
	return strings.Replace(s, "h0m", "h", 1)
}

// Frequencies counts episodes over the time from … to, which must be bounds, by kind, subject and title; what took most
// of the time stands first. An episode that goes on is taken to last until to.
func Frequencies(episodes []Episode, from, to time.Time) []Frequency {
	stretch := to.Sub(from)
	if stretch <= 0 {
		return nil
	}
	byKey := map[string]*Frequency{}
	var out []*Frequency
	for _, e := range episodes {
		if !e.touches(from, to) {
			continue
		}
		key := e.Kind + "\x00" + e.Subject + "\x00" + e.Title
		f := byKey[key]
		if f == nil {
			f = &Frequency{Kind: e.Kind, Subject: e.Subject, Title: e.Title, Of: stretch}
			byKey[key], out = f, append(out, f)
		}
		f.Severity = max(f.Severity, e.Severity)
		f.Times++
		if !e.Start.Before(from) {
			f.Times += max(e.Count, 1) - 1
		}
		if whole := e.Lasted(to); whole > 0 {
			end := to
			if !e.Ongoing() {
				end = earliest(e.End, to)
			}
			inside := end.Sub(latest(e.Start, from))
			active := time.Duration(float64(min(e.Active, whole)) * float64(inside) / float64(whole))
			f.Active += active
			f.Longest = max(f.Longest, active/time.Duration(max(e.Count, 1)))
		}
	}
	res := make([]Frequency, 0, len(out))
	for _, f := range out {
		f.Share = float64(f.Active) / float64(stretch)
		res = append(res, *f)
	}
	slices.SortStableFunc(res, func(a, b Frequency) int {
		return cmp.Or(-cmp.Compare(a.Active, b.Active), -cmp.Compare(a.Times, b.Times), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
	return res
}
