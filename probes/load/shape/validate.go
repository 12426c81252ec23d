package shape

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The greatest numbers that pitwall takes: above them is a slip of the finger, not a load.
const (
	maxClients = 100_000
	maxRate    = 1e6
	maxAhead   = 1000 * time.Hour
)

// Validate says everything that is wrong with the point, as Problems joined, before anything is sent. It reads the files that
// the point names, to their last line. It is meant for a Filled point.
func (p Point) Validate() error {
	c := &critic{}
	c.all(p)
	return errors.Join(c.found...)
}

// critic collects what is wrong. With noFiles it opens none.
type critic struct {
	found   []error
	noFiles bool
}

func (c *critic) all(p Point) {
	c.arrival(p)
	c.prompt(p)
	c.length("output.length", p.Output.Length, p.Arrival.Kind == Trace)
	c.rest(p)
}

// read reads a length's file, if it has one and that is allowed; it is told how.
func (c *critic) read(where string, l Length) (Length, bool) {
	if l.Draw == FromFile && c.noFiles {
		return l, false
	}
	l, err := l.Read()
	c.file(where, err)
	return l, err == nil
}

func (c *critic) add(where, what, hint string) {
	c.found = append(c.found, &Problem{Where: where, What: what, Hint: hint})
}

// file adds what is wrong with a file; its own place is better than the key's.
func (c *critic) file(where string, err error) {
	if err == nil {
		return
	}
	if ps := Problems(err); len(ps) > 0 {
		for _, p := range ps {
			c.found = append(c.found, p)
		}
		return
	}
	c.add(where, err.Error(), "")
}

// length checks one in tokens.
func (c *critic) length(where string, l Length, optional bool) {
	switch err := l.check(); {
	case err != nil:
		c.add(where, err.Error(), "")
	case l.IsZero() && optional:
	case l.Draw == FromFile:
		c.read(where, l)
	case l.Draw == Fixed && l.A != math.Trunc(l.A):
		c.add(where, fmt.Sprintf("%s is no whole number of tokens", l), "")
	default:
		if _, most := l.Bounds(); most < 1 {
			c.add(where, fmt.Sprintf("%s tokens", float(most)), "at least 1")
		}
	}
}

func (c *critic) arrival(p Point) {
	a := p.Arrival
	kinds := []string{string(Closed), string(Constant), string(Poisson), string(Gamma), string(Trace)}
	switch a.Kind {
	case Closed:
		switch {
		case a.Clients < 1:
			c.add("arrival.clients", fmt.Sprintf("%d clients", a.Clients), "a closed loop has at least 1")
		case a.Clients > maxClients:
			c.add("arrival.clients", fmt.Sprintf("%d clients", a.Clients), fmt.Sprintf("at most %d", maxClients))
		}
		if a.Rate != 0 {
			c.add("arrival.rate", "a closed loop has no rate", "choose an open loop (constant, poisson, gamma), or drop the rate")
		}
	case Constant, Poisson, Gamma:
		c.rate("arrival.rate", a.Rate, false)
		if a.Clients != 0 {
			c.add("arrival.clients", "an open loop has no clients", "choose closed, or drop the clients; max_in_flight bounds an open loop")
		}
	case Trace:
		if a.Trace == "" {
			c.add("arrival.trace", "no file is named", "")
			break
		}
		if a.Clients != 0 || a.Rate != 0 {
			c.add("arrival", "a trace says itself when requests come", "drop clients and rate")
		}
		if c.noFiles {
			break
		}
		entries, err := ReadTrace(a.Trace)
		c.file("arrival.trace", err)
		c.entries(p, entries)
	default:
		c.add("arrival.kind", fmt.Sprintf("%q is no kind of arrival", string(a.Kind))+didYouMean(string(a.Kind), kinds), "")
	}
	if a.Kind != Trace && a.Trace != "" {
		c.add("arrival.trace", fmt.Sprintf("arrivals are %s, and a trace is named", a.Kind), "choose trace, or drop the file")
	}
	if a.Kind == Gamma && !(a.Burstiness > 0 && a.Burstiness <= 1e6) {
		c.add("arrival.burstiness", fmt.Sprintf("%v is no shape of a gamma distribution", a.Burstiness), "above 0; 1 is Poisson, below it burstier")
	} else if a.Kind != Gamma && a.Burstiness != 0 {
		c.add("arrival.burstiness", "only gamma arrivals have one", "")
	}
	if a.Think != nil {
		c.think(a)
	}
	c.steps(a)
}

func (c *critic) rate(where string, r float64, zero bool) {
	switch {
	case math.IsNaN(r) || math.IsInf(r, 0) || r < 0 || r == 0 && !zero:
		c.add(where, fmt.Sprintf("%v requests a second", r), "a number above 0")
	case r > maxRate:
		c.add(where, fmt.Sprintf("%v requests a second", r), fmt.Sprintf("at most %v", float(maxRate)))
	case r > 0 && r < 1e-6:
		c.add(where, fmt.Sprintf("%v requests a second", r), "at least one in 11 days (0.000001)")
	}
}

