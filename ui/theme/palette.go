package theme

import (
	"image/color"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
)

// look is how one role is shown; nil colours are the terminal's own.
type look struct {
	fore, back                      color.Color
	bold, faint, underline, reverse bool
}

// palette holds the colours of one kind of terminal. Series colours avoid red, amber and green, which mean something.
type palette struct {
	text, strong, dim, faint, border, focus, key color.Color
	good, warn, bad, info, ground, selected      color.Color
	// ramps go from the foot to the crest of a chart's series.
	ramps [6][Shades]color.Color
	plain bool // no colours at all: attributes only
}

// paletteFor chooses by what the terminal can show. 256 colours are taken from the truecolor palette by the renderer's
// own nearest-colour rule; with 16 the terminal's own colours are used, because they suit the person's scheme.
func paletteFor(o Options) palette {
	switch {
	case o.Profile <= colorprofile.ASCII && o.Profile != colorprofile.Unknown:
		return palette{plain: true}
	case o.Profile == colorprofile.ANSI:
		return sixteen(o.Dark)
	case o.Dark:
		return rich("#c8d0d9", "#f4f7fa", "#8793a1", "#566270", "#38424e", "#7aa7d9", "#e2c27a",
			"#6fbf83", "#e0af54", "#f0716a", "#74b3e8", "#10151b", "#2b3644",
			[6][2]string{
				{"#1f4a7a", "#6fb4f2"}, // A blue: in work
				{"#47357d", "#b79af5"}, // B violet: waiting, the price
				{"#145a5f", "#58cfd1"}, // C cyan
				{"#4a4f57", "#a9b4c0"}, // D grey
				{"#7a5a1c", "#e8b955"}, // W
				{"#7d2f2c", "#f47a72"}, // X
			})
	}
	return rich("#2b333b", "#06090c", "#5b6670", "#98a2ac", "#c3cbd3", "#2f6db5", "#8a5a00",
		"#1c7c3c", "#9a6700", "#c4242b", "#0b66b8", "#ffffff", "#dbe7f3",
		[6][2]string{
			{"#a9cdf0", "#1f6fc0"},
			{"#cfc2f2", "#7448c8"},
			{"#a4dbdc", "#137f86"},
			{"#cdd3d9", "#69747f"},
			{"#ecd9a6", "#a87408"},
			{"#f3bfbb", "#c4302f"},
		})
}

func rich(text, strong, dim, faint, border, focus, key, good, warn, bad, info, ground, selected string, ramps [6][2]string) palette {
	c := lipgloss.Color
	p := palette{text: c(text), strong: c(strong), dim: c(dim), faint: c(faint), border: c(border), focus: c(focus), key: c(key),
		good: c(good), warn: c(warn), bad: c(bad), info: c(info), ground: c(ground), selected: c(selected)}
	for i, ends := range ramps {
		for j, col := range lipgloss.Blend1D(Shades, c(ends[0]), c(ends[1])) {
			p.ramps[i][j] = col
		}
	}
	return p
}

func sixteen(dark bool) palette {
	c := lipgloss.Color
	p := palette{dim: c("7"), faint: c("8"), border: c("8"), focus: c("4"), key: c("3"), good: c("2"), warn: c("3"), bad: c("1"), info: c("4"),
		ground: c("0"), selected: c("8")}
	if dark {
		p.strong, p.focus, p.info = c("15"), c("12"), c("12")
	} else {
		p.dim, p.selected, p.ground = c("8"), c("7"), c("15")
	}
	for i, hue := range [6]string{"4", "5", "6", "7", "3", "1"} {
		if i == 3 && !dark {
			hue = "8"
		}
		for j := range Shades {
			p.ramps[i][j] = c(hue)
		}
	}
	return p
}

func (p palette) style(role Ink) look {
	if p.plain {
		return plainStyle(role)
	}
	if role >= A {
		i := int(role - A)
		return look{fore: p.ramps[i/Shades][i%Shades]}
	}
	switch role {
	case Strong:
		return look{fore: p.strong, bold: true}
	case Dim:
		return look{fore: p.dim}
	case Faint:
		return look{fore: p.faint}
	case Border:
		return look{fore: p.border}
	case Focus:
		return look{fore: p.focus}
	case Title:
		return look{fore: p.text, bold: true}
	case Key:
		return look{fore: p.key, bold: true}
	case Good:
		return look{fore: p.good}
	case Warn:
		return look{fore: p.warn}
	case Bad:
		return look{fore: p.bad, bold: true}
	case Info:
		return look{fore: p.info}
	case Alarm:
		return look{fore: p.ground, back: p.bad, bold: true}
	case Notice:
		return look{fore: p.ground, back: p.warn, bold: true}
	case Badge:
		return look{fore: p.ground, back: p.info, bold: true}
	case Selected:
		return look{fore: p.strong, back: p.selected, bold: true}
	case Brand:
		return look{fore: p.focus, bold: true}
	}
	return look{fore: p.text}
}

// plainStyle is the screen without colours: weight and inversion only.
func plainStyle(role Ink) look {
	switch role {
	case Strong, Title, Key, Brand, Warn, Focus:
		return look{bold: true}
	case Bad:
		return look{bold: true, underline: true}
	case Faint, Border, Dim:
		return look{faint: true}
	case Alarm, Notice, Badge, Selected:
		return look{bold: true, reverse: true}
	}
	return look{}
}
