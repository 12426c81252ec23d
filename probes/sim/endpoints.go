package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	openai "github.com/sashabaranov/go-openai"
)

// servedModel is an entry of /v1/models with the fields that vLLM adds to OpenAI's.
type servedModel struct {
	ID          string       `json:"id"`
	Object      string       `json:"object"`
	Created     int64        `json:"created"`
	OwnedBy     string       `json:"owned_by"`
	Root        string       `json:"root"`
	Parent      *string      `json:"parent"`
	MaxModelLen int          `json:"max_model_len"`
	Permission  []permission `json:"permission"`
}

type permission struct {
	ID                 string  `json:"id"`
	Object             string  `json:"object"`
	Created            int64   `json:"created"`
	AllowCreateEngine  bool    `json:"allow_create_engine"`
	AllowSampling      bool    `json:"allow_sampling"`
	AllowLogprobs      bool    `json:"allow_logprobs"`
	AllowSearchIndices bool    `json:"allow_search_indices"`
	AllowView          bool    `json:"allow_view"`
	AllowFineTuning    bool    `json:"allow_fine_tuning"`
	Organization       string  `json:"organization"`
	Group              *string `json:"group"`
	IsBlocking         bool    `json:"is_blocking"`
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	now := time.Now().Unix()
	reply(w, http.StatusOK, struct {
		Object string        `json:"object"`
		Data   []servedModel `json:"data"`
	}{"list", []servedModel{{
		ID: s.options.Model, Object: "model", Created: now, OwnedBy: "vllm", Root: s.options.Model, MaxModelLen: s.config.MaxModelLen,
		Permission: []permission{{
			ID: fmt.Sprintf("modelperm-%016x", mix(s.options.Seed, s.serial.Add(1))), Object: "model_permission", Created: now,
			AllowSampling: true, AllowLogprobs: true, AllowView: true, Organization: "*",
		}},
	}}})
}

func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Model            *string                         `json:"model"`
		Prompt           json.RawMessage                 `json:"prompt"`
		Messages         *[]openai.ChatCompletionMessage `json:"messages"`
		AddSpecialTokens *bool                           `json:"add_special_tokens"`
		ReturnTokenStrs  bool                            `json:"return_token_strs"`
	}
	if err := readBody(r, &ask); err != nil {
		refuse(w, err)
		return
	}
	if ask.Model != nil && *ask.Model != s.options.Model {
		refuse(w, unknownModel(*ask.Model, s.options.Model))
		return
	}
	var ids []int
	var err error
	switch {
	case ask.Messages != nil:
		var turns []message
		if turns, err = (&wants{Messages: ask.Messages}).turns(); err == nil {
			ids = s.tokens.chat(turns)
		}
	case len(ask.Prompt) > 0:
		ids, err = tokensOf(s.tokens, ask.Prompt, ask.AddSpecialTokens == nil || *ask.AddSpecialTokens)
	default:
		err = missing("prompt")
	}
	if err != nil {
		refuse(w, err)
		return
	}
	out := struct {
		Count       int      `json:"count"`
		MaxModelLen int      `json:"max_model_len"`
		Tokens      []int    `json:"tokens"`
		TokenStrs   []string `json:"token_strs"`
	}{Count: len(ids), MaxModelLen: s.config.MaxModelLen, Tokens: ids}
	if ask.ReturnTokenStrs {
		for _, id := range ids {
			str := s.tokens.decode([]int{id}, true)
			if !utf8.ValidString(str) {
				str = fmt.Sprintf("<0x%02X>", str[0])
			}
			out.TokenStrs = append(out.TokenStrs, str)
		}
	}
	reply(w, http.StatusOK, out)
}

func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Tokens *[]int `json:"tokens"`
	}
	err := readBody(r, &ask)
	if err == nil && ask.Tokens == nil {
		err = missing("tokens")
	}
	if err == nil {
		for _, id := range *ask.Tokens {
			if id < 0 || id >= vocabulary {
				err = badValue("", "Token id %d is out of vocabulary", id)
			}
		}
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{"prompt": s.tokens.decode(*ask.Tokens, true)})
}
