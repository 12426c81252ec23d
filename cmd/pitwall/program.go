package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pitwall/cmd/config"
	"pitwall/sessions"
)

// program is what the subcommands share: the outside world as they see it, and how it ended.
type program struct {
	stdin          *os.File
	stdout, stderr io.Writer
	env            func(string) (string, bool)
	exe            func() (string, error)
	err            error
	// ownPanels is the file of panels beside the configuration file, "" where there is no place for one.
	ownPanels string
	// named is the configuration file that was asked for by name, empty for the usual one.
	named string
	// cores is on how many processors it runs.
	cores processors
}

// root makes the command tree.
func (p *program) root() *cobra.Command {
	root := p.console()
	root.AddGroup(&cobra.Group{ID: "watch", Title: "watch"}, &cobra.Group{ID: "ask", Title: "ask"}, &cobra.Group{ID: "about", Title: "about pitwall"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("watch", p.record(), p.demo(), p.load(), p.calibrate(), p.sim())
	add("ask", p.replay(), p.snapshot(), p.query(), p.events(), p.runs(), p.requests(), p.sessions())
	add("about", p.doctor(), p.config(), p.panels(), p.dialects(), p.versionCommand(), p.man(), p.exitCodes())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(nearFlag(cmd, err)) })
	root.SetHelpCommandGroupID("about")
	root.SetCompletionCommandGroupID("about")
	p.checkWords(root)
	return root
}

// run adapts a subcommand's function to cobra and keeps its error for main.
func (p *program) run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		p.err = f(cmd, args)
		return nil
	}
}

// Flags that several commands share, by what they are about.
var (
	engineFlags  = []string{"engine", "dialect", "scrape", "header", "ca-file", "api-key-file", "api-key-env"}
	screenFlags  = []string{"theme", "ascii", "mouse", "no-color", "window", "panels"}
	keepingFlags = []string{"keep-age", "keep-size", "rules"}
	sessionFlags = []string{"sessions"}
)

// flags gives a command the flags of some settings. They have no values of their own: config finds out what is in force.
func flags(cmd *cobra.Command, groups ...[]string) {
	groups = append(groups, sessionFlags)
	for _, g := range groups {
		for _, name := range g {
			help, list, isBool := config.Help(name)
			switch {
			case list:
				cmd.Flags().StringArray(name, nil, help+" (may be repeated)")
			case isBool:
				cmd.Flags().Bool(name, false, help)
			default:
				cmd.Flags().String(name, "", help)
			}
		}
	}
	cmd.Flags().String("config", "", "configuration file")
}

var errNoSessionsDir = errors.New("no place for sessions: neither XDG_DATA_HOME nor HOME is set")

// keeping is settings for a command that needs the sessions directory.
func (p *program) keeping(cmd *cobra.Command) (*config.Config, error) {
	c, _, err := p.settings(cmd)
	if err == nil && c.SessionsDir == "" {
		err = fail(exitUsage, "set one of them, or give --sessions", "%w", errNoSessionsDir)
	}
	return c, err
}

// settings finds out what is in force for a command.
func (p *program) settings(cmd *cobra.Command) (*config.Config, []config.Setting, error) {
	return config.Load(p.input(cmd))
}

func (p *program) input(cmd *cobra.Command) config.Input {
	in := config.Input{Env: p.env, Flags: map[string][]string{}}
	// "pitwall --engine X snapshot" gives the flag to the root command; the nearest command's flag wins.
	for c := cmd; c != nil; c = c.Parent() {
		c.Flags().Visit(func(f *pflag.Flag) {
			if _, done := in.Flags[f.Name]; done {
				return
			}
			if list, ok := f.Value.(pflag.SliceValue); ok {
				in.Flags[f.Name] = list.GetSlice()
				return
			}
			in.Flags[f.Name] = []string{f.Value.String()}
		})
	}
	// Without a home there is no such directory. Whoever needs one says so: a snapshot doesn't.
	in.SessionsDir, _, _ = sessions.DefaultDir()
	in.Path, in.Required = p.configPath(in.Flags)
	if in.Required {
		p.named = absolute(in.Path)
	}
	if in.Path != "" {
		p.ownPanels = filepath.Join(filepath.Dir(in.Path), "panels.yaml")
	}
	return in
}

// configPath finds the configuration file; named says that it was asked for by name.
func (p *program) configPath(given map[string][]string) (path string, named bool) {
	if v := given["config"]; len(v) == 1 {
		return v[0], true
	}
	if v, _ := p.env("PITWALL_CONFIG"); v != "" {
		return v, true
	}
	path, err := config.DefaultPath(p.env)
	if err != nil {
		return "", false // no home: then there is no file, which is no mistake
	}
	return path, false
}

// hostname names the host that is watched; without one it is "localhost".
func hostname() string {
	h, err := os.Hostname()
	if err != nil || h == "" {
		return "localhost"
	}
	return h
}

// findSession gives the file of the session that a person means: an ID or the unique start of one, a name, a file, or ""
// for the newest.
func findSession(dir, want string) (string, error) {
	if want == "" {
		want = "last"
	}
	path, err := sessions.Find(dir, want)
	if err != nil {
		return "", fail(exitNoSession, "pitwall sessions lists them, pitwall record makes one, --sessions names another directory", "%w", err)
	}
	return path, nil
}

// absolute makes a path independent of the directory that a program is started in; an empty one stays empty.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
