package panel

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pitwall/ui/figure"
	"pitwall/ui/plot"
)

// unit is how numbers of one kind are written.
type unit struct {
	name string
	// text writes a value with its unit; axis writes a tick of an axis with that top, in few cells.
	text func(float64) string
	axis func(v, top float64) string
	// grafana are the names that a Grafana board uses for it.
	grafana []string
	// bare writes a value without the unit, for columns whose heading names it; nil for those whose sign is short.
	bare func(float64) string
}

// behind writes numbers with a word behind them.
func behind(format func(float64) string, word string) func(float64) string {
	return func(v float64) string { return format(v) + word }
}

// scaledSeconds writes a number of parts of a second as seconds are written.
func scaledSeconds(by float64) func(float64) string {
	return func(v float64) string { return figure.Seconds(v * by) }
}

func axisScaled(by float64) func(v, top float64) string {
	return func(v, top float64) string { return axisSeconds(v*by, top*by) }
}

// axisSeconds writes a tick of a time axis, all of one axis in one unit.
func axisSeconds(v, top float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(top) < 0.0005:
		return figure.Short(v*1e6) + "us"
	case math.Abs(top) < 1:
		return figure.Short(v*1000) + "ms"
	case math.Abs(top) >= 2*86400:
		return figure.Short(v/86400) + "d"
	case math.Abs(top) >= 2*3600:
		return figure.Short(v/3600) + "h"
	case math.Abs(top) >= 600:
		return figure.Short(v/60) + "m"
	}
	return figure.Short(v) + "s"
}

func ratioTick(v, _ float64) string {
	if math.Abs(v) >= 10 {
		return figure.Short(v*100) + "%"
	}
	return strings.ReplaceAll(figure.Percent(v), " ", "")
}

// bytesTick writes a size in at most five cells: 512B, 4.7G.
func bytesTick(by float64) func(v, top float64) string {
	return func(v, _ float64) string {
		v *= by
		i := 0
		for math.Abs(v) >= 999.5 && i < 5 {
			v /= 1024
			i++
		}
		return figure.Short(v) + "BKMGTP"[i:i+1]
	}
}

// short writes a tick in at most five cells. Those of an axis that ends below one have two digits that count, those of
// one that ends below a thousandth are millionths.
func short(v, top float64) string {
	switch a := math.Abs(top); {
	case v == 0 || a >= 1 || a == 0:
		return figure.Short(v)
	case a >= 1e-3:
		s := strconv.FormatFloat(v, 'g', 2, 64)
		if len(s) > 5 {
			s = strings.TrimPrefix(s, "0")
		}
		return s
	}
	return figure.Short(v*1e6) + "u"
}

// plain writes a number of no unit. It may be anything, so what is small keeps two digits that count.
func plain(v float64) string {
	if a := math.Abs(v); a > 0 && a < 0.95 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return figure.Count(v)
}

// units are those with a way of writing of their own; every other word is written behind the number.
func units() []unit {
	whole := func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }
	bits := func(v float64) string {
		return strings.Replace(figure.ByteRate(v), "B/s", "bit/s", 1)
	}
	binRate := func(v float64) string { return figure.Bytes(v) + "/s" }
	return []unit{
		{"s", figure.Seconds, axisSeconds, []string{"s", "dtdurations"}, nil},
		{"ms", scaledSeconds(1e-3), axisScaled(1e-3), []string{"ms", "dtdurationms"}, nil},
		{"us", scaledSeconds(1e-6), axisScaled(1e-6), []string{"µs", "us"}, nil},
		{"ns", scaledSeconds(1e-9), axisScaled(1e-9), []string{"ns"}, nil},
		{"minutes", scaledSeconds(60), axisScaled(60), []string{"m"}, nil},
		{"hours", scaledSeconds(3600), axisScaled(3600), []string{"h"}, nil},
		{"ratio", figure.Percent, ratioTick, []string{"percentunit"}, nil},
		{"percent", func(v float64) string { return figure.Percent(v / 100) }, func(v, _ float64) string { return figure.Short(v) + "%" }, []string{"percent", "humidity"}, nil},
		{"bytes", figure.Bytes, bytesTick(1), []string{"bytes", "decbytes"}, nil},
		{"KiB", func(v float64) string { return figure.Bytes(v * (1 << 10)) }, bytesTick(1 << 10), []string{"kbytes", "deckbytes"}, nil},
		{"MiB", func(v float64) string { return figure.Bytes(v * (1 << 20)) }, bytesTick(1 << 20), []string{"mbytes", "decmbytes"}, nil},
		{"GiB", func(v float64) string { return figure.Bytes(v * (1 << 30)) }, bytesTick(1 << 30), []string{"gbytes", "decgbytes"}, nil},
		{"bytes/s", figure.ByteRate, func(v, _ float64) string { return figure.Short(v) + "B" }, []string{"Bps", "decBps"}, nil},
		{"bits/s", bits, func(v, _ float64) string { return figure.Short(v) + "b" }, []string{"bps", "binbps"}, nil},
		{"bytes/s binary", binRate, bytesTick(1), []string{"binBps"}, nil},
		{"requests", figure.Count, short, nil, figure.Count},
		{"requests/s", behind(figure.Rate, " /s"), short, []string{"reqps", "req/s", "rps"}, figure.Rate},
		{"tokens", figure.Count, short, nil, figure.Count},
		{"tokens/s", behind(figure.Count, " tok/s"), short, []string{"tps", "tok/s", "tokens/sec", "tokens/s", "tokens/sec (tps)"}, figure.Count},
		{"/s", behind(figure.Rate, " /s"), short, []string{"ops", "cps", "wps", "iops", "eps", "rowsps", "mps"}, figure.Rate},
		{"W", behind(whole, " W"), func(v, _ float64) string { return figure.Short(v) + "W" }, []string{"watt"}, nil},
		{"J", behind(figure.Count, " J"), short, []string{"joule"}, nil},
		{"°C", behind(whole, " °C"), func(v, _ float64) string { return figure.Short(v) + "°" }, []string{"celsius"}, nil},
		{"MHz", behind(figure.Whole, " MHz"), short, []string{"mhz"}, nil},
		{"Hz", func(v float64) string { return hertz(v) }, func(v, _ float64) string { return figure.Short(v) + "Hz" }, []string{"hertz", "hz", "rothz"}, nil},
		{"time", moment, func(v, _ float64) string { return moment(v) }, []string{"dateTimeAsIso", "dateTimeFromNow", "dateTimeAsIsoNoDateIfToday", "dateTimeAsLocal"}, nil},
		{"yes/no", func(v float64) string {
			if v != 0 {
				return "yes"
			}
			return "no"
		}, short, []string{"bool", "bool_yes_no", "bool_on_off"}, nil},
		{"none", plain, short, []string{"none", "short", "", "sishort", "locale", "string"}, nil},
	}
}

