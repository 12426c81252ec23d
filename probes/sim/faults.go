package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind names a fault, as schedules, requests, the truth and the help write it.
type Kind string

// The faults there are. Catalogue says what each does.
const (
	Crash          Kind = "crash"
	Hang           Kind = "hang"
	SlowSteps      Kind = "slow-steps"
	Error5xx       Kind = "error-5xx"
	ErrorInStream  Kind = "error-in-stream"
	CutStream      Kind = "cut-stream"
	StalledStream  Kind = "stalled-stream"
	StaleGauges    Kind = "stale-gauges"
	CounterReset   Kind = "counter-reset"
	SlowMetrics    Kind = "slow-metrics"
	HugeMetrics    Kind = "huge-metrics"
	XID            Kind = "xid"
	Thermal        Kind = "thermal"
	PowerLimit     Kind = "power"
	GPULost        Kind = "gpu-lost"
	ECC            Kind = "ecc"
	MemoryLeak     Kind = "memory-leak"
	OOM            Kind = "oom"
	ForeignTraffic Kind = "foreign-traffic"
)

// Fault is one thing that goes wrong. Times and durations are simulated ones. What a field means, and what stands for a
// zero, is in the Catalogue; a field that a kind does not take must be zero.
type Fault struct {
	Kind Kind
	// At is when it begins, counted from when the simulation began to serve; For is how long it lasts, 0 for a moment.
	At, For time.Duration
	// Engine is which of several simulated engines it happens to, from 0: see Options.Engine.
	Engine int

	GPU    int           // card, from 0
	Factor float64       // of slow-steps: how many times longer
	Status int           // of error-5xx: the HTTP status
	Share  float64       // share of the requests that it meets, 0 to 1
	After  int           // tokens that a stream gives before
	Delay  time.Duration // of slow-metrics
	Series int           // of huge-metrics
	Code   int           // of xid
	Watts  float64       // of power: the limit in force
	MHz    float64       // of thermal: the SM clock that is left
	Count  int           // of ecc: errors
	Double bool          // of ecc: they cannot be corrected
	Failed bool          // of ecc: no spare row was left
	Rate   float64       // of memory-leak: bytes/s; of foreign-traffic: requests/s
}

// scope says what a fault can be asked for by.
type scope int

const (
	bySchedule scope = 1 << iota
	byRequest
	moment // it has no length
)

// Entry describes a kind of fault.
type Entry struct {
	Kind Kind
	// What it does, and its parameters with their defaults.
	What, Params string
	// ByRequest is whether a request may ask for it; every kind can stand in a schedule.
	ByRequest bool
	// Moment is whether it happens at one time and takes no "for".
	Moment bool

	fields   []string
	defaults Fault
}

