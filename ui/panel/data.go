package panel

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"pitwall/ui/figure"
)

// Data is what a panel's queries answered at one moment, and over the span of its charts.
type Data struct {
	// Answers are those of the Spec's queries, in their order.
	Answers []Answer
	// Reason says why there is nothing, where that is known: "no answer for 12 s".
	Reason string
}

// Answer is that of one query.
type Answer struct {
	Series []Series
	// Bounds are the finite upper bounds of the buckets that its numbers are percentiles of, rising; nil for all other numbers.
	Bounds []float64
	// More is how many series more there were than were kept.
	More int
	// Err is why it could not be asked; Reason why the answer is empty.
	Err, Reason string
}

// Series is one series of an answer.
type Series struct {
	Labels labels.Labels
	// Values has one number per column of the time axis, NaN where nothing is known; nil where none were asked for.
	Values []float64
	// Low and Peak are the extremes in the span.
	Low, Peak figure.Value
	// Now is the value at the cursor, Before and After those at two marked times.
	Now           figure.Value
	Before, After figure.Value
}

// Row is one series with its name and numbers, in the order in which the panel shows them.
type Row struct {
	Name   string
	Query  string // the query's id
	Labels labels.Labels
	// Unit is the panel's.
	Unit                          string
	Now, Low, Peak, Before, After figure.Value
	// Level and Word are those of the threshold that Now is past: "", "warn" or "bad".
	Level, Word string

	values []float64
	bounds []float64 // of the buckets, where it is a percentile
	at     int       // its query
	place  int       // what ink and stroke it has
}

// Text writes one of the row's numbers in its unit; of a percentile, the bucket that it lies in: "≤ 25 ms".
func (r Row) Text(v figure.Value) string {
	return r.write(v, func(v figure.Value) string { return v.Text(func(f float64) string { return Text(r.Unit, f) }) })
}

// Rows names and orders a panel's series. more is how many were left out because of the limit.
func Rows(s Spec, d Data) (rows []Row, more int) {
	for i, q := range s.Queries {
		if i >= len(d.Answers) {
			break
		}
		series := d.Answers[i].Series
		more += d.Answers[i].More
		names := namesOf(s, q, series)
		for k, x := range series {
			r := Row{Name: names[k], Query: q.ID, Labels: x.Labels, Unit: s.Unit, Now: x.Now, Low: x.Low, Peak: x.Peak, at: i, Before: x.Before, After: x.After, values: x.Values, bounds: d.Answers[i].Bounds}
			r.Level, r.Word = s.level(x.Now)
			rows = append(rows, r)
		}
	}
	limit := cmp.Or(s.Limit, DefaultLimit)
	if len(rows) > limit {
		// The largest stay, in whatever order they are shown; where the smallest come first, those.
		keep := "value"
		if s.Sort == "-value" {
			keep = s.Sort
		}
		sortRows(rows, keep)
		more += len(rows) - limit
		rows = rows[:limit]
	}
	sortRows(rows, s.order())
	for i := range rows {
		rows[i].place = i
	}
	return rows, more
}

// order is how rows are sorted where the panel doesn't say: lines in the order of the queries and by name, because what
// follows the values would change inks all the time; bars and tables by value.
func (s Spec) order() string {
	switch s.Drawing() {
	case DrawBars, DrawTable:
		return cmp.Or(s.Sort, "value")
	}
	return cmp.Or(s.Sort, "query")
}

func sortRows(rows []Row, how string) {
	// A value that is not there comes last, and names decide between equals: rows must not jump about.
	absent := func(a, b Row) int { return sign(!a.Now.OK) - sign(!b.Now.OK) }
	switch how {
	case "none":
	case "query":
		slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Or(cmp.Compare(a.at, b.at), compareNames(a.Name, b.Name)) })
	case "name":
		slices.SortStableFunc(rows, func(a, b Row) int { return compareNames(a.Name, b.Name) })
	case "-value":
		slices.SortStableFunc(rows, func(a, b Row) int {
			return cmp.Or(absent(a, b), cmp.Compare(a.Now.V, b.Now.V), compareNames(a.Name, b.Name))
		})
	default:
		slices.SortStableFunc(rows, func(a, b Row) int {
			return cmp.Or(absent(a, b), cmp.Compare(b.Now.V, a.Now.V), compareNames(a.Name, b.Name))
		})
	}
}

// sign is 1 for true.
func sign(b bool) int {
	if b {
		return 1
	}
	return 0
}

// compareNames puts GPU 2 before GPU 10.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		x, restA := leadingNumber(a)
		y, restB := leadingNumber(b)
		if x >= 0 && y >= 0 {
			if x != y {
				return cmp.Compare(x, y)
			}
			a, b = restA, restB
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// leadingNumber takes digits off the front of a text, -1 if there are none.
func leadingNumber(s string) (int, string) {
	i := 0
	for i < len(s) && i < 15 && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 0 {
		return -1, s
	}
	n, err := strconv.Atoi(s[:i])
	if err != nil {
		return -1, s
	}
	return n, s[i:]
}

// level tells which threshold a value is past.
func (s Spec) level(v figure.Value) (level, word string) {
	if !v.OK {
		return "", ""
	}
	for _, t := range s.Thresholds {
		if t.Below == (v.V < t.From) && (t.Below || v.V >= t.From) && (level != "bad" || t.Level == "bad") {
			level, word = t.Level, t.Word
			if word == "" {
				word = map[string]string{"warn": "!", "bad": "!!"}[t.Level]
			}
		}
	}
	return level, word
}

var legendLabel = regexp.MustCompile(`\{\{\s*([^{}\s]+)\s*\}\}`)

// namesOf names the series of one query: by its legend, or by the labels that tell them apart.
func namesOf(s Spec, q Query, series []Series) []string {
	out := make([]string, len(series))
	if q.Legend != "" {
		for i, x := range series {
			out[i] = strings.TrimSpace(legendLabel.ReplaceAllStringFunc(q.Legend, func(m string) string {
				return x.Labels.Get(legendLabel.FindStringSubmatch(m)[1])
			}))
			if out[i] == "" {
				out[i] = plainName(s, q)
			}
		}
		return out
	}
	differ := differing(series)
	for i, x := range series {
		var parts []string
		for _, l := range differ {
			if v := x.Labels.Get(l); v != "" {
				parts = append(parts, v)
			}
		}
		out[i] = strings.Join(parts, " ")
		if out[i] == "" {
			out[i] = plainName(s, q)
		}
	}
	return out
}

// plainName is what the only series of a query is called.
func plainName(s Spec, q Query) string {
	if len(s.Queries) > 1 {
		return q.ID
	}
	return s.Title
}

// differing lists the labels whose values differ among series, the metric's name last.
func differing(series []Series) []string {
	seen := map[string]map[string]int{}
	for _, x := range series {
		x.Labels.Range(func(l labels.Label) {
			if seen[l.Name] == nil {
				seen[l.Name] = map[string]int{}
			}
			seen[l.Name][l.Value]++
		})
	}
	var out []string
	for name, values := range seen {
		n := 0
		for _, c := range values {
			n += c
		}
		if len(values) > 1 || n < len(series) && len(series) > 1 {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		inner := func(s string) int { // __name__
			if strings.HasPrefix(s, "__") {
				return 1
			}
			return 0
		}
		return cmp.Or(inner(a)-inner(b), cmp.Compare(a, b))
	})
	return out
}
