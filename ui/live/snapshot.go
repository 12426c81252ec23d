package live

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
	"pitwall/sessions"
	"pitwall/ui/figure"
	"pitwall/ui/theme"
)

// snapshot is everything that is known of one moment. It is never changed once it is made.
type snapshot struct {
	at          time.Time // the moment; zero while nothing is recorded
	asked       time.Time // the moment that was asked about, zero for the newest tick; at is within the bounds
	first, last time.Time // the session's ticks
	gap         string    // why there is nothing at this moment, "" if there is something
	version     uint64
	info        sessions.Info
	facts       map[string]string
	absent      map[string]string
	targets     []sessions.Target
	engines     []engine
	engine      int // which of engines is shown; -1 if there is none
	values      map[string]promql.Vector
	exprs       map[string]string
	errs        map[string]string
	missing     map[string]string    // of empty answers, by query: what is not recorded
	dropped     map[string]int       // how many series of an answer were not kept, by query
	bounds      map[string][]float64 // of the buckets that percentiles are read from, by expression
	window      time.Duration        // what $w was
	gpus        []gpu
	metrics     map[string]promql.Vector // of the answers that hold many names, by name
	lastEvents  []probes.Event           // those after eventsFrom, up to the newest tick
	eventsFrom  time.Time
	runs        []sessions.Run // of load, as they are known now
}

// engine is one inference server.
type engine struct {
	instance, dialect, model, version, url string
	state                                  string
	since                                  time.Time
}

// gpu is one GPU, or one MIG instance's parent.
type gpu struct {
	index  int
	name   string
	engine string
}

// chosen gives the engine that is shown.
func (s *snapshot) chosen() (engine, bool) {
	if s == nil || s.engine < 0 || s.engine >= len(s.engines) {
		return engine{}, false
	}
	return s.engines[s.engine], true
}

// one gives the value of a query whose answer is one number.
func (s *snapshot) one(id string) figure.Value {
	if s == nil || len(s.values[id]) == 0 {
		return figure.Value{}
	}
	return figure.Of(s.values[id][0].F)
}

// labelled gives the values of a query by a label, largest first.
func (s *snapshot) labelled(id, label string) []labelledValue {
	if s == nil {
		return nil
	}
	var out []labelledValue
	for _, x := range s.values[id] {
		out = append(out, labelledValue{x.Metric.Get(label), x.F})
	}
	slices.SortFunc(out, func(a, b labelledValue) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.label, b.label))
	})
	return out
}

type labelledValue struct {
	label string
	value float64
}

// pair gives the value of the series whose label has that value.
func (s *snapshot) pair(id, label, want string) figure.Value {
	if s == nil {
		return figure.Value{}
	}
	for _, x := range s.values[id] {
		if x.Metric.Get(label) == want {
			return figure.Of(x.F)
		}
	}
	return figure.Value{}
}

// metric gives the value of a named metric of the answers that hold many, where labels has all the pairs in want.
func (s *snapshot) metric(name string, want ...string) figure.Value {
	if s == nil {
		return figure.Value{}
	}
next:
	for _, x := range s.metrics[name] {
		if x.Metric.Get("GPU_I_ID") != "" {
			continue // a MIG instance, not the GPU
		}
		for i := 0; i+1 < len(want); i += 2 {
			if x.Metric.Get(want[i]) != want[i+1] {
				continue next
			}
		}
		return figure.Of(x.F)
	}
	return figure.Value{}
}

// fact gives a fact of the chosen engine.
func (s *snapshot) fact(name string) string {
	e, ok := s.chosen()
	if !ok {
		return ""
	}
	return s.facts["engine/"+e.instance+"/"+name]
}

// number gives a fact of the chosen engine as a number.
func (s *snapshot) number(name string) figure.Value {
	return parseNumber(s.fact(name))
}

func parseNumber(t string) figure.Value {
	v, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
	if err != nil {
		return figure.Value{}
	}
	return figure.Of(v)
}

// why gives the reason for an absent metric, "" if none is known. name is a metric name; entries with labels count too.
func (s *snapshot) why(name string, want ...string) string {
	if s == nil {
		return ""
	}
	if s.gap != "" {
		return s.gap
	}
	if r, ok := s.absent[name]; ok {
		return r
	}
	best := ""
	for k, r := range s.absent {
		if !strings.HasPrefix(k, name+"{") {
			continue
		}
		all := true
		for i := 0; i+1 < len(want); i += 2 {
			all = all && strings.Contains(k, want[i]+`="`+want[i+1]+`"`)
		}
		// The map has no order; the screen must not flicker between two reasons.
		if all && (best == "" || r < best) {
			best = r
		}
	}
	return best
}

// whyQuery gives the reason for an empty answer: that of the first metric in its expression that is known to be absent,
// else that its source is silent.
func (s *snapshot) whyQuery(id string) string {
	if s == nil {
		return ""
	}
	if s.gap != "" {
		return s.gap
	}
	if e := s.errs[id]; e != "" {
		return "✗ " + e // of a panel of one's own, most likely
	}
	expr := s.exprs[id]
	best, reason := len(expr), ""
	for name, r := range s.absent {
		if i := strings.Index(expr, name); i >= 0 && (i < best || i == best && r < reason) {
			best, reason = i, r
		}
	}
	if e, ok := s.chosen(); ok && reason == "" && strings.Contains(expr, strconv.Quote(e.instance)) {
		t, ok := s.target(e.dialect, e.instance)
		switch {
		case ok && t.Late != "":
			return t.Late
		case ok && !t.Up:
			return "no answer"
		}
	}
	if reason == "" && s.early() {
		return firstReading
	}
	return reason
}

