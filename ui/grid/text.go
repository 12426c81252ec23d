package grid

import (
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
	"pitwall/ui/theme"
)

// clean makes a character harmless and tells its width: -1 drops it, 0 joins it to the one before.
//
// Names, labels and errors come from outside. A control character could move the cursor, a bidirectional mark could turn
// a line around; joiners, variation selectors and skin tones make terminals disagree about the width of what they follow,
// so they are left out and the plain character stays.
func clean(r rune) (rune, int) {
	switch {
	case r >= 0x20 && r < 0x7f:
		return r, 1
	case r < 0x20, r >= 0x7f && r < 0xa0:
		return '·', 1
	case r == unicode.ReplacementChar:
		return '?', 1
	case r == 0x200d, r >= 0xfe00 && r <= 0xfe0f, r >= 0x1f3fb && r <= 0x1f3ff, r >= 0xe0000 && r <= 0xe0fff, r == 0xad:
		return 0, -1
	case r >= 0x1f1e6 && r <= 0x1f1ff: // letters that terminals join to flags, or not
		return 'A' + r - 0x1f1e6, 1
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r == 0x61c, r == 0xfeff:
		return 0, -1
	case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), unicode.Is(unicode.Cs, r):
		return '?', 1
	case unicode.IsSpace(r):
		return ' ', 1
	case r >= 0x2500 && r <= 0x259f, r >= 0x2800 && r <= 0x28ff: // lines, blocks, braille: the charts' own, always narrow
		return r, 1
	}
	w := ansi.StringWidthWc(string(r))
	if w == 0 && !unicode.Is(unicode.Mn, r) && !unicode.Is(unicode.Me, r) && !unicode.Is(unicode.Mc, r) {
		return '?', 1
	}
	return r, min(w, 2)
}

// Width is the number of cells that Text uses for s.
func Width(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] >= 0x7f {
			n = 0
			for _, r := range s {
				if _, w := clean(r); w > 0 {
					n += w
				}
			}
			return n
		}
		n++
	}
	return n
}

// Clean gives s as Text would write it.
func Clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r, w := clean(r); w >= 0 {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Cut gives s in at most w cells; an ellipsis stands for what was left out.
func Cut(s string, w int) string {
	if Width(s) <= w {
		return s
	}
	if w <= 0 {
		return ""
	}
	n := 0
	var b strings.Builder
	for _, r := range s {
		r, cw := clean(r)
		if cw < 0 {
			continue
		}
		if n+cw > w-1 {
			break
		}
		b.WriteRune(r)
		n += cw
	}
	return b.String() + "…"
}

// Pad gives s with blanks behind it, w cells wide, or s itself if it is wider.
func Pad(s string, w int) string { return s + strings.Repeat(" ", max(w-Width(s), 0)) }

// Wrap breaks s into lines of at most w cells, at blanks where it can.
func Wrap(s string, w int) []string {
	if w <= 0 {
		return nil
	}
	return strings.Split(ansi.WrapWc(Clean(s), w, ""), "\n")
}

// ascii gives the ASCII character that looks most like r. A reversed block is turned the right way round.
func ascii(r rune, ink theme.Ink) (rune, theme.Ink) {
	if r >= 0x2581 && r <= 0x2588 {
		eighths := int(r - 0x2580)
		if ink.IsReversed() {
			ink = ink.Reversed()
			eighths = 8 - eighths
			return rune(" '''\"####"[eighths]), ink
		}
		return rune(" ..::++##"[eighths]), ink
	}
	if r >= 0x2801 && r <= 0x28ff {
		return ':', ink
	}
	if s, ok := asciiGlyphs[r]; ok {
		return s, ink
	}
	return '?', ink
}

var asciiGlyphs = func() map[rune]rune {
	m := make(map[rune]rune)
	for _, p := range []string{
		"-─╌╴╶–—‒", ".┄┈", "|│┃║", ":┆╎", "+┌┐└┘├┤┬┴┼╭╮╰╯╪╞╡╔╗╚╝┏┓┗┛", "=═", "'┊´’‘", "\"“”", "*●◆★", "o○◌◦", "~≈∼━", "<≤«‹◀◂←", ">≥»›▶▸→",
		"^▲△↑", "v▼▽↓", ".·…•", "x×✗✕", "!⚠", "u↻µμ", " °\u00a0", "0⁰", "1¹", "2²", "3³", "4⁴", "5⁵", "6⁶", "7⁷", "8⁸", "9⁹",
		"S∑Σ", "/÷", "#▉▊▋▌▍▎▏▐■", "@▓", "%▒", ":░", "_▁", "d∂", "Z☾", "+✓", "&§", "D∆Δ", "_□",
	} {
		rs := []rune(p)
		for _, r := range rs[1:] {
			m[r] = rs[0]
		}
	}
	return m
}()
