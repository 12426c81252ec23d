package ui

import (
	"bytes"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"
)

// wire is the way from a picture to a terminal, as Bubble Tea's renderer goes it: what changed since the last picture, in
// as few bytes as it knows. It makes the bytes countable without a clock or a terminal.
type wire struct {
	out   bytes.Buffer
	scr   *uv.TerminalRenderer
	cells uv.ScreenBuffer
	title string
}

func newWire(w, h int, profile colorprofile.Profile) *wire {
	x := &wire{cells: uv.NewScreenBuffer(w, h)}
	x.scr = uv.NewTerminalRenderer(&x.out, []string{"TERM=xterm-256color"})
	x.scr.SetColorProfile(profile)
	x.scr.SetScrollOptim(true)
	x.scr.SetFullscreen(true)
	x.scr.SetRelativeCursor(false)
	x.scr.Erase()
	x.scr.Resize(w, h)
	return x
}

// send writes a picture and gives the bytes that it took.
func (x *wire) send(v tea.View) []byte {
	from := x.out.Len()
	if v.WindowTitle != x.title {
		x.title = v.WindowTitle
		x.scr.WriteString("\x1b]2;" + v.WindowTitle + "\x07")
	}
	x.cells.Clear()
	uv.NewStyledString(v.Content).Draw(x.cells, x.cells.Bounds())
	x.scr.Render(x.cells.RenderBuffer)
	if err := x.scr.Flush(); err != nil {
		panic(err) // a bytes.Buffer never fails
	}
	return x.out.Bytes()[from:]
}
