package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pitwall/cmd/config"
)

// grade says how a finding stands.
type grade string

const (
	good   grade = "ok"      // works
	note   grade = "note"    // works, and there is something to know
	absent grade = "missing" // not there; pitwall shows the rest
	broken grade = "broken"  // was asked for, or is needed, and can't work
)

// finding is one line of the doctor's report.
type finding struct {
	// Area is what it is about: "build", "engine".
	Area  string `json:"area"`
	Grade grade  `json:"grade"`
	// What was found, Why it is so or matters, Next what to type.
	What string `json:"what"`
	Why  string `json:"why,omitempty"`
	Next string `json:"next,omitempty"`
}

func (p *program) doctor() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "What was found, what is missing, why, and what to type next",
		Long: para(`Looks at everything that pitwall needs and takes two readings: build, configuration, terminal, sessions directory, GPUs, engines,
host, and what watching costs the engine. The exit code is 5 when something that was asked for cannot work.`),
		Args: noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			found := p.examine(cmd.Context(), cmd)
			code := exitOK
			for _, f := range found {
				if f.Grade == broken {
					code = exitUnhealthy
				}
			}
			var err error
			if asJSON {
				err = printJSON(p.stdout, found)
			} else {
				p.printFindings(found)
			}
			if err == nil && code != exitOK {
				err = exit(code)
			}
			return err
		}),
	}
	flags(cmd, engineFlags, screenFlags, keepingFlags)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// examine makes all findings. A broken configuration ends it early: nobody knows then what was asked for.
func (p *program) examine(ctx context.Context, cmd *cobra.Command) []finding {
	out := p.examineBuild()
	c, more := p.examineConfig(cmd)
	out = append(out, more...)
	out = append(out, p.examineTerminal(c)...)
	if c == nil {
		return out
	}
	out = append(out, p.examineSessions(c)...)
	l, err := p.lookAround(ctx, c)
	if err != nil {
		return append(out, finding{"probes", broken, "no reading could be taken", err.Error(), ""})
	}
	defer l.rec.Close()
	s := l.snapshot(ctx)
	out = append(out, examineGPU(ctx, l, s)...)
	out = append(out, p.examineEngines(c, s)...)
	return append(out, examineHost(s)...)
}

func (p *program) printFindings(found []finding) {
	area := ""
	for _, f := range found {
		head := ""
		if f.Area != area {
			head, area = f.Area, f.Area
		}
		fmt.Fprintf(p.stdout, "%-10s %-8s %s\n", head, f.Grade, clean(f.What))
		if f.Why != "" {
			fmt.Fprintf(p.stdout, "%-19s %s\n", "", clean(f.Why))
		}
		if f.Next != "" {
			fmt.Fprintf(p.stdout, "%-19s → %s\n", "", clean(f.Next))
		}
	}
}

func (p *program) examineConfig(cmd *cobra.Command) (*config.Config, []finding) {
	in := p.input(cmd)
	c, settings, err := config.Load(in)
	if err != nil {
		var out []finding
		for _, q := range config.Problems(err) {
			out = append(out, finding{"config", broken, q.Error(), "", q.Hint})
		}
		return nil, out
	}
	var set []string
	for _, s := range settings {
		if s.From != "default" {
			set = append(set, s.Key+" from "+s.From)
		}
	}
	f := finding{"config", good, "defaults only", "the file would be " + in.Path, ""}
	if len(set) > 0 {
		f = finding{"config", good, strings.Join(set, ", "), "", "pitwall config shows the values"}
	}
	return c, append([]finding{f}, p.examineSecrets(c)...)
}
