package capture

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"pitwall/ui/grid"
)

// writeSVG writes the sheet with text as text (to be searched and copied) and everything else as shapes. It has no script,
// no link and no foreign font.
func writeSVG(to io.Writer, s Sheet) error {
	l := take(s)
	_, ground := s.Theme.Ground()
	w := bufio.NewWriter(to)
	width, height := l.w*cellW, l.h*cellH
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">`+"\n", width, height, width, height)
	if t := escaped(grid.Clean(s.Title)); t != "" {
		fmt.Fprintf(w, "<title>%s</title>\n", t)
	}
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" fill="%s"/>`+"\n", hex(fill{rgba(ground), 1}))
	paths := func(f fill, list []shape) {
		fmt.Fprintf(w, `<path fill="%s"`, hex(f))
		if f.alpha < 1 {
			fmt.Fprintf(w, ` fill-opacity="%s"`, number(f.alpha))
		}
		io.WriteString(w, ` d="`)
		for _, s := range list {
			path(w, s)
		}
		io.WriteString(w, "\"/>\n")
	}
	io.WriteString(w, `<g shape-rendering="crispEdges">`+"\n")
	l.each(l.back, paths)
	io.WriteString(w, "</g>\n")
	l.each(l.front, paths)
	fmt.Fprintf(w, `<g font-family="'DejaVu Sans Mono','Menlo','Consolas','Liberation Mono',monospace" font-size="%d" xml:space="preserve">`+"\n", cellH*5/6)
	for _, r := range l.runs {
		fmt.Fprintf(w, `<text x="%d" y="%d" textLength="%d" lengthAdjust="spacingAndGlyphs" fill="%s"`, r.x*cellW, r.y*cellH+baseline, r.cells*cellW, hex(fill{rgba(r.look.Fore), 1}))
		if r.look.Bold {
			io.WriteString(w, ` font-weight="bold"`)
		}
		fmt.Fprintf(w, ">%s</text>\n", escaped(strings.Join(r.text, "")))
	}
	io.WriteString(w, "</g>\n</svg>\n")
	return w.Flush() // the first error of all writes
}

// baseline is where letters stand in a cell, in pixels from its top.
const baseline = 18

// escaped gives text for XML: what means something there is written as an entity, what XML does not allow is replaced.
func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}

func path(w io.Writer, s shape) {
	if s.isRect() {
		a, b := s.points[0], s.points[1]
		fmt.Fprintf(w, "M%s %sH%sV%sH%sz", number(a.x), number(a.y), number(b.x), number(b.y), number(a.x))
		return
	}
	for i, p := range s.points {
		c := "L"
		if i == 0 {
			c = "M"
		}
		fmt.Fprintf(w, "%s%s %s", c, number(p.x), number(p.y))
	}
	io.WriteString(w, "z")
}

func number(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

func hex(f fill) string { return fmt.Sprintf("#%02x%02x%02x", f.c.R, f.c.G, f.c.B) }
