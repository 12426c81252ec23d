package prompt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"pitwall/probes/load/prompt"
	"pitwall/probes/load/shape"
	"pitwall/probes/sim"
)

// server is one that counts: a vLLM (real or simulated) or a llama.cpp.
type server struct {
	t        *testing.T
	url      string
	llamacpp bool
	model    string
}

func (s *server) post(ctx context.Context, path string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if raw, ok := body.(json.RawMessage); ok {
		b = raw
	}
	ctx, done := context.WithTimeout(ctx, time.Minute)
	defer done()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %.300s", path, res.StatusCode, answer)
	}
	return json.Unmarshal(answer, into)
}

type counted struct {
	Tokens []int32 `json:"tokens"`
}

func (s *server) Tokens(ctx context.Context, text string) ([]int32, error) {
	body := map[string]any{"model": s.model, "prompt": text, "add_special_tokens": false}
	if s.llamacpp {
		body = map[string]any{"content": text, "add_special": false}
	}
	var got counted
	err := s.post(ctx, "/tokenize", body, &got)
	return got.Tokens, err
}

func (s *server) Chat(ctx context.Context, messages []prompt.Message) ([]int32, error) {
	var got counted
	if !s.llamacpp {
		err := s.post(ctx, "/tokenize", map[string]any{"model": s.model, "messages": messages}, &got)
		return got.Tokens, err
	}
	var text struct {
		Prompt string `json:"prompt"`
	}
	if err := s.post(ctx, "/apply-template", map[string]any{"messages": messages}, &text); err != nil {
		return nil, err
	}
	err := s.post(ctx, "/tokenize", map[string]any{"content": text.Prompt, "add_special": true, "parse_special": true}, &got)
	return got.Tokens, err
}

type usage struct {
	Prompt  int `json:"prompt_tokens"`
	Details struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// ask sends a prompt for one token and gives the server's own count of it, and the answer.
func (s *server) ask(p prompt.Prompt) (usage, string) {
	s.t.Helper()
	path := "/v1/completions"
	if p.Messages != nil {
		path = "/v1/chat/completions"
	}
	body, err := json.Marshal(s.model)
	if err != nil {
		s.t.Fatal(err)
	}
	body = append(append([]byte(`{"max_tokens":3,"temperature":0,"model":`), body...), ',')
	var got struct {
		Usage   usage `json:"usage"`
		Choices []struct {
			Text    string `json:"text"`
			Message struct {
				Content string `json:"content"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := s.post(s.t.Context(), path, json.RawMessage(append(p.Append(body), '}')), &got); err != nil {
		s.t.Fatal(err)
	}
	return got.Usage, got.Choices[0].Text + got.Choices[0].Message.Content
}

func real(t *testing.T, variable string) string {
	t.Helper()
	url := os.Getenv(variable)
	if url == "" {
		t.Skipf("NOT TESTED: %s names no real server", variable)
	}
	return url
}

func TestExactOnARealVLLM(t *testing.T) {
	exact(t, &server{t: t, url: real(t, "PITWALL_REAL_VLLM")}, prompt.Options{Salt: true, IDs: true})
}

func TestExactOnARealLlamaCpp(t *testing.T) {
	exact(t, &server{t: t, url: real(t, "PITWALL_REAL_LLAMACPP"), llamacpp: true}, prompt.Options{NoCache: true, IDs: true})
}

func TestExactOnTheSimulatedServer(t *testing.T) {
	s, err := sim.Start(t.Context(), sim.Options{Quiet: true, Speed: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	exact(t, &server{t: t, url: s.URL()}, prompt.Options{Salt: true, IDs: true})
}

// exact learns a server's tokenizer, and holds what is made against what the server counts when it is really asked.
func exact(t *testing.T, s *server, o prompt.Options) {
	var models struct {
		Data []struct {
			ID  string `json:"id"`
			Max int    `json:"max_model_len"`
		} `json:"data"`
	}
	res, err := http.Get(s.url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&models); err != nil || len(models.Data) == 0 {
		t.Fatal(err, models)
	}
	s.model = models.Data[0].ID
	began := time.Now()
	v, err := prompt.Learn(t.Context(), s, models.Data[0].Max)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d words learned in %v, lacks %q", s.model, v.Words(), time.Since(began), v.Lacks())
	if v.Words() < 100 || len(v.Lacks()) > 0 {
		t.Fatal("that is too little for a common model")
	}
	o.Limit, o.Nonce = models.Data[0].Max, uint64(time.Now().UnixNano())
	for _, api := range []shape.API{shape.Completions, shape.Chat} {
		for _, c := range []struct {
			name   string
			length string
			prompt shape.Prompt
			cache  shape.Cache
		}{
			{"fixed", "100", shape.Prompt{}, shape.Cold},
			{"drawn", "uniform:45-300", shape.Prompt{}, shape.Warm},
			{"shared", "300", shape.Prompt{Shared: 200, Groups: 2}, shape.Cold},
			{"conversation", "60", shape.Prompt{Turns: 3}, shape.Cold},
		} {
			t.Run(string(api)+" "+c.name, func(t *testing.T) {
				s := *s
				s.t = t
				p := shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: 1}, Prompt: c.prompt, Output: shape.Output{Length: shape.Tokens(3)}, Cache: c.cache}
				if p.Prompt.Length, err = shape.ParseLength(c.length); err != nil {
					t.Fatal(err)
				}
				o := o
				o.API = api
				m, err := prompt.New(p.Filled(), v, o)
				if err != nil {
					t.Fatal(err)
				}
				if len(m.Lacks()) > 0 && !s.llamacpp {
					t.Errorf("lacks %q", m.Lacks())
				}
				if err := m.Verify(t.Context(), &s); err != nil {
					t.Error(err)
				}
				for n := range uint32(3) {
					q := m.Prompt(n)
					got, answer := s.ask(q)
					if got.Prompt != q.Tokens {
						t.Errorf("prompt %d was made %d tokens long, and the server counts %d", n, q.Tokens, got.Prompt)
					}
					if c.cache == shape.Cold && c.prompt.Shared == 0 && got.Details.Cached > 16 && !(s.llamacpp && api == shape.Chat) {
						t.Errorf("prompt %d was to be cold, and %d tokens of it were cached", n, got.Details.Cached)
					}
					for c.prompt.Turns > 0 && n == 0 {
						next, more := m.Next(q, prompt.Answer{Text: answer})
						if !more {
							break
						}
						before := got.Prompt
						got, answer = s.ask(next)
						// Three tokens of answer, read again as at least one and at most a few more.
						if grown := got.Prompt - before - 60; grown < 0 || grown > 8 {
							t.Errorf("turn %d grew by %d tokens, want 60 and the answer's 3", next.Turn, got.Prompt-before)
						}
						q = next
					}
				}
			})
		}
	}
}
