// Package engine watches LLM servers from outside, by what they serve over HTTP: their page of metrics, their health, version
// and list of models.
//
// In go addresses, or the server processes of this host, and a dialect (package dialect) that says what an engine's metrics
// are called: no code here knows such a name. Out come probes.Sources, one an engine, with the engine's series under its
// own names, facts from its start-up, and its state by name; besides them one for every other page of metrics that was
// asked for or found. It reads only: it sends no prompt, changes nothing on the server, and asks so seldom that a hundredth
// of the server's time is the most it can take. It says no secret, neither its own nor one found in a log.
//
// A Watch finds the engines and keeps finding them; a Scraper is one of them.
package engine

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// KindChanged is the Kind of the event that tells that an engine serves another model or is another version than before.
// Attrs: "what" ("model", "version", or "dialect" where another kind of engine answers at its address), "from", "to".
const KindChanged = "engine.changed"

// Server is a process on this host that serves an engine.
type Server struct {
	// Dialect is the engine's, "vllm"; empty means the default.
	Dialect string
	// PID and Start name the process that was started on the command line.
	PID   int
	Start time.Time
	// Address is host:port where it answers, or will answer.
	Address string
	// Args is its command line, nil if it may not be read (Denied: another user's).
	Args   []string
	Denied bool
}

// Scraper is the source of one engine. Its methods other than Read may be called at any time.
type Scraper struct {
	d       *dialect.Dialect
	c       *client
	subject string // "engine/127.0.0.1:8000"
	port    string
	local   bool
	// server gives the process that serves it, whether there is one, and why it can't be known.
	server func() (srv Server, ok bool, unseen string)
	alive  func(pid int) bool
	clock  func() time.Time
	root   string        // of the file system, for logs
	hold   time.Duration // how long a Read waits for a page: waitInRead, but for tests on a busy machine

	status atomic.Pointer[Status]
	every  atomic.Int64
	scored atomic.Bool
	seen   atomic.Bool // it has answered, or a process of it has been there
	// turned is set once it has come out that another dialect is the engine's: this scraper then reads nothing any more.
	// fixed is whether the dialect is given and not to be doubted; onTurn is told.
	turned atomic.Pointer[dialect.Dialect]
	fixed  bool
	onTurn func()

	// What follows belongs to Read.
	pages    pages
	tracker  *tracker
	machine  machine
	pace     pace
	path     string // of the metrics, after a redirect
	facts    map[string]string
	was      map[string]string // version and model as last known
	absent   map[string]string
	unknown  map[string]string // reasons for facts, by fact
	pid      int               // process whose start-up the facts are
	log      logPlace
	logRead  time.Time
	askModel time.Time
	askWell  time.Time
	series   int
	ok, bad  float64
	own      ownSeries
	last     answer
	well     float64
	wellKnow bool
	health   int // what the health check answered last
	asking   atomic.Pointer[asking]
	askedWho time.Time
	judged   int       // the process whose kind has been looked at
	settled  bool      // the dialect is known by more than a guess
	doubted  time.Time // when the server was last asked whether it is an engine, and what it is otherwise
	doubt    string
	known    *Known // what somebody else saw of it, until the first observation
	label    string // the model's name on the last page
}

// newScraper makes the source of the engine at a place.
func newScraper(p place, d *dialect.Dialect, a Access, server func() (Server, bool, string)) (*Scraper, error) {
	if a.Timeout <= 0 {
		a.Timeout = d.Patience
	}
	c, err := newClient(p, a)
	if err != nil {
		return nil, err
	}
	if server == nil {
		server = func() (Server, bool, string) { return Server{}, false, "processes are not looked at" }
	}
	s := &Scraper{
		d: d, c: c, subject: "engine/" + p.instance, port: portOf(p), local: onThisHost(p), server: server,
		alive: processAlive, clock: time.Now, root: "/", hold: waitInRead, path: d.Paths.Metrics, tracker: newTracker(d),
		facts: map[string]string{}, was: map[string]string{}, unknown: map[string]string{}, own: newOwnSeries(),
	}
	s.status.Store(&Status{})
	s.every.Store(int64(minInterval))
	return s, nil
}

// NewScraper makes the source of one engine at a URL, without a Watch and without knowledge of processes. The dialect is
// not doubted.
func NewScraper(url string, d *dialect.Dialect, a Access) (*Scraper, error) {
	p, err := parsePlace(url)
	if err != nil {
		return nil, err
	}
	s, err := newScraper(p, d, a, nil)
	if s != nil {
		s.fixed = true
	}
	return s, err
}

func processAlive(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil
}

// Target gives the dialect's name and the engine's host:port.
func (s *Scraper) Target() (job, instance string) { return s.d.Name, s.c.place.instance }

// URL is the engine's address without user-info.
func (s *Scraper) URL() string { return s.c.place.String() }

