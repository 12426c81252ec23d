package load

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pitwall/probes/load/shape"
)

// field is one thing of a point that can be typed: in the bar behind its word, in the form on its line.
type field struct {
	// words are what it is called in a typed line, the shortest first.
	words []string
	// name is how the form calls it, help what it is, with its unit and an example; group is where it stands in the form.
	name, help, group string
	get               func(shape.Point) string
	set               func(*shape.Point, string) error
	// choices are all that it can be, "" among them if it can be nothing.
	choices []string
}

// fields are all of them, in the order of the form.
var fields = []field{
	{words: []string{"a", "arrival"}, name: "arrival", group: "how requests arrive", choices: []string{"closed", "constant", "poisson", "gamma", "trace"},
		help: "closed: clients that wait for their answers; constant, poisson, gamma: a rate, whatever answers take; trace: a file",
		get:  func(p shape.Point) string { return string(kindOf(p)) }, set: setKind},
	{words: []string{"c", "clients", "concurrency"}, name: "clients", group: "how requests arrive", help: "of a closed loop: 16",
		get: func(p shape.Point) string { return wholeText(p.Arrival.Clients) },
		set: func(p *shape.Point, s string) error {
			n, err := whole(s)
			if err == nil && s != "" {
				p.Arrival.Clients = n
				closed(p)
			}
			return err
		}},
	{words: []string{"r", "rate"}, name: "rate", group: "how requests arrive", help: "requests a second of an open loop: 3.5",
		get: func(p shape.Point) string { return floatText(p.Arrival.Rate) },
		set: func(p *shape.Point, s string) error {
			v, err := float(strings.TrimSuffix(s, "/s"))
			if err == nil && s != "" {
				p.Arrival.Rate = v
				opened(p)
			}
			return err
		}},
	{words: []string{"b", "burstiness"}, name: "burstiness", group: "how requests arrive", help: "of gamma arrivals: 1 is Poisson, below 1 in bursts: 0.4",
		get: func(p shape.Point) string { return floatText(p.Arrival.Burstiness) },
		set: func(p *shape.Point, s string) error {
			v, err := float(s)
			if err == nil {
				p.Arrival.Burstiness = v
				if s != "" && kindOf(*p) != shape.Closed {
					p.Arrival.Kind = shape.Gamma
				}
			}
			return err
		}},
	{words: []string{"think"}, name: "think time", group: "how requests arrive", help: "seconds that a client waits between requests: 1.5, uniform:1-4",
		get: func(p shape.Point) string {
			if p.Arrival.Think == nil {
				return ""
			}
			return p.Arrival.Think.String()
		},
		set: func(p *shape.Point, s string) error {
			l, err := shape.ParseLength(s)
			if p.Arrival.Think = &l; l.IsZero() {
				p.Arrival.Think = nil
			}
			return err
		}},
	{words: []string{"steps"}, name: "steps", group: "how requests arrive", help: "changes of clients or rate as time goes on: 10@30s,20@1m+30s",
		get: func(p shape.Point) string { return shape.StepsText(p.Arrival.Steps) },
		set: func(p *shape.Point, s string) (err error) {
			if p.Arrival.Steps = nil; s != "" {
				p.Arrival.Steps, err = shape.ParseSteps(s)
			}
			return err
		}},
	{words: []string{"trace"}, name: "trace file", group: "how requests arrive", help: "time, input and output length of each request",
		get: func(p shape.Point) string { return p.Arrival.Trace },
		set: func(p *shape.Point, s string) error {
			if p.Arrival.Trace = s; s != "" {
				p.Arrival.Kind, p.Arrival.Clients, p.Arrival.Rate = shape.Trace, 0, 0
			}
			return nil
		}},
	{words: []string{"i", "input"}, name: "prompt length", group: "what is asked", help: "in the server's tokens: 512, uniform:100-900, lognormal:512,0.5, file:PATH",
		get: func(p shape.Point) string { return p.Prompt.Length.String() },
		set: func(p *shape.Point, s string) error {
			l, err := shape.ParseLength(s)
			if err == nil {
				p.Prompt.Length = l
				if s != "" {
					p.Prompt.File = ""
				}
			}
			return err
		}},
	{words: []string{"file"}, name: "prompts file", group: "what is asked", help: "a prompt a line, text or JSON, instead of made ones",
		get: func(p shape.Point) string { return p.Prompt.File },
		set: func(p *shape.Point, s string) error {
			if p.Prompt.File = s; s != "" {
				p.Prompt.Length = shape.Length{}
			}
			return nil
		}},
	{words: []string{"o", "output"}, name: "output length", group: "what is asked", help: "in tokens, made exact with ignore_eos: 128, uniform:64-192",
		get: func(p shape.Point) string { return p.Output.Length.String() },
		set: func(p *shape.Point, s string) error {
			l, err := shape.ParseLength(s)
			if err == nil {
				p.Output.Length = l
			}
			return err
		}},
	flag([]string{"end"}, "answers end", "what is asked", "exact: at the length asked for; free: where the model ends, at most there", "exact", "free", func(p *shape.Point) *bool { return &p.Output.Free }),
	wholeField([]string{"shared"}, "shared prefix", "what is asked", "tokens that all prompts of a group begin with: 256", func(p *shape.Point) *int { return &p.Prompt.Shared }),
	wholeField([]string{"groups"}, "groups", "what is asked", "how many such prefixes there are: 4", func(p *shape.Point) *int { return &p.Prompt.Groups }),
	wholeField([]string{"turns"}, "turns", "what is asked", "of a conversation; a closed loop only: 6", func(p *shape.Point) *int { return &p.Prompt.Turns }),
	{words: []string{"cache"}, name: "prefix cache", group: "what is asked", choices: []string{"", "cold", "warm"},
		help: "cold: no prompt hits it; warm: prompts as they are; empty: cold, unless prompts share something",
		get:  func(p shape.Point) string { return string(p.Cache) },
		set:  func(p *shape.Point, s string) error { p.Cache = shape.Cache(s); return nil }},
	{words: []string{"ttft"}, name: "SLO TTFT", group: "what is good enough", help: "at most: 500ms", get: func(p shape.Point) string { return spanText(p.SLO.TTFT) },
		set: timeOf(func(p *shape.Point) *time.Duration { return &p.SLO.TTFT })},
	{words: []string{"tpot"}, name: "SLO TPOT", group: "what is good enough", help: "at most: 50ms", get: func(p shape.Point) string { return spanText(p.SLO.TPOT) },
		set: timeOf(func(p *shape.Point) *time.Duration { return &p.SLO.TPOT })},
	{words: []string{"e2e"}, name: "SLO E2E", group: "what is good enough", help: "at most: 10s", get: func(p shape.Point) string { return spanText(p.SLO.E2E) },
		set: timeOf(func(p *shape.Point) *time.Duration { return &p.SLO.E2E })},
	{words: []string{"share"}, name: "SLO share", group: "what is good enough", help: "of requests that must be good: 0.99",
		get: func(p shape.Point) string { return floatText(p.SLO.Share) },
		set: func(p *shape.Point, s string) (err error) { p.SLO.Share, err = float(s); return err }},
	{words: []string{"for"}, name: "stop after", group: "when it stops by itself", help: "a time: 2m; empty: never", get: func(p shape.Point) string { return spanText(p.Stop.After) },
		set: timeOf(func(p *shape.Point) *time.Duration { return &p.Stop.After })},
	wholeField([]string{"n", "requests"}, "stop after requests", "when it stops by itself", "that have ended: 500", func(p *shape.Point) *int { return &p.Stop.Requests }),
	wholeField([]string{"tokens"}, "stop after tokens", "when it stops by itself", "of output: 100000", func(p *shape.Point) *int { return &p.Stop.Tokens }),
	wholeField([]string{"errors"}, "stop after errors", "when it stops by itself", "10", func(p *shape.Point) *int { return &p.Stop.Errors }),
	{words: []string{"precision"}, name: "stop at precision", group: "when it stops by itself", help: "when mean TPOT is known to this share of itself: 0.02",
		get: func(p shape.Point) string { return floatText(p.Stop.Precision) },
		set: func(p *shape.Point, s string) (err error) { p.Stop.Precision, err = float(s); return err }},
	{words: []string{"api"}, name: "API", group: "how it is asked", choices: []string{"", "chat", "completions"}, help: "empty: what the served model can do",
		get: func(p shape.Point) string { return string(p.API) },
		set: func(p *shape.Point, s string) error { p.API = shape.API(s); return nil }},
	flag([]string{"answers"}, "answers", "how it is asked", "as a stream, or whole: then there is no TTFT", "stream", "whole", func(p *shape.Point) *bool { return &p.Unstreamed }),
	flag([]string{"connections"}, "connections", "how it is asked", "kept: one a client; fresh: one a request", "kept", "fresh", func(p *shape.Point) *bool { return &p.Fresh }),
	{words: []string{"temperature"}, name: "temperature", group: "how it is asked", help: "empty: 0",
		get: func(p shape.Point) string { return pointerText(p.Sampling.Temperature) },
		set: pointer(func(p *shape.Point) **float64 { return &p.Sampling.Temperature })},
	{words: []string{"top_p"}, name: "top_p", group: "how it is asked", help: "empty: 1",
		get: func(p shape.Point) string { return pointerText(p.Sampling.TopP) },
		set: pointer(func(p *shape.Point) **float64 { return &p.Sampling.TopP })},
	{words: []string{"seed"}, name: "seed", group: "how it is asked", help: "decides arrivals, lengths and prompts; the same seed is the same load",
		get: func(p shape.Point) string {
			if p.Seed == 0 {
				return ""
			}
			return strconv.FormatUint(p.Seed, 10)
		},
		set: func(p *shape.Point, s string) error {
			if p.Seed = 0; s == "" {
				return nil
			}
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				return fmt.Errorf("%q is no whole number", s)
			}
			p.Seed = n
			return nil
		}},
	wholeField([]string{"max"}, "most in flight", "how it is asked", "of an open loop; what is due beyond is dropped and counted; empty: 4096", func(p *shape.Point) *int { return &p.MaxInFlight }),
	{words: []string{"label"}, name: "label", group: "how it is asked", help: "your name for the runs; empty: what they are",
		get: func(p shape.Point) string { return p.Label },
		set: func(p *shape.Point, s string) error { p.Label = s; return nil }},
}

