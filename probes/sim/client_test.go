package sim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	openai "github.com/sashabaranov/go-openai"
)

func client(s *Server) *openai.Client {
	cfg := openai.DefaultConfig("none")
	cfg.BaseURL = s.URL() + "/v1"
	return openai.NewClientWithConfig(cfg)
}

func TestAnOpenAIClientStreamsFromIt(t *testing.T) {
	s := serve(t, nil)
	c := client(s)
	models, err := c.ListModels(t.Context())
	if err != nil || len(models.Models) != 1 || models.Models[0].ID != captured {
		t.Fatalf("%v %+v", err, models)
	}
	stream, err := c.CreateChatCompletionStream(t.Context(), openai.ChatCompletionRequest{
		Model: captured, MaxCompletionTokens: 20, StreamOptions: &openai.StreamOptions{IncludeUsage: true},
		Messages: []openai.ChatCompletionMessage{{Role: openai.ChatMessageRoleUser, Content: "Name three colours."}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var text string
	var usage *openai.Usage
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, choice := range chunk.Choices {
			text += choice.Delta.Content
		}
		usage = chunk.Usage
	}
	if text == "" || usage == nil || usage.CompletionTokens == 0 || usage.CompletionTokens > 20 {
		t.Errorf("%q, usage %+v", text, usage)
	}
	_, err = c.CreateCompletion(t.Context(), openai.CompletionRequest{Model: "nope", Prompt: "x"})
	var refused *openai.APIError
	if !errors.As(err, &refused) || refused.HTTPStatusCode != 404 || refused.Type != "NotFoundError" {
		t.Errorf("an unknown model gives %v", err)
	}
}

func TestGreedyAndSeededAnswersRepeatAndOthersDoNot(t *testing.T) {
	s := serve(t, nil)
	say := func(how string) string {
		_, _, body := do(t, s, http.MethodPost, "/v1/completions", []byte(`{"prompt": "Once", "max_tokens": 30, `+how+`}`))
		var answer openai.CompletionResponse
		if err := json.Unmarshal(body, &answer); err != nil || len(answer.Choices) != 1 {
			t.Fatalf("%v in %s", err, body)
		}
		return answer.Choices[0].Text
	}
	for _, c := range []struct {
		name, first, second string
		equal               bool
	}{
		{"temperature 0 repeats", `"temperature": 0`, `"temperature": 0`, true},
		{"temperature 0 repeats whatever the seed", `"temperature": 0`, `"temperature": 0, "seed": 5`, true},
		{"a seed repeats", `"temperature": 1, "seed": 7`, `"temperature": 1, "seed": 7`, true},
		{"another seed differs", `"temperature": 1, "seed": 7`, `"temperature": 1, "seed": 8`, false},
		{"without a seed two answers differ", `"temperature": 1`, `"temperature": 1`, false},
	} {
		if got := say(c.first) == say(c.second); got != c.equal {
			t.Errorf("%s: equal is %v", c.name, got)
		}
	}
}

func TestAClientThatLeavesIsAborted(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 1 })
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	stream, err := client(s).CreateCompletionStream(ctx, openai.CompletionRequest{Model: captured, Prompt: "x", MaxTokens: 2000, Seed: new(int)})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	if n := total(t, scrape(t, s), "vllm:num_requests_running"); n != 1 {
		t.Errorf("%g requests run while one streams", n)
	}
	leave()
	_ = stream.Close()
	deadline := time.Now().Add(2 * time.Second)
	for total(t, scrape(t, s), "vllm:num_requests_running") != 0 {
		if time.Now().After(deadline) {
			t.Fatal("it still runs 2 s after its client left")
		}
	}
	f := scrape(t, s)
	if n := total(t, f, "vllm:request_success_total"); n != 0 {
		t.Errorf("%g successes", n)
	}
	if n := f["vllm:time_to_first_token_seconds"].GetMetric()[0].GetHistogram().GetSampleCount(); n != 1 {
		t.Errorf("%d first tokens, want 1", n)
	}
	if got := f["vllm:e2e_request_latency_seconds"].GetMetric()[0].GetHistogram().GetSampleCount(); got != 0 {
		t.Errorf("%d end-to-end times, want 0", got)
	}
	if u := total(t, f, "vllm:kv_cache_usage_perc"); u != 0 {
		t.Errorf("KV usage %g after all is gone", u)
	}
}
