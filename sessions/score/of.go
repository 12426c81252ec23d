package score

import (
	"cmp"
	"math"
	"slices"
	"time"

	"pitwall/probes/request"
)

// Of scores a run. It takes what it is given for the whole truth: records that are missing can't be missed.
func Of(in Input) Score {
	var own []*request.Record
	for i := range in.Records {
		if in.Records[i].Run == in.Run {
			own = append(own, &in.Records[i])
		}
	}
	bySent(own)
	out := Score{Whole: in.Whole, Dropped: in.Dropped, InputTokens: request.Unknown, CachedTokens: request.Unknown, OutputTokens: request.Unknown}
	out.count(in.Whole, own)
	f := flightOf(in.Records)
	window, why, ok := steady(in, own, f)
	out.SteadyWhy = why
	if ok {
		out.Steady = window
	} else {
		window = in.Whole
	}
	judged := out.latencies(in, own, window)
	out.rates(in, own, window)
	out.Overall = overall(own)
	out.Goodput = goodput(in.Point.SLO, judged, own, window)
	out.MeanInFlight = math.NaN()
	if window.To > window.From {
		out.MeanInFlight = f.mean(window)
	}
	return out
}

// inside says whether a request began and ended in the whole run.
func inside(r *request.Record, w Window) bool { return began(r) >= w.From && r.End <= w.To }

// count sorts the run's requests by how they ended.
func (s *Score) count(w Window, own []*request.Record) {
	byClass := map[request.Class]*ErrorCount{}
	add := func(sum *int64, n int32) {
		if n >= 0 {
			*sum = max(*sum, 0) + int64(n)
		}
	}
	s.Sent = len(own)
	for _, r := range own {
		switch {
		case r.Class == request.Cancelled:
			s.Cancelled++
		case r.Class.Failed():
			s.Failed++
			e := byClass[r.Class]
			if e == nil {
				e = &ErrorCount{Class: r.Class}
				byClass[r.Class] = e
			}
			e.Count++
			if e.First == "" {
				e.First = r.Message
			}
		case !inside(r, w):
			s.Crossing++
		default:
			s.OK++
			add(&s.InputTokens, r.InputTokens)
			add(&s.CachedTokens, r.CachedTokens)
			add(&s.OutputTokens, int32(r.Tokens()))
		}
	}
	for _, e := range byClass {
		s.Errors = append(s.Errors, *e)
	}
	slices.SortFunc(s.Errors, func(a, b ErrorCount) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class)) })
}

// judgement is what became of the requests whose latencies count.
type judgement struct {
	well, failed []*request.Record
	window       Window
	// unfinished is how many of failed were only not over when the run was cut.
	unfinished int
}

// judge picks the requests that latencies are made of: sent in the window. Where some of them were not over when the run was
// cut, or were given up, the slow ones are missing among the last that were sent; so only those count that were sent early
// enough for the slowest to end, and one that was still not over then is slower than all that were: it ranks with the failures.
// Of a window that is short for its answers that would leave little, so half of it always counts.
func judge(in Input, own []*request.Record, w Window) judgement {
	j := judgement{window: w}
	var longest time.Duration
	open := false
	for _, r := range own {
		if t := began(r); t < w.From || t >= w.To {
			continue
		}
		switch {
		case r.Class == request.Cancelled || r.Class == request.OK && r.End > in.Whole.To:
			open = true
		case r.Class == request.OK:
			longest = max(longest, r.End.Sub(r.Sent))
		}
	}
	if open && longest > 0 {
		until := in.Whole.To - request.Time(longest)
		j.window.To = min(w.To, max(until, w.From+(w.To-w.From)/2))
	}
	for _, r := range own {
		if t := began(r); t < w.From || t >= j.window.To {
			continue
		}
		unfinished := r.Class == request.Cancelled || r.Class == request.OK && r.End > in.Whole.To
		switch {
		case r.Class.Failed():
			j.failed = append(j.failed, r)
		case !unfinished:
			j.well = append(j.well, r)
		case longest > 0 && min(r.End, in.Whole.To).Sub(r.Sent) >= longest:
			j.failed, j.unfinished = append(j.failed, r), j.unfinished+1
		}
	}
	return j
}

// order is all of them as they were sent.
func (j judgement) order() []*request.Record {
	order := slices.Concat(j.well, j.failed)
	bySent(order)
	return order
}

