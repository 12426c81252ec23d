package shape

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Length is a number of tokens (or seconds of think time), fixed or drawn. Its text form is what is typed and stored: "512",
// "uniform:100-900", "normal:512,64" (mean and standard deviation), "lognormal:512,0.5" (median and sigma), each of the two
// with the most that may be drawn as a third number if wanted ("normal:512,64,1000"), "file:PATH" (one number a line, drawn from).
// The empty text is the zero Length, which is no length at all.
type Length struct {
	Draw Draw
	// A and B are the distribution's parameters in the order of the text form.
	A, B float64
	// Most is the most that Normal and Lognormal give; 0 means four standard deviations (of the logarithm) above the middle.
	// What would be more is drawn again.
	Most float64
	// Path is the file of FromFile, Values what was read of it (Read).
	Path   string
	Values []float64
}

// Draw is how a Length is drawn.
type Draw uint8

// The ways.
const (
	Fixed Draw = iota
	Uniform
	Normal
	Lognormal
	FromFile
)

// deviations bounds Normal and Lognormal on both sides, so that every Length has a greatest value that can be checked against
// a server's limit before anything is sent. One draw in 16,000 lies outside, and is drawn again.
const deviations = 4

// Tokens is the fixed Length n.
func Tokens(n int) Length { return Length{Draw: Fixed, A: float64(n)} }

// IsZero says that it is no length at all.
func (l Length) IsZero() bool {
	return l.Draw == Fixed && l.A == 0 && l.B == 0 && l.Most == 0 && l.Path == "" && len(l.Values) == 0
}

// Bounds are the least and the most that it gives, in the unit it is written in; both NaN for a file that was not read.
// Lengths in tokens are at least 1 whatever is drawn (Whole).
func (l Length) Bounds() (least, most float64) {
	switch l.Draw {
	case Uniform:
		return l.A, l.B
	case Normal:
		return max(0, l.A-deviations*l.B), l.capped(l.A + deviations*l.B)
	case Lognormal:
		return l.A * math.Exp(-deviations*l.B), l.capped(l.A * math.Exp(deviations*l.B))
	case FromFile:
		least, most = math.NaN(), math.NaN()
		for i, v := range l.Values {
			if i == 0 || v < least {
				least = v
			}
			if i == 0 || v > most {
				most = v
			}
		}
		return least, most
	}
	return l.A, l.A
}

func (l Length) capped(most float64) float64 {
	if l.Most > 0 {
		return min(l.Most, most)
	}
	return most
}

// Middle is the mean of a Normal and a Uniform one, the median of a Lognormal one, and the mean of a file's values: what
// stands in a short text. NaN for a file that was not read.
func (l Length) Middle() float64 {
	switch l.Draw {
	case Uniform:
		return (l.A + l.B) / 2
	case FromFile:
		sum := 0.0
		for _, v := range l.Values {
			sum += v
		}
		return sum / float64(len(l.Values))
	}
	return l.A
}

// Pick draws one value with r; a Fixed one draws nothing. It is for Lengths that were checked and, of a file, read.
func (l Length) Pick(r *rand.Rand) float64 {
	switch l.Draw {
	case Uniform:
		return l.A + r.Float64()*(l.B-l.A)
	case Normal, Lognormal:
		least, most := l.Bounds()
		for range 1000 {
			v := l.A + l.B*r.NormFloat64()
			if l.Draw == Lognormal {
				v = l.A * math.Exp(l.B*r.NormFloat64())
			}
			if v >= least && v <= most {
				return v
			}
		}
		return most // only where Most lies far below the middle, which is refused
	case FromFile:
		return l.Values[r.IntN(len(l.Values))]
	}
	return l.A
}

// Whole draws a number of tokens, at least 1. A Uniform one gives each whole number of its range equally often.
func (l Length) Whole(r *rand.Rand) int {
	if l.Draw == Uniform {
		low, high := int(math.Ceil(l.A)), int(math.Floor(l.B))
		return max(1, low+r.IntN(max(1, high-low+1)))
	}
	return max(1, int(math.Round(l.Pick(r))))
}

