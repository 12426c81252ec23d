package browse

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/overlay"
	"pitwall/ui/plot"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// The list's lines above and below its rows: filter, columns' names; help, expression.
const (
	listHead = 3
	listFoot = 3
)

// page is how many rows can be seen.
func (b *Browser) page() int {
	_, h := b.Size(b.w, b.h)
	return max(h-2-listHead-listFoot, 1)
}

// first is the row at the top of the list.
func (b *Browser) first() int {
	n := b.page()
	return max(0, min(b.chosen-n/2, len(b.rows)-n))
}

// visible gives the rows on the screen.
func (b *Browser) visible() []row {
	from := b.first()
	return b.rows[from:min(from+b.page(), len(b.rows))]
}

// Draw implements screen.Overlay.
func (b *Browser) Draw(p grid.Pane, f screen.Frame) {
	if b.charted != nil {
		b.drawChart(p, f)
		return
	}
	in := overlay.Box(p, "every series")
	at, live := b.moment()
	when := "now"
	if !live {
		when = "at " + at.Format("15:04:05")
	}
	p.Right(p.W()-2, 0, theme.Dim, " "+when+" ")
	b.drawFilter(in)
	if !b.loaded {
		in.Text(1, listHead, theme.Dim, "reading the list…")
		return
	}
	if len(b.rows) == 0 {
		why := "nothing is recorded yet"
		if b.all.size() > 0 {
			why = "no series has all of these words in its name, help, type or labels"
		}
		in.Text(1, listHead, theme.Dim, grid.Cut(why, in.W()-2))
		return
	}
	c := b.layout(in.W())
	for _, h := range []struct {
		x    int
		name string
	}{{c.name, "name"}, {c.typ, "type"}, {c.labels, "labels"}, {c.spark, figure.Ago(b.window)}} {
		if h.x > 0 || h.name == "name" {
			in.Text(h.x+2, listHead-1, theme.Faint, h.name)
		}
	}
	in.Right(c.now+nowW+2, listHead-1, theme.Faint, map[bool]string{true: "now", false: "value"}[live])
	for y, r := range b.visible() {
		line := in.Sub(0, listHead+y, in.W(), 1)
		b.drawRow(line, r, c)
		if b.first()+y == b.chosen {
			// The sparkline keeps its ink: a block of the selection's would hide it.
			line.Ink(0, 0, in.W(), theme.Selected)
			if c.spark > 0 {
				line.Ink(c.spark+2, 0, sparkPoints, theme.A.Crest())
			}
		}
	}
	if r, ok := b.current(); ok {
		b.drawFoot(in.Sub(0, in.H()-listFoot, in.W(), listFoot), r)
	}
}

// drawFilter writes the line that is typed into, and how much of the list it lets through.
func (b *Browser) drawFilter(in grid.Pane) {
	x := in.Text(1, 0, theme.Dim, "filter ")
	input := b.input
	series, names := 0, 0
	for _, r := range b.rows {
		if r.e == nil {
			series += len(r.found)
			names++
		}
	}
	count := fmt.Sprintf("%s series of %s names", figure.Whole(float64(series)), figure.Whole(float64(names)))
	if total := b.all.size(); total != series {
		count += " · of " + figure.Whole(float64(total)) + " series"
	}
	input.SetWidth(max(in.W()-x-grid.Width(count)-4, 8))
	input.SetCursor(input.Position()) // so that it scrolls to the cursor at this width
	ink := theme.Strong
	if b.input.Value() == "" {
		ink = theme.Faint
	}
	in.Text(x, 0, ink, grid.Cut(ansi.Strip(input.View()), in.W()-x-2))
	if b.typing {
		if c := input.Cursor(); c != nil {
			in.Caret(x+c.X, 0, theme.Selected)
		}
	}
	in.Right(in.W()-1, 0, theme.Dim, " "+count)
}

// place is where the columns of the list stand; a column at 0 is left out.
type place struct{ name, nameW, typ, labels, labelsW, spark, now int }

const (
	nowW  = 12
	markW = 4
	typeW = 10
)

