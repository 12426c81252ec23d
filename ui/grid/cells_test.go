package grid_test

import (
	"testing"

	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

func TestCellsAreWhatWasWritten(t *testing.T) {
	c := grid.New(6, 2)
	c.Pane().Text(0, 1, theme.Warn, "e\u0301世x")
	got := c.Cells(1)
	want := []grid.Cell{{Text: "e\u0301", Ink: theme.Warn}, {Text: "世", Wide: true, Ink: theme.Warn}, {Ink: theme.Warn}, {Text: "x", Ink: theme.Warn}, {Text: " "}, {Text: " "}}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("cell %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	if c.Cells(2) != nil || c.Cells(-1) != nil {
		t.Error("there are cells beyond the sheet")
	}
}

func TestTheCaretCoversAWholeCharacterAndChangesNone(t *testing.T) {
	for _, tc := range []struct {
		name string
		x    int
		want []bool
	}{
		{"on a letter", 0, []bool{true, false, false, false}}, {"on a wide character", 1, []bool{false, true, true, false}},
		{"on its right half", 2, []bool{false, true, true, false}}, {"on a blank", 3, []bool{false, false, false, true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := grid.New(4, 1)
			c.Pane().Text(0, 0, theme.Plain, "a世")
			before := lines(c, false)[0]
			c.Pane().Caret(tc.x, 0, theme.Selected)
			for x, k := range c.Cells(0) {
				if (k.Ink == theme.Selected) != tc.want[x] {
					t.Errorf("cell %d has the ink %d", x, k.Ink)
				}
			}
			if tc.x < 3 && lines(c, false)[0] != before {
				t.Errorf("%q became %q", before, lines(c, false)[0])
			}
		})
	}
}
