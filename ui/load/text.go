package load

import (
	"strings"

	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// span is a piece of a line in one ink.
type span struct {
	ink theme.Ink
	s   string
}

// text is one line that is ready to be drawn.
type text []span

func (t text) width() (n int) {
	for _, s := range t {
		n += grid.Width(s.s)
	}
	return n
}

// draw writes the line and gives the column after it.
func (t text) draw(p grid.Pane, x, y int) int {
	for _, s := range t {
		x = p.Text(x, y, s.ink, s.s)
	}
	return x
}

// wrapped breaks a sentence into lines; those after the first are indented by hang.
func wrapped(ink theme.Ink, hang int, s string, w int) []text {
	var out []text
	for i, l := range grid.Wrap(s, max(w-hang, 10)) {
		if i > 0 {
			l = strings.Repeat(" ", hang) + l
		}
		out = append(out, text{{ink, l}})
	}
	return out
}

// drawTexts writes lines from the one that was scrolled to on, and says how many more there are.
func drawTexts(p grid.Pane, lines []text, scroll int) {
	from := min(scroll, max(len(lines)-p.H(), 0))
	for y := range min(p.H(), len(lines)-from) {
		lines[from+y].draw(p, 0, y)
	}
	if more := len(lines) - from - p.H(); more > 0 && p.H() > 0 {
		p.Right(p.W(), p.H()-1, theme.Key, " j "+itoa(more)+" more lines ")
	}
}