// latencies makes the summaries.
func (s *Score) latencies(in Input, own []*request.Record, w Window) judgement {
	j := judge(in, own, w)
	order := j.order()
	failed := make(map[*request.Record]bool, len(j.failed))
	for _, r := range j.failed {
		failed[r] = true
	}
	each := func(latency func(*request.Record) (time.Duration, bool), ofStreams bool) Summary {
		var one sample
		for _, r := range order {
			if failed[r] {
				one.failure()
			} else if d, ok := latency(r); ok {
				one.one(d.Seconds())
			}
		}
		if ofStreams && len(one.values) == 0 && !streamed(order) {
			return (&sample{}).summary() // nobody can have it, so nobody failed to
		}
		one.unfinished = j.unfinished
		return one.summary()
	}
	s.TTFT, s.TTFTSched = each((*request.Record).TTFT, true), each((*request.Record).TTFTSched, true)
	s.TPOT, s.Normalized = each((*request.Record).TPOT, true), each((*request.Record).Normalized, false)
	s.E2E, s.E2ESched = each((*request.Record).E2E, false), each((*request.Record).E2ESched, false)
	s.Lag = lag(order)
	s.Queue, s.Prefill, s.Rest = told(j.well, queue), told(j.well, prefill), told(j.well, rest)
	s.pooled(order, failed)
	return j
}

// streamed says whether any was asked for as a stream.
func streamed(order []*request.Record) bool {
	return slices.ContainsFunc(order, func(r *request.Record) bool { return r.Streamed })
}

// lag is the client's own, so a request that failed later has one too.
func lag(order []*request.Record) Summary {
	var s sample
	for _, r := range order {
		if d, ok := r.Lag(); ok {
			s.one(d.Seconds())
		}
	}
	return s.summary()
}

// told summarises what the server tells of its requests; where it tells nothing there is no failure either.
func told(well []*request.Record, what func(*request.Record) (time.Duration, bool)) Summary {
	var s sample
	for _, r := range well {
		if d, ok := what(r); ok {
			s.one(d.Seconds())
		}
	}
	return s.summary()
}

func queue(r *request.Record) (time.Duration, bool)   { return r.Queue, r.Queue >= 0 }
func prefill(r *request.Record) (time.Duration, bool) { return r.Prefill, r.Prefill >= 0 }

func rest(r *request.Record) (time.Duration, bool) {
	t, ok := r.TTFT()
	return t - r.Queue - r.Prefill, ok && r.Queue >= 0 && r.Prefill >= 0
}

// pooled makes ITL and the chunk gap, and the shares of merged gaps and of guessed counts.
func (s *Score) pooled(order []*request.Record, failed map[*request.Record]bool) {
	var gaps, tokens sample
	n, merged, guessed, well := 0, 0, 0, 0
	single := true // every chunk but the first has one token: then both are the same
	for _, r := range order {
		if !failed[r] {
			n += max(0, len(r.Chunks)-1)
		}
	}
	gaps.values = make([]float64, 0, n)
	for _, r := range order {
		if failed[r] {
			gaps.failure()
			continue
		}
		if well++; r.Streamed && r.Counting == request.Guessed {
			guessed++
		}
		for i := 1; i < len(r.Chunks); i++ {
			c := &r.Chunks[i]
			gaps.values = append(gaps.values, c.Gap.Seconds())
			single = single && c.Tokens == 1
			if c.Merged {
				merged++
			}
		}
		gaps.close()
	}
	s.Merged, s.Guessed = math.NaN(), math.NaN()
	if n > 0 {
		s.Merged = float64(merged) / float64(n)
	}
	if well > 0 {
		s.Guessed = float64(guessed) / float64(well)
	}
	if n == 0 && !streamed(order) {
		gaps = sample{}
	}
	s.Gap = gaps.summary()
	if single {
		s.ITL = s.Gap
		return
	}
	tokens.values = make([]float64, 0, n)
	for _, r := range order {
		if failed[r] {
			tokens.failure()
			continue
		}
		for i := 1; i < len(r.Chunks); i++ {
			k := max(1, int(r.Chunks[i].Tokens))
			each := r.Chunks[i].Gap.Seconds() / float64(k)
			for range k {
				tokens.values = append(tokens.values, each)
			}
		}
		tokens.close()
	}
	s.ITL = tokens.summary()
}
