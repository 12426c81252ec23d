package engine

import "regexp"

// secrets are what a log line may hold and a record must not: assignments to names of secrets in code, JSON, command lines
// and URLs, bearer tokens, and the tokens of OpenAI and Hugging Face by their prefix.
var secrets = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`://[^/@\s]+@`), "://…@"},
	{regexp.MustCompile(`(?i)\b(authorization["']?\s*[:=]\s*["']?)(bearer|basic)\s+[^\s"',}]+`), "${1}${2} …"},
	{regexp.MustCompile(`(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{8,}`), "Bearer …"},
	// A name ends in the word, singular: max_num_batched_tokens=2048 is no secret.
	{regexp.MustCompile(`(?i)(\b[\w-]*(?:api[-_]?key|[-_]key|secret|password|passwd|token)["']?\s*(?:[:=]\s*|\s+(?:=\s*)?)\[?["'])([^"']+)`), "${1}…"},
	{regexp.MustCompile(`(?i)(\b[\w-]*(?:api[-_]?key|[-_]key|secret|password|passwd|token)["']?[:=])([^\s"'\[,;}&)]+)`), "${1}…"},
	{regexp.MustCompile(`(?i)(--[\w-]*(?:key|secret|password|token)\s+)(\S+)`), "${1}…"},
	{regexp.MustCompile(`\b(sk-|hf_|ghp_|xox[bp]-)[A-Za-z0-9_-]{8,}`), "${1}…"},
}

// redact cuts secrets out of a text that comes from outside, and the known ones besides.
func redact(s string) string {
	for _, x := range secrets {
		s = x.re.ReplaceAllString(s, x.with)
	}
	return s
}
