package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"pitwall/sessions"
)

// sessionLine is one session in sessions --json.
type sessionLine struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Path      string    `json:"path"`
	Host      string    `json:"host"`
	Simulated bool      `json:"simulated"`
	Started   time.Time `json:"started"`
	// Last is the last tick that is there, Ended the clean end, null without one.
	Last    time.Time  `json:"last"`
	Ended   *time.Time `json:"ended"`
	State   string     `json:"state"`
	PID     int        `json:"pid,omitempty"`
	Trouble string     `json:"trouble,omitempty"`
	Bytes   int64      `json:"bytes"`
}

func (p *program) sessions() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "sessions",
		Short:   "What has been recorded",
		Example: "pitwall sessions\npitwall sessions export 20261124-231800-7f3a copy.pitwall",
		Args:    noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			c, err := p.keeping(cmd)
			if err != nil {
				return err
			}
			all, err := sessions.List(c.SessionsDir)
			if err != nil {
				return fail(exitNoSession, "pitwall doctor looks at the directory", "listing the sessions in %s: %w", c.SessionsDir, err)
			}
			if asJSON {
				lines := make([]sessionLine, 0, len(all))
				for _, s := range all {
					l := sessionLine{ID: s.ID, Name: s.Name, Path: s.Path, Host: s.Host, Simulated: s.Simulated, Started: s.Started, Last: s.Last,
						State: s.Recording.String(), PID: s.PID, Trouble: s.Trouble, Bytes: s.Bytes}
					if !s.Ended.IsZero() {
						l.Ended = &s.Ended
					}
					lines = append(lines, l)
				}
				return printJSON(p.stdout, lines)
			}
			if len(all) == 0 {
				fmt.Fprintf(p.stderr, "no sessions in %s yet: pitwall, pitwall record and pitwall demo make them\n", c.SessionsDir)
				return nil
			}
			rows := [][]string{{"SESSION", "STARTED", "LENGTH", "SIZE", "STATE", "HOST", "NAME"}}
			for _, s := range all {
				rows = append(rows, sessionRow(s))
			}
			return table(p.stdout, rows)
		}),
	}
	flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(p.export(), p.check())
	return cmd
}

func sessionRow(s sessions.Info) []string {
	length := "—"
	if !s.Last.IsZero() {
		length = span(s.Last.Sub(s.Started))
	}
	state := s.Recording.String()
	if s.PID != 0 {
		state += fmt.Sprintf(" (pid %d)", s.PID)
	}
	if s.Simulated {
		state += ", SIMULATED"
	}
	if s.Trouble != "" {
		state += ": " + s.Trouble
	}
	return []string{s.ID, clock(s.Started), length, humanize.IBytes(uint64(max(0, s.Bytes))), state, s.Host, s.Name}
}

// kept gives the path of a session that is named on the command line.
func (p *program) kept(cmd *cobra.Command, which string) (string, error) {
	c, err := p.keeping(cmd)
	if err != nil {
		return "", err
	}
	return findSession(c.SessionsDir, which)
}

func (p *program) check() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check SESSION",
		Short: "Read all of a session and say what of it is damaged",
		Long: para(`Looks at every checksum of a session's file. What is damaged is never shown as a number: it is left out wherever the
session is read, and everything else is there. Exit status 1 says that something is damaged, 4 that nothing can be read.`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fail(exitUsage, "pitwall sessions check last", "a session is needed, and %d arguments were given", len(args))
			}
			return nil
		},
		RunE: p.run(func(cmd *cobra.Command, args []string) error {
			path, err := p.kept(cmd, args[0])
			if err != nil {
				return err
			}
			info, damage, err := sessions.Check(cmd.Context(), path)
			if err != nil {
				return fail(exitNoSession, "pitwall sessions shows how each one stands", "%w", err)
			}
			if info.Trouble == "" {
				fmt.Fprintf(p.stdout, "session %s is whole: %s, %s\n", clean(info.ID), span(info.Last.Sub(info.Started)), humanize.IBytes(uint64(max(0, info.Bytes))))
				return nil
			}
			rows := [][]string{{"FROM", "LASTS", "WHAT"}}
			for _, e := range damage {
				rows = append(rows, []string{clock(e.Time), e.Attrs["lasted"], e.Attrs["cause"]})
			}
			if len(damage) > 0 {
				if err := table(p.stdout, rows); err != nil {
					return err
				}
			}
			return fail(exitFailed, "all the rest can be read as if nothing had happened", "session %s: %s", info.ID, info.Trouble)
		}),
	}
	flags(cmd)
	return cmd
}

func (p *program) export() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export SESSION FILE",
		Short: "Copy a session into one file, also while it is recorded",
		Long: para(`The copy stands alone: it can be taken elsewhere and opened there. Of a damaged session what can be read is copied, and it
is told what is missing: the exit status is 1 then.`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fail(exitUsage, "pitwall sessions export 20261124-231800-7f3a copy.pitwall", "a session and a file are needed, and %d arguments were given", len(args))
			}
			return nil
		},
		RunE: p.run(func(cmd *cobra.Command, args []string) error {
			path, err := p.kept(cmd, args[0])
			if err != nil {
				return err
			}
			if _, err := os.Lstat(args[1]); err == nil {
				return fail(exitUsage, "give a file that is not there yet", "%s exists already", args[1])
			}
			incomplete := sessions.Export(cmd.Context(), path, args[1])
			if incomplete != nil && !errors.Is(incomplete, sessions.ErrIncomplete) {
				return fmt.Errorf("exporting %s: %w", path, incomplete)
			}
			st, err := os.Stat(args[1])
			if err != nil {
				return fmt.Errorf("looking at the copy: %w", err)
			}
			fmt.Fprintf(p.stdout, "%s (%s)\n", args[1], humanize.IBytes(uint64(st.Size())))
			if incomplete != nil {
				return fail(exitFailed, "pitwall sessions check tells from when to when", "session %s is not whole: %w", filepath.Base(path), incomplete)
			}
			return nil
		}),
	}
	flags(cmd)
	return cmd
}
