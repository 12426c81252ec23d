package tokens

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pitwall/probes/request"
	"pitwall/probes/stream"
)

func TestTokensOfAStream(t *testing.T) {
	const (
		role     = `{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":[1,2,3]}`
		finished = `{"choices":[{"finish_reason":"length","index":0,"delta":{}}]}`
		usage    = `{"choices":[],"usage":{"prompt_tokens":5,"total_tokens":9,"completion_tokens":4}}`
	)
	for _, c := range []struct {
		name   string
		chunks []string
		want   []int
		by     request.Counting
	}{
		{"the chunk with the role, the one that only finishes and the one with the usage have none",
			[]string{role, `{"choices":[{"delta":{"content":"a"}}]}`, finished, usage}, []int{0, 1, 0, 0}, request.Guessed},
		{"ids are counted, several in a chunk",
			[]string{role, `{"choices":[{"delta":{"content":"a"},"token_ids":[17]}]}`, `{"choices":[{"text":"b c","token_ids":[1, 2 ,3]}]}`}, []int{0, 1, 3}, request.ByIDs},
		{"ids count though their text is withheld", []string{`{"choices":[{"text":"","token_ids":[5]}]}`}, []int{1}, request.ByIDs},
		{"an empty list of ids is none, and null is not told",
			[]string{`{"choices":[{"text":"x","token_ids":[]}]}`, `{"choices":[{"text":"x","token_ids":null}]}`}, []int{0, 0}, request.ByIDs},
		{"where ids are null, text counts as one", []string{`{"choices":[{"text":"x","token_ids":null}]}`}, []int{1}, request.Guessed},
		{"the ids of all choices count", []string{`{"choices":[{"text":"x","token_ids":[1,2]},{"text":"x","token_ids":[3]}]}`}, []int{3}, request.ByIDs},
		{"spaces do not matter", []string{`{"choices": [{"text": "x", "token_ids" : [ 1 , 2 ]}]}`}, []int{2}, request.ByIDs},
		{"a running count is told apart from its sum at the end", []string{
			`{"choices":[{"delta":{"role":"assistant","content":""}}],"usage":{"completion_tokens":0,"completion_tokens_details":null}}`,
			`{"choices":[{"delta":{"content":""}}],"usage":{"completion_tokens":1}}`,
			`{"choices":[{"delta":{"content":"abc"}}],"usage":{"completion_tokens":4}}`, usage}, []int{0, 1, 3, 0}, request.ByUsage},
		{"ids outrank the running count", []string{
			`{"choices":[{"delta":{"content":""}}],"usage":{"completion_tokens":0}}`,
			`{"choices":[{"delta":{"content":"ab"},"token_ids":[1,2]}],"usage":{"completion_tokens":2}}`, usage}, []int{0, 2, 0}, request.ByIDs},
		{"llama.cpp's timings are a running count", []string{
			`{"choices":[{"delta":{"content":"a"}}],"timings":{"prompt_n":9,"predicted_n":1,"predicted_ms":3.5}}`,
			`{"choices":[{"delta":{"content":"a"}}],"timings":{"predicted_n":3}}`}, []int{1, 2}, request.ByUsage},
		{"timings that come only at the end do not undo the guesses",
			[]string{`{"choices":[{"text":"a"}]}`, `{"choices":[{"text":""}],"timings":{"predicted_n":9}}`}, []int{1, 0}, request.Guessed},
		{"reasoning, tool calls and refusals are tokens", []string{
			`{"choices":[{"delta":{"reasoning":"a"}}]}`, `{"choices":[{"delta":{"reasoning_content":"a"}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":""}}]}}]}`,
			`{"choices":[{"delta":{"refusal":"no"}}]}`, `{"choices":[{"delta":{"content":null,"tool_calls":[]}}]}`}, []int{1, 1, 1, 1, 0}, request.Guessed},
		{"text that looks like a member is text",
			[]string{`{"choices":[{"delta":{"content":"\"token_ids\":[1,2,3] \"completion_tokens\":7"}}]}`}, []int{1}, request.Guessed},
		{"text that is withheld and not told counts nothing", []string{`{"choices":[{"text":""}]}`}, []int{0}, request.Guessed},
		{"an error has none", []string{`{"error":{"message":"\"content\":\"x\"","code":500}}`}, []int{0}, request.Guessed},
		{"what is no JSON has none, and breaks nothing", []string{``, `"token_ids"`, `"token_ids":`, `"token_ids":[`, `"token_ids":[1,`, `"token_ids":[x`},
			[]int{0, 0, 0, 0, 1, 0}, request.ByIDs},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n Counter
			sum := 0
			for i, chunk := range c.chunks {
				got := n.Chunk([]byte(chunk))
				if sum += got; got != c.want[i] {
					t.Errorf("%d tokens in %s, want %d", got, chunk, c.want[i])
				}
			}
			if n.By() != c.by || n.Total() != sum {
				t.Errorf("known by %d, want %d; in all %d of %d", n.By(), c.by, n.Total(), sum)
			}
		})
	}
}

// Recorded streams are in package stream's testdata; their last chunk with a usage says how many tokens there were.
func TestRecordedStreamsHaveTheTokensOfTheirUsage(t *testing.T) {
	for file, by := range map[string]request.Counting{
		"vllm-0.32-completion-usage.txt": request.ByUsage,
		"llamacpp-chat.txt":              request.Guessed,
	} {
		b, err := os.ReadFile(filepath.Join("..", "..", "..", "stream", "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(b, []byte("\ndata:")); i > 0 && bytes.HasPrefix(b, []byte(">")) {
			b = b[i+1:]
		}
		var n Counter
		told := 0
		r := stream.New(bytes.NewReader(b))
		for {
			e, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(file, err)
			}
			n.Chunk(e.Data)
			var u struct {
				Usage *struct {
					Completion int `json:"completion_tokens"`
				}
			}
			if json.Unmarshal(e.Data, &u) == nil && u.Usage != nil {
				told = u.Usage.Completion
			}
		}
		if told == 0 || n.Total() != told || n.By() != by {
			t.Errorf("%s: %d tokens by %d, the server says %d", file, n.Total(), n.By(), told)
		}
	}
}

