package events

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
	"pitwall/sessions"
)

// page is a source that gives what a function says for the second n.
type page struct {
	job, instance string
	n             func() int
	read          func(n int) []probes.Sample
}

func (p *page) Target() (string, string) { return p.job, p.instance }

func (p *page) Every() time.Duration { return sessions.Tick }

func (p *page) Read(context.Context) probes.Reading { return probes.Reading{Samples: p.read(p.n())} }

func sample(v float64, name string, kv ...string) probes.Sample {
	return probes.Sample{Labels: labels.FromStrings(append([]string{model.MetricNameLabel, name}, kv...)...), Value: v}
}

// play ticks a recorder from second from to second to.
func play(t testing.TB, rec *sessions.Recorder, second *int, from, to int) {
	t.Helper()
	for *second = from; *second < to; *second++ {
		if err := rec.Tick(context.Background(), at(float64(*second))); err != nil {
			t.Fatal(err)
		}
	}
}

// A recorder ends while the KV cache is full (killed, or handed over), and another goes on with its session.
func TestWhatGoesOnIsTakenUp(t *testing.T) {
	for name, c := range map[string]struct {
		until int // the KV cache is full until this second
		stop  int // when the first recorder stops
		from  int // when the next one begins
		again int // it is full from here on again; 0: never
		want  string
	}{
		"it still goes on: it is not announced twice":                      {500, 45, 45, 0, "30– warning engine.kv_full engine/e:1 KV cache full: 3 running"},
		"it ended afterwards, as if nobody had been away":                  {60, 45, 45, 0, "30–60 warning engine.kv_full engine/e:1 KV cache full: 3 running"},
		"it ended while nobody looked: it was there until the last moment": {47, 45, 60, 0, "30–45 warning engine.kv_full engine/e:1 KV cache full: 3 running"},
		"its end had been told, and it comes again: it is the one event":   {33, 50, 50, 51, "30– warning engine.kv_full engine/e:1 KV cache full: 3 running (2 times, 1m11s)"},
	} {
		t.Run(name, func(t *testing.T) {
			second := 0
			engine := &page{job: "vllm", instance: "e:1", n: func() int { return second }, read: func(n int) []probes.Sample {
				usage := 0.5
				if n >= 30 && n < c.until || c.again > 0 && n >= c.again {
					usage = 1
				}
				return []probes.Sample{sample(1, "pitwall_engine_state", "state", "ready"), sample(usage, "vllm:kv_cache_usage_perc"), sample(3, "vllm:num_requests_running")}
			}}
			watch := NewSource(Builtin())
			rec, err := sessions.NewRecorder(sessions.Options{Host: "box", Sources: func() []probes.Source { return []probes.Source{watch, engine} }})
			if err != nil {
				t.Fatal(err)
			}
			watch.Follow(rec)
			play(t, rec, &second, 0, c.stop)
			if n := len(Of(rec, time.Time{}, time.Time{}, time.Time{})); n != 1 {
				t.Fatalf("before that there were %d events", n)
			}
			// What the next one knows is what stands in the session.
			watch = NewSource(Builtin())
			watch.Follow(rec)
			play(t, rec, &second, c.from, 120)
			got := linesOf(Filter{Kinds: []string{"engine.kv_full"}}.Choose(Of(rec, time.Time{}, time.Time{}, time.Time{})))
			if !slices.Equal(got, []string{c.want}) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), c.want)
			}
		})
	}
}

