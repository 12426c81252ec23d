package browse

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"

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
	case f.typ == "histogram":
		return native
	}
	return gauge
}

// summary is what the list shows of a row: one number for one series, and for a family of several the sum of rates or the
// greatest value, with the word beside it.
func summary(r row) meaning {
	e := r.only()
	m := chartOf(r.f, e)
	if m.draw == "heat" {
		// A number says how many observations there are; the buckets are for the chart.
		count := strings.TrimSuffix(r.f.name, "_bucket") + "_count"
		m.expr, m.unit, m.format = "sum(rate("+selector(count, without(labelsOf(e), "le"))+"[$w]))", "/s", figure.Rate
		return m
	}
	if e != nil {
		return m
	}
	if kindOf(r.f) == counter {
		m.expr, m.mark = "sum("+m.expr+")", "sum"
	} else if kindOf(r.f) == gauge {
		m.expr, m.mark = "max("+m.expr+")", "max"
	}
	return m
}

// chartOf gives what is charted of a family, or of one of its series where e is set.
func chartOf(f *family, e *entry) meaning {
	s := selector(f.name, labelsOf(e))
	unit, format := unitOf(f.name)
	switch kindOf(f) {
	case counter:
		m := meaning{expr: "rate(" + s + "[$w])", drawn: "a counter: its rate a second over $w", draw: "line", unit: unit + "/s", format: figure.Rate}
		switch unit {
		case "bytes":
			m.unit, m.format = "bytes/s", figure.ByteRate
		case "s", "ratio", "time":
			m.unit = "/s"
		}
		return m
	case buckets:
		return meaning{expr: "sum by (le) (rate(" + selector(f.name, without(labelsOf(e), "le")) + "[$w]))", drawn: "a histogram: which share of a moment's observations fell into each bucket",
			draw: "heat", unit: unit, format: format}
	case native:
		return meaning{expr: "histogram_quantile(0.95, sum(rate(" + s + "[$w])))", drawn: "a native histogram: the 95th percentile over $w", draw: "line", unit: unit, format: format}
	}
	return meaning{expr: s, drawn: "as it is", draw: "line", unit: unit, format: format}
}

// labelsOf gives a series' labels; none for a whole family.
func labelsOf(e *entry) []model.LabelPair {
	if e == nil {
		return nil
	}
	out := make([]model.LabelPair, 0, len(e.names))
	for _, n := range e.names {
		out = append(out, model.LabelPair{Name: model.LabelName(n), Value: model.LabelValue(e.labels[n])})
	}
	return out
}

func without(ls []model.LabelPair, name model.LabelName) []model.LabelPair {
	return slices.DeleteFunc(slices.Clone(ls), func(l model.LabelPair) bool { return l.Name == name })
}

// selector writes PromQL that matches exactly these labels. Names that PromQL's grammar has no word for are quoted.
func selector(name string, ls []model.LabelPair) string {
	var b strings.Builder
	var in []string
	if model.LegacyValidation.IsValidMetricName(name) {
		b.WriteString(name)
	} else {
		in = append(in, model.MetricNameLabel+"="+strconv.Quote(name))
	}
	for _, l := range ls {
		n := string(l.Name)
		if !model.LegacyValidation.IsValidLabelName(n) {
			n = strconv.Quote(n)
		}
		in = append(in, n+"="+strconv.Quote(string(l.Value)))
	}
	if len(in) > 0 {
		b.WriteString("{" + strings.Join(in, ",") + "}")
	}
	return b.String()
}

// unitOf reads the unit off a name, as Prometheus's naming rules have it; "" for names of other worlds.
func unitOf(name string) (unit string, format func(float64) string) {
	base := name
	for _, end := range []string{"_total", "_bucket", "_sum", "_count"} {
		base = strings.TrimSuffix(base, end)
	}
	switch {
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
