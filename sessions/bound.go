package sessions

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"pitwall/probes"
)

// What comes from outside is bounded here for every source: series by Options, events and texts by what anybody can read. A
// source that goes beyond is told, never silently cut.

const (
	// maxEvents is how many events one reading may bring, and maxHourlyEvents a source in an hour: all of them are in memory.
	maxEvents       = 200
	maxHourlyEvents = 1000
	// maxText is the longest title, attribute, fact or reason in bytes.
	maxText = 2000
)

// RefusedMetric counts, by source (subject="job/instance"), the samples that were left out because their series would have
// been one too many.
const RefusedMetric = "pitwall_recorder_series_dropped_total"

// tellRefused tells that series of a source are left out, and that it is over: as an event of kind recorder.series, and as
// the reason for what is absent.
func (r *Recorder) tellRefused(p *pull, t int64, refused map[string]int, absent map[string]string) {
	subject := p.job + "/" + p.instance
	if len(refused) == 0 {
		if p.refusing {
			p.refusing = false
			r.addEvents([]probes.Event{{
				Kind: "recorder.series", Subject: subject, Title: "all of its series are recorded again",
				Attrs: map[string]string{"phase": "ended"},
			}}, t)
		}
		return
	}
	n := 0
	for _, k := range refused {
		n += k
	}
	r.mu.Lock()
	r.refused[[2]string{p.job, p.instance}] += uint64(n) //nolint:gosec // it only grows
	r.mu.Unlock()
	bound, whose := r.opt.SeriesPerTarget, "it has had"
	if p.made < bound {
		bound, whose = r.opt.SeriesPerSession, "the session has"
	}
	why := fmt.Sprintf("not recorded: %s %s series already, which is the most", whose, humanize.Comma(int64(bound)))
	metrics := slices.SortedFunc(maps.Keys(refused), func(a, b string) int {
		return cmp.Or(cmp.Compare(refused[b], refused[a]), cmp.Compare(a, b))
	})
	absent[fmt.Sprintf("%s{subject=%q}", RefusedMetric, subject)] = fmt.Sprintf("%d series of its last page are %s", n, why)
	for _, m := range metrics[:min(len(metrics), 20)] {
		if absent[m] != "" {
			continue // the source knows more
		}
		absent[m] = fmt.Sprintf("%d series of %s are %s", refused[m], p.instance, why)
	}
	if p.refusing {
		return
	}
	p.refusing = true
	r.addEvents([]probes.Event{{
		Kind: "recorder.series", Subject: subject, Severity: probes.Warning, Title: "too many series: new ones are left out",
		Attrs: map[string]string{
			"phase": "began", "cause": "most are of " + metrics[0] + ", by label values that are new at every reading",
			"expr": "pitwall_recorder_series", "value": strconv.Itoa(p.made), "threshold": "> " + strconv.Itoa(bound),
		},
	}}, t)
}

// boundEvents cuts what a reading at t brings too many of.
func (p *pull) boundEvents(events []probes.Event, t int64) []probes.Event {
	if hour := t - t%time.Hour.Milliseconds(); hour != p.hour {
		p.hour, p.events, p.flooded = hour, 0, false
	}
	n, why := maxEvents, fmt.Sprintf("%d events of one reading were left out: %d are kept", len(events)-maxEvents, maxEvents)
	if left := maxHourlyEvents - p.events; left < min(n, len(events)) {
		n, why = left, fmt.Sprintf("its events are left out until the hour is over: %s are kept", humanize.Comma(maxHourlyEvents))
	}
	if len(events) <= n {
		p.events += len(events)
		return events
	}
	p.events += n
	if p.flooded {
		return events[:n]
	}
	p.flooded = n < maxEvents
	return append(slices.Clone(events[:n]), probes.Event{
		Kind: "recorder.events", Subject: p.job + "/" + p.instance, Severity: probes.Warning, Title: why,
	})
}

// boundText cuts a text that nobody can read to its end anyway.
func boundText(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + fmt.Sprintf("… (%d bytes)", len(s))
}
