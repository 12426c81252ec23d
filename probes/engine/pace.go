package engine

import "time"

// The limits of the interval between two scrapes of an engine, and the share of wall time that scraping may take of it.
const (
	minInterval = time.Second
	maxInterval = 5 * time.Second
	maxShare    = 0.01
)

// pace decides the interval between two scrapes from how long they take: a page is made on the API server's event loop, so
// while it is made no token is sent. The time that a scrape lasts bounds what it costs the server from above, because time
// spent waiting for the loop is in it. The zero value starts at one second.
//
// It goes up as soon as the average is too high for the interval. It comes down a second at a time, after half a minute in
// which the average was low enough with a margin of a fifth, so that a load that comes and goes does not make it swing.
type pace struct {
	average time.Duration
	every   time.Duration
	low     time.Time // since when the average would allow a second less; zero if it does not
	scored  bool
}

// weight is that of the newest scrape in the moving average: about the last ten count.
const weight = 0.2

// took tells the pace about a scrape that ended now.
func (p *pace) took(now time.Time, d time.Duration) {
	if p.average == 0 {
		p.average = d
	} else {
		p.average += time.Duration(weight * float64(d-p.average))
	}
	if want := interval(p.average); want > p.interval() {
		p.every, p.low = want, time.Time{}
		return
	}
	less := p.interval() - time.Second
	switch {
	case less < minInterval || float64(p.average) > 0.8*maxShare*float64(less):
		p.low = time.Time{}
	case p.low.IsZero():
		p.low = now
	case now.Sub(p.low) >= 30*time.Second:
		p.every, p.low = less, now
	}
}

// struggled tells the pace that no page came, or none in time: the server is as busy as can be. More than what leads to the
// longest interval would only keep the average high.
func (p *pace) struggled(now time.Time) { p.took(now, time.Duration(maxShare*float64(maxInterval))) }

// interval is the least whole number of seconds, between the limits, that keeps scrapes of this length within the share.
func interval(average time.Duration) time.Duration {
	need := time.Duration(float64(average) / maxShare)
	whole := (need + time.Second - 1).Truncate(time.Second)
	return min(max(whole, minInterval), maxInterval)
}

func (p *pace) interval() time.Duration {
	if p.scored {
		return maxInterval
	}
	return max(p.every, minInterval)
}
