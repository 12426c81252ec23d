package capture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"pitwall/ui/capture"
	"pitwall/ui/grid"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

const cellW, cellH = 12, 24

func sheet(w, h int, draw func(p grid.Pane)) capture.Sheet {
	c := grid.New(w, h)
	draw(c.Pane())
	return capture.Sheet{Canvas: c, Theme: theme.New(theme.Options{Dark: true, Profile: colorprofile.TrueColor}), Title: "pitwall <&> \x1b[2J"}
}

func picture(t *testing.T, s capture.Sheet) image.Image {
	t.Helper()
	var b bytes.Buffer
	if err := capture.Write(&b, s, capture.PNG); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// covered gives the share of a region that isn't the ground.
func covered(img image.Image, s capture.Sheet, r image.Rectangle) float64 {
	_, ground := s.Theme.Ground()
	g := color.RGBAModel.Convert(ground)
	n := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if color.RGBAModel.Convert(img.At(x, y)) != g {
				n++
			}
		}
	}
	return float64(n) / float64(r.Dx()*r.Dy())
}

func TestBlocksCoverTheirPartOfTheCell(t *testing.T) {
	for _, tc := range []struct {
		r    rune
		want float64
	}{{'█', 1}, {'▄', .5}, {'▀', .5}, {'▁', .125}, {'▇', .875}, {'▌', .5}, {'▐', .5}, {'▖', .25}, {'▙', .75}, {'▞', .5}, {'░', 1}, {' ', 0}, {'⠀', 0}} {
		s := sheet(1, 1, func(p grid.Pane) { p.Rune(0, 0, theme.Strong, tc.r) })
		if got := covered(picture(t, s), s, image.Rect(0, 0, cellW, cellH)); got < tc.want-.01 || got > tc.want+.01 {
			t.Errorf("%c covers %.3f of its cell, want %.3f", tc.r, got, tc.want)
		}
	}
}

func TestLinesMeetAtTheEdgesOfTheirCells(t *testing.T) {
	// Every box character against the arms that its name has; sampled at the middle of each edge.
	for r, arms := range map[rune]string{'─': "0101", '│': "1010", '┌': "0110", '┘': "1001", '├': "1110", '┼': "1111", '╭': "0110", '╯': "1001", '╮': "0011", '╰': "1100", '┃': "2020", '╋': "2222", '╴': "0001", '╷': "0010", '┴': "1101"} {
		s := sheet(1, 1, func(p grid.Pane) { p.Rune(0, 0, theme.Strong, r) })
		img := picture(t, s)
		for i, edge := range []image.Rectangle{image.Rect(5, 0, 7, 1), image.Rect(11, 11, 12, 13), image.Rect(5, 23, 7, 24), image.Rect(0, 11, 1, 13)} {
			if got, want := covered(img, s, edge) > 0, arms[i] != '0'; got != want {
				t.Errorf("%c at edge %d (up, right, down, left): drawn is %v, want %v", r, i, got, want)
			}
		}
	}
}

func TestEveryBoxBlockAndBrailleCharacterIsDrawnAndStaysInItsCell(t *testing.T) {
	for r := rune(0x2500); r <= 0x259f; r++ {
		s := sheet(3, 3, func(p grid.Pane) { p.Rune(1, 1, theme.Strong, r) })
		img := picture(t, s)
		if covered(img, s, image.Rect(cellW, cellH, 2*cellW, 2*cellH)) == 0 {
			t.Errorf("%c (%U) is not drawn", r, r)
		}
		if covered(img, s, image.Rect(0, 0, 3*cellW, cellH-1)) > 0 || covered(img, s, image.Rect(0, 0, cellW-1, 3*cellH)) > 0 || covered(img, s, image.Rect(2*cellW+1, 0, 3*cellW, 3*cellH)) > 0 {
			t.Errorf("%c (%U) leaves its cell", r, r)
		}
	}
	one, all := sheet(1, 1, func(p grid.Pane) { p.Rune(0, 0, theme.Strong, '⠁') }), sheet(1, 1, func(p grid.Pane) { p.Rune(0, 0, theme.Strong, '⣿') })
	if a, b := covered(picture(t, one), one, image.Rect(0, 0, 12, 24)), covered(picture(t, all), all, image.Rect(0, 0, 12, 24)); a == 0 || b < 7*a {
		t.Errorf("one dot covers %.3f, eight %.3f", a, b)
	}
}

func TestThePictureHasTheColoursOfTheTheme(t *testing.T) {
	s := sheet(2, 1, func(p grid.Pane) {
		p.Rune(0, 0, theme.Bad, '█')
		p.Rune(1, 0, theme.Alarm, ' ')
	})
	img := picture(t, s)
	want := color.RGBAModel.Convert(s.Theme.Look(theme.Bad).Fore)
	for _, x := range []int{3, cellW + 3} {
		if got := color.RGBAModel.Convert(img.At(x, 12)); got != want {
			t.Errorf("at %d: %v, want %v", x, got, want)
		}
	}
}

