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
	value string
	ink   theme.Ink
	note  string
	// noteInk is Dim unless it is set.
	noteInk theme.Ink
	right   string
	// query is the id of the query whose reason stands here when the value is absent.
	query string
	// key is the ink of the mark that ties the row to its line in the chart, 0 for none; glyph is the mark.
	key   theme.Ink
	glyph rune
	// gauge draws a level behind the note, where it is between 0 and 1.
	gauge    figure.Value
	gaugeInk theme.Ink
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
	if r.value != "" {
		vw := grid.Width(r.value)
		at := x + max(valueW-vw, 0)
		if r.value == figure.Absent && grid.Width(r.note) > end-at-vw-1 {
			at = x // a long reason takes the value's place
		}
		p.Text(at, 0, r.ink, r.value)
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
