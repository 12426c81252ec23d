package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	mango "github.com/muesli/mango-cobra"
	"github.com/muesli/roff"
	"github.com/spf13/cobra"
)

func (p *program) man() *cobra.Command {
	return &cobra.Command{
		Use:     "man",
		Short:   "The manual page, for man(1)",
		Example: "pitwall man | man -l -\npitwall man > ~/.local/share/man/man1/pitwall.1",
		Args:    noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			page, err := mango.NewManPage(1, cmd.Root())
			if err != nil {
				return fmt.Errorf("making the manual page: %w", err)
			}
			page = page.WithSection("Exit status", codesText())
			_, err = fmt.Fprint(p.stdout, page.Build(roff.NewDocument()))
			return err
		}),
	}
}

func (p *program) exitCodes() *cobra.Command {
	show := func() { fmt.Fprint(p.stdout, codesText()) }
	cmd := &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Args:  noArgs,
		RunE:  p.run(func(*cobra.Command, []string) error { show(); return nil }),
	}
	cmd.SetHelpFunc(func(*cobra.Command, []string) { show() })
	return cmd
}

func codesText() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 4, 8, 2, ' ', 0)
	for _, c := range exitCodes() {
		fmt.Fprintf(w, "%d\t%s\n", c.code, c.meaning)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}
