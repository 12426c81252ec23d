package sessions

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pitwall/probes"
)

const (
	// settle is how long a tick waits for its sources before what has arrived is stored and shown. What comes later is
	// stored, under its own tick, as soon as it comes.
	settle = 400 * time.Millisecond
	// pullTimeout ends a pull. It is long because a busy vLLM answers late, and late is a reading, too.
	pullTimeout = 15 * time.Second
	// memoryBlocks is how many stored blocks stay in memory: quarter of an hour, the windows that are looked at most.
	memoryBlocks = 8
	// unstoredBlocks is how many blocks wait for a disk that doesn't take them; then the oldest is given up.
	unstoredBlocks = 30
	// reopenEvery is how often a session that could not be stored is tried again.
	reopenEvery = 10 * time.Second
)

// Recorder pulls sources and keeps what they give. It implements Reader.
//
// What is delivered: every reading that arrives within half a minute of its tick is in the session, in the order of its
// ticks, stored at most a second after it arrived. A reading that comes later, or a sample that is not newer than its
// series, is dropped and counted in Info.Dropped. When the disk doesn't take what is written, readings wait in memory, an
// hour of them at most, and the screen goes on.
type Recorder struct {
	*asker
	opt  Options
	id   string
	path string

	pulls    map[[2]string]*pull
	results  chan pulled
	clock    clock
	keeper   timekeeper
	tick     int64 // the tick under way
	out      int   // pulls of this tick that have not come back
	groups   []group
	redacted map[string]string // what redact has seen
	secrets  map[string]bool   // what secretPath has seen
	codec    journalCodec
	epoch    bool
	seq      int64
	written  struct{ names, series int } // how much of head has gone to a batch
	stored   int64                       // blocks before this one went to a batch

	version   atomic.Uint64
	dropped   atomic.Uint64
	simulated atomic.Bool
	wantAll   atomic.Bool  // the file was lost: the next tick hands over everything that is in memory
	offset    atomic.Int64 // the host's clock minus the session's, milliseconds, as it was told

	mu      sync.Mutex           // guards the next
	refused map[[2]string]uint64 // samples without a series, by job and instance
	w       *writer
	pending *batch
	lock    *lockFile
	alone   *lockFile // never changes
	trouble string
	bytes   int64
	started int64
	ended   int64
	over    bool // nothing is taken any more

	kick    chan struct{} // wakes the writer
	stop    context.CancelFunc
	stopped sync.WaitGroup
	closing sync.Once
	closed  error
}

// NewRecorder makes a recorder that is driven by hand: nothing happens but in Tick.
func NewRecorder(o Options) (*Recorder, error) {
	r := newRecorder(o)
	r.id = newID(time.Now())
	if o.Dir == "" {
		r.trouble = "recording into memory only"
		return r, nil
	}
	r.path = filepath.Join(o.Dir, r.id+Extension)
	if err := r.create(); err != nil {
		return nil, err
	}
	return r, nil
}

func newRecorder(o Options) *Recorder {
	if o.Host == "" {
		o.Host, _ = os.Hostname()
	}
	if o.SeriesPerTarget == 0 {
		o.SeriesPerTarget = 30_000
	}
	if o.SeriesPerSession == 0 {
		o.SeriesPerSession = 100_000
	}
	if o.clocks == nil {
		o.clocks = readClocks
	}
	if o.disks == nil {
		o.disks = kernelDisks()
	}
	if o.Sources == nil {
		o.Sources = func() []probes.Source { return nil }
	}
	r := &Recorder{
		asker: newAsker(newHead(), nil, newLedger()), opt: o, pulls: map[[2]string]*pull{}, redacted: map[string]string{}, secrets: map[string]bool{},
		results: make(chan pulled, 64), kick: make(chan struct{}, 1), epoch: true,
		refused: map[[2]string]uint64{}, pending: &batch{meta: map[string]string{}}, stop: func() {},
	}
	r.tail = newTail(r.rows)
	r.tail.begin = func(run uint32) uint32 { return r.archive.Load().lastPlace(run) }
	r.simulated.Store(o.Simulated)
	r.changed = func() { r.version.Add(1) }
	return r
}

