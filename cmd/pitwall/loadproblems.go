package main

import (
	"errors"
	"regexp"
	"strings"

	"pitwall/cmd/config"
	"pitwall/probes/load/shape"
)

// flagOf is the flag that sets a key of a point. Labels are free, and headers are in presets only.
var flagOf = map[string]string{
	"arrival": "--concurrency, --rate, --trace", "arrival.kind": "--arrival", "arrival.clients": "--concurrency", "arrival.rate": "--rate",
	"arrival.burstiness": "--burstiness", "arrival.steps": "--steps", "arrival.think": "--think", "arrival.trace": "--trace",
	"prompt": "--shared-prefix, --prefix-groups, --turns", "prompt.length": "--input", "prompt.file": "--prompts", "prompt.shared": "--shared-prefix",
	"prompt.groups": "--prefix-groups", "prompt.turns": "--turns", "output.length": "--output", "output.free": "--free",
	"sampling.temperature": "--temperature", "sampling.top_p": "--top-p", "sampling.seed": "--sampling-seed",
	"api": "--api", "unstreamed": "--no-stream", "fresh_connections": "--fresh-connections", "cache": "--cold", "max_in_flight": "--max-in-flight",
	"stop.requests": "--requests", "stop.after": "--duration", "stop.tokens": "--tokens", "stop.errors": "--errors", "stop.precision": "--precision",
	"first_byte_within": "--first-byte-within", "stall_within": "--stall-within", "seed": "--seed", "body": "--body", "keep_text": "--keep-text",
	"slo": "--slo", "slo.ttft": "--slo ttft", "slo.tpot": "--slo tpot", "slo.e2e": "--slo e2e", "slo.share": "--slo share",
}

// keyIn finds keys of a point in a sentence: those with a dot or an underscore, which are no words of their own.
var keyIn = regexp.MustCompile(`\b[a-z0-9]+([._][a-z0-9]+)+\b`)

// flagged writes a place in a point as the flag that sets it. A place in a file stays what it is.
func flagged(where string) string {
	if key, _, ok := strings.Cut(where, "["); ok && flagOf[key] != "" { // a step
		return flagOf[key]
	}
	if key, name, ok := strings.Cut(where, "."); ok && key == "body" {
		return flagOf[key] + " " + name
	}
	if flag := flagOf[where]; flag != "" {
		return flag
	}
	return where
}

// sentence is a text about a point with flags for its keys.
func sentence(text string) string {
	return keyIn.ReplaceAllStringFunc(text, flagged)
}

// asFlag says a problem of a point by flags.
func (f *loadFlags) asFlag(q *shape.Problem) error {
	out := &config.Problem{Where: flagged(q.Where), What: q.What, Hint: sentence(q.Hint)}
	if out.Where != q.Where {
		out.What = sentence(q.What)
	}
	has := func(flag string) bool { return f.given != nil && f.given(flag) }
	switch {
	case q.Where == "prompt.length" && f.point.Prompt.Length.IsZero() && !has("input"):
		out.What, out.Hint = "missing", "how many tokens a prompt has: --input 512, or uniform:100-900; --prompts and --trace need none"
	case q.Where == "output.length" && f.point.Output.Length.IsZero() && !has("output"):
		out.What, out.Hint = "missing", "how many tokens an answer has: --output 128, or uniform:64-192"
	case q.Where == "arrival.clients" && f.point.Arrival.Clients == 0 && !has("concurrency"):
		out.Where, out.What, out.Hint = flagOf["arrival"], "missing", "one of the three says how requests come: --concurrency 16, --rate 4, --trace FILE"
	}
	return out
}

// impossible is an error about a point that can't be executed: each of its problems by the flag that it is about, with a hint
// of its own.
func (f *loadFlags) impossible(err error) error {
	problems := shape.Problems(err)
	if len(problems) == 0 {
		return err
	}
	all := make([]error, len(problems))
	for i, q := range problems {
		all[i] = f.asFlag(q)
	}
	return errors.Join(all...)
}
