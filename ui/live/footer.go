package live

import (
	"pitwall/ui/grid"
	"pitwall/ui/keys"
	"pitwall/ui/theme"
)

// footerItem is one key on the last line, and where it stands.
type footerItem struct {
	binding keys.Binding
	x, w    int
}

// footer places the keys on a line of a width: as many as fit, in the order of the bindings; help and quit always.
func footer(list []keys.Binding, w int) []footerItem {
	width := func(b keys.Binding) int { return grid.Width(b.Label()) + 1 + grid.Width(b.Short) }
	var must, may []keys.Binding
	for _, b := range list {
		switch {
		case b.Short == "":
		case b.Short == "help" || b.Short == "quit":
			must = append(must, b)
		default:
			may = append(may, b)
		}
	}
	room := w - 4
	for _, b := range must {
		room -= width(b) + 2
	}
	var out []footerItem
	x := 2
	for _, b := range may {
		if room < width(b) {
			continue
		}
		out = append(out, footerItem{b, x, width(b)})
		x += width(b) + 2
		room -= width(b) + 2
	}
	for _, b := range must {
		out = append(out, footerItem{b, x, width(b)})
		x += width(b) + 2
	}
	return out
}

// drawFooter writes the keys on the lower border. What cannot be used now is there, faint; the help says why.
func (v view) drawFooter(p grid.Pane) {
	for _, it := range footer(v.m.Keys(), p.W()) {
		k, t := theme.Key, theme.Dim
		if it.binding.Reason() != "" {
			k, t = theme.Faint, theme.Faint
		}
		p.Rune(it.x-1, 0, theme.Border, ' ')
		x := p.Text(it.x, 0, k, it.binding.Label())
		x = p.Text(x, 0, t, " "+it.binding.Short)
		p.Rune(x, 0, theme.Border, ' ')
	}
}
