package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/prometheus/common/model"
)

// key is one setting: its name, its default as it would be written in the file, and how its values are read and shown.
type key struct {
	name string
	def  []string
	help string
	list bool
	sep  string // what parts the values of a list in an environment variable
	want string // what a value looks like, for hints
	// section says that the value may have keys of its own, which somebody else reads.
	section bool
	set     func(*Config, []string) error
	show    func(*Config) string
}

// Flag is the flag's name without dashes.
func (k key) Flag() string {
	if k.name == "sessions_dir" { // the one that is typed most is short
		return "sessions"
	}
	return strings.ReplaceAll(k.name, "_", "-")
}

// Env is the name of the environment variable.
func (k key) Env() string { return "PITWALL_" + strings.ToUpper(k.name) }

func (k key) hint() string { return k.name + " wants " + k.want }

// split reads an environment variable.
func (k key) split(v string) []string {
	if !k.list {
		return []string{v}
	}
	var out []string
	for _, part := range strings.Split(v, k.sep) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// keys is every setting there is, in the order in which they are shown.
var keys = []key{
	urls("engine", "base URLs of the engines to watch; none: look for them on this host", func(c *Config) *[]string { return &c.Engine }),
	text("dialect", "", "read the engines as this kind (pitwall dialects lists them); none: tell each by what it serves", "a name such as vllm", func(c *Config) *string { return &c.Dialect }),
	urls("scrape", "further /metrics pages to record", func(c *Config) *[]string { return &c.Scrape }),
	headers("header", "extra HTTP headers for the engine, \"Name: value\"; on a command line every user of the host can read them", func(c *Config) *[]string { return &c.Header }),
	text("ca_file", "", "file of certificates (PEM) to trust besides the system's", "a path", func(c *Config) *string { return &c.CAFile }),
	text("api_key_file", "", "file with the engine's API key", "a path", func(c *Config) *string { return &c.APIKeyFile }),
	text("api_key_env", "PITWALL_API_KEY", "environment variable with the engine's API key", "the name of a variable", func(c *Config) *string { return &c.APIKeyEnv }),
	text("sessions_dir", "", "where sessions are kept", "a path", func(c *Config) *string { return &c.SessionsDir }),
	duration("keep_age", "30d", "ended sessions older than this are removed by pitwall record, unless they have a name or a mark; 0 keeps all", func(c *Config) *time.Duration { return &c.KeepAge }),
	size("keep_size", "10GiB", "the oldest of them are removed when all together are larger; 0 is no bound", func(c *Config) *int64 { return &c.KeepSize }),
	{name: "panels", list: true, sep: ",", section: true, want: "files of panels, or panels: and pages: below it",
		help: "files of panels over pitwall's own (default panels.yaml beside this file); in the file also panels and pages themselves",
		set:  func(c *Config, v []string) error { c.Panels = v; return nil },
		show: func(c *Config) string {
			if c.PanelsSection != nil {
				return "(written here)"
			}
			return strings.Join(c.Panels, ", ")
		}},
	{name: "load", section: true, want: "presets: below it, a list of loads with a name and a point each",
		help: "loads of one's own for the load bar, under presets: in the file (pitwall load --preset NAME)",
		set: func(c *Config, v []string) error {
			if len(v) > 0 && v[0] != "" {
				return errors.New("presets can only be written in the configuration file")
			}
			return nil
		},
		show: func(c *Config) string {
			if len(c.Presets) == 0 {
				return ""
			}
			names := make([]string, len(c.Presets))
			for i, p := range c.Presets {
				names[i] = p.Name
			}
			return strings.Join(names, ", ") + " (written here)"
		}},
	text("rules", "", "file of rules for events, over pitwall's own (pitwall events rules prints those)", "a path", func(c *Config) *string { return &c.Rules }),
	oneOf("theme", []string{"auto", "dark", "light"}, "colours for a dark or a light background", func(c *Config) *string { return &c.Theme }),
	boolean("ascii", "draw without Unicode", func(c *Config) *bool { return &c.ASCII }),
	boolean("mouse", "listen to the mouse (the terminal's own selection then needs shift)", func(c *Config) *bool { return &c.Mouse }),
	boolean("no_color", "draw without colour", func(c *Config) *bool { return &c.NoColor }),
	duration("window", "5m", "time that charts show at first; 0 is the whole session", func(c *Config) *time.Duration { return &c.Window }),
}

// Help gives the one-line description of a key by its flag's name, with its default, and whether it takes several values.
func Help(flag string) (text string, list, isBool bool) {
	for _, k := range keys {
		if k.Flag() == flag {
			text = k.help
			if len(k.def) == 1 && k.def[0] != "" && k.want != wantBool {
				text += " (default " + k.def[0] + ")"
			}
			return text, k.list, k.want == wantBool
		}
	}
	return "", false, false
}

func names() []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.name
	}
	return out
}

var errOne = errors.New("one value expected, not a list")

