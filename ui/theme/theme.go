// Package theme turns what a cell means into how a terminal shows it.
//
// In goes an Ink (a role such as Warn or Border) and what the terminal can do: colours, a dark or a light background. Out
// comes an SGR sequence. No other package holds a colour. A theme never carries meaning alone: whoever draws adds a word,
// a letter or a shape, so that the screen without any colour says the same.
package theme

import (
	"image/color"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

// Ink is the role of a cell's foreground; On adds one for its background, Reversed swaps the two. The zero value is the
// terminal's own text colour.
type Ink uint16

// The roles.
const (
	Plain    Ink = iota // text that is neither loud nor quiet
	Strong              // the number one looks for
	Dim                 // labels, units
	Faint               // axes, what is old or absent
	Border              // lines between panels
	Focus               // the border of the focused panel
	Title               // panel titles
	Key                 // a letter that acts when it is pressed
	Good                // as it should be
	Warn                // worth a look
	Bad                 // act
	Info                // neither good nor bad, but changing
	Alarm               // Bad, inverted: a badge
	Notice              // Warn, inverted: a badge
	Badge               // Info, inverted: a badge
	Selected            // the chosen row
	Brand               // the program's name
	gap
	// The charts' series, each a ramp of Shades roles from its foot to its crest.
	A
	B   = A + Shades
	C   = B + Shades
	D   = C + Shades
	W   = D + Shades // past the first threshold
	X   = W + Shades // past the second one
	end = X + Shades
)

// Shades is the number of roles of a series' ramp: A … A+Shades-1.
const Shades = 8

const (
	roleBits = 7
	roleMask = 1<<roleBits - 1
	reversed = 1 << 15
)

// On gives the ink with another role's colour as its background.
func (i Ink) On(back Ink) Ink { return i&^(roleMask<<roleBits) | (back&roleMask)<<roleBits }

// Reversed swaps foreground and background, for glyphs that exist in one orientation only.
func (i Ink) Reversed() Ink { return i ^ reversed }

// Back gives the role that On set, 0 for none.
func (i Ink) Back() Ink { return i >> roleBits & roleMask }

// IsReversed tells whether Reversed was applied.
func (i Ink) IsReversed() bool { return i&reversed != 0 }

// Crest gives the brightest role of the ramp that begins with i.
func (i Ink) Crest() Ink { return i + Shades - 1 }

// Theme is the look of one terminal. It is never changed after New.
type Theme struct {
	fore   [end]ansi.Style
	back   [end]color.Color
	simple [end]string
	looks  [end]look
	dark   bool
	flat   bool
}

// Options tell what the terminal can do.
type Options struct {
	// Dark is whether the background is dark.
	Dark bool
	// Profile is what colours there are; Ascii and NoTTY mean none.
	Profile colorprofile.Profile
}

// New makes a theme.
func New(o Options) *Theme {
	t := &Theme{dark: o.Dark}
	p := paletteFor(o)
	t.flat = p.plain
	for role := Plain; role < end; role++ {
		s := p.style(role)
		t.back[role], t.looks[role] = s.fore, s
		st := ansi.Style{}
		if s.bold {
			st = st.Bold()
		}
		if s.faint {
			st = st.Faint()
		}
		if s.underline {
			st = st.Underline(true)
		}
		if s.fore != nil {
			st = st.ForegroundColor(s.fore)
		}
		if s.back != nil {
			st = st.BackgroundColor(s.back)
		}
		if s.reverse {
			st = st.Reverse(true)
		}
		t.fore[role] = st
		if len(st) > 0 {
			t.simple[role] = st.String()
		}
	}
	return t
}

// Dark tells for which background the theme was made.
func (t *Theme) Dark() bool { return t.dark }

// Flat tells that there are no colours: a background given with On is not seen.
func (t *Theme) Flat() bool { return t.flat }

// Open gives the SGR sequence that begins a run of cells in this ink; empty for the terminal's own colours.
func (t *Theme) Open(i Ink) string {
	role, back := i&roleMask, i>>roleBits&roleMask
	if role >= end || back >= end {
		return ""
	}
	if i < end {
		return t.simple[role]
	}
	st := append(ansi.Style{}, t.fore[role]...)
	if c := t.back[back]; back != 0 && c != nil {
		st = st.BackgroundColor(c)
	}
	if i.IsReversed() {
		st = st.Reverse(true)
	}
	if len(st) == 0 {
		return ""
	}
	return st.String()
}

// Style gives a role as a lipgloss style, for the parts that draw themselves (text input).
func (t *Theme) Style(i Ink) lipgloss.Style {
	s := lipgloss.NewStyle()
	if role := i & roleMask; role < end && t.back[role] != nil {
		s = s.Foreground(t.back[role])
	}
	return s
}