func (c *critic) think(a Arrival) {
	if a.Kind != Closed {
		c.add("arrival.think", "only the clients of a closed loop think", "")
	}
	l := *a.Think
	if err := l.check(); err != nil {
		c.add("arrival.think", err.Error(), "")
		return
	}
	l, ok := c.read("arrival.think", l)
	if _, most := l.Bounds(); ok && most > maxAhead.Seconds() {
		c.add("arrival.think", float(most)+" s", "it is in seconds")
	}
}

func (c *critic) steps(a Arrival) {
	if len(a.Steps) > 0 && a.Kind == Trace {
		c.add("arrival.steps", "a trace has none", "")
		return
	}
	end := time.Duration(0)
	for i, s := range a.Steps {
		where := fmt.Sprintf("arrival.steps[%d]", i)
		switch {
		case s.After < 0 || s.Over < 0 || s.After > maxAhead || s.Over > maxAhead:
			c.add(where, fmt.Sprintf("after %v over %v", s.After, s.Over), fmt.Sprintf("times between 0 and %v", maxAhead))
		case s.After < end:
			c.add(where, fmt.Sprintf("begins at %s, before the one before it is done at %s", duration(s.After), duration(end)), "")
		}
		end = s.After + s.Over
		if a.Kind != Closed {
			c.rate(where, s.To, true)
		} else if s.To != math.Trunc(s.To) || !(s.To >= 0 && s.To <= maxClients) {
			c.add(where, fmt.Sprintf("to %v clients", s.To), fmt.Sprintf("a whole number up to %d", maxClients))
		}
	}
}

func (c *critic) prompt(p Point) {
	q := p.Prompt
	if q.Shared < 0 || q.Groups < 0 || q.Turns < 0 || q.Turns > math.MaxUint16 || q.Shared > maxLength || q.Groups > math.MaxInt32 {
		c.add("prompt", fmt.Sprintf("shared %d, groups %d, turns %d", q.Shared, q.Groups, q.Turns), "none may be below 0 or beyond reason")
		return
	}
	if q.Groups > 1 && q.Shared == 0 {
		c.add("prompt.groups", "groups that share nothing", "say with shared how many tokens")
	}
	if q.Turns > 1 && p.Arrival.Kind != Closed {
		c.add("prompt.turns", fmt.Sprintf("conversations need a closed loop, and arrivals are %s", p.Arrival.Kind), "a turn is due when the answer before it is there")
	}
	if q.File != "" {
		for _, other := range []struct {
			key string
			set bool
		}{{"length", !q.Length.IsZero()}, {"shared", q.Shared > 0}, {"turns", q.Turns > 1}} {
			if other.set {
				c.add("prompt."+other.key, "the prompts come from a file", "drop one of the two")
			}
		}
		var lines []Line
		if !c.noFiles {
			var err error
			lines, err = ReadPrompts(q.File)
			c.file("prompt.file", err)
		}
		for i, l := range lines {
			if l.Messages != nil && p.API == Completions {
				c.add(fmt.Sprintf("%s:%d", q.File, l.Number), "messages, and completions are asked for", "only a chat has messages")
				break
			}
			if l.IDs != nil && p.API == Chat {
				c.add(fmt.Sprintf("%s:%d", q.File, l.Number), "token ids, and a chat is asked for", "only completions have them")
				break
			}
			if p.API == Auto && i > 0 && (l.Messages != nil && lines[0].IDs != nil || l.IDs != nil && lines[0].Messages != nil) {
				c.add(fmt.Sprintf("%s:%d", q.File, l.Number), "token ids and messages in one file", "only completions have ids, only a chat has messages")
				break
			}
		}
		if p.Arrival.Kind == Trace {
			c.add("prompt.file", "the trace says how long prompts are", "drop one of the two")
		}
		return
	}
	if p.Arrival.Kind == Trace && !q.Length.IsZero() {
		c.add("prompt.length", "the trace says how long prompts are", "drop one of the two")
	}
	n := len(c.found)
	c.length("prompt.length", q.Length, p.Arrival.Kind == Trace)
	if len(c.found) > n {
		return
	}
	if l, ok := c.read("prompt.length", q.Length); ok && q.Shared > 0 && p.Arrival.Kind != Trace {
		if least, _ := l.Bounds(); float64(q.Shared) >= max(1, math.Round(least)) {
			c.add("prompt.shared", fmt.Sprintf("%d tokens, and prompts may be no longer than %s", q.Shared, float(max(1, math.Round(least)))), "less than the shortest prompt")
		}
	}
}