// single makes a reader of one value from a reader of text.
func single(f func(*Config, string) error) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		switch len(v) {
		case 0:
			return f(c, "")
		case 1:
			return f(c, v[0])
		}
		return errOne
	}
}

func text(name, def, help, want string, at func(*Config) *string) key {
	return key{name: name, def: []string{def}, help: help, want: want,
		set:  single(func(c *Config, v string) error { *at(c) = v; return nil }),
		show: func(c *Config) string { return *at(c) }}
}

func oneOf(name string, words []string, help string, at func(*Config) *string) key {
	return key{name: name, def: words[:1], help: help, want: "one of " + strings.Join(words, ", "),
		set: single(func(c *Config, v string) error {
			for _, w := range words {
				if v == w {
					*at(c) = v
					return nil
				}
			}
			if near := Nearest(v, words); near != "" {
				return fmt.Errorf("%q is not a %s: did you mean %q?", v, name, near)
			}
			return fmt.Errorf("%q is not a %s", v, name)
		}),
		show: func(c *Config) string { return *at(c) }}
}

const wantBool = "true or false"

func boolean(name, help string, at func(*Config) *bool) key {
	return key{name: name, def: []string{"false"}, help: help, want: wantBool,
		set: single(func(c *Config, v string) error {
			b, err := strconv.ParseBool(v)
			if err != nil {
				return fmt.Errorf("%q is neither true nor false", v)
			}
			*at(c) = b
			return nil
		}),
		show: func(c *Config) string { return strconv.FormatBool(*at(c)) }}
}

func duration(name, def, help string, at func(*Config) *time.Duration) key {
	return key{name: name, def: []string{def}, help: help, want: "a time such as 90s, 15m, 6h, 30d or 4w",
		set: single(func(c *Config, v string) error {
			d, err := model.ParseDuration(v)
			if err != nil {
				return fmt.Errorf("%q is not a time", v)
			}
			*at(c) = time.Duration(d)
			return nil
		}),
		show: func(c *Config) string { return model.Duration(*at(c)).String() }}
}

func size(name, def, help string, at func(*Config) *int64) key {
	return key{name: name, def: []string{def}, help: help, want: "a size such as 500MB, 10GiB or 0",
		set: single(func(c *Config, v string) error {
			n, err := humanize.ParseBytes(v)
			if err != nil || n > 1<<62 {
				return fmt.Errorf("%q is not a size", v)
			}
			*at(c) = int64(n)
			return nil
		}),
		show: func(c *Config) string {
			if *at(c) == 0 {
				return "0"
			}
			return humanize.IBytes(uint64(*at(c)))
		}}
}

func urls(name, help string, at func(*Config) *[]string) key {
	return key{name: name, help: help, list: true, sep: ",", want: "URLs such as http://127.0.0.1:8000",
		set: func(c *Config, v []string) error {
			out := make([]string, 0, len(v))
			for _, s := range v {
				u, err := parseURL(s)
				if err != nil {
					return err
				}
				out = append(out, u)
			}
			*at(c) = out
			return nil
		},
		show: func(c *Config) string {
			shown := make([]string, len(*at(c)))
			for i, s := range *at(c) {
				shown[i] = Redact(s)
			}
			return strings.Join(shown, ", ")
		}}
}

// parseURL accepts what people type: 127.0.0.1:8000 is http.
func parseURL(s string) (string, error) {
	full := strings.TrimSpace(s)
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // its text holds the whole URL, password and all
			err = ue.Err
		}
		return "", fmt.Errorf("not a URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%q: only http and https can be read", u.Redacted())
	}
	if u.Hostname() == "" {
		return "", fmt.Errorf("%q has no host", u.Redacted())
	}
	return strings.TrimRight(full, "/"), nil
}

// Redact cuts the user-info out of a URL, both halves of it.
func Redact(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	u.User = url.User("…")
	return strings.Replace(u.String(), url.PathEscape("…"), "…", 1)
}

// headerName is RFC 9110's token.
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func headers(name, help string, at func(*Config) *[]string) key {
	return key{name: name, help: help, list: true, sep: "\n", want: "lines such as \"X-Tenant: blue\" (several in the environment are parted by a line break)",
		set: func(c *Config, v []string) error {
			for _, h := range v {
				n, value, ok := strings.Cut(h, ":")
				switch {
				case !ok:
					return errors.New("a header without a colon")
				case !headerName.MatchString(strings.TrimSpace(n)):
					return fmt.Errorf("%q is not a header name", n)
				case strings.ContainsAny(value, "\r\n\x00"):
					return fmt.Errorf("the value of %s has a line break in it", n)
				}
			}
			*at(c) = v
			return nil
		},
		show: func(c *Config) string {
			shown := make([]string, 0, len(*at(c)))
			for _, h := range *at(c) {
				// A header given here opens a proxy: most are secrets, and no list knows all of their names.
				n, _, _ := strings.Cut(h, ":")
				shown = append(shown, n+": (not shown)")
			}
			return strings.Join(shown, ", ")
		}}
}
