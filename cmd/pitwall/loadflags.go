package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pitwall/cmd/config"
	"pitwall/probes/load/shape"
)

// loadFlags are load's own.
type loadFlags struct {
	concurrency                                          int
	rate, burstiness                                     float64
	arrival, trace, steps, think, input, output, prompts string
	shared, groups, turns                                int
	preset, api, slo, label, model, name, precision      string
	free, cold, warm, noStream, fresh, keepText, asJSON  bool
	temperature, topP                                    float64
	samplingSeed                                         int64
	seed                                                 uint64
	requests, tokens, errors, maxInFlight                int
	duration, firstByteWithin, stallWithin               time.Duration
	body                                                 []string

	// given and point are what was parsed, for saying what is wrong with it.
	given func(flag string) bool
	point shape.Point
}

func (f *loadFlags) add(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringVar(&f.preset, "preset", "", "begin with this preset, and change it by the other flags")
	s.IntVar(&f.concurrency, "concurrency", 0, "closed loop: so many requests at a time, each client's next when its last has ended")
	s.Float64Var(&f.rate, "rate", 0, "open loop: so many requests a second, however long the answers take")
	s.StringVar(&f.arrival, "arrival", "", "how the open loop's requests arrive: constant, poisson or gamma (default poisson)")
	s.Float64Var(&f.burstiness, "burstiness", 0, "the gamma distribution's shape: 1 is poisson, below is burstier")
	s.StringVar(&f.trace, "trace", "", "replay a file of times, prompt and output lengths (CSV or lines of JSON)")
	s.StringVar(&f.steps, "steps", "", "change clients or rate as time goes on: 10@30s,20@1m+30s is to 10 at 30 s, and to 20 from 1 m on within 30 s")
	s.StringVar(&f.think, "think", "", "closed loop: seconds that a client waits between two requests (a length: 2, uniform:1-5)")
	s.StringVar(&f.input, "input", "", "prompt length in the server's tokens, the chat template's included")
	s.StringVar(&f.output, "output", "", "output length in tokens")
	s.BoolVar(&f.free, "free", false, "let the model end its answers by itself: --output is the most")
	s.StringVar(&f.prompts, "prompts", "", "file of prompts, a line each: text, or JSON with prompt or messages")
	s.IntVar(&f.shared, "shared-prefix", 0, "how many of the first tokens all prompts share")
	s.IntVar(&f.groups, "prefix-groups", 0, "how many different shared prefixes there are (default 1)")
	s.IntVar(&f.turns, "turns", 0, "turns of a conversation: each sends all that was said before")
	s.BoolVar(&f.cold, "cold", false, "no prompt may be in the server's prefix cache")
	s.BoolVar(&f.warm, "warm", false, "prompts are sent as they are, and may hit the prefix cache")
	s.StringVar(&f.api, "api", "", "chat or completions (default what the model can do)")
	s.BoolVar(&f.noStream, "no-stream", false, "ask for whole answers: there is no TTFT then")
	s.BoolVar(&f.fresh, "fresh-connections", false, "a new connection for every request")
	s.Float64Var(&f.temperature, "temperature", 0, "sampling temperature")
	s.Float64Var(&f.topP, "top-p", 1, "sampling: the share of probability that is drawn from")
	s.Int64Var(&f.samplingSeed, "sampling-seed", 0, "sampling: the seed that the server draws with (default none is sent)")
	s.StringArrayVar(&f.body, "body", nil, "a further field of the request's JSON, name=value (may be repeated)")
	s.StringVar(&f.model, "model", "", "which of the served models (default the first)")
	s.Uint64Var(&f.seed, "seed", 0, "where chance begins: the same seed is the same load")
	s.IntVar(&f.maxInFlight, "max-in-flight", 0, "open loop and trace: most requests under way; what is due beyond is dropped and counted (default 4096)")
	s.IntVar(&f.requests, "requests", 0, "end after so many requests have ended")
	s.DurationVar(&f.duration, "duration", 0, "end after this time")
	s.IntVar(&f.tokens, "tokens", 0, "end after so many output tokens")
	s.IntVar(&f.errors, "errors", 0, "end after so many failures")
	s.StringVar(&f.precision, "precision", "", "end when the mean TPOT is known to within this share (5%)")
	s.StringVar(&f.slo, "slo", "", "what a request must meet: ttft=500ms,tpot=50ms,e2e=10s; share=0.95 of them (default 0.99)")
	s.DurationVar(&f.firstByteWithin, "first-byte-within", 0, "how long an answer's beginning is waited for (default 10m)")
	s.DurationVar(&f.stallWithin, "stall-within", 0, "how long the next piece of an answer is waited for (default 2m)")
	s.BoolVar(&f.keepText, "keep-text", false, "keep the answers' text and token ids in the session")
	s.StringVar(&f.label, "label", "", "a name for the run")
	s.StringVar(&f.name, "name", "", "a name for the session")
	s.BoolVar(&f.asJSON, "json", false, "print JSON")
}

