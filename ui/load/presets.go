package load

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes/load/shape"
	"pitwall/ui/overlay"
)

// Presets are one's own and then the built-in ones; one's own of the same name stands for a built-in one.
func Presets(own []shape.Preset) []shape.Preset {
	out := slices.Clone(own)
	for _, p := range shape.Presets() {
		if !slices.ContainsFunc(own, func(o shape.Preset) bool { return o.Name == p.Name }) {
			out = append(out, p)
		}
	}
	return out
}

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