// entries checks what a trace asks against the rest of the point.
func (c *critic) entries(p Point, entries []Entry) {
	if p.Prompt.Shared > 0 && len(entries) > 0 && !slices.ContainsFunc(entries, func(e Entry) bool { return e.Prefix != "" }) {
		c.add("prompt.shared", "no request of the trace names a prefix group", "in a trace only those share that name one")
	}
	if p.Prompt.Groups > 1 {
		c.add("prompt.groups", "the trace says itself which groups there are", "")
	}
	c.falling(p.Arrival.Trace, entries)
	for _, e := range entries {
		switch {
		case e.Prefix != "" && p.Prompt.Shared == 0:
			c.add(fmt.Sprintf("%s:%d", p.Arrival.Trace, e.Line), fmt.Sprintf("the prefix group %.40q", e.Prefix), "say with prompt.shared how many tokens a group shares")
			return
		case e.Prefix != "" && e.Input <= p.Prompt.Shared:
			c.add(fmt.Sprintf("%s:%d", p.Arrival.Trace, e.Line), fmt.Sprintf("%d tokens of input, of which the group shares %d (prompt.shared)", e.Input, p.Prompt.Shared), "")
			return
		case e.Output == 0 && p.Output.Length.IsZero():
			c.add(fmt.Sprintf("%s:%d", p.Arrival.Trace, e.Line), "no output length", "give one in the trace, or output.length for all that have none")
			return
		}
	}
}

// falling finds the first line of a trace that is due before the one before it: a trace that was put together wrongly would be
// another load than its file looks like.
func (c *critic) falling(file string, entries []Entry) {
	written := slices.SortedFunc(slices.Values(entries), func(a, b Entry) int { return a.Line - b.Line })
	for i := 1; i < len(written); i++ {
		if before, e := written[i-1], written[i]; e.After < before.After {
			c.add(fmt.Sprintf("%s:%d", file, e.Line), fmt.Sprintf("times must not fall: it is due %v before line %d", before.After-e.After, before.Line), "sort it by its times")
			return
		}
	}
}

func (c *critic) rest(p Point) {
	word := func(where, got string, known ...string) {
		for _, k := range known {
			if got == k {
				return
			}
		}
		c.add(where, fmt.Sprintf("%.40q", got)+didYouMean(got, known), "")
	}
	if p.API != Auto {
		word("api", string(p.API), string(Chat), string(Completions))
	}
	if p.Cache != "" {
		word("cache", string(p.Cache), string(Warm), string(Cold))
	}
	if t := p.Sampling.Temperature; t != nil && !(*t >= 0 && *t <= 100) {
		c.add("sampling.temperature", fmt.Sprint(*t), "0 or more")
	}
	if t := p.Sampling.TopP; t != nil && !(*t > 0 && *t <= 1) {
		c.add("sampling.top_p", fmt.Sprint(*t), "above 0 and at most 1")
	}
	if p.MaxInFlight < 0 {
		c.add("max_in_flight", fmt.Sprint(p.MaxInFlight), "0 (the default) or more")
	}
	for _, d := range []struct {
		where string
		d     time.Duration
	}{
		{"first_byte_within", p.FirstByteWithin}, {"stall_within", p.StallWithin}, {"stop.after", p.Stop.After},
		{"slo.ttft", p.SLO.TTFT}, {"slo.tpot", p.SLO.TPOT}, {"slo.e2e", p.SLO.E2E},
	} {
		if d.d < 0 {
			c.add(d.where, d.d.String(), "no time is below 0")
		}
	}
	for _, n := range []struct {
		where string
		n     int
	}{{"stop.requests", p.Stop.Requests}, {"stop.tokens", p.Stop.Tokens}, {"stop.errors", p.Stop.Errors}} {
		if n.n < 0 {
			c.add(n.where, fmt.Sprint(n.n), "0 (never) or more")
		}
	}
	if v := p.Stop.Precision; v != 0 && !(v >= 0.001 && v < 1) {
		c.add("stop.precision", fmt.Sprint(v), "a share of the mean, such as 0.02")
	}
	if v := p.SLO.Share; v != 0 && !(v > 0 && v <= 1) {
		c.add("slo.share", fmt.Sprint(v), "above 0 and at most 1, such as 0.99")
	}
	if p.Unstreamed && p.SLO.TTFT > 0 {
		c.add("slo.ttft", "an answer that isn't streamed has no first token", "drop one of the two")
	}
	for _, k := range ownFields {
		if _, taken := p.Body[k]; taken {
			c.add("body."+k, "pitwall sets it itself", "")
		}
	}
	for k, v := range p.Headers {
		switch {
		case k == "" || strings.ContainsFunc(k, notToken):
			c.add("headers", fmt.Sprintf("%.40q is no header name", k), "")
		case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			c.add("headers", fmt.Sprintf("the value of %.40q holds control characters", k), "")
		default:
			for _, own := range ownHeaders {
				if strings.EqualFold(k, own) {
					c.add("headers."+k, "pitwall sets it itself", "")
				}
			}
		}
	}
}

// ownFields and ownHeaders are what a point's own may not replace: the numbers would no longer mean what they say.
var (
	ownFields = []string{"model", "prompt", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "min_tokens",
		"ignore_eos", "temperature", "top_p", "seed", "n", "cache_salt", "return_token_ids"}
	ownHeaders = []string{"Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Accept-Encoding", "Expect"}
)

// notToken says whether a character may not stand in a header's name (RFC 9110, 5.6.2).
func notToken(r rune) bool {
	return r > '~' || r <= ' ' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}
