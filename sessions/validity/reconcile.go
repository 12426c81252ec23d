package validity

import (
	"context"
	"fmt"
	"math"
	"time"

	"pitwall/probes/engine/dialect"
	"pitwall/probes/request"
	"pitwall/sessions"
)

// reconcile makes the table of a run.
func (a *asker) reconcile(ctx context.Context, run sessions.Run, records []request.Record, next time.Time) Table {
	var t Table
	for _, r := range countRows {
		row := Row{Key: r.key, Name: r.name, Unit: r.unit, Server: math.NaN(), AtFrom: math.NaN(), AtTo: math.NaN(), Difference: math.NaN(), Verdict: Untold}
		for i := range records {
			if records[i].Run == run.ID {
				n, unsure := amount(r.key, &records[i])
				row.Own += n
				row.OwnUnsure += unsure
			}
		}
		t.Rows = append(t.Rows, row)
	}
	for _, r := range meanRows {
		nan := math.NaN()
		t.Rows = append(t.Rows, Row{Key: r.key, Name: r.name, Unit: "s", Ours: nan, Own: nan, Server: nan, AtFrom: nan, AtTo: nan, Difference: nan, Verdict: Untold})
	}
	untold := func(why string) Table {
		t.Why = why
		for i := range t.Rows {
			t.Rows[i].Why = why
			if t.Rows[i].Unit != "s" {
				t.Rows[i].Ours, t.Rows[i].Unsure = t.Rows[i].Own, t.Rows[i].OwnUnsure
			}
		}
		return t
	}
	if a.scope.Dialect == nil {
		return untold("the engine's counters are not known: no dialect")
	}
	from, to, why := a.edges(ctx, run, next)
	if why != "" {
		return untold(why)
	}
	t.From, t.To, t.RestFrom, t.RestTo = from.at, to.at, true, true
	crossing := 0
	for i := range records {
		r := &records[i]
		place := placeOf(r, from, to)
		if over(r, from) {
			t.RestFrom = false
		}
		if over(r, to) {
			t.RestTo = false
		}
		if place == crosses {
			crossing++
		}
		for j := range countRows {
			n, unsure := amount(countRows[j].key, r)
			row := &t.Rows[j]
			switch place {
			case within:
				row.Ours += n
				row.Unsure += unsure
			case crosses:
				row.Crossing += n + unsure
			}
		}
	}
	again := a.restarted(ctx, from, to)
	for j, r := range countRows {
		row := &t.Rows[j]
		c := a.count(ctx, r.word, from, to)
		if again {
			c.by, c.why = math.NaN(), "the engine was restarted in between"
		}
		row.AtFrom, row.AtTo, row.Server = c.atFrom, c.atTo, c.by
		row.Difference = row.Server - row.Ours
		row.settle(c.why, crossing, a.scope.Dialect.CountsNote())
		if r.key == "errors" && c.why == "" {
			a.errors(ctx, row, from, to)
		}
	}
	for j, r := range meanRows {
		row := &t.Rows[len(countRows)+j]
		if again {
			row.Why = "the engine was restarted in between"
			continue
		}
		a.mean(ctx, row, r.sum, r.count, records, from, to)
	}
	return t
}

type place int

const (
	outside place = iota
	within
	crosses
)

// placeOf says where a request lies between two readings. Each reading is of some moment between its stamp and its end, so a
// request that was in flight in that time may be on either side.
func placeOf(r *request.Record, from, to reading) place {
	if r.Sent == 0 {
		return outside // it never reached the server
	}
	sent, end := r.Sent.At(), r.End.At()
	switch {
	case r.End != 0 && end.Before(from.at), sent.After(to.end):
		return outside
	case !sent.Before(from.end) && r.End != 0 && !end.After(to.at):
		return within
	}
	return crosses
}

// over says whether a request was, or may have been, in flight at a reading.
func over(r *request.Record, at reading) bool {
	return r.Sent != 0 && !r.Sent.At().After(at.end) && (r.End == 0 || !r.End.At().Before(at.at))
}

// answered says whether the server answered a request to its end, so that it has counted all of it.
func answered(r *request.Record) bool {
	switch r.Class {
	case request.OK, request.WrongLength, request.Empty:
		return r.Class == request.OK || r.Finish != ""
	}
	return false
}

// unreached says whether a request certainly was none of the server's.
func unreached(r *request.Record) bool {
	switch r.Class {
	case request.DNS, request.Refused, request.Unreachable, request.NoPorts, request.NoFiles, request.TLS:
		return true
	}
	return r.Sent == 0
}

