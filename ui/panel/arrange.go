package panel

import (
	"cmp"
	"slices"
)

// Place is where a panel of a page stands. Its first line is that of its title.
type Place struct {
	// Panel is the index in the list that was arranged.
	Panel      int
	X, Y, W, H int
	// Column counts from 0.
	Column int
}

// LeastHeight is how many lines a panel needs, its title's line included.
func LeastHeight(s Spec) int {
	switch s.Drawing() {
	case DrawNumber:
		return 3
	case DrawBars, DrawTable:
		return 4
	case DrawHeat:
		return 5
	case "gpu", "host":
		return 5
	}
	return 4
}

// ColumnsFor is how many panels stand beside each other on w columns when the page doesn't say.
func ColumnsFor(w, panels int) int {
	n := 1
	switch {
	case w >= 240 && panels > 4:
		n = 3
	case w >= 132:
		n = 2
	}
	return max(min(n, panels), 1)
}

// Arrange puts the panels of a page into w by h cells, row by row, and leaves out those of the least priority when there
// are too few lines. Neighbours share borders: a panel's X and W are its inside, the cells between two columns are the
// border. Left are the indices that found no room.
func Arrange(page Page, panels []Spec, w, h int) (places []Place, left []int) {
	order := make([]int, len(panels))
	for i := range order {
		order[i] = i
	}
	// What goes first is the last of the smallest priority.
	byPriority := slices.Clone(order)
	slices.SortStableFunc(byPriority, func(a, b int) int {
		return cmp.Or(cmp.Compare(panels[a].Priority, panels[b].Priority), cmp.Compare(b, a))
	})
	for len(order) > 0 {
		cols := page.Columns
		if cols < 1 {
			cols = ColumnsFor(w, len(order))
		}
		cols = max(min(cols, len(order), w/30), 1)
		rows := (len(order) + cols - 1) / cols
		least := make([]int, rows)
		need := 0
		for i, id := range order {
			least[i/cols] = max(least[i/cols], LeastHeight(panels[id]))
		}
		for _, l := range least {
			need += l
		}
		if need <= h || len(order) == 1 {
			return fill(page, order, cols, least, w, h), left
		}
		gone := byPriority[0]
		byPriority = byPriority[1:]
		left = append(left, gone)
		order = slices.DeleteFunc(order, func(i int) bool { return i == gone })
	}
	return nil, left
}

// fill shares the lines out by the rows' weights, each having its least.
func fill(page Page, order []int, cols int, least []int, w, h int) []Place {
	heights := slices.Clone(least)
	rest := h
	total := 0
	for i, l := range least {
		rest -= l
		total += weight(page, i)
	}
	if rest > 0 {
		given := 0
		for i := range heights {
			add := rest * weight(page, i) / total
			heights[i] += add
			given += add
		}
		for i := 0; given < rest; i, given = (i+1)%len(heights), given+1 {
			heights[i]++
		}
	}
	var out []Place
	y := 0
	for row, rh := range heights {
		in := order[row*cols : min((row+1)*cols, len(order))]
		for c, id := range in {
			// The last row's panels share the whole width among themselves only if there is one: columns stay under columns.
			x := 1 + c*(w-1)/cols
			end := (c + 1) * (w - 1) / cols
			if len(in) == 1 && cols > 1 {
				end = w - 1
			}
			out = append(out, Place{Panel: id, X: x, Y: y, W: end - x, H: rh, Column: c})
		}
		y += rh
	}
	return out
}

func weight(p Page, row int) int {
	if row < len(p.Weights) {
		return max(p.Weights[row], 1)
	}
	return 1
}
