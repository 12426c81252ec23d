package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// Options says what to watch. The zero value looks for an engine on this host, without knowledge of processes.
type Options struct {
	// URLs are the engines' addresses; none means to find them.
	URLs []string
	// Dialect is the engines'; nil means that each is told by what it serves.
	Dialect *dialect.Dialect
	// Access is how to get at them. It is used for engines only, never for Scrapes.
	Access Access
	// Servers lists the engines' server processes on this host. It is called every two seconds, never by two at once; nil
	// means that processes are not looked at.
	Servers func() ([]Server, error)
	// Scrapes are other pages of metrics, recorded with job "scrape".
	Scrapes []string
	// Known is what was last seen of them by whom this Watch goes on for.
	Known []Known
	// NoExporters leaves dcgm-exporter on :9400 and node_exporter on :9100 alone.
	NoExporters bool
}

const (
	lookEvery     = 2 * time.Second
	exporterEvery = time.Minute
	// goneAfter is how long an engine that nobody asked for is still shown after its process has ended, if there is another;
	// an exporter likewise.
	goneAfter = 10 * time.Minute
	// identifyWithin is how long an engine that is new may take to say which one it is before it is shown. One that takes
	// longer is shown as the default's, and as what it is as soon as that is known.
	identifyWithin = 60 * time.Millisecond
)

// Watch finds engines and other pages, and keeps finding them. One goroutine looks; everything else reads what it
// published.
type Watch struct {
	o     Options
	now   atomic.Pointer[published]
	procs atomic.Pointer[processes]

	cancel  context.CancelFunc
	stopped sync.WaitGroup
	turned  chan struct{} // an engine is another than was thought
	first   chan struct{} // closed after the first look
	guess   *dialect.Dialect

	// What follows belongs to the goroutine.
	engines []*Scraper
	fresh   []*Scraper             // those that nobody has read yet
	wanted  map[*Scraper]time.Time // when it was last wanted
	extras  []*page
	found   []*page // exporters
	tried   time.Time
}

// published is what Sources and Engines give; never changed, only replaced.
type published struct {
	sources []probes.Source
	engines []*Scraper
}

type processes struct {
	servers []Server
	unseen  string
}

