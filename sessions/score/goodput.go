package score

import (
	"math"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// defaultShare is the share of requests that must be good where an SLO doesn't say.
const defaultShare = 0.99

// goodput judges each request by the SLO: the share is of the requests whose latencies count, what is good a second of all
// that were in flight in the window, counted as the throughput is, of which it is a part.
func goodput(slo shape.SLO, j judgement, own []*request.Record, w Window) Goodput {
	none := noEstimate()
	out := Goodput{Asked: slo.TTFT > 0 || slo.TPOT > 0 || slo.E2E > 0, Share: none, Requests: math.NaN(), Tokens: math.NaN()}
	if !out.Asked {
		return out
	}
	z := make([]float64, 0, len(j.well)+len(j.failed))
	failed := make(map[*request.Record]bool, len(j.failed))
	for _, r := range j.failed {
		failed[r] = true
	}
	for _, r := range j.order() {
		// What counts as failed because it never ended may be within a limit of TTFT and TPOT, but is not good.
		if failed[r] {
			z = append(z, 0)
			continue
		}
		if Good(r, slo, true) {
			out.GoodSent++
		}
		good := 0.0
		if Good(r, slo, false) {
			out.Good++
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
	known := known(own, w)
	requests, tokens := newSeries(known), newSeries(known)
	for _, r := range own {
		if Good(r, slo, false) {
			requests.spread(r.Sent, r.End, 1)
			tokens.spread(r.Sent, r.End, float64(max(0, r.Tokens())))
		}
	}
	out.Requests, out.Tokens = requests.rate().Value, tokens.rate().Value
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
