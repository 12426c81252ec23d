package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	openai "github.com/sashabaranov/go-openai"
)

// wants is the body of a completion or chat request: OpenAI's fields and vLLM's. Absent and zero are different here, so the
// library's request types, which cannot tell them apart, only serve for the parts.
type wants struct {
	Model               *string                         `json:"model"`
	Messages            *[]openai.ChatCompletionMessage `json:"messages"`
	Prompt              json.RawMessage                 `json:"prompt"`
	MaxTokens           *int                            `json:"max_tokens"`
	MaxCompletionTokens *int                            `json:"max_completion_tokens"`
	MinTokens           int                             `json:"min_tokens"`
	IgnoreEOS           bool                            `json:"ignore_eos"`
	Stop                json.RawMessage                 `json:"stop"`
	StopTokenIDs        []int                           `json:"stop_token_ids"`
	IncludeStop         bool                            `json:"include_stop_str_in_output"`
	N                   *int                            `json:"n"`
	Temperature         *float64                        `json:"temperature"`
	TopP                *float64                        `json:"top_p"`
	Seed                *int64                          `json:"seed"`
	Stream              bool                            `json:"stream"`
	StreamInterval      int                             `json:"stream_interval"`
	ReturnTokenIDs      bool                            `json:"return_token_ids"`
	CacheSalt           *string                         `json:"cache_salt"`
	AddSpecialTokens    *bool                           `json:"add_special_tokens"`
	Echo                bool                            `json:"echo"`
	Logprobs            json.RawMessage                 `json:"logprobs"`
	TopLogprobs         *int                            `json:"top_logprobs"`
	XArgs               map[string]json.RawMessage      `json:"vllm_xargs"`
	StreamOptions       *struct {
		openai.StreamOptions
		ContinuousUsageStats bool `json:"continuous_usage_stats"`
	} `json:"stream_options"`
}

func (w *wants) includeUsage() bool { return w.StreamOptions != nil && w.StreamOptions.IncludeUsage }
func (w *wants) everyUsage() bool   { return w.includeUsage() && w.StreamOptions.ContinuousUsageStats }
func (w *wants) greedy() bool       { return w.Temperature != nil && *w.Temperature == 0 }

// maxBody is far more than a prompt of any simulated model takes.
const maxBody = 16 << 20

// readBody decodes a JSON body; what does not fit is refused with vLLM's words.
func readBody(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &refusal{
			Message: "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
			Type:    "Bad Request", Code: http.StatusBadRequest,
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	if len(body) == 0 {
		return invalid("missing", "body", "Field required", "'input': 'None'")
	}
	err = json.NewDecoder(bytes.NewReader(body)).Decode(into)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typ):
		return wrongType(typ, body)
	case errors.As(err, &syntax):
		return notJSON(int(syntax.Offset) - 1)
	}
	return notJSON(len(body)) // cut off
}

func notJSON(at int) *refusal {
	return invalid("json_invalid", fmt.Sprintf("body.%d", at), "JSON decode error",
		"'input': '<dict of 0 items>', 'ctx': {'error': 'Expecting value'}")
}

// wrongType says in pydantic's words what a field should have been.
func wrongType(err *json.UnmarshalTypeError, body []byte) *refusal {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		var list []json.RawMessage
		_ = json.Unmarshal(body, &list) // what is no list has no items
		return invalid("model_attributes_type", "body",
			"Input should be a valid dictionary or object to extract fields from", fmt.Sprintf("'input': '<list of %d items>'", len(list)))
	}
	input := string(fields[err.Field])
	var text string
	if json.Unmarshal(fields[err.Field], &text) == nil {
		input = text
	}
	kind, msg := "string_type", "Input should be a valid string"
	switch err.Type.Kind() {
	case reflect.Int, reflect.Int64:
		kind, msg = "int_type", "Input should be a valid integer"
		if err.Value == "string" {
			kind, msg = "int_parsing", msg+", unable to parse string as an integer"
		}
	case reflect.Float64:
		kind, msg = "float_type", "Input should be a valid number"
		if err.Value == "string" {
			kind, msg = "float_parsing", msg+", unable to parse string as a number"
		}
	case reflect.Bool:
		kind, msg = "bool_type", "Input should be a valid boolean"
		if err.Value == "string" {
			kind, msg = "bool_parsing", msg+", unable to interpret input"
		}
	case reflect.Slice:
		kind, msg = "list_type", "Input should be a valid list"
	case reflect.Struct:
		kind, msg = "dict_type", "Input should be a valid dictionary"
	}
	return invalid(kind, "body."+err.Field, msg, "'input': '"+input+"'")
}