func newID(now time.Time) string {
	var b [2]byte
	rand.Read(b[:]) //nolint:errcheck // it never fails (crypto/rand)
	return now.UTC().Format("20060102-150405-") + hex.EncodeToString(b[:])
}

// create makes the session's file and takes its lock.
func (r *Recorder) create() error {
	if on := r.opt.disks.network(r.opt.Dir); on != "" {
		return networkError(r.opt.Dir, on)
	}
	w, err := createFile(r.path)
	for try := 1; errors.Is(err, fs.ErrExist) && try < 4; try++ { // another recorder began in this second, and drew the same
		r.mu.Lock()
		r.id = newID(time.Now())
		r.path = filepath.Join(r.opt.Dir, r.id+Extension)
		r.mu.Unlock()
		w, err = createFile(r.path)
	}
	if err != nil {
		return err
	}
	lock, err := lockSession(r.path)
	var a *archive
	if err == nil { // before anything else, so that it has a name whenever its recorder is killed
		err = w.commit(context.Background(), &batch{meta: map[string]string{"id": r.id, "name": r.opt.Name, "host": r.opt.Host}})
	}
	if err == nil {
		a, err = openArchive(r.path)
	}
	if err != nil {
		lock.release() // else the next try would find a recorder that lives: this one
		w.db.Close()
		os.Remove(r.path)
		return err
	}
	r.archive.Store(a)
	r.mu.Lock()
	r.w, r.lock, r.trouble = w, lock, ""
	maps.Copy(r.pending.meta, map[string]string{ // what may have changed since the lines above
		"id": r.id, "name": r.opt.Name, "host": r.opt.Host, "started": strconv.FormatInt(r.started, 10),
		"simulated": strconv.FormatBool(r.simulated.Load()),
	})
	r.mu.Unlock()
	return nil
}

// Record starts a new session and pulls its sources until Close or Detach. A session that can't be stored is not an
// error: the recorder goes on in memory, says so in Info, and tries again.
func Record(ctx context.Context, o Options) (*Recorder, error) {
	r := newRecorder(o)
	r.id = newID(time.Now())
	if o.Dir == "" {
		r.trouble = "recording into memory only"
	} else {
		var err error
		if r.alone, err = r.aloneLock(); err != nil {
			return nil, err
		}
		r.path = filepath.Join(o.Dir, r.id+Extension)
		if err := r.create(); err != nil {
			r.trouble = r.troubleOf(err)
		}
	}
	r.start(ctx, 0, nil)
	return r, nil
}

func networkError(dir, fs string) error {
	return fmt.Errorf("the sessions directory %s is on %s, where SQLite's journal is not safe: give one on a local disk", dir, fs)
}

// aloneLock takes the lock that Options.Alone asks for; nil without.
func (r *Recorder) aloneLock() (*lockFile, error) {
	if r.opt.Alone == "" || r.opt.Dir == "" || r.opt.disks.network(r.opt.Dir) != "" {
		return nil, nil
	}
	return aloneLock(r.opt.Dir, r.opt.Alone)
}

// Resume goes on with a session whose recorder is gone without having ended it. ErrRecording if there is one that lives.
func Resume(ctx context.Context, path string, o Options) (*Recorder, error) {
	r := newRecorder(o)
	if fs := r.opt.disks.network(filepath.Dir(path)); fs != "" {
		return nil, networkError(filepath.Dir(path), fs)
	}
	lock, err := lockSession(path)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Recorder, error) {
		lock.release()
		r.alone.release()
		return nil, err
	}
	if r.alone, err = r.aloneLock(); err != nil {
		return fail(err)
	}
	a, err := openArchive(path)
	if err != nil {
		return fail(err)
	}
	m, err := r.load(a)
	if err == nil && m["ended"] != "" {
		err = fmt.Errorf("session %s was ended at %s: start a new one", m["id"], timeOf(metaInt(m, "ended")).Format(time.DateTime))
	}
	if err != nil {
		a.db.Close()
		return fail(err)
	}
	w, err := openWriter(path)
	if err == nil {
		if err = w.upgrade(); err == nil {
			err = a.look(a.db)
		}
		if err != nil {
			w.db.Close()
		}
	}
	if err != nil {
		a.db.Close()
		return fail(err)
	}
	r.archive.Store(a)
	r.w, r.lock, r.path = w, lock, path
	r.id, r.opt.Name, r.started = m["id"], m["name"], metaInt(m, "started")
	if r.id == "" { // what it said of itself is lost
		r.id = strings.TrimSuffix(filepath.Base(path), Extension)
		r.pending.meta["id"] = r.id
	}
	r.simulated.Store(o.Simulated || m["simulated"] == "true")
	r.pending.meta["simulated"] = strconv.FormatBool(r.simulated.Load())
	last := r.head.last
	r.written.names, r.written.series = len(r.head.names), len(r.head.series)
	// Nothing is known yet about sources of the past: their series, facts and reasons end where the recording did.
	r.pending.notes = r.ledger.end(last + 1)
	r.breakOff(whyDied)
	r.stored = r.head.floor
	r.start(ctx, last, m)
	return r, nil
}

