package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pitwall/cmd/config"
	"pitwall/probes"
	"pitwall/sessions"
	"pitwall/sessions/events"
)

// eventsFlags are events's own.
type eventsFlags struct {
	since, until, severity, grep, subject, rules string
	kinds                                        []string
	asJSON, frequencies, verbose                 bool
}

func (p *program) events() *cobra.Command {
	var f eventsFlags
	cmd := &cobra.Command{
		Use:   "events [SESSION]",
		Short: "What happened in a recording",
		Long: para(`Lists what happened in a session, by default the newest: an engine's states, preemptions, a full KV cache, a growing queue,
errors, throttling, XIDs, memory and disk running full, gaps, marks; each with its beginning, how long it lasted, and why. What comes
and goes is one event with a count. It works on a session that is being recorded, too. Times: as query's --at.`),
		Example: "pitwall events\npitwall events --since -10m --severity warning\npitwall events 20261124-231800-7f3a --frequencies --kind 'gpu.*'\npitwall events --json | jq -r 'select(.ongoing) | .title'\npitwall events --rules my-rules.yaml    # search a session with other rules",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fail(exitUsage, "pitwall sessions lists them", "one session at a time, and %d were given", len(args))
			}
			return nil
		},
		RunE: p.run(func(cmd *cobra.Command, args []string) error {
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
			return p.listEvents(cmd.Context(), r, f)
		}),
	}
	flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.since, "since", "", "only what was there at or after this moment")
	fs.StringVar(&f.until, "until", "", "only what was there at or before this moment")
	fs.StringArrayVar(&f.kinds, "kind", nil, "only this kind, or glob of kinds: engine.dead, 'gpu.*' (may be repeated)")
	fs.StringVar(&f.subject, "subject", "", "only subjects with this in their name: gpu/0, 127.0.0.1:8000")
	fs.StringVar(&f.severity, "severity", "", "only what is at least note, warning or critical")
	fs.StringVar(&f.grep, "grep", "", "only what has all these words in kind, subject, title or cause")
	fs.BoolVar(&f.frequencies, "frequencies", false, "how often each thing happened, and how much of the time")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "with the evidence: expression, value, threshold")
	fs.StringVar(&f.rules, "rules", "", "search the session with the rules of this file over pitwall's own, instead of what was found while it was recorded; - for pitwall's own alone")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON, one line an event")
	cmd.AddCommand(p.checkRules(), p.printRules())
	return cmd
}

func (p *program) checkRules() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE",
		Short:   "Check a file of rules of one's own",
		Example: "pitwall events check my-rules.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fail(exitUsage, "pitwall events rules prints pitwall's own, whose form it has", "a file of rules is needed")
			}
			return nil
		},
		RunE: p.run(func(_ *cobra.Command, args []string) error {
			rules, err := readRules(args[0])
			if err != nil {
				return p.brokenRules(err)
			}
			replaced := 0
			for _, r := range rules {
				for _, b := range events.Builtin() {
					if b.Kind == r.Kind {
						replaced++
					}
				}
			}
			fmt.Fprintf(p.stdout, "%s: %s, %d in place of pitwall's own\n", clean(args[0]), counted(len(rules), "rule"), replaced)
			return nil
		}),
	}
}