// firstReading is why there is no rate where a recording begins.
const firstReading = "a rate needs two readings"

// early tells whether the engine can't have been read twice yet at this moment.
func (s *snapshot) early() bool {
	e, ok := s.chosen()
	if !ok || s.at.IsZero() {
		return false
	}
	t, ok := s.target(e.dialect, e.instance)
	return ok && s.at.Sub(s.first) < max(t.Every, sessions.Tick)
}

// noted puts behind a unit what the engine's dialect says must be read beside a number: that it is an estimate, or late.
func (s *snapshot) noted(unit, name string) string {
	e, _ := s.chosen()
	d, ok := dialect.Named(e.dialect)
	if !ok {
		return unit
	}
	if n, ok := d.Template(name); ok && n.Note != "" {
		return unit + " " + n.Note
	}
	return unit
}

// caveats explains the numbers of an expression that are not what they seem, in the words of the engine's dialect.
func (s *snapshot) caveats(expr string) []string {
	e, _ := s.chosen()
	d, ok := dialect.Named(e.dialect)
	if !ok {
		return nil
	}
	var out []string
	for _, n := range d.Names() {
		if n.Note != "" && n.Name == strings.TrimSpace(expr) {
			out = append(out, n.Note+": "+n.Help)
		}
	}
	return out
}

// explain puts the reason beside values that are not there.
func (s *snapshot) explain(rows []row) []row {
	for i, r := range rows {
		if r.query == "" || r.text() != figure.Absent {
			continue
		}
		if reason := s.whyQuery(r.query); reason != "" {
			rows[i].note, rows[i].noteInk, rows[i].right, rows[i].gauge = reason, theme.Faint, "", figure.Value{}
		}
	}
	return rows
}

// target gives the source of a job, and of an instance if that isn't empty.
func (s *snapshot) target(job, instance string) (sessions.Target, bool) {
	if s == nil {
		return sessions.Target{}, false
	}
	for _, t := range s.targets {
		if t.Job == job && (instance == "" || t.Instance == instance) {
			return t, true
		}
	}
	return sessions.Target{}, false
}

// findEngines gathers the engines of the session: what the facts name, and what has a state.
func (s *snapshot) findEngines() {
	byInstance := make(map[string]*engine)
	at := func(instance string) *engine {
		if byInstance[instance] == nil {
			byInstance[instance] = &engine{instance: instance, dialect: "vllm"}
		}
		return byInstance[instance]
	}
	for path, v := range s.facts {
		rest, ok := strings.CutPrefix(path, "engine/")
		if !ok {
			continue
		}
		i := strings.LastIndexByte(rest, '/')
		if i <= 0 {
			continue
		}
		e := at(rest[:i])
		switch rest[i+1:] {
		case "url":
			e.url = v
		case "dialect":
			e.dialect = v
		case "version":
			e.version = v
		case "model":
			e.model = v
		}
	}
	for _, x := range s.values["state"] {
		if in := x.Metric.Get("instance"); in != "" {
			at(in).state = x.Metric.Get("state")
		}
	}
	for _, x := range s.values["state_since"] {
		if e := byInstance[x.Metric.Get("instance")]; e != nil && x.F > 0 {
			e.since = time.Unix(0, int64(x.F*1e9))
		}
	}
	for _, e := range byInstance {
		s.engines = append(s.engines, *e)
	}
	slices.SortFunc(s.engines, func(a, b engine) int { return cmp.Compare(a.instance, b.instance) })
}

// findGPUs lists the GPUs by index, from the facts and from the samples.
func (s *snapshot) findGPUs() {
	seen := make(map[int]*gpu)
	at := func(i int) *gpu {
		if seen[i] == nil {
			seen[i] = &gpu{index: i}
		}
		return seen[i]
	}
	for path, v := range s.facts {
		rest, ok := strings.CutPrefix(path, "gpu/")
		if !ok {
			continue
		}
		n, what, ok := strings.Cut(rest, "/")
		i, err := strconv.Atoi(n)
		if !ok || err != nil {
			continue
		}
		switch what {
		case "name":
			at(i).name = v
		case "engine":
			at(i).engine = v
		default:
			at(i)
		}
	}
	for _, name := range []string{"gpu_util", "gpu_power", "gpu_fb"} {
		for _, x := range s.values[name] {
			if i, err := strconv.Atoi(x.Metric.Get("gpu")); err == nil {
				g := at(i)
				g.name = cmp.Or(g.name, x.Metric.Get("modelName"))
			}
		}
	}
	for _, g := range seen {
		s.gpus = append(s.gpus, *g)
	}
	slices.SortFunc(s.gpus, func(a, b gpu) int { return cmp.Compare(a.index, b.index) })
}
