package events

import (
	"context"
	"fmt"
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

// TestWhatGoesOnIsTakenUp plays a recorder that ends (killed, or handed over) while the KV cache is full, and a second that
// goes on with its session.
func TestWhatGoesOnIsTakenUp(t *testing.T) {
	for name, c := range map[string]struct {
		usage []float64 // until which second it is full
		from  int       // when the second recorder begins
		to    int
		want  string
	}{
		"it still goes on: it is not announced twice":                      {[]float64{500}, 45, 120, "30– warning engine.kv_full engine/e:1 KV cache full: 3 running"},
		"it ended afterwards, as if nobody had been away":                  {[]float64{60}, 45, 120, "30–60 warning engine.kv_full engine/e:1 KV cache full: 3 running"},
		"it ended while nobody looked: it was there until the last moment": {[]float64{47}, 60, 120, "30–45 warning engine.kv_full engine/e:1 KV cache full: 3 running"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			second := 0
			engine := &page{job: "vllm", instance: "e:1", n: func() int { return second }, read: func(n int) []probes.Sample {
				usage := 0.5
				if n >= 30 && float64(n) < c.usage[0] {
					usage = 1
				}
				return []probes.Sample{sample(1, "pitwall_engine_state", "state", "ready"), sample(usage, "vllm:kv_cache_usage_perc"), sample(3, "vllm:num_requests_running")}
			}}
			// The first recorder's part is read from its file, as Resume would; its events are all that is left of it.
			first := NewSource(Builtin())
			rec, err := sessions.NewRecorder(sessions.Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{first, engine} }})
			if err != nil {
				t.Fatal(err)
			}
			first.Follow(rec)
			play(t, rec, &second, 0, 45)
			if n := len(rec.Events(time.Time{}, at(500))); n != 1 {
				t.Fatalf("the first recorder left %d events", n)
			}
			// Then it is gone. The same recorder goes on in its place, with a Source that knows nothing yet.
			next := NewSource(Builtin())
			next.Follow(rec)
			*first = Source{}
			first.Follow(nil)
			again := &relay{next}
			first.rules = nil
			swap(rec, first, again)
			play(t, rec, &second, c.from, c.to)
			got := linesOf(Filter{Kinds: []string{"engine.kv_full"}}.Choose(Of(rec, time.Time{}, time.Time{}, time.Time{})))
			if !slices.Equal(got, []string{c.want}) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), c.want)
			}
			if err := rec.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
