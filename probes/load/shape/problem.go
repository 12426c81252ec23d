package shape

import (
	"errors"
	"fmt"

	"github.com/agnivade/levenshtein"
)

// Problem is something that is wrong with a point: where, what, and what to do.
type Problem struct {
	// Where is a key of the YAML form ("arrival.rate"), or a place in a file ("trace.csv:17").
	Where string
	// What is wrong; Hint is what to do about it, and may be empty.
	What, Hint string
}

// Error gives "arrival.clients: no clients: at least 1".
func (p *Problem) Error() string {
	s := p.Where + ": " + p.What
	if p.Hint != "" {
		s += ": " + p.Hint
	}
	return s
}

// Problems takes an error of this package apart. An error that has no Problem in it gives none.
func Problems(err error) []*Problem {
	var one *Problem
	switch e := err.(type) {
	case nil:
		return nil
	case interface{ Unwrap() []error }:
		var out []*Problem
		for _, err := range e.Unwrap() {
			out = append(out, Problems(err)...)
		}
		return out
	default:
		if errors.As(e, &one) {
			return []*Problem{one}
		}
	}
	return nil
}

// nearest is the word with the least edit distance, if that is at most a third of the word (at least 2); "" if none is near.
func nearest(word string, words []string) string {
	best, at := "", max(2, len(word)/3)+1
	for _, w := range words {
		if d := levenshtein.ComputeDistance(word, w); d < at {
			best, at = w, d
		}
	}
	return best
}

func didYouMean(word string, words []string) string {
	if near := nearest(word, words); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return fmt.Sprintf("; there are %s", list(words))
}

func list(words []string) string {
	s := ""
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			s += " and "
		case i > 0:
			s += ", "
		}
		s += w
	}
	return s
}