func TestWhatNoRuleTellsAnyMoreIsOver(t *testing.T) {
	second := 0
	engine := &page{job: "vllm", instance: "e:1", n: func() int { return second }, read: func(int) []probes.Sample {
		return []probes.Sample{sample(1, "pitwall_engine_state", "state", "ready"), sample(1, "vllm:kv_cache_usage_perc")}
	}}
	watch := NewSource(Builtin())
	rec, err := sessions.NewRecorder(sessions.Options{Host: "box", Sources: func() []probes.Source { return []probes.Source{watch, engine} }})
	if err != nil {
		t.Fatal(err)
	}
	watch.Follow(rec)
	play(t, rec, &second, 0, 20)
	watch = NewSource(Join(Builtin(), []Rule{{Kind: "engine.kv_full", Off: true}}))
	watch.Follow(rec)
	play(t, rec, &second, 20, 30)
	want := []string{"0–19 warning engine.kv_full engine/e:1 KV cache full"}
	if got := linesOf(Of(rec, time.Time{}, time.Time{}, time.Time{})); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatComesAndGoesForHoursLeavesFewEvents(t *testing.T) {
	const hours = 1
	second := 0
	gpu := &page{job: "dcgm", instance: "box", n: func() int { return second }, read: func(n int) []probes.Sample {
		return []probes.Sample{sample(float64(n/2%2), "pitwall_gpu_clocks_event_reason", "gpu", "0", "reason", "power_cap")}
	}}
	watch := NewSource(Builtin())
	rec, err := sessions.NewRecorder(sessions.Options{Host: "box", Sources: func() []probes.Source { return []probes.Source{watch, gpu} }})
	if err != nil {
		t.Fatal(err)
	}
	watch.Follow(rec)
	play(t, rec, &second, 0, hours*3600)
	if n := len(rec.Events(time.Time{}, at(1e6))); n < 3600/60 || n > hours*3600/30+1 {
		t.Errorf("%d events in %d h", n, hours)
	}
	all := Of(rec, time.Time{}, time.Time{}, time.Time{})
	if len(all) != 1 {
		t.Fatalf("%d episodes: %q", len(all), linesOf(all))
	}
	e := all[0]
	if times := hours * 900; e.Count < times-8 || e.Count > times {
		t.Errorf("it came %d times, want about %d", e.Count, times)
	}
	share := Frequencies(all, at(0), at(hours*3600))[0].Share
	if share < 0.48 || share > 0.52 {
		t.Errorf("it was there %v of the time, want half", share)
	}
}

func TestWhatGoesOnIsASeries(t *testing.T) {
	second := 0
	gpu := &page{job: "dcgm", instance: "box", n: func() int { return second }, read: func(n int) []probes.Sample {
		v := 0.0
		if n >= 5 && n < 9 {
			v = 1
		}
		return []probes.Sample{sample(v, "pitwall_gpu_clocks_event_reason", "gpu", "0", "reason", "power_cap")}
	}}
	watch := NewSource(Builtin())
	rec, err := sessions.NewRecorder(sessions.Options{Host: "box", Sources: func() []probes.Source { return []probes.Source{watch, gpu} }})
	if err != nil {
		t.Fatal(err)
	}
	watch.Follow(rec)
	play(t, rec, &second, 0, 60)
	// A tick is looked at while the next one is gathered, so that the series is one second behind.
	for _, c := range []struct {
		at   float64
		want string
	}{{5, ""}, {6, "1"}, {9, "1"}, {10, "0"}, {38, "0"}, {45, ""}} {
		res, err := rec.Query(context.Background(), ActiveMetric+`{kind="gpu.power_cap",subject="gpu/0",severity="note"}`, at(c.at), sessions.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if v := res.Vector(); len(v) == 1 {
			got = amount(v[0].F, "")
		}
		if got != c.want {
			t.Errorf("at %g: %q, want %q", c.at, got, c.want)
		}
	}
}

// A rule of one's own whose expression fails when it is asked (many-to-many) says so, and hides no other.
func TestARuleThatCannotBeAskedHidesNoOther(t *testing.T) {
	own, err := Parse("own.yaml", []byte(`rules: [{kind: my.join, scope: gpu, title: x, expr: "a * on() b > 0"}]`))
	if err != nil {
		t.Fatal(err)
	}
	second := 0
	gpu := &page{job: "dcgm", instance: "box", n: func() int { return second }, read: func(int) []probes.Sample {
		return []probes.Sample{sample(1, "a", "x", "1"), sample(1, "a", "x", "2"), sample(1, "b", "x", "1"), sample(1, "b", "x", "2"),
			sample(1, "pitwall_gpu_clocks_event_reason", "gpu", "0", "reason", "power_cap")}
	}}
	watch := NewSource(Join(own, Builtin()))
	rec, err := sessions.NewRecorder(sessions.Options{Host: "box", Sources: func() []probes.Source { return []probes.Source{watch, gpu} }})
	if err != nil {
		t.Fatal(err)
	}
	watch.Follow(rec)
	play(t, rec, &second, 0, 5)
	if why := rec.Absent(at(4))[ActiveMetric]; !strings.Contains(why, "a * on() b") {
		t.Errorf("the reason is %q", why)
	}
	if got := linesOf(Of(rec, time.Time{}, time.Time{}, time.Time{})); !slices.Equal(got, []string{"0– note gpu.power_cap gpu/0 power-capped"}) {
		t.Errorf("episodes: %q", got)
	}
}
