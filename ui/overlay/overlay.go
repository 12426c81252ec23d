// Package overlay holds the boxes that open on top of a screen: a list to choose from, a line of text, the help.
//
// In go items, a title and what to do with the choice; out come commands. A box has every key until it closes, and knows
// nothing of the screen under it.
package overlay

import (
	tea "charm.land/bubbletea/v2"

	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// frame draws the box: border, title on it, and blanks inside. It gives the inside.
func frame(p grid.Pane, title string) grid.Pane {
	p.Clear(theme.Plain)
	w, h := p.W(), p.H()
	if w < 2 || h < 2 {
		return p
	}
	for x := 1; x < w-1; x++ {
		p.Rune(x, 0, theme.Focus, '─')
		p.Rune(x, h-1, theme.Focus, '─')
	}
	for y := 1; y < h-1; y++ {
		p.Rune(0, y, theme.Focus, '│')
		p.Rune(w-1, y, theme.Focus, '│')
	}
	p.Rune(0, 0, theme.Focus, '╭')
	p.Rune(w-1, 0, theme.Focus, '╮')
	p.Rune(0, h-1, theme.Focus, '╰')
	p.Rune(w-1, h-1, theme.Focus, '╯')
	p.Text(2, 0, theme.Title, " "+grid.Cut(title, w-6)+" ")
	return p.Sub(1, 1, w-2, h-2)
}

// keyOf gives a key press by name; "" for any other message.
func keyOf(msg tea.Msg) string {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		return k.String()
	}
	return ""
}
