package gpu

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"

	"pitwall/probes"
)

// gpu is one physical GPU: its identity, the last answer to every call, and the calls under way.
type gpu struct {
	c     *Collector
	lib   Library
	index int

	mu sync.Mutex // guards everything below
	// dev and base (the labels of every series) are there once the GPU is identified; until then doing is the call that
	// is under way and err why the last attempt failed.
	dev     Device
	base    []*dto.LabelPair
	doing   step
	err     error
	facts   map[string]string
	answers map[call]*answer
	// stuck is the number of calls that were left behind and have not come back.
	stuck int
	lost  time.Time // zero while the GPU is there
	xid   int       // the last XID, 0 for none
	// mig says whether the GPU is cut up; known after the first answer.
	mig, migKnown bool
	parts         []part
	cache         map[string][]*dto.LabelPair
	spells        map[string]spell // of throttling under way, by reason
}

// part is a MIG instance with its labels.
type part struct {
	Instance
	base []*dto.LabelPair
}

// call identifies what is asked: a field, of the GPU (whole) or of a MIG GPU instance.
type call struct {
	field    *field
	instance int
}

const whole = -1

// answer is how a call stands.
type answer struct {
	last    *reading // the last good one, nil for none
	err     error    // of the last call, nil if it went well
	tried   time.Time
	calling time.Time // since when a call is under way; zero for none
	behind  bool      // nobody waits for it any more
	told    bool      // its hanging was made an event
}

const (
	// patience is how long the calls behind one wait for it. Leaving a call behind costs nothing if it does answer, so
	// this may be short.
	patience = 500 * time.Millisecond
	// maxStuck limits the threads that a driver which answers nothing can hold, per GPU.
	maxStuck = 4
	// retryIdentify is the pause after a failed attempt to find out which GPU it is.
	retryIdentify = 10 * time.Second
)

func newGPU(c *Collector, lib Library, i int) *gpu {
	return &gpu{c: c, lib: lib, index: i, facts: map[string]string{}, answers: map[call]*answer{},
		cache: map[string][]*dto.LabelPair{}, spells: map[string]spell{}}
}

// run reads the GPU until the Collector is closed. It calls first once, when everything was read once or given up.
func (g *gpu) run(first func()) {
	var once sync.Once
	giveUp := time.AfterFunc(hangs, func() { once.Do(first) })
	defer giveUp.Stop()
	defer once.Do(first)
	ctx := g.c.ctx
	for !g.identify() {
		once.Do(first)
		if !sleep(ctx, retryIdentify) {
			return
		}
	}
	if ctx.Err() != nil {
		return
	}
	// Whether it is cut up decides whom the other calls ask.
	g.pass(g.c.cuts, slow)
	var loops, passed sync.WaitGroup
	for _, every := range []time.Duration{fast, medium, slow} {
		loops.Add(1)
		passed.Add(1)
		go func() {
			defer loops.Done()
			g.loop(every, passed.Done)
		}()
	}
	passed.Wait()
	once.Do(first)
	loops.Wait()
}