func missing(field string) *refusal {
	return invalid("missing", "body."+field, "Field required", "'input': '<dict>'")
}

// check refuses what vLLM refuses, in its order as far as the captures show it, and what is not simulated.
func (w *wants) check(served string, chat bool) error {
	switch {
	case chat && w.Messages == nil:
		return missing("messages")
	case !chat && len(w.Prompt) == 0:
		return noPrompt()
	case w.Model != nil && *w.Model != served:
		return unknownModel(*w.Model, served)
	case w.StreamOptions != nil && !w.Stream:
		return badValue("stream_options", "Stream options can only be defined when `stream=True`. (parameter=stream_options)")
	case w.CacheSalt != nil && *w.CacheSalt == "":
		return badValue("cache_salt", "Parameter 'cache_salt' must be a non-empty string if provided. (parameter=cache_salt)")
	}
	return nil
}

// n is how many answers are wanted.
func (w *wants) n() int {
	if w.N == nil {
		return 1
	}
	return max(1, *w.N)
}

// checkSampling refuses what vLLM finds when it makes the sampling parameters.
func (w *wants) checkSampling(chat bool) error {
	switch {
	case w.Temperature != nil && *w.Temperature < 0:
		return badValue("temperature", "temperature must be non-negative, got %s. (parameter=temperature, value=%[1]s)",
			appendValue(nil, *w.Temperature))
	case w.TopP != nil && (*w.TopP <= 0 || *w.TopP > 1):
		return badValue("top_p", "top_p must be in (0, 1], got %s. (parameter=top_p, value=%[1]s)", appendValue(nil, *w.TopP))
	case w.N != nil && *w.N < 1:
		return badValue("", "n must be at least 1, got %d.", *w.N)
	case w.N != nil && *w.N > 1 && w.greedy():
		return badValue("", "n must be 1 when using greedy sampling, got %d.", *w.N)
	case w.N != nil && *w.N > 1:
		return notSimulated("n", "n above 1")
	case w.Echo:
		return notSimulated("echo", "echo")
	}
	if n, ok := w.topLogprobs(chat); ok && (n < 0 || n > maxLogprobs) {
		return badValue("logprobs", "Requested sample logprobs of %d, which is greater than max allowed: %d (parameter=logprobs, value=%[1]d)", n, maxLogprobs)
	}
	if n := w.asked(); n != nil && *n < 1 {
		return badValue("max_tokens", "max_tokens must be at least 1, got %d. (parameter=max_tokens, value=%[1]d)", *n)
	}
	return nil
}

// topLogprobs is how many alternatives are wanted for each token; ok is whether log-probabilities are wanted at all. Chats say
// logprobs true and top_logprobs n, completions logprobs n.
func (w *wants) topLogprobs(chat bool) (n int, ok bool) {
	var yes bool
	if chat {
		if json.Unmarshal(w.Logprobs, &yes) != nil || !yes {
			return 0, false
		}
		if w.TopLogprobs != nil {
			n = *w.TopLogprobs
		}
		return n, true
	}
	if len(w.Logprobs) == 0 || string(w.Logprobs) == "null" || json.Unmarshal(w.Logprobs, &n) != nil {
		return 0, false
	}
	return n, true
}

