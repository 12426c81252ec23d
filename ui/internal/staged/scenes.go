package staged

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"

	"pitwall/probes"
	"pitwall/sessions"
)

// Scene changes a busy session into one where something is wrong. Names: "noengine", "starting", "stalled", "noanswer", "dead",
// "sleeping", "restarted", "died", "notstored", "nothing", "simulated", "idle", "incident", "saved"; another name changes nothing.
func Scene(s *Session, name string) {
	const in = "127.0.0.1:8000"
	state := func(word, reason string, since time.Duration) {
		s.Override("pitwall_engine_state ==", promql.Vector{V(1, "instance", in, "job", "vllm", "state", word)})
		s.Override("pitwall_engine_state_start", promql.Vector{V(float64(s.Now.Add(-since).Unix()), "instance", in, "job", "vllm")})
		s.EventsAll = append(s.EventsAll, probes.Event{Time: s.Now.Add(-since), Kind: probes.KindEngineState, Subject: "engine/" + in, Severity: probes.Warning,
			Title: word, Attrs: map[string]string{"state": word, "reason": reason}})
	}
	silence := func() { s.Override("engine:", nil) }
	down := func(err string) {
		for i := range s.TargetsNow {
			if s.TargetsNow[i].Job == "vllm" {
				s.TargetsNow[i].Up, s.TargetsNow[i].Err, s.TargetsNow[i].LastOK = false, err, s.Now.Add(-12*time.Second)
			}
		}
	}
	switch name {
	case "noengine":
		silence()
		s.Override("pitwall_engine_state", nil)
		for k := range s.FactsNow {
			if len(k) > 7 && k[:7] == "engine/" {
				delete(s.FactsNow, k)
			}
		}
		s.TargetsNow = s.TargetsNow[:2]
	case "starting":
		silence()
		state("starting", "process 4211 found, port closed", 10*time.Minute)
		down("connection refused")
	case "stalled":
		state("stalled", "41 running, no token counter moved for 14 s", 14*time.Second)
	case "noanswer":
		silence()
		state("no_answer", "scrape http://127.0.0.1:8000/metrics: connection refused", 12*time.Second)
		down("scrape http://127.0.0.1:8000/metrics: connection refused")
	case "dead":
		// It gave numbers until then.
		death := s.Now.Add(-12 * time.Second).Sub(s.Start).Seconds()
		for i, a := range s.Answers {
			if strings.HasPrefix(a.Key, "engine:") {
				s.Answers[i].At = func(t float64) promql.Vector {
					if t >= death {
						return nil
					}
					return a.At(t)
				}
			}
		}
		state("no_engine", "nothing listens on port 8000, and no engine process is there", 12*time.Second)
		s.EventsAll[len(s.EventsAll)-1].Attrs["from"] = "ready"
		s.EventsAll[len(s.EventsAll)-1].Severity = probes.Critical
		down("scrape http://127.0.0.1:8000/metrics: connection refused")
	case "sleeping":
		state("sleeping", "asleep at level 1", 4*time.Minute)
	case "restarted":
		state("restarted", "process start time changed, up for 20 s", 20*time.Second)
	case "died":
		s.InfoNow.Recording, s.InfoNow.PID = sessions.RecorderDied, 3911
	case "notstored":
		s.InfoNow.Recording, s.InfoNow.Trouble = sessions.NotStored, "disk full: 12 MB needed, 0 free"
	case "nothing":
		s.Now = time.Time{}
	case "simulated":
		s.InfoNow.Simulated = true
	case "incident":
		rule := func(ago time.Duration, kind, title, phase string, severity probes.Severity, attrs map[string]string) {
			a := map[string]string{"phase": phase}
			for k, v := range attrs {
				a[k] = v
			}
			s.EventsAll = append(s.EventsAll, probes.Event{Time: s.Now.Add(-ago), Kind: kind, Subject: "engine/" + in, Severity: severity, Title: title, Attrs: a})
		}
		rule(252*time.Second, "engine.preempting", "preempting", "began", probes.Warning, map[string]string{"cause": "KV cache 100 %, 64 of 64 running",
			"expr": `rate(vllm:num_preemptions_total{instance="127.0.0.1:8000"}[10s]) > 0`, "value": "0.4/s", "threshold": "> 0/s"})
		rule(214*time.Second, "engine.preempting", "preempting", "ended", probes.Warning, map[string]string{"count": "3", "active": "21s"})
		rule(150*time.Second, "engine.kv_full", "KV cache full", "began", probes.Critical, map[string]string{"cause": "64 of 64 running, 35 waiting", "expr": "engine:kv_usage", "value": "99 %", "threshold": ">= 95 %"})
		rule(101*time.Second, "engine.kv_full", "KV cache full", "ended", probes.Critical, map[string]string{"count": "1", "active": "49s"})
		rule(40*time.Second, "engine.queue_growing", "queue growing", "began", probes.Warning, map[string]string{"cause": "35 waiting, 1.2 more a second", "expr": "deriv(engine:waiting[1m])", "value": "1.2/s", "threshold": "> 0.2/s"})
		slices.SortStableFunc(s.EventsAll, func(a, b probes.Event) int { return a.Time.Compare(b.Time) })
	case "saved":
		s.InfoNow.Recording, s.InfoNow.Ended = sessions.Saved, s.Now
	case "idle":
		s.Override("_buckets", Buckets([]float64{.1, 1, 10}, 0, 1))
		for _, name := range []string{"ttft", "itl", "tpot", "e2e", "queue", "prefill", "decode"} {
			s.Override("engine:"+name+"_mean", nil)
		}
	}
}

// Override answers every expression that contains key with v, before all other answers.
func (s *Session) Override(key string, v promql.Vector) {
	s.Answers = append([]Answer{{key, func(float64) promql.Vector { return v }}}, s.Answers...)
}
