package live

import (
	"slices"

	"pitwall/ui/grid"
	"pitwall/ui/keys"
	"pitwall/ui/theme"
)

// footerItem is one key on the last line, and where it stands.
type footerItem struct {
	binding keys.Binding
	x, w    int
}

// footer places the keys on a line of a width: as many as fit, in the order of the bindings, the least important left
// out; help and quit always.
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
	for {
		need, worst := 2, -1
		for i, b := range slices.Concat(may, must) {
			need += width(b) + 2
			if i < len(may) && (worst < 0 || leaves(b) >= leaves(may[worst])) {
				worst = i
			}
		}
		if need <= w || worst < 0 {
			break
		}
		may = slices.Delete(may, worst, worst+1)
	}
	var out []footerItem
	x := 2
	for _, b := range slices.Concat(may, must) {
		out = append(out, footerItem{b, x, width(b)})
		x += width(b) + 2
	}
	return out
}

// leaves is how soon a key leaves the footer.
func leaves(b keys.Binding) int {
	if b.Reason() != "" {
		return b.Rank + 100
	}
	return b.Rank
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
