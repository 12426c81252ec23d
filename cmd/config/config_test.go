package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// load runs Load over a file's text, an environment and flags.
func load(t *testing.T, file string, env map[string]string, flags map[string][]string) (*Config, []Setting, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Input{Path: path, Env: lookup(env), Flags: flags, SessionsDir: "/home/a/sessions"})
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := env[k]; return v, ok }
}

func TestLoad(t *testing.T) {
	type env = map[string]string
	type flags = map[string][]string
	for _, tt := range []struct {
		name  string
		file  string
		env   env
		flags flags
		key   string // which setting to look at
		want  string
		from  string // with the file's path as FILE
	}{
		{name: "without any source the default is in force", key: "window", want: "5m", from: "default"},
		{name: "the file is over the default", file: "window: 1h\n", key: "window", want: "1h", from: "file FILE:1"},
		{name: "the environment is over the file", file: "window: 1h\n", env: env{"PITWALL_WINDOW": "15m"}, key: "window", want: "15m", from: "environment PITWALL_WINDOW"},
		{name: "a flag is over the environment", env: env{"PITWALL_WINDOW": "15m"}, flags: flags{"window": {"6h"}}, key: "window", want: "6h", from: "flag --window"},
		{name: "an empty variable is not set", file: "window: 1h", env: env{"PITWALL_WINDOW": ""}, key: "window", want: "1h", from: "file FILE:1"},
		{name: "the line is that of the key", file: "# a\n\ntheme: dark\nmouse: true\n", key: "mouse", want: "true", from: "file FILE:4"},
		{name: "one engine may stand alone", file: "engine: http://a:1\n", key: "engine", want: "http://a:1", from: "file FILE:1"},
		{name: "several engines are a list", file: "engine:\n  - http://a:1\n  - b:2/\n", key: "engine", want: "http://a:1, http://b:2", from: "file FILE:1"},
		{name: "several engines in the environment are parted by commas", env: env{"PITWALL_ENGINE": "a:1, b:2"}, key: "engine", want: "http://a:1, http://b:2", from: "environment PITWALL_ENGINE"},
		{name: "an empty list in the file is a value", file: "engine: []\n", key: "engine", want: "", from: "file FILE:1"},
		{name: "a key without a value is not set", file: "theme:\n", key: "theme", want: "auto", from: "default"},
		{name: "a file of comments sets nothing", file: "# nothing\n", key: "theme", want: "auto", from: "default"},
		{name: "user and password of a URL are not shown", flags: flags{"engine": {"https://u:hunter2@a:1/v"}}, key: "engine", want: "https://…@a:1/v", from: "flag --engine"},
		{name: "the value of a header is not shown", flags: flags{"header": {"Authorization: Bearer x", "X-Tenant: blue"}}, key: "header", want: "Authorization: (not shown), X-Tenant: (not shown)", from: "flag --header"},
		{name: "a header may hold commas", env: env{"PITWALL_HEADER": "Accept: a, b\nX-B: c"}, key: "header", want: "Accept: (not shown), X-B: (not shown)", from: "environment PITWALL_HEADER"},
		{name: "an age may be in days", file: "keep_age: 7d", key: "keep_age", want: "1w", from: "file FILE:1"},
		{name: "nought keeps everything", file: "keep_age: 0\nkeep_size: 0", key: "keep_size", want: "0", from: "file FILE:2"},
		{name: "a size has a unit", file: "keep_size: 2GiB", key: "keep_size", want: "2.0 GiB", from: "file FILE:1"},
		{name: "NO_COLOR counts with any value", env: env{"NO_COLOR": "yes"}, key: "no_color", want: "true", from: "environment NO_COLOR"},
		{name: "the own variable is over NO_COLOR", env: env{"NO_COLOR": "1", "PITWALL_NO_COLOR": "false"}, key: "no_color", want: "false", from: "environment PITWALL_NO_COLOR"},
		{name: "panels may be files", file: "panels: [a.yaml, b.yaml]\n", key: "panels", want: "a.yaml, b.yaml", from: "file FILE:1"},
		{name: "panels may stand in the file", file: "theme: dark\npanels:\n  hide: [host]\n", key: "panels", want: "(written here)", from: "file FILE:2"},
		{name: "a file of panels in a flag is over those in the file", file: "panels: {hide: [host]}\n", flags: flags{"panels": {"x.yaml"}}, key: "panels", want: "x.yaml", from: "flag --panels"},
		{name: "the sessions directory's default is given from outside", key: "sessions_dir", want: "/home/a/sessions", from: "default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, settings, err := load(t, tt.file, tt.env, tt.flags)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range settings {
				if s.Key != tt.key {
					continue
				}
				from := s.From
				if i := strings.LastIndex(from, "config.yaml"); i >= 0 {
					from = "file FILE" + from[i+len("config.yaml"):]
				}
				if s.Value != tt.want || from != tt.from {
					t.Errorf("got %q from %q, want %q from %q", s.Value, from, tt.want, tt.from)
				}
				return
			}
			t.Errorf("no setting %q", tt.key)
		})
	}
}