// Catalogue lists every fault.
func Catalogue() []Entry {
	entry := func(k Kind, s scope, what, params string, defaults Fault, fields ...string) Entry {
		return Entry{Kind: k, What: what, Params: params, ByRequest: s&byRequest != 0, Moment: s&moment != 0, fields: fields, defaults: defaults}
	}
	const both = bySchedule | byRequest
	return []Entry{
		entry(Crash, both, "the engine's process dies: streams end in an error, then connections are refused; after \"for\" it is back, counters at zero", "for 20s", Fault{For: 20 * time.Second}),
		entry(Hang, both, "no step ends; /health still says 200", "for 20s", Fault{For: 20 * time.Second}),
		entry(SlowSteps, both, "every step takes longer; asked for by a request, those that it is part of", "for 30s, factor 4", Fault{For: 30 * time.Second, Factor: 4}, "factor"),
		entry(Error5xx, both, "requests are refused with an HTTP status", "for 20s, status 500, share 1", Fault{For: 20 * time.Second, Status: 500, Share: 1}, "status", "share"),
		entry(ErrorInStream, both, "an answer with status 200 ends in an error event and [DONE]", "for 20s, after 5 tokens, share 1", Fault{For: 20 * time.Second, After: 5, Share: 1}, "after", "share"),
		entry(CutStream, both, "the connection breaks in the middle of an event", "for 20s, after 5 tokens, share 1", Fault{For: 20 * time.Second, After: 5, Share: 1}, "after", "share"),
		entry(StalledStream, both, "an answer stops after some tokens; by a request it goes on after \"for\", by a schedule at the fault's end", "for 20s, after 5 tokens, share 1", Fault{For: 20 * time.Second, After: 5, Share: 1}, "after", "share"),
		entry(StaleGauges, bySchedule, "the gauges of the queue and the cache stand still, counters go on", "for 30s", Fault{For: 30 * time.Second}),
		entry(CounterReset, bySchedule|moment, "all counters of the engine fall to zero, without a restart; those of its HTTP server and process go on", "", Fault{}),
		entry(SlowMetrics, bySchedule, "/metrics answers late", "for 30s, delay 3s", Fault{For: 30 * time.Second, Delay: 3 * time.Second}, "delay"),
		entry(HugeMetrics, bySchedule, "/metrics has many more series", "for 30s, series 100000", Fault{For: 30 * time.Second, Series: 100000}, "series"),
		entry(XID, bySchedule|moment, "the driver reports an XID", "gpu 0, code 31", Fault{Code: 31}, "gpu", "code"),
		entry(Thermal, bySchedule, "a GPU gets hot and its clocks are held down for it; steps take longer", "for 60s, gpu 0, mhz 765", Fault{For: time.Minute, MHz: 765}, "gpu", "mhz"),
		entry(PowerLimit, bySchedule, "a GPU's power limit is lowered; steps that want more take longer", "for 60s, gpu 0, watts 200", Fault{For: time.Minute, Watts: 200}, "gpu", "watts"),
		entry(GPULost, bySchedule, "a GPU falls off the bus (XID 79); the engine on it crashes and is back with it", "for 30s, gpu 0", Fault{For: 30 * time.Second}, "gpu"),
		entry(ECC, bySchedule|moment, "memory errors: single ones, or double ones with a remapped row (XID 94 and 63, failed: 64)", "gpu 0, count 1, double false, failed false", Fault{Count: 1}, "gpu", "count", "double", "failed"),
		entry(MemoryLeak, bySchedule, "the engine's process grows until the fault's end, and keeps it until it restarts", "for 60s, rate 200e6 bytes/s", Fault{For: time.Minute, Rate: 200e6}, "rate"),
		entry(OOM, bySchedule, "the kernel kills the engine for lack of memory; after \"for\" it is back", "for 20s", Fault{For: 20 * time.Second}),
		entry(ForeignTraffic, bySchedule, "other people's requests come too", "for 30s, rate 4 requests/s", Fault{For: 30 * time.Second, Rate: 4}, "rate"),
	}
}

func entryOf(k Kind) (Entry, bool) {
	for _, e := range Catalogue() {
		if e.Kind == k {
			return e, true
		}
	}
	return Entry{}, false
}

// newFault is a fault with its kind's defaults.
func newFault(kind string) (Fault, Entry, error) {
	e, ok := entryOf(Kind(kind))
	if !ok {
		var names []string
		for _, e := range Catalogue() {
			names = append(names, string(e.Kind))
		}
		return Fault{}, e, fmt.Errorf("%q is no fault; there are %s", kind, strings.Join(names, ", "))
	}
	f := e.defaults
	f.Kind = e.Kind
	return f, e, nil
}

