package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"pitwall/sessions"
	"pitwall/sessions/events"
)

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
