package live

import (
	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// edges collects border lines as directions per cell, so that lines which meet become the right corner.
type edges struct {
	w, h int
	dirs []uint8
}

const (
	up = 1 << iota
	down
	left
	right
)

func newEdges(w, h int) *edges { return &edges{w: w, h: h, dirs: make([]uint8, w*h)} }

func (e *edges) add(x, y int, d uint8) {
	if x >= 0 && y >= 0 && x < e.w && y < e.h {
		e.dirs[y*e.w+x] |= d
	}
}

func (e *edges) across(x, y, w int) {
	for i := range w {
		if i > 0 {
			e.add(x+i, y, left)
		}
		if i < w-1 {
			e.add(x+i, y, right)
		}
	}
}

func (e *edges) downward(x, y, h int) {
	for i := range h {
		if i > 0 {
			e.add(x, y+i, up)
		}
		if i < h-1 {
			e.add(x, y+i, down)
		}
	}
}

// joints are the box characters by directions.
var joints = [16]rune{
	0, '│', '│', '│', '─', '┘', '┐', '┤', '─', '└', '┌', '├', '─', '┴', '┬', '┼',
}

func (e *edges) draw(p grid.Pane, ink theme.Ink) {
	for y := range e.h {
		for x := range e.w {
			if r := joints[e.dirs[y*e.w+x]]; r != 0 {
				p.Rune(x, y, ink, r)
			}
		}
	}
}

// border draws a box around the whole pane.
func border(p grid.Pane, ink theme.Ink) {
	e := newEdges(p.W(), p.H())
	e.across(0, 0, p.W())
	e.across(0, p.H()-1, p.W())
	e.downward(0, 0, p.H())
	e.downward(p.W()-1, 0, p.H())
	e.draw(p, ink)
}
