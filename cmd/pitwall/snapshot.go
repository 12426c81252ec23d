package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/spf13/cobra"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// snapshot is what --json prints.
type snapshot struct {
	// Time is when the last reading was begun, Pitwall the version that took it.
	Time      time.Time `json:"time"`
	Pitwall   string    `json:"pitwall"`
	Host      string    `json:"host"`
	Simulated bool      `json:"simulated"`
	// State is the engines' state that ExitCode stands for: the worst of all.
	State    string            `json:"state"`
	ExitCode int               `json:"exit_code"`
	Engines  []engineReading   `json:"engines"`
	GPU      []sourceReading   `json:"gpu"`
	Node     []sourceReading   `json:"node"`
	Other    []sourceReading   `json:"other"`
	Facts    map[string]string `json:"facts"`
	Absent   map[string]string `json:"absent"`
}

// sourceReading is the last reading of one source, as it came.
type sourceReading struct {
	Job      string `json:"job"`
	Instance string `json:"instance"`
	// At is when the reading was begun; TookSeconds is how long it lasted.
	At              time.Time         `json:"at"`
	TookSeconds     float64           `json:"took_seconds"`
	IntervalSeconds float64           `json:"interval_seconds"`
	Error           string            `json:"error,omitempty"`
	Samples         []sampleLine      `json:"samples"`
	Absent          map[string]string `json:"absent"`
}

// engineReading is an engine's, with what its dialect makes of it.
type engineReading struct {
	sourceReading
	URL     string     `json:"url,omitempty"`
	Dialect string     `json:"dialect"`
	Version string     `json:"version,omitempty"`
	Model   string     `json:"model,omitempty"`
	State   string     `json:"state"`
	Since   *time.Time `json:"since"`
	Reason  string     `json:"reason,omitempty"`
	// WindowSeconds is twice the time between the two readings: what $w is in Values.
	WindowSeconds float64           `json:"window_seconds"`
	Facts         map[string]string `json:"facts"`
	Values        []namedValue      `json:"values"`
}

// answered says whether anything of the engine's own was read: pitwall's series about it are there without an answer too.
func (e engineReading) answered() bool {
	return slices.ContainsFunc(e.Samples, func(s sampleLine) bool { return !strings.HasPrefix(s.Name, "pitwall_") })
}

// sampleLine is one sample with its value exactly as the source gave it.
type sampleLine struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Value  value             `json:"value"`
}

// namedValue is what one name of the dialect stands for now.
type namedValue struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Unit string `json:"unit"`
	// Value is there when the name stands for one number.
	Value *value `json:"value"`
	// Series is there when it stands for several.
	Series []seriesValue `json:"series,omitempty"`
	// Absent says why there is none.
	Absent string `json:"absent,omitempty"`
	// Expr is the PromQL that gave it.
	Expr string `json:"expr"`
}

type seriesValue struct {
	Labels map[string]string `json:"labels"`
	Value  value             `json:"value"`
}

// value is a number that JSON can carry: infinities and NaN become text, as in Prometheus's own API.
type value float64

// MarshalJSON writes the shortest text that reads back to the same number, with an exponent only where encoding/json has
// one.
func (v value) MarshalJSON() ([]byte, error) {
	f := float64(v)
	switch {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"+Inf"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Inf"`), nil
	}
	return json.Marshal(f)
}

func (p *program) snapshot() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "One reading; the exit code tells the engine's state",
		Long: para(`Reads everything twice, a second apart, and prints what it found; nothing is recorded. The exit code is 0 when the engine is ready,
and tells its state otherwise: see pitwall help exit-codes. With --json the samples are exactly those that the engine's
/metrics gave. Of several engines the worst state counts. An engine that has work and makes no progress is watched for some seconds more before it is called stalled.`),
		Example: "pitwall snapshot\npitwall snapshot --json | jq '.engines[0].values[] | {name, value, unit}'\npitwall snapshot >/dev/null || echo not ready",
		Args:    noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			c, _, err := p.settings(cmd)
			if err != nil {
				return err
			}
			l, err := p.lookAround(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer l.rec.Close()
			s := l.snapshot(cmd.Context())
			if asJSON {
				err = printJSON(p.stdout, s)
			} else {
				err = p.printSnapshot(cmd.Context(), l, s)
			}
			if err == nil && s.ExitCode != exitOK {
				err = exit(s.ExitCode)
			}
			return err
		}),
	}
	flags(cmd, engineFlags)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// snapshot puts together what was read.
func (l *look) snapshot(ctx context.Context) snapshot {
	s := snapshot{
		Time: l.at, Pitwall: thisBuild().Version, Host: hostname(), Simulated: l.rec.Info().Simulated,
		Engines: []engineReading{}, GPU: l.readings(is("dcgm")), Node: l.readings(is("node")),
		Other: l.readings(func(j string) bool { return j != "dcgm" && j != "node" && !isEngine(j) }),
		Facts: l.rec.Facts(l.at), Absent: l.rec.Absent(l.at),
	}
	for _, t := range l.of(isEngine) {
		s.Engines = append(s.Engines, l.engine(ctx, t))
	}
	s.State, s.ExitCode = worst(s.Engines)
	return s
}

