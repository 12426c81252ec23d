package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pitwall/cmd/config"
	"pitwall/probes/engine/dialect"
)

func (p *program) dialects() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "dialects",
		Short: "The kinds of engines: list, show, check",
		Long: para(`What an engine's metrics are called is data, one YAML file a kind of engine: how it is recognised, which of its series show that
it works, what each engine: name stands for, and which names it cannot have and why. An engine that no file knows is recorded all the
same, under its own names.`),
		Example: "pitwall dialects\npitwall dialects show llamacpp >mine.yaml\npitwall dialects check mine.yaml",
		Args:    noArgs,
		RunE: p.run(func(*cobra.Command, []string) error {
			if asJSON {
				return printJSON(p.stdout, dialectList())
			}
			rows := [][]string{{"NAME", "ENGINE", "KNOWN BY", "NAMES", "VERIFICATION"}}
			for _, d := range dialectList() {
				rows = append(rows, []string{d.Name, d.Engine, strings.Join(d.KnownBy, ", "), strconv.Itoa(d.Names), d.Verification})
			}
			return table(p.stdout, rows)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(p.showDialect(), p.checkDialect())
	return cmd
}

// dialectLine is one kind of engine in the list.
type dialectLine struct {
	Name         string            `json:"name"`
	Engine       string            `json:"engine"`
	KnownBy      []string          `json:"known_by"`
	Names        int               `json:"names"`
	Absent       map[string]string `json:"absent"`
	Verification string            `json:"verification"`
}

func dialectList() []dialectLine {
	var out []dialectLine
	for _, d := range dialect.All() {
		known := []string{}
		for _, prefix := range d.Detect {
			known = append(known, prefix+"…")
		}
		if d.Fallback {
			known = append(known, "nothing else")
		}
		out = append(out, dialectLine{d.Name, d.Title, known, len(d.Names()), d.Absent(), d.Summary()})
	}
	return out
}

func (p *program) showDialect() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Print a dialect's file",
		Args:  cobra.ExactArgs(1),
		RunE: p.run(func(_ *cobra.Command, args []string) error {
			d, err := dialectNamed(args[0])
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(d.Source())
			return err
		}),
	}
}

func (p *program) checkDialect() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a dialect's file: every fault with its line",
		Long: para(`Reads the file as pitwall would, every template included. The exit code is 5 when it has a fault. Names that other dialects
have and this one neither defines nor calls absent are listed: the screens ask for them.`),
		Args: cobra.ExactArgs(1),
		RunE: p.run(func(_ *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return fail(exitUsage, "pitwall dialects show vllm prints one that is whole", "%w", err)
			}
			d, err := dialect.Parse(args[0], data)
			if err != nil {
				for _, e := range each(err) {
					fmt.Fprintln(p.stdout, clean(e.Error()))
				}
				return exit(exitUnhealthy)
			}
			var silent []string
			for _, w := range dialect.Vocabulary() {
				if _, defined := d.Template(w); !defined && !d.Explains(w) {
					silent = append(silent, w)
				}
			}
			fmt.Fprintf(p.stdout, "%s: %s, %d names, no fault\n", clean(args[0]), clean(d.Title), len(d.Names()))
			if len(silent) > 0 {
				fmt.Fprintf(p.stdout, "neither defined nor called absent: %s\n", strings.Join(silent, ", "))
			}
			return nil
		}),
	}
}

// each takes joined errors apart.
func each(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

// forcedDialect gives the dialect that was asked for, nil if none was.
func forcedDialect(c *config.Config) (*dialect.Dialect, error) {
	if c.Dialect == "" {
		return nil, nil
	}
	return dialectNamed(c.Dialect)
}

func dialectNamed(name string) (*dialect.Dialect, error) {
	if d, ok := dialect.Named(name); ok {
		return d, nil
	}
	var names []string
	for _, d := range dialect.All() {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	hint := "there are " + strings.Join(names, ", ")
	if near := config.Nearest(name, names); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	return nil, fail(exitUsage, hint, "no dialect %q", name)
}
