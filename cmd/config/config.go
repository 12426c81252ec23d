// Package config finds out what is in force: flags over environment over one YAML file over defaults, each value with
// where it came from.
//
// In go the flags that were given, an environment and a file; out comes a Config, and one Setting a key that says whence
// it has its value. A mistake is named with its place and with the nearest valid word, and all mistakes are named at once.
// The package opens nothing but the file it is told to, prints nothing, and never holds an API key: only where to look
// for one.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"pitwall/probes/load/shape"
)

// Config is everything that can be set. Its fields are named like the keys.
type Config struct {
	// Engine are the base URLs of the engines to watch; empty means "look for them on this host".
	Engine []string
	// Dialect is what the engines' metrics are called by; empty means that each engine is told by what it serves.
	Dialect string
	// Scrape are further /metrics pages to record.
	Scrape []string
	// Header are extra HTTP headers ("Name: value") for every request to an engine.
	Header []string
	// CAFile is a PEM file of certificates to trust besides the system's.
	CAFile string
	// APIKeyFile holds the engine's API key; it comes before the environment.
	APIKeyFile string
	// APIKeyEnv is the name of the environment variable that holds the engine's API key.
	APIKeyEnv string
	// SessionsDir is where sessions are kept.
	SessionsDir string
	// KeepAge and KeepSize bound what pitwall record keeps of ended sessions; zero keeps everything.
	KeepAge time.Duration
	// KeepSize is in bytes.
	KeepSize int64
	// Panels are files of panels, over pitwall's own. PanelsSection is that part of the configuration file, where panels:
	// holds panels and pages itself, and PanelsFile the file that it stands in.
	Panels        []string
	PanelsSection *yaml.Node
	PanelsFile    string
	// Presets are loads of one's own, from the section load: of the configuration file.
	Presets []shape.Preset
	// Rules is a file of rules for events, over pitwall's own; empty means none.
	Rules string
	// Theme is "auto", "dark" or "light".
	Theme string
	// ASCII draws without Unicode, Mouse listens to the mouse, NoColor draws without colour.
	ASCII, Mouse, NoColor bool
	// Window is the time that charts show at first; zero means the whole session. WindowChosen is false where it is
	// only the default, which a screen may treat with more freedom.
	Window       time.Duration
	WindowChosen bool
}

// Setting is one key with what is in force.
type Setting struct {
	// Key is the name in the file.
	Key string
	// Value is ready to be shown: secrets in it are cut.
	Value string
	// From says whence: "default", "file /home/a/.config/pitwall/config.yaml:3", "environment PITWALL_ENGINE" or
	// "flag --engine".
	From string
	// Help is one line about the key.
	Help string
}

// Input is where settings come from.
type Input struct {
	// Path is the configuration file. Required says that it was asked for by name, so that its absence is a mistake.
	Path     string
	Required bool
	// Env looks up an environment variable (os.LookupEnv).
	Env func(string) (string, bool)
	// Flags holds the flags that were given, by flag name.
	Flags map[string][]string
	// SessionsDir is the default of sessions_dir.
	SessionsDir string
}

// Problem is a mistake in one of the sources.
type Problem struct {
	// Where is a place that can be opened or retyped: "config.yaml:3", "PITWALL_WINDOW", "--window".
	Where string
	// What is wrong, and what to do about it.
	What, Hint string
}

// Error says what is wrong and where.
func (p *Problem) Error() string { return p.Where + ": " + p.What }

// Load reads all sources. On an error, which joins one *Problem for each mistake, nothing of the result counts.
func Load(in Input) (*Config, []Setting, error) {
	c := &Config{}
	var problems []error
	raw, err := readFile(in.Path, in.Required)
	if err != nil {
		problems = append(problems, err)
	}
	settings := make([]Setting, 0, len(keys))
	for _, k := range keys {
		given := k.find(in, raw)
		if err := k.set(c, given.values); err != nil {
			problems = append(problems, &Problem{Where: given.where, What: fmt.Sprintf("%s: %v", k.name, err), Hint: k.hint()})
			continue
		}
		switch {
		case given.section == nil:
		case k.name == "load":
			found, errs := presets(in.Path, given.section)
			if len(errs) > 0 {
				problems = append(problems, errs...)
				continue
			}
			c.Presets = found
		default:
			c.PanelsSection, c.PanelsFile = given.section, in.Path
		}
		settings = append(settings, Setting{Key: k.name, Value: k.show(c), From: given.from, Help: k.help})
		if k.name == "window" {
			c.WindowChosen = given.from != "default"
		}
	}
	if len(problems) > 0 {
		return nil, nil, errors.Join(problems...)
	}
	return c, settings, nil
}

