package capture

import "math"

// A cell of a picture, in pixels. Their eighths are whole numbers vertically, and so are the quarters horizontally.
const (
	cellW = 12
	cellH = 24
)

type point struct{ x, y float64 }

// shape is one filled part of a glyph, in pixels from the cell's corner.
type shape struct {
	// points is a closed polygon; a rectangle has two corners only.
	points []point
	// alpha is how much of the ink it shows, 0..1.
	alpha float64
}

func (s shape) isRect() bool { return len(s.points) == 2 }

func rect(x0, y0, x1, y1 float64) shape { return shape{[]point{{x0, y0}, {x1, y1}}, 1} }

func polygon(points ...point) shape { return shape{points, 1} }

// shapes gives the parts of a character that is drawn rather than taken from a font; false for all others.
func shapes(r rune) ([]shape, bool) {
	switch {
	case r >= 0x2500 && r <= 0x257f:
		return boxShapes(r), true
	case r >= 0x2580 && r <= 0x259f:
		return blockShapes(r), true
	case r >= 0x2800 && r <= 0x28ff:
		return brailleShapes(r), true
	}
	s, ok := signShapes(r)
	return s, ok
}

func blockShapes(r rune) []shape {
	const w, h = cellW, cellH
	quarter := func(mask int) []shape {
		var out []shape
		for i, s := range []shape{rect(0, 0, w/2, h/2), rect(w/2, 0, w, h/2), rect(0, h/2, w/2, h), rect(w/2, h/2, w, h)} {
			if mask>>i&1 == 1 {
				out = append(out, s)
			}
		}
		return out
	}
	switch {
	case r == 0x2580:
		return []shape{rect(0, 0, w, h/2)}
	case r <= 0x2588:
		return []shape{rect(0, h-float64(r-0x2580)*h/8, w, h)}
	case r <= 0x258f:
		return []shape{rect(0, 0, float64(0x2590-r)*w/8, h)}
	case r == 0x2590:
		return []shape{rect(w/2, 0, w, h)}
	case r <= 0x2593:
		s := rect(0, 0, w, h)
		s.alpha = float64(r-0x2590) / 4
		return []shape{s}
	case r == 0x2594:
		return []shape{rect(0, 0, w, h/8)}
	case r == 0x2595:
		return []shape{rect(w-w/8.0, 0, w, h)}
	}
	// Bits: upper left, upper right, lower left, lower right.
	return quarter([...]int{4, 8, 1, 13, 9, 7, 11, 2, 6, 14}[r-0x2596])
}

// brailleShapes draws the dots of U+2800, whose bits run down the left column, then the right, the lowest row last.
func brailleShapes(r rune) []shape {
	var out []shape
	bits := r - 0x2800
	for i, at := range [8][2]int{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}, {0, 3}, {1, 3}} {
		if bits>>i&1 == 1 {
			out = append(out, disc(cellW*(1+2*float64(at[0]))/4, cellH*(1+2*float64(at[1]))/8, 1.9))
		}
	}
	return out
}

// disc is a circle as a polygon.
func disc(cx, cy, r float64) shape {
	return polygon(arc(cx, cy, r, 0, 2*math.Pi)...)
}

// arc gives points on a circle from angle a to b (clockwise from the right, y grows downwards).
func arc(cx, cy, r, a, b float64) []point {
	n := max(int(math.Abs(b-a)/(math.Pi/12)), 4)
	out := make([]point, 0, n+1)
	for i := range n + 1 {
		t := a + (b-a)*float64(i)/float64(n)
		out = append(out, point{cx + r*math.Cos(t), cy + r*math.Sin(t)})
	}
	return out
}

// ring is a part of a circle's line of a thickness.
func ring(cx, cy, r, thick, a, b float64) shape {
	outer, inner := arc(cx, cy, r+thick/2, a, b), arc(cx, cy, r-thick/2, b, a)
	return polygon(append(outer, inner...)...)
}

// stroke is a straight line of a thickness.
func stroke(x0, y0, x1, y1, thick float64) shape {
	l := math.Hypot(x1-x0, y1-y0)
	dx, dy := (y1-y0)/l*thick/2, (x0-x1)/l*thick/2
	return polygon(point{x0 + dx, y0 + dy}, point{x1 + dx, y1 + dy}, point{x1 - dx, y1 - dy}, point{x0 - dx, y0 - dy})
}

