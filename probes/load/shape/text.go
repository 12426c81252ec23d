package shape

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// String is the short text that a bar, a table and an event have room for: "c=16 512→128 chat cold", "poisson 3.5/s 512→128". It
// leaves out what is as usual; ParseText reads it back, but for what it has no word for.
func (p Point) String() string {
	words := append([]string{}, p.Arrival.String())
	switch answered := p.answered(); {
	case p.Arrival.Kind != Trace || p.Prompt.File != "" || !p.Prompt.Length.IsZero(): // the last two a trace may not have
		words = append(words, p.asked()+"→"+answered)
	case answered != "·": // of the requests that the trace gives none
		words = append(words, "→"+answered)
	}
	if p.Prompt.Shared > 0 {
		s := "shared=" + strconv.Itoa(p.Prompt.Shared)
		if p.Prompt.Groups > 1 {
			s += "x" + strconv.Itoa(p.Prompt.Groups)
		}
		words = append(words, s)
	}
	if p.Prompt.Turns > 1 {
		words = append(words, "turns="+strconv.Itoa(p.Prompt.Turns))
	}
	if p.API != Auto {
		words = append(words, string(p.API))
	}
	if p.Unstreamed {
		words = append(words, "unstreamed")
	}
	if p.Fresh {
		words = append(words, "fresh")
	}
	if p.Cache != "" {
		words = append(words, string(p.Cache))
	}
	return strings.Join(words, " ")
}

func (p Point) asked() string {
	switch {
	case p.Prompt.File != "":
		return "file:" + filepath.Base(p.Prompt.File)
	case p.Prompt.Length.IsZero():
		return "·"
	}
	return p.Prompt.Length.short()
}

func (p Point) answered() string {
	s := p.Output.Length.short()
	if p.Output.Length.IsZero() {
		s = "·"
	}
	if p.Output.Free {
		return "≤" + s
	}
	return s
}

// short is the text form, with a file's name instead of its path.
func (l Length) short() string {
	if l.Draw == FromFile {
		return "file:" + filepath.Base(l.Path)
	}
	return l.String()
}

// String is the short text of how requests arrive: "c=16", "poisson 3.5/s", "gamma 3.5/s b=0.4 steps=10@30s", "trace azure.csv".
func (a Arrival) String() string {
	var words []string
	switch a.Kind {
	case Closed, "":
		words = append(words, "c="+strconv.Itoa(a.Clients))
	case Trace:
		return "trace " + filepath.Base(a.Trace)
	default:
		words = append(words, string(a.Kind), float(a.Rate)+"/s")
		if a.Kind == Gamma {
			words = append(words, "b="+float(a.Burstiness))
		}
	}
	if a.Think != nil && !a.Think.IsZero() {
		words = append(words, "think="+a.Think.short())
	}
	if len(a.Steps) > 0 {
		words = append(words, "steps="+StepsText(a.Steps))
	}
	return strings.Join(words, " ")
}

// StepsText is how steps are typed: "10@30s,20@1m+30s" is to 10 at 30 s, and to 20 from 1 m on within 30 s.
func StepsText(steps []Step) string {
	parts := make([]string, len(steps))
	for i, s := range steps {
		parts[i] = float(s.To) + "@" + duration(s.After)
		if s.Over != 0 {
			parts[i] += "+" + duration(s.Over)
		}
	}
	return strings.Join(parts, ",")
}