// FuzzIDs compares the number of ids with what encoding/json reads, in whatever is JSON.
func FuzzIDs(f *testing.F) {
	f.Add([]byte(`{"choices":[{"token_ids":[1,2],"text":"\"token_ids\":[3]"},{"token_ids":[]}]}`))
	f.Add([]byte(`{"a\\":{"token_ids" :[ 1 , -2 ] ,"x":"token_ids"}}`))
	f.Add([]byte(`{"token_ids":null,"b":[{"token_ids":[7]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Counter
		if n := c.Chunk(data); n < 0 || n > len(data) {
			t.Fatalf("%d tokens in %d bytes", n, len(data))
		}
		want, told, sane := idsOf(data)
		if !sane {
			return
		}
		if got, ok := ids(data); got != want || ok != told {
			t.Fatalf("%d ids (%v) in %s, want %d (%v)", got, ok, data, want, told)
		}
	})
}

// idsOf walks JSON. It is not sane where keys have escapes, which no server writes, where a list of ids holds anything but whole
// numbers, and where data is no JSON.
func idsOf(data []byte) (n int, told, sane bool) {
	if !json.Valid(data) {
		return 0, false, false
	}
	sane = true
	var walk func(raw json.RawMessage)
	walk = func(raw json.RawMessage) {
		switch raw = bytes.TrimSpace(raw); {
		case len(raw) == 0:
		case raw[0] == '[':
			var list []json.RawMessage
			if json.Unmarshal(raw, &list) != nil {
				sane = false
			}
			for _, e := range list {
				walk(e)
			}
		case raw[0] == '{':
			d := json.NewDecoder(bytes.NewReader(raw))
			d.Token()
			for d.More() {
				from := d.InputOffset()
				key, err := d.Token()
				if err != nil || bytes.ContainsRune(raw[from:d.InputOffset()], '\\') {
					sane = false
					return
				}
				var value json.RawMessage
				if d.Decode(&value) != nil {
					sane = false
					return
				}
				if key == "token_ids" && len(value) > 0 && value[0] == '[' {
					var list []json.Number
					told = true
					if json.Unmarshal(value, &list) != nil || bytes.ContainsRune(value, '"') || bytes.Contains(value, []byte("null")) {
						sane = false
						return
					}
					n += len(list)
					continue
				}
				walk(value)
			}
		}
	}
	walk(data)
	return n, told, sane
}

// FuzzChunk makes well-formed chunks, as a server's encoder does, and compares with what was put in.
func FuzzChunk(f *testing.F) {
	f.Add("hi", "", uint8(1), true, 3, false)
	f.Add(`"content":"x`, `\","text":"`, uint8(0), false, 0, true)
	f.Add("", "", uint8(9), true, 9, true)
	f.Fuzz(func(t *testing.T, content, reasoning string, n uint8, told bool, total int, usage bool) {
		var list []int
		if told {
			list = make([]int, n)
			for i := range list {
				list[i] = i * 7919
			}
		}
		chunk := map[string]any{"object": "chat.completion.chunk", "choices": []any{map[string]any{
			"delta": map[string]any{"content": content, "reasoning": reasoning}, "token_ids": list}}}
		if total %= 1e9; total < 0 {
			total = -total
		}
		if usage {
			chunk["usage"] = map[string]any{"completion_tokens": total, "completion_tokens_details": nil}
		}
		data, err := json.Marshal(chunk)
		if err != nil {
			t.Fatal(err)
		}
		want, by := 0, request.Guessed
		switch {
		case told:
			want, by = int(n), request.ByIDs
		case usage:
			want, by = total, request.ByUsage
		case content != "" || reasoning != "":
			want = 1
		}
		var c Counter
		if got := c.Chunk(data); got != want || c.By() != by {
			t.Fatalf("%d by %d, want %d by %d in %s", got, c.By(), want, by, data)
		}
	})
}

func BenchmarkChunk(b *testing.B) {
	for _, c := range []struct{ name, chunk string }{
		{"ids", `{"id":"chatcmpl-9ed1fff0552a68c3","object":"chat.completion.chunk","created":1795596604,"model":"some/model-8B-Instruct","choices":[{"index":0,"delta":{"content":" can"},"logprobs":null,"finish_reason":null,"token_ids":[416]}]}`},
		{"usage", `{"id":"chatcmpl-9ed1fff0552a68c3","object":"chat.completion.chunk","created":1795596604,"model":"some/model-8B-Instruct","choices":[{"index":0,"delta":{"content":" can"},"logprobs":null,"finish_reason":null}],"usage":{"prompt_tokens":31,"total_tokens":33,"completion_tokens":2}}`},
		{"guess", `{"id":"chatcmpl-9ed1fff0552a68c3","object":"chat.completion.chunk","created":1795596604,"model":"some/model-8B-Instruct","choices":[{"index":0,"delta":{"content":" can"},"logprobs":null,"finish_reason":null}]}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			data := []byte(c.chunk)
			b.ReportAllocs()
			for b.Loop() {
				var n Counter
				if c.name != "usage" && n.Chunk(data) != 1 || c.name == "usage" && n.Chunk(data) != 2 {
					b.Fatal(strings.TrimSpace(c.chunk))
				}
			}
		})
	}
}