// load takes in what a file holds, and gives what it says of itself.
func (r *Recorder) load(a *archive) (map[string]string, error) {
	var pos position
	var codec journalCodec
	m, _, err := a.load(r.head, r.ledger, r.book, &pos, &codec)
	if err != nil {
		return m, err
	}
	// Around what is damaged all is good, and the next row begins an epoch.
	r.found(pos.wounds...)
	r.seq = pos.journal
	loadBounds(r.head, m)
	r.forgot.Store(metaInt(m, metaForgot))
	first, last := r.Bounds()
	for _, e := range r.Events(first.Add(-time.Second), last) {
		if e.Kind == KindDamage { // the damaged rows themselves go with the next block
			r.pending.events = append(r.pending.events, e)
		}
	}
	return m, nil
}

// start begins ticking on the whole second, after the tick last; meta is what the session says of itself if it has been
// recorded before.
func (r *Recorder) start(ctx context.Context, last int64, meta map[string]string) {
	r.clock = startClock(r.opt.clocks, last, meta)
	r.keeper.told = metaInt(meta, "offset")
	r.mu.Lock()
	r.pending.meta["clock"] = r.clock.text()
	r.mu.Unlock()
	r.look(r.clock.anchor)
	if last != 0 {
		if r.tick = last; r.clock.base-last < gapAfter { // else the first tick tells
			r.tellGap(last, r.clock.base, "nobody recorded")
		}
		r.keeper.cause = "nobody recorded"
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.stopped.Add(2)
	go func() { defer r.stopped.Done(); r.run(ctx, last) }()
	go func() { defer r.stopped.Done(); r.write(ctx) }()
}

func (r *Recorder) run(ctx context.Context, last int64) {
	const ms = int64(Tick / time.Millisecond)
	// The first tick is the second that has just begun, unless it is half over: then the next is nearer.
	now := r.clock.now()
	next := now - now%ms
	if now%ms > ms/2 || next <= last {
		next += ms
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	settled := time.NewTimer(time.Hour)
	defer settled.Stop()
	wait := func() { timer.Reset(time.Duration(next-r.clock.now()) * time.Millisecond) }
	wait()
	late := last != 0 // the tick under way has been stored; what still comes is stored at once
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			m := r.clock.read()
			now := r.clock.at(m)
			if now < next {
				wait()
				continue
			}
			if r.tick != last { // the first tick after a pause between two recorders has its cause already
				r.look(m)
			}
			t := max(next, now-now%ms) // ticks that were slept through are a gap
			if !late && r.tick != 0 {
				r.flush()
			}
			r.begin(ctx, t)
			late = false
			settled.Reset(settle)
			next = t + ms
			wait()
			if r.out == 0 {
				r.flush()
				late = true
			}
		case got := <-r.results:
			r.take(got)
			if late || r.out == 0 {
				r.flush()
				late = true
			}
		case <-settled.C:
			if !late {
				r.flush()
				late = true
			}
		}
	}
}

