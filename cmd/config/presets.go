package config

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"

	"pitwall/probes/load/shape"
)

// presets reads the section load: every mistake in it is a *Problem with its line.
func presets(path string, section *yaml.Node) ([]shape.Preset, []error) {
	at := func(n *yaml.Node) string { return path + ":" + strconv.Itoa(n.Line) }
	var out []shape.Preset
	var problems []error
	seen := 0
	for i := 0; i+1 < len(section.Content); i += 2 {
		name, value := section.Content[i], section.Content[i+1]
		if name.Value != "presets" {
			p := &Problem{Where: at(name), What: fmt.Sprintf("unknown key %q in load", name.Value), Hint: "load holds presets"}
			if Nearest(name.Value, []string{"presets"}) != "" {
				p.Hint = `did you mean "presets"?`
			}
			problems = append(problems, p)
			continue
		}
		if seen++; seen > 1 {
			problems = append(problems, &Problem{Where: at(name), What: "load: presets is set a second time"})
			continue
		}
		found, err := shape.ParsePresets(path, value)
		out = found
		for _, q := range shape.Problems(err) {
			problems = append(problems, &Problem{Where: q.Where, What: "load: " + q.What, Hint: q.Hint})
		}
		if err != nil && len(shape.Problems(err)) == 0 {
			problems = append(problems, &Problem{Where: at(value), What: "load: " + err.Error()})
		}
	}
	return out, problems
}
