package dialect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// The words of counts. Unlike names they stand for counters, to be read at two moments and subtracted, never to be rated: that
// is what reconciles a load's own numbers with the server's, to the request and the token.
const (
	// CountRequests are requests that were answered to their end; what a client gave up is not in it.
	CountRequests = "requests"
	// CountPrompt, CountCached and CountOutput are tokens: of prompts, cached ones among them; of prompts, from the cache; of
	// answers.
	CountPrompt, CountCached, CountOutput = "prompt_tokens", "cached_tokens", "output_tokens"
	// CountErrors are requests that failed in the engine, CountHTTPErrors answers with a status of 5xx.
	CountErrors, CountHTTPErrors = "errors", "http_errors"
	// CountPreemptions are requests that were thrown out of the batch.
	CountPreemptions = "preemptions"
	// CountTTFT and CountTTFTSum are the number and the sum, in seconds, of the server's times to first token; CountTPOT and
	// CountTPOTSum those of its times per output token, one a request.
	CountTTFT, CountTTFTSum = "ttft_count", "ttft_seconds"
	CountTPOT, CountTPOTSum = "tpot_count", "tpot_seconds"
)

var countWords = []string{CountRequests, CountPrompt, CountCached, CountOutput, CountErrors, CountHTTPErrors, CountPreemptions,
	CountTTFT, CountTTFTSum, CountTPOT, CountTPOTSum}

// Count gives the counters behind a word: alternatives, the newest version's first, each a list of plain selectors whose
// series all add up. sel is a list of label matchers without braces and becomes $sel. Nil if the engine doesn't count that; an
// error only for a sel that is none.
func (d *Dialect) Count(word, sel string) ([][]string, error) {
	sel, err := cleanSelector(sel)
	if err != nil {
		return nil, fmt.Errorf("count of %s: %w", word, err)
	}
	var out [][]string
	for _, template := range d.counts[word] {
		selectors, err := summands(substitute(template, sel, "1m"))
		if err != nil {
			return nil, fmt.Errorf("count of %s: %w", word, err)
		}
		out = append(out, selectors)
	}
	return out, nil
}

// Counts says which words the engine has counters for, sorted.
func (d *Dialect) Counts() []string { return slices.Sorted(maps.Keys(d.counts)) }

// CountsNote says what keeps the counters from being exact, empty if nothing does.
func (d *Dialect) CountsNote() string { return d.countsNote }

// summands takes a template apart: selectors with + between, nothing else, because whoever subtracts must see each series
// restart or begin.
func summands(template string) ([]string, error) {
	e, err := promql().ParseExpr(template)
	if err != nil {
		return nil, err
	}
	return addends(e)
}

func addends(e parser.Expr) ([]string, error) {
	switch e := e.(type) {
	case *parser.VectorSelector:
		if e.OriginalOffset != 0 || e.Timestamp != nil || e.Anchored || e.Smoothed || e.Name == "" {
			return nil, fmt.Errorf("%s: a counter is a name with matchers", e)
		}
		return []string{e.String()}, nil
	case *parser.BinaryExpr:
		if e.Op == parser.ADD {
			left, err := addends(e.LHS)
			if err != nil {
				return nil, err
			}
			right, err := addends(e.RHS)
			return append(left, right...), err
		}
	}
	return nil, fmt.Errorf("%s: a count is a counter, or several with + between", e)
}

// countsOf checks the counts of a file.
func countsOf(given map[string]oneOrMore, fail func(line int, key, format string, args ...any)) map[string]Alternatives {
	out := map[string]Alternatives{}
	for _, word := range slices.Sorted(maps.Keys(given)) {
		key := "counts[" + word + "]"
		if !slices.Contains(countWords, word) {
			fail(1, key, "unknown; the words are %s", strings.Join(countWords, ", "))
			continue
		}
		if len(given[word]) == 0 {
			fail(1, key, "missing")
		}
		for _, template := range given[word] {
			if !strings.Contains(template, "$sel}") {
				fail(1, key, "%s: $sel must stand last in the braces", template)
			}
			for _, sel := range []string{"", labels.MustNewMatcher(labels.MatchEqual, "job", "x").String()} {
				if _, err := summands(substitute(template, sel, "1m")); err != nil {
					fail(1, key, "%w", err)
					break
				}
			}
		}
		out[word] = Alternatives(given[word])
	}
	return out
}
