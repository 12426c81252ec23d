// Package validity says what may have spoiled a run, and reconciles it with what the server counted.
//
// In go a sessions.Reader, the run with its score, and the records of its requests; out come flags, each with its evidence and
// what to do, and a table of our numbers beside the server's. It asks the reader in PromQL, and the engine only by the names
// and counts of its dialect: no engine's own names stand here. It scores nothing (package score does), stores nothing, and
// what it can't tell it says so: a check without its series is no flag, and a count without a reading at a run's edge is no
// difference.
//
// Counts are exact: they are raw differences of counters between two readings of the engine's page, never rates. A run's edges
// seldom fall on a reading, so its table is of the stretch between the readings at its edges, and requests in flight at either
// edge are counted apart; consecutive runs share their readings, so that Sum over them, from rest to rest, is exact to the
// request and the token.
package validity

import (
	"context"
	"slices"
	"time"

	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/sessions/score"
)

// Options is what Judge needs to know beside the run.
type Options struct {
	// Scope tells the engine: its dialect, and the selector of its series (`job="vllm",instance="127.0.0.1:8000"`). Without a
	// dialect there is no table, and what depends on the engine's own numbers is not judged.
	Scope sessions.Scope
	// Next is when the next run began, zero if none has. Where the load did not come to rest between, the two share an edge.
	Next time.Time
	// Loopback is whether the server runs on this host, so that this host's GPUs are its own.
	Loopback bool
	// Bound is what the client said of itself while the run went: why it, and not the server, decided the numbers
	// (load.Tally.Bound); empty if it never was. Beyond is why the run asked more of this client than its certificate covers;
	// empty if it did not, or there is none.
	Bound, Beyond string
}

// Ready says whether the engine's page has been read since the run's end, so that Judge can reconcile: at the next run's
// beginning if there was one, else a second after the last request was over (the engine may be read every 5 seconds only). It
// never becomes true where the engine is gone: who waits gives up after a while and judges all the same.
func Ready(ctx context.Context, r sessions.Reader, run sessions.Run, opt Options) bool {
	a := &asker{reader: r, scope: opt.Scope}
	if !opt.Next.IsZero() {
		// A reading that was over then may not have been stored then: two judgements of one edge must see the same.
		_, last := r.Bounds()
		return last.After(opt.Next.Add(2*sessions.Tick)) && a.before(ctx, opt.Next).there()
	}
	return !run.Ended.IsZero() && a.after(ctx, run.Ended.Add(settle)).there()
}

// Judge looks at a run that is over. records are all requests of the run, and those of other runs that were in flight between
// its Began and its end; run.Score is its score. Of the flags those that make the numbers unusable come first. The error is
// that of the first question that could not be asked; flags and table then hold what could be told.
func Judge(ctx context.Context, r sessions.Reader, run sessions.Run, records []request.Record, opt Options) ([]score.Flag, Table, error) {
	j := &judge{asker: &asker{reader: r, scope: opt.Scope}, run: run, opt: opt}
	for i := range records {
		if records[i].Run == run.ID {
			j.own = append(j.own, &records[i])
		}
	}
	j.table = j.reconcile(ctx, run, records, opt.Next)
	j.from, j.to = measured(run)
	for _, check := range []func(context.Context){
		j.restarted, j.notSteady, j.tooFew, j.clientBound, j.beyondCertificate, j.foreign, j.warmCache, j.dropped, j.shortOutput,
		j.preempting, j.throttled, j.clocks, j.host, j.gaps, j.guessed, j.simulated,
	} {
		check(ctx)
	}
	slices.SortStableFunc(j.flags, func(a, b score.Flag) int {
		switch {
		case a.Invalid == b.Invalid:
			return 0
		case a.Invalid:
			return -1
		}
		return 1
	})
	return j.flags, j.table, j.err
}

// measured is the stretch that the run's numbers are of: its steady window, else from when it had settled until it was cut.
func measured(run sessions.Run) (from, to time.Time) {
	if run.Score != nil && run.Score.Steady != (score.Window{}) {
		return run.Score.Steady.From.At(), run.Score.Steady.To.At()
	}
	from, to = run.Settled, run.Cut
	if from.IsZero() {
		from = run.Began
	}
	if to.IsZero() {
		to = run.Ended
	}
	return from, to
}

// judge gathers the flags of one run.
type judge struct {
	*asker
	run      sessions.Run
	own      []*request.Record
	table    Table
	from, to time.Time
	opt      Options
	flags    []score.Flag
}

func (j *judge) flag(kind string, invalid bool, title, evidence, do string) {
	j.flags = append(j.flags, score.Flag{Kind: kind, Invalid: invalid, Title: title, Evidence: evidence, Do: do})
}

// row gives a row of the table.
func (j *judge) row(key string) Row {
	for _, r := range j.table.Rows {
		if r.Key == key {
			return r
		}
	}
	return Row{Key: key, Verdict: Untold}
}
