package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/prometheus/prometheus/model/labels"

	"pitwall/cmd/config"
	"pitwall/probes"
)

func TestMoment(t *testing.T) {
	first := time.Date(2026, 11, 24, 22, 0, 0, 0, time.Local)
	last := time.Date(2026, 11, 25, 1, 0, 0, 0, time.Local)
	for _, tt := range []struct {
		name, at string
		want     time.Time
		failed   string
	}{
		{name: "nothing is the session's last moment", at: "", want: last},
		{name: "a distance is from its end", at: "-30m", want: last.Add(-30 * time.Minute)},
		{name: "a time as pitwall prints it can be copied", at: last.Add(-time.Minute).Format("2006-01-02 15:04:05 MST"), want: last.Add(-time.Minute)},
		{name: "and without its zone", at: "2026-11-25 00:59:00", want: last.Add(-time.Minute)},
		{name: "a zone of which only the name is known is no moment", at: "2026-11-25 00:59:00 XYZT", failed: "is not a moment"},
		{name: "a time of day is on the last day", at: "00:30", want: last.Add(-30 * time.Minute)},
		{name: "with hours 00 and seconds it is a way into the session, where that is so long", at: "00:30:00", want: first.Add(30 * time.Minute)},
		{name: "a time of day that the last day has not reached is of the day before", at: "23:00", want: last.Add(-2 * time.Hour)},
		{name: "RFC 3339", at: last.Add(-time.Minute).UTC().Format(time.RFC3339), want: last.Add(-time.Minute)},
		{name: "Unix seconds", at: fmt.Sprint(last.Unix() - 5), want: last.Add(-5 * time.Second)},
		{name: "before the session", at: "-4h", failed: "lies outside the session"},
		{name: "after the session", at: last.Add(time.Hour).Format(time.RFC3339), failed: "lies outside the session"},
		{name: "a word", at: "yesterday", failed: "is not a moment"},
		{name: "a small number is no Unix time", at: "5", failed: "is not a moment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := moment(tt.at, first, last)
			if tt.failed != "" {
				if err == nil || !strings.Contains(err.Error(), tt.failed) {
					t.Fatalf("error %v, want …%s", err, tt.failed)
				}
				return
			}
			if err != nil || !got.Equal(tt.want) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestWorstState(t *testing.T) {
	for _, tt := range []struct {
		name   string
		states []string
		state  string
		code   int
	}{
		{"no engine at all", nil, "no_engine", exitNoEngine},
		{"ready", []string{"ready"}, "ready", exitOK},
		{"just restarted is up", []string{"restarted"}, "restarted", exitOK},
		{"asleep", []string{"sleeping"}, "sleeping", exitSleeping},
		{"starting", []string{"starting"}, "starting", exitStarting},
		{"stalled", []string{"stalled"}, "stalled", exitStalled},
		{"no answer", []string{"no_answer"}, "no_answer", exitNoAnswer},
		{"of several the worst counts", []string{"ready", "stalled", "starting"}, "stalled", exitStalled},
		{"a state that is not known is no good news", []string{"ready", "dreaming"}, "dreaming", exitNoAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var engines []engineReading
			for _, s := range tt.states {
				engines = append(engines, engineReading{State: s})
			}
			if state, code := worst(engines); state != tt.state || code != tt.code {
				t.Errorf("got %s, %d; want %s, %d", state, code, tt.state, tt.code)
			}
		})
	}
}

func TestStateOf(t *testing.T) {
	sample := func(v float64, ls ...string) probes.Sample {
		return probes.Sample{Labels: labels.FromStrings(ls...), Value: v}
	}
	state, since := stateOf(probes.Reading{Samples: []probes.Sample{
		sample(0, "__name__", stateMetric, "state", "ready"),
		sample(1, "__name__", stateMetric, "state", "stalled"),
		sample(1795562280.5, "__name__", sinceMetric),
	}})
	if state != "stalled" || since == nil || !since.Equal(time.UnixMilli(1795562280500)) {
		t.Errorf("got %s since %v", state, since)
	}
	if state, since := stateOf(probes.Reading{}); state != "" || since != nil {
		t.Errorf("without the series: got %q since %v", state, since)
	}
}

func TestMeasure(t *testing.T) {
	for _, tt := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.123, "ratio", "12.3 %"},
		{1 << 30, "bytes", "1.0 GiB"},
		{0.0125, "s", "12.5ms"},
		{3, "requests", "3 requests"},
		{1234.5, "tokens/s", "1234 tokens/s"},
		{12.345, "tokens/s", "12.35 tokens/s"},
		{71, "°C", "71 °C"},
		{0.96, "", "0.96"},
	} {
		if got := measure(tt.v, tt.unit); got != tt.want {
			t.Errorf("measure(%v, %q) = %q, want %q", tt.v, tt.unit, got, tt.want)
		}
	}
}

