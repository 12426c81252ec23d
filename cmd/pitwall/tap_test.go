package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
	"pitwall/sessions"
)

// said is an engine of which it is fixed what each reading gives; the last one stays.
type said []probes.Reading

func (said) Target() (job, instance string) { return "llamacpp", "127.0.0.1:8080" }

func (said) Every() time.Duration { return time.Second }

func (s *said) Read(context.Context) probes.Reading {
	r := (*s)[0]
	if len(*s) > 1 {
		*s = (*s)[1:]
	}
	return r
}

func TestALookAtAnEngineWhosePageIsLate(t *testing.T) {
	sample := func(v float64, label ...string) probes.Sample {
		return probes.Sample{Labels: labels.FromStrings(label...), Value: v}
	}
	facts := map[string]string{"engine/127.0.0.1:8080/url": "http://127.0.0.1:8080"}
	ready := probes.Reading{Facts: facts, Samples: []probes.Sample{
		sample(1, "__name__", "pitwall_engine_state", "state", "ready"), sample(3, "__name__", "llamacpp:requests_processing")}}
	late := probes.Reading{Facts: facts, Late: "its page is late", Samples: []probes.Sample{
		sample(0, "__name__", "pitwall_engine_state", "state", "ready")}}
	for _, tt := range []struct {
		name          string
		reads         said
		state, reason string
		answered      bool
	}{
		{"a page that never came is no answer, with where and why", said{late}, "no_answer", "its page is late, and did not come", false},
		{"what was read before it is late stays", said{ready, late}, "ready", "", true},
		{"what comes after all counts", said{late, late, ready}, "ready", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l look
			var err error
			l.rec, err = sessions.NewRecorder(sessions.Options{Host: "h", Sources: func() []probes.Source { return l.taps.over([]probes.Source{&tt.reads}) }})
			if err != nil {
				t.Fatal(err)
			}
			defer l.rec.Close()
			start := time.Unix(1_700_000_000, 0)
			for n := range 3 {
				l.at = start.Add(time.Duration(n) * time.Second)
				if err := l.rec.Tick(context.Background(), l.at); err != nil {
					t.Fatal(err)
				}
			}
			e := l.engine(context.Background(), l.taps.list()[0])
			if e.State != tt.state || !strings.HasPrefix(e.Reason, tt.reason) || e.answered() != tt.answered || e.URL == "" {
				t.Errorf("state %q, reason %q, answered %v, URL %q", e.State, e.Reason, e.answered(), e.URL)
			}
		})
	}
}
