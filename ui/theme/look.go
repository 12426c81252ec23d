package theme

import (
	"image/color"

	"charm.land/lipgloss/v2"
)

// Look is an ink resolved to what is seen, for pictures of the screen.
type Look struct {
	// Fore and Back are never nil: where the terminal's own colours are meant they are those of Ground.
	Fore, Back             color.Color
	Bold, Faint, Underline bool
	// Filled tells that the background differs from the ground.
	Filled bool
}

// Ground gives the colours that stand for the terminal's own: its text and what it is written on.
func (t *Theme) Ground() (text, ground color.Color) {
	if t.dark {
		return lipgloss.Color("#c8d0d9"), lipgloss.Color("#10151b")
	}
	return lipgloss.Color("#2b333b"), lipgloss.Color("#ffffff")
}

// Look resolves an ink as Open shows it: a faint one is mixed with the ground, an inverted one has its colours swapped.
func (t *Theme) Look(i Ink) Look {
	role, back := i&roleMask, i>>roleBits&roleMask
	text, ground := t.Ground()
	l := Look{Fore: text, Back: ground}
	if role >= end || back >= end {
		return l
	}
	s := t.looks[role]
	if s.fore != nil {
		l.Fore = s.fore
	}
	if s.back != nil {
		l.Back, l.Filled = s.back, true
	}
	if c := t.back[back]; back != 0 && c != nil {
		l.Back, l.Filled = c, true
	}
	l.Bold, l.Faint, l.Underline = s.bold, s.faint, s.underline
	if l.Faint {
		l.Fore = mix(l.Fore, l.Back, 0.45)
	}
	if s.reverse != i.IsReversed() {
		l.Fore, l.Back, l.Filled = l.Back, l.Fore, true
	}
	return l
}

// mix gives a colour with a share (0..1) of another in it.
func mix(a, b color.Color, share float64) color.Color {
	ar, ag, ab, _ := a.RGBA()
	br, bg, bb, _ := b.RGBA()
	part := func(x, y uint32) uint8 { return uint8((float64(x)*(1-share) + float64(y)*share) / 257) }
	return color.RGBA{part(ar, br), part(ag, bg), part(ab, bb), 255}
}