// identify finds out which GPU this is and tells whether it could.
func (g *gpu) identify() bool {
	asking := func(name string) {
		g.mu.Lock()
		g.doing = step{name, time.Now()}
		g.mu.Unlock()
	}
	asking("nvmlDeviceGetHandleByIndex")
	dev, err := g.lib.Device(g.index)
	var id [3]string
	if err == nil {
		for i, s := range []struct {
			call string
			read func() (string, error)
		}{{"nvmlDeviceGetName", dev.Name}, {"nvmlDeviceGetUUID", dev.UUID}, {"nvmlDeviceGetPciInfo", dev.PCIBusID}} {
			asking(s.call)
			var e error
			// A GPU without a name is still worth reading; a lost one is not.
			if id[i], e = s.read(); e != nil && !permanent(e) {
				err = e
				break
			}
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.doing = step{}
	before := g.err
	g.err = err
	if errors.Is(err, ErrGPULost) && before == nil {
		g.c.event(g.eventNow("gpu.lost", probes.Critical, fmt.Sprintf("GPU %d is lost", g.index), nil))
	}
	if err != nil {
		return false
	}
	g.dev = dev
	n := strconv.Itoa(g.index)
	g.base = with(nil, "gpu", n, "UUID", id[1], "pci_bus_id", id[2], "device", "nvidia"+n, "modelName", id[0],
		"Hostname", g.c.hostname)
	for k, v := range map[string]string{"name": id[0], "uuid": id[1], "pci": id[2]} {
		if v != "" {
			g.facts[k] = v
		}
	}
	return true
}

// loop makes the calls of one cadence.
func (g *gpu) loop(every time.Duration, passed func()) {
	var mine []*field
	if every == slow {
		mine = append(mine, g.c.cuts...)
	}
	for _, f := range g.c.fields {
		if f.every == every || every == slow && f.every > slow {
			mine = append(mine, f)
		}
	}
	for {
		began := time.Now()
		g.pass(mine, every)
		if passed != nil {
			passed()
			passed = nil
		}
		if !sleep(g.c.ctx, time.Until(g.c.due(began, every))) {
			return
		}
	}
}

// lead is how long before a pull is expected the fast calls are made for it.
const lead = 100 * time.Millisecond

// due tells when the pass after the one that began then is due. The fast one comes shortly before the next pull: two
// clocks of the same period that know nothing of each other hand out one reading twice and the next one never.
func (c *Collector) due(began time.Time, every time.Duration) time.Time {
	next := began.Add(every)
	c.mu.Lock()
	pull := c.lastPull
	c.mu.Unlock()
	if every != fast || pull.IsZero() || began.Sub(pull) > 3*every {
		return next
	}
	// From half a cadence after the last pass on, the first moment that is a whole number of cadences and the lead away
	// from the last pull.
	earliest := began.Add(every / 2)
	n := earliest.Sub(pull.Add(-lead)) / every
	return pull.Add(-lead).Add((n + 1) * every)
}

// finish takes the answer of a call.
func (g *gpu) finish(k call, a *answer, r *reading, err error) {
	g.mu.Lock()
	var events []probes.Event
	if a.told {
		events = append(events, g.eventNow("gpu.hang", probes.Note, fmt.Sprintf("%s%s has answered after %d s", k.field.call,
			g.place(k), int(r.at.Sub(a.calling).Seconds())), map[string]string{"call": k.field.call, "over": "true"}))
	}
	if a.behind {
		g.stuck--
	}
	a.calling, a.behind, a.told = time.Time{}, false, false
	lost := !g.lost.IsZero()
	switch {
	case errors.Is(err, ErrGPULost):
		a.err = err
		if !lost {
			events = append(events, g.lose(r.at, k.field.call))
		}
	case lost && (k.field != g.c.probe || err != nil):
		// From before it was lost, or it still is.
	case err != nil:
		a.err = err
	default:
		if lost {
			g.lost = time.Time{}
			events = append(events, g.eventNow("gpu.back", probes.Warning,
				fmt.Sprintf("GPU %d answers again", g.index), nil))
		}
		a.err, a.last = nil, r
		for name, v := range r.facts {
			g.facts[name] = v
		}
		if r.mask != nil {
			events = append(events, g.spellsAt(*r.mask, r.at)...)
		}
		if r.cut != nil {
			g.cutTo(*r.cut)
		}
		if r.instances != nil {
			g.setParts(*r.instances)
		}
	}
	g.mu.Unlock()
	for _, e := range events {
		g.c.event(e)
	}
}

// lose forgets what was known of a GPU that has fallen off the bus. g.mu is held.
func (g *gpu) lose(at time.Time, call string) probes.Event {
	g.lost = at
	clear(g.spells)
	for _, a := range g.answers {
		a.last = nil
		if !permanent(a.err) {
			a.err = nil
		}
	}
	return g.eventNow("gpu.lost", probes.Critical, fmt.Sprintf("GPU %d is lost, says %s", g.index, call),
		map[string]string{"call": call})
}

// cutTo takes whether MIG is on. A change of it changes what the GPU can answer, so what could not work may work now.
// g.mu is held.
func (g *gpu) cutTo(on bool) {
	if g.migKnown && g.mig != on {
		for _, a := range g.answers {
			if permanent(a.err) {
				a.err = nil
			}
		}
	}
	g.mig, g.migKnown = on, true
	g.facts["mig"] = map[bool]string{true: "on", false: "off"}[on]
	if !on {
		g.setParts(nil)
	}
}

// setParts takes the MIG instances that exist. Where several compute instances share a GPU instance, and so its memory,
// the first stands for it. g.mu is held.
func (g *gpu) setParts(instances []Instance) {
	parts := make([]part, 0, len(instances))
	for _, in := range instances {
		if g.partOf(parts, in.GPUInstance) {
			continue
		}
		parts = append(parts, part{in, with(g.base, "GPU_I_ID", strconv.Itoa(in.GPUInstance), "GPU_I_PROFILE", in.Profile)})
	}
	g.parts = parts
	for k := range g.answers {
		if k.instance != whole && !g.partOf(parts, k.instance) {
			delete(g.answers, k)
		}
	}
	for name := range g.facts {
		if strings.HasPrefix(name, "mig/") {
			delete(g.facts, name)
		}
	}
	for _, p := range parts {
		at := "mig/" + strconv.Itoa(p.GPUInstance) + "/"
		g.facts[at+"profile"], g.facts[at+"uuid"] = p.Profile, p.UUID
	}
}

func (g *gpu) partOf(parts []part, instance int) bool {
	for _, p := range parts {
		if p.GPUInstance == instance {
			return true
		}
	}
	return false
}

// place says where a call goes, as in "nvmlDeviceGetPcieThroughput on GPU 3".
func (g *gpu) place(k call) string {
	s := " on GPU " + strconv.Itoa(g.index)
	if k.instance != whole {
		s += ", MIG instance " + strconv.Itoa(k.instance)
	}
	return s
}

func (g *gpu) eventNow(kind string, sev probes.Severity, title string, attrs map[string]string) probes.Event {
	all := map[string]string{"gpu": strconv.Itoa(g.index)}
	for k, v := range attrs {
		all[k] = v
	}
	return probes.Event{Time: time.Now(), Kind: kind, Subject: "gpu/" + strconv.Itoa(g.index), Severity: sev, Title: title,
		Attrs: all}
}

// maxCache limits the label sets kept per GPU; there are some thirty.
const maxCache = 256

// extended gives base with the extra labels, from the cache if they were asked for before.
func (g *gpu) extended(base []*dto.LabelPair, instance bool, extra []string) []*dto.LabelPair {
	if instance {
		return with(base, extra...)
	}
	key := strings.Join(extra, "\x00")
	g.mu.Lock()
	defer g.mu.Unlock()
	labels, ok := g.cache[key]
	if !ok {
		if len(g.cache) >= maxCache {
			clear(g.cache)
		}
		labels = with(base, extra...)
		g.cache[key] = labels
	}
	return labels
}

// sleep waits and tells whether ctx still holds.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
