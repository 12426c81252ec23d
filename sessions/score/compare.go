package score

import (
	"fmt"
	"math"
	"slices"
)

// Comparison is how two runs differ.
type Comparison struct {
	// Note says what the comparison can't know: it is of one run each.
	Note string
	// Rows are in the order of Formulas; numbers that neither run has are left out.
	Rows []Difference
}

// Difference is how one number of two runs differs.
type Difference struct {
	// Key is the formula's, Name what is compared: "TTFT p99". Unit is that of A and B: "s", "s/token", "1/s", "tokens/s", "share".
	Key, Name, Unit string
	// A and B are the two; a percentile among what failed or was left open is told by AFailed and BFailed and has no number.
	A, B             Estimate
	AFailed, BFailed bool
	// Change is B − A with its 95 % interval, Relative the same as a share of A.
	Change, Relative Estimate
	// Verdict is what that means for B against A.
	Verdict Verdict
	// Needs is how many more runs as long as these, of each, would narrow the interval enough; 0 where none are needed or
	// nobody can tell.
	Needs int
	// Why is the verdict in words, with its number.
	Why string
}

// Verdict is what a difference means.
type Verdict string

// The verdicts.
const (
	Better       Verdict = "better"
	Worse        Verdict = "worse"
	NoDifference Verdict = "no difference shown"
	NeedsRuns    Verdict = "needs more runs"
	// Incomparable: one of the two has no number or no interval.
	Incomparable Verdict = "not comparable"
)

// singleRuns is what every comparison of two runs must say.
const singleRuns = "one run each: the intervals know how requests scatter within a run, not how runs of one setting differ; " +
	"for a verdict on settings repeat both, interleaved (A B B A), at least 6 times each"

// relevant is a change that is worth a word: an interval within ±5 % of A that holds 0 says that there is none of it.
const relevant = 0.05

// mostRuns is how many more runs are still advised.
const mostRuns = 99

// Compare says how run b differs from run a, number by number. Intervals of differences are made of the two runs' own
// (MOVER: Zou and Donner, Construction of confidence limits about effect measures, 2008), which keeps their lopsidedness.
func Compare(a, b Score) Comparison {
	out := Comparison{Note: singleRuns}
	add := func(key, name, unit string, less bool, x, y Estimate, xFailed, yFailed bool) {
		if math.IsNaN(x.Value) && math.IsNaN(y.Value) && !xFailed && !yFailed {
			return
		}
		d := Difference{Key: key, Name: name, Unit: unit, A: x, B: y, AFailed: xFailed, BFailed: yFailed}
		d.judge(less)
		out.Rows = append(out.Rows, d)
	}
	units := map[string]Formula{}
	for _, f := range Formulas() {
		units[f.Key] = f
	}
	for _, s := range []struct {
		key  string
		a, b *Summary
	}{
		{"ttft", &a.TTFT, &b.TTFT}, {"ttft_sched", &a.TTFTSched, &b.TTFTSched}, {"tpot", &a.TPOT, &b.TPOT}, {"itl", &a.ITL, &b.ITL},
		{"chunk_gap", &a.Gap, &b.Gap}, {"e2e", &a.E2E, &b.E2E}, {"e2e_sched", &a.E2ESched, &b.E2ESched},
		{"normalized", &a.Normalized, &b.Normalized}, {"send_lag", &a.Lag, &b.Lag},
		{"queue", &a.Queue, &b.Queue}, {"prefill", &a.Prefill, &b.Prefill}, {"rest", &a.Rest, &b.Rest},
	} {
		f := units[s.key]
		add(s.key, f.Name+" mean", f.Unit, true, s.a.Mean, s.b.Mean, false, false)
		for _, q := range []struct {
			name string
			a, b Quantile
		}{{"p50", s.a.P50, s.b.P50}, {"p90", s.a.P90, s.b.P90}, {"p99", s.a.P99, s.b.P99}} {
			add(s.key, f.Name+" "+q.name, f.Unit, true, q.a.Estimate, q.b.Estimate, q.a.Failed || q.a.Unfinished, q.b.Failed || q.b.Unfinished)
		}
	}
	for _, r := range []struct {
		key  string
		a, b Estimate
	}{
		{"request_rate", a.Requests.Estimate, b.Requests.Estimate}, {"output_rate", a.Output.Estimate, b.Output.Estimate},
		{"total_rate", a.Total.Estimate, b.Total.Estimate}, {"goodput", a.Goodput.Share, b.Goodput.Share},
	} {
		add(r.key, units[r.key].Name, units[r.key].Unit, false, r.a, r.b, false, false)
	}
	return out
}

