package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	openai "github.com/sashabaranov/go-openai"
)

// acceptMetrics asks for the plain text format. OpenMetrics is understood too, but the Python client answers with it
// whenever it is mentioned, whatever the weights say, and then formats every number twice.
const acceptMetrics = "text/plain;version=0.0.4;charset=utf-8, text/plain;q=0.9, */*;q=0.1"

const acceptJSON = "application/json"

// version asks which version the server is; empty if it does not say.
func (c *client) version(ctx context.Context, path string) (string, error) {
	a, err := c.get(ctx, path, acceptJSON, maxJSON)
	if err != nil {
		return "", c.trouble("get", path, err)
	}
	if a.status != http.StatusOK {
		return "", fmt.Errorf("get %s%s: %s", c.place, path, c.refused(a))
	}
	var v struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		return "", fmt.Errorf("get %s%s: not the JSON of a version: %w", c.place, path, err)
	}
	return v.Version, nil
}

// servedModel is what counts of an entry of /v1/models, max_model_len being vLLM's addition. The rest of it (when it was made,
// who may use it) comes in more types than OpenAI's.
type servedModel struct {
	ID          string `json:"id"`
	OwnedBy     string `json:"owned_by"`
	Root        string `json:"root"`
	Parent      string `json:"parent"`
	MaxModelLen int    `json:"max_model_len"`
}

// models asks what is served, adapters left out.
func (c *client) models(ctx context.Context, path string) ([]servedModel, error) {
	a, err := c.get(ctx, path, acceptJSON, maxJSON)
	if err != nil {
		return nil, c.trouble("get", path, err)
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("get %s%s: %s", c.place, path, c.refused(a))
	}
	all, err := modelList(a.body)
	if err != nil {
		return nil, fmt.Errorf("get %s%s: not the JSON of a model list: %w", c.place, path, err)
	}
	out := all[:0]
	for _, m := range all {
		if m.Parent == "" { // a LoRA adapter names its base model
			out = append(out, m)
		}
	}
	return out, nil
}

// modelList reads a list of models as OpenAI's API has it; nil if the answer has none.
func modelList(body []byte) ([]servedModel, error) {
	var l struct {
		Data []servedModel `json:"data"`
	}
	err := json.Unmarshal(body, &l)
	return l.Data, err
}

// apiMessage gives the message of an error body, " (…)", in any of the shapes that vLLM's versions have: an object, an
// object called error, a string called error, or FastAPI's detail.
func apiMessage(body []byte) string {
	var e struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  any             `json:"detail"`
	}
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	msg := e.Message
	if len(e.Error) > 0 {
		var api openai.APIError
		if json.Unmarshal(e.Error, &msg) != nil && json.Unmarshal(e.Error, &api) == nil {
			msg = api.Message
		}
	}
	if d, ok := e.Detail.(string); ok && msg == "" {
		msg = d
	}
	if msg = strings.TrimSpace(msg); msg == "" {
		return ""
	}
	if len(msg) > 200 {
		msg = strings.ToValidUTF8(msg[:200], "") + "…"
	}
	return " (" + msg + ")"
}

// health asks whether the server is well, and gives the status of its answer, 0 if there is none.
func (c *client) health(ctx context.Context, path string) int {
	a, err := c.get(ctx, path, "*/*", maxJSON)
	if err != nil {
		return 0
	}
	return a.status
}
