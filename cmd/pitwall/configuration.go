package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"pitwall/cmd/config"
)

func (p *program) config() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "What is in force, and whence",
		Long: para(`Shows every setting with its value and where it comes from. Flags are over environment variables (PITWALL_ENGINE for engine),
those over one YAML file, that over the defaults. Secrets are not shown.`),
		Example: "pitwall config\npitwall config path\nPITWALL_WINDOW=15m pitwall config",
		Args:    noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			_, settings, err := p.settings(cmd)
			if err != nil {
				return err
			}
			for _, q := range config.UnknownEnv(os.Environ()) {
				fmt.Fprintf(p.stderr, "pitwall: warning: %s\n", clean(q.Error()))
				if q.Hint != "" {
					fmt.Fprintf(p.stderr, "pitwall: hint: %s\n", clean(q.Hint))
				}
			}
			if asJSON {
				type line struct {
					Key   string `json:"key"`
					Value string `json:"value"`
					From  string `json:"from"`
				}
				out := make([]line, len(settings))
				for i, s := range settings {
					out[i] = line{s.Key, s.Value, s.From}
				}
				return printJSON(p.stdout, out)
			}
			rows := [][]string{{"KEY", "VALUE", "FROM", "WHAT IT IS"}}
			for _, s := range settings {
				v := s.Value
				if v == "" {
					v = "—"
				}
				rows = append(rows, []string{s.Key, v, s.From, s.Help})
			}
			return table(p.stdout, rows)
		}),
	}
	flags(cmd, engineFlags, screenFlags, keepingFlags)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	where := &cobra.Command{
		Use:   "path",
		Short: "Where the configuration file is looked for",
		Args:  noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			in := p.input(cmd)
			if in.Path == "" {
				return fail(exitUsage, "set HOME or XDG_CONFIG_HOME, or give --config", "no place for a configuration file")
			}
			fmt.Fprintln(p.stdout, in.Path)
			return nil
		}),
	}
	flags(where)
	cmd.AddCommand(where)
	return cmd
}
