package engine

import "unicode/utf8"

// What comes from a server is bounded before it is kept: by each of these numbers, and by the allowance for new series.
const (
	// maxPage is the size in bytes above which a page is not read: a large vLLM page is 0.1 MB with 1,000 series.
	maxPage = 16 << 20
	// maxJSON is the size in bytes above which an answer of the API is not read.
	maxJSON = 4 << 20
	// maxHeader is the same for the headers of an answer.
	maxHeader = 64 << 10
	// maxRedirects is how often a request is sent on within the same server.
	maxRedirects = 3
	// maxReason is the length in bytes of a reason, maxFact that of a fact's value. An engine's command line is the longest
	// of them, and has been seen with 1,500.
	maxReason, maxFact = 500, 4000
	// maxModels is how many models of a list become facts. A server with more is a gateway.
	maxModels = 50
)

// shortened cuts a text to n bytes, at the border of a character, and says that it did.
func shortened(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
