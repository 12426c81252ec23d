package browse

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
)

// The most selectors in one expression, and values in one matcher: more would be asked for a long time and read by nobody.
const (
	maxSelectors = 16
	maxValues    = 64
)

// selectors gives PromQL for a metric's series with just the labels of a row's series, whatever they have for the label
// without: one selector where one can say it, else one a series; nil where these would be too many.
func selectors(name string, r row, without string) []string {
	of := r.found
	if e := r.only(); e != nil {
		of = []*entry{e}
	}
	if len(of) == len(r.f.series) && len(of) != 1 {
		return []string{selector(name, nil)}
	}
	if len(of) > 1 {
		if ms, ok := common(r.f, of, without); ok {
			return []string{selector(name, ms)}
		}
	}
	var out []string
	for _, e := range of {
		if s := selector(name, exactly(r.f, e, without)); !slices.Contains(out, s) {
			out = append(out, s)
		}
		if len(out) > maxSelectors {
			return nil
		}
	}
	return out
}

// matcher is a label with its value, or with a pattern where re is set.
type matcher struct {
	name, value string
	re          bool
}

// exactly gives the labels of one series. A selector finds series that have more labels, too: where there are such, it says
// that this one lacks them.
func exactly(f *family, e *entry, without string) []matcher {
	var out []matcher
	for _, n := range e.names {
		if n != without {
			out = append(out, matcher{name: n, value: e.labels[n]})
		}
	}
	for _, o := range f.series {
		if len(o.names) <= len(e.names) || !within(e, o, without) {
			continue
		}
		for _, n := range o.names {
			if _, has := e.labels[n]; !has && n != without && !slices.ContainsFunc(out, func(m matcher) bool { return m.name == n }) {
				out = append(out, matcher{name: n})
			}
		}
	}
	return out
}

// within tells whether a series has all labels of another with their values.
func within(e, in *entry, without string) bool {
	for _, n := range e.names {
		if n != without && in.labels[n] != e.labels[n] {
			return false
		}
	}
	return true
}

// common gives one selector's matchers that find these series of a family and no other one; false if there are none: each
// label by itself has one of some values, so their product may hold more.
func common(f *family, of []*entry, without string) ([]matcher, bool) {
	values := map[string][]string{}
	var names []string
	for _, e := range f.series {
		for _, n := range e.names {
			if n != without && values[n] == nil {
				values[n] = []string{}
				names = append(names, n)
			}
		}
	}
	for _, e := range of {
		for _, n := range names {
			if v := e.labels[n]; !slices.Contains(values[n], v) {
				if values[n] = append(values[n], v); len(values[n]) > maxValues {
					return nil, false
				}
			}
		}
	}
	chosen := make(map[string]bool, len(of))
	key := func(e *entry) string {
		var b strings.Builder
		for _, n := range names {
			b.WriteString(e.labels[n] + "\xff")
		}
		return b.String()
	}
	for _, e := range of {
		chosen[key(e)] = true
	}
	// others tells whether these labels' values let any other series in.
	others := func(names []string) bool {
		return slices.ContainsFunc(f.series, func(e *entry) bool {
			return !chosen[key(e)] && !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(values[n], e.labels[n]) })
		})
	}
	if others(names) {
		return nil, false
	}
	// The fewest that do, the short ones for choice: those of many values go first.
	needed := slices.Clone(names)
	slices.SortFunc(needed, func(a, b string) int { return cmp.Or(cmp.Compare(len(values[b]), len(values[a])), cmp.Compare(a, b)) })
	for _, n := range slices.Clone(needed) {
		if less := slices.DeleteFunc(slices.Clone(needed), func(o string) bool { return o == n }); !others(less) {
			needed = less
		}
	}
	var out []matcher
	slices.Sort(needed)
	for _, n := range needed {
		vs := values[n]
		if len(vs) == 1 {
			out = append(out, matcher{name: n, value: vs[0]})
			continue
		}
		slices.Sort(vs)
		var alt []string
		for _, v := range vs {
			alt = append(alt, regexp.QuoteMeta(v))
		}
		out = append(out, matcher{name: n, value: strings.Join(alt, "|"), re: true})
	}
	return out, true
}

// selector writes PromQL that matches these labels. Names that PromQL's grammar has no word for are quoted.
func selector(name string, ms []matcher) string {
	var b strings.Builder
	var in []string
	if model.LegacyValidation.IsValidMetricName(name) {
		b.WriteString(name)
	} else {
		in = append(in, model.MetricNameLabel+"="+strconv.Quote(name))
	}
	for _, m := range ms {
		n, op := m.name, "="
		if !model.LegacyValidation.IsValidLabelName(n) {
			n = strconv.Quote(n)
		}
		if m.re {
			op = "=~"
		}
		in = append(in, n+op+strconv.Quote(m.value))
	}
	if len(in) > 0 {
		b.WriteString("{" + strings.Join(in, ",") + "}")
	}
	return b.String()
}
