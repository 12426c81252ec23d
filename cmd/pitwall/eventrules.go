package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pitwall/cmd/config"
	"pitwall/sessions/events"
)

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
