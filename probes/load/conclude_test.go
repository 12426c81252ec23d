package load

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"pitwall/probes/load/prompt"
	"pitwall/probes/load/shape"
	"pitwall/probes/load/wire"
	"pitwall/probes/request"
	"pitwall/probes/stream"
)

// answered is an order whose answer was these events.
func answered(s *Server, keep bool, events ...string) *order {
	o := &order{of: &phase{c: &client{s: s, live: newLive("m"), own: newOwn()}, closed: true}, keep: keep}
	o.rec = request.Record{Streamed: true, InputTokens: request.Unknown, CachedTokens: request.Unknown, OutputTokens: request.Unknown,
		Queue: request.Unknown, Prefill: request.Unknown, Decode: request.Unknown}
	o.x = wire.Exchange{Status: http.StatusOK, Sent: 1000, FirstByte: 1500}
	for i, e := range events {
		ev := stream.Event{Data: []byte(e)}
		if strings.HasPrefix(e, `{"error"`) {
			ev.Kind = stream.Error
		}
		o.piece(wire.Piece{Event: ev, At: request.Time(2000 + 1000*i), Sent: 1000})
	}
	return o
}

func server(engine string) *Server {
	return &Server{can: abilitiesOf(engine, ""), header: http.Header{}, hidden: func(s string) string { return s }}
}