// Tick pulls everything that is due at t, waits for it, and stores it. It is for recorders made by NewRecorder.
func (r *Recorder) Tick(ctx context.Context, t time.Time) error {
	r.begin(ctx, msOf(t))
	for r.out > 0 {
		r.take(<-r.results)
	}
	r.flush()
	r.store(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trouble != "" && r.opt.Dir != "" {
		return errors.New(r.trouble)
	}
	return nil
}

// flush makes the tick visible and hands what it brought to the writer.
func (r *Recorder) flush() {
	h := r.head
	h.mu.Lock()
	if h.first == 0 {
		h.first = r.tick
	}
	h.last = max(h.last, r.tick)
	groups := r.groups
	r.groups = nil
	names, all := r.unwritten()
	h.mu.Unlock()

	if r.wantAll.Load() {
		r.handOverAll()
		return
	}
	row, err := r.codec.encode(nil, r.epoch, groups)
	r.mu.Lock()
	if err != nil {
		r.trouble = err.Error()
		r.epoch = true // no row tells readers which values the half-encoded one left behind
	} else {
		r.epoch = false
		r.seq++
		r.pending.rows = append(r.pending.rows, journalRow{seq: r.seq, t: r.tick, data: row})
	}
	r.pending.names = append(r.pending.names, names...)
	r.pending.series = append(r.pending.series, all...)
	r.mu.Unlock()
	r.version.Add(1)
	r.wake()
}

// handOverAll is flush for a file that is begun anew.
func (r *Recorder) handOverAll() {
	b, err := r.everything()
	r.mu.Lock()
	if err != nil {
		r.trouble = "beginning the session's file anew: " + err.Error()
		r.epoch = true
	} else {
		r.epoch = false
		b.runs = r.book.encoded() // only now: nothing is put meanwhile
		r.pending = b
		r.wantAll.Store(false)
	}
	r.mu.Unlock()
	r.version.Add(1)
	r.wake()
}

// count puts into meta how much there must be in the file, so that what is lost without a trace is missed. The caller holds
// head.mu, and all names and series are in this batch or an earlier one.
func (r *Recorder) count(meta map[string]string) {
	meta["names"], meta["series"] = strconv.Itoa(len(r.head.names)), strconv.Itoa(r.written.series)
}

// unwritten gives copies of the names and series that no batch holds yet. The caller holds head.mu.
func (r *Recorder) unwritten() ([]*name, []*series) {
	var names []*name
	for _, n := range r.head.names {
		if n.unwritten {
			n.unwritten = false
			names = append(names, &name{id: n.id, name: n.name, typ: n.typ, help: n.help, unit: n.unit})
		}
	}
	all := r.head.series[r.written.series:]
	r.written.series = len(r.head.series)
	return names, all
}

// finishBlock hands the finished chunks to the writer and forgets what is stored and old. The journal begins anew. The
// caller holds head.mu, and has cut.
func (r *Recorder) finishBlock() {
	rows := blockRows(r.head, r.stored)
	r.stored = r.head.block
	r.epoch = true
	r.mu.Lock()
	p := r.pending
	p.blocks, p.dropJournal, p.rows = append(p.blocks, rows...), true, nil
	p.meta["last"] = strconv.FormatInt(r.head.last, 10)
	p.meta["first"] = strconv.FormatInt(r.head.first, 10)
	p.meta["seq"] = strconv.FormatInt(r.seq, 10)
	r.count(p.meta)
	oldest := r.head.block
	waiting := map[int64]bool{} // blocks, not the time that they span: a gap in the recording takes no room
	for _, b := range p.blocks {
		waiting[b.block()] = true
	}
	if starts := slices.Sorted(maps.Keys(waiting)); len(starts) > 0 {
		oldest = min(oldest, starts[max(0, len(starts)-unstoredBlocks)])
		kept := slices.DeleteFunc(p.blocks, func(b blockRow) bool { return b.block() < oldest })
		r.dropped.Add(uint64(len(p.blocks) - len(kept)))
		p.blocks = kept
	}
	r.mu.Unlock()
	keep := int64(memoryBlocks)
	if r.opt.Dir == "" {
		keep = unstoredBlocks
	}
	r.head.forget(min(oldest, r.head.block-keep*blockSpan))
	if r.archive.Load() == nil { // what memory forgets is nowhere
		r.head.first = max(r.head.first, r.head.floor)
	}
}
