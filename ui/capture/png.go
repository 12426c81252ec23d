package capture

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// typeface is a font at the size of a cell.
type typeface struct {
	face font.Face
	of   *sfnt.Font
	buf  sfnt.Buffer
}

// newTypeface reads a font that comes with golang.org/x/image: Go Mono, whose letters are 0.6 of their size wide.
func newTypeface(ttf []byte) (*typeface, error) {
	f, err := opentype.Parse(ttf)
	if err != nil {
		return nil, fmt.Errorf("reading the font of pictures: %w", err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: cellW / 0.6, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return nil, fmt.Errorf("preparing the font of pictures: %w", err)
	}
	return &typeface{face: face, of: f}, nil
}

func (t *typeface) has(r rune) bool {
	i, err := t.of.GlyphIndex(&t.buf, r)
	return err == nil && i != 0
}

// writePNG draws the sheet, cellW by cellH pixels a cell. The font knows Latin, Greek and Cyrillic; any other letter is a
// box, as wide as it was.
func writePNG(to io.Writer, s Sheet) error {
	l := take(s)
	regular, err := newTypeface(gomono.TTF)
	if err != nil {
		return err
	}
	bold, err := newTypeface(gomonobold.TTF)
	if err != nil {
		return err
	}
	img := image.NewRGBA(image.Rect(0, 0, l.w*cellW, l.h*cellH))
	_, ground := s.Theme.Ground()
	draw.Draw(img, img.Bounds(), image.NewUniform(ground), image.Point{}, draw.Src)
	paint := func(f fill, list []shape) {
		c := color.NRGBA{f.c.R, f.c.G, f.c.B, uint8(f.alpha*255 + 0.5)}
		for _, s := range list {
			paintShape(img, c, s)
		}
	}
	l.each(l.back, paint)
	l.each(l.front, paint)
	for _, r := range l.runs {
		t := regular
		if r.look.Bold {
			t = bold
		}
		ink := image.NewUniform(r.look.Fore)
		for i, text := range r.text {
			if text == "" {
				continue
			}
			x, y := (r.x+i)*cellW, r.y*cellH
			c, n := utf8.DecodeRuneInString(text)
			if !t.has(c) {
				w := cellW
				if i+1 < len(r.text) && r.text[i+1] == "" {
					w *= 2
				}
				tofu(img, rgba(r.look.Fore), x, y, w)
				continue
			}
			d := font.Drawer{Dst: img, Src: ink, Face: t.face}
			d.Dot = fixed.P(x, y+baseline)
			d.DrawString(text[:n])
			for _, m := range text[n:] { // combining marks, over their letter
				if t.has(m) {
					d.Dot = fixed.P(x, y+baseline)
					d.DrawString(string(m))
				}
			}
		}
	}
	enc := png.Encoder{CompressionLevel: png.DefaultCompression}
	if err := enc.Encode(to, img); err != nil {
		return fmt.Errorf("writing the picture: %w", err)
	}
	return nil
}

// paintShape fills a shape. Rectangles on whole pixels, which are nearly all, need no rasterizer.
func paintShape(img *image.RGBA, c color.NRGBA, s shape) {
	if s.isRect() {
		a, b := s.points[0], s.points[1]
		r := image.Rect(int(a.x), int(a.y), int(b.x), int(b.y))
		if float64(r.Min.X) == a.x && float64(r.Min.Y) == a.y && float64(r.Max.X) == b.x && float64(r.Max.Y) == b.y {
			draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Over)
			return
		}
		s = polygon(a, point{b.x, a.y}, b, point{a.x, b.y})
	}
	box := bounds(s.points).Intersect(img.Bounds())
	if box.Empty() {
		return
	}
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	for i, p := range s.points {
		x, y := float32(p.x-float64(box.Min.X)), float32(p.y-float64(box.Min.Y))
		if i == 0 {
			z.MoveTo(x, y)
		} else {
			z.LineTo(x, y)
		}
	}
	z.ClosePath()
	z.Draw(img, box, image.NewUniform(c), image.Point{})
}

func bounds(ps []point) image.Rectangle {
	x0, y0, x1, y1 := ps[0].x, ps[0].y, ps[0].x, ps[0].y
	for _, p := range ps {
		x0, y0, x1, y1 = min(x0, p.x), min(y0, p.y), max(x1, p.x), max(y1, p.y)
	}
	return image.Rect(int(x0)-1, int(y0)-1, int(x1)+2, int(y1)+2)
}

// tofu is the box that stands for a letter the font lacks.
func tofu(img *image.RGBA, c color.RGBA, x, y, w int) {
	u := image.NewUniform(c)
	for _, r := range []image.Rectangle{image.Rect(x+1, y+4, x+w-1, y+5), image.Rect(x+1, y+19, x+w-1, y+20), image.Rect(x+1, y+4, x+2, y+20), image.Rect(x+w-2, y+4, x+w-1, y+20)} {
		draw.Draw(img, r, u, image.Point{}, draw.Over)
	}
}
