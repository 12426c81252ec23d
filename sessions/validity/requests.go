package validity

import (
	"context"
	"fmt"
	"math"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions/score"
)

// This file holds what the run's own requests tell.

// notSteady flags a run without a steady window.
func (j *judge) notSteady(context.Context) {
	s := j.run.Score
	if s == nil || s.Steady != (score.Window{}) {
		return
	}
	j.flag("not-steady", true, "the run never was steady", s.SteadyWhy,
		"run longer; if requests in flight keep growing, the server is asked for more than it can do: ask for less, or measure with a closed loop")
}

// tooFew flags percentiles that the number of requests can't support.
func (j *judge) tooFew(context.Context) {
	s := j.run.Score
	if s == nil {
		return
	}
	sum, what := s.TTFT, "TTFT"
	if sum.Count+sum.Failed == 0 {
		sum, what = s.E2E, "E2E"
	}
	for _, p := range []struct {
		name string
		q    score.Quantile
	}{{"p50", sum.P50}, {"p90", sum.P90}, {"p95", sum.P95}, {"p99", sum.P99}} {
		if p.q.Needs == 0 {
			continue
		}
		j.flag("too-few", p.name == "p50", fmt.Sprintf("too few requests for %s", p.name),
			fmt.Sprintf("%d requests in the window; %s of %s needs %d more until it has a 95 %% interval, p99 %d", sum.Count+sum.Failed, p.name, what, p.q.Needs, sum.P99.Needs),
			"run longer, or read only the percentiles that have an interval")
		return
	}
}

// The bounds of a client that is still to be believed: a tenth of what is measured, and never less than 5 ms of lag, which a
// busy scheduler needs.
const (
	lagShare = 0.1
	lagLeast = 5 * time.Millisecond
)

// clientBound flags numbers that are the client's own: late sends, and late reads where arrivals are not the kernel's stamps.
func (j *judge) clientBound(context.Context) {
	s := j.run.Score
	if s == nil {
		return
	}
	measure := s.TTFT.P50.Value
	if math.IsNaN(measure) {
		measure = s.E2E.P50.Value
	}
	const do = "give the client a free core (taskset, nice), lower the load, or send from another host; `pitwall calibrate` tells what this host can do"
	bound := max(lagLeast.Seconds(), lagShare*measure)
	lag := s.Lag.P99.Value
	if math.IsNaN(lag) {
		lag = s.Lag.Max
	}
	if lag > bound {
		j.flag("client-bound", lag > measure, "the client sent late", fmt.Sprintf("send lag p99 %s, bound %s (%.0f %% of the median of %s)",
			ms(lag), ms(bound), 100*lagShare, ms(measure)), do)
		return
	}
	var late time.Duration
	n := 0
	for _, r := range j.own {
		if r.Class == request.OK && !r.Stamped && r.Streamed {
			late += r.LateMean
			n++
		}
	}
	if n > 0 {
		if mean := (late / time.Duration(n)).Seconds(); mean > max(0.001, lagShare*s.Gap.P50.Value) {
			j.flag("client-bound", false, "the client read late", fmt.Sprintf("arrivals of %d answers have no stamp of the kernel, and were read %s late in the mean", n, ms(mean)), do)
			return
		}
	}
	if j.opt.Bound != "" {
		j.flag("client-bound", false, "the client was bound", j.opt.Bound, do)
	}
}

// beyondCertificate flags a run that asked more of this client than it was measured to bear.
func (j *judge) beyondCertificate(context.Context) {
	if j.opt.Beyond == "" {
		return
	}
	j.flag("beyond-certificate", false, "beyond what this client was certified for", j.opt.Beyond,
		"run `pitwall calibrate` at this load: it tells how far the client can be believed there")
}

func ms(seconds float64) string {
	return fmt.Sprintf("%.3g ms", seconds*1000)
}

