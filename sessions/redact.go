package sessions

import (
	"regexp"
	"strings"
)

// secretName matches names whose values are never stored. "token" alone would also catch max_num_batched_tokens and
// kv_tokens, which are sizes: a plural is a count.
var secretName = regexp.MustCompile(`(?i)(api[-_]?key|secret|passw(or)?d|credential|authorization|cookie|private[-_]?key|(^|[^a-z])key($|[^a-z])|token($|[^s]))`)

var userInfo = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)[^/?#\s]*@`)

// secretArg matches a secret inside a text: --api-key abc, token=abc, "Authorization: Bearer abc", and keys by their look.
// A space parts a name from its value on a command line only: "no token counter moved" tells no secret.
var secretArg = regexp.MustCompile(`(?i)((?:--?[a-z0-9_-]*` + secretWord + `\s+|[a-z0-9_-]*` + secretWord + `["']?\s*[=:]\s*)["']?)[^\s"',;]+` +
	`|(bearer\s+|authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer)\s+)?)\S+` +
	`|\b(?:sk|hf|ghp|glpat|xox[bp])[-_][A-Za-z0-9_-]{8,}`)

const secretWord = `(?:(?:api|access|private)[-_]?key|secret|passw(?:or)?d|token)`

const cutMark = "[cut]"

// Redact cuts what looks like a secret out of a text: user-info in URLs, bearer tokens, Authorization headers, values of
// arguments and fields whose names say key, token, secret or password, and strings with the prefixes of well-known kinds
// of keys.
func Redact(s string) string {
	s = boundText(s)
	s = userInfo.ReplaceAllString(s, "${1}")
	return secretArg.ReplaceAllString(s, "${1}${2}"+cutMark)
}

// redactFacts applies both rules to what is about to be stored: a fact with a secret's name is dropped whole.
func redactFacts(in map[string]string, secret func(path string) bool, redact func(string) string) map[string]string {
	out := make(map[string]string, len(in))
	for path, v := range in {
		if secret(path) {
			continue
		}
		out[path] = redact(v)
	}
	return out
}

// secretPath tells whether the last part of a fact's path is a secret's name.
func secretPath(path string) bool {
	return secretName.MatchString(path[strings.LastIndexByte(path, '/')+1:])
}
