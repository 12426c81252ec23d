package live

import (
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// row is one line of numbers: a label, a value with its unit, a note, and what stands at the right end (the greatest value
// of the window). A row without a value is one sentence.
type row struct {
	label string
	// value is the number as text. Where num and format are given it is written from them, and two moments can be compared.
	value  string
	num    figure.Value
	format func(float64) string
	ink    theme.Ink
	note   string
	// noteInk is Dim unless it is set.
	noteInk theme.Ink
	right   string
	// total is the id of the query whose counters' rise stands here between two marked times.
	total string
	// pair says that value holds two numbers, which may take more room than one.
	pair bool
	// query is the id of the query whose reason stands here when the value is absent.
	query string
	// key is the ink of the mark that ties the row to its line in the chart, 0 for none; glyph is the mark.
	key   theme.Ink
	glyph rune
	// gauge draws a level behind the note, where it is between 0 and 1.
	gauge    figure.Value
	gaugeInk theme.Ink
}

// text is the row's value as it is written.
func (r row) text() string {
	if r.value == "" && r.format != nil {
		return r.num.Text(r.format)
	}
	return r.value
}

const (
	labelW = 10
	valueW = 9
)

// drawRows writes as many rows as fit.
func drawRows(p grid.Pane, rows []row) {
	for y, r := range rows {
		if y >= p.H() {
			return
		}
		drawRow(p.Sub(0, y, p.W(), 1), r)
	}
}

func drawRow(p grid.Pane, r row) {
	r.value = r.text()
	w := p.W()
	x := 0
	if r.glyph != 0 {
		p.Rune(0, 0, r.key, r.glyph)
	}
	x = 2
	p.Text(x, 0, theme.Dim, grid.Cut(r.label, labelW))
	end := w
	if r.right != "" && (r.value != figure.Absent || r.note == "") { // the reason needs the room
		p.Right(w, 0, theme.Dim, r.right)
		end = w - grid.Width(r.right) - 2
	}
	x = 2 + labelW
	if r.pair {
		x = p.Text(x+1, 0, r.ink, grid.Cut(r.value, w-x-1))
		if x+2 < w {
			p.Text(x+2, 0, theme.Dim, grid.Cut(r.note, w-x-2))
		}
		return
	}
	if r.value != "" {
		vw := grid.Width(r.value)
		at := x + max(valueW-vw, 0)
		if r.value == figure.Absent && grid.Width(r.note) > end-at-vw-1 {
			at = x // a long reason takes the value's place
		}
		p.Text(at, 0, r.ink, grid.Cut(r.value, max(end-at, 0)))
		if at == x {
			x += vw + 1
		} else {
			x = max(x+valueW, at+vw) + 1
		}
	}
	if r.gauge.OK && end-x >= 6 {
		gw := min(end-x-grid.Width(r.note)-1, 14)
		if r.note == "" {
			gw = min(end-x, 14)
		}
		if gw >= 4 {
			bar(p.Sub(x, 0, gw, 1), r.gauge.V, r.gaugeInk)
			x += gw + 1
		}
	}
	if r.note != "" && end > x {
		ink := r.noteInk
		if ink == theme.Plain {
			ink = theme.Dim
		}
		p.Text(x, 0, ink, grid.Cut(r.note, end-x))
	}
}
