package grid_test

import (
	"strings"
	"testing"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"

	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

func dark() *theme.Theme {
	return theme.New(theme.Options{Dark: true, Profile: colorprofile.TrueColor})
}

// lines gives what a canvas shows, without colours, blanks at the ends of lines cut.
func lines(c *grid.Canvas, plain bool) []string {
	return strings.Split(ansi.Strip(c.String(dark(), plain)), "\n")
}

func TestText(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
	}{
		{"plain text stands as it is", "abc", "abc"},
		{"what does not fit is cut at the edge", "abcdefghij", "abcdefgh"},
		{"a wide character takes two cells", "世界a", "世界a"},
		{"a wide character that would stick out is left out", "abcdefg世", "abcdefg"},
		{"a control character becomes a dot", "a\x1bb\x07c\nd", "a·b·c·d"},
		{"a colour from outside is only text", "\x1b[31mred", "·[31mred"},
		{"the C1 control sequence introducer is no command", "a\u009b31mb", "a·31mb"},
		{"marks that turn the direction of writing are dropped", "a\u202eb\u2066c", "abc"},
		{"joiners and variation selectors are dropped", "a\u200db\ufe0fc", "abc"},
		{"combining marks stay with their letter", "e\u0301a", "e\u0301a"},
		{"flags become their letters", "\U0001f1e9\U0001f1ea", "DE"},
		{"invalid UTF-8 becomes a question mark", "a\xffb", "a?b"},
		{"a blank of any kind is a blank", "a\u00a0b\u2003c", "a b c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := grid.New(8, 1)
			c.Pane().Text(0, 0, theme.Plain, tc.in)
			if got := lines(c, false)[0]; got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if w := ansi.StringWidthWc(lines(c, false)[0]); w > 8 {
				t.Errorf("%d cells wide", w)
			}
		})
	}
}

func TestWritingOverHalfOfAWideCharacterRemovesTheOtherHalf(t *testing.T) {
	c := grid.New(6, 1)
	p := c.Pane()
	p.Text(0, 0, theme.Plain, "世界x")
	p.Text(1, 0, theme.Plain, "ab")
	if got := lines(c, false)[0]; got != " ab x" {
		t.Errorf("got %q", got)
	}
}

func TestAPaneNeverDrawsBeyondItself(t *testing.T) {
	c := grid.New(5, 3)
	p := c.Pane().Sub(1, 1, 3, 1)
	p.Text(-2, 0, theme.Plain, "123456789")
	p.Text(0, 1, theme.Plain, "below")
	p.Rune(3, 0, theme.Plain, '!')
	p.Line(0, 0, 99, theme.Plain, '=')
	if got := strings.Join(lines(c, false), "|"); got != "| ===|" {
		t.Errorf("got %q", got)
	}
}

func TestASCIIHasNoOtherCharacterAndTheSameWidth(t *testing.T) {
	in := "│─┌█▁▄▒≤→·…°●◆▲✗⣿ℏ世"
	c := grid.New(40, 1)
	end := c.Pane().Text(0, 0, theme.Plain, in)
	got := lines(c, true)[0]
	for _, r := range got {
		if r > 126 || r < 32 {
			t.Errorf("%q is left in %q", r, got)
		}
	}
	if len(got) != end {
		t.Errorf("%q is %d wide, the text was %d", got, len(got), end)
	}
}

func TestCut(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		w        int
		want     string
	}{
		{"what fits stays", "abc", 3, "abc"},
		{"what does not ends with an ellipsis", "abcd", 3, "ab…"},
		{"a wide character is not cut in half", "a世界", 3, "a…"},
		{"nothing fits into nothing", "abc", 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := grid.Cut(tc.in, tc.w); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTwoLayersInOneCellAreToldApartWithoutColours(t *testing.T) {
	flat := theme.New(theme.Options{Profile: colorprofile.ASCII})
	for _, tc := range []struct {
		name string
		r    rune
		want string
	}{{"the lower layer has more of the cell", '▆', "█"}, {"the upper layer has more of the cell", '▂', "▒"}} {
		t.Run(tc.name, func(t *testing.T) {
			c := grid.New(1, 1)
			c.Pane().Rune(0, 0, theme.A.On(theme.B), tc.r)
			if got := ansi.Strip(c.String(flat, false)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func FuzzTextStaysInItsCells(f *testing.F) {
	for _, s := range []string{"abc", "世界", "\x1b[2J", "\u202eabc", "e\u0301\u0301\u0301", "👩‍👩‍👧‍👦", "\xff\xfe", "ก็็็็"} {
		f.Add(s, 5)
	}
	th := dark()
	f.Fuzz(func(t *testing.T, s string, x int) {
		const w = 12
		c := grid.New(w, 2)
		c.Pane().Text(x%w, 0, theme.Warn, s)
		out := strings.Split(ansi.Strip(c.String(th, false)), "\n")
		if len(out) != 2 || out[1] != "" {
			t.Fatalf("%q left its line: %q", s, out)
		}
		if got := ansi.StringWidthWc(out[0]); got > w {
			t.Fatalf("%q is %d cells wide: %q", s, got, out[0])
		}
		for _, r := range out[0] {
			if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
				t.Fatalf("%q let %q through", s, r)
			}
		}
		for _, r := range strings.Split(ansi.Strip(c.String(th, true)), "\n")[0] {
			if r > 126 {
				t.Fatalf("%q left %q in ASCII", s, r)
			}
		}
		if n := grid.Width(grid.Cut(s, 7)); n > 7 {
			t.Fatalf("Cut(%q, 7) is %d wide", s, n)
		}
	})
}
