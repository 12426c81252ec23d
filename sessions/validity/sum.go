package validity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Sum adds the tables of consecutive runs, in the order of time, that together go from rest to rest: its Ours is everything
// that the runs sent, its Server what was counted from the first reading to the last. Readings that two tables share are
// counted once, and so is a stretch that two overlap in. Means are left out.
func Sum(tables []Table) Table {
	var out Table
	if len(tables) == 0 {
		out.Why = "no runs"
		return out
	}
	tables = slices.Clone(tables)
	slices.SortStableFunc(tables, func(a, b Table) int { return a.From.Compare(b.From) })
	for _, t := range tables {
		if t.Why != "" {
			out.Why = "one of the runs has no readings at its edges: " + t.Why
		}
	}
	first, last := tables[0], tables[len(tables)-1]
	out.From, out.To, out.RestFrom, out.RestTo = first.From, last.To, first.RestFrom, last.RestTo
	for i := 1; i < len(tables); i++ {
		if a, b := tables[i-1], tables[i]; b.From.After(a.To) && !(a.RestTo && b.RestFrom) {
			out.Why = cmp.Or(out.Why, "between two of the runs requests were in flight that no table holds")
		}
	}
	if !out.RestFrom || !out.RestTo {
		out.Why = cmp.Or(out.Why, "requests were in flight at the beginning or the end")
	}
	for i, r := range first.Rows {
		if r.Unit == "s" {
			continue
		}
		sum := Row{Key: r.Key, Name: r.Name, Unit: r.Unit, AtFrom: r.AtFrom}
		why := out.Why
		for j, t := range tables {
			if i >= len(t.Rows) || t.Rows[i].Key != r.Key {
				why = cmp.Or(why, "the tables have different rows")
				continue
			}
			row := t.Rows[i]
			sum.Own += row.Own
			sum.OwnUnsure += row.OwnUnsure
			sum.Server += row.Server
			sum.AtTo = row.AtTo
			if math.IsNaN(row.Server) {
				why = cmp.Or(why, row.Why)
			}
			if j > 0 && t.From.Before(tables[j-1].To) {
				sum.Server -= tables[j-1].Rows[i].AtTo - row.AtFrom
			}
		}
		sum.Ours, sum.Unsure = sum.Own, sum.OwnUnsure
		sum.Difference = sum.Server - sum.Ours
		sum.settle(why, 0, "")
		if why == "" && r.Key == "errors" && sum.Verdict == Less {
			sum.Verdict, sum.Why = Explained, fmt.Sprintf("%.0f that failed here are none of the server's count", -sum.Difference)
		}
		out.Rows = append(out.Rows, sum)
	}
	return out
}
