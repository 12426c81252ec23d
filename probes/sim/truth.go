package sim

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"time"
)

// The phases of a Truth.
const (
	Began = "began"
	Ended = "ended"
	// Hit is one request that a fault met, and a fault that has no length.
	Hit = "hit"
)

// Truth is what really happened: one line for each beginning and end of a fault, and for each request over HTTP that one
// met.
type Truth struct {
	Fault Kind   `json:"fault"`
	Phase string `json:"phase"`
	// Engine is the number of the engine that it happened to, where there are several.
	Engine int `json:"engine,omitempty"`
	// Seconds are simulated, from when the simulation began to serve; Time is the wall clock's. What a request met has the
	// time at which it struck.
	Seconds float64   `json:"seconds"`
	Time    time.Time `json:"time"`
	// For is the fault's length in simulated seconds, 0 for a moment.
	For float64 `json:"for_seconds"`
	// Params are what the fault takes, by the names of the catalogue.
	Params map[string]string `json:"params,omitempty"`
	// Request is the ID of the answer that was hit; ByRequest is whether that request had asked for it.
	Request   string `json:"request,omitempty"`
	ByRequest bool   `json:"by_request,omitempty"`
}

// record is the truth so far. The driver's mutex guards it.
type record struct {
	lines []Truth
	out   io.Writer
	err   error // of the first write that failed
}

// maxTruth bounds what is remembered; a writer gets everything.
const maxTruth = 100_000

func (r *record) add(t Truth) {
	if len(r.lines) < maxTruth {
		// Cards that nobody looked at tell late: the lines stay in the order of time.
		i := len(r.lines)
		for i > 0 && r.lines[i-1].Seconds > t.Seconds {
			i--
		}
		r.lines = slices.Insert(r.lines, i, t)
	}
	if r.out == nil || r.err != nil {
		return
	}
	b, err := json.Marshal(t)
	if err == nil {
		_, err = r.out.Write(append(b, '\n'))
	}
	r.err = err
}

// Truth gives what really happened so far, in the order of time. The error is that of writing it to Options.Truth.
func (s *Server) Truth() ([]Truth, error) {
	s.driver.mu.Lock()
	defer s.driver.mu.Unlock()
	s.driver.present()
	out := slices.Clone(s.driver.truth.lines)
	for i := range out {
		out[i].Params = maps.Clone(out[i].Params)
	}
	return out, s.driver.truth.err
}
