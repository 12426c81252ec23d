package panel

import (
	"strings"

	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// digit gives a numeral three lines high, made of half blocks; false for what there is none of.
func digit(r rune) ([3]string, bool) {
	d, ok := map[rune][3]string{
		'0': {"█▀█", "█ █", "▀▀▀"}, '1': {"▀█ ", " █ ", "▀▀▀"}, '2': {"▀▀█", "█▀▀", "▀▀▀"}, '3': {"▀▀█", " ▀█", "▀▀▀"}, '4': {"█ █", "▀▀█", "  ▀"},
		'5': {"█▀▀", "▀▀█", "▀▀▀"}, '6': {"█▀▀", "█▀█", "▀▀▀"}, '7': {"▀▀█", "  █", "  ▀"}, '8': {"█▀█", "█▀█", "▀▀▀"}, '9': {"█▀█", "▀▀█", "▀▀▀"},
		'.': {" ", " ", "▄"}, ',': {" ", " ", "▄"}, '-': {"  ", "▀▀", "  "}, '≤': {" ▄▀", " ▀▄", "▀▀▀"}, '>': {"▀▄ ", "▄▀ ", "   "},
	}[r]
	return d, ok
}

// drawNumber draws each series as a large number with the line of its past beneath; several stand beside each other.
func drawNumber(s Spec, rows []Row, r Room) {
	p := r.Box
	n := min(len(rows), max(p.W()/20, 1))
	lines := (len(rows) + n - 1) / n
	if lines > p.H() {
		lines = max(p.H(), 1)
	}
	h := max(p.H()/max(lines, 1), 1)
	w := p.W() / n
	for i, row := range rows {
		x, y := i%n*w, i/n*h
		if y >= p.H() {
			return
		}
		numberTile(s, row, p.Sub(x, y, w-1, h), r, len(rows) > 1)
	}
}

func numberTile(s Spec, row Row, p grid.Pane, r Room, named bool) {
	ink := inkOf(row.Level, theme.Strong)
	text := row.Text(row.Now)
	y := 0
	if named && p.H() > 1 {
		p.Text(1, 0, theme.Dim, grid.Cut(row.Name, p.W()-1))
		y = 1
	}
	number, unit, _ := strings.Cut(text, " ")
	if p.H()-y >= 4 && !r.ASCII && row.Now.OK && bigWidth(number) > 0 && bigWidth(number)+grid.Width(unit)+2 <= p.W() {
		x := big(p.Sub(1, y, p.W()-1, 3), ink, number) + 1
		p.Text(x+1, y+2, theme.Dim, unit)
		if row.Word != "" {
			p.Text(x+1, y, ink, row.Word)
		}
		y += 3
	} else {
		x := p.Text(1, y, ink, text)
		if row.Word != "" {
			x = p.Text(x+1, y, ink, row.Word)
		}
		if !named && p.H() == 1 {
			past(s, row, p.Sub(x+1, y, p.W()-x-1, 1))
			return
		}
		y++
	}
	note := "max " + row.Text(row.Peak)
	if r.Marked {
		note = row.Text(row.Before) + " → " + row.Text(row.After)
	}
	if p.H()-y >= 2 && (row.Peak.OK || r.Marked) {
		p.Text(1, y, theme.Faint, grid.Cut(note, p.W()-1))
		y++
	}
	past(s, row, p.Sub(1, y, p.W()-1, p.H()-y))
}

// past draws how a number came about, as high as there is room.
func past(s Spec, row Row, p grid.Pane) {
	if p.H() < 1 || p.W() < 4 {
		return
	}
	values := row.values
	if len(values) > p.W() {
		values = squeezed(values, p.W())
	}
	_, to := ends(s, plot.Peak(values), 0)
	if p.H() == 1 {
		plot.Spark(p, to, values, theme.A.Crest())
		return
	}
	plot.Area(p, to, plot.Layer{Values: values, Ink: theme.A})
}

// squeezed gives fewer columns, each the greatest of those it stands for: a spike must not vanish.
func squeezed(values []float64, n int) []float64 {
	out := make([]float64, n)
	for x := range out {
		out[x] = plot.Peak(values[x*len(values)/n : max((x+1)*len(values)/n, x*len(values)/n+1)])
	}
	return out
}

// bigWidth is the width of a number in large digits, 0 if it has other characters.
func bigWidth(s string) int {
	w := 0
	for _, c := range s {
		d, ok := digit(c)
		if !ok {
			return 0
		}
		w += len([]rune(d[0])) + 1
	}
	return w
}

// big writes a number in large digits and gives the column after it.
func big(p grid.Pane, ink theme.Ink, s string) int {
	x := 0
	for _, c := range s {
		d, _ := digit(c)
		for y, line := range d {
			for i, g := range []rune(line) {
				if g != ' ' {
					p.Rune(x+i, y, ink, g)
				}
			}
		}
		x += len([]rune(d[0])) + 1
	}
	return x
}
