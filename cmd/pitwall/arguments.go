package main

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"pitwall/cmd/config"
)

// noArgs refuses arguments: of a command that has others below it they are taken for one of those, misspelt.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasAvailableSubCommands() {
		return fail(exitUsage, cmd.CommandPath()+" --help shows its flags", "%s takes no arguments, and %q was given", cmd.CommandPath(), args[0])
	}
	return unknownCommand(cmd, args[0])
}

// unknownCommand names the nearest command there is.
func unknownCommand(cmd *cobra.Command, word string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name())
		}
	}
	hint := cmd.CommandPath() + " --help shows the commands"
	if near := config.Nearest(word, names); near != "" {
		hint = "did you mean " + cmd.CommandPath() + " " + near + "?"
	}
	return fail(exitUsage, hint, "unknown command %q", strings.TrimPrefix(cmd.CommandPath()+" "+word, "pitwall "))
}

// checkWords makes cobra's own commands refuse words that they don't know: help and completion would print a help text and
// call that a success.
func (p *program) checkWords(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			show := c.Run
			c.Run, c.RunE = nil, p.run(func(cmd *cobra.Command, args []string) error {
				found, rest, err := root.Find(args)
				if err != nil || found == root && len(rest) > 0 {
					return unknownCommand(root, args[0])
				}
				if len(rest) > 0 {
					return noArgs(found, rest)
				}
				show(cmd, args)
				return nil
			})
		case "completion":
			c.Args, c.RunE = noArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// goParsing is how strconv begins its errors.
var goParsing = regexp.MustCompile(`strconv\.\w+: parsing "[^"]*": `)

// plainFlagError takes Go's own words out of an error about a flag's value.
func plainFlagError(err error) string { return goParsing.ReplaceAllString(err.Error(), "") }
