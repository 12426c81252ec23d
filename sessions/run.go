package sessions

import (
	"encoding/json"
	"time"

	"pitwall/probes/load/shape"
	"pitwall/sessions/score"
)

// Run is a stretch of load with one fixed shape. It is stored when it begins and again at each step of its life, so that a
// recorder that dies leaves it as far as it came.
type Run struct {
	// ID counts from 1 in a session; 0 is no run.
	ID    uint32      `json:"id"`
	Label string      `json:"label"`
	Point shape.Point `json:"point"`
	// Target is the server: its URL without user-info, engine, version, model.
	Target map[string]string `json:"target"`
	State  RunState          `json:"state"`
	// Why says what broke a Broken run, or why one ended by itself.
	Why string `json:"why,omitempty"`
	// Began is when its shape was asked for; Settled when the requests of the shape before were all over, which is when its
	// scored time begins; Cut when another shape was asked for or the load was stopped; Ended when its last request was over.
	// Zero times have not come yet.
	Began   time.Time `json:"began"`
	Settled time.Time `json:"settled,omitzero"`
	Cut     time.Time `json:"cut,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Dropped is how many due requests were not sent because of the cap.
	Dropped int `json:"dropped,omitempty"`
	// Certificate is what `pitwall calibrate` said of this client on this host, nil if it was never run.
	Certificate json.RawMessage `json:"certificate,omitempty"`
	// Score is there once it is over; Reconciled is package validity's table.
	Score      *score.Score    `json:"score,omitempty"`
	Reconciled json.RawMessage `json:"reconciled,omitempty"`
}

// RunState is how far a run has come.
type RunState string

const (
	// Settling: requests of the shape before are still under way.
	Settling RunState = "settling"
	// Measuring: its own load alone is on the server.
	Measuring RunState = "measuring"
	// Draining: it is cut, and requests of its own are still under way.
	Draining RunState = "draining"
	// Done: it is over and scored.
	Done RunState = "done"
	// Broken: it ended in a way that leaves no score: the console died, the engine died, the disk was full; Why says it.
	Broken RunState = "broken"
)