// Open checks the options and starts to look. The first look at processes is waited for, a tenth of a second at most.
func Open(o Options) (*Watch, error) {
	w := &Watch{o: o, wanted: map[*Scraper]time.Time{}, turned: make(chan struct{}, 1), first: make(chan struct{}), guess: o.Dialect}
	if w.guess == nil {
		d, ok := dialect.Named("vllm")
		if !ok {
			return nil, errors.New("no dialect vllm in this build")
		}
		w.guess = d
	}
	w.o.Known = slices.Clone(o.Known)
	w.now.Store(&published{})
	w.procs.Store(&processes{unseen: "processes are not looked at"})
	for _, u := range o.URLs {
		if _, err := w.engine(u); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	for _, u := range o.Scrapes {
		p, err := newPage("scrape", u, o.Access)
		if err != nil {
			return nil, err
		}
		if seen[p.instance] {
			return nil, fmt.Errorf("page %s is given twice", p.instance)
		}
		seen[p.instance] = true
		w.extras = append(w.extras, p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.stopped.Go(func() { w.run(ctx) })
	select {
	case <-w.first:
	case <-time.After(100 * time.Millisecond):
	}
	return w, nil
}

// Wait blocks until the first look is over, after which the engines that were given are among the Sources: on a host whose
// cores are all busy that can take seconds. Its error is ctx's.
func (w *Watch) Wait(ctx context.Context) error {
	select {
	case <-w.first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Sources gives everything to pull now: the engines, then the other pages. It never waits. A source that is gone from it
// is gone.
func (w *Watch) Sources() []probes.Source { return slices.Clone(w.now.Load().sources) }

// Engines gives the engines among them: in the order given, or by port. Several are all there; choosing one is the
// console's.
func (w *Watch) Engines() []*Scraper { return slices.Clone(w.now.Load().engines) }

// Score tells every engine that a run is being scored, or that it is over.
func (w *Watch) Score(on bool) {
	for _, s := range w.Engines() {
		s.Score(on)
	}
}

// Close stops looking, and waits for it.
func (w *Watch) Close() error {
	w.cancel()
	w.stopped.Wait()
	for _, s := range w.engines {
		s.Close()
	}
	for _, p := range slices.Concat(w.extras, w.found) {
		p.c.close()
	}
	return nil
}

func (w *Watch) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	w.look(time.Now())
	close(w.first)
	for {
		w.exporters(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look(time.Now())
		case <-w.turned:
			w.replace()
			w.publish()
		}
	}
}

// look finds the engines once and publishes what is there.
func (w *Watch) look(now time.Time) {
	if w.o.Servers != nil {
		servers, err := w.o.Servers()
		p := &processes{servers: servers}
		if err != nil {
			p.unseen = err.Error()
		}
		w.procs.Store(p)
	}
	servers := w.procs.Load().servers
	known := func(s *Scraper) bool { return s.seen.Load() }
	// The guess at the default port is for a host where there has been nothing yet.
	if len(w.o.URLs) > 0 || len(servers) > 0 || !slices.ContainsFunc(w.engines, known) {
		for _, address := range Find(w.o.URLs, servers, w.guess) {
			s, err := w.engine(address)
			if err != nil {
				continue // the given ones have been checked in Open, and a found address is host:port
			}
			w.wanted[s] = now
		}
	}
	another := slices.ContainsFunc(w.engines, func(s *Scraper) bool { return w.wanted[s].Equal(now) })
	w.engines = slices.DeleteFunc(w.engines, func(s *Scraper) bool {
		idle := now.Sub(w.wanted[s])
		if !another || idle == 0 || known(s) && (idle < goneAfter || s.Status().State.Answers()) {
			return false
		}
		delete(w.wanted, s)
		s.Close()
		return true
	})
	if len(w.o.URLs) == 0 {
		slices.SortStableFunc(w.engines, func(a, b *Scraper) int {
			return portNumber(a.c.place.base.Host) - portNumber(b.c.place.base.Host)
		})
	}
	w.identify()
	w.replace()
	w.publish()
}

// identify asks the engines that nobody has read yet, all at once, which they are.
func (w *Watch) identify() {
	ctx, cancel := context.WithTimeout(context.Background(), identifyWithin)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range w.fresh {
		if s.fixed || s.settled {
			continue
		}
		all.Go(func() {
			if d := s.identify(ctx); d != nil {
				s.turned.Store(d)
			}
		})
	}
	all.Wait()
	w.fresh = nil
}

// replace puts a successor in the place of each engine that has turned out to be another.
func (w *Watch) replace() {
	for i, s := range w.engines {
		d := s.turned.Load()
		if d == nil {
			continue
		}
		n, err := s.successor(d, w.o.Access)
		if err != nil {
			continue // what it was made of has been checked; it is tried again
		}
		w.engines[i] = n
		w.wanted[n] = w.wanted[s]
		delete(w.wanted, s)
		s.Close()
	}
}

// dialectOf gives the dialect that the engine at an address is read with at first, and the process that says so, 0 if it is
// a guess.
func (w *Watch) dialectOf(server func() (Server, bool, string)) (d *dialect.Dialect, pid int) {
	if srv, ok, _ := server(); ok && w.o.Dialect == nil {
		if d, ok := dialect.Named(srv.Dialect); ok {
			return d, srv.PID
		}
	}
	return w.guess, 0
}

func (w *Watch) publish() {
	p := &published{engines: slices.Clone(w.engines)}
	for _, s := range w.engines {
		p.sources = append(p.sources, s)
	}
	for _, x := range slices.Concat(w.extras, w.found) {
		p.sources = append(p.sources, x)
	}
	w.now.Store(p)
}

// engine gives the scraper for an address, a new one if there is none yet.
func (w *Watch) engine(address string) (*Scraper, error) {
	p, err := parsePlace(address)
	if err != nil {
		return nil, err
	}
	for _, s := range w.engines {
		if s.c.place.instance == p.instance {
			return s, nil
		}
	}
	here := onThisHost(p)
	server := func() (Server, bool, string) {
		procs := w.procs.Load()
		// On a host with several addresses two servers may have the same port: then the address decides.
		i := slices.IndexFunc(procs.servers, func(srv Server) bool { return srv.serves(p, false) })
		if i < 0 {
			i = slices.IndexFunc(procs.servers, func(srv Server) bool { return srv.serves(p, here) })
		}
		if i < 0 {
			return Server{}, false, procs.unseen
		}
		return procs.servers[i], true, procs.unseen
	}
	d, pid := w.dialectOf(server)
	s, err := newScraper(p, d, w.o.Access, server)
	if err != nil {
		return nil, err
	}
	s.fixed, s.judged, s.settled = w.o.Dialect != nil, pid, pid != 0
	if i := slices.IndexFunc(w.o.Known, func(k Known) bool { return k.Instance == p.instance }); i >= 0 {
		k := w.o.Known[i]
		s.known = &k
		w.o.Known = slices.Delete(w.o.Known, i, i+1) // one that comes again later has another history
	}
	s.onTurn = func() {
		select {
		case w.turned <- struct{}{}:
		default: // it is on its way already
		}
	}
	w.engines, w.fresh = append(w.engines, s), append(w.fresh, s)
	return s, nil
}

// exporters tries the well-known ones that are not there yet, once a minute, and drops those that have gone.
func (w *Watch) exporters(ctx context.Context, now time.Time) {
	if w.o.NoExporters || now.Sub(w.tried) < exporterEvery {
		return
	}
	w.tried = now
	before := len(w.found)
	w.found = slices.DeleteFunc(w.found, func(p *page) bool {
		last := p.lastOK.Load()
		return last == nil || now.Sub(*last) > goneAfter
	})
	changed := len(w.found) != before
	for _, e := range exporters() {
		known := func(p *page) bool { return "http://"+p.instance+"/metrics" == e.address }
		if slices.ContainsFunc(w.found, known) || slices.ContainsFunc(w.extras, known) {
			continue
		}
		if p, ok := tryExporter(ctx, e); ok {
			w.found, changed = append(w.found, p), true
		}
	}
	if changed {
		w.publish()
	}
}