// fieldOf finds a field by one of its words.
func fieldOf(word string) (field, bool) {
	i := slices.IndexFunc(fields, func(f field) bool { return slices.Contains(f.words, word) })
	if i < 0 {
		return field{}, false
	}
	return fields[i], true
}

// apply sets a field; what it can't be is an error that names what it can.
func (f field) apply(p *shape.Point, s string) error {
	s = strings.TrimSpace(s)
	if f.choices != nil && !slices.Contains(f.choices, s) {
		return fmt.Errorf("%s: %q is none of %s", f.name, s, strings.Join(slices.DeleteFunc(slices.Clone(f.choices), func(c string) bool { return c == "" }), ", "))
	}
	if err := f.set(p, s); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// kindOf is how requests arrive, with what is left to be told from the rest filled in.
func kindOf(p shape.Point) shape.Kind { return p.Filled().Arrival.Kind }

// setKind changes how requests arrive. Where the new way needs a number that the old one had no use for, a small one is taken:
// as many requests a second as a client would send that waits a second for each, and the other way round.
func setKind(p *shape.Point, s string) error {
	a := &p.Arrival
	switch k := shape.Kind(s); k {
	case shape.Closed:
		if a.Clients == 0 {
			a.Clients = max(int(math.Round(a.Rate)), 1)
		}
		closed(p)
	case shape.Trace:
		if a.Trace == "" {
			return fmt.Errorf("which file? type trace PATH")
		}
		a.Kind = k
	default:
		if a.Rate == 0 {
			a.Rate = max(float64(a.Clients), 1)
		}
		a.Kind = k
		opened(p)
	}
	return nil
}

// closed makes the arrivals those of a closed loop; what only an open one has is put away.
func closed(p *shape.Point) {
	p.Arrival.Kind, p.Arrival.Rate, p.Arrival.Burstiness, p.Arrival.Trace = shape.Closed, 0, 0, ""
}

// opened makes them those of an open one, Poisson unless another way was chosen.
func opened(p *shape.Point) {
	a := &p.Arrival
	a.Clients, a.Trace, a.Think, p.Prompt.Turns = 0, "", nil, 0
	if a.Kind == shape.Closed || a.Kind == shape.Trace || a.Kind == "" {
		a.Kind = shape.Poisson
	}
	if a.Kind == shape.Gamma && a.Burstiness == 0 {
		a.Burstiness = 1
	}
	if a.Kind != shape.Gamma {
		a.Burstiness = 0
	}
}

func wholeField(words []string, name, group, help string, at func(*shape.Point) *int) field {
	return field{words: words, name: name, group: group, help: help,
		get: func(p shape.Point) string { return wholeText(*at(&p)) },
		set: func(p *shape.Point, s string) error {
			n, err := whole(s)
			if err == nil {
				*at(p) = n
			}
			return err
		}}
}

func flag(words []string, name, group, help, off, on string, at func(*shape.Point) *bool) field {
	return field{words: words, name: name, group: group, help: help, choices: []string{off, on},
		get: func(p shape.Point) string {
			if *at(&p) {
				return on
			}
			return off
		},
		set: func(p *shape.Point, s string) error { *at(p) = s == on; return nil }}
}

func timeOf(at func(*shape.Point) *time.Duration) func(*shape.Point, string) error {
	return func(p *shape.Point, s string) error {
		if s == "" {
			*at(p) = 0
			return nil
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is no time: 500ms, 2s, 1m30s", s)
		}
		if d < 0 {
			return fmt.Errorf("%q lies below 0", s)
		}
		*at(p) = d
		return nil
	}
}

func pointer(at func(*shape.Point) **float64) func(*shape.Point, string) error {
	return func(p *shape.Point, s string) error {
		if *at(p) = nil; s == "" {
			return nil
		}
		v, err := float(s)
		if err == nil {
			*at(p) = &v
		}
		return err
	}
}

func whole(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no whole number", s)
	}
	if n < 0 {
		return 0, fmt.Errorf("%q lies below 0", s)
	}
	return int(n), nil
}

func float(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is no number", s)
	}
	if v < 0 {
		return 0, fmt.Errorf("%q lies below 0", s)
	}
	return v, nil
}

func wholeText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func floatText(v float64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func pointerText(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}

// spanText is a time without the units that are nought: "1m" and not "1m0s".
func spanText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
