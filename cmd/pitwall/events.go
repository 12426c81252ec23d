package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pitwall/probes"
	"pitwall/sessions"
	"pitwall/sessions/events"
	when "pitwall/ui/moment"
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
	filter, err := f.filter(first, last)
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

func (f eventsFlags) filter(first, last time.Time) (events.Filter, error) {
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
		t, err := when.Parse(m.text, when.Session{First: first, Last: last})
		if err != nil {
			return out, fail(exitUsage, m.flag+" wants "+when.Hint, "%s: %q is not a moment: %w", m.flag, m.text, err)
		}
		*m.to = t.At
	}
	return out, nil
}