var hostile = []string{"\x1b[2J\x1b]0;x\x07", "<script>alert(1)</script>", `"'&]]>`, "\u202eabc", "\xff\xfe", strings.Repeat("x", 10_000), "模型", "e\u0301"}

func TestAnSVGIsWellFormedWhateverIsOnTheScreen(t *testing.T) {
	for _, text := range hostile {
		s := sheet(40, 2, func(p grid.Pane) { p.Text(0, 0, theme.Plain, text) })
		s.Title = text
		var b bytes.Buffer
		if err := capture.Write(&b, s, capture.SVG); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.String() {
			if r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
				t.Fatalf("%q left %q in the file", text, r)
			}
		}
		d := xml.NewDecoder(&b)
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if e, ok := tok.(xml.StartElement); ok && !strings.Contains(" svg title rect g path text ", " "+e.Name.Local+" ") {
				t.Fatalf("%q made an element %s", text, e.Name.Local)
			}
		}
		picture(t, s)
	}
}

func TestTextIsWhatStandsThere(t *testing.T) {
	s := sheet(20, 3, func(p grid.Pane) { p.Text(2, 1, theme.Alarm, "世界 41 %") })
	if got := capture.Plain(s); got != "\n  世界 41 %\n\n" {
		t.Errorf("got %q", got)
	}
	s.ASCII = true
	for _, r := range capture.Plain(s) {
		if r > 126 {
			t.Errorf("%q is not ASCII", r)
		}
	}
}

func TestAFileIsNewAndItsOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	s := sheet(4, 1, func(p grid.Pane) { p.Text(0, 0, theme.Plain, "abc") })
	for _, name := range []string{"a.txt", "a.svg", "a.PNG"} {
		at, err := capture.File(filepath.Join(dir, name), s)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(at)
		if err != nil || st.Mode().Perm() != 0o600 || st.Size() == 0 {
			t.Errorf("%s: %v %v", name, st, err)
		}
		if _, err := capture.File(at, s); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("%s was written over: %v", name, err)
		}
	}
	for name, want := range map[string]string{"x.jpg": ".txt, .svg or .png", "nowhere/x.svg": "no folder"} {
		if _, err := capture.File(filepath.Join(dir, name), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", name, err, want)
		}
	}
}

func TestTheBoxSavesUnderTheNameThatIsTyped(t *testing.T) {
	dir := t.TempDir()
	b := capture.NewSave(sheet(4, 1, func(p grid.Pane) { p.Text(0, 0, theme.Plain, "abc") }), filepath.Join(dir, "pic"))
	b.Key(tea.KeyPressMsg{Code: tea.KeyTab}) // PNG
	b.Key(tea.KeyPressMsg{Code: tea.KeyTab}) // text
	cmd, closed := b.Key(tea.KeyPressMsg{Code: tea.KeyEnter})
	if !closed || cmd == nil {
		t.Fatal("enter doesn't save")
	}
	said := cmd().(screen.Say)
	if got, err := os.ReadFile(filepath.Join(dir, "pic.txt")); err != nil || string(got) != "abc\n" || said.Bad {
		t.Errorf("%q %v %+v", got, err, said)
	}
	if said := cmd().(screen.Say); !said.Bad {
		t.Error("a second time it isn't said that the file is there")
	}
}

func TestATableIsOneLineARowWhateverIsInIt(t *testing.T) {
	tab := capture.Table{Title: "queue\n", Of: "127.0.0.1:8000", At: time.Date(2026, 11, 24, 0, 16, 45, 0, time.UTC), Columns: []string{"row", "value"},
		Rows: [][]string{{"wai\tting", "41"}, {"=cmd|' /C calc'!A0", "-3.5"}, {"\x1b[2J", "—"}}, Notes: []string{"engine:waiting"}}
	want := "# queue·\t127.0.0.1:8000\t2026-11-24T00:16:45Z\nrow\tvalue\nwai·ting\t41\n'=cmd|' /C calc'!A0\t-3.5\n·[2J\t—\n# engine:waiting\n"
	if got := tab.TSV(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestTheClipboardGetsWholeLinesUpToItsLimit(t *testing.T) {
	long := strings.Repeat("0123456789\n", 10_000)
	got, cut := capture.Fit(long)
	if !cut || len(got) > capture.ClipboardLimit || !strings.HasSuffix(got, "9\n# the rest did not fit the clipboard\n") {
		t.Errorf("%d bytes, cut %v, ends %q", len(got), cut, got[len(got)-60:])
	}
	if got, cut := capture.Fit("a\n"); cut || got != "a\n" {
		t.Error("what fits is cut")
	}
}

func BenchmarkPNG(b *testing.B) {
	s := sheet(200, 50, func(p grid.Pane) {
		for y := range 50 {
			p.Text(0, y, theme.Plain, strings.Repeat("abc █▄─┼ ", 22))
		}
	})
	for b.Loop() {
		if err := capture.Write(io.Discard, s, capture.PNG); err != nil {
			b.Fatal(err)
		}
	}
}
