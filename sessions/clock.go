package sessions

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"pitwall/probes"
)

// moment is what the clocks of the host say at once.
type moment struct {
	// wall is the time of day, which somebody or NTP may set at any time.
	wall time.Time
	// boot is the time since the machine started, with the time that it was suspended; awake is without that. Neither is
	// ever set. Where only one of them is to be had both are that one.
	boot, awake time.Duration
}

// clock gives the ticks: time that only goes forward, over one wall anchor, so that a stepped wall clock bends nothing. A
// session keeps the time of day that it began with; how far the host's clock is from that by now is recorded beside it.
type clock struct {
	read   func() moment
	anchor moment
	base   int64
}

// ticking says whether the clock has been started; without that the recorder is driven by hand.
func (c clock) ticking() bool { return c.base != 0 }

func (c clock) at(m moment) int64 { return c.base + (m.boot - c.anchor.boot).Milliseconds() }

func (c clock) now() int64 { return c.at(c.read()) }

// startClock starts a session's clock after the tick last. meta may hold what an earlier recorder's clock was: within one
// boot of the machine the session's time goes on exactly as it began, whatever the host's clock was set to since.
func startClock(read func() moment, last int64, meta map[string]string) clock {
	m := read()
	base, ok := clockIn(meta, m)
	if !ok {
		base = m.wall.UnixMilli()
	}
	return clock{read: read, anchor: m, base: max(base, last+1)}
}

// text is how the clock stands in the session's meta: the boot that it is of, and session time minus time since that boot.
func (c clock) text() string {
	return fmt.Sprintf("%s %d", bootID(), c.base-c.anchor.boot.Milliseconds())
}

// clockIn gives the session's time at m by the clock that its meta tells of; false after another boot.
func clockIn(meta map[string]string, m moment) (int64, bool) {
	boot, delta, _ := strings.Cut(meta["clock"], " ")
	d, err := strconv.ParseInt(delta, 10, 64)
	if err != nil || boot == "" || boot != bootID() {
		return 0, false
	}
	return d + m.boot.Milliseconds(), true
}

const (
	// gapAfter is from how many milliseconds without a tick on the recording has a gap, at which its series end. Shorter
	// ones are bridged by PromQL's lookback as well.
	gapAfter = int64(5 * Tick / time.Millisecond)
	// stepOf is how far, in milliseconds, the host's clock must be from where it was told to be to be told anew: what NTP
	// corrects all the time is less.
	stepOf = 1000
	// driftWithin is the time in which a change of the host's clock counts as one step, not as a drift.
	driftWithin = int64(10 * Tick / time.Millisecond)
)

// timekeeper watches the clocks from tick to tick.
type timekeeper struct {
	last   moment
	lastT  int64 // session time of the last look
	told   int64 // wall minus session time, milliseconds, as it was last told
	before int64 // wall minus session time at the last look
	cause  string
}

// look compares the host's clock with the session's, tells a step, and remembers why a tick comes late.
func (r *Recorder) look(m moment) {
	k := &r.keeper
	t := r.clock.at(m)
	off := m.wall.UnixMilli() - t
	k.cause = ""
	if k.lastT != 0 {
		if asleep := (m.boot - k.last.boot) - (m.awake - k.last.awake); asleep >= Tick {
			k.cause = "the machine was suspended"
		} else if t-k.lastT >= gapAfter {
			k.cause = "the recorder did not run: it was stopped, or the machine stood still"
		}
	} else {
		k.before = off
	}
	if d := off - k.told; d >= stepOf || d <= -stepOf {
		r.tellClock(m, t, off)
	}
	k.last, k.lastT, k.before = m, t, off
}

func (r *Recorder) tellClock(m moment, t, off int64) {
	k := &r.keeper
	by := lasting(off - k.told)
	how, abs := "set forward", by
	if by < 0 {
		how, abs = "set back", -by
	}
	if d := off - k.before; t-k.lastT < driftWithin && (d < stepOf/2 && d > -stepOf/2) && k.lastT != 0 {
		how = map[bool]string{true: "gaining", false: "losing"}[by > 0]
	}
	title := "the host's clock was " + how + " by " + abs.String()
	switch how {
	case "gaining", "losing":
		title = "the host's clock is " + how + ": by " + abs.String() + " so far"
	}
	if k.lastT == 0 {
		title = "the host's clock is " + standing(off) + " this session's: it was set while nobody recorded"
	}
	k.told = off
	r.offset.Store(off)
	r.addEvents([]probes.Event{{
		Kind: "recorder.clock", Subject: "host", Severity: probes.Warning, Title: title,
		Attrs: map[string]string{
			"by": by.String(), "from": m.wall.Add(-by).UTC().Format(time.RFC3339), "to": m.wall.UTC().Format(time.RFC3339),
			"cause": "the session's times go on as they began, the host's clock is " + standing(off) + " them",
		},
	}}, t)
	r.mu.Lock()
	r.pending.meta["offset"] = strconv.FormatInt(off, 10)
	r.mu.Unlock()
}

// standing says where the host's clock is as seen from the session's.
func standing(off int64) string {
	switch d := lasting(off); {
	case off >= stepOf:
		return d.String() + " ahead of"
	case off <= -stepOf:
		return (-d).String() + " behind"
	}
	return "again that of"
}

func lasting(n int64) time.Duration {
	return (time.Duration(n) * time.Millisecond).Round(100 * time.Millisecond)
}

// interrupted closes what the last tick before a gap left: every series that somebody still read ends there, so that no
// line is drawn across, and the gap is told. Series whose reading is still under way go on unless it is too late for them.
// t is the tick after the gap.
func (r *Recorder) interrupted(t int64) {
	from := r.tick
	h := r.head
	under := map[*series]bool{}
	if t-from < lateness-5_000 {
		for _, p := range r.pulls {
			if p.busy {
				for _, s := range p.all() {
					under[s] = true
				}
			}
		}
	}
	g := group{t: from + 1} // within the block of the last tick, which ends later than that
	h.mu.Lock()
	for _, s := range h.series {
		if s != nil && !s.stale && s.lastT >= from-maxInterval && !under[s] && h.appendFloat(s, g.t, staleNaN()) {
			s.stale = true
			g.entries = append(g.entries, entry{id: s.id, v: staleNaN()})
		}
	}
	r.addGroup(g)
	h.mu.Unlock()
	r.flush() // under the old tick
	why := r.keeper.cause
	if why == "" {
		why = "the recorder did not run"
	}
	r.tellGap(from, t, why)
}

// maxInterval is the longest interval, in milliseconds, that a source's series are taken to be alive for.
const maxInterval = 60_000

// tellGap says that nothing was recorded between two ticks: as an event, and as the reason for what is absent there.
func (r *Recorder) tellGap(from, to int64, why string) {
	lasted := (time.Duration(to-from) * time.Millisecond).Round(time.Second)
	r.addEvents([]probes.Event{{
		Kind: "recorder.gap", Subject: "recorder", Severity: probes.Warning,
		Title: fmt.Sprintf("not recorded for %s: %s", lasted, why),
		Attrs: map[string]string{"from": timeOf(from).UTC().Format(time.RFC3339Nano), "lasted": lasted.String(), "cause": why},
	}}, to)
	told := map[string]string{"recorder": "not recorded: " + why}
	notes := r.ledger.change(ledgerAbsent, from+1, nil, told)
	notes = append(notes, r.ledger.change(ledgerAbsent, to, told, nil)...)
	r.mu.Lock()
	r.pending.notes = append(r.pending.notes, notes...)
	r.mu.Unlock()
}