func (l *look) readings(match func(string) bool) []sourceReading {
	out := []sourceReading{}
	for _, t := range l.of(match) {
		out = append(out, readingOf(t))
	}
	return out
}

func readingOf(t *tap) sourceReading {
	r, at, _ := t.reading()
	job, instance := t.Target()
	out := sourceReading{Job: job, Instance: instance, At: at, TookSeconds: r.Took.Seconds(), IntervalSeconds: t.Every().Seconds(),
		Samples: make([]sampleLine, 0, len(r.Samples)), Absent: map[string]string{}}
	maps.Copy(out.Absent, r.Absent)
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	for _, s := range r.Samples {
		if s.Hist == nil {
			out.Samples = append(out.Samples, sampleLine{Name: s.Labels.Get(model.MetricNameLabel), Labels: withoutName(s.Labels), Value: value(s.Value)})
		}
	}
	return out
}

func withoutName(l labels.Labels) map[string]string {
	m := l.Map()
	delete(m, model.MetricNameLabel)
	return m
}

func (l *look) engine(ctx context.Context, t *tap) engineReading {
	e := engineReading{sourceReading: readingOf(t), Facts: map[string]string{}}
	r, _, _ := t.reading()
	prefix := "engine/" + e.Instance + "/"
	for path, v := range r.Facts {
		if name, ok := strings.CutPrefix(path, prefix); ok {
			e.Facts[name] = v
		}
	}
	e.WindowSeconds = t.window().Seconds()
	e.URL, e.Dialect, e.Version, e.Model = e.Facts["url"], e.Job, e.Facts["version"], e.Facts["model"]
	e.State, e.Since = stateOf(r)
	for _, ev := range slices.Backward(t.happened()) {
		if ev.Kind == probes.KindEngineState && ev.Attrs["state"] == e.State {
			e.Reason = ev.Attrs["reason"]
			break
		}
	}
	if e.State == "" && r.Late != "" {
		e.State, e.Reason = "no_answer", r.Late+", and did not come while it was waited for"
	}
	if e.Reason == "" && e.State != stateReady {
		e.Reason = e.Error
	}
	d, ok := dialect.Named(e.Job)
	if !ok {
		return e
	}
	sel := fmt.Sprintf("job=%q,instance=%q", e.Job, e.Instance)
	for _, n := range d.Names() {
		e.Values = append(e.Values, l.named(ctx, d, n, sel, t.window()))
	}
	return e
}

// named evaluates one name of a dialect.
func (l *look) named(ctx context.Context, d *dialect.Dialect, n dialect.Name, sel string, w time.Duration) namedValue {
	out := namedValue{Name: n.Name, Kind: n.Kind, Unit: n.Unit}
	res, err := l.ask(ctx, n.Name, sel, d, w)
	out.Expr = res.Expr
	if err != nil {
		out.Absent = err.Error()
		return out
	}
	vec := res.Vector()
	switch {
	case len(vec) == 0:
		out.Absent = "nothing of it on the page"
	case len(vec) == 1 && vec[0].Metric.IsEmpty() && math.IsNaN(vec[0].F):
		out.Absent = "nothing happened between the two readings"
	case len(vec) == 1 && vec[0].Metric.IsEmpty():
		v := value(vec[0].F)
		out.Value = &v
	default:
		for _, s := range vec {
			out.Series = append(out.Series, seriesValue{Labels: withoutName(s.Metric), Value: value(s.F)})
		}
	}
	return out
}

const (
	stateMetric = "pitwall_engine_state"
	sinceMetric = "pitwall_engine_state_start_time_seconds"
	stateReady  = "ready"
)

// stateOf reads an engine's state from its own series; "" when there is none.
func stateOf(r probes.Reading) (state string, since *time.Time) {
	for _, s := range r.Samples {
		switch s.Labels.Get(model.MetricNameLabel) {
		case stateMetric:
			if s.Value == 1 {
				state = s.Labels.Get("state")
			}
		case sinceMetric:
			t := time.UnixMilli(int64(s.Value * 1000)).UTC()
			since = &t
		}
	}
	return state, since
}

// stateCodes are the exit codes by state, from the best to the worst.
func stateCodes() []struct {
	state string
	code  int
} {
	return []struct {
		state string
		code  int
	}{
		{stateReady, exitOK}, {"restarted", exitOK}, {"sleeping", exitSleeping}, {"starting", exitStarting},
		{"no_engine", exitNoEngine}, {"stalled", exitStalled}, {"no_answer", exitNoAnswer},
	}
}

// worst gives the state that a set of engines is told by, and its exit code. No engine at all is no_engine.
func worst(engines []engineReading) (string, int) {
	codes := stateCodes()
	at := -1
	for _, e := range engines {
		i := slices.IndexFunc(codes, func(c struct {
			state string
			code  int
		}) bool {
			return c.state == e.State
		})
		if i < 0 { // a state that is not known here is no good news
			return e.State, exitNoAnswer
		}
		at = max(at, i)
	}
	if at < 0 {
		return "no_engine", exitNoEngine
	}
	return codes[at].state, codes[at].code
}
