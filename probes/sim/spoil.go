package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// faultHeader is the header by which a request asks for a fault of its own: "cut-stream; after=7". The body's
// vllm_xargs.pitwall_fault means the same.
const faultHeader = "X-Pitwall-Fault"

// askedFault reads the fault that a request asks for; nil if none.
func askedFault(r *http.Request, xargs map[string]json.RawMessage) (*Fault, error) {
	text := r.Header.Get(faultHeader)
	if raw, ok := xargs["pitwall_fault"]; ok && text == "" {
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, badValue("vllm_xargs", "pitwall_fault must be text like 'cut-stream; after=7'")
		}
	}
	if text == "" {
		return nil, nil
	}
	f, err := parseAsked(text)
	if err != nil {
		return nil, badValue("vllm_xargs", "%s: %s", faultHeader, err)
	}
	return &f, nil
}

// parseAsked reads "kind; name=value; …".
func parseAsked(text string) (Fault, error) {
	parts := strings.Split(text, ";")
	f, e, err := newFault(strings.TrimSpace(parts[0]))
	if err != nil {
		return f, err
	}
	if !e.ByRequest {
		return f, fmt.Errorf("%s can't be asked for by a request, only stand in a schedule", e.Kind)
	}
	for _, p := range parts[1:] {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return f, fmt.Errorf("%q is not name=value", strings.TrimSpace(p))
		}
		if strings.TrimSpace(name) == "engine" {
			return f, fmt.Errorf("%s happens to the engine that is asked: it takes no \"engine\"", e.Kind)
		}
		if err := f.set(e, strings.TrimSpace(name), strings.TrimSpace(value)); err != nil {
			return f, err
		}
	}
	return f, nil
}

// spoil finds the fault that a request meets: the one it asks for, or one of the schedule. An error is the answer then.
func (s *Server) spoil(g *generation, r *http.Request) error {
	f, err := askedFault(r, g.wants.XArgs)
	if err != nil {
		return err
	}
	g.asked = f != nil
	if f == nil {
		if met, ok := s.driver.meets(g.serial, Error5xx, ErrorInStream, CutStream, StalledStream); ok {
			f = &met
		}
	}
	if f == nil {
		return nil
	}
	switch f.Kind {
	case Error5xx:
		s.driver.hit(*f, g.id, g.asked)
		return ordered(f.Status)
	case Crash, Hang:
		s.driver.hit(*f, g.id, g.asked)
		f.At = 0
		g.brings = f
	case SlowSteps:
		s.driver.hit(*f, g.id, g.asked)
		g.req.Slow = f.Factor
	default:
		g.fault = f
	}
	return nil
}

// ordered is the error body of a status that a fault asks for.
func ordered(status int) *refusal {
	r := engineGone()
	if status != http.StatusInternalServerError {
		r.Type, r.Code = http.StatusText(status), status
		r.Message = "This error was ordered: " + http.StatusText(status) + "."
	}
	return r
}

// strikes tells whether the answer's fault happens now. One that was to strike after more tokens than there are, strikes at
// the end.
func (g *generation) strikes(produced int, done bool) bool {
	return g.fault != nil && (produced >= g.fault.After || done)
}

// strike makes the answer's fault happen; send is nil where nothing was sent yet. It reports whether the answer goes on.
func (g *generation) strike(r *http.Request, w http.ResponseWriter, send func([]byte) bool) (goesOn bool) {
	f := *g.fault
	g.s.driver.hit(f, g.id, g.asked)
	switch f.Kind {
	case ErrorInStream:
		if !g.progress().done { // else it is counted already, as what the engine took it for
			g.s.driver.order(func(e *Engine) { e.tally.success[Errored]++ })
		}
		if send == nil {
			engineGone().write(w)
		} else {
			send(append(engineGone().chunk(), doneLine...))
		}
		return false
	case CutStream:
		if send == nil {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"id":`))
			_ = http.NewResponseController(w).Flush()
		} else {
			send([]byte(`data: {"id":"` + g.id + `","object":"text_comp`))
		}
		panic(http.ErrAbortHandler)
	}
	// StalledStream: the engine goes on, its front end does not.
	wait := f.For
	if !g.asked {
		wait = g.s.driver.until(f)
	}
	g.s.pause(r.Context(), wait)
	return r.Context().Err() == nil
}
