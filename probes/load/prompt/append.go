package prompt

import (
	"encoding/json"
	"strconv"
)

// Append adds the prompt's fields of the request's JSON: "prompt" or "messages", and what keeps the cache cold, without a comma
// before or after.
func (p *Prompt) Append(dst []byte) []byte {
	switch {
	case p.Raw != nil:
		dst = append(append(dst, `"messages":`...), p.Raw...)
	case p.Messages != nil:
		dst = append(dst, `"messages":[`...)
		for i, m := range p.Messages {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(append(dst, `{"role":`...), m.Role)
			dst = append(appendString(append(dst, `,"content":`...), m.Content), '}')
		}
		dst = append(dst, ']')
	case p.IDs != nil:
		dst = append(dst, `"prompt":[`...)
		for i, id := range p.IDs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, int64(id), 10)
		}
		dst = append(dst, ']')
	default:
		dst = appendString(append(dst, `"prompt":`...), p.Text)
	}
	if p.Salt != "" {
		dst = appendString(append(dst, `,"cache_salt":`...), p.Salt)
	}
	if p.NoCache {
		dst = append(dst, `,"cache_prompt":false`...)
	}
	return dst
}

// appendString adds a JSON string. Made texts are plain; answers and files hold anything.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b, err := json.Marshal(s)
			if err != nil { // a string always can be written
				return append(dst, `""`...)
			}
			return append(dst, b...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}
