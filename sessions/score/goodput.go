package score

import (
	"math"
	"slices"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// defaultShare is the share of requests that must be good where an SLO doesn't say.
const defaultShare = 0.99

// goodput judges each request by the SLO.
func goodput(slo shape.SLO, j judgement) Goodput {
	none := noEstimate()
	out := Goodput{Asked: slo.TTFT > 0 || slo.TPOT > 0 || slo.E2E > 0, Share: none, Requests: math.NaN(), Tokens: math.NaN()}
	if !out.Asked {
		return out
	}
	var tokens int
	z := make([]float64, 0, len(j.well)+len(j.failed))
	for _, r := range j.order() {
		// What counts as failed because it never ended is judged with the rest: it may be within a limit of TTFT and TPOT,
		// but not good.
		if r.Class != request.OK || slices.Contains(j.failed, r) {
			z = append(z, 0)
			continue
		}
		if Good(r, slo, true) {
			out.GoodSent++
		}
		good := 0.0
		if Good(r, slo, false) {
			out.Good++
			tokens += max(0, r.Tokens())
			good = 1
		}
		z = append(z, good)
	}
	out.Tried = len(j.well) + len(j.failed)
	if out.Tried == 0 {
		return out
	}
	share := float64(out.Good) / float64(out.Tried)
	mean, _ := meanVar(z)
	for i := range z {
		z[i] -= mean
	}
	low, high := wilson(share, float64(out.Tried)/inertia(z))
	out.Share = Estimate{share, low, high}
	want := slo.Share
	if want <= 0 {
		want = defaultShare
	}
	out.Met = share >= want
	if seconds := j.window.To.Sub(j.window.From).Seconds(); seconds > 0 {
		out.Requests, out.Tokens = float64(out.Good)/seconds, float64(tokens)/seconds
	}
	return out
}

// Good says whether a request meets an SLO, judged from when it was due, or from when it was sent. What failed or was given
// up is not good, nor is what lacks a number that is asked for: an answer of one token has no TPOT.
func Good(r *request.Record, slo shape.SLO, fromSent bool) bool {
	ttft, e2e := (*request.Record).TTFTSched, (*request.Record).E2ESched
	if fromSent {
		ttft, e2e = (*request.Record).TTFT, (*request.Record).E2E
	}
	within := func(latency func(*request.Record) (time.Duration, bool), limit time.Duration) bool {
		if limit <= 0 {
			return true
		}
		d, ok := latency(r)
		return ok && d <= limit
	}
	return r.Class == request.OK && within(ttft, slo.TTFT) && within((*request.Record).TPOT, slo.TPOT) && within(e2e, slo.E2E)
}
