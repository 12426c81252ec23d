package steer

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"pitwall/probes/load/shape"
)

// Does says what a point does to a server, a clause each: "sends 4 requests at a time, …".
func Does(p shape.Point) []string {
	out := []string{arrives(p) + until(p)}
	prompt := "asks with prompts of " + tokens(p.Prompt.Length)
	if p.Prompt.File != "" {
		prompt = "asks with the prompts of " + filepath.Base(p.Prompt.File)
	} else if p.Prompt.Length.IsZero() {
		prompt = "asks with prompts as the trace has them"
	}
	answer := "for answers of exactly " + tokens(p.Output.Length)
	switch {
	case p.Output.Length.IsZero():
		answer = "for answers as it has them"
	case p.Output.Free:
		answer = "for answers of at most " + tokens(p.Output.Length)
	}
	out = append(out, prompt+" "+answer)
	switch {
	case p.Cache == shape.Cold:
		out = append(out, "keeps out of its prefix cache: each prompt fills it anew, and may push others' out")
	case p.Prompt.Shared > 0:
		out = append(out, fmt.Sprintf("shares the first %d tokens of its prompts, which the prefix cache then has", p.Prompt.Shared))
	}
	return out
}

func arrives(p shape.Point) string {
	a := p.Arrival
	s := ""
	switch a.Kind {
	case shape.Closed, "":
		s = "sends " + plural(a.Clients, "request") + " at a time, the next as soon as one has ended"
		if a.Think != nil && !a.Think.IsZero() {
			s = "sends " + plural(a.Clients, "request") + " at a time, each client's next " + a.Think.String() + " s after its last has ended"
		}
	case shape.Trace:
		s = "replays the requests of " + filepath.Base(a.Trace)
	case shape.Constant:
		s = "sends " + strconv.FormatFloat(a.Rate, 'g', 4, 64) + " requests/s evenly, however long the answers take"
	default:
		s = "sends " + strconv.FormatFloat(a.Rate, 'g', 4, 64) + " requests/s at random (" + string(a.Kind) + "), however long the answers take"
	}
	if len(a.Steps) > 0 {
		s += ", changed in " + plural(len(a.Steps), "step")
	}
	return s
}

func have(n int) string {
	if n == 1 {
		return " has "
	}
	return " have "
}

// until says when it ends by itself.
func until(p shape.Point) string {
	var ends []string
	s := p.Stop
	if p.Arrival.Kind == shape.Trace {
		ends = append(ends, "its end")
	}
	if s.Requests > 0 {
		ends = append(ends, plural(s.Requests, "request")+have(s.Requests)+"ended")
	}
	if s.After > 0 {
		ends = append(ends, s.After.String()+" have passed")
	}
	if s.Tokens > 0 {
		ends = append(ends, plural(s.Tokens, "output token")+have(s.Tokens)+"come")
	}
	if s.Errors > 0 {
		ends = append(ends, plural(s.Errors, "error")+have(s.Errors)+"come")
	}
	if s.Precision > 0 {
		ends = append(ends, fmt.Sprintf("its mean is known to %g %%", 100*s.Precision))
	}
	if len(ends) == 0 {
		return ", until it is stopped"
	}
	return ", until " + strings.Join(ends, " or ")
}

func tokens(l shape.Length) string {
	if l.Draw == shape.Fixed {
		return plural(int(l.A), "token")
	}
	return l.String() + " tokens"
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}
