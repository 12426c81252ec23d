package load

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pitwall/probes/load/shape"
)

// typed are the words that stand for themselves in a typed line, with the field and the value that they mean.
var typed = map[string][2]string{
	"closed": {"a", "closed"}, "constant": {"a", "constant"}, "poisson": {"a", "poisson"}, "gamma": {"a", "gamma"},
	"cold": {"cache", "cold"}, "warm": {"cache", "warm"}, "chat": {"api", "chat"}, "completions": {"api", "completions"},
	"stream": {"answers", "stream"}, "whole": {"answers", "whole"}, "unstreamed": {"answers", "whole"},
	"fresh": {"connections", "fresh"}, "kept": {"connections", "kept"}, "exact": {"end", "exact"}, "free": {"end", "free"},
}

// Hint says what can be typed.
const Hint = "c 16 clients · r 3.5 requests/s · i 512 o 128 lengths · poisson, constant, gamma · cold, warm · shared 256 · turns 4 · " +
	"slo ttft=500ms,tpot=50ms · for 2m · n 500 · 512->128 · preset NAME"

// Change reads a typed line: words and values in any order ("c 16", "i 1024 o 128", "poisson r=3.5", "slo off"), and what
// shape.Point's own text has ("512->128"). What is not said stays as it is in p.
func Change(p shape.Point, line string, presets []shape.Preset) (shape.Point, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return p, errors.New("nothing was typed")
	}
	for len(words) > 0 {
		w := words[0]
		words = words[1:]
		name, value, joined := strings.Cut(w, "=")
		if w == "preset" || name == "preset" {
			// Names may have blanks in them: the rest of the line is the name.
			want := strings.Join(words, " ")
			if joined {
				want = strings.Join(append([]string{value}, words...), " ")
			}
			preset, err := presetNamed(presets, want)
			if err != nil {
				return shape.Point{}, err
			}
			return preset.Point, nil
		}
		if name == "slo" {
			if !joined {
				if len(words) == 0 {
					return shape.Point{}, errors.New("slo: what is good enough? ttft=500ms,tpot=50ms or off")
				}
				value, words = words[0], words[1:]
			}
			if err := setSLO(&p, value); err != nil {
				return shape.Point{}, err
			}
			continue
		}
		if t, ok := typed[w]; ok {
			f, _ := fieldOf(t[0])
			if err := f.apply(&p, t[1]); err != nil {
				return shape.Point{}, err
			}
			continue
		}
		if f, ok := fieldOf(name); ok {
			switch {
			case joined:
			case f.words[0] == "label":
				value, words = strings.Join(words, " "), nil
			case len(words) == 0:
				return shape.Point{}, fmt.Errorf("%s: %s", f.name, f.help)
			default:
				value, words = words[0], words[1:]
			}
			if err := f.apply(&p, value); err != nil {
				return shape.Point{}, err
			}
			continue
		}
		q, err := p.ParseText(w)
		if err != nil {
			return shape.Point{}, err
		}
		p = q
	}
	return p, nil
}

// setSLO reads "ttft=500ms,tpot=50ms"; "off" asks nothing.
func setSLO(p *shape.Point, text string) error {
	p.SLO = shape.SLO{}
	if text == "off" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(part, "=")
		f, known := fieldOf(name)
		if !ok || !known || !slices.Contains([]string{"ttft", "tpot", "e2e", "share"}, name) {
			return fmt.Errorf("slo: %q is none of ttft=500ms, tpot=50ms, e2e=10s, share=0.99, off", part)
		}
		if err := f.apply(p, value); err != nil {
			return err
		}
	}
	return nil
}

func presetNamed(presets []shape.Preset, name string) (shape.Preset, error) {
	var names []string
	for _, p := range presets {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return shape.Preset{}, fmt.Errorf("no preset %q: there are %s", name, strings.Join(names, ", "))
}

// wrong says what is wrong with a point as far as that can be told without opening a file; "" if nothing is.
func wrong(p shape.Point) string {
	if namesFiles(p) {
		return "" // they are read when it is started
	}
	err := p.Filled().Validate()
	if err == nil {
		return ""
	}
	if list := shape.Problems(err); len(list) > 0 {
		s := list[0].Error()
		if n := len(list) - 1; n > 0 {
			s += fmt.Sprintf(" (and %d more)", n)
		}
		return s
	}
	return err.Error()
}

func namesFiles(p shape.Point) bool {
	return p.Arrival.Trace != "" || p.Prompt.File != "" || p.Prompt.Length.Path != "" || p.Output.Length.Path != "" ||
		p.Arrival.Think != nil && p.Arrival.Think.Path != ""
}