// parse makes the point that the flags tell: those that were given, over the preset.
func (f *loadFlags) parse(set *pflag.FlagSet, presets []shape.Preset) (p shape.Point, err error) {
	defer func() { f.point = p }()
	var problems []error
	bad := func(flag, what, hint string) {
		problems = append(problems, &shape.Problem{Where: "--" + flag, What: what, Hint: hint})
	}
	given := set.Changed
	f.given = given
	if f.preset != "" {
		i := slices.IndexFunc(presets, func(q shape.Preset) bool { return q.Name == f.preset })
		if i < 0 {
			return p, noPreset(f.preset, presets)
		}
		p = presets[i].Point
		if p.Label == "" {
			p.Label = f.preset
		}
	}
	length := func(flag, text string, into *shape.Length) {
		if !given(flag) {
			return
		}
		l, err := shape.ParseLength(text)
		if err != nil {
			bad(flag, err.Error(), "512, uniform:100-900, normal:512,64, lognormal:512,0.5 or file:PATH")
			return
		}
		*into = l
	}
	f.arrivals(&p.Arrival, given, bad)
	if given("think") {
		var l shape.Length
		length("think", f.think, &l)
		p.Arrival.Think = &l
	}
	length("input", f.input, &p.Prompt.Length)
	length("output", f.output, &p.Output.Length)
	if given("prompts") {
		p.Prompt.File = f.prompts
		if !given("input") {
			p.Prompt.Length = shape.Length{}
		}
	}
	if given("free") {
		p.Output.Free = f.free
	}
	for _, n := range []struct {
		flag string
		from int
		into *int
	}{
		{"shared-prefix", f.shared, &p.Prompt.Shared}, {"prefix-groups", f.groups, &p.Prompt.Groups}, {"turns", f.turns, &p.Prompt.Turns},
		{"max-in-flight", f.maxInFlight, &p.MaxInFlight}, {"requests", f.requests, &p.Stop.Requests}, {"tokens", f.tokens, &p.Stop.Tokens},
		{"errors", f.errors, &p.Stop.Errors},
	} {
		if given(n.flag) {
			if *n.into = n.from; n.from <= 0 {
				bad(n.flag, fmt.Sprintf("%d is not above 0", n.from), "")
			}
		}
	}
	switch {
	case f.cold && f.warm:
		bad("warm", "cold and warm can't both be", "")
	case f.cold:
		p.Cache = shape.Cold
	case f.warm:
		p.Cache = shape.Warm
	}
	if given("api") {
		p.API = shape.API(f.api)
	}
	p.Unstreamed = p.Unstreamed || f.noStream
	p.Fresh = p.Fresh || f.fresh
	p.KeepText = p.KeepText || f.keepText
	if given("temperature") {
		p.Sampling.Temperature = &f.temperature
	}
	if given("top-p") {
		p.Sampling.TopP = &f.topP
	}
	if given("sampling-seed") {
		p.Sampling.Seed = &f.samplingSeed
	}
	if given("seed") {
		p.Seed = f.seed
	}
	for _, d := range []struct {
		flag string
		from time.Duration
		into *time.Duration
	}{{"duration", f.duration, &p.Stop.After}, {"first-byte-within", f.firstByteWithin, &p.FirstByteWithin}, {"stall-within", f.stallWithin, &p.StallWithin}} {
		if given(d.flag) {
			if *d.into = d.from; d.from <= 0 {
				bad(d.flag, fmt.Sprintf("%v is not above 0", d.from), "30s, 5m")
			}
		}
	}
	if given("precision") {
		v, err := share(f.precision)
		if err != nil || !(v > 0 && v < 1) {
			bad("precision", fmt.Sprintf("%q is not a share above 0 and below 1", f.precision), "5% or 0.05")
		}
		p.Stop.Precision = v
	}
	if given("slo") {
		slo, err := parseSLO(f.slo)
		if err != nil {
			bad("slo", err.Error(), "ttft=500ms,tpot=50ms,e2e=10s,share=0.95")
		}
		p.SLO = slo
	}
	for _, kv := range f.body {
		name, text, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			bad("body", fmt.Sprintf("%q is not name=value", kv), `--body top_k=20, --body stop='["\n"]'`)
			continue
		}
		if p.Body == nil {
			p.Body = map[string]any{}
		}
		p.Body[name] = jsonOrText(text)
	}
	if given("label") {
		p.Label = f.label
	}
	if p.Stop == (shape.Stop{}) && p.Filled().Arrival.Kind != shape.Trace && len(problems) == 0 {
		bad("requests", "nothing says when the load ends", "--requests 500, or --duration 2m, --tokens, --errors, --precision")
	}
	if err := errors.Join(problems...); err != nil {
		return p, f.impossible(err)
	}
	return p, nil
}

