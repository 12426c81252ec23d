package capture

import (
	"image/color"
	"unicode/utf8"

	"pitwall/ui/theme"
)

// fill is the colour of a group of shapes, with its share of the ink.
type fill struct {
	c     color.RGBA
	alpha float64
}

// run is text in one look on neighbouring cells, to be written with a font.
type run struct {
	x, y  int // cells
	cells int
	text  []string // one a cell; the second cell of a wide character has none
	look  theme.Look
}

// layers is a sheet taken apart: what is filled behind, what is drawn as shapes, what is written.
type layers struct {
	w, h  int // cells
	back  map[fill][]shape
	order []fill // of back, then front: as they were met
	front map[fill][]shape
	runs  []run
}

func rgba(c color.Color) color.RGBA {
	return color.RGBAModel.Convert(c).(color.RGBA)
}

// take takes a sheet apart.
func take(s Sheet) layers {
	w, h := s.Canvas.Size()
	l := layers{w: w, h: h, back: map[fill][]shape{}, front: map[fill][]shape{}}
	looks := map[theme.Ink]theme.Look{}
	for y := range h {
		var open *run
		for x, k := range s.Canvas.Cells(y) {
			look, ok := looks[k.Ink]
			if !ok {
				look = s.Theme.Look(k.Ink)
				looks[k.Ink] = look
			}
			ox, oy := float64(x*cellW), float64(y*cellH)
			if look.Filled {
				l.add(l.back, fill{rgba(look.Back), 1}, rect(ox, oy, ox+cellW, oy+cellH))
			}
			if look.Underline && k.Text != " " {
				l.add(l.front, fill{rgba(look.Fore), 1}, rect(ox, oy+cellH-3, ox+cellW, oy+cellH-1.5))
			}
			r, _ := utf8.DecodeRuneInString(k.Text)
			parts, drawn := shapes(r)
			if drawn {
				for _, part := range parts {
					moved := shape{make([]point, len(part.points)), part.alpha}
					for i, p := range part.points {
						moved.points[i] = point{p.x + ox, p.y + oy}
					}
					l.add(l.front, fill{rgba(look.Fore), part.alpha}, moved)
				}
			}
			if drawn || k.Text == " " {
				open = nil
				continue
			}
			if open == nil || open.look != look {
				l.runs = append(l.runs, run{x: x, y: y, look: look})
				open = &l.runs[len(l.runs)-1]
			}
			open.text = append(open.text, k.Text)
			open.cells++
		}
	}
	return l
}

// add files a shape; a rectangle that goes on where the last one of its colour ended makes that one longer, so that no
// seam can show.
func (l *layers) add(to map[fill][]shape, f fill, s shape) {
	list := to[f]
	if list == nil {
		l.order = append(l.order, f)
	}
	if n := len(list); n > 0 && s.isRect() && list[n-1].isRect() {
		a, b := list[n-1].points, s.points
		if a[0].y == b[0].y && a[1].y == b[1].y && a[1].x == b[0].x {
			a[1].x = b[1].x
			return
		}
	}
	to[f] = append(list, s)
}

// each calls f for every group, in an order that depends on the sheet only.
func (l *layers) each(of map[fill][]shape, f func(fill, []shape)) {
	seen := map[fill]bool{}
	for _, k := range l.order {
		if len(of[k]) > 0 && !seen[k] {
			seen[k] = true
			f(k, of[k])
		}
	}
}