func (w *wants) asked() *int {
	if w.MaxCompletionTokens != nil {
		return w.MaxCompletionTokens
	}
	return w.MaxTokens
}

// room says how many tokens may be produced after a prompt: what was asked, at most what the model's length leaves.
func (w *wants) room(prompt, maxModelLen, whenUnasked int) (int, error) {
	if prompt >= maxModelLen {
		return 0, badValue("input_tokens", "This model's maximum context length is %d tokens. However, your prompt contains at "+
			"least %d input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the "+
			"input prompt. (parameter=input_tokens, value=%[2]d)", maxModelLen, min(prompt, maxModelLen+1))
	}
	n := whenUnasked
	if asked := w.asked(); asked != nil {
		n = *asked
	}
	if n > maxModelLen {
		return 0, badValue("max_tokens", "max_tokens=%d cannot be greater than max_model_len=%d. Please request fewer output "+
			"tokens. (parameter=max_tokens, value=%[1]d)", n, maxModelLen)
	}
	if w.MinTokens > n {
		return 0, badValue("", "min_tokens must be less than or equal to max_tokens=%d, got %d.", n, w.MinTokens)
	}
	return min(n, maxModelLen-prompt), nil
}

// stops reads stop, which may be a string or a list of them.
func (w *wants) stops() ([]string, error) {
	var one string
	var many []string
	switch {
	case len(w.Stop) == 0 || string(w.Stop) == "null":
		return nil, nil
	case json.Unmarshal(w.Stop, &one) == nil:
		many = []string{one}
	case json.Unmarshal(w.Stop, &many) != nil:
		return nil, invalid("string_type", "body.stop", "Input should be a valid string", "'input': '"+string(w.Stop)+"'")
	}
	if slices.Contains(many, "") {
		return nil, badValue("", "stop cannot contain an empty string.")
	}
	return many, nil
}

func noPrompt() *refusal {
	return badValue("prompt", "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)")
}

// promptTokens reads prompt: text, or token ids, or a list with one of either.
func (w *wants) promptTokens(t *tokenizer) ([]int, error) {
	return tokensOf(t, w.Prompt, w.AddSpecialTokens == nil || *w.AddSpecialTokens)
}

func tokensOf(t *tokenizer, raw json.RawMessage, begin bool) ([]int, error) {
	var text string
	var ids []int
	var list []json.RawMessage
	switch {
	case json.Unmarshal(raw, &text) == nil:
		if text == "" {
			return nil, noPrompt()
		}
		if begin {
			ids = append(ids, beginText)
		}
		return append(ids, t.encode(text)...), nil
	case json.Unmarshal(raw, &ids) == nil && len(ids) > 0:
		for _, id := range ids {
			if id < 0 || id >= vocabulary {
				return nil, badValue("", "Token id %d is out of vocabulary", id)
			}
		}
		return ids, nil
	case json.Unmarshal(raw, &list) == nil && len(list) == 1:
		return tokensOf(t, list[0], begin)
	case list != nil && len(list) == 0:
		return nil, badValue("", "You must pass at least one prompt")
	case len(list) > 1:
		return nil, notSimulated("prompt", "several prompts in one request")
	}
	return nil, noPrompt()
}

// turns gives the messages with their text; parts that are not text have none.
func (w *wants) turns() ([]message, error) {
	if len(*w.Messages) == 0 {
		return nil, badValue("", "Cannot apply chat template to an empty conversation. Provide at least one message.")
	}
	var out []message
	for _, m := range *w.Messages {
		text := m.Content
		if len(m.MultiContent) > 0 {
			var parts []string
			for _, p := range m.MultiContent {
				if p.Type != openai.ChatMessagePartTypeText {
					return nil, notSimulated("messages", string(p.Type))
				}
				parts = append(parts, p.Text)
			}
			text = strings.Join(parts, "\n")
		}
		out = append(out, message{m.Role, text})
	}
	return out, nil
}
