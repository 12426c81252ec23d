package grid

import "pitwall/ui/theme"

// Cell is what stands in one place of a sheet, for whoever makes something else of it than a terminal's text.
type Cell struct {
	// Text is the character with its combining marks; " " where there is none.
	Text string
	// Wide tells that the next cell belongs to it.
	Wide bool
	Ink  theme.Ink
}

// Size gives the sheet's columns and lines.
func (c *Canvas) Size() (w, h int) { return c.w, c.h }

// Cells gives one line, a cell for each column; the right half of a wide character has no text. It is nil beyond the
// sheet.
func (c *Canvas) Cells(y int) []Cell {
	if y < 0 || y >= c.h {
		return nil
	}
	out := make([]Cell, c.w)
	for x, k := range c.cells[y*c.w : (y+1)*c.w] {
		out[x].Ink = k.ink
		if k.r == 0 {
			if x > 0 {
				out[x-1].Wide = true
			}
			continue
		}
		out[x].Text = string(k.r) + k.tail
	}
	return out
}