// Dialect is the engine's.
func (s *Scraper) Dialect() *dialect.Dialect { return s.d }

// Status is the state that the last Read saw.
func (s *Scraper) Status() Status { return *s.status.Load() }

// Every is the interval in force, between 1 and 5 s.
func (s *Scraper) Every() time.Duration { return time.Duration(s.every.Load()) }

// Score tells that a run is being scored, so that the engine is asked every 5 s only, or that it is over.
func (s *Scraper) Score(on bool) { s.scored.Store(on) }

// Close drops the connection. A Read after it opens another.
func (s *Scraper) Close() {
	s.stop()
	s.c.close()
}

// Read scrapes the engine once, asks for its health, version and models when it is time, and judges its state. Once it has
// come out that the engine is another than the dialect's, it gives nothing: its successor reads that engine.
func (s *Scraper) Read(ctx context.Context) probes.Reading {
	if s.turned.Load() != nil {
		return probes.Reading{}
	}
	now := s.clock()
	var r probes.Reading
	o := Observation{At: now, Local: s.local, Port: s.port, Still: s.d.State.Still, Note: s.d.State.Note.For(s.facts["version"])}
	srv, found, unseen := s.server()
	if found && s.alive(srv.PID) {
		if d := s.byProcess(srv); d != nil {
			return s.turn(d)
		}
		o.PID, o.Started = srv.PID, srv.Start
		s.adopt(srv)
	}
	o.Unseen = unseen

	a, late, err := s.page(ctx, s.path)
	if late {
		r.Late = cmp.Or(s.d.Late, "its page is late")
		s.every.Store(int64(minInterval))
		r.Samples, r.Meta = s.own.add(s, nil, nil, s.machine.now)
		s.tell(&r, srv, o.PID != 0, unseen, s.machine.now.State.Answers())
		return r
	}
	samples, meta, err := s.scrape(now, &o, a, err)
	if d := s.isAnother(ctx, now, &o, a, samples); d != nil {
		return s.turn(d)
	}
	r.Took, r.Err = s.last.total, err
	if err == nil {
		r.Samples, r.Meta = samples, meta
		s.ok++
		s.seen.Store(true)
		if !o.Work.Own {
			o.Stranger = s.stranger(ctx, now, samples)
		}
	} else {
		s.bad++
	}
	s.askHealth(ctx, now, &o)

	s.recall(&o)
	change, changed := s.machine.observe(o)
	st := s.machine.now
	s.status.Store(&st)
	if changed && st.State == Restarted {
		if s.pid == 0 { // else adopt has done so: what the new process does not tell is not what the old one told
			clear(s.facts)
			clear(s.unknown)
		}
		s.askModel = time.Time{}
	}
	if err == nil || o.Outcome == Pageless {
		s.learn(ctx, now, samples, meta, o, &r)
	}
	if changed {
		r.Events = append(r.Events, s.event(ctx, change))
	}
	s.lastError(ctx, now, st)

	s.pace.scored = s.scored.Load()
	s.every.Store(int64(s.pace.interval()))
	if s.machine.failures == 1 && st.State.Answers() {
		s.every.Store(int64(minInterval)) // the second look decides whether it is a busy server or none
	}
	r.Samples, r.Meta = s.own.add(s, r.Samples, r.Meta, st)
	s.tell(&r, srv, o.PID != 0, unseen, err == nil || o.Outcome == Pageless)
	return r
}

// scrape reads the page, or the error of asking for it, and completes the observation.
func (s *Scraper) scrape(now time.Time, o *Observation, a answer, err error) ([]probes.Sample, map[string]probes.Meta, error) {
	path := s.path
	s.last = a
	fail := func(outcome Outcome, t *trouble) ([]probes.Sample, map[string]probes.Meta, error) {
		o.Outcome, o.Err, o.Took = outcome, t.plain, a.total
		return nil, nil, t
	}
	if err != nil {
		t := s.c.trouble("scrape", path, err)
		if t.late {
			s.pace.struggled(now)
		}
		s.c.waited(a.total, t.late)
		return fail(t.outcome, t)
	}
	s.c.waited(a.total, false)
	s.last.body = nil // only its size is wanted any more
	s.pace.took(now, a.total-a.connect)
	what := "scrape " + s.c.place.String() + path
	switch {
	case s.d.Loading.Is(a.status, a.body):
		return fail(Loads, &trouble{what: what, plain: "it answers that it loads its model" + apiMessage(a.body)})
	case slices.Contains(s.d.NoPage.Status, a.status):
		s.path = s.d.Paths.Metrics
		return fail(Pageless, &trouble{what: what, plain: s.d.NoPage.Reason})
	case a.status != http.StatusOK:
		s.path = s.d.Paths.Metrics
		return fail(Failed, &trouble{what: what, plain: s.c.refused(a)})
	}
	s.pages.allowance.refill(now)
	body, typ := unquoted(a.body), a.contentType
	if len(body) != len(a.body) {
		typ = "" // that of the JSON around it
	}
	samples, meta, err := s.pages.parse(typ, body)
	if err != nil {
		s.path = s.d.Paths.Metrics
		return fail(Failed, &trouble{what: what, plain: s.c.hidden(err.Error()), err: err})
	}
	s.path = a.path
	o.Work, o.Took = s.tracker.page(now, samples), a.total
	return samples, meta, nil
}