func TestConfigHoldsWhatIsInForce(t *testing.T) {
	got, _, err := load(t, "engine: a:1\nkeep_age: 2d\nkeep_size: 1kB\ntheme: light\nascii: true\nwindow: 0\n", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{Engine: []string{"http://a:1"}, Scrape: []string{}, APIKeyEnv: "PITWALL_API_KEY", SessionsDir: "/home/a/sessions",
		KeepAge: 48 * time.Hour, KeepSize: 1000, Theme: "light", ASCII: true, WindowChosen: true}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		file  string
		env   map[string]string
		flags map[string][]string
		want  []string // each "where: what | hint", with the file's path as FILE
	}{
		{name: "an unknown key is named with its line and the nearest valid one", file: "theme: dark\n\nengin: a:1\n",
			want: []string{`FILE:3: unknown key "engin" | did you mean "engine"?`}},
		{name: "a flag's spelling in the file finds the key", file: "no-colour: true\n", want: []string{`FILE:1: unknown key "no-colour" | did you mean "no_color"?`}},
		{name: "a key like nothing else gets the list", file: "zzzzzzzz: 1\n", want: []string{`FILE:1: unknown key "zzzzzzzz" | known keys: engine, dialect, scrape, `}},
		{name: "an API key in the file is refused and not repeated", file: "api_key: sk-123\n", want: []string{`FILE:1: unknown key "api_key" | a key doesn't belong`}},
		{name: "all mistakes are named at once", file: "engin: a\nmous: true\n", want: []string{`FILE:1: unknown key "engin"`, `FILE:2: unknown key "mous"`}},
		{name: "a wrong type is named with its line", file: "theme: dark\nmouse: perhaps\n", want: []string{`FILE:2: mouse: "perhaps" is neither true nor false | mouse wants true or false`}},
		{name: "keys where a value belongs", file: "window:\n  a: 1\n", want: []string{`FILE:2: window: a plain value expected, not keys | window wants a time`}},
		{name: "a list where one value belongs", file: "window: [1m, 5m]\n", want: []string{`FILE:1: window: one value expected, not a list`}},
		{name: "a list with a hole", file: "engine:\n- a:1\n-\n", want: []string{`FILE:2: engine: entry 2 is not a plain value`}},
		{name: "a key twice", file: "window: 1m\nwindow: 5m\n", want: []string{`FILE:2: window is set a second time | the first is in line 1`}},
		{name: "broken YAML is named with its line", file: "theme: dark\nwindow: [1m\n", want: []string{`FILE:`}},
		{name: "broken YAML in the first line too", file: "\tengine: x\n", want: []string{`FILE:1: found character`}},
		{name: "a second document is not passed over in silence", file: "window: 5m\n---\nwindow: 6m\n", want: []string{`FILE: more than one YAML document | only one counts`}},
		{name: "an unknown key in the section of load", file: "load:\n  preset: []\n", want: []string{`FILE:2: unknown key "preset" in load | did you mean "presets"?`}},
		{name: "presets that are no list", file: "load:\n  presets: chat\n", want: []string{`FILE:2: load: a list of presets expected`}},
		{name: "a load that is no section", file: "load: chat\n", want: []string{`FILE:1: load: presets can only be written in the configuration file | load wants presets: below it`}},
		{name: "a load in the environment", env: map[string]string{"PITWALL_LOAD": "chat"}, want: []string{`PITWALL_LOAD: load: presets can only be written`}},
		{name: "an unknown key of a point is named with its line", file: "load:\n  presets:\n    - name: mine\n      point:\n        arival: {clients: 4}\n", want: []string{`FILE:5: load: `}},
		{name: "a preset with an impossible point is named", file: "theme: dark\nload:\n  presets:\n    - name: none\n      point: {arrival: {clients: 0}, prompt: {length: 512}, output: {length: 128}}\n", want: []string{`FILE:4: load: preset "none": arrival.clients`}},
		{name: "a list at the top", file: "- a\n", want: []string{`FILE:1: keys with values expected`}},
		{name: "a wrong word gets the nearest one", flags: map[string][]string{"theme": {"drak"}}, want: []string{`--theme: theme: "drak" is not a theme: did you mean "dark"? | theme wants one of auto, dark, light`}},
		{name: "a wrong variable is named", env: map[string]string{"PITWALL_KEEP_SIZE": "many"}, want: []string{`PITWALL_KEEP_SIZE: keep_size: "many" is not a size`}},
		{name: "only http and https are engines", flags: map[string][]string{"engine": {"ftp://a"}}, want: []string{`--engine: engine: "ftp://a": only http and https can be read`}},
		{name: "a URL that does not parse is not repeated", flags: map[string][]string{"engine": {"http://u:pw@[::1"}}, want: []string{`--engine: engine: not a URL: missing ']' in host`}},
		{name: "a header needs a colon", flags: map[string][]string{"header": {"Bearer x"}}, want: []string{`--header: header: a header without a colon`}},
		{name: "a header's name has no spaces", flags: map[string][]string{"header": {"a b: c"}}, want: []string{`--header: header: "a b" is not a header name`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := load(t, tt.file, tt.env, tt.flags)
			var got []string
			for _, p := range Problems(err) {
				s := p.Error() + " | " + p.Hint
				if i := strings.Index(s, "config.yaml"); i >= 0 {
					s = "FILE" + s[i+len("config.yaml"):]
				}
				got = append(got, s)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %d problems, want %d: %q", len(got), len(tt.want), got)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("got  %s\nwant %s…", got[i], tt.want[i])
				}
				if strings.Contains(got[i], "sk-123") || strings.Contains(got[i], "pw@") {
					t.Errorf("a secret is repeated: %s", got[i])
				}
			}
		})
	}
}