// clock writes a moment in UTC: evidence is stored, and read elsewhere.
func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// dropped flags requests that were due and never sent.
func (j *judge) dropped(context.Context) {
	n, sent := j.run.Dropped, len(j.own)
	if n == 0 {
		return
	}
	share := float64(n) / float64(n+sent)
	limit := j.run.Point.MaxInFlight
	if limit == 0 {
		limit = 4096
	}
	j.flag("dropped", share > 0.01, "due requests were never sent",
		fmt.Sprintf("%d of %d due requests (%.1f %%) met the cap of %d in flight", n, n+sent, 100*share, limit),
		"raise max_in_flight, or lower the rate: what was dropped would have been the slowest")
}

// shortOutput flags answers that ended before the length that was asked for.
func (j *judge) shortOutput(context.Context) {
	n, asked := 0, 0
	var example *request.Record
	for _, r := range j.own {
		if r.Asked == 0 || r.OutputTokens < 0 || r.Class != request.OK && r.Class != request.WrongLength {
			continue
		}
		asked++
		if r.OutputTokens < r.Asked {
			n++
			if example == nil {
				example = r
			}
		}
	}
	if n == 0 {
		return
	}
	share := float64(n) / float64(asked)
	j.flag("short-output", share > 0.05, "answers were shorter than asked",
		fmt.Sprintf("%d of %d answers; the first had %d of %d tokens (finish reason %q)", n, asked, example.OutputTokens, example.Asked, example.Finish),
		"check that prompt and output fit into the model's context, and that the server knows ignore_eos or min_tokens")
}

// guessed flags token counts that nobody told.
func (j *judge) guessed(context.Context) {
	s := j.run.Score
	if s == nil || !(s.Guessed > 0) {
		return
	}
	j.flag("guessed-tokens", false, "tokens per chunk are guessed", fmt.Sprintf("in %.0f %% of the answers nobody told how many tokens came in a chunk, so each counts as one", 100*s.Guessed),
		"read chunk gaps instead of ITL; TPOT and throughput are by the server's usage where it gives one")
}

// cached says how many prompt tokens came from the cache beyond what was shared by choice.
func (j *judge) cached() (tokens, prompts float64, ours bool) {
	var known bool
	for _, r := range j.own {
		if r.InputTokens > 0 {
			prompts += float64(r.InputTokens)
		}
		if r.CachedTokens >= 0 {
			known = true
			tokens += float64(r.CachedTokens)
		}
	}
	return tokens, prompts, known
}

// warmCache flags prompts that were in the server's prefix cache though nothing of them was shared by choice, by our usage and
// by the server's own counter.
func (j *judge) warmCache(context.Context) {
	p := j.run.Point
	shared := p.Prompt.Shared > 0 || p.Prompt.Turns > 1 || p.Prompt.File != ""
	if p.Cache != shape.Cold && shared {
		return
	}
	ours, prompts, told := j.cached()
	row := j.row("cached_tokens")
	hits := ours
	source := fmt.Sprintf("%.0f of %.0f prompt tokens were cached by the answers' usage", ours, prompts)
	if !told {
		source = "the answers don't tell cached tokens"
	}
	if !math.IsNaN(row.Server) && j.table.Why == "" {
		source += fmt.Sprintf("; the server counted %.0f hits between %s and %s", row.Server, clock(j.table.From), clock(j.table.To))
		if all := j.row("prompt_tokens").Server; !told && all > 0 {
			hits, prompts = row.Server, all
		}
	} else if !told {
		return
	}
	// What a cold point shares within itself is by choice.
	allowed := float64(p.Prompt.Shared) * float64(len(j.own))
	if p.Prompt.Turns > 1 || p.Prompt.File != "" {
		return // how much is shared there is not known
	}
	share := (hits - allowed) / prompts
	if !(share > 0.01) {
		return
	}
	if p.Cache == shape.Cold {
		j.flag("warm-cache", share > 0.05, "prompts were in the prefix cache, though cold was asked", source,
			"restart the server or reset its prefix cache, and see whether it knows cache_salt; TTFT is that of a warm cache")
		return
	}
	j.flag("warm-cache", false, "prompts were in the prefix cache", source,
		"ask for a cold cache if TTFT should be that of new prompts: the same seed sends the same prompts again")
}
