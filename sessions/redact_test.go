package sessions

import (
	"strings"
	"testing"
)

func TestSecretsAreCutBeforeTheyAreStored(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"user-info in a URL", "scrape https://me:hunter2@host:8000/metrics: refused", "scrape https://host:8000/metrics: refused"},
		{"an argument with a space", "vllm serve m --api-key hunter2 --port 8000", "vllm serve m --api-key [cut] --port 8000"},
		{"an argument with an equals sign", "--api-key=hunter2", "--api-key=[cut]"},
		{"a JSON field", `{"hf_token": "hunter2", "x": 1}`, `{"hf_token": "[cut]", "x": 1}`},
		{"a variable of a command", "env AWS_SECRET_ACCESS_KEY=hunter2 HF_TOKEN=hunter2 vllm serve m", "env AWS_SECRET_ACCESS_KEY=[cut] HF_TOKEN=[cut] vllm serve m"},
		{"a bearer header", "Authorization: Bearer hunter2", "Authorization: Bearer [cut]"},
		{"a basic header", "Authorization: Basic bWU6aHVudGVyMg==", "Authorization: Basic [cut]"},
		{"a password with an @", "scrape http://me:hunter2@x@host:1/metrics: refused", "scrape http://host:1/metrics: refused"},
		{"an @ behind the host", "scrape http://host:1/x?mail=a@b: refused", "scrape http://host:1/x?mail=a@b: refused"},
		{"a key by its look", "got sk-hunter2hunter2 back", "got [cut] back"},
		{"words about tokens stay", "3 running, and no token counter moved for 14 s; token limits apply", "3 running, and no token counter moved for 14 s; token limits apply"},
		{"sizes in tokens stay", "--max-num-batched-tokens 8192 kv_tokens 46592", "--max-num-batched-tokens 8192 kv_tokens 46592"},
		{"a tokenizer stays", "--tokenizer meta-llama/Llama-3.1-8B --tokenizer-mode auto", "--tokenizer meta-llama/Llama-3.1-8B --tokenizer-mode auto"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Redact(tt.in)
			if got != tt.want {
				t.Errorf("Redact(%q) = %q, want %q", tt.in, got, tt.want)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("the secret is still there")
			}
		})
	}
}

func TestFactsWithSecretNamesAreDropped(t *testing.T) {
	got := redactFacts(map[string]string{
		"engine/a/api_key": "x", "engine/a/hf_token": "x", "engine/a/password": "x", "engine/a/ssl_key": "x",
		"engine/a/kv_tokens": "46592", "engine/a/max_num_batched_tokens": "8192", "engine/a/url": "http://u:p@a:1",
	}, secretPath, Redact)
	want := map[string]string{"engine/a/kv_tokens": "46592", "engine/a/max_num_batched_tokens": "8192", "engine/a/url": "http://a:1"}
	if len(got) != len(want) {
		t.Errorf("kept %v", got)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s = %q, want %q", k, got[k], v)
		}
	}
}
