package gpu

import (
	"fmt"
	"slices"
	"time"

	"pitwall/probes"
)

// throttling tells which reasons are an event: those that mean trouble. A power cap under load is how a GPU works, and
// the rest is somebody's setting.
func throttling(reason string) (text string, ok bool) {
	switch reason {
	case "hw_slowdown":
		return "the hardware slows it down", true
	case "sw_thermal":
		return "the driver slows it down, because GPU or memory is too hot", true
	case "hw_thermal":
		return "the hardware slows it down, because it is too hot", true
	case "power_brake":
		return "the power supply's brake slows it down", true
	}
	return "", false
}

// calm is how long a reason must be away before its throttling is over: the sampled bit comes and goes.
const calm = 10 * time.Second

// spell is a time of throttling for one reason.
type spell struct{ since, seen time.Time }

// spellsAt follows the mask of clock reasons as it was at a moment and gives an event for each throttling that begins or
// ends. g.mu is held.
func (g *gpu) spellsAt(mask uint64, at time.Time) []probes.Event {
	var out []probes.Event
	now := ReasonNames(mask)
	for _, reason := range now {
		text, ok := throttling(reason)
		if !ok {
			continue
		}
		s, going := g.spells[reason]
		if !going {
			s.since = at
			out = append(out, g.eventNow("gpu.throttle", probes.Warning, fmt.Sprintf("GPU %d: %s", g.index, text),
				map[string]string{"reason": reason}))
		}
		s.seen = at
		g.spells[reason] = s
	}
	for reason, s := range g.spells {
		if slices.Contains(now, reason) || at.Sub(s.seen) < calm {
			continue
		}
		delete(g.spells, reason)
		lasted := s.seen.Sub(s.since).Round(time.Second)
		out = append(out, g.eventNow("gpu.throttle", probes.Note,
			fmt.Sprintf("GPU %d is not slowed down any more (%s, %s)", g.index, reason, lasted),
			map[string]string{"reason": reason, "over": "true", "lasted": lasted.String()}))
	}
	return out
}
