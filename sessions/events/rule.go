package events

import (
	_ "embed"
	"slices"
	"time"

	"pitwall/probes"
)

// Where says what a rule is asked about.
type Where string

// The scopes of a rule.
const (
	// PerEngine: asked once for each engine, with its dialect; the subject is the engine.
	PerEngine Where = "engine"
	// PerGPU: asked once; every series of the answer is about the GPU of its label gpu.
	PerGPU Where = "gpu"
	// PerHost and PerSession: asked once; every series of the answer is an event of its own.
	PerHost    Where = "host"
	PerSession Where = "session"
)

// Rule says what to look for. It is data: see rules.yaml, which explains each key.
type Rule struct {
	Kind, Subject, Title, Help string
	Scope                      Where
	Severity                   probes.Severity
	// Expr answers something while the condition holds. Window is what $w is at least, 0 leaves it to the reader. Trailing
	// tells that it looks back over $w, so that it holds for one $w too long.
	Expr     string
	Window   time.Duration
	Trailing bool
	// Threshold and Unit are for people. A value above Critical, where HasCritical, is critical.
	Threshold, Unit string
	Critical        float64
	HasCritical     bool
	// For is how long it must hold, Keep how long it may be away without being over, Every how often it is looked at.
	For, Keep, Every time.Duration
	DependsOn        []string
	// Cause are the parts of the cause, With the numbers that they name.
	Cause []string
	With  []Number
	// Off takes the rule of this kind away.
	Off bool
}

// Number is one more number for the cause of an event.
type Number struct {
	Name, Expr, Unit string
	// Text is written with the labels of the largest value in place of the value alone; Else where there is none.
	Text, Else string
}

//go:embed rules.yaml
var builtin []byte

// Builtin gives pitwall's own rules, in the order of their file.
func Builtin() []Rule {
	rules, err := Parse("rules.yaml", builtin)
	if err != nil {
		panic(err) // the file is part of the program, and a test reads it
	}
	return rules
}

// BuiltinFile is the file of pitwall's own rules, which explains its form.
func BuiltinFile() []byte { return slices.Clone(builtin) }

// Join puts rules of one's own over others: one of an equal kind takes the other's place, or takes it away if it is Off;
// the rest follow.
func Join(base, own []Rule) []Rule {
	out := slices.Clone(base)
	for _, r := range own {
		i := slices.IndexFunc(out, func(b Rule) bool { return b.Kind == r.Kind })
		switch {
		case i < 0 && !r.Off:
			out = append(out, r)
		case i >= 0 && r.Off:
			out = slices.Delete(out, i, i+1)
		case i >= 0:
			out[i] = r
		}
	}
	return out
}
