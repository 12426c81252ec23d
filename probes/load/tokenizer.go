package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"pitwall/probes/engine"
	"pitwall/probes/load/prompt"
)

// tokenizer asks a server how it counts, in the way that its abilities name. It is a prompt.Tokenizer.
type tokenizer struct {
	guest *engine.Guest
	how   tokenize
	model string
}

// Tokens gives the ids of a text, without special tokens around it.
func (t *tokenizer) Tokens(ctx context.Context, text string) ([]int32, error) {
	return t.ask(ctx, map[string]any{t.how.Text: text, t.how.Specials: false})
}

// Chat gives the ids of a conversation in the model's template: the server renders it itself, or gives the text to count, with
// the special tokens that the template has put in.
func (t *tokenizer) Chat(ctx context.Context, messages []prompt.Message) ([]int32, error) {
	switch {
	case t.how.Messages:
		return t.ask(ctx, map[string]any{"messages": messages, "add_generation_prompt": true})
	case t.how.Template != "":
		body, err := json.Marshal(map[string]any{"messages": messages})
		if err != nil {
			return nil, err
		}
		status, answer, err := t.guest.Ask(ctx, t.how.Template, body)
		if err != nil {
			return nil, err
		}
		var got struct {
			Prompt *string `json:"prompt"`
		}
		if status != http.StatusOK || json.Unmarshal(answer, &got) != nil || got.Prompt == nil {
			return nil, fmt.Errorf("rendering a conversation at %s: %s", t.how.Template, t.guest.Refused(status, answer))
		}
		return t.ask(ctx, map[string]any{t.how.Text: *got.Prompt, t.how.Specials: true, "parse_special": true})
	}
	return nil, fmt.Errorf("the server does not count the tokens of conversations")
}

func (t *tokenizer) ask(ctx context.Context, fields map[string]any) ([]int32, error) {
	if t.how.Model {
		fields["model"] = t.model
	}
	delete(fields, "")
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	status, answer, err := t.guest.Ask(ctx, t.how.Path, body)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("counting tokens at %s: %s", t.how.Path, t.guest.Refused(status, answer))
	}
	var got struct {
		Tokens *[]int32 `json:"tokens"`
	}
	if err := json.Unmarshal(answer, &got); err != nil || got.Tokens == nil {
		return nil, fmt.Errorf("counting tokens at %s: the answer has no list of token ids", t.how.Path)
	}
	return *got.Tokens, nil
}
