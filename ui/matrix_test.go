package ui

import (
	"cmp"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/golden"

	"pitwall/ui/internal/staged"
)

// factors are what a screen depends on. Each case of the matrix takes one value of each.
var factors = [4][]string{
	{"60x15", "80x24", "120x30", "160x45", "240x70", "300x80"},
	{"dark", "light", "16colours", "nocolour", "ascii"},
	{"0gpu", "1gpu", "8gpu"},
	{"noengine", "starting", "ready", "stalled", "dead"},
}

type testCase [4]int

func (c testCase) String() string {
	var parts []string
	for f, v := range c {
		parts = append(parts, factors[f][v])
	}
	return strings.Join(parts, "-")
}

// pair is one value of each of two factors.
type pair struct{ f, v, g, w int }

func (c testCase) pairs() []pair {
	var out []pair
	for f := range c {
		for g := f + 1; g < len(c); g++ {
			out = append(out, pair{f, c[f], g, c[g]})
		}
	}
	return out
}

// covering chooses cases until every pair of values occurs, always the one that adds most pairs, the first of equals: 30
// are the least there can be (six sizes by five colours).
func covering() []testCase {
	missing := map[pair]bool{}
	var all []testCase
	for a := range factors[0] {
		for b := range factors[1] {
			for c := range factors[2] {
				for d := range factors[3] {
					k := testCase{a, b, c, d}
					all = append(all, k)
					for _, p := range k.pairs() {
						missing[p] = true
					}
				}
			}
		}
	}
	var out []testCase
	for len(missing) > 0 {
		best, most := testCase{}, 0
		for _, k := range all {
			n := 0
			for _, p := range k.pairs() {
				if missing[p] {
					n++
				}
			}
			if n > most {
				best, most = k, n
			}
		}
		for _, p := range best.pairs() {
			delete(missing, p)
		}
		out = append(out, best)
	}
	return out
}

func TestEveryPairOfTheMatrixOccurs(t *testing.T) {
	have := map[pair]bool{}
	cases := covering()
	for _, c := range cases {
		for _, p := range c.pairs() {
			have[p] = true
		}
	}
	want := 0
	for f := range factors {
		for g := f + 1; g < len(factors); g++ {
			for v := range factors[f] {
				for w := range factors[g] {
					want++
					if !have[pair{f, v, g, w}] {
						t.Errorf("%s never meets %s", factors[f][v], factors[g][w])
					}
				}
			}
		}
	}
	if len(have) != want || len(cases) > 40 {
		t.Errorf("%d pairs in %d cases, want %d in at most 40", len(have), len(cases), want)
	}
}

// matrixConsole makes the console of a case.
func matrixConsole(t *testing.T, c testCase) (m *Model, w, h int) {
	t.Helper()
	if _, err := fmt.Sscanf(factors[0][c[0]], "%dx%d", &w, &h); err != nil {
		t.Fatal(err)
	}
	gpus, _ := strconv.Atoi(strings.TrimSuffix(factors[2][c[2]], "gpu"))
	s := staged.Busy(clock, gpus)
	if gpus == 0 {
		s.FactsNow["gpu/status"] = "no NVIDIA driver: libnvidia-ml.so.1 not found"
	}
	staged.Scene(s, factors[3][c[3]])
	look := factors[1][c[1]]
	m = console(t, s, w, h, func(o *Options) {
		o.Config.NoColor, o.Config.ASCII = look == "nocolour", look == "ascii"
		if look == "light" {
			o.Config.Theme = "light"
		}
	})
	if look == "16colours" {
		m.Update(tea.ColorProfileMsg{Profile: colorprofile.ANSI})
	}
	return m, w, h
}

// TestMatrix keeps the screens of the matrix with their looks: the text, then for each line which look its cells have, by
// letters that are listed below ("12a3b": twelve cells in a, three in b; "." is no look at all).
func TestMatrix(t *testing.T) {
	for _, c := range covering() {
		t.Run(c.String(), func(t *testing.T) {
			m, w, h := matrixConsole(t, c)
			content := m.View().Content
			text := ansi.Strip(content)
			fits(t, text, w, h)
			if factors[1][c[1]] == "ascii" {
				for _, r := range text {
					if r > 126 {
						t.Fatalf("%q is no ASCII character", r)
					}
				}
			}
			golden.RequireEqual(t, text+"\n\n"+inkMap(content))
		})
	}
}

// inkMap gives the looks of a picture's cells, compactly.
func inkMap(content string) string {
	letters := map[string]string{"": "."}
	var b strings.Builder
	for y, l := range strings.Split(content, "\n") {
		if y > 0 {
			b.WriteByte('\n')
		}
		open, run, last := "", 0, ""
		flush := func() {
			if run > 0 {
				b.WriteString(strconv.Itoa(run) + last)
			}
			run = 0
		}
		for len(l) > 0 {
			if strings.HasPrefix(l, "\x1b[") {
				end := strings.IndexByte(l, 'm')
				if sgr := l[2:end]; sgr == "" {
					open = ""
				} else {
					open = sgr
				}
				l = l[end+1:]
				continue
			}
			letter, ok := letters[open]
			if !ok {
				letter = name(len(letters) - 1)
				letters[open] = letter
			}
			if letter != last {
				flush()
				last = letter
			}
			r := firstRune(l)
			run += ansi.StringWidthWc(r)
			l = l[len(r):]
		}
		flush()
	}
	b.WriteString("\n\n")
	var keys []string
	for sgr := range letters {
		keys = append(keys, sgr)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, c := letters[keys[i]], letters[keys[j]]
		return cmp.Or(cmp.Compare(len(a), len(c)), cmp.Compare(a, c)) < 0
	})
	for _, sgr := range keys {
		fmt.Fprintf(&b, "%s %s\n", letters[sgr], sgr)
	}
	return b.String()
}

func firstRune(s string) string {
	for i := range s {
		if i > 0 {
			return s[:i]
		}
	}
	return s
}

// name gives a, b, …, z, aa, ab, …
func name(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return name(i/26-1) + name(i%26)
}
