package shape

import (
	"errors"
	"fmt"
	"math"
)

// Limits are what a server allows, as far as it is known.
type Limits struct {
	// MaxModelLen is the most tokens that prompt and answer may have together; 0 where nobody tells.
	MaxModelLen int
	// NoChat and NoCompletions say that the served model cannot be asked that way, and why: "the model has no chat template".
	NoChat, NoCompletions string
	// NoLength says why the server can't be made to give answers of a length that is asked for, empty if it can.
	NoLength string
}

// Check says what of the point the server would refuse or could not do, as Problems that name the limit. It is for a point that
// Validate accepts, and takes drawn lengths at their longest, a conversation at its last turn.
func (p Point) Check(l Limits) error {
	c := &critic{}
	switch {
	case p.API == Chat && l.NoChat != "":
		c.add("api", "no chat on this server", l.NoChat)
	case p.API == Completions && l.NoCompletions != "":
		c.add("api", "no completions on this server", l.NoCompletions)
	case p.API == Auto && l.NoChat != "" && l.NoCompletions != "":
		c.add("api", "neither chat nor completions on this server", l.NoChat)
	}
	if !p.Output.Free && l.NoLength != "" {
		c.add("output.free", "an answer of an exact length is asked for, and this server can't be made to give one", l.NoLength)
	}
	if l.MaxModelLen > 0 {
		c.context(p, l.MaxModelLen)
	}
	return errors.Join(c.found...)
}

func (c *critic) context(p Point, limit int) {
	if p.Arrival.Kind == Trace {
		entries, err := ReadTrace(p.Arrival.Trace)
		c.file("arrival.trace", err)
		for _, e := range entries {
			out := e.Output
			if out == 0 {
				out = p.longest("output.length", p.Output.Length, c)
			}
			if e.Input+out > limit {
				c.add(fmt.Sprintf("%s:%d", p.Arrival.Trace, e.Line), fmt.Sprintf("a prompt of %d tokens and an answer of %d are %d", e.Input, out, e.Input+out), exceeds(limit))
				return
			}
		}
		return
	}
	in, out := p.longest("prompt.length", p.Prompt.Length, c), p.longest("output.length", p.Output.Length, c)
	turns := max(1, p.Prompt.Turns)
	whole := in + (turns-1)*(in-p.Prompt.Shared) + turns*out
	switch {
	case in > limit:
		c.add("prompt.length", fmt.Sprintf("prompts of up to %d tokens", in), exceeds(limit))
	case out > limit:
		c.add("output.length", fmt.Sprintf("answers of up to %d tokens", out), exceeds(limit))
	case whole > limit && turns > 1:
		c.add("prompt.turns", fmt.Sprintf("%d turns of up to %d tokens with answers of up to %d are %d", turns, in-p.Prompt.Shared, out, whole), exceeds(limit))
	case whole > limit && !p.Output.Free:
		// vLLM would not refuse it, but cut the answer short: a load of another shape than was asked for.
		c.add("output.length", fmt.Sprintf("a prompt of up to %d tokens and an answer of up to %d are %d", in, out, whole), exceeds(limit))
	}
}

func exceeds(limit int) string { return fmt.Sprintf("the server's limit is %d (max_model_len)", limit) }

// longest is the most tokens a length gives, 0 for none.
func (p Point) longest(where string, l Length, c *critic) int {
	l, ok := c.read(where, l)
	if !ok || l.IsZero() {
		return 0
	}
	_, most := l.Bounds()
	return int(max(1, math.Round(most)))
}
