package validity

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"pitwall/probes/engine/dialect"
)

// counted is what one of the engine's counters did between two readings.
type counted struct {
	atFrom, atTo, by float64
	// why says why there is no number.
	why string
	// resets is how often it started again.
	resets float64
}

// count subtracts an engine's counter between two readings. A series that is not on the first page began at 0 after it; one
// that went down in between was reset, and then nothing is computed.
func (a *asker) count(ctx context.Context, word string, from, to reading) counted {
	nan := math.NaN()
	out := counted{atFrom: nan, atTo: nan, by: nan}
	alternatives, err := a.scope.Dialect.Count(word, a.scope.Sel)
	a.fail(err)
	if len(alternatives) == 0 {
		out.why = fmt.Sprintf("%s does not count it", cmp.Or(a.scope.Dialect.Title, a.scope.Dialect.Name))
		return out
	}
	span := window(from.at, to.at)
	for _, selectors := range alternatives {
		var atFrom, atTo, resets float64
		there := true
		for _, s := range selectors {
			last := a.value(ctx, "sum("+s+")", to.at)
			if math.IsNaN(last) {
				there = false
				break
			}
			atTo += last
			if first := a.value(ctx, "sum("+s+")", from.at); !math.IsNaN(first) {
				atFrom += first
			}
			if to.at.After(from.at) {
				if r := a.value(ctx, fmt.Sprintf("sum(resets(%s[%s]))", s, span), to.at); !math.IsNaN(r) {
					resets += r
				}
			}
		}
		if !there {
			continue
		}
		out.atFrom, out.atTo, out.resets = atFrom, atTo, resets
		if resets > 0 || atTo < atFrom {
			out.resets = max(resets, 1)
			out.why = "the engine's counters started again in between"
			return out
		}
		out.by = atTo - atFrom
		return out
	}
	out.why = "not on the engine's page"
	return out
}

// restarted says whether the engine's process is another one at to than at from.
func (a *asker) restarted(ctx context.Context, from, to reading) bool {
	start := a.scope.Dialect.State.Start
	if start == "" {
		return false
	}
	first, last := a.value(ctx, "max("+start+"{$sel})", from.at), a.value(ctx, "max("+start+"{$sel})", to.at)
	return !math.IsNaN(first) && !math.IsNaN(last) && first != last
}

// window is the PromQL range that holds the samples of both moments: ranges are open on the left.
func window(from, to time.Time) string { return fmt.Sprintf("%dms", to.Sub(from).Milliseconds()+1) }

// meanOf is the mean that the server's sum and count give between two readings.
func (a *asker) meanOf(ctx context.Context, sum, count string, from, to reading) (mean, n float64, why string) {
	c := a.count(ctx, count, from, to)
	s := a.count(ctx, sum, from, to)
	switch {
	case c.why != "":
		return math.NaN(), math.NaN(), c.why
	case s.why != "":
		return math.NaN(), math.NaN(), s.why
	case c.by == 0:
		return math.NaN(), 0, "the server timed none in between"
	}
	return s.by / c.by, c.by, ""
}

var (
	countRows = []struct {
		key, name, unit, word string
	}{
		{"requests", "requests", "requests", dialect.CountRequests},
		{"prompt_tokens", "prompt tokens", "tokens", dialect.CountPrompt},
		{"cached_tokens", "cached tokens", "tokens", dialect.CountCached},
		{"output_tokens", "output tokens", "tokens", dialect.CountOutput},
		{"errors", "errors", "requests", dialect.CountErrors},
	}
	meanRows = []struct {
		key, name, sum, count string
	}{
		{"ttft_mean", "TTFT mean", dialect.CountTTFTSum, dialect.CountTTFT},
		{"tpot_mean", "TPOT mean", dialect.CountTPOTSum, dialect.CountTPOT},
	}
)
