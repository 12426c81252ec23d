// Package tokens counts the tokens in the chunks of a streamed answer without decoding their JSON.
//
// In goes the data of one chunk after the other, out comes how many tokens came with each, and how that is known. It looks for
// three things, in this order: the token ids that vLLM sends when asked (return_token_ids), the running count that it and
// others send when asked (stream_options.continuous_usage_stats, llama.cpp's timings_per_token), and, where there is neither,
// whether there is text, reasoning or a tool call at all, which counts as one. It will not tell whether a chunk is an error or
// well-formed, and reads nothing else out of it.
package tokens

import (
	"bytes"

	"pitwall/probes/request"
)

// Counter counts one answer's tokens. The zero value is ready.
type Counter struct {
	total int
	by    request.Counting
	begun bool // by is decided
}

// Chunk gives the number of tokens in the next chunk; 0 for one that has none, as that with the role only, that with the
// usage only, and the last one that has only a reason to finish. Ids count also where the text is empty: vLLM withholds an
// incomplete character and sends the chunk all the same.
func (c *Counter) Chunk(data []byte) int {
	n := c.count(data)
	c.total += n
	return n
}

func (c *Counter) count(data []byte) int {
	if n, ok := ids(data); ok {
		c.by, c.begun = request.ByIDs, true
		return n
	}
	if c.by == request.ByIDs { // every chunk with tokens has its ids
		return 0
	}
	if !c.begun || c.by == request.ByUsage {
		// The chunk with the usage only, at the end, tells nothing of when its tokens came.
		if total, ok := running(data); ok && !noChoices(data) {
			c.by, c.begun = request.ByUsage, true
			return max(0, total-c.total)
		}
	}
	if !spoken(data) {
		return 0
	}
	c.begun = true
	return 1
}

// Total is how many there were so far.
func (c *Counter) Total() int { return c.total }

// By is how they are known. With request.ByUsage, a chunk with text that had no count was taken for one token, until the next
// count corrected the sum.
func (c *Counter) By() request.Counting { return c.by }

// member gives what stands behind the next member called name, which is written with its quotes, and its place's end. In a
// well-formed text a quote within a string has a backslash before it: so the name, quotes and all, is only found in a string
// when its first quote has one.
func member(b []byte, name string) []byte {
	for {
		i := bytes.Index(b, []byte(name))
		if i < 0 {
			return nil
		}
		quoted := i > 0 && b[i-1] == '\\'
		b = b[i+len(name):]
		if quoted {
			continue
		}
		if v := blank(b); len(v) > 0 && v[0] == ':' {
			return blank(v[1:])
		}
	}
}

func blank(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// ids counts the numbers in all lists of token ids, of which a chunk with several choices has several; false where there is none.
func ids(b []byte) (n int, ok bool) {
	for {
		b = member(b, `"token_ids"`)
		if b == nil {
			return n, ok
		}
		if len(b) == 0 || b[0] != '[' {
			continue // null
		}
		ok = true
		for b = blank(b[1:]); len(b) > 0 && b[0] != ']'; {
			if b[0] != '-' && (b[0] < '0' || b[0] > '9') {
				break // not what it is taken for
			}
			n++
			for len(b) > 0 && b[0] != ',' && b[0] != ']' {
				b = b[1:]
			}
			if len(b) > 0 && b[0] == ',' {
				b = blank(b[1:])
			}
		}
	}
}

// running gives the number of tokens so far, as the usage has it or llama.cpp's timings.
func running(b []byte) (int, bool) {
	if n, ok := number(member(b, `"completion_tokens"`)); ok {
		return n, true
	}
	return number(member(b, `"predicted_n"`))
}

// number reads a whole number of at most nine digits.
func number(b []byte) (n int, ok bool) {
	for i, d := range b {
		if d < '0' || d > '9' {
			return n, ok && d != '.' && d != 'e' && d != 'E'
		}
		if i > 8 {
			return 0, false
		}
		n, ok = n*10+int(d-'0'), true
	}
	return n, ok
}

// noChoices says whether the list of choices is empty or is not there.
func noChoices(b []byte) bool {
	v := member(b, `"choices"`)
	if len(v) == 0 || v[0] != '[' {
		return true
	}
	v = blank(v[1:])
	return len(v) == 0 || v[0] == ']'
}

// spoken says whether there is text, reasoning or a tool call.
func spoken(b []byte) bool {
	return filled(b, `"content"`) || filled(b, `"text"`) || filled(b, `"reasoning_content"`) || filled(b, `"reasoning"`) ||
		filled(b, `"refusal"`) || called(b, `"tool_calls"`) || called(b, `"function_call"`)
}

// filled says whether a member of that name is a string that is not empty.
func filled(b []byte, name string) bool {
	for {
		b = member(b, name)
		if b == nil {
			return false
		}
		if len(b) > 1 && b[0] == '"' && b[1] != '"' {
			return true
		}
	}
}

// called says whether a member of that name is a list or an object that is not empty.
func called(b []byte, name string) bool {
	for {
		b = member(b, name)
		if b == nil {
			return false
		}
		if len(b) > 1 && (b[0] == '[' || b[0] == '{') {
			if v := blank(b[1:]); len(v) > 0 && v[0] != ']' && v[0] != '}' {
				return true
			}
		}
	}
}