// given is one key's value as it stands in the source that wins.
type given struct {
	values      []string
	from, where string
	section     *yaml.Node
}

func (k key) find(in Input, file map[string]fileValue) given {
	if v, ok := in.Flags[k.Flag()]; ok {
		return given{values: v, from: "flag --" + k.Flag(), where: "--" + k.Flag()}
	}
	if v, ok := in.Env(k.Env()); ok && v != "" {
		return given{values: k.split(v), from: "environment " + k.Env(), where: k.Env()}
	}
	// The convention of no-color.org: any value that is not empty.
	if v, ok := in.Env("NO_COLOR"); k.name == "no_color" && ok && v != "" {
		return given{values: []string{"true"}, from: "environment NO_COLOR", where: "NO_COLOR"}
	}
	if v, ok := file[k.name]; ok {
		at := fmt.Sprintf("%s:%d", in.Path, v.line)
		return given{values: v.values, from: "file " + at, where: at, section: v.section}
	}
	values := k.def
	if k.name == "sessions_dir" {
		values = []string{in.SessionsDir}
	}
	return given{values: values, from: "default", where: "default of " + k.name}
}

// DefaultPath is where the file is looked for: $XDG_CONFIG_HOME/pitwall/config.yaml, else ~/.config/pitwall/config.yaml.
// A relative XDG_CONFIG_HOME is ignored, as its specification asks.
func DefaultPath(env func(string) (string, bool)) (string, error) {
	if dir, _ := env("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "pitwall", "config.yaml"), nil
	}
	home, _ := env("HOME")
	if home == "" {
		return "", errors.New("no place for a configuration file: neither XDG_CONFIG_HOME nor HOME is set")
	}
	return filepath.Join(home, ".config", "pitwall", "config.yaml"), nil
}

// APIKey gives the engine's API key and where it was found ("file /etc/key", "environment PITWALL_API_KEY"); both empty
// when there is none. The error names the place, never the content.
func (c *Config) APIKey(env func(string) (string, bool)) (secret, from string, err error) {
	if c.APIKeyFile != "" {
		b, err := os.ReadFile(c.APIKeyFile)
		if err != nil {
			return "", "", fmt.Errorf("reading the API key: %w", err)
		}
		secret = strings.TrimSpace(string(b))
		if secret == "" {
			return "", "", fmt.Errorf("reading the API key: %s is empty", c.APIKeyFile)
		}
		if strings.ContainsAny(secret, "\r\n") {
			return "", "", fmt.Errorf("reading the API key: %s has more than one line", c.APIKeyFile)
		}
		if strings.ContainsFunc(secret, unicode.IsControl) {
			return "", "", fmt.Errorf("reading the API key: %s holds control characters, which no header can carry", c.APIKeyFile)
		}
		return secret, "file " + c.APIKeyFile, nil
	}
	if v, ok := env(c.APIKeyEnv); ok && v != "" {
		return strings.TrimSpace(v), "environment " + c.APIKeyEnv, nil
	}
	return "", "", nil
}

// UnknownEnv gives the environment variables that look like pitwall's and are not, with the nearest that is; environ is
// as os.Environ gives it. They are not a mistake, because they may belong to a newer or older pitwall, but worth a word.
func UnknownEnv(environ []string) []Problem {
	known := []string{"PITWALL_CONFIG", "PITWALL_API_KEY"}
	for _, k := range keys {
		known = append(known, k.Env())
	}
	var out []Problem
next:
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "PITWALL_") {
			continue
		}
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		p := Problem{Where: name, What: "no such setting"}
		if near := Nearest(name, known); near != "" {
			p.Hint = "did you mean " + near + "?"
		}
		out = append(out, p)
	}
	return out
}

func readFile(path string, required bool) (map[string]fileValue, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !required {
		return nil, nil
	}
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, &Problem{Where: path, What: err.Error(), Hint: "pitwall config path shows where the file is looked for; --config or PITWALL_CONFIG name another"}
	}
	return parse(path, b)
}

// Problems takes the error of Load apart.
func Problems(err error) []*Problem {
	switch e := err.(type) {
	case nil:
		return nil
	case *Problem:
		return []*Problem{e}
	case interface{ Unwrap() []error }:
		var out []*Problem
		for _, one := range e.Unwrap() {
			out = append(out, Problems(one)...)
		}
		return out
	}
	return nil
}
