// Package grid is a sheet of terminal cells that drawing code writes on.
//
// In goes text with an ink at a place; whatever does not fit is cut by cells, never wrapped, and whatever a terminal could
// take for a command is made harmless. Out comes one string of exactly the lines the sheet has, none wider than it. The
// package knows nothing of panels or data.
package grid

import (
	"strings"

	"pitwall/ui/theme"
)

type cell struct {
	r    rune // 0: the right half of a wide character
	ink  theme.Ink
	tail string // combining marks
}

// Canvas is the whole sheet.
type Canvas struct {
	w, h  int
	cells []cell
}

// New makes an empty sheet. Sizes below zero count as zero.
func New(w, h int) *Canvas {
	w, h = max(w, 0), max(h, 0)
	c := &Canvas{w: w, h: h, cells: make([]cell, w*h)}
	for i := range c.cells {
		c.cells[i].r = ' '
	}
	return c
}

// Pane gives the whole sheet to draw on.
func (c *Canvas) Pane() Pane { return Pane{c: c, w: c.w, h: c.h} }

// Fade gives every cell the same ink, so that what is drawn afterwards stands out.
func (c *Canvas) Fade(ink theme.Ink) {
	for i := range c.cells {
		old := c.cells[i].ink
		c.cells[i].ink = ink
		if old.Back() != 0 {
			c.cells[i].ink = ink.On(ink)
		}
		if old.IsReversed() {
			c.cells[i].ink = ink.Reversed()
		}
	}
}

// String gives the sheet as text with colours; with plain set every glyph beyond ASCII is replaced by the ASCII one that
// looks most like it. Blanks at the end of a line are left out.
func (c *Canvas) String(th *theme.Theme, plain bool) string {
	var b strings.Builder
	b.Grow(c.w*c.h*2 + 64)
	for y := range c.h {
		if y > 0 {
			b.WriteByte('\n')
		}
		row := c.cells[y*c.w : (y+1)*c.w]
		last := len(row)
		for last > 0 && row[last-1].r == ' ' && !visibleBlank(row[last-1].ink) {
			last--
		}
		open := ""
		seen := false // whether what was last to be seen before x has a background, which must not leak into a blank
		for x := 0; x < last; x++ {
			k := row[x]
			leaks := seen
			if k.r != ' ' || visibleBlank(k.ink) {
				seen = visibleBlank(k.ink)
			}
			if k.r == 0 {
				continue
			}
			r, ink := k.r, k.ink
			if ink.Back() != 0 && (plain || th.Flat()) && r > '▀' && r < '█' {
				// Two layers of a chart share the cell, and only colours could tell them apart: the larger part has it.
				if r >= '▅' {
					r = '█'
				} else {
					r, ink = '▒', ink.Back()
				}
				ink = ink.On(0)
			}
			if plain && r > 126 {
				r, ink = ascii(r, ink)
			}
			want := open
			if r != ' ' || visibleBlank(ink) || visibleBlank(k.ink) {
				want = th.Open(ink)
			} else if open != "" && (leaks || th.Flat()) {
				want = "" // without colours a look may be a line under the text, which a blank would show
			}
			if want != open {
				if open != "" {
					b.WriteString("\x1b[m")
				}
				b.WriteString(want)
				open = want
			}
			b.WriteRune(r)
			if k.tail != "" && !plain {
				b.WriteString(k.tail)
			}
			if plain && k.r > 126 && x+1 < len(row) && row[x+1].r == 0 {
				b.WriteByte('?')
			}
		}
		if open != "" {
			b.WriteString("\x1b[m")
		}
	}
	return b.String()
}

// visibleBlank tells whether a blank in this ink can be seen: it has a background.
func visibleBlank(i theme.Ink) bool {
	return i.IsReversed() || i.Back() != 0 || i == theme.Alarm || i == theme.Notice || i == theme.Badge || i == theme.Selected
}

// Pane is a rectangle of a sheet; coordinates begin at its own corner and nothing is ever drawn beyond it.
type Pane struct {
	c          *Canvas
	x, y, w, h int
}

// W is the width in cells.
func (p Pane) W() int { return p.w }

// H is the height in lines.
func (p Pane) H() int { return p.h }

