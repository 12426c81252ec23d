package engine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/prometheus/common/model"

	"pitwall/probes"
)

const (
	// maxSeries is how many series of one source are kept at a time, and how many new ones it may bring at once; a large
	// vLLM has 1,000. A label that carries a request's id brings more every second, for ever, and whoever keeps them runs
	// out of memory.
	maxSeries = 20_000
	// newASecond is how many new series a second a source may bring when those are used up: enough for an engine that
	// starts again under another model name every ten minutes.
	newASecond = 2
	// longSeries is how many bytes of a series' text count as one more series.
	longSeries = 1000
	// maxDropped is how many metrics are named of those that have lost series.
	maxDropped = 20
)

// droppedMetric is what pitwall says about any source whose series are too many; about an engine always, about another page
// only then.
const droppedMetric = "pitwall_scrape_series_dropped"

// droppedMeta is its family.
var droppedMeta = probes.Meta{Type: model.MetricTypeGauge, Help: "New series of the last page that were left out, because there are too many."}

// allowance is how many new series a source may bring. The zero value is the whole of it.
type allowance struct {
	used float64
	at   time.Time
}

// refill gives back what has come since the last time.
func (a *allowance) refill(now time.Time) {
	if !a.at.IsZero() {
		a.used = max(0, a.used-newASecond*max(0, now.Sub(a.at).Seconds()))
	}
	a.at = now
}

// newcomers are the series of one family that were not on the pages before. They are let in together or not at all: half of
// a histogram's buckets would be a wrong histogram.
type newcomers struct {
	family string
	room   float64 // what is left of the allowance, and below maxSeries
	cost   float64
	at     []int    // where they are among the samples
	raw    []string // their texts on the page
	over   int      // those that came when there was no more room
}

// price is what a series takes from the allowance.
func price(raw []byte) float64 { return 1 + float64(len(raw)/longSeries) }

// full says whether one more has no room, and counts it then.
func (n *newcomers) full(raw []byte) bool {
	if n.over > 0 || n.cost+price(raw) > n.room {
		n.over++
		return true
	}
	return false
}

func (n *newcomers) add(at int, raw []byte) {
	n.at, n.raw, n.cost = append(n.at, at), append(n.raw, string(raw)), n.cost+price(raw)
}

// of says whether a series, as it stands on the page, belongs to the family.
func (n *newcomers) of(raw []byte) bool {
	return n.family != "" && len(raw) >= len(n.family) && string(raw[:len(n.family)]) == n.family
}

// next begins another family.
func (n *newcomers) next(family string) {
	*n = newcomers{family: family, room: n.room, at: n.at[:0], raw: n.raw[:0]}
}

// reasons gives, by metric, why not all of its series are there.
func (p *pages) reasons() map[string]string {
	if len(p.dropped) == 0 {
		return nil
	}
	out := map[string]string{}
	names := slices.Sorted(maps.Keys(p.dropped))
	for i, name := range names {
		if i == maxDropped {
			out["series"] = fmt.Sprintf("new series of %d more metrics dropped", len(names)-i)
			break
		}
		out[name] = fmt.Sprintf("%s new series dropped: up to %s series of a source are kept, and then %d new ones a second; sums of this metric are too low",
			humanize.Comma(int64(p.dropped[name])), humanize.Comma(maxSeries), newASecond)
	}
	return out
}

// lost is how many series of the last page were dropped.
func (p *pages) lost() int {
	n := 0
	for _, k := range p.dropped {
		n += k
	}
	return n
}
