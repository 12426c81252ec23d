package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/sessions/score"
)

// plain writes a number to about four figures; "—" for none.
func plain(v float64) string {
	switch {
	case math.IsNaN(v):
		return "—"
	case math.IsInf(v, 0):
		return "∞"
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := 3 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', min(max(digits, 0), 6), 64)
}

// interval writes a value times scale with its interval, "12.3 [11.9 12.8]".
func interval(e score.Estimate, scale float64) string {
	if math.IsNaN(e.Value) {
		return "—"
	}
	if math.IsNaN(e.Low) || math.IsNaN(e.High) {
		return plain(e.Value * scale)
	}
	return fmt.Sprintf("%s [%s %s]", plain(e.Value*scale), plain(e.Low*scale), plain(e.High*scale))
}

// percentile writes a percentile in milliseconds.
func percentile(q score.Quantile) string {
	switch {
	case q.Failed:
		return "failed"
	case q.Unfinished:
		return "unfinished"
	case q.Needs > 0 && math.IsNaN(q.Value):
		return fmt.Sprintf("needs %d more", q.Needs)
	case q.Needs > 0:
		return fmt.Sprintf("%s (needs %d more)", plain(q.Value*1000), q.Needs)
	}
	return interval(q.Estimate, 1000)
}

func goodput(g score.Goodput) string {
	if !g.Asked || math.IsNaN(g.Share.Value) {
		return "—"
	}
	text := "missed "
	if g.Met {
		text = "met "
	}
	return text + interval(g.Share, 100) + " %"
}

// known writes a count that nobody may have told.
func known(n int64) string {
	if n == request.Unknown {
		return "—"
	}
	return strconv.FormatInt(n, 10)
}

// flagWords names the flags of a run, those that spoil it in capitals.
func flagWords(flags []score.Flag) string {
	words := make([]string, len(flags))
	for i, f := range flags {
		if words[i] = f.Kind; f.Invalid {
			words[i] = strings.ToUpper(f.Kind)
		}
	}
	return strings.Join(words, " ")
}

// latency is one latency of a score.
type latency struct {
	name, key string
	of        score.Summary
}

// latencies are those of a score, in the order of score.Formulas.
func latencies(s *score.Score) []latency {
	by := map[string]score.Summary{
		"ttft": s.TTFT, "ttft_sched": s.TTFTSched, "tpot": s.TPOT, "itl": s.ITL, "chunk_gap": s.Gap, "e2e": s.E2E, "e2e_sched": s.E2ESched,
		"normalized": s.Normalized, "send_lag": s.Lag, "queue": s.Queue, "prefill": s.Prefill, "rest": s.Rest,
	}
	var out []latency
	for _, f := range score.Formulas() {
		if of, ok := by[f.Key]; ok {
			out = append(out, latency{f.Name, f.Key, of})
		}
	}
	return out
}

// cell writes a number for a CSV, empty for none: missing is not zero.
func cell(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', 8, 64)
}

// runsCSV writes one line a run.
func runsCSV(to io.Writer, all []sessions.Run) error {
	w := csv.NewWriter(to)
	head := []string{"run", "label", "state", "why", "load", "began", "settled", "cut", "ended", "sent", "ok", "failed", "cancelled", "crossing", "dropped",
		"input_tokens", "cached_tokens", "output_tokens"}
	for _, rate := range []string{"requests_per_s", "output_tokens_per_s", "total_tokens_per_s"} {
		head = append(head, rate, rate+"_low", rate+"_high")
	}
	head = append(head, "good_share", "good_requests_per_s", "good_output_tokens_per_s", "slo_met")
	for _, l := range latencies(&score.Score{}) {
		head = append(head, l.key+"_count", l.key+"_failed", l.key+"_mean_ms")
		for _, q := range []string{"p50", "p90", "p95", "p99", "p99_9"} {
			head = append(head, l.key+"_"+q+"_ms", l.key+"_"+q+"_low_ms", l.key+"_"+q+"_high_ms")
		}
	}
	if err := w.Write(append(head, "flags", "invalid")); err != nil {
		return err
	}
	for _, run := range all {
		row := []string{strconv.Itoa(int(run.ID)), run.Label, string(run.State), run.Why, run.Point.String(), stamp(run.Began), stamp(run.Settled), stamp(run.Cut), stamp(run.Ended)}
		if run.Score != nil {
			row = append(row, scoreCells(run.Score)...)
		}
		row = append(row, make([]string, len(head)+2-len(row))...)
		if err := w.Write(inertCells(row)); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func scoreCells(s *score.Score) []string {
	var row []string
	for _, n := range []int{s.Sent, s.OK, s.Failed, s.Cancelled, s.Crossing, s.Dropped} {
		row = append(row, strconv.Itoa(n))
	}
	for _, n := range []int64{s.InputTokens, s.CachedTokens, s.OutputTokens} {
		row = append(row, strings.Trim(known(n), "—"))
	}
	for _, r := range []score.Rate{s.Requests, s.Output, s.Total} {
		row = append(row, cell(r.Value), cell(r.Low), cell(r.High))
	}
	if g := s.Goodput; g.Asked {
		row = append(row, cell(g.Share.Value), cell(g.Requests), cell(g.Tokens), strconv.FormatBool(g.Met))
	} else {
		row = append(row, "", "", "", "")
	}
	for _, l := range latencies(s) {
		row = append(row, strconv.Itoa(l.of.Count), strconv.Itoa(l.of.Failed), cell(l.of.Mean.Value*1000))
		for _, q := range []score.Quantile{l.of.P50, l.of.P90, l.of.P95, l.of.P99, l.of.P999} {
			if q.Failed || q.Unfinished { // there is no number, and it is not missing
				row = append(row, percentile(q), cell(q.Low*1000), cell(q.High*1000))
				continue
			}
			row = append(row, cell(q.Value*1000), cell(q.Low*1000), cell(q.High*1000))
		}
	}
	invalid := false
	for _, f := range s.Flags {
		invalid = invalid || f.Invalid
	}
	kinds := make([]string, len(s.Flags))
	for i, f := range s.Flags {
		kinds[i] = f.Kind
	}
	return append(row, strings.Join(kinds, " "), strconv.FormatBool(invalid))
}

// stamp writes a time for a machine, empty for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// inertCells makes texts from outside fit for a CSV that a terminal shows or a spreadsheet opens: nothing that the one obeys or
// the other takes for a formula.
func inertCells(row []string) []string {
	for i, s := range row {
		if s = clean(s); s != "" && strings.ContainsRune("=+@", rune(s[0])) || strings.HasPrefix(s, "-") && !isNumber(s) {
			s = "'" + s
		}
		row[i] = s
	}
	return row
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}