// arrivals takes the flags about how requests arrive.
func (f *loadFlags) arrivals(a *shape.Arrival, given func(string) bool, bad func(flag, what, hint string)) {
	ways := 0
	for _, flag := range []string{"concurrency", "rate", "trace"} {
		if given(flag) {
			ways++
		}
	}
	if ways > 1 {
		bad("rate", "--concurrency, --rate and --trace exclude each other", "a closed loop has clients, an open one a rate, a trace its own times")
	}
	switch {
	case given("concurrency"):
		*a = shape.Arrival{Kind: shape.Closed, Clients: f.concurrency, Think: a.Think}
		if f.concurrency <= 0 {
			bad("concurrency", fmt.Sprintf("%d clients", f.concurrency), "at least 1")
		}
	case given("rate"):
		*a = shape.Arrival{Rate: f.rate, Kind: shape.Poisson}
		if !(f.rate > 0) {
			bad("rate", fmt.Sprintf("%v requests a second", f.rate), "above 0")
		}
		if given("burstiness") {
			a.Kind = shape.Gamma
		}
	case given("trace"):
		*a = shape.Arrival{Kind: shape.Trace, Trace: f.trace}
	}
	if given("arrival") {
		switch k := shape.Kind(f.arrival); {
		case k != shape.Constant && k != shape.Poisson && k != shape.Gamma:
			bad("arrival", fmt.Sprintf("%q is none", f.arrival), "constant, poisson or gamma; --concurrency makes a closed loop")
		case !given("rate") && a.Rate == 0:
			bad("arrival", "needs --rate", "it is how an open loop's requests come: --rate 4 --arrival "+f.arrival+"; the clients of a closed loop (--concurrency) wait for answers")
		default:
			a.Kind = k
		}
	}
	if given("burstiness") {
		a.Burstiness = f.burstiness
	}
	if given("steps") {
		steps, err := shape.ParseSteps(f.steps)
		if err != nil {
			bad("steps", err.Error(), "")
		}
		a.Steps = steps
	}
}

func noPreset(name string, presets []shape.Preset) error {
	names := make([]string, len(presets))
	for i, q := range presets {
		names[i] = q.Name
	}
	hint := "there are " + strings.Join(names, ", ")
	if near := config.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return fail(exitUsage, hint, "--preset: there is no preset %q", name)
}

// share reads 5% or 0.05.
func share(text string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	return v, err
}

// parseSLO reads ttft=500ms,tpot=50ms,e2e=10s,share=0.95.
func parseSLO(text string) (shape.SLO, error) {
	var out shape.SLO
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return out, fmt.Errorf("%q is not name=value", part)
		}
		if key == "share" {
			v, err := share(value)
			if err != nil || !(v > 0 && v <= 1) {
				return out, fmt.Errorf("share %q is not above 0 and at most 1", value)
			}
			out.Share = v
			continue
		}
		into := map[string]*time.Duration{"ttft": &out.TTFT, "tpot": &out.TPOT, "e2e": &out.E2E}[key]
		if into == nil {
			return out, fmt.Errorf("%q is none of ttft, tpot, e2e and share", key)
		}
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return out, fmt.Errorf("%s: %q is not a time above 0", key, value)
		}
		*into = d
	}
	return out, nil
}

// jsonOrText reads a value that is JSON, and takes anything else for text.
func jsonOrText(text string) any {
	var v any
	if json.Unmarshal([]byte(text), &v) == nil {
		return v
	}
	return text
}
