package browse

import (
	"slices"
	"strconv"
	"strings"

	"pitwall/ui/figure"
)

// meaning is what is drawn of a series, and how it is said.
type meaning struct {
	expr string
	// drawn says what expr is of the series, in words.
	drawn string
	// draw is "line", "area" or "heat".
	draw string
	// mark stands before the number of a family: "max" or "sum"; empty for one series.
	mark string
	// unit is a word that panels know.
	unit   string
	format func(float64) string
}

// kind is what a name's type and ending say of it.
type kind int

const (
	gauge kind = iota
	counter
	buckets
	native // a native histogram
)

func kindOf(f *family) kind {
	switch {
	case strings.HasSuffix(f.name, "_bucket") && slices.ContainsFunc(f.series, func(e *entry) bool { return e.labels["le"] != "" }):
		return buckets
	case strings.HasSuffix(f.name, "_total"), f.typ == "counter":
		return counter
	case (f.typ == "histogram" || f.typ == "gaugehistogram" || f.typ == "summary") && (strings.HasSuffix(f.name, "_count") || strings.HasSuffix(f.name, "_sum")):
		return counter
	case f.typ == "histogram" && !strings.HasSuffix(f.name, "_created"):
		return native
	}
	return gauge
}

// summary is what the list shows of a row: one number for one series, and for several the sum of rates or the greatest
// value, with the word beside it.
func summary(r row) meaning {
	m := chartOf(r)
	if m.expr == "" {
		return m
	}
	if m.draw == "heat" {
		// A number says how many observations there are; the buckets are for the chart.
		count := strings.TrimSuffix(r.f.name, "_bucket") + "_count"
		m.expr, m.unit, m.format = "sum("+rates(selectors(count, r, "le"))+")", "/s", figure.Rate
		return m
	}
	if r.only() != nil {
		return m
	}
	if kindOf(r.f) == counter {
		m.expr, m.mark = "sum("+m.expr+")", "sum"
	} else if kindOf(r.f) == gauge {
		m.expr, m.mark = "max("+m.expr+")", "max"
	}
	return m
}

// summary is that of a row, remembered for families.
func (b *Browser) summary(r row) meaning {
	if r.e != nil {
		return summary(r)
	}
	m, ok := b.meanings[r.f]
	if !ok {
		m = summary(r)
		b.meanings[r.f] = m
	}
	return m
}

// chartOf gives what is charted of a row: a family, what a filter leaves of it, or one of its series. The expression is
// empty where no selector of a bearable length stands for just these series.
func chartOf(r row) meaning {
	unit, format := unitOf(r.f.name)
	kind := kindOf(r.f)
	without := ""
	if kind == buckets {
		without = "le"
	}
	sels := selectors(r.f.name, r, without)
	if len(sels) == 0 {
		return meaning{unit: unit, format: format, draw: "line", drawn: "the filter leaves " + strconv.Itoa(len(r.found)) + " of " + strconv.Itoa(len(r.f.series)) + " series, more than one expression can name: filter by a label"}
	}
	switch kind {
	case counter:
		m := meaning{expr: rates(sels), drawn: "a counter: its rate a second over $w", draw: "line", unit: unit + "/s", format: figure.Rate}
		switch unit {
		case "bytes":
			m.unit, m.format = "bytes/s", figure.ByteRate
		case "s", "ratio", "time":
			m.unit = "/s"
		}
		return m
	case buckets:
		return meaning{expr: "sum by (le) (" + rates(sels) + ")", drawn: "a histogram: which share of a moment's observations fell into each bucket",
			draw: "heat", unit: unit, format: format}
	case native:
		return meaning{expr: "histogram_quantile(0.95, sum(" + rates(sels) + "))", drawn: "a native histogram: the 95th percentile over $w", draw: "line", unit: unit, format: format}
	}
	return meaning{expr: strings.Join(sels, " or "), drawn: "as it is", draw: "line", unit: unit, format: format}
}

// rates gives the rates of all that some selectors select.
func rates(sels []string) string {
	out := make([]string, len(sels))
	for i, s := range sels {
		out[i] = "rate(" + s + "[$w])"
	}
	return strings.Join(out, " or ")
}

// unitOf reads the unit off a name, as Prometheus's naming rules have it; "" for names of other worlds.
func unitOf(name string) (unit string, format func(float64) string) {
	base := name
	for _, end := range []string{"_total", "_bucket", "_sum", "_count"} {
		base = strings.TrimSuffix(base, end)
	}
	switch {
	case strings.HasSuffix(name, "_created"): // when a series began, as the Python and OpenMetrics libraries say it
		return "time", stamp
	case strings.HasSuffix(name, "_count") && !strings.HasSuffix(name, "_total"):
		return "", figure.Count
	case strings.HasSuffix(base, "_bytes"):
		return "bytes", figure.Bytes
	case strings.HasSuffix(base, "_time_seconds") && strings.Contains(base, "start"):
		return "time", stamp
	case strings.HasSuffix(base, "_seconds"):
		return "s", figure.Seconds
	case strings.HasSuffix(base, "_ratio"):
		return "ratio", figure.Percent
	}
	return "", number
}