func (b *Browser) layout(w int) place {
	var c place
	c.now = w - nowW - 3
	c.spark = c.now - markW - sparkPoints - 1
	rest := c.spark - 1
	if w < 100 {
		c.spark, rest = 0, c.now-markW-1
	}
	c.nameW = min(max(rest*2/5, 40), 56)
	at := c.nameW + 1
	if w >= 100 {
		c.typ = at
		at += typeW + 1
	}
	if rest-at > 8 {
		c.labels, c.labelsW = at, rest-at-1
	} else {
		c.nameW = rest
	}
	return c
}

func (b *Browser) drawRow(line grid.Pane, r row, c place) {
	m := b.summary(r)
	switch {
	case r.e != nil:
		// A series below its name has the room of both columns for its labels.
		line.Text(4, 0, theme.Dim, grid.Cut(short(r.e.text), max(c.labels+c.labelsW, c.nameW)-3))
	default:
		sign := ' '
		if len(r.found) > 1 {
			sign = '▸'
			if b.open[r.f.name] {
				sign = '▼'
			}
		}
		line.Rune(0, 0, theme.Faint, sign)
		line.Text(2, 0, theme.Plain, grid.Cut(short(r.f.name), c.nameW-1))
		if c.typ > 0 {
			line.Text(c.typ+2, 0, theme.Faint, grid.Cut(r.f.typ, typeW))
		}
		if c.labels > 0 {
			text := ""
			switch e := r.only(); {
			case e != nil && len(r.f.series) > 1:
				text = fmt.Sprintf("1 of %d series: %s", len(r.f.series), short(e.text))
			case e != nil:
				text = short(e.text)
			case len(r.found) < len(r.f.series):
				text = fmt.Sprintf("%d of %d series", len(r.found), len(r.f.series))
			default:
				text = fmt.Sprintf("%d series", len(r.f.series))
			}
			line.Text(c.labels+2, 0, theme.Dim, grid.Cut(text, c.labelsW))
		}
	}
	v, known := b.values[m.expr]
	switch {
	case m.expr == "":
		line.Right(c.now+nowW+2, 0, theme.Faint, figure.Absent)
		return
	case !known:
		line.Right(c.now+nowW+2, 0, theme.Faint, "…")
		return
	case v.err != "":
		line.Right(c.now+nowW+2, 0, theme.Bad, "error")
		return
	}
	ink := theme.Strong
	if !v.now.OK {
		ink = theme.Faint
	}
	line.Right(c.now+nowW+2, 0, ink, grid.Cut(v.now.Text(m.written), nowW+1))
	if m.mark != "" && v.now.OK {
		line.Text(c.now-markW+2, 0, theme.Faint, m.mark)
	}
	if c.spark > 0 {
		plot.Spark(line.Sub(c.spark+2, 0, sparkPoints, 1), plot.Scale(plot.Peak(v.spark), 0), v.spark, theme.A.Crest())
	}
}

// written gives a number with its unit.
func (m meaning) written(v float64) string {
	s := m.format(v)
	if strings.HasSuffix(m.unit, "/s") && !strings.HasSuffix(s, "/s") {
		s += "/s"
	}
	return s
}

// drawFoot tells of the chosen row what there is no room for in its line.
func (b *Browser) drawFoot(p grid.Pane, r row) {
	w := p.W() - 2
	help := r.f.help
	if help == "" {
		help = "its source says nothing about it"
	}
	p.Text(1, 0, theme.Dim, grid.Cut(short(help), w))
	m := b.summary(r)
	if v := b.values[m.expr]; v.err != "" {
		p.Text(1, 1, theme.Bad, grid.Cut(short(v.err), w))
	} else if m.expr == "" {
		p.Text(1, 1, theme.Faint, grid.Cut(m.drawn, w))
	} else {
		x := p.Text(1, 1, theme.Faint, "expr ")
		p.Text(x, 1, theme.Info, grid.Cut(short(m.expr), w-5))
	}
	if b.note != "" {
		p.Text(1, 2, theme.Warn, grid.Cut(b.note, w))
	}
}

// short cuts what comes from outside before it is measured: names of a million characters are possible.
func short(s string) string {
	const most = 2000
	if len(s) > most {
		return s[:most]
	}
	return s
}
