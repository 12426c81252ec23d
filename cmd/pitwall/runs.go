package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pitwall/sessions"
	"pitwall/sessions/score"
	"pitwall/sessions/validity"
)

func (p *program) runs() *cobra.Command {
	var asJSON, asCSV bool
	var one uint32
	cmd := &cobra.Command{
		Use:   "runs [SESSION]",
		Short: "The runs of load in a recording, with what each gave",
		Long: para(`Lists the runs of load of a session, by default the newest: every stretch with one shape of load, scored on its own, with 95 %
intervals in brackets and what may have spoiled it. With --run one of them with all its numbers, flags and their evidence, and its
requests and tokens beside the server's. A percentile that lies among failures reads "failed", among requests that the cut left open "unfinished"; one that the number of requests can't support
says how many more it needs. It works on a session that is being recorded, too.`) + "\n\n" + formulaText(),
		Example: "pitwall runs\npitwall runs --run 3\npitwall runs 20261124-231800-7f3a --csv >runs.csv\npitwall runs --json | jq 'select(.score.flags | any(.invalid))'",
		Args:    oneSession,
		RunE: p.run(func(cmd *cobra.Command, args []string) error {
			return p.readSession(cmd, args, func(r sessions.Reader) error {
				all, err := chosenRuns(r, one)
				if err != nil {
					return err
				}
				switch {
				case asJSON && asCSV:
					return fail(exitUsage, "one of them", "--json and --csv are given")
				case asJSON:
					for _, run := range all {
						if err := printJSONLine(p.stdout, runLine{r.Info().ID, r.Info().Simulated, run}); err != nil {
							return err
						}
					}
					return nil
				case asCSV:
					return runsCSV(p.stdout, all)
				}
				mark := ""
				if r.Info().Simulated {
					mark = "  SIMULATED"
				}
				fmt.Fprintf(p.stderr, "session %s%s\n", r.Info().ID, mark)
				if len(all) == 0 {
					fmt.Fprintln(p.stderr, "it has no runs: pitwall load and the console's load bar make them")
					return nil
				}
				if one != 0 {
					return p.printRun(all[0])
				}
				return p.listRuns(r, all)
			})
		}),
	}
	flags(cmd)
	cmd.Flags().Uint32Var(&one, "run", 0, "only this run, with everything about it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one line a run, with its whole score")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print CSV, one line a run; units are in the names")
	return cmd
}

// oneSession takes no argument, or a session.
func oneSession(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fail(exitUsage, "pitwall sessions lists them", "one session at a time, and %d were given", len(args))
	}
	return nil
}

// readSession opens the session that a command line names, and tells what of it is damaged.
func (p *program) readSession(cmd *cobra.Command, args []string, read func(sessions.Reader) error) error {
	c, err := p.keeping(cmd)
	if err != nil {
		return err
	}
	path, err := findSession(c.SessionsDir, strings.Join(args, ""))
	if err != nil {
		return err
	}
	r, err := sessions.Open(path)
	if err != nil {
		return fail(exitNoSession, "pitwall sessions lists those that can be read", "opening %s: %w", path, err)
	}
	defer r.Close()
	err = read(r)
	if trouble := r.Info().Trouble; trouble != "" {
		fmt.Fprintf(p.stderr, "pitwall: warning: %s\n", clean(trouble))
	}
	return err
}

// formulaText is how the numbers of a run are defined.
func formulaText() string {
	var b strings.Builder
	b.WriteString("The numbers:\n")
	for _, f := range score.Formulas() {
		fmt.Fprintf(&b, "  %s = %s\n", f.Name, f.Formula)
	}
	b.WriteString("\n" + para(strings.TrimSuffix("where "+score.Legend, ".")+"."))
	return b.String()
}

// chosenRuns gives the run of a number, or all of them for 0.
func chosenRuns(r sessions.Reader, one uint32) ([]sessions.Run, error) {
	all := r.Runs()
	if one == 0 {
		return all, nil
	}
	for _, run := range all {
		if run.ID == one {
			return []sessions.Run{run}, nil
		}
	}
	hint := "it has none"
	if n := len(all); n > 0 {
		hint = fmt.Sprintf("it has %d to %d: pitwall runs lists them", all[0].ID, all[n-1].ID)
	}
	return nil, fail(exitUsage, hint, "--run: session %s has no run %d", r.Info().ID, one)
}

// runLine is one run in runs --json.
type runLine struct {
	Session   string `json:"session"`
	Simulated bool   `json:"simulated"`
	sessions.Run
}

