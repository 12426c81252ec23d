package load

import (
	"strings"

	"pitwall/sessions/score"
)

// Formulas are the definitions of all numbers that this package shows, a line each, the letters' meaning last: for the help of
// every place that shows one.
func Formulas() []string {
	var out []string
	for _, f := range score.Formulas() {
		out = append(out, formula(f))
	}
	return append(out, score.Legend)
}

// FormulasOf are the definitions of some of them, by their keys, with the letters' meaning.
func FormulasOf(keys ...string) []string {
	var out []string
	for _, f := range score.Formulas() {
		for _, k := range keys {
			if f.Key == k {
				out = append(out, formula(f))
			}
		}
	}
	return append(out, score.Legend)
}

func formula(f score.Formula) string {
	s := f.Name + " = " + f.Formula
	if f.Note != "" {
		s += "; " + f.Note
	}
	if len(f.Elsewhere) > 0 {
		var names []string
		for _, a := range f.Elsewhere {
			names = append(names, a.Tool+": "+a.Name)
		}
		s += " (" + strings.Join(names, ", ") + ")"
	}
	return s
}