// signShapes draws the signs of the screen that monospaced fonts often lack.
func signShapes(r rune) ([]shape, bool) {
	const cx, cy = cellW / 2.0, cellH/2.0 + 1
	switch r {
	case '●':
		return []shape{disc(cx, cy, 4.8)}, true
	case '○':
		return []shape{ring(cx, cy, 4.2, 1.5, 0, 2*math.Pi)}, true
	case '◌':
		var out []shape
		for i := range 8 {
			t := float64(i) * math.Pi / 4
			out = append(out, disc(cx+4.4*math.Cos(t), cy+4.4*math.Sin(t), 0.9))
		}
		return out, true
	case '◆':
		return []shape{polygon(point{cx, cy - 6}, point{cx + 5.5, cy}, point{cx, cy + 6}, point{cx - 5.5, cy})}, true
	case '★':
		var p []point
		for i := range 10 {
			d := 5.8
			if i%2 == 1 {
				d = 2.4
			}
			t := float64(i)*math.Pi/5 - math.Pi/2
			p = append(p, point{cx + d*math.Cos(t), cy + d*math.Sin(t)})
		}
		return []shape{polygon(p...)}, true
	case '▲':
		return []shape{polygon(point{cx, cy - 5.5}, point{cx + 5.5, cy + 5}, point{cx - 5.5, cy + 5})}, true
	case '▼':
		return []shape{polygon(point{cx, cy + 5.5}, point{cx + 5.5, cy - 5}, point{cx - 5.5, cy - 5})}, true
	case '△':
		return []shape{stroke(cx, cy-5, cx+5, cy+5, 1.4), stroke(cx+5, cy+5, cx-5, cy+5, 1.4), stroke(cx-5, cy+5, cx, cy-5, 1.4)}, true
	case '▽':
		return []shape{stroke(cx, cy+5, cx+5, cy-5, 1.4), stroke(cx+5, cy-5, cx-5, cy-5, 1.4), stroke(cx-5, cy-5, cx, cy+5, 1.4)}, true
	case '▶', '▸':
		return []shape{polygon(point{cx - 4, cy - 5.5}, point{cx + 5, cy}, point{cx - 4, cy + 5.5})}, true
	case '◀', '◂':
		return []shape{polygon(point{cx + 4, cy - 5.5}, point{cx - 5, cy}, point{cx + 4, cy + 5.5})}, true
	case '✗', '✕':
		return []shape{stroke(cx-4.2, cy-4.8, cx+4.2, cy+4.8, 2.2), stroke(cx-4.2, cy+4.8, cx+4.2, cy-4.8, 2.2)}, true
	case '✓':
		return []shape{stroke(cx-4.5, cy+0.5, cx-1.3, cy+4.4, 2), stroke(cx-1.7, cy+4.6, cx+4.6, cy-5, 2)}, true
	case '☾':
		// The dark side is cut out by a second circle.
		return []shape{polygon(append(arc(cx, cy, 5.5, math.Pi*0.3, math.Pi*1.7), arc(cx+3.2, cy, 4.6, math.Pi*1.62, math.Pi*0.38)...)...)}, true
	case '⚠':
		return []shape{stroke(cx, cy-6, cx+5.2, cy+5, 1.4), stroke(cx+5.2, cy+5, cx-5.2, cy+5, 1.4), stroke(cx-5.2, cy+5, cx, cy-6, 1.4), rect(cx-0.7, cy-2.5, cx+0.7, cy+1.6), rect(cx-0.7, cy+2.6, cx+0.7, cy+4)}, true
	case '↻':
		return []shape{ring(cx, cy, 4.2, 1.5, -math.Pi*0.1, math.Pi*1.55), polygon(point{cx - 0.5, cy - 7}, point{cx + 3.8, cy - 4.3}, point{cx - 0.5, cy - 1.6})}, true
	case '■', '▪':
		return []shape{rect(cx-4.5, cy-4.5, cx+4.5, cy+4.5)}, true
	case '□', '▫':
		return []shape{rect(cx-4.5, cy-4.5, cx+4.5, cy-3), rect(cx-4.5, cy+3, cx+4.5, cy+4.5), rect(cx-4.5, cy-3, cx-3, cy+3), rect(cx+3, cy-3, cx+4.5, cy+3)}, true
	}
	return nil, false
}
