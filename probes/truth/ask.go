package truth

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"strconv"
	"strings"
)

// ask is a request's body, as far as it matters.
type ask struct {
	Model     string          `json:"model"`
	Prompt    json.RawMessage `json:"prompt"`
	Messages  []message       `json:"messages"`
	Max       *int            `json:"max_tokens"`
	MaxAnswer *int            `json:"max_completion_tokens"`
	Stream    bool            `json:"stream"`
	Options   struct {
		Usage      bool `json:"include_usage"`
		Continuous bool `json:"continuous_usage_stats"`
	} `json:"stream_options"`
	IDs bool `json:"return_token_ids"`
}

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

var (
	errNoPrompt   = errors.New("prompt must be a text, a list of token ids, or a list of one of either")
	errNoMessages = errors.New("messages must not be empty")
	errContent    = errors.New("a message's content must be a text or a list of parts of type text")
)

// What a made-up chat template adds: to each message, and at the end for the answer.
const (
	perMessage = 4
	perAnswer  = 3
)

// output is how many tokens are asked for.
func (q *ask) output(otherwise int) int {
	switch {
	case q.MaxAnswer != nil:
		return *q.MaxAnswer
	case q.Max != nil:
		return *q.Max
	}
	return otherwise
}

// input counts the prompt's tokens.
func (q *ask) input(chat bool) (int, error) {
	if !chat {
		ids, count, err := prompt(q.Prompt, false)
		return count + len(ids), err
	}
	if len(q.Messages) == 0 {
		return 0, errNoMessages
	}
	n := perAnswer
	for _, m := range q.Messages {
		t, err := m.text()
		if err != nil {
			return 0, err
		}
		n += perMessage + len(strings.Fields(t))
	}
	return n, nil
}

// tokenize gives the ids that input counts.
func (q *ask) tokenize() ([]int64, error) {
	if len(q.Messages) == 0 {
		ids, _, err := prompt(q.Prompt, true)
		if ids == nil {
			ids = []int64{}
		}
		return ids, err
	}
	var ids []int64
	for _, m := range q.Messages {
		t, err := m.text()
		if err != nil {
			return nil, err
		}
		ids = append(ids, 1, 2, 3, 4)
		for _, w := range strings.Fields(t) {
			ids = append(ids, id(w))
		}
	}
	return append(ids, 1, 2, 3), nil
}

// prompt reads the forms that a prompt can have: ids, and a text's words, which are only counted unless they are wanted.
func prompt(raw json.RawMessage, wanted bool) (ids []int64, words int, err error) {
	if len(raw) == 0 {
		return nil, 0, errNoPrompt
	}
	var t string
	if json.Unmarshal(raw, &t) == nil {
		fields := strings.Fields(t)
		if !wanted {
			return nil, len(fields), nil
		}
		for _, w := range fields {
			ids = append(ids, id(w))
		}
		return ids, 0, nil
	}
	if json.Unmarshal(raw, &ids) == nil && len(ids) > 0 {
		return ids, 0, nil
	}
	var one []json.RawMessage
	if json.Unmarshal(raw, &one) == nil && len(one) == 1 && len(one[0]) > 0 && (one[0][0] == '"' || one[0][0] == '[') {
		return prompt(one[0], wanted)
	}
	return nil, 0, errNoPrompt
}

// ids is a prompt that came as token ids, as it came.
func (q *ask) ids() json.RawMessage {
	var ids []int64
	if q.IDs && len(q.Prompt) > 0 && json.Unmarshal(q.Prompt, &ids) == nil {
		return q.Prompt
	}
	return nil
}

func (m message) text() (string, error) {
	var t string
	if json.Unmarshal(m.Content, &t) == nil {
		return t, nil
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(m.Content, &parts); err != nil {
		return "", errContent
	}
	for _, p := range parts {
		if p.Type != "text" {
			return "", errContent
		}
		t += " " + p.Text
	}
	return t, nil
}

// A word is a token: what stands between white space. The words w0 to w999999 have the id that they name, others one between
// 2,000 and 31,999 that is computed from them. So ids can be spelled and read again.
func id(word string) int64 {
	if len(word) >= 2 && len(word) <= 7 && word[0] == 'w' {
		if n, err := strconv.ParseUint(word[1:], 10, 32); err == nil && (word[1] != '0' || len(word) == 2) {
			return int64(n)
		}
	}
	h := fnv.New32a()
	h.Write([]byte(word))
	return int64(2000 + h.Sum32()%30000)
}

func spell(ids []int64) string {
	var b []byte
	for _, n := range ids {
		b = strconv.AppendInt(append(b, " w"...), n, 10)
	}
	return string(b)
}