func (p *program) listRuns(r sessions.Reader, all []sessions.Run) error {
	first, last := r.Bounds()
	rows := [][]string{{"RUN", "LABEL", "STATE", "LOAD", "INTO", "LASTED", "REQUESTS", "FAILED", "REQ/S", "TOK/S",
		"TTFT P50 ms", "P99 ms", "TPOT P50 ms", "P99 ms", "GOODPUT", "FLAGS"}}
	for _, run := range all {
		end := last
		if !run.Cut.IsZero() {
			end = run.Cut
		} else if !run.Ended.IsZero() {
			end = run.Ended
		}
		row := []string{strconv.Itoa(int(run.ID)), run.Label, string(run.State), run.Point.String(), into(run.Began, first), span(max(0, end.Sub(run.Began)))}
		if s := run.Score; s != nil {
			row = append(row, strconv.Itoa(s.Sent), strconv.Itoa(s.Failed), interval(s.Requests.Estimate, 1), interval(s.Output.Estimate, 1),
				percentile(s.TTFT.P50), percentile(s.TTFT.P99), percentile(s.TPOT.P50), percentile(s.TPOT.P99), goodput(s.Goodput), flagWords(s.Flags))
		} else {
			row = append(row, "—", "—", "—", "—", "—", "—", "—", "—", "—", run.Why)
		}
		rows = append(rows, row)
	}
	return table(p.stdout, rows)
}

// printRun prints everything about one run.
func (p *program) printRun(run sessions.Run) error {
	say := func(name, value string) {
		if value != "" {
			fmt.Fprintf(p.stdout, "%-14s %s\n", name, clean(value))
		}
	}
	say("run", strconv.Itoa(int(run.ID)))
	say("label", run.Label)
	say("load", run.Point.String())
	for _, k := range slices.Sorted(maps.Keys(run.Target)) {
		say(k, run.Target[k])
	}
	state := string(run.State)
	if run.Why != "" {
		state += ": " + run.Why
	}
	say("state", state)
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"began", run.Began}, {"settled", run.Settled}, {"cut", run.Cut}, {"ended", run.Ended}} {
		if !t.at.IsZero() {
			say(t.name, clock(t.at))
		}
	}
	s := run.Score
	if s == nil {
		return nil
	}
	say("steady window", s.SteadyWhy)
	say("requests", fmt.Sprintf("%d sent, %d ok, %d failed, %d cancelled, %d crossing an edge, %d dropped", s.Sent, s.OK, s.Failed, s.Cancelled, s.Crossing, s.Dropped))
	for _, e := range s.Errors {
		say("", fmt.Sprintf("%d× %s: %s", e.Count, e.Class, e.First))
	}
	say("tokens", fmt.Sprintf("%s in, %s cached, %s out", known(s.InputTokens), known(s.CachedTokens), known(s.OutputTokens)))
	say("rates", fmt.Sprintf("%s requests/s, %s output tokens/s, %s tokens/s", interval(s.Requests.Estimate, 1), interval(s.Output.Estimate, 1), interval(s.Total.Estimate, 1)))
	say("in flight", plain(s.MeanInFlight))
	say("goodput", goodput(s.Goodput))
	fmt.Fprintln(p.stdout)
	rows := [][]string{{"LATENCY (ms)", "COUNT", "FAILED", "MEAN", "P50", "P90", "P95", "P99", "P99.9"}}
	for _, l := range latencies(s) {
		if l.of.Count+l.of.Failed > 0 {
			rows = append(rows, []string{l.name, strconv.Itoa(l.of.Count), strconv.Itoa(l.of.Failed), interval(l.of.Mean, 1000),
				percentile(l.of.P50), percentile(l.of.P90), percentile(l.of.P95), percentile(l.of.P99), percentile(l.of.P999)})
		}
	}
	if err := table(p.stdout, rows); err != nil {
		return err
	}
	if len(s.Flags) > 0 {
		fmt.Fprintln(p.stdout)
	}
	for _, f := range s.Flags {
		how := "with care"
		if f.Invalid {
			how = "INVALID"
		}
		say(how, f.Kind+": "+f.Title)
		if f.Evidence != "" {
			say("", "  "+f.Evidence)
		}
		if f.Do != "" {
			say("", "  → "+f.Do)
		}
	}
	return p.printReconciled(run.Reconciled)
}

// printReconciled prints our requests and tokens beside the server's.
func (p *program) printReconciled(raw json.RawMessage) error {
	if len(raw) == 0 {
		return nil
	}
	var t validity.Table
	if err := json.Unmarshal(raw, &t); err != nil {
		return fmt.Errorf("reading what was reconciled: %w", err)
	}
	fmt.Fprintln(p.stdout)
	if t.Why != "" {
		fmt.Fprintf(p.stdout, "%-14s %s\n", "not reconciled", clean(t.Why))
	}
	if len(t.Rows) == 0 {
		return nil
	}
	rows := [][]string{{"RECONCILED", "OURS", "CROSSING", "SERVER", "DIFFERENCE", "WHY"}}
	for _, r := range t.Rows {
		scale, unit := 1.0, ""
		if r.Unit == "s" {
			scale, unit = 1000, " (ms)"
		}
		rows = append(rows, []string{r.Name + unit, plain(r.Ours * scale), plain(r.Crossing * scale), plain(r.Server * scale), plain(r.Difference * scale), r.Why})
	}
	return table(p.stdout, rows)
}
