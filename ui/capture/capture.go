// Package capture takes what is on the screen out of the terminal: the whole picture as text, SVG or PNG, and the numbers
// of one panel for the clipboard.
//
// In goes a drawn sheet with the theme it is shown in, or a table of numbers. Out come bytes, or a new file that only its
// owner may read. Lines, blocks and braille are drawn as shapes, so that nothing depends on a font's idea of them. It
// writes over no file, and adds nothing to what the screen showed.
package capture

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// Sheet is one drawn screen.
type Sheet struct {
	Canvas *grid.Canvas
	Theme  *theme.Theme
	// ASCII says that the screen showed no character beyond ASCII; the text has none either then.
	ASCII bool
	// Title is what an SVG is called.
	Title string
}

// Format is a kind of file.
type Format int

// The formats.
const (
	Text Format = iota
	SVG
	PNG
)

var formats = [...]string{"text", "SVG", "PNG"}

// String gives the word for the screen.
func (f Format) String() string { return formats[f] }

// Extension is how the names of its files end.
func (f Format) Extension() string { return [...]string{".txt", ".svg", ".png"}[f] }

// FormatOf tells a format by a file's name; false if the ending is none of theirs.
func FormatOf(path string) (Format, bool) {
	for f := Text; f <= PNG; f++ {
		if strings.HasSuffix(strings.ToLower(path), f.Extension()) {
			return f, true
		}
	}
	return Text, false
}

// Write writes the sheet.
func Write(w io.Writer, s Sheet, f Format) error {
	switch f {
	case Text:
		_, err := io.WriteString(w, Plain(s))
		return err
	case SVG:
		return writeSVG(w, s)
	case PNG:
		return writePNG(w, s)
	}
	return fmt.Errorf("there is no format %d", int(f))
}

// Plain gives the sheet as text without colours, one line each, blanks at their ends left out.
func Plain(s Sheet) string {
	lines := strings.Split(ansi.Strip(s.Canvas.String(s.Theme, s.ASCII)), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}