// ParseSteps reads what StepsText writes.
func ParseSteps(text string) ([]Step, error) {
	var out []Step
	for part := range strings.SplitSeq(text, ",") {
		to, at, ok := strings.Cut(strings.TrimSpace(part), "@")
		if !ok {
			return nil, fmt.Errorf("%q is no step: 10@30s is to 10 after 30 s, 10@30s+1m from 30 s on within 1 m", part)
		}
		v, err := number(to)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		s := Step{To: v}
		at, over, ramp := strings.Cut(at, "+")
		if s.After, err = time.ParseDuration(at); err != nil {
			return nil, fmt.Errorf("%q: %q is no time (30s, 1m30s)", part, at)
		}
		if ramp {
			if s.Over, err = time.ParseDuration(over); err != nil {
				return nil, fmt.Errorf("%q: %q is no time (30s, 1m30s)", part, over)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// words of the short text that stand for themselves, and those that take a value after "=".
var (
	textWords  = []string{"chat", "completions", "cold", "warm", "unstreamed", "fresh", "closed", "constant", "poisson", "gamma"}
	textValues = []string{"c", "b", "think", "steps", "shared", "turns"}
)

// ParseText reads a point as it is typed in one line, in words in any order: c=16 (clients) or 3.5/s (rate) with constant, poisson
// or gamma, b=0.4 (burstiness), think=1.5, steps=10@30s or trace PATH (trace:PATH); 512->128 (prompt and output length, each in any form of
// a Length; file:PATH->128 for a file of prompts; ≤128 or <=128 for at most), shared=400x4, turns=6, chat or completions, cold
// or warm, unstreamed, fresh. What is not said stays as it is in p, so that a line can change a point.
func (p Point) ParseText(line string) (Point, error) {
	words := strings.Fields(line)
	for i := 0; i < len(words); i++ {
		w := words[i]
		if w == "trace" && i+1 < len(words) {
			i++
			w = "trace:" + words[i]
		}
		if err := p.word(w); err != nil {
			return Point{}, err
		}
	}
	return p, nil
}

func (p *Point) word(w string) error {
	if path, ok := strings.CutPrefix(w, "trace:"); ok {
		p.Arrival = Arrival{Kind: Trace, Trace: path}
		return nil
	}
	in, out, both := strings.Cut(w, "→")
	if !both {
		in, out, both = strings.Cut(w, "->")
	}
	if both {
		return p.lengths(in, out)
	}
	if rate, ok := strings.CutSuffix(w, "/s"); ok {
		v, err := number(rate)
		if err != nil {
			return fmt.Errorf("%q is no rate: 3.5/s", w)
		}
		p.Arrival.Rate, p.Arrival.Clients, p.Arrival.Trace = v, 0, ""
		if k := p.Arrival.Kind; k == Closed || k == Trace {
			p.Arrival.Kind = ""
		}
		return nil
	}
	if key, value, ok := strings.Cut(w, "="); ok {
		return p.value(w, key, value)
	}
	switch w {
	case "chat", "completions":
		p.API = API(w)
	case "cold", "warm":
		p.Cache = Cache(w)
	case "unstreamed":
		p.Unstreamed = true
	case "fresh":
		p.Fresh = true
	case "closed", "constant", "poisson", "gamma":
		p.Arrival.Kind = Kind(w)
	default:
		return fmt.Errorf("%q is no word of a load%s", w, didYouMean(w, textWords))
	}
	return nil
}

func (p *Point) lengths(in, out string) error {
	if path, ok := strings.CutPrefix(in, "file:"); ok {
		p.Prompt.File, p.Prompt.Length = path, Length{}
	} else if in != "·" && in != "" {
		l, err := ParseLength(in)
		if err != nil {
			return fmt.Errorf("prompt length: %w", err)
		}
		p.Prompt.Length, p.Prompt.File = l, ""
	}
	free := strings.TrimPrefix(strings.TrimPrefix(out, "≤"), "<=")
	if out == "" || free == "·" {
		return nil
	}
	l, err := ParseLength(free)
	if err != nil {
		return fmt.Errorf("output length: %w", err)
	}
	p.Output = Output{Length: l, Free: free != out}
	return nil
}

func (p *Point) value(w, key, value string) (err error) {
	a := &p.Arrival
	switch key {
	case "c":
		if a.Clients, err = whole(value); err == nil {
			a.Kind, a.Rate, a.Burstiness, a.Trace = Closed, 0, 0, ""
		}
	case "b":
		a.Burstiness, err = number(value)
	case "think":
		var l Length
		if l, err = ParseLength(value); err == nil {
			a.Think = &l
		}
	case "steps":
		a.Steps, err = ParseSteps(value)
	case "shared":
		n, groups, many := strings.Cut(value, "x")
		if p.Prompt.Shared, err = whole(n); err == nil && many {
			p.Prompt.Groups, err = whole(groups)
		}
	case "turns":
		p.Prompt.Turns, err = whole(value)
	default:
		return fmt.Errorf("%q is no word of a load%s", w, didYouMean(key, textValues))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func whole(s string) (int, error) {
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no whole number", s)
	}
	return int(v), nil
}

func float(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprint(v)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// duration is time.Duration's text without the units that are nought: "1m" and not "1m0s".
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
