package ui

import (
	"math/rand/v2"
	"testing"

	tea "charm.land/bubbletea/v2"

	"pitwall/ui/internal/staged"
)

// TestAResizeStorm goes through hundreds of sizes, with boxes open and panels zoomed, and looks at each picture.
func TestAResizeStorm(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	sizes := [][2]int{{0, 0}, {1, 1}, {500, 200}, {3, 500}, {500, 3}, {0, 24}, {80, 0}, {2, 2}, {59, 15}, {60, 14}, {60, 15}, {80, 24}, {10_000, 1}}
	special := len(sizes)
	for range 300 {
		sizes = append(sizes, [2]int{r.IntN(320), r.IntN(100)})
	}
	for i, keys := range [][]string{nil, {"2"}, {"5"}, {"?"}, {"e"}, {"/"}, {"S"}, {"space"}, {"v"}, {"t"}} {
		m := console(t, staged.Busy(clock, 8), 160, 45)
		press(t, m, keys...)
		some := sizes
		if i > 0 {
			// With something open: the odd sizes, and others each time.
			some = append(sizes[:special:special], sizes[special+i*30:special+(i+1)*30-1]...)
		}
		for _, s := range some {
			_, cmd := m.Update(tea.WindowSizeMsg{Width: s[0], Height: s[1]})
			settle(m, cmd)
			if pic := shown(m); s[0] > 0 && s[1] > 0 {
				fits(t, pic, s[0], s[1])
			} else if pic != "" {
				t.Errorf("drawn on nothing: %q", pic)
			}
			if t.Failed() {
				t.Fatalf("at %dx%d after %v", s[0], s[1], keys)
			}
		}
	}
}
