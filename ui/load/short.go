package load

import (
	"strings"

	"pitwall/probes/load/shape"
	"pitwall/sessions/score"
	"pitwall/ui/theme"
)

// sloText writes an SLO: "TTFT ≤500ms TPOT ≤50ms".
func sloText(s shape.SLO) string {
	var out []string
	if s.TTFT > 0 {
		out = append(out, "TTFT ≤"+spanText(s.TTFT))
	}
	if s.TPOT > 0 {
		out = append(out, "TPOT ≤"+spanText(s.TPOT))
	}
	if s.E2E > 0 {
		out = append(out, "E2E ≤"+spanText(s.E2E))
	}
	return strings.Join(out, " ")
}

// inShort is a score in half a line.
func inShort(s *score.Score) text {
	if s.Sent == 0 {
		return text{{theme.Warn, "no request was sent"}}
	}
	t := text{{theme.Plain, itoa(s.OK) + " ok"}}
	if s.Failed > 0 {
		t = append(t, span{theme.Bad, ", " + itoa(s.Failed) + " failed"})
	}
	name, q := "p95 ", s.TTFT.P95
	if q.Needs > 0 && !q.Failed {
		name, q = "p50 ", s.TTFT.P50
	}
	ttft, ink := plain(q, "s")
	t = append(t, span{theme.Dim, " · TTFT " + name}, span{ink, ttft}, span{theme.Dim, " · output "}, span{theme.Strong, value(rateOf(s, s.Output).Value, "tokens/s")})
	if len(s.Flags) > 0 {
		t = append(t, span{theme.Plain, "  "})
		t = append(t, flagsShort(s.Flags, 40)...)
	}
	return t
}

// flagsShort lists flags by their words: ✗ for those that make the numbers unusable, ▲ for those that need care. Where there
// is no room for all, their number.
func flagsShort(flags []score.Flag, w int) text {
	var t text
	bad := 0
	for i, f := range flags {
		sign, ink := "▲", theme.Warn
		if f.Invalid {
			sign, ink = "✗", theme.Bad
			bad++
		}
		s := sign + f.Kind
		if i > 0 {
			s = " " + s
		}
		t = append(t, span{ink, s})
	}
	if t.width() <= w {
		return t
	}
	var n text
	if bad > 0 {
		n = append(n, span{theme.Bad, "✗" + itoa(bad) + " "})
	}
	if k := len(flags) - bad; k > 0 {
		n = append(n, span{theme.Warn, "▲" + itoa(k)})
	}
	// As many words as have room still say more than numbers.
	words := cut(t, w)
	if w >= 14 && len(words) > 0 {
		return words
	}
	return n
}