// Sub gives a rectangle of the pane, cut to what lies inside it.
func (p Pane) Sub(x, y, w, h int) Pane {
	if x < 0 {
		w, x = w+x, 0
	}
	if y < 0 {
		h, y = h+y, 0
	}
	w, h = min(w, p.w-x), min(h, p.h-y)
	return Pane{c: p.c, x: p.x + x, y: p.y + y, w: max(w, 0), h: max(h, 0)}
}

// Rune puts one narrow character.
func (p Pane) Rune(x, y int, ink theme.Ink, r rune) {
	if x < 0 || y < 0 || x >= p.w || y >= p.h {
		return
	}
	p.put(x, y, cell{r: r, ink: ink})
}

// At gives the character of a cell and its ink; blank outside.
func (p Pane) At(x, y int) (rune, theme.Ink) {
	if x < 0 || y < 0 || x >= p.w || y >= p.h {
		return ' ', 0
	}
	k := p.c.cells[(p.y+y)*p.c.w+p.x+x]
	return k.r, k.ink
}

// Ink changes the ink of a run of cells without changing what stands in them.
func (p Pane) Ink(x, y, w int, ink theme.Ink) {
	for ; w > 0; x, w = x+1, w-1 {
		if x >= 0 && y >= 0 && x < p.w && y < p.h {
			p.c.cells[(p.y+y)*p.c.w+p.x+x].ink = ink
		}
	}
}

// Caret changes the ink of the one character at a cell, both halves of it if it is wide: where one types.
func (p Pane) Caret(x, y int, ink theme.Ink) {
	if r, _ := p.At(x, y); r == 0 {
		x--
	}
	w := 1
	if r, _ := p.At(x+1, y); r == 0 {
		w = 2
	}
	p.Ink(x, y, w, ink)
}

// put writes a cell and repairs a wide character that it cuts in half.
func (p Pane) put(x, y int, k cell) {
	i := (p.y+y)*p.c.w + p.x + x
	if p.c.cells[i].r == 0 && p.x+x > 0 {
		p.c.cells[i-1] = cell{r: ' ', ink: p.c.cells[i-1].ink}
	}
	if p.x+x+1 < p.c.w && p.c.cells[i+1].r == 0 && k.r != 0 {
		p.c.cells[i+1] = cell{r: ' ', ink: p.c.cells[i+1].ink}
	}
	p.c.cells[i] = k
}

// Text writes s from x and gives the column after it. What does not fit is cut; what is not a printable character is
// made one.
func (p Pane) Text(x, y int, ink theme.Ink, s string) int {
	if y < 0 || y >= p.h {
		return x + Width(s)
	}
	for _, r := range s {
		r, w := clean(r)
		switch w {
		case -1:
		case 0:
			if x > 0 && x <= p.w {
				k := &p.c.cells[(p.y+y)*p.c.w+p.x+x-1]
				if k.r != 0 && k.r != ' ' && len(k.tail) < 8 {
					k.tail += string(r)
				}
			}
		case 1:
			if x >= 0 && x < p.w {
				p.put(x, y, cell{r: r, ink: ink})
			}
			x++
		case 2:
			if x >= 0 && x+1 < p.w {
				p.put(x, y, cell{r: r, ink: ink})
				p.put(x+1, y, cell{r: 0, ink: ink})
			}
			x += 2
		}
	}
	return x
}

// Right writes s so that it ends before column x, cutting its end if it is wider than x cells.
func (p Pane) Right(x, y int, ink theme.Ink, s string) {
	w := Width(s)
	if w > x {
		s = Cut(s, x)
		w = Width(s)
	}
	p.Text(x-w, y, ink, s)
}

// Line writes one character w times.
func (p Pane) Line(x, y, w int, ink theme.Ink, r rune) {
	for i := range max(w, 0) {
		p.Rune(x+i, y, ink, r)
	}
}

// Clear blanks the pane.
func (p Pane) Clear(ink theme.Ink) {
	for y := range p.h {
		p.Line(0, y, p.w, ink, ' ')
	}
}

// Copy writes one line of another sheet over the first line of the pane.
func (p Pane) Copy(from *Canvas, y int) {
	if y < 0 || y >= from.h || p.h == 0 {
		return
	}
	n := min(p.w, from.w)
	copy(p.c.cells[p.y*p.c.w+p.x:p.y*p.c.w+p.x+n], from.cells[y*from.w:y*from.w+n])
}