func (p *program) printRules() *cobra.Command {
	return &cobra.Command{
		Use:     "rules",
		Short:   "Print pitwall's own rules, to begin one's own with",
		Example: "pitwall events rules > my-rules.yaml",
		Args:    noArgs,
		RunE: p.run(func(*cobra.Command, []string) error {
			_, err := p.stdout.Write(events.BuiltinFile())
			return err
		}),
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func readRules(path string) ([]events.Rule, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the rules for events: %w", err)
	}
	return events.Parse(path, b)
}

// brokenRules prints every mistake of a file of rules on a line of its own.
func (p *program) brokenRules(err error) error {
	lines := strings.Split(err.Error(), "\n")
	for i, l := range lines {
		hint := ""
		if i == len(lines)-1 {
			hint = "pitwall events rules prints pitwall's own, whose form it has"
		}
		p.complain(l, hint)
	}
	return exit(exitUsage)
}

// rules are pitwall's own with those of the file that the configuration names over them.
func (p *program) rules(c *config.Config) ([]events.Rule, error) {
	all := events.Builtin()
	if c.Rules == "" {
		return all, nil
	}
	own, err := readRules(c.Rules)
	if err != nil {
		return nil, fail(exitUsage, "pitwall events check "+c.Rules+" says where", "rules: %w", err)
	}
	return events.Join(all, own), nil
}

// found gives the episodes of a session: those that were found while it was recorded, or those that other rules find.
func (p *program) found(ctx context.Context, r sessions.Reader, rules string) ([]events.Episode, error) {
	if rules == "" {
		return events.Of(r, time.Time{}, time.Time{}, time.Time{}), nil
	}
	all := events.Builtin()
	if rules != "-" {
		own, err := readRules(rules)
		if err != nil {
			return nil, p.brokenRules(err)
		}
		all = events.Join(all, own)
	}
	start, told := time.Now(), time.Now()
	list, err := events.Search(ctx, r, all, func(done float64) {
		if time.Since(told) > 2*time.Second {
			told = time.Now()
			fmt.Fprintf(p.stderr, "searching: %.0f %%\n", 100*done)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("searching session %s with %s: %w", r.Info().ID, counted(len(all), "rule"), err)
	}
	if took := time.Since(start); took > 2*time.Second {
		fmt.Fprintf(p.stderr, "searched with %s in %s\n", counted(len(all), "rule"), span(took))
	}
	_, last := r.Bounds()
	return events.Fold(list, time.Time{}, time.Time{}, last), nil
}

func (p *program) listEvents(ctx context.Context, r sessions.Reader, f eventsFlags) error {
	first, last := r.Bounds()
	if last.IsZero() {
		return fail(exitNoSession, "", "session %s holds nothing", r.Info().ID)
	}
	filter, err := f.filter(last)
	if err != nil {
		return err
	}
	all, err := p.found(ctx, r, f.rules)
	if err != nil {
		return err
	}
	chosen := filter.Choose(all)
	mark := ""
	if r.Info().Simulated {
		mark = "  SIMULATED"
	}
	if f.frequencies {
		return p.listFrequencies(r, chosen, filter, first, last, f.asJSON, mark)
	}
	if f.asJSON {
		for _, e := range chosen {
			if err := printJSONLine(p.stdout, eventLineOf(e, r.Info(), first, last)); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(p.stderr, "session %s  %s … %s%s\n", r.Info().ID, clock(first), clock(last), mark)
	if len(chosen) == 0 {
		text := "nothing has happened"
		if len(all) > 0 {
			text = fmt.Sprintf("none of %s is chosen", counted(len(all), "event"))
		}
		fmt.Fprintln(p.stderr, text)
		return nil
	}
	if f.verbose {
		p.printEvidence(chosen, first, last)
		return nil
	}
	rows := [][]string{{"INTO", "WHEN", "LASTED", "COUNT", "SEVERITY", "SUBJECT", "WHAT"}}
	for _, e := range chosen {
		rows = append(rows, []string{into(e.Start, first), e.Start.Local().Format("2006-01-02 15:04:05"), lasted(e, last), times(e), e.Severity.String(), e.Subject, e.Text()})
	}
	return table(p.stdout, rows)
}

func (f eventsFlags) filter(last time.Time) (events.Filter, error) {
	out := events.Filter{Kinds: f.kinds, Subject: f.subject, Text: f.grep}
	severities := map[string]probes.Severity{"": probes.Note, "note": probes.Note, "warning": probes.Warning, "critical": probes.Critical}
	var ok bool
	if out.MinSeverity, ok = severities[f.severity]; !ok {
		return out, fail(exitUsage, "--severity wants note, warning or critical", "--severity: %q is none", f.severity)
	}
	for _, m := range []struct {
		flag, text string
		to         *time.Time
	}{{"--since", f.since, &out.From}, {"--until", f.until, &out.To}} {
		if m.text == "" {
			continue
		}
		t, err := parseMoment(m.text, last)
		if errors.Is(err, errMoment) {
			return out, fail(exitUsage, m.flag+" wants 2026-11-24T23:18:00Z, \"2026-11-24 23:18:00\" or 23:18:00 (local time) or -5m (before the end)", "%s: %q is not a moment", m.flag, m.text)
		}
		*m.to = t
	}
	return out, nil
}

// printEvidence lists episodes with what they were told from.
func (p *program) printEvidence(all []events.Episode, first, last time.Time) {
	for _, e := range all {
		head := []string{into(e.Start, first), clock(e.Start), lasted(e, last)}
		if n := times(e); n != "" {
			head = append(head, n)
		}
		fmt.Fprintln(p.stdout, clean(strings.Join(append(head, e.Severity.String(), e.Kind, e.Subject), "  ")))
		fmt.Fprintf(p.stdout, "    %s\n", clean(e.Text()))
		for _, x := range e.Evidence {
			value := x.Value
			if x.Threshold != "" {
				value += "  (" + x.Threshold + ")"
			}
			fmt.Fprintf(p.stdout, "    %s\n      = %s\n", clean(x.Expr), clean(value))
		}
		for _, l := range strings.Split(e.Attrs["log"], "\n") {
			if l = clean(l); l != "" {
				fmt.Fprintf(p.stdout, "    log: %s\n", l)
			}
		}
	}
}

// into writes a time as one into the session.
func into(t, first time.Time) string {
	d, sign := t.Sub(first).Round(time.Second), ""
	if d < 0 {
		d, sign = -d, "-"
	}
	return fmt.Sprintf("%s%02d:%02d:%02d", sign, int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

func lasted(e events.Episode, last time.Time) string {
	switch {
	case e.Moment:
		return "—"
	case e.Ongoing():
		return "ongoing, " + span(e.Lasted(last))
	}
	return span(e.Lasted(last))
}

// times says how often an episode came, and how long it was there together; empty for once.
func times(e events.Episode) string {
	if e.Count <= 1 {
		return ""
	}
	s := strconv.Itoa(e.Count) + "×"
	if e.Active > 0 {
		s += ", " + span(e.Active)
	}
	return s
}

func (p *program) listFrequencies(r sessions.Reader, chosen []events.Episode, filter events.Filter, first, last time.Time, asJSON bool, mark string) error {
	from, to := first, last
	if filter.From.After(from) {
		from = filter.From
	}
	if !filter.To.IsZero() && filter.To.Before(to) {
		to = filter.To
	}
	all := events.Frequencies(chosen, from, to)
	if asJSON {
		for _, f := range all {
			if err := printJSONLine(p.stdout, frequencyLine{Session: r.Info().ID, Kind: f.Kind, Subject: f.Subject, Title: f.Title, Severity: f.Severity.String(),
				Times: f.Times, Active: f.Active.Seconds(), Share: f.Share, Longest: f.Longest.Seconds(), From: from.UTC(), To: to.UTC()}); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(p.stderr, "session %s  %s of %s … %s%s\n", r.Info().ID, span(to.Sub(from)), clock(from), clock(to), mark)
	if len(all) == 0 {
		fmt.Fprintln(p.stderr, "nothing of it has happened")
		return nil
	}
	rows := [][]string{{"TIMES", "TIME", "SHARE", "LONGEST", "SEVERITY", "SUBJECT", "WHAT"}}
	for _, f := range all {
		row := []string{strconv.Itoa(f.Times), "—", "—", "—", f.Severity.String(), f.Subject, f.Title}
		if f.Active > 0 {
			row[1], row[2], row[3] = span(f.Active), measure(f.Share, "ratio"), span(f.Longest.Round(time.Millisecond))
		}
		rows = append(rows, row)
	}
	return table(p.stdout, rows)
}

// eventLine is one event in events --json.
type eventLine struct {
	Session   string `json:"session"`
	Simulated bool   `json:"simulated"`
	Kind      string `json:"kind"`
	Subject   string `json:"subject"`
	Severity  string `json:"severity"`
	Title     string `json:"title"`
	Cause     string `json:"cause"`
	// Start is the first moment, Into the same in seconds into the session; End is null while it goes on.
	Start time.Time  `json:"start"`
	Into  float64    `json:"into_seconds"`
	End   *time.Time `json:"end"`
	// Ongoing is as of the session's last moment, which Lasted counts to.
	Ongoing bool    `json:"ongoing"`
	Moment  bool    `json:"moment"`
	Lasted  float64 `json:"lasted_seconds"`
	Count   int     `json:"count"`
	Active  float64 `json:"active_seconds"`
	// Evidence is what it was told from.
	Evidence []evidenceLine    `json:"evidence"`
	Attrs    map[string]string `json:"attrs"`
}

type evidenceLine struct {
	Expr      string `json:"expr"`
	Value     string `json:"value"`
	Threshold string `json:"threshold,omitempty"`
}

// frequencyLine is one line of events --frequencies --json.
type frequencyLine struct {
	Session  string    `json:"session"`
	Kind     string    `json:"kind"`
	Subject  string    `json:"subject"`
	Title    string    `json:"title"`
	Severity string    `json:"severity"`
	Times    int       `json:"times"`
	Active   float64   `json:"active_seconds"`
	Share    float64   `json:"share"`
	Longest  float64   `json:"longest_seconds"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
}

func eventLineOf(e events.Episode, i sessions.Info, first, last time.Time) eventLine {
	out := eventLine{Session: i.ID, Simulated: i.Simulated, Kind: e.Kind, Subject: e.Subject, Severity: e.Severity.String(), Title: e.Title, Cause: e.Cause,
		Start: e.Start.UTC(), Into: e.Start.Sub(first).Seconds(), Ongoing: e.Ongoing(), Moment: e.Moment, Lasted: e.Lasted(last).Seconds(), Count: e.Count,
		Active: e.Active.Seconds(), Evidence: []evidenceLine{}, Attrs: e.Attrs}
	if !e.Ongoing() {
		end := e.End.UTC()
		out.End = &end
	}
	for _, x := range e.Evidence {
		out.Evidence = append(out.Evidence, evidenceLine(x))
	}
	if out.Attrs == nil {
		out.Attrs = map[string]string{}
	}
	return out
}
