package load

import (
	tea "charm.land/bubbletea/v2"

	"pitwall/ui/overlay"
)

// newPresets is the list of presets; the choice is what the load is to be.
func (b *Bar) newPresets() *overlay.List {
	var items []overlay.Item
	for _, p := range b.presets {
		note := p.Point.Filled().String()
		if p.About != "" {
			note += "  " + p.About
		}
		items = append(items, overlay.Item{Name: p.Name, Note: note})
	}
	title := "presets: what the load is to be"
	if b.sending() {
		title = "presets: a new run begins with the choice"
	}
	return overlay.NewList(title, items, 0, func(i int) tea.Cmd { return b.change(b.presets[i].Point) })
}