func hertz(v float64) string {
	if math.Abs(v) >= 1e9 {
		return strconv.FormatFloat(v/1e9, 'f', 2, 64) + " GHz"
	}
	if math.Abs(v) >= 1e6 {
		return figure.Whole(v/1e6) + " MHz"
	}
	return figure.Short(v) + " Hz"
}

// moment writes Unix seconds as a time.
func moment(v float64) string {
	if math.IsNaN(v) || math.Abs(v) > 1e11 {
		return figure.Absent
	}
	return time.Unix(int64(v), 0).UTC().Format("2006-01-02 15:04")
}

// Units lists the units with a way of writing of their own. Any other word may be a unit too.
func Units() []string {
	var out []string
	for _, u := range units() {
		out = append(out, u.name)
	}
	return out
}

// unitOf gives how a unit is written.
func unitOf(name string) unit {
	for _, u := range units() {
		if u.name == name {
			return u
		}
	}
	if name == "" {
		return unit{name: "", text: plain, axis: short}
	}
	return unit{name: name, text: behind(plain, " "+name), axis: short, bare: plain}
}

// Text writes a value in a unit: 21 ms, 61 %, 1,204 tok/s. NaN is written as absent.
func Text(unitName string, v float64) string {
	if math.IsNaN(v) {
		return figure.Absent
	}
	return unitOf(unitName).text(v)
}

// bareText writes a value for a column whose heading names the unit where that is a word.
func bareText(unitName string, v figure.Value) string {
	u := unitOf(unitName)
	if u.bare != nil {
		return v.Text(u.bare)
	}
	return v.Text(u.text)
}

// roundTop gives where an axis ends: at a round number, of sizes at one that is round in the binary unit it is written in.
func roundTop(unitName string, peak, least float64) float64 {
	bytes := map[string]float64{"bytes": 1, "bytes/s binary": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[unitName]
	if bytes == 0 || math.IsNaN(peak) || math.IsInf(peak, 0) {
		return plot.Scale(peak, least)
	}
	unit := 1 / bytes
	for max(peak, least)/unit >= 1000 {
		unit *= 1024
	}
	return plot.Scale(peak/unit, least/unit) * unit
}

// Tick writes a tick of an axis that ends at top.
func Tick(unitName string, v, top float64) string { return unitOf(unitName).axis(v, top) }

// unitFrom gives the unit that a Grafana board calls name; "" and false if there is none like it.
func unitFrom(grafana string) (string, bool) {
	for _, u := range units() {
		if slices.Contains(u.grafana, grafana) {
			return u.name, true
		}
	}
	// Units of one's own: "suffix:tok/s", "prefix:$", "si:W".
	for _, p := range []string{"suffix:", "si:"} {
		if s, ok := strings.CutPrefix(grafana, p); ok {
			return strings.TrimSpace(s), true
		}
	}
	return "", false
}

// unitDoubt says what is odd about a unit, "" if nothing is.
func unitDoubt(name string) string {
	all := Units()
	if name == "" || slices.Contains(all, name) {
		return ""
	}
	if len([]rune(name)) > 20 {
		return "the unit is longer than 20 characters"
	}
	for _, u := range units() {
		if slices.Contains(u.grafana, name) {
			return "written " + u.name + " here; as it stands it is only a word behind the number"
		}
	}
	switch name {
	case "seconds", "sec", "second":
		return "did you mean s? As it stands it is only a word behind the number"
	case "%":
		return "percent is for 0 to 100, ratio for 0 to 1; as it stands it is only a word behind the number"
	}
	if near := nearest(name, []string{"seconds"}); near != "" && len(name) > 4 {
		return "did you mean s? As it stands it is only a word behind the number"
	}
	if near := nearest(name, slices.DeleteFunc(all, func(u string) bool { return len(u) < 4 })); near != "" && len(name) > 3 {
		return "did you mean " + near + "? As it stands it is only a word behind the number"
	}
	return ""
}