func TestPresetsOfOnesOwnAreReadFromTheFile(t *testing.T) {
	c, settings, err := load(t, `load:
  presets:
    - name: nightly
      about: what we watch
      point: {arrival: {clients: 24}, prompt: {length: "uniform:100-900"}, output: {length: 128}, slo: {ttft: 500ms}}
    - name: burst
      point: {arrival: {kind: gamma, rate: 3.5, burstiness: 0.4}, prompt: {length: 512}, output: {length: 64}}
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Presets) != 2 || c.Presets[0].Name != "nightly" || c.Presets[0].Point.Arrival.Clients != 24 || c.Presets[0].Point.SLO.TTFT != 500*time.Millisecond || c.Presets[1].Point.Arrival.Burstiness != 0.4 {
		t.Errorf("the presets are %+v", c.Presets)
	}
	for _, s := range settings {
		if s.Key == "load" && (s.Value != "nightly, burst (written here)" || !strings.HasSuffix(s.From, ":1")) {
			t.Errorf("load is shown as %q, from %q", s.Value, s.From)
		}
	}
}

func TestAMissingFileIsAMistakeOnlyIfAskedFor(t *testing.T) {
	in := Input{Path: filepath.Join(t.TempDir(), "none.yaml"), Env: lookup(nil)}
	if _, _, err := Load(in); err != nil {
		t.Errorf("not asked for: %v", err)
	}
	in.Required = true
	_, _, err := Load(in)
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("asked for: %v", err)
	}
}

func TestDefaultPath(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"the XDG directory", map[string]string{"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/x/pitwall/config.yaml"},
		{"a relative XDG directory is ignored", map[string]string{"XDG_CONFIG_HOME": "x", "HOME": "/h"}, "/h/.config/pitwall/config.yaml"},
		{"without XDG, below home", map[string]string{"HOME": "/h"}, "/h/.config/pitwall/config.yaml"},
		{"without a home there is none", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DefaultPath(lookup(tt.env))
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestAPIKey(t *testing.T) {
	file := func(content string) string {
		p := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tt := range []struct {
		name   string
		c      Config
		env    map[string]string
		want   string
		failed string
	}{
		{name: "none is no error", c: Config{APIKeyEnv: "PITWALL_API_KEY"}},
		{name: "from the environment", c: Config{APIKeyEnv: "PITWALL_API_KEY"}, env: map[string]string{"PITWALL_API_KEY": "k"}, want: "k"},
		{name: "from another variable", c: Config{APIKeyEnv: "OTHER"}, env: map[string]string{"OTHER": "k"}, want: "k"},
		{name: "the file comes first and loses its line end", c: Config{APIKeyFile: file("f\n"), APIKeyEnv: "E"}, env: map[string]string{"E": "k"}, want: "f"},
		{name: "an empty file is an error", c: Config{APIKeyFile: file("\n")}, failed: "is empty"},
		{name: "two lines are an error without the lines", c: Config{APIKeyFile: file("a\nb\n")}, failed: "more than one line"},
		{name: "control characters are an error without the key", c: Config{APIKeyFile: file("a\x01b\n")}, failed: "control characters"},
		{name: "a missing file is an error", c: Config{APIKeyFile: "/nonexistent/key"}, failed: "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := tt.c.APIKey(lookup(tt.env))
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (tt.failed == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.failed) {
				t.Errorf("error %v, want …%s…", err, tt.failed)
			}
		})
	}
}

func TestUnknownEnv(t *testing.T) {
	got := UnknownEnv([]string{"PITWALL_ENGINE=a", "PITWALL_API_KEY=s", "PITWALL_ENGNE=secret", "HOME=/h"})
	want := []Problem{{Where: "PITWALL_ENGNE", What: "no such setting", Hint: "did you mean PITWALL_ENGINE?"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Whatever stands in the file, reading it ends with values for known keys or with problems that have a place.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a", "engine: [a, b]", "window: *x", "x: &x 1\ny: *x", "a:\n\t- b", "? [a]\n: b", "{a: b", "engine: &a [*a]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := parse("f", b)
		for k := range values {
			if _, ok := byName(k); !ok {
				t.Errorf("unknown key %q came through", k)
			}
		}
		for _, p := range Problems(err) {
			if p.Where == "" || p.What == "" {
				t.Errorf("a problem without a place or text: %+v", p)
			}
		}
		if err != nil && len(Problems(err)) == 0 {
			var p *Problem
			if !errors.As(err, &p) {
				t.Errorf("an error without a problem: %v", err)
			}
		}
	})
}
