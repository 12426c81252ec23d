package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Line is one prompt of a file: exactly one of Text, IDs and Messages is there.
type Line struct {
	// Number is the line's number in the file, from 1.
	Number int
	// Text is a plain prompt, IDs one in token ids, Messages a conversation as it stands in the file (a JSON array).
	Text     string
	IDs      []int32
	Messages json.RawMessage
}

// ReadPrompts reads a file of prompts, one a line: JSON objects ({"prompt": "text"}, {"prompt": [token ids]} or {"messages":
// [{"role": …, "content": …}, …]}), or plain text in lines that do not begin with a brace. Empty lines don't count. The error is a
// *Problem that names the first wrong line.
func ReadPrompts(path string) ([]Line, error) {
	var out []Line
	err := lines(path, func(n int, line string) error {
		if strings.TrimSpace(line) == "" {
			return nil
		}
		l := Line{Number: n, Text: line}
		if strings.HasPrefix(strings.TrimSpace(line), "{") {
			var err error
			if l, err = parsePrompt([]byte(line)); err != nil {
				return err
			}
			l.Number = n
		}
		out = append(out, l)
		return nil
	})
	if err == nil && len(out) == 0 {
		err = &Problem{Where: path, What: "holds no prompt", Hint: "a prompt a line, as text or JSON"}
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

func parsePrompt(line []byte) (Line, error) {
	var o struct {
		Prompt   json.RawMessage `json:"prompt"`
		Messages json.RawMessage `json:"messages"`
	}
	if err := decodeJSON(line, &o, []string{"prompt", "messages"}); err != nil {
		return Line{}, err
	}
	switch {
	case (o.Prompt == nil) == (o.Messages == nil):
		return Line{}, errors.New(`either "prompt" or "messages" is wanted`)
	case o.Messages != nil:
		return parseMessages(o.Messages)
	}
	var l Line
	if json.Unmarshal(o.Prompt, &l.Text) == nil && l.Text != "" {
		return l, nil
	}
	l.Text = ""
	if err := json.Unmarshal(o.Prompt, &l.IDs); err != nil || len(l.IDs) == 0 {
		return Line{}, errors.New(`"prompt" is neither a text nor a list of token ids, or is empty`)
	}
	for _, id := range l.IDs {
		if id < 0 {
			return Line{}, fmt.Errorf("%d is no token id", id)
		}
	}
	return l, nil
}

// parseMessages looks only at what every conversation has: contents may be lists of parts, with pictures in them.
func parseMessages(raw json.RawMessage) (Line, error) {
	var messages []struct {
		Role *string `json:"role"`
	}
	if err := json.Unmarshal(raw, &messages); err != nil || len(messages) == 0 {
		return Line{}, errors.New(`"messages" is no list of messages, or is empty`)
	}
	for i, m := range messages {
		if m.Role == nil || *m.Role == "" {
			return Line{}, fmt.Errorf(`message %d has no "role"`, i+1)
		}
	}
	var tight bytes.Buffer
	if err := json.Compact(&tight, raw); err != nil {
		return Line{}, err
	}
	return Line{Messages: tight.Bytes()}, nil
}

// decodeJSON reads one object and nothing after it, without unknown keys, and says what is wrong in words that fit a line's place.
func decodeJSON(line []byte, into any, keys []string) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		what := strings.TrimPrefix(err.Error(), "json: ")
		if quoted, ok := strings.CutPrefix(what, "unknown field "); ok {
			if key, err := strconv.Unquote(quoted); err == nil {
				what = fmt.Sprintf("unknown key %.40q", key) + didYouMean(key, keys)
			}
		}
		return errors.New(what)
	}
	if dec.More() {
		return errors.New("more than one object")
	}
	return nil
}

// count is a whole number of tokens out of a file.
func count(v float64) (int, error) {
	if v != math.Trunc(v) || !(v >= 0 && v <= maxLength) {
		return 0, fmt.Errorf("%v is no number of tokens", v)
	}
	return int(v), nil
}
