package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"pitwall/probes/engine"
	"pitwall/probes/load"
	"pitwall/probes/load/calibrate"
	"pitwall/sessions"
	"pitwall/sessions/steer"
)

// hold is how long a change of load waits for another: a key that is held down repeats some thirty times a second, one that is
// pressed again and again comes three to five times.
const hold = 400 * time.Millisecond

// steering makes the desk that steers load from a console: it writes into the session that the console records, and loads
// whichever of its engines is shown.
func (d *desk) steering() *steer.Desk {
	return steer.New(steer.Options{
		Examine: func(ctx context.Context, instance string) (*load.Server, error) {
			s := d.scraper(instance)
			if s == nil {
				return nil, fmt.Errorf("no engine %s is watched here", instance)
			}
			access, err := d.p.access(d.c)
			if err != nil {
				return nil, err
			}
			return load.Examine(ctx, load.Target{URL: s.URL(), Model: d.model, Access: access})
		},
		Connect: func(s *load.Server, o load.Options) steer.Runner {
			d.p.cores.load()
			return load.New(s, o)
		},
		Book: d.book,
		Scope: func(instance string) sessions.Scope {
			s := d.scraper(instance)
			if s == nil {
				return sessions.Scope{}
			}
			job, _ := s.Target()
			return sessions.Scope{Dialect: s.Dialect(), Sel: "job=" + strconv.Quote(job) + ",instance=" + strconv.Quote(instance)}
		},
		Scored: func(on bool) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.probes != nil {
				d.probes.engines.Score(on)
			}
		},
		Certified: certification,
		Hold:      d.hold,
	})
}

// certification is what is known of this client on this host.
func certification() steer.Certificate {
	c, _ := certificate() // why there is none is pitwall calibrate's to tell
	if c == nil {
		return steer.Certificate{}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return steer.Certificate{}
	}
	return steer.Certificate{Text: text, Beyond: func(inFlight int, tokens float64) string {
		if math.IsNaN(tokens) {
			tokens = 0 // not known yet, and not judged
		}
		_, why := c.Covers(calibrate.Load{Streams: inFlight, Tokens: tokens})
		return why
	}}
}

// scraper finds a watched engine by its host:port, nil if there is none.
func (d *desk) scraper(instance string) *engine.Scraper {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.probes == nil {
		return nil
	}
	for _, s := range d.probes.engines.Engines() {
		if _, at := s.Target(); at == instance {
			return s
		}
	}
	return nil
}

// book gives the session that load is written into, or why there is none.
func (d *desk) book() (steer.Book, string) {
	if rec := d.writing.Load(); rec != nil {
		return rec, ""
	}
	return nil, "another process records this session, and only who records can put load on it: R takes the recording over"
}

// loading says why the recording can't change hands now, nil if it can.
func (d *desk) loading() error {
	if d.load == nil {
		return nil
	}
	switch st := d.load.Status(); {
	case st.Phase != steer.Idle:
		return fmt.Errorf("load is on %s, and its runs go into the session that is recorded here: stop it first", st.Instance)
	case st.Judging > 0:
		return fmt.Errorf("the last run is still being judged: in a few seconds")
	}
	return nil
}
