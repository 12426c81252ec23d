package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/sessions"
	"pitwall/sessions/score"
	"pitwall/sessions/steer"
	"pitwall/sessions/validity"
)

// loadReport is what --json prints: latencies in milliseconds, everything else in the unit that its name has. A number that is
// not known is null.
type loadReport struct {
	Session   string            `json:"session"`
	File      string            `json:"file"`
	Pitwall   string            `json:"pitwall"`
	Simulated bool              `json:"simulated"`
	ExitCode  int               `json:"exit_code"`
	Verdict   string            `json:"verdict"`
	Target    map[string]string `json:"target"`
	Lacks     []lackLine        `json:"lacks"`
	Run       uint32            `json:"run"`
	Label     string            `json:"label"`
	Load      shape.Point       `json:"load"`
	State     sessions.RunState `json:"state"`
	Why       string            `json:"why,omitempty"`
	Began     time.Time         `json:"began"`
	Ended     time.Time         `json:"ended"`
	// MeasuredSeconds is from when the load had its shape until it was ended; SteadySeconds the part that the numbers are of.
	MeasuredSeconds float64                `json:"measured_seconds"`
	SteadySeconds   *value                 `json:"steady_seconds"`
	SteadyWhy       string                 `json:"steady_why,omitempty"`
	Requests        requestCounts          `json:"requests"`
	Tokens          tokenCounts            `json:"tokens"`
	RequestsPerS    *estimateLine          `json:"requests_per_second"`
	OutputPerS      *estimateLine          `json:"output_tokens_per_second"`
	TotalPerS       *estimateLine          `json:"total_tokens_per_second"`
	Latencies       map[string]summaryLine `json:"latencies_ms"`
	Goodput         *goodputLine           `json:"goodput"`
	Errors          []errorLine            `json:"errors"`
	Flags           []score.Flag           `json:"flags"`
	Reconciliation  json.RawMessage        `json:"reconciliation"`
	Formulas        []formulaLine          `json:"formulas"`
	Legend          string                 `json:"legend"`

	score *score.Score
	table validity.Table
}

