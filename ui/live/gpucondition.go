package live

import (
	"math"
	"strings"

	"github.com/prometheus/prometheus/promql"

	"pitwall/ui/figure"
	"pitwall/ui/theme"
)

// reasonWords says how a clock event reason is called on the screen and how bad it is: 0 normal, 1 worth a look, 2 act.
var reasonWords = map[string]struct {
	word string
	bad  int
}{
	"gpu_idle": {"idle", 0}, "clocks_setting": {"app clocks", 0}, "power_cap": {"power cap", 1}, "hw_slowdown": {"HW slowdown", 2}, "sync_boost": {"sync boost", 0},
	"sw_thermal": {"SW thermal", 2}, "hw_thermal": {"HW thermal", 2}, "thermal": {"thermal", 2}, "power_brake": {"power brake", 2}, "display_clocks": {"display", 0},
	"board_limit": {"board limit", 1}, "reliability": {"reliability", 1}, "below_app_clocks": {"below app clocks", 0}, "below_base_clocks": {"below base clocks", 1}, "low_util": {"low use", 0},
}

// limits says what holds the clocks down: as shares of the last minute where the GPU counts time, else as it is now.
// The second result is the worst grade.
func (v view) limits(i string) (string, int) {
	var parts []string
	worst := 0
	counted := false
	for _, x := range v.s.labelledOf("gpu_limits", "reason", "gpu", i) {
		counted = true
		if x.label == "below_app_clocks" || x.value < 0.005 {
			continue
		}
		w, ok := reasonWords[x.label]
		if !ok {
			w.word, w.bad = x.label, 1
		}
		parts = append(parts, w.word+" "+figure.Percent(math.Min(x.value, 1)))
		worst = max(worst, w.bad)
	}
	if len(parts) > 0 {
		return strings.Join(parts, ", ") + " of 1m", worst
	}
	sampled := false
	for _, x := range v.s.metrics["pitwall_gpu_clocks_event_reason"] {
		if x.Metric.Get("gpu") != i {
			continue
		}
		sampled = true
		reason := x.Metric.Get("reason")
		w, ok := reasonWords[reason]
		if !ok {
			w.word, w.bad = reason, 1
		}
		if x.F > 0 && reason != "gpu_idle" {
			parts = append(parts, w.word)
			worst = max(worst, w.bad)
		}
	}
	switch {
	case len(parts) > 0:
		return strings.Join(parts, ", ") + " now", worst
	case counted:
		return "none in 1m", 0
	case sampled:
		return "none now", 0
	}
	return "", 0
}

// heldBy gives in five cells what holds the clocks down most gravely, over the last minute where the GPU counts time, else
// now; "—" where that is not known.
func (v view) heldBy(i string) (string, int) {
	text, bad := v.limits(i)
	switch {
	case text == "":
		return figure.Absent, 0
	case bad == 0:
		return "no", 0
	}
	best, word := -1.0, ""
	consider := func(reason string, share float64) {
		w, ok := reasonWords[reason]
		if !ok {
			w.bad = 1
		}
		if w.bad != bad || share <= best {
			return
		}
		short, ok := map[string]string{"power_cap": "power", "sw_thermal": "heat", "hw_thermal": "heat", "thermal": "heat", "power_brake": "brake", "hw_slowdown": "HW",
			"board_limit": "board", "reliability": "volt"}[reason]
		if !ok {
			short = "yes"
		}
		best, word = share, short
	}
	for _, x := range v.s.labelledOf("gpu_limits", "reason", "gpu", i) {
		if x.value >= 0.005 {
			consider(x.label, x.value)
		}
	}
	if word == "" {
		for _, x := range v.s.metrics["pitwall_gpu_clocks_event_reason"] {
			if x.Metric.Get("gpu") == i && x.F > 0 {
				consider(x.Metric.Get("reason"), x.F)
			}
		}
	}
	return word, bad
}

// labelledOf is labelled for the series that also have another label's value.
func (s *snapshot) labelledOf(id, label, with, value string) []labelledValue {
	sub := &snapshot{values: map[string]promql.Vector{id: nil}}
	for _, x := range s.values[id] {
		if x.Metric.Get(with) == value {
			sub.values[id] = append(sub.values[id], x)
		}
	}
	return sub.labelled(id, label)
}

// health says what is wrong with the GPU itself, or that nothing is.
func (v view) health(i string) (string, theme.Ink) {
	get := func(name string) figure.Value { return v.s.metric(name, "gpu", i) }
	var bad []string
	ink := theme.Good
	add := func(name, word string, grade theme.Ink) bool {
		x := get(name)
		if x.OK && x.V > 0 {
			bad = append(bad, word+" "+figure.Whole(x.V))
			if ink != theme.Bad {
				ink = grade
			}
		}
		return x.OK
	}
	known := add("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "ECC double-bit", theme.Bad)
	known = add("DCGM_FI_DEV_ROW_REMAP_FAILURE", "row remap failed", theme.Bad) || known
	known = add("DCGM_FI_DEV_XID_ERRORS", "XID", theme.Bad) || known
	known = add("DCGM_FI_DEV_ROW_REMAP_PENDING", "row remap pending", theme.Warn) || known
	known = add("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "rows remapped", theme.Warn) || known
	known = add("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "ECC single-bit", theme.Warn) || known
	switch {
	case len(bad) > 0:
		return strings.Join(bad, ", "), ink
	case !known:
		return figure.Absent + " " + v.s.why("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "gpu", i), theme.Faint
	}
	return "no ECC error, remap or XID", theme.Good
}
