package truth

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAnswersThatAreNotStreamed(t *testing.T) {
	s := serve(t, Plan{TTFT: 5 * time.Millisecond, Gap: time.Millisecond})
	for path, body := range map[string]string{
		"/v1/completions":      `{"prompt":"two words","max_tokens":6}`,
		"/v1/chat/completions": `{"messages":[{"role":"user","content":[{"type":"text","text":"two words"}]}],"max_completion_tokens":6}`,
	} {
		got := ask1(t, s, path, path, body, "")
		var c struct {
			Choices []struct {
				Text    string
				Message struct{ Content string }
			}
			Usage struct {
				Output int `json:"completion_tokens"`
			}
		}
		if err := json.Unmarshal([]byte(got.body), &c); err != nil {
			t.Fatalf("%s: %v in %s", path, err, got.body)
		}
		if n := len(strings.Fields(c.Choices[0].Text + c.Choices[0].Message.Content)); n != 6 || c.Usage.Output != 6 {
			t.Errorf("%s: %d words, usage %d", path, n, c.Usage.Output)
		}
		if a := wait(t, s, path); a.End.Sub(a.Received) < 10*time.Millisecond {
			t.Errorf("%s: it left after %v, not after the time of six tokens", path, a.End.Sub(a.Received))
		}
	}
}

func TestRequestsThatCannotBeAnsweredAreRefusedAsVLLMDoes(t *testing.T) {
	s := serve(t, Plan{MaxModelLen: 20})
	for _, c := range []struct {
		name, path, body, want string
		status                 int
	}{
		{"no JSON", "/v1/completions", `{`, "the body", 400},
		{"no prompt", "/v1/completions", `{"max_tokens":1}`, "prompt must be", 400},
		{"no messages", "/v1/chat/completions", `{"max_tokens":1}`, "messages must not be empty", 400},
		{"a picture", "/v1/chat/completions", `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, "type text", 400},
		{"too long", "/v1/completions", `{"prompt":[1,2,3],"max_tokens":18}`, "maximum context length is 20 tokens", 400},
		{"no tokens", "/v1/completions", `{"prompt":[1],"max_tokens":0}`, "at least 1", 400},
		{"another model", "/v1/completions", `{"model":"other","prompt":[1]}`, "does not exist", 404},
		{"another path", "/v1/nothing", `{}`, "Not Found", 404},
	} {
		if got := ask1(t, s, c.name, c.path, c.body, ""); got.status != c.status || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: status %d, %s", c.name, got.status, got.body)
		}
	}
}

func TestTokenizeCountsWhatAPromptIsCharged(t *testing.T) {
	s := serve(t, Plan{})
	post := func(path, body string, v any) {
		t.Helper()
		if err := json.Unmarshal([]byte(ask1(t, s, "", path, body, "").body), v); err != nil {
			t.Fatal(err)
		}
	}
	type count struct {
		Count  int
		Tokens []int64
	}
	for path, body := range map[string]string{
		"/v1/completions":      `"prompt":"some w17 words w017 w1234567 "`,
		"/v1/chat/completions": `"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"what is it"}]`,
	} {
		var c count
		post("/tokenize", "{"+body+"}", &c)
		got := ask1(t, s, path, path, `{"max_tokens":1,"stream":true,"stream_options":{"include_usage":true},`+body+"}", "")
		if c.Count == 0 || c.Count != len(c.Tokens) || got.input != c.Count {
			t.Errorf("%s: /tokenize says %d (%v), usage %d", path, c.Count, c.Tokens, got.input)
		}
	}
	var spelled struct{ Prompt string }
	post("/detokenize", `{"tokens":[0,17,1999,31999]}`, &spelled)
	b, _ := json.Marshal(spelled)
	var c count
	post("/tokenize", strings.Replace(string(b), "Prompt", "prompt", 1), &c)
	if fmt.Sprint(c.Tokens) != "[0 17 1999 31999]" {
		t.Errorf("ids came back as %v", c.Tokens)
	}
}

func FuzzAsk(f *testing.F) {
	for _, s := range []string{`"a b"`, `[1,2]`, `["a"]`, `[[1,2]]`, `[]`, `null`, `{}`, `[[[1]]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		ids, _, err := prompt(raw, true)
		some, count, err2 := prompt(raw, false)
		if (err == nil) != (err2 == nil) || err == nil && len(ids) != count+len(some) {
			t.Errorf("%q: %d ids (%v), counted %d (%v)", raw, len(ids), err, count+len(some), err2)
		}
	})
}