// amount is what a request adds to a row: for sure, and perhaps.
func amount(key string, r *request.Record) (sure, unsure float64) {
	if unreached(r) {
		return 0, 0
	}
	told := func(n int32, most float64) (float64, float64) {
		switch {
		case answered(r) && n >= 0:
			return float64(n), 0
		case n >= 0:
			return 0, max(float64(n), most)
		}
		return 0, most
	}
	switch key {
	case "requests":
		if answered(r) {
			return 1, 0
		}
		return 0, 1
	case "prompt_tokens":
		return told(r.InputTokens, float64(max(0, r.AskedInput)))
	case "cached_tokens":
		return told(r.CachedTokens, float64(max(0, r.InputTokens, r.AskedInput)))
	case "output_tokens":
		if r.OutputTokens < 0 {
			// What came was made; how much more was, nobody said.
			return 0, float64(max(0, r.Tokens(), int(r.Asked)))
		}
		return told(r.OutputTokens, float64(r.Asked))
	case "errors":
		if r.Class == request.InStream || r.Class == request.Status && r.Status >= 500 {
			return 1, 0
		}
		if r.Class.Failed() && r.Class != request.WrongLength && r.Class != request.Status {
			return 0, 1
		}
	}
	return 0, 0
}

// settle says what a row's difference means.
func (r *Row) settle(why string, crossing int, note string) {
	switch d := r.Difference; {
	case why != "":
		r.Verdict, r.Why = Untold, why
	case math.IsNaN(d):
		r.Verdict, r.Why = Untold, "not told"
	case d == 0:
		r.Verdict, r.Why = Exact, "equal"
		if r.Crossing+r.Unsure > 0 {
			r.Why = "equal; what crosses the edges or failed was counted elsewhere, or not at all"
		}
	case d > 0 && d <= r.Crossing+r.Unsure:
		r.Verdict, r.Why = Explained, r.because(crossing)
	case d > 0:
		r.Verdict = More
		r.Why = fmt.Sprintf("at least %.0f %s are not ours: others use this server", d-r.Crossing-r.Unsure, r.Unit)
		if note != "" {
			r.Why += " (" + note + ")"
		}
	default:
		r.Verdict = Less
		r.Why = fmt.Sprintf("the server counted %.0f fewer than it answered", -d)
		if note != "" {
			r.Why += " (" + note + ")"
		}
	}
}

func (r *Row) because(crossing int) string {
	switch {
	case r.Crossing == 0:
		return fmt.Sprintf("within the %.0f of requests that failed or were given up", r.Unsure)
	case r.Unsure == 0:
		return fmt.Sprintf("within the %.0f of %d requests in flight at the edges", r.Crossing, crossing)
	}
	return fmt.Sprintf("within the %.0f of %d requests in flight at the edges, and %.0f of failed ones", r.Crossing, crossing, r.Unsure)
}

// errors reads the row of errors with more care: what failed for us need not have failed for the server, and the other way
// round.
func (a *asker) errors(ctx context.Context, row *Row, from, to reading) {
	h := a.count(ctx, dialect.CountHTTPErrors, from, to)
	if h.why == "" && h.by > row.Server {
		// One failure may be in both counters, so the greater counts.
		row.AtFrom, row.AtTo, row.Server = h.atFrom, h.atTo, h.by
		row.Difference = row.Server - row.Ours
		row.settle("", 0, "")
	}
	if row.Verdict == Less {
		row.Verdict = Explained
		row.Why = fmt.Sprintf("%.0f that failed here are none of the server's count: an error inside a stream has the status 200, and what a proxy answers it never saw", -row.Difference)
	}
}

// mean compares a mean latency.
func (a *asker) mean(ctx context.Context, row *Row, sum, count string, records []request.Record, from, to reading) {
	var total float64
	n := 0
	for i := range records {
		r := &records[i]
		latency, when := (*request.Record).TTFT, r.FirstToken
		if row.Key == "tpot_mean" {
			latency, when = (*request.Record).TPOT, r.LastToken
			if !answered(r) {
				continue
			}
		}
		if at := when.At(); when == 0 || at.Before(from.at) || at.After(to.at) {
			continue
		}
		if d, ok := latency(r); ok {
			total += d.Seconds()
			n++
		}
	}
	if n > 0 {
		row.Ours = total / float64(n)
	}
	server, served, why := a.meanOf(ctx, sum, count, from, to)
	row.Server = server
	row.Difference = row.Server - row.Ours
	switch {
	case why != "":
		row.Why = why
		return
	case n == 0:
		row.Why = "none of ours fell between the readings"
		return
	}
	row.Verdict = Explained
	if row.Key == "ttft_mean" {
		row.Why = fmt.Sprintf("%d of ours, %.0f of the server's; its clock runs from a request's arrival in the server to its first output: the way there and back, and HTTP, are in ours", n, served)
	} else {
		row.Why = fmt.Sprintf("%d of ours, %.0f of the server's; it times its outputs as they are made, we as they arrive", n, served)
	}
	if served > float64(n) {
		row.Why += "; its mean is of others' requests too, or of some in flight at the edges"
	}
}