// judge fills in the change and what it means. less is whether less is better.
func (d *Difference) judge(less bool) {
	d.Change, d.Relative, d.Verdict = noEstimate(), noEstimate(), Incomparable
	switch {
	case d.AFailed && d.BFailed:
		d.Why = "failed in both"
		return
	case d.AFailed && !math.IsNaN(d.B.High) && !math.IsInf(d.B.High, 1):
		d.Verdict, d.Why = Better, "failed before, and does no longer"
		return
	case d.BFailed && !math.IsNaN(d.A.High) && !math.IsInf(d.A.High, 1):
		d.Verdict, d.Why = Worse, "failed, and did not before"
		return
	case d.AFailed || d.BFailed:
		d.Why = "failed in one, and the other has too few requests for its interval"
		return
	case math.IsNaN(d.A.Value) || math.IsNaN(d.B.Value):
		d.Why = "only one of the two runs has it"
		return
	}
	a, b := d.A, d.B
	change := b.Value - a.Value
	d.Change.Value = change
	d.Relative.Value = change / a.Value
	if a.Value == 0 {
		d.Relative.Value = math.NaN()
	}
	if anyNaN(a.Low, a.High, b.Low, b.High) {
		d.Why = "too few requests for an interval"
		return
	}
	d.Change.Low = change - math.Hypot(b.Value-b.Low, a.High-a.Value)
	d.Change.High = change + math.Hypot(b.High-b.Value, a.Value-a.Low)
	if a.Value != 0 {
		d.Relative.Low, d.Relative.High = d.Change.Low/a.Value, d.Change.High/a.Value
	}
	limit := relevant * math.Abs(a.Value)
	switch {
	case d.Change.Low > 0 || d.Change.High < 0:
		d.Verdict = Worse
		if (change < 0) == less {
			d.Verdict = Better
		}
		d.Why = fmt.Sprintf("%s: %s", d.Verdict, percent(d.Relative))
	case d.Change.Low >= -limit && d.Change.High <= limit:
		d.Verdict, d.Why = NoDifference, fmt.Sprintf("no difference shown; one of more than %.0f %% would have been", 100*relevant)
	default:
		d.Verdict = NeedsRuns
		// An interval narrows with the root of the number of runs: how many until it is no wider than what is relevant.
		half := max(d.Change.High-change, change-d.Change.Low)
		k := math.Ceil(half*half/(limit*limit)) - 1
		switch {
		case limit == 0 || math.IsInf(half, 1) || k > mostRuns:
			d.Why = fmt.Sprintf("no difference shown, %s; more than %d more runs would not settle it", percent(d.Relative), mostRuns)
			d.Verdict = NoDifference
		default:
			d.Needs = max(1, int(k))
			d.Why = fmt.Sprintf("no difference shown, %s; needs %d more runs of each to tell %.0f %%", percent(d.Relative), d.Needs, 100*relevant)
		}
	}
}

// percent writes a relative change with its interval.
func percent(e Estimate) string {
	if anyNaN(e.Value) {
		return "from 0"
	}
	if anyNaN(e.Low, e.High) {
		return fmt.Sprintf("%+.1f %%", 100*e.Value)
	}
	if math.IsInf(e.Low, 0) || math.IsInf(e.High, 0) {
		return fmt.Sprintf("%+.1f %% (interval open)", 100*e.Value)
	}
	return fmt.Sprintf("%+.1f %% (%+.1f to %+.1f)", 100*e.Value, 100*e.Low, 100*e.High)
}

func anyNaN(x ...float64) bool { return slices.ContainsFunc(x, math.IsNaN) }