// String is the text form.
func (l Length) String() string {
	n := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	s := ""
	switch l.Draw {
	case Uniform:
		return "uniform:" + n(l.A) + "-" + n(l.B)
	case Normal:
		s = "normal:" + n(l.A) + "," + n(l.B)
	case Lognormal:
		s = "lognormal:" + n(l.A) + "," + n(l.B)
	case FromFile:
		return "file:" + l.Path
	default:
		if l.IsZero() {
			return ""
		}
		return n(l.A)
	}
	if l.Most > 0 {
		s += "," + n(l.Most)
	}
	return s
}

// MarshalText gives the text form.
func (l Length) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the text form. A file is not read yet.
func (l *Length) UnmarshalText(text []byte) error {
	got, err := ParseLength(string(text))
	if err != nil {
		return err
	}
	*l = got
	return nil
}

// draws are the words before the colon.
var draws = map[string]Draw{"uniform": Uniform, "normal": Normal, "lognormal": Lognormal, "file": FromFile}

// ParseLength reads the text form and checks it against itself. A file is not read yet (Read).
func ParseLength(text string) (Length, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Length{}, nil
	}
	word, rest, drawn := strings.Cut(text, ":")
	if !drawn {
		v, err := number(text)
		if err != nil {
			return Length{}, fmt.Errorf("%w; a length is a number, uniform:LOW-HIGH, normal:MEAN,SD, lognormal:MEDIAN,SIGMA or file:PATH", err)
		}
		l := Length{A: v}
		return l, l.check()
	}
	draw, ok := draws[strings.TrimSpace(word)]
	if !ok {
		return Length{}, fmt.Errorf("%q is no way to draw a length%s", word, didYouMean(word, []string{"uniform", "normal", "lognormal", "file"}))
	}
	l := Length{Draw: draw}
	switch draw {
	case FromFile:
		if l.Path = rest; rest == "" {
			return Length{}, fmt.Errorf("%q names no file: file:PATH", text)
		}
		return l, nil
	case Uniform:
		low, high, ok := strings.Cut(rest, "-")
		if !ok {
			return Length{}, fmt.Errorf("%q: the two ends of the range are missing: uniform:100-900", text)
		}
		return l.with(text, low, high)
	}
	parts := strings.Split(rest, ",")
	if len(parts) != 2 && len(parts) != 3 {
		return Length{}, fmt.Errorf("%q: two numbers are wanted, and a third if there is a most: %s:512,%s", text, word, map[Draw]string{Normal: "64", Lognormal: "0.5"}[draw])
	}
	return l.with(text, parts...)
}

func (l Length) with(text string, parts ...string) (Length, error) {
	for i, to := range []*float64{&l.A, &l.B, &l.Most}[:len(parts)] {
		v, err := number(parts[i])
		if err != nil {
			return Length{}, fmt.Errorf("%q: %w", text, err)
		}
		*to = v
	}
	if len(parts) == 3 && l.Most <= 0 {
		return Length{}, fmt.Errorf("%q: the most must be above 0", text)
	}
	return l, l.check()
}

// check says what is wrong with the parameters, whatever they are for.
func (l Length) check() error {
	for _, v := range []float64{l.A, l.B, l.Most} {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || v > maxLength {
			return fmt.Errorf("%v is no length: between 0 and %d", v, int64(maxLength))
		}
	}
	switch {
	case l.Draw > FromFile:
		return fmt.Errorf("a length is drawn in way %d, which does not exist", l.Draw)
	case l.Draw == Uniform && l.A > l.B:
		return fmt.Errorf("%s: the lower end is above the upper one", l)
	case l.Draw == Lognormal && l.A == 0:
		return fmt.Errorf("%s: the median must be above 0", l)
	case l.Draw == Lognormal && l.B > 4:
		return fmt.Errorf("%s: a sigma above 4 is no distribution of lengths (sigma is of the natural logarithm: 0.5 is wide)", l)
	case l.Most > 0 && l.Most < l.A:
		return fmt.Errorf("%s: the most lies below the middle, so that most draws would be thrown away", l)
	}
	return nil
}

// maxLength is far above every context there is; it keeps sums of lengths within an int32.
const maxLength = 1 << 27

func number(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", strings.TrimSpace(s))
	}
	return v, nil
}