type requestCounts struct {
	Sent      int `json:"sent"`
	OK        int `json:"ok"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	Crossing  int `json:"crossing"`
	Dropped   int `json:"dropped"`
}

// tokenCounts are null where the server told none.
type tokenCounts struct {
	Input  *int64 `json:"input"`
	Cached *int64 `json:"cached"`
	Output *int64 `json:"output"`
}

type estimateLine struct {
	Value value `json:"value"`
	Low   value `json:"low"`
	High  value `json:"high"`
}

type quantileLine struct {
	Value  *value `json:"value"`
	Low    *value `json:"low"`
	High   *value `json:"high"`
	Failed bool   `json:"failed,omitempty"`
	// Unfinished: it lies among requests that were not over when the run was cut.
	Unfinished bool `json:"unfinished,omitempty"`
	// Needs is how many more requests an interval takes.
	Needs int `json:"needs,omitempty"`
}

type summaryLine struct {
	Count  int          `json:"count"`
	Failed int          `json:"failed"`
	Mean   quantileLine `json:"mean"`
	P50    quantileLine `json:"p50"`
	P90    quantileLine `json:"p90"`
	P95    quantileLine `json:"p95"`
	P99    quantileLine `json:"p99"`
	P999   quantileLine `json:"p999"`
	Min    *value       `json:"min"`
	Max    *value       `json:"max"`
}

type goodputLine struct {
	Good       int          `json:"good"`
	Tried      int          `json:"tried"`
	Share      quantileLine `json:"share"`
	Met        bool         `json:"met"`
	RequestsPS value        `json:"good_requests_per_second"`
	TokensPS   value        `json:"good_output_tokens_per_second"`
}

type errorLine struct {
	Class string `json:"class"`
	Count int    `json:"count"`
	First string `json:"first_message"`
}

type lackLine struct {
	What    string `json:"what"`
	Instead string `json:"instead"`
}

type formulaLine struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Formula string `json:"formula"`
	Unit    string `json:"unit"`
	Note    string `json:"note,omitempty"`
	// Elsewhere is what other tools call the same number.
	Elsewhere map[string]string `json:"elsewhere,omitempty"`
}

func formulaLines() []formulaLine {
	var out []formulaLine
	for _, f := range score.Formulas() {
		line := formulaLine{Key: f.Key, Name: f.Name, Formula: f.Formula, Unit: f.Unit, Note: f.Note}
		for _, a := range f.Elsewhere {
			if line.Elsewhere == nil {
				line.Elsewhere = map[string]string{}
			}
			line.Elsewhere[a.Tool] = a.Name
		}
		out = append(out, line)
	}
	return out
}

// reportOf makes the report of the run that a load was.
func reportOf(info sessions.Info, st steer.Status, w steer.Warning, unread error) *loadReport {
	run := st.Run
	r := &loadReport{
		Session: info.ID, File: info.Path, Pitwall: thisBuild().Version, Simulated: info.Simulated, Target: run.Target,
		Run: run.ID, Label: run.Label, Load: run.Point, State: run.State, Why: run.Why, Began: run.Began, Ended: run.Ended,
		Reconciliation: run.Reconciled, Formulas: formulaLines(), Legend: score.Legend, score: run.Score,
	}
	for _, l := range w.Lacks {
		r.Lacks = append(r.Lacks, lackLine{l.What, l.Instead})
	}
	if !run.Settled.IsZero() && run.Cut.After(run.Settled) {
		r.MeasuredSeconds = run.Cut.Sub(run.Settled).Seconds()
	}
	if len(run.Reconciled) > 0 {
		if err := json.Unmarshal(run.Reconciled, &r.table); err != nil {
			r.table.Why = "can't be read back: " + err.Error()
		}
	}
	if unread != nil && r.table.Why == "" && len(r.table.Rows) == 0 {
		r.table.Why = unread.Error()
	}
	if s := run.Score; s != nil {
		r.scored(s)
	}
	r.conclude(run)
	return r
}

func (r *loadReport) scored(s *score.Score) {
	if s.Steady != (score.Window{}) {
		v := value(s.Steady.To.Sub(s.Steady.From).Seconds())
		r.SteadySeconds = &v
	}
	r.SteadyWhy = s.SteadyWhy
	r.Requests = requestCounts{s.Sent, s.OK, s.Failed, s.Cancelled, s.Crossing, s.Dropped}
	told := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	r.Tokens = tokenCounts{told(s.InputTokens), told(s.CachedTokens), told(s.OutputTokens)}
	rate := func(x score.Rate) *estimateLine {
		if math.IsNaN(x.Value) {
			return nil
		}
		return &estimateLine{value(x.Value), value(x.Low), value(x.High)}
	}
	r.RequestsPerS, r.OutputPerS, r.TotalPerS = rate(s.Requests), rate(s.Output), rate(s.Total)
	r.Latencies = map[string]summaryLine{}
	for _, l := range latencies(s) {
		if l.of.Count+l.of.Failed == 0 {
			continue
		}
		r.Latencies[l.key] = summaryLine{
			Count: l.of.Count, Failed: l.of.Failed, Mean: lineOf(score.Quantile{Estimate: l.of.Mean}, 1e3),
			P50: lineOf(l.of.P50, 1e3), P90: lineOf(l.of.P90, 1e3), P95: lineOf(l.of.P95, 1e3), P99: lineOf(l.of.P99, 1e3), P999: lineOf(l.of.P999, 1e3),
			Min: orNull(l.of.Min * 1e3), Max: orNull(l.of.Max * 1e3),
		}
	}
	if g := s.Goodput; g.Asked {
		r.Goodput = &goodputLine{g.Good, g.Tried, lineOf(score.Quantile{Estimate: g.Share}, 1), g.Met, value(g.Requests), value(g.Tokens)}
	}
	for _, e := range s.Errors {
		r.Errors = append(r.Errors, errorLine{e.Class.String(), e.Count, e.First})
	}
	r.Flags = s.Flags
}

// orNull is nil for a number that there is none of.
func orNull(v float64) *value {
	if math.IsNaN(v) {
		return nil
	}
	x := value(v)
	return &x
}

func lineOf(q score.Quantile, times float64) quantileLine {
	return quantileLine{Value: orNull(q.Value * times), Low: orNull(q.Low * times), High: orNull(q.High * times), Failed: q.Failed, Unfinished: q.Unfinished, Needs: q.Needs}
}

// conclude says what the exit code is, and why: a run that broke is worse than one that must not be used, and that than an SLO
// that is not met.
func (r *loadReport) conclude(run sessions.Run) {
	s := run.Score
	invalid := ""
	for _, f := range r.Flags {
		if f.Invalid {
			invalid = f.Title
			break
		}
	}
	switch {
	case run.State == sessions.Broken:
		r.ExitCode, r.Verdict = exitBroken, "the run is broken: "+run.Why
	case s == nil || s.OK+s.Crossing == 0:
		r.ExitCode, r.Verdict = exitBroken, "no request went well"
	case invalid != "":
		r.ExitCode, r.Verdict = exitInvalid, "the numbers must not be used: "+invalid
	case s.Goodput.Asked && !s.Goodput.Met:
		r.ExitCode, r.Verdict = exitSLO, fmt.Sprintf("the SLO is not met: %d of %d requests are good", s.Goodput.Good, s.Goodput.Tried)
	case s.Goodput.Asked:
		r.ExitCode, r.Verdict = exitOK, fmt.Sprintf("the SLO is met: %d of %d requests are good", s.Goodput.Good, s.Goodput.Tried)
	default:
		r.ExitCode, r.Verdict = exitOK, "measured"
	}
}

// print writes the report as tables: first what came out, then what it is worth, last what it means.
func (r *loadReport) print(w io.Writer) error {
	var head [][]string
	line := func(name, text string) { head = append(head, []string{name, text}) }
	simulated := ""
	if r.Simulated {
		simulated = ", SIMULATED"
	}
	line("run", fmt.Sprintf("%s, session %s%s", r.Label, r.Session, simulated))
	line("target", strings.TrimSpace(r.Target["url"]+" "+r.Target["engine"]+" "+r.Target["version"])+", model "+r.Target["model"])
	line("verdict", r.Verdict)
	if r.Why != "" && r.State != sessions.Broken {
		line("ended because", r.Why)
	}
	if s := r.score; s != nil {
		line("steady", r.steady())
		line("requests", fmt.Sprintf("%d sent: %d ok, %d failed, %d cancelled, %s; %d dropped", s.Sent, s.OK, s.Failed, s.Cancelled, crossing(s.Crossing), s.Dropped))
		line("tokens", fmt.Sprintf("%s in (%s cached), %s out", known(s.InputTokens), known(s.CachedTokens), known(s.OutputTokens)))
		line("throughput", fmt.Sprintf("%s requests/s, %s output tokens/s, %s tokens/s in all", interval(s.Requests.Estimate, 1), interval(s.Output.Estimate, 1), interval(s.Total.Estimate, 1)))
		if o := s.Overall; o != nil {
			line("over the whole run", fmt.Sprintf("%s requests/s, %s output tokens/s, %s tokens/s in all over %s, as vllm bench serve counts",
				plain(o.Requests), plain(o.Output), plain(o.Total), seconds(o.Seconds)))
		}
		if g := s.Goodput; g.Asked {
			line("goodput", fmt.Sprintf("%s %% of %d requests, %s good requests/s", interval(g.Share, 100), g.Tried, plain(g.Requests)))
		}
	}
	if err := table(w, head); err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		rows  [][]string
	}{
		{"latencies in ms, with 95 % intervals", r.latencyRows()},
		{"errors", r.errorRows()},
		{"flags", r.flagRows()},
		{"ours and the server's", r.reconciledRows()},
		{"formulas: " + score.Legend, r.formulaRows()},
	} {
		if len(part.rows) < 2 {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s\n", part.title); err != nil {
			return err
		}
		if err := table(w, part.rows); err != nil {
			return err
		}
	}
	return nil
}

// crossing says what became of the requests that crossed the edge of what was measured: they are none of those that are ok, and
// went well.
func crossing(n int) string {
	if n == 0 {
		return "0 crossing"
	}
	return fmt.Sprintf("%d crossing (answered, but not all within what was measured)", n)
}

func (r *loadReport) steady() string {
	if r.SteadySeconds == nil {
		return "none, so the numbers are of all " + seconds(r.MeasuredSeconds) + ": " + r.SteadyWhy
	}
	return fmt.Sprintf("%s of %s: %s", seconds(float64(*r.SteadySeconds)), seconds(r.MeasuredSeconds), r.SteadyWhy)
}

func (r *loadReport) latencyRows() [][]string {
	rows := [][]string{{"", "COUNT", "MEAN", "P50", "P90", "P95", "P99", "MAX"}}
	if r.score == nil {
		return rows
	}
	for _, l := range latencies(r.score) {
		s := &l.of
		if s.Count+s.Failed == 0 {
			continue
		}
		rows = append(rows, []string{l.name, strconv.Itoa(s.Count + s.Failed), interval(s.Mean, 1e3), percentile(s.P50), percentile(s.P90), percentile(s.P95),
			percentile(s.P99), plain(s.Max * 1e3)})
	}
	return rows
}

func (r *loadReport) errorRows() [][]string {
	rows := [][]string{{"CLASS", "COUNT", "FIRST MESSAGE"}}
	for _, e := range r.Errors {
		rows = append(rows, []string{e.Class, strconv.Itoa(e.Count), e.First})
	}
	return rows
}

func (r *loadReport) flagRows() [][]string {
	rows := [][]string{{"FLAG", "WHAT", "EVIDENCE", "WHAT TO DO"}}
	for _, f := range r.Flags {
		kind := f.Kind
		if f.Invalid {
			kind += " (invalid)"
		}
		rows = append(rows, []string{kind, f.Title, f.Evidence, f.Do})
	}
	return rows
}

func (r *loadReport) reconciledRows() [][]string {
	rows := [][]string{{"", "OURS", "CROSSING", "UNSURE", "SERVER", "DIFFERENCE", "WHY"}}
	if len(r.table.Rows) == 0 {
		return append(rows, []string{"nothing", "—", "—", "—", "—", "—", r.table.Why})
	}
	for _, row := range r.table.Rows {
		number := func(v float64) string {
			if row.Unit == "s" {
				return millis(score.Quantile{Estimate: score.Estimate{Value: v}})
			}
			if math.IsNaN(v) {
				return "—"
			}
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		crossing, unsure := number(row.Crossing), number(row.Unsure)
		if row.Unit == "s" {
			crossing, unsure = "", ""
		}
		rows = append(rows, []string{row.Name, number(row.Ours), crossing, unsure, number(row.Server), number(row.Difference), string(row.Verdict) + ": " + row.Why})
	}
	return rows
}

func (r *loadReport) formulaRows() [][]string {
	rows := [][]string{{"NAME", "FORMULA", "UNIT", "NOTE"}}
	for _, f := range score.Formulas() {
		rows = append(rows, []string{f.Name, f.Formula, f.Unit, f.Note})
	}
	return rows
}

// millis writes a latency in ms, with its unit.
func millis(q score.Quantile) string {
	switch {
	case q.Failed:
		return "failed"
	case q.Unfinished:
		return "unfinished"
	case math.IsNaN(q.Value):
		return "—"
	}
	return plain(q.Value*1e3) + " ms"
}

func seconds(v float64) string { return plain(v) + " s" }
