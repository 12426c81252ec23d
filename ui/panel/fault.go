package panel

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Fault is something wrong in a file of panels.
type Fault struct {
	File string
	// Line counts from 1; zero is "the file".
	Line int
	// Key is the place in words of the file: "panels[kv].queries[used].expr".
	Key string
	// What is wrong, Hint what to do about it.
	What, Hint string
	// Warning says that the panel works all the same.
	Warning bool
}

// Error gives "FILE:LINE: key: what".
func (f *Fault) Error() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
		}
		b.WriteString(": ")
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.What)
	return b.String()
}

// Faulty tells whether any of the faults is more than a warning.
func Faulty(faults []*Fault) bool {
	for _, f := range faults {
		if !f.Warning {
			return true
		}
	}
	return false
}

func byLine(a, b *Fault) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) }

// nearest gives the word with the least edit distance, "" if none is near.
func nearest(word string, words []string) string {
	best, at := "", max(2, len(word)/3)+1
	for _, w := range words {
		if d := levenshtein.ComputeDistance(word, w); d < at {
			best, at = w, d
		}
	}
	return best
}

// oneOf is the hint for a word that is none of those known.
func oneOf(word string, words []string) string {
	if near := nearest(strings.ToLower(word), words); near != "" {
		return "did you mean " + near + "?"
	}
	return "one of " + strings.Join(words, ", ")
}