func TestWhatTheLastEventsSayGoesIntoTheRecord(t *testing.T) {
	for _, c := range []struct {
		name, engine string
		events       []string
		want         request.Record
	}{
		{"vLLM with its own times", "vllm", []string{
			`{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`,
			`{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}`,
			`{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`,
			`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":8}},"metrics":{"time_to_first_token_ms":12.5,"generation_time_ms":30,"queue_time_ms":0.25}}`,
		}, request.Record{InputTokens: 9, CachedTokens: 8, OutputTokens: 3, Finish: "length", Queue: 250 * time.Microsecond, Prefill: 12500 * time.Microsecond, Decode: 30 * time.Millisecond}},
		{"vLLM without", "vllm", []string{
			`{"choices":[{"text":"a","finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`,
			`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1},"metrics":null}`,
		}, request.Record{InputTokens: 9, CachedTokens: request.Unknown, OutputTokens: 1, Finish: "stop", Queue: request.Unknown, Prefill: request.Unknown, Decode: request.Unknown}},
		{"llama.cpp, which knows no queue", "llamacpp", []string{
			`{"choices":[{"text":"er","index":0,"finish_reason":null}],"timings":{"cache_n":0,"prompt_n":4,"prompt_ms":20.1,"predicted_n":1,"predicted_ms":0.001}}`,
			`{"choices":[{"text":"","index":0,"finish_reason":"length"}],"usage":{"completion_tokens":2,"prompt_tokens":4,"prompt_tokens_details":{"cached_tokens":0}},"timings":{"prompt_ms":20,"predicted_n":2,"predicted_ms":6.5}}`,
		}, request.Record{InputTokens: 4, CachedTokens: 0, OutputTokens: 2, Finish: "length", Queue: request.Unknown, Prefill: 20 * time.Millisecond, Decode: 6500 * time.Microsecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := answered(server(c.engine), false, c.events...)
			o.conclude()
			r := o.rec
			if r.Class != request.OK || r.InputTokens != c.want.InputTokens || r.CachedTokens != c.want.CachedTokens || r.OutputTokens != c.want.OutputTokens ||
				r.Finish != c.want.Finish || r.Queue != c.want.Queue || r.Prefill != c.want.Prefill || r.Decode != c.want.Decode {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestTextAndIDsAreKeptWhereAskedAndOnlyThere(t *testing.T) {
	events := []string{
		`{"choices":[{"delta":{"role":"assistant","content":""},"token_ids":null}],"prompt_token_ids":[1,2,3]}`,
		`{"choices":[{"delta":{"reasoning":"so "},"token_ids":[7]}]}`,
		`{"choices":[{"delta":{"content":"ap"},"token_ids":[8,9]}]}`,
		`{"choices":[{"delta":{"content":""},"token_ids":[10]}]}`,
		`{"choices":[{"delta":{"content":"é"},"token_ids":[11],"finish_reason":"length"}]}`,
	}
	o := answered(server("vllm"), true, events...)
	o.conclude()
	if o.rec.Text != "so apé" || len(o.rec.IDs) != 5 || o.rec.IDs[0] != 7 || o.rec.Counting != request.ByIDs || o.rec.Tokens() != 5 {
		t.Errorf("%+v", o.rec)
	}
	if n := len(o.rec.Chunks); n != 4 || o.rec.FirstToken != 3000 || o.rec.LastToken != 6000 || o.rec.Chunks[0].Gap != 2000 || o.rec.Chunks[1].Tokens != 2 {
		t.Errorf("%d chunks: %+v", n, o.rec)
	}
	o = answered(server("vllm"), false, events...)
	o.conclude()
	if o.rec.Text != "" || o.rec.IDs != nil {
		t.Errorf("kept unasked: %+v", o.rec)
	}
}

// form tests: what is sent, read back as JSON.
func TestTheBodySaysEverythingAndSetsNothingTwice(t *testing.T) {
	temperature, seed := 0.7, int64(5)
	p := shape.Point{Sampling: shape.Sampling{Temperature: &temperature, Seed: &seed}, Body: map[string]any{"priority": 3, "stop_token_ids": []int{2}}}.Filled()
	for _, c := range []struct {
		engine     string
		unstreamed bool
		free       bool
		keep       bool
		has, not   []string
	}{
		{"vllm", false, false, false, []string{`"max_tokens":8`, `"min_tokens":8`, `"ignore_eos":true`, `"temperature":0.7`, `"top_p":1`, `"seed":5`, `"stream":true`, `"include_usage":true`, `"continuous_usage_stats":true`, `"priority":3`}, []string{"return_token_ids"}},
		{"vllm", false, false, true, []string{`"return_token_ids":true`}, []string{"continuous_usage_stats"}},
		{"vllm", false, true, false, []string{`"max_tokens":8`}, []string{"min_tokens", "ignore_eos"}},
		{"vllm", true, false, false, []string{`"stream":false`}, []string{"stream_options", "return_token_ids"}},
		{"llamacpp", false, false, false, []string{`"timings_per_token":true`, `"ignore_eos":true`}, []string{"min_tokens", "continuous", "return_token_ids"}},
		{"other", false, false, true, []string{`"max_tokens":8`, `"include_usage":true`}, []string{"ignore_eos", "min_tokens", "continuous", "return_token_ids", "timings_per_token"}},
	} {
		s := server(c.engine)
		s.Model, s.API, s.host = `a "quoted" model`, shape.Completions, "h:1"
		p.Unstreamed, p.Output.Free, p.KeepText = c.unstreamed, c.free, c.keep
		f, err := newForm(s, p, 1, "n")
		if err != nil {
			t.Fatal(err)
		}
		b := f.body(&prompt.Prompt{IDs: []int32{1, 2}, Output: 8})
		var fields map[string]any
		if err := json.Unmarshal(b, &fields); err != nil || fields["model"] != s.Model {
			t.Fatalf("%v: %s", err, b)
		}
		for k := range fields {
			if strings.Count(string(b), `"`+k+`":`) != 1 {
				t.Errorf("%s: %s is there twice: %s", c.engine, k, b)
			}
		}
		for _, x := range c.has {
			if !strings.Contains(string(b), x) {
				t.Errorf("%s: no %s in %s", c.engine, x, b)
			}
		}
		for _, x := range c.not {
			if strings.Contains(string(b), x) {
				t.Errorf("%s: %s in %s", c.engine, x, b)
			}
		}
	}
}

// Whatever a server sends, a record comes out of it that adds up, and a message that can be shown.
func FuzzConclude(f *testing.F) {
	f.Add(`{"choices":[{"text":"a","finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`, `[DONE]`, true)
	f.Add(`{"error":{"message":"x","code":503}}`, `{"choices":[]}`, true)
	f.Add(`{"error":"s"}`, "", false)
	f.Add(`{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":-5,"completion_tokens":9e99}}`, "{", false)
	f.Add(`{"choices":[],"metrics":{"queue_time_ms":-1e300}}`, `{"choices":[{"delta":null}],"metrics":7}`, true)
	f.Fuzz(func(t *testing.T, a, b string, streamed bool) {
		var o *order
		if streamed {
			o = answered(server("vllm"), true, a, b)
		} else {
			o = answered(server("llamacpp"), true)
			o.rec.Streamed, o.x.Body = false, []byte(a)
		}
		o.conclude()
		r := &o.rec
		if r.Class >= request.Classes || len(r.Message) > maxMessage+3 || strings.ContainsAny(r.Message, "\n\r") {
			t.Errorf("class %d, message %q", r.Class, r.Message)
		}
		if r.Class.Failed() == (r.Message == "") {
			t.Errorf("%s with message %q", r.Class, r.Message)
		}
		if r.InputTokens < request.Unknown || r.OutputTokens < request.Unknown || r.CachedTokens < request.Unknown || r.Queue < request.Unknown {
			t.Errorf("a count below unknown: %+v", r)
		}
	})
}
