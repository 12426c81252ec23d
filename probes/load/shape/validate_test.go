package shape

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// complaints is what an error says, a line each, with a directory as DIR.
func complaints(err error, dir string) []string {
	var out []string
	for _, p := range Problems(err) {
		out = append(out, strings.ReplaceAll(p.Error(), dir, "DIR"))
	}
	return out
}

func TestWhatIsWrongIsSaidBeforeAnythingIsSent(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"trace.csv": "time,input,output\n0,10,5\n1,ten,5\n", "good.csv": "time,input,output,prefix\n0,10,5,\n1,10,,\n2,8,1,g\n", "plain.csv": "time,input\n0,10\n",
		"back.csv": "time,input\n0,9\n2,9\n\n1.5,9\n0,9\n", "once.csv": "time,input\n3,9\n3,9\n",
		"empty": "", "prompts": "a\n{\"prompt\": 5}\n", "chat.jsonl": "\n{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n",
		"ids.jsonl": "{\"prompt\": [1,2]}\n", "lengths": "10\nx\n", "binary": "\xff\xfe\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type edit func(*Point)
	open := func(kind Kind, rate float64) edit {
		return func(p *Point) { p.Arrival = Arrival{Kind: kind, Rate: rate} }
	}
	trace := func(name string, more ...edit) edit {
		return func(p *Point) {
			p.Arrival, p.Prompt = Arrival{Kind: Trace, Trace: filepath.Join(dir, name)}, Prompt{}
			for _, e := range more {
				e(p)
			}
		}
	}
	for _, tt := range []struct {
		name string
		edit edit
		want string // lines of complaint parted by |
	}{
		{"a sound point has none", func(*Point) {}, ""},
		{"a sound open loop has none", open(Poisson, 3.5), ""},
		{"concurrency 0", func(p *Point) { p.Arrival.Clients = 0 }, "arrival.clients: 0 clients: a closed loop has at least 1"},
		{"concurrency below 0", func(p *Point) { p.Arrival.Clients = -4 }, "arrival.clients: -4 clients: a closed loop has at least 1"},
		{"too many clients", func(p *Point) { p.Arrival.Clients = 1 << 30 }, "arrival.clients: 1073741824 clients: at most 100000"},
		{"rate NaN", open(Poisson, math.NaN()), "arrival.rate: NaN requests a second: a number above 0"},
		{"rate infinite", open(Constant, math.Inf(1)), "arrival.rate: +Inf requests a second: a number above 0"},
		{"rate below 0", open(Poisson, -1), "arrival.rate: -1 requests a second: a number above 0"},
		{"rate 0", open(Constant, 0), "arrival.rate: 0 requests a second: a number above 0"},
		{"rate beyond reason", open(Constant, 1e9), "arrival.rate: 1e+09 requests a second: at most 1000000"},
		{"rate next to nothing", open(Constant, 1e-9), "arrival.rate: 1e-09 requests a second: at least one in 11 days (0.000001)"},
		{"a closed loop with a rate", func(p *Point) { p.Arrival.Rate = 1 }, "arrival.rate: a closed loop has no rate: choose an open loop (constant, poisson, gamma), or drop the rate"},
		{"an open loop with clients", func(p *Point) { p.Arrival.Kind, p.Arrival.Rate = Poisson, 1 }, "arrival.clients: an open loop has no clients: choose closed, or drop the clients; max_in_flight bounds an open loop"},
		{"an unknown kind", func(p *Point) { p.Arrival.Kind = "possion" }, `arrival.kind: "possion" is no kind of arrival: did you mean "poisson"?`},
		{"burstiness NaN", func(p *Point) { p.Arrival = Arrival{Kind: Gamma, Rate: 1, Burstiness: math.NaN()} }, "arrival.burstiness: NaN is no shape of a gamma distribution: above 0; 1 is Poisson, below it burstier"},
		{"burstiness without gamma", func(p *Point) { p.Arrival = Arrival{Kind: Poisson, Rate: 1, Burstiness: 1} }, "arrival.burstiness: only gamma arrivals have one"},
		{"thinking in an open loop", func(p *Point) { l := Tokens(1); p.Arrival = Arrival{Kind: Poisson, Rate: 1, Think: &l} }, "arrival.think: only the clients of a closed loop think"},
		{"steps out of order", func(p *Point) {
			p.Arrival.Steps = []Step{{After: time.Minute, Over: time.Minute, To: 4}, {After: 90 * time.Second, To: 2}}
		}, "arrival.steps[1]: begins at 1m30s, before the one before it is done at 2m"},
		{"half a client", func(p *Point) { p.Arrival.Steps = []Step{{To: 1.5}} }, "arrival.steps[0]: to 1.5 clients: a whole number up to 100000"},
		{"a step to NaN", func(p *Point) { p.Arrival = Arrival{Kind: Poisson, Rate: 1, Steps: []Step{{To: math.NaN()}}} }, "arrival.steps[0]: NaN requests a second: a number above 0"},
		{"a step to a rate of 0 is a pause", func(p *Point) { p.Arrival = Arrival{Kind: Poisson, Rate: 1, Steps: []Step{{To: 0}}} }, ""},
		{"a step before the start", func(p *Point) { p.Arrival.Steps = []Step{{After: -1, To: 1}} }, "arrival.steps[0]: after -1ns over 0s: times between 0 and 1000h0m0s"},
		{"no prompt length", func(p *Point) { p.Prompt.Length = Length{} }, "prompt.length: 0 tokens: at least 1"},
		{"half a token", func(p *Point) { p.Prompt.Length = Length{A: 1.5} }, "prompt.length: 1.5 is no whole number of tokens"},
		{"a prompt length of NaN", func(p *Point) { p.Prompt.Length = Length{A: math.NaN()} }, "prompt.length: NaN is no length: between 0 and 134217728"},
		{"no output length", func(p *Point) { p.Output.Length = Length{} }, "output.length: 0 tokens: at least 1"},
		{"more shared than the shortest prompt", func(p *Point) { p.Prompt = Prompt{Length: Length{Draw: Uniform, A: 100, B: 200}, Shared: 100} }, "prompt.shared: 100 tokens, and prompts may be no longer than 100: less than the shortest prompt"},
		{"groups that share nothing", func(p *Point) { p.Prompt.Groups = 3 }, "prompt.groups: groups that share nothing: say with shared how many tokens"},
		{"conversations in an open loop", func(p *Point) { p.Arrival, p.Prompt.Turns = Arrival{Kind: Poisson, Rate: 1}, 3 }, "prompt.turns: conversations need a closed loop, and arrivals are poisson: a turn is due when the answer before it is there"},
		{"counts below 0", func(p *Point) { p.Prompt.Turns = -1 }, "prompt: shared 0, groups 0, turns -1: none may be below 0 or beyond reason"},
		{"an unreadable trace", trace("none.csv"), "DIR/none.csv: no such file or directory"},
		{"a directory for a trace", trace(""), "DIR: is a directory: a file is wanted"},
		{"no trace named", func(p *Point) { p.Arrival, p.Prompt = Arrival{Kind: Trace}, Prompt{} }, "arrival.trace: no file is named"},
		{"a wrong line in a trace", trace("trace.csv"), `DIR/trace.csv:3: input: "ten" is no number`},
		{"an empty trace", trace("empty"), "DIR/empty: holds no request"},
		{"a trace whose times fall", trace("back.csv"), "DIR/back.csv:5: times must not fall: it is due 500ms before line 3: sort it by its times"},
		{"a trace of which two lines are due at once", trace("once.csv"), ""},
		{"a trace and a prompt length", trace("plain.csv", func(p *Point) { p.Prompt.Length = Tokens(5) }), "prompt.length: the trace says how long prompts are: drop one of the two"},
		{"a trace with clients", trace("plain.csv", func(p *Point) { p.Arrival.Clients = 5 }), "arrival: a trace says itself when requests come: drop clients and rate"},
		{"a trace with gaps in its outputs and no length", trace("plain.csv", func(p *Point) { p.Output = Output{} }), "DIR/plain.csv:2: no output length: give one in the trace, or output.length for all that have none"},
		{"a trace with groups and no word how much they share", trace("good.csv"), `DIR/good.csv:4: the prefix group "g": say with prompt.shared how many tokens a group shares`},
		{"a trace whose groups share more than their prompts", trace("good.csv", func(p *Point) { p.Prompt.Shared = 8 }), "DIR/good.csv:4: 8 tokens of input, of which the group shares 8 (prompt.shared)"},
		{"a trace whose groups share", trace("good.csv", func(p *Point) { p.Prompt.Shared = 7 }), ""},
		{"a shared part that no request of the trace has", trace("plain.csv", func(p *Point) { p.Prompt.Shared = 7 }), "prompt.shared: no request of the trace names a prefix group: in a trace only those share that name one"},
		{"a trace named beside other arrivals", func(p *Point) { p.Arrival.Trace = "x" }, "arrival.trace: arrivals are closed, and a trace is named: choose trace, or drop the file"},
		{"an unreadable file of prompts", func(p *Point) { p.Prompt = Prompt{File: filepath.Join(dir, "nowhere")} }, "DIR/nowhere: no such file or directory"},
		{"a wrong line in a file of prompts", func(p *Point) { p.Prompt = Prompt{File: filepath.Join(dir, "prompts")} }, `DIR/prompts:2: "prompt" is neither a text nor a list of token ids, or is empty`},
		{"a file of prompts and a length", func(p *Point) { p.Prompt.File = filepath.Join(dir, "chat.jsonl") }, "prompt.length: the prompts come from a file: drop one of the two"},
		{"messages for completions", func(p *Point) { p.API, p.Prompt = Completions, Prompt{File: filepath.Join(dir, "chat.jsonl")} }, "DIR/chat.jsonl:2: messages, and completions are asked for: only a chat has messages"},
		{"token ids for a chat", func(p *Point) { p.API, p.Prompt = Chat, Prompt{File: filepath.Join(dir, "ids.jsonl")} }, "DIR/ids.jsonl:1: token ids, and a chat is asked for: only completions have them"},
		{"a file that is no text", func(p *Point) { p.Prompt = Prompt{File: filepath.Join(dir, "binary")} }, "DIR/binary:1: is no UTF-8"},
		{"a wrong line in a file of lengths", func(p *Point) {
			p.Prompt.Length = Length{Draw: FromFile, Path: filepath.Join(dir, "lengths")}
		}, "DIR/lengths:2: \"x\" is no number: one length a line"},
		{"an unknown API", func(p *Point) { p.API = "chatt" }, `api: "chatt": did you mean "chat"?`},
		{"an unknown cache", func(p *Point) { p.Cache = "clod" }, `cache: "clod": did you mean "cold"?`},
		{"a temperature of NaN", func(p *Point) { v := math.NaN(); p.Sampling.Temperature = &v }, "sampling.temperature: NaN: 0 or more"},
		{"top_p 0", func(p *Point) { v := 0.0; p.Sampling.TopP = &v }, "sampling.top_p: 0: above 0 and at most 1"},
		{"stops below 0", func(p *Point) { p.Stop = Stop{Requests: -1, After: -1} }, "stop.after: -1ns: no time is below 0|stop.requests: -1: 0 (never) or more"},
		{"a precision beyond reason", func(p *Point) { p.Stop.Precision = 2 }, "stop.precision: 2: a share of the mean, such as 0.02"},
		{"a share of the SLO beyond all", func(p *Point) { p.SLO.Share = 99 }, "slo.share: 99: above 0 and at most 1, such as 0.99"},
		{"TTFT of what isn't streamed", func(p *Point) { p.Unstreamed, p.SLO.TTFT = true, 1 }, "slo.ttft: an answer that isn't streamed has no first token: drop one of the two"},
		{"a body field of pitwall's own", func(p *Point) { p.Body = map[string]any{"stream": false} }, "body.stream: pitwall sets it itself"},
		{"a header of pitwall's own", func(p *Point) { p.Headers = map[string]string{"content-length": "1"} }, "headers.content-length: pitwall sets it itself"},
		{"a header that would begin another", func(p *Point) { p.Headers = map[string]string{"X-A": "b\r\nX-C: d"} }, `headers: the value of "X-A" holds control characters`},
		{"a header's name with a colon", func(p *Point) { p.Headers = map[string]string{"X:A": "b"} }, `headers: "X:A" is no header name`},
		{"several mistakes are all named", func(p *Point) { p.Arrival.Clients, p.API = 0, "x" }, `arrival.clients: 0 clients: a closed loop has at least 1|api: "x"; there are chat and completions`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := closed(4, 512, 128)
			tt.edit(&p)
			if got := strings.Join(complaints(p.Filled().Validate(), dir), "|"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestServersLimit(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "t.csv")
	if err := os.WriteFile(file, []byte("time,input,output\n0,10,5\n1,2000,49\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		p      Point
		limits Limits
		want   string
	}{
		{"what fits exactly fits", closed(1, 1920, 128), Limits{MaxModelLen: 2048}, ""},
		{"one token too many is named with the limit", closed(1, 1921, 128), Limits{MaxModelLen: 2048}, "output.length: a prompt of up to 1921 tokens and an answer of up to 128 are 2049: the server's limit is 2048 (max_model_len)"},
		{"a prompt alone too long", closed(1, 3000, 1), Limits{MaxModelLen: 2048}, "prompt.length: prompts of up to 3000 tokens: the server's limit is 2048 (max_model_len)"},
		{"an answer alone too long", closed(1, 1, 3000), Limits{MaxModelLen: 2048}, "output.length: answers of up to 3000 tokens: the server's limit is 2048 (max_model_len)"},
		{"a drawn length counts at its longest", Point{Prompt: Prompt{Length: Length{Draw: Normal, A: 1500, B: 200}}, Output: Output{Length: Tokens(1)}}, Limits{MaxModelLen: 2048}, "prompt.length: prompts of up to 2300 tokens: the server's limit is 2048 (max_model_len)"},
		{"a drawn length with a most fits", Point{Prompt: Prompt{Length: Length{Draw: Normal, A: 1500, B: 200, Most: 2000}}, Output: Output{Length: Tokens(48)}}, Limits{MaxModelLen: 2048}, ""},
		{"an answer that may end by itself may be cut by the limit", Point{Prompt: Prompt{Length: Tokens(2000)}, Output: Output{Length: Tokens(100), Free: true}}, Limits{MaxModelLen: 2048}, ""},
		{"a conversation counts at its last turn", Point{Prompt: Prompt{Length: Tokens(600), Shared: 500, Turns: 6}, Output: Output{Length: Tokens(200)}}, Limits{MaxModelLen: 2048}, "prompt.turns: 6 turns of up to 100 tokens with answers of up to 200 are 2300: the server's limit is 2048 (max_model_len)"},
		{"a trace's longest request is named", Point{Arrival: Arrival{Kind: Trace, Trace: file}}, Limits{MaxModelLen: 2048}, "DIR/t.csv:3: a prompt of 2000 tokens and an answer of 49 are 2049: the server's limit is 2048 (max_model_len)"},
		{"a limit that nobody tells limits nothing", closed(1, 1e6, 1), Limits{}, ""},
		{"no chat", Point{API: Chat, Prompt: Prompt{Length: Tokens(1)}, Output: Output{Length: Tokens(1)}}, Limits{NoChat: "the model has no chat template"}, "api: no chat on this server: the model has no chat template"},
		{"no exact lengths", closed(1, 5, 5), Limits{NoLength: "it knows neither ignore_eos nor min_tokens"}, "output.free: an answer of an exact length is asked for, and this server can't be made to give one: it knows neither ignore_eos nor min_tokens"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(complaints(tt.p.Check(tt.limits), dir), "|"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestYAML(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"an empty file is the zero point", "# nothing\n", ""},
		{"an unknown key is named with its line and the nearest", "arrival:\n  kind: poisson\n  rat: 5\n", `p.yaml:3: unknown key "rat": did you mean "rate"?`},
		{"an unknown key at the top", "promt:\n  length: 5\n", `p.yaml:1: unknown key "promt": did you mean "prompt"?`},
		{"all unknown keys at once", "zzzzzzzz: 1\nprompt: {lenght: 5}\n", "p.yaml:1: unknown key \"zzzzzzzz\"; there are label, arrival,|p.yaml:2: unknown key \"lenght\": did you mean \"length\"?"},
		{"an unknown key in a list", "arrival:\n  steps:\n  - after: 1s\n    too: 5\n", `p.yaml:4: unknown key "too": did you mean "to"?`},
		{"a wrong length", "prompt:\n  length: many\n", `"many" is no number`},
		{"a wrong type", "arrival:\n\n  clients: some\n", "p.yaml:3: cannot use str `some` as a whole number"},
		{"a time without a unit", "stop:\n  after: 30\n", "p.yaml:2: cannot use int `30` as a time (30s, 1m30s)"},
		{"a list for keys", "arrival: [1]\n", "p.yaml:1: cannot use seq as keys and values"},
		{"broken YAML", "arrival:\n  kind: [x\n", "p.yaml:"},
		{"a second document", "label: x\n---\nlabel: y\n", "p.yaml:2: a second YAML document: only one counts"},
		{"a key twice", "label: x\nlabel: y\n", `p.yaml:2: mapping key "label" already defined at line 1`},
		{"merged keys are not looked into", "x: &a {rate: 1}\narrival:\n  <<: *a\n", `p.yaml:1: unknown key "x"`},
		{"a body with what JSON has no value for", "body:\n  x: .nan\n", "p.yaml:1: body: json: unsupported value: NaN"},
		{"a body may hold anything else", "body:\n  any: {thing: [1, 2.5, x]}\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("p.yaml", []byte(tt.text))
			got := complaints(err, "none")
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			for i, want := range strings.Split(tt.want, "|") {
				if i >= len(got) || !strings.Contains(got[i], want) {
					t.Errorf("got %q, want %q in number %d (%v)", got, want, i, err)
				}
			}
		})
	}
	t.Run("YAML nested beyond reason ends", func(t *testing.T) {
		if _, err := Parse("p.yaml", []byte("body: "+strings.Repeat("[", 100000))); err == nil {
			t.Error("no error")
		}
	})
}

func TestOwnPresets(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"presets with points in them", "- name: mine\n  about: quick\n  point:\n    arrival: {clients: 2}\n    prompt: {length: 100}\n    output: {length: 5}\n", ""},
		{"a preset's files are looked for when it is used", "- name: a\n  point:\n    arrival: {trace: nowhere.csv}\n    output: {length: 5}\n", ""},
		{"no name", "- about: x\n", "c.yaml:1: a preset without a name"},
		{"a name twice", "- &a\n  name: x\n  point: {arrival: {clients: 1}, prompt: {length: 1}, output: {length: 1}}\n- *a\n", `c.yaml:4: a second preset "x"`},
		{"an impossible point", "\n- name: x\n  point: {prompt: {length: 1}, output: {length: 1}}\n", `c.yaml:2: preset "x": arrival.clients: 0 clients: a closed loop has at least 1`},
		{"an unknown key", "- name: x\n  pint: {}\n", `c.yaml:2: unknown key "pint": did you mean "point"?`},
		{"keys for a list", "name: x\n", "c.yaml:1: a list of presets expected: - name: mine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n yaml.Node
			if err := yaml.Unmarshal([]byte(tt.text), &n); err != nil {
				t.Fatal(err)
			}
			got, err := ParsePresets("c.yaml", n.Content[0])
			if s := strings.Join(complaints(err, "none"), "|"); s != tt.want || err == nil && len(got) != 1 {
				t.Errorf("got %d, %s (%v), want %s", len(got), s, err, tt.want)
			}
		})
	}
}

func TestTraces(t *testing.T) {
	s := time.Second
	for _, tt := range []struct {
		name, text string
		want       []Entry
		err        string
	}{
		{"CSV with its columns in any order", "output,prefix,time,input\n5,a,1.5,10\n,,1,20\n",
			[]Entry{{Line: 3, Input: 20}, {Line: 2, After: s / 2, Input: 10, Output: 5, Prefix: "a"}}, ""},
		{"CSV with two columns, a byte order mark and carriage returns", "\ufefftime,input\r\n1,10\r\n", []Entry{{Line: 2, Input: 10}}, ""},
		{"JSON lines", "{\"time\": 2, \"input\": 10, \"output\": 5, \"prefix\": \"a, b\"}\n\n{\"input\": 1, \"time\": 2.25}\n",
			[]Entry{{Line: 1, Input: 10, Output: 5, Prefix: "a, b"}, {Line: 3, After: s / 4, Input: 1}}, ""},
		{"Mooncake's", "{\"timestamp\": 27482, \"input_length\": 513, \"output_length\": 52, \"hash_ids\": [46, 47]}\n{\"timestamp\": 30535, \"input_length\": 512, \"output_length\": 26, \"hash_ids\": [46]}\n",
			[]Entry{{Line: 1, Input: 513, Output: 52, Blocks: []uint64{46, 47}}, {Line: 2, After: 3053 * time.Millisecond, Input: 512, Output: 26, Blocks: []uint64{46}}}, ""},
		{"times since 1970", "time,input\n1795597278.25,1\n1795597277.25,2\n", []Entry{{Line: 3, Input: 2}, {Line: 2, After: s, Input: 1}}, ""},
		{"requests at one time keep their order", "time,input\n0,3\n0,2\n0,1\n", []Entry{{Line: 2, Input: 3}, {Line: 3, Input: 2}, {Line: 4, Input: 1}}, ""},
		{"an unknown column", "time,inputs\n", nil, `F:1: column "inputs": did you mean "input"?`},
		{"a missing column", "time,output\n", nil, `F:1: no column "input"; the first line names the columns time, input, output and prefix`},
		{"a column twice", "time,input,time\n", nil, `F:1: column "time" is there twice`},
		{"no header", "0,10,5\n", nil, `F:1: column "0"; there are time, input, output and prefix`},
		{"too few columns", "time,input\n1,2\n3\n", nil, "F:3: 1 columns, and the first line names 2"},
		{"a broken quote", "time,input\n\"1,2\n", nil, `F:2: extraneous or missing " in quoted-field`},
		{"half a token", "time,input\n0,1.5\n", nil, "F:2: input: 1.5 is no number of tokens"},
		{"a time that is none", "time,input\nNaN,1\n", nil, "F:2: time: NaN is no time"},
		{"an input of 0", "time,input\n0,0\n", nil, "F:2: no input length: at least 1 token"},
		{"an output below 0", "time,input,output\n0,1,-1\n", nil, "F:2: output: -1 is no number of tokens"},
		{"an unknown key", "{\"time\": 0, \"inptu\": 1}\n", nil, `F:1: unknown key "inptu": did you mean "input"?`},
		{"a missing key", "{\"time\": 0}\n", nil, `F:1: "time" and "input" are wanted`},
		{"two forms in one line", "{\"time\": 0, \"input_length\": 1}\n", nil, "F:1: time, input, output and timestamp, input_length, output_length are two forms: one of them"},
		{"broken JSON in the second line", "{\"time\": 0, \"input\": 1}\n{\"time\"\n", nil, "F:2: unexpected EOF"},
		{"two objects in a line", "{\"time\": 0, \"input\": 1} {}\n", nil, "F:1: more than one object"},
		{"too few hashes", "{\"timestamp\": 0, \"input_length\": 600, \"hash_ids\": [1]}\n", nil, "F:1: 1 hash_ids are for at most 512 tokens, and the input has 600"},
		{"only a header", "time,input\n", nil, "F: holds no request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, "trace", tt.text)
			got, err := ReadTrace(file)
			said := ""
			if err != nil {
				said = strings.ReplaceAll(err.Error(), file, "F")
			}
			if said != tt.err {
				t.Errorf("said %q, want %q", said, tt.err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPromptFiles(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []Line
		err        string
	}{
		{"plain text, a prompt a line", "Hello\n\n  [1] world\n", []Line{{Number: 1, Text: "Hello"}, {Number: 3, Text: "  [1] world"}}, ""},
		{"JSON of all kinds", "{\"prompt\": \"a\\nb\"}\n{\"prompt\": [1, 2]}\n{\"messages\": [ {\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"x y\"}]} ]}\n",
			[]Line{{Number: 1, Text: "a\nb"}, {Number: 2, IDs: []int32{1, 2}}, {Number: 3, Messages: []byte(`[{"role":"user","content":[{"type":"text","text":"x y"}]}]`)}}, ""},
		{"an unknown key", "{\"promt\": \"a\"}\n", nil, `F:1: unknown key "promt": did you mean "prompt"?`},
		{"both", "x\n{\"prompt\": \"a\", \"messages\": []}\n", nil, `F:2: either "prompt" or "messages" is wanted`},
		{"none", "{}\n", nil, `F:1: either "prompt" or "messages" is wanted`},
		{"no messages", "{\"messages\": []}\n", nil, `F:1: "messages" is no list of messages, or is empty`},
		{"a message without a role", "{\"messages\": [{\"role\":\"user\"},{\"content\":\"x\"}]}\n", nil, `F:1: message 2 has no "role"`},
		{"an empty prompt", "{\"prompt\": \"\"}\n", nil, `F:1: "prompt" is neither a text nor a list of token ids, or is empty`},
		{"an id below 0", "{\"prompt\": [1,-2]}\n", nil, "F:1: -2 is no token id"},
		{"an id beyond all vocabularies", "{\"prompt\": [99999999999]}\n", nil, `F:1: "prompt" is neither a text nor a list of token ids, or is empty`},
		{"broken JSON", "{\"prompt\": \"a\n", nil, "F:1: unexpected EOF"},
		{"an empty file", "\n\n", nil, "F: holds no prompt: a prompt a line, as text or JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, "prompts", tt.text)
			got, err := ReadPrompts(file)
			said := ""
			if err != nil {
				said = strings.ReplaceAll(err.Error(), file, "F")
			}
			if said != tt.err {
				t.Errorf("said %q, want %q", said, tt.err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("a line longer than any prompt", func(t *testing.T) {
		_, err := ReadPrompts(write(t, "p", "x\n"+strings.Repeat("a", maxFileLine+1)))
		if err == nil || !strings.Contains(err.Error(), "p:2: longer than 16777216 bytes") {
			t.Error(err)
		}
	})
}

func TestProblemsTakesErrorsApart(t *testing.T) {
	a, b := &Problem{Where: "a", What: "x"}, &Problem{Where: "b", What: "y", Hint: "z"}
	err := errors.Join(a, fmt.Errorf("deep: %w", errors.Join(b)), errors.New("other"))
	if d := cmp.Diff([]*Problem{a, b}, Problems(err)); d != "" {
		t.Error(d)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "arrival: {clients: 2}\n", "body: {a: [1, .inf, 2000-01-01]}", "prompt: {length: 'uniform:1-2'}", "x: &a [*a]", "label: x\n---\n", "? [a]\n: b\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("f", []byte(text))
		if err != nil {
			return
		}
		// What was accepted can be stored, and comes back the same.
		y, err := yaml.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse("f", y)
		if err != nil {
			t.Fatalf("%v in %q", err, y)
		}
		if d := cmp.Diff(p, back, nan()); d != "" {
			t.Fatalf("%s\n%q", d, y)
		}
		p.Filled().Check(Limits{MaxModelLen: 1000})
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"c=16 512→128 chat cold", "poisson 3.5/s 512->128", "gamma 2/s b=0.4 steps=10@30s,20@1m+30s", "trace:x ·→·", "trace x →5", "shared=1x2 think=lognormal:1,2,3 file:p->≤9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p, err := Point{}.ParseText(line)
		if err != nil {
			return
		}
		s := p.String()
		back, err := Point{}.ParseText(s)
		// A file is written by its last part alone, which may have become nothing.
		if strings.ContainsAny(line, ":/") || strings.Contains(line, `\`) {
			return
		}
		if err != nil {
			t.Fatalf("%q became %q: %v", line, s, err)
		}
		if again := back.String(); again != s {
			t.Fatalf("%q became %q became %q", line, s, again)
		}
	})
}

func FuzzFiles(f *testing.F) {
	for _, s := range []string{"time,input,output\n0,10,5\n", "{\"time\": 2, \"input\": 10}\n", "{\"timestamp\": 1, \"input_length\": 3, \"hash_ids\": [1]}\n", "{\"prompt\": [1]}\n", "10\n20 # x\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := write(t, "f", text)
		entries, err := ReadTrace(file)
		if err == nil {
			last := time.Duration(0)
			for _, e := range entries {
				if e.After < last || e.Input < 1 || e.Output < 0 || e.Line < 1 {
					t.Fatalf("%+v", e)
				}
				last = e.After
			}
		}
		lines, err := ReadPrompts(file)
		if err == nil {
			for _, l := range lines {
				if (l.Text != "") == (l.IDs != nil || l.Messages != nil) {
					t.Fatalf("%+v", l)
				}
			}
		}
		l, err := Length{Draw: FromFile, Path: file}.Read()
		if least, most := l.Bounds(); err == nil && !(least <= most) {
			t.Fatalf("%v to %v", least, most)
		}
	})
}

// nan lets NaN equal itself: YAML has it.
func nan() cmp.Option {
	return cmp.Comparer(func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) })
}