// set gives a field its value from text.
func (f *Fault) set(e Entry, name, text string) (err error) {
	switch {
	case name == "for" && e.Moment:
		return fmt.Errorf("%s happens at a moment: it takes no \"for\"", e.Kind)
	case name == "engine":
		return f.setEngine(text)
	case name != "for" && !slices.Contains(e.fields, name):
		return fmt.Errorf("%s takes no %q; it takes %s", e.Kind, name, orNothing(e.Params))
	}
	number := func(low, high float64) float64 {
		var v float64
		if v, err = strconv.ParseFloat(text, 64); err != nil || !(v >= low && v <= high) {
			err = fmt.Errorf("%s of %s: %q is not a number from %g to %g", name, e.Kind, text, low, high)
		}
		return v
	}
	whole := func(low, high float64) int {
		v := number(low, high)
		if err == nil && v != float64(int(v)) {
			err = fmt.Errorf("%s of %s: %q is not a whole number", name, e.Kind, text)
		}
		return int(v)
	}
	yes := func() bool {
		v, bad := strconv.ParseBool(text)
		if bad != nil {
			err = fmt.Errorf("%s of %s: %q is neither true nor false", name, e.Kind, text)
		}
		return v
	}
	switch name {
	case "for":
		f.For, err = span(name, text)
	case "delay":
		f.Delay, err = span(name, text)
	case "gpu":
		f.GPU = whole(0, 15)
	case "factor":
		f.Factor = number(1, 1000)
	case "status":
		f.Status = whole(400, 599)
	case "share":
		f.Share = number(0, 1)
	case "after":
		f.After = whole(0, 1e6)
	case "series":
		f.Series = whole(1, 2e6)
	case "code":
		f.Code = whole(1, 999)
	case "watts":
		f.Watts = number(boardBusyWatts+20, boardLimitWatts)
	case "mhz":
		f.MHz = number(smIdleMHz, smMaxMHz)
	case "count":
		f.Count = whole(1, 1e9)
	case "double":
		f.Double = yes()
	case "failed":
		f.Failed = yes()
	case "rate":
		f.Rate = number(1e-3, 1e12)
	}
	return err
}

func (f *Fault) setEngine(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxEngine {
		return fmt.Errorf("engine of %s: %q is not a whole number from 0 to %d", f.Kind, text, maxEngine)
	}
	f.Engine = n
	return nil
}

// maxEngine is the highest number of an engine that a schedule may name.
const maxEngine = 255

func orNothing(params string) string {
	if params == "" {
		return "nothing"
	}
	return params
}

// span reads a duration of a schedule: "90s", "2m30s", or a number of seconds.
func span(name, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		var s float64
		if s, err = strconv.ParseFloat(text, 64); err == nil {
			d = time.Duration(s * float64(time.Second))
		}
	}
	if err != nil || d < 0 || d > 1000*time.Hour {
		return 0, fmt.Errorf("%s: %q is not a length of time like 90s or 2m30s", name, text)
	}
	return d, nil
}

// params are the fields that a kind takes, as text: what the truth says of a fault.
func (f Fault) params() map[string]string {
	e, _ := entryOf(f.Kind)
	out := map[string]string{}
	for _, name := range e.fields {
		var v any
		switch name {
		case "gpu":
			v = f.GPU
		case "factor":
			v = f.Factor
		case "status":
			v = f.Status
		case "share":
			v = f.Share
		case "after":
			v = f.After
		case "delay":
			v = f.Delay
		case "series":
			v = f.Series
		case "code":
			v = f.Code
		case "watts":
			v = f.Watts
		case "mhz":
			v = f.MHz
		case "count":
			v = f.Count
		case "double":
			v = f.Double
		case "failed":
			v = f.Failed
		case "rate":
			v = f.Rate
		}
		out[name] = fmt.Sprint(v)
	}
	return out
}

// onGPU tells whether it happens to a card and not to the engine.
func (f Fault) onGPU() bool {
	e, _ := entryOf(f.Kind)
	return slices.Contains(e.fields, "gpu")
}

// stopsEngine tells whether the engine is gone while it lasts.
func (f Fault) stopsEngine() bool { return f.Kind == Crash || f.Kind == OOM || f.Kind == GPULost }