func TestValuesThatJSONHasNoNumberForBecomeText(t *testing.T) {
	got, err := json.Marshal([]value{1, 0.1, 1.3049e+06, value(math.NaN()), value(math.Inf(1)), value(math.Inf(-1))})
	if want := `[1,0.1,1304900,"NaN","+Inf","-Inf"]`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestClean(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"escape sequences go", "a\x1b[31mred\x1b[0m\x1b]0;title\x07b", "aredb"},
		{"one line stays one line", "a\nb\tc\rd", "a b cd"},
		{"text can't be turned around", "a\u202eb\u2066c", "abc"},
		{"other languages stay", "größe 模型 🙂", "größe 模型 🙂"},
	} {
		if got := clean(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestABackgroundRecorderGetsWhatIsInForceThroughItsEnvironment(t *testing.T) {
	c := &config.Config{Engine: []string{"http://u:pw@a:1", "http://b:2"}, Header: []string{"Authorization: Bearer x", "A: b"},
		APIKeyEnv: "KEY", SessionsDir: "rel", KeepAge: 36 * time.Hour, KeepSize: 1000}
	got := environment([]string{"PITWALL_ENGINE=http://old:1", "PITWALL_CA_FILE=/old", "KEY=secret", "PATH=/bin"}, c, "/etc/p.yaml")
	slices.Sort(got)
	dir := absolute("rel")
	want := []string{"KEY=secret", "PATH=/bin", "PITWALL_API_KEY_ENV=KEY", "PITWALL_CONFIG=/etc/p.yaml", "PITWALL_ENGINE=http://u:pw@a:1,http://b:2",
		"PITWALL_HEADER=Authorization: Bearer x\nA: b", "PITWALL_KEEP_AGE=129600s", "PITWALL_KEEP_SIZE=1000B", "PITWALL_SESSIONS_DIR=" + dir}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// And the child reads it as it was meant.
	env := map[string]string{}
	for _, kv := range got {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	child, _, err := config.Load(config.Input{Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(child.Engine, c.Engine) || !slices.Equal(child.Header, c.Header) || child.KeepAge != c.KeepAge || child.KeepSize != c.KeepSize || child.SessionsDir != dir {
		t.Errorf("the child has %+v", child)
	}
}

func TestTensorParallel(t *testing.T) {
	for _, tt := range []struct {
		args string
		want int
	}{
		{"vllm serve m", 0},
		{"vllm serve m --tensor-parallel-size 4", 4},
		{"vllm serve m --tensor-parallel-size=8 --x", 8},
		{"vllm serve m --tensor_parallel_size=2", 2},
		{"vllm serve m -tp 2", 2},
		{"vllm serve m -tp", 0},
		{"vllm serve m -tp many", 0},
	} {
		if got := tensorParallel(strings.Fields(tt.args)); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.args, got, tt.want)
		}
	}
}

func TestInstance(t *testing.T) {
	for in, want := range map[string]string{
		"http://127.0.0.1:8000":    "127.0.0.1:8000",
		"http://u:p@gpu7:8000/v1":  "gpu7:8000",
		"https://llm.example.com":  "llm.example.com:443",
		"http://llm.example.com":   "llm.example.com:80",
		"127.0.0.1:8000":           "127.0.0.1:8000",
		"http://[::1]:8000/prefix": "[::1]:8000",
	} {
		if got := instance(in); got != want {
			t.Errorf("instance(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestEveryErrorHasItsExitCodeAndForm(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"none", nil, exitOK, ""},
		{"an error with a hint", fail(exitNoSession, "look elsewhere", "no session %q", "x"), exitNoSession, "pitwall: error: no session \"x\"\npitwall: hint: look elsewhere\n"},
		{"a wrapped one keeps its code", fmt.Errorf("asking: %w", fail(exitUsage, "", "bad")), exitUsage, "pitwall: error: asking: bad\n"},
		{"any other error leads to the doctor", errors.New("boom"), exitFailed, "pitwall: error: boom\npitwall: hint: pitwall doctor shows what is missing, why, and what to type next\n"},
		{"a code alone says nothing more", exit(exitStalled), exitStalled, ""},
		{"control characters from outside don't reach the terminal", fail(exitFailed, "", "no \x1b[2Janswer"), exitFailed, "pitwall: error: no answer\n"},
		{"mistakes in the configuration", errors.Join(&config.Problem{Where: "f:1", What: "a", Hint: "b"}, &config.Problem{Where: "f:2", What: "c"}), exitUsage,
			"pitwall: error: f:1: a\npitwall: hint: b\npitwall: error: f:2: c\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			p := &program{stderr: &b}
			if code := p.report(tt.err); code != tt.code || b.String() != tt.want {
				t.Errorf("got %d and %q, want %d and %q", code, b.String(), tt.code, tt.want)
			}
		})
	}
}

func TestWhatJSONCarriesIsNothingThatATerminalObeys(t *testing.T) {
	const nasty = "a\x1b[31m\x7f\u009b2J\u202eb\n"
	var b bytes.Buffer
	if err := printJSON(&b, map[string]string{"text": nasty}); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || r == '\u202e') }); i >= 0 {
		t.Errorf("%q has a control character at %d", b.String(), i)
	}
	var back map[string]string
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back["text"] != nasty {
		t.Errorf("read back as %q, %v", back["text"], err)
	}
}
