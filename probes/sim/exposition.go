package sim

import (
	"math"
	"strconv"
	"strings"
)

// page writes Prometheus's text format as Python's prometheus_client does, _created lines included.
type page struct {
	buf     []byte
	created float64 // when the counters began, in seconds since 1970
}

// series is one value of a family with more labels than the common ones; the labels are complete then.
type series struct {
	labels string
	value  float64
}

func (p *page) head(name, help, typ string) {
	p.buf = append(p.buf, "# HELP "...)
	p.buf = append(p.buf, name...)
	p.buf = append(p.buf, ' ')
	p.buf = append(p.buf, help...)
	p.buf = append(p.buf, "\n# TYPE "...)
	p.buf = append(p.buf, name...)
	p.buf = append(p.buf, ' ')
	p.buf = append(p.buf, typ...)
	p.buf = append(p.buf, '\n')
}

func (p *page) line(name, suffix, labels string, v float64) {
	p.buf = append(p.buf, name...)
	p.buf = append(p.buf, suffix...)
	if labels != "" {
		p.buf = append(p.buf, '{')
		p.buf = append(p.buf, labels...)
		p.buf = append(p.buf, '}')
	}
	p.buf = append(p.buf, ' ')
	p.buf = appendValue(p.buf, v)
	p.buf = append(p.buf, '\n')
}

func (p *page) gauge(name, help string, values ...series) {
	p.head(name, help, "gauge")
	for _, s := range values {
		p.line(name, "", s.labels, s.value)
	}
}

// counter takes the name without _total.
func (p *page) counter(name, help string, values ...series) {
	p.plainCounter(name, help, values...)
	p.createdFamily(name, help, values)
}

// plainCounter has no _created family: that is so for the counters of the Python process.
func (p *page) plainCounter(name, help string, values ...series) {
	p.head(name+"_total", help, "counter")
	for _, s := range values {
		p.line(name, "_total", s.labels, s.value)
	}
}

func (p *page) createdFamily(name, help string, values []series) {
	p.head(name+"_created", help, "gauge")
	for _, s := range values {
		p.line(name, "_created", s.labels, p.created)
	}
}

// labelled is a histogram with its labels, split where le belongs: before and after.
type labelled struct {
	before, after string
	*histogram
}

func (p *page) histogram(name, help string, hs ...labelled) {
	p.head(name, help, "histogram")
	all := make([]series, len(hs))
	for i, h := range hs {
		all[i].labels = join(h.before, h.after)
		cumulated := uint64(0)
		for j, n := range h.counts {
			cumulated += n
			p.buf = append(p.buf, name...)
			p.buf = append(p.buf, "_bucket{"...)
			if h.before != "" {
				p.buf = append(append(p.buf, h.before...), ',')
			}
			p.buf = append(p.buf, `le="`...)
			if j < len(h.edges) {
				p.buf = appendValue(p.buf, h.edges[j])
			} else {
				p.buf = append(p.buf, "+Inf"...)
			}
			p.buf = append(p.buf, '"')
			if h.after != "" {
				p.buf = append(append(p.buf, ','), h.after...)
			}
			p.buf = append(p.buf, "} "...)
			p.buf = appendValue(p.buf, float64(cumulated))
			p.buf = append(p.buf, '\n')
		}
		p.line(name, "_count", all[i].labels, float64(h.n))
		p.line(name, "_sum", all[i].labels, h.sum)
	}
	p.createdFamily(name, help, all)
}

func (p *page) summary(name, help string, counts, sums []series) {
	p.head(name, help, "summary")
	for i, s := range counts {
		p.line(name, "_count", s.labels, s.value)
		p.line(name, "_sum", s.labels, sums[i].value)
	}
	p.createdFamily(name, help, counts)
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "," + b
}

// appendValue writes a float as Python's floatToGoString does: "14.0", "1.795476e+09", "4.1e-05".
func appendValue(b []byte, v float64) []byte {
	switch {
	case math.Abs(v) >= 1e6:
		return strconv.AppendFloat(b, v, 'e', -1, 64)
	case v == math.Trunc(v):
		return append(strconv.AppendInt(b, int64(v), 10), ".0"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// quote escapes a label's value.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