// How often the rest is asked.
const (
	healthEvery = 10 * time.Second
	modelsEvery = time.Minute
)

// askHealth asks for the health now and then, and whenever something answers that is not well.
func (s *Scraper) askHealth(ctx context.Context, now time.Time, o *Observation) {
	path := s.d.Paths.Health
	if path == "" && o.Outcome == Pageless {
		path = s.d.Paths.Models // there must be something that it answers
	}
	if path == "" || o.Outcome == Refused {
		s.wellKnow = false
		return
	}
	if o.Outcome == Loads {
		s.well, s.wellKnow = 0, true
		return
	}
	if o.Outcome != Failed && now.Sub(s.askWell) < healthEvery && !(s.wellKnow && s.well == 0 && (s.health != 0 || o.Outcome == Pageless)) {
		return // one that does not answer at all holds up the reading, and is not asked every time
	}
	if o.Outcome == Failed && s.last.status == 0 {
		// It did not answer the first question in time; a second would only hold up the reading.
		s.wellKnow = false
		return
	}
	s.askWell = now
	if o.Health = s.c.health(ctx, path); o.Health == 0 && slices.Contains(s.d.Dead, s.health) {
		o.Health = s.health // silence takes nothing back
	}
	s.health = o.Health
	// A proxy's 503 for everything is no word of the engine's: then the page had none either.
	o.Dead = slices.Contains(s.d.Dead, o.Health) && (o.Outcome == Answered || s.last.status == http.StatusInternalServerError)
	s.well, s.wellKnow = 0, true
	if o.Health == http.StatusOK {
		s.well = 1
	} else if o.Outcome == Pageless {
		o.Outcome = Failed
	}
}

// event makes the event of a change of state, with the last error lines of the log where the state is bad.
func (s *Scraper) event(ctx context.Context, c change) probes.Event {
	e := probes.Event{
		Kind: probes.KindEngineState, Subject: s.subject, Severity: c.severity(), Title: c.title(),
		Attrs: map[string]string{
			"state": string(c.to.State), "from": string(c.from.State), "reason": c.to.Reason, "lasted": c.lasted.Round(time.Millisecond).String(),
			"since": c.to.Since.UTC().Format(time.RFC3339Nano),
		},
	}
	if lines := s.readLog(ctx, c.to); len(lines) > 0 {
		e.Attrs["log"] = strings.Join(lines, "\n")
	}
	return e
}

// severity grades a change: an engine that has been there and is not any more is critical.
func (c change) severity() probes.Severity {
	switch c.to.State {
	case Stalled:
		return probes.Critical
	case NoAnswer:
		if c.from.State != "" {
			return probes.Critical
		}
		return probes.Warning
	case NoEngine:
		if c.from.State != "" {
			return probes.Critical
		}
	case Restarted:
		return probes.Warning
	}
	return probes.Note
}

// logAgain is how long a state must last until its log is read once more: an engine that dies writes for a while.
const logAgain = 5 * time.Second

// readLog reads the log if the state is one that it may explain and its place is known.
func (s *Scraper) readLog(ctx context.Context, st Status) []string {
	switch st.State {
	case NoEngine, NoAnswer, Stalled:
	default:
		return nil
	}
	if s.pid == 0 {
		return nil
	}
	s.logRead = s.clock()
	lines, err := s.log.tail(ctx)
	delete(s.unknown, "last_error")
	if err != nil {
		s.unknown["last_error"] = s.c.hidden(err.Error())
		return nil
	}
	for i := range lines {
		lines[i] = s.c.hidden(lines[i])
	}
	if len(lines) > 0 {
		s.facts["last_error"] = lines[len(lines)-1]
	}
	return lines
}

// lastError keeps the fact last_error: read again once the state has lasted, and every half minute; dropped when all is well.
func (s *Scraper) lastError(ctx context.Context, now time.Time, st Status) {
	switch {
	case st.State == Ready || st.State == Restarted || st.State == Sleeping || st.State == Starting:
		delete(s.facts, "last_error")
		delete(s.unknown, "last_error")
	case !s.logRead.IsZero() && (now.Sub(s.logRead) >= 30*time.Second || now.Sub(s.logRead) >= logAgain && s.logRead.Sub(st.Since) < logAgain):
		s.readLog(ctx, st)
	}
}
