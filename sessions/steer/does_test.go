package steer

import (
	"strings"
	"testing"
	"time"

	"pitwall/probes/load/shape"
)

func TestWhatAPointDoesIsSaidInWords(t *testing.T) {
	in, out := shape.Prompt{Length: shape.Tokens(512)}, shape.Output{Length: shape.Tokens(128)}
	for _, tt := range []struct {
		name  string
		point shape.Point
		want  string
	}{
		{"a closed loop goes on until it is stopped", shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: 16}, Prompt: in, Output: out},
			"sends 16 requests at a time, the next as soon as one has ended, until it is stopped; asks with prompts of 512 tokens for answers of exactly 128 tokens"},
		{"one client is one request", shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: 1}, Prompt: in, Output: out, Stop: shape.Stop{Requests: 500, After: time.Minute}},
			"sends 1 request at a time, the next as soon as one has ended, until 500 requests have ended or 1m0s have passed; asks with prompts of 512 tokens for answers of exactly 128 tokens"},
		{"an open loop says that it does not wait", shape.Point{Arrival: shape.Arrival{Kind: shape.Gamma, Rate: 3.5, Burstiness: 0.5}, Prompt: in, Output: shape.Output{Length: shape.Tokens(64), Free: true}},
			"sends 3.5 requests/s at random (gamma), however long the answers take, until it is stopped; asks with prompts of 512 tokens for answers of at most 64 tokens"},
		{"a trace ends by itself, and a path is not shown", shape.Point{Arrival: shape.Arrival{Kind: shape.Trace, Trace: "some/where/azure.csv"}},
			"replays the requests of azure.csv, until its end; asks with prompts as the trace has them for answers as it has them"},
		{"a cold cache is said, because it costs others", shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: 2}, Prompt: in, Output: out, Cache: shape.Cold},
			"sends 2 requests at a time, the next as soon as one has ended, until it is stopped; asks with prompts of 512 tokens for answers of exactly 128 tokens; keeps out of its prefix cache: each prompt fills it anew, and may push others' out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(Does(tt.point), "; "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
