package load_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pitwall/probes/engine"
	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/probes/sim"
	"pitwall/probes/truth"
)

func TestWhatExamineSaysOfAServer(t *testing.T) {
	s := examine(t, serve(t, truth.Plan{Model: "org/model", MaxModelLen: 4096}).URL())
	if s.Engine != "vllm" || s.Version != truth.Poses || s.Model != "org/model" || s.MaxModelLen != 4096 || !s.Simulated || !s.Local || s.API != shape.Chat {
		t.Errorf("%+v", s)
	}
	other := examine(t, fake(t, http.NotFound).URL)
	if other.Engine != "other" || other.Model != "m" || other.Simulated || other.MaxModelLen != 0 {
		t.Errorf("%+v", other)
	}
	for _, want := range []string{"tokenizer", "token ids", "exact length", "each chunk", "prefix cache", "its own times", "max_model_len"} {
		if !strings.Contains(fmt.Sprint(other.Lacks), want) {
			t.Errorf("a server that no dialect knows does not lack %q: %v", want, other.Lacks)
		}
	}
	if _, err := load.Examine(t.Context(), load.Target{URL: fake(t, http.NotFound).URL, Model: "x"}); err == nil || !strings.Contains(err.Error(), `no model "x": it has m`) {
		t.Errorf("a model that is not there: %v", err)
	}
	gone := serve(t, truth.Plan{})
	gone.Close()
	if _, err := load.Examine(t.Context(), load.Target{URL: gone.URL()}); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestAnOldVersionIsNotAskedForWhatItDoesNotHave(t *testing.T) {
	mux := http.NewServeMux()
	bodies := make(chan string, 1)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"object":"list","data":[{"id":"m","owned_by":"vllm","max_model_len":2048}]}`)
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"version":"0.8.1"}`) })
	mux.HandleFunc("POST /tokenize", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"object":"error","message":"As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template","code":400}`, 400)
	})
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 1<<16)
		n, _ := r.Body.Read(b)
		bodies <- string(b[:n])
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"choices\":[{\"text\":\"a\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n")
	})
	r := newRig(t, examine(t, serveMux(t, mux)))
	if r.server.Chat || r.server.API != shape.Completions || !strings.Contains(fmt.Sprint(r.server.Lacks), "no chat template") {
		t.Errorf("a model without a chat template: %+v", r.server.Lacks)
	}
	p := closedLoop(1, 16, 1)
	p.Stop.Requests, p.KeepText = 1, true
	r.set(t, p, 1)
	r.wait(t)
	if tally := r.whole(t, 1); tally.Class[request.OK] != 1 {
		t.Errorf("%s %q", named(tally), tally.First)
	}
	if body := <-bodies; strings.Contains(body, "return_token_ids") || strings.Contains(body, "cache_salt") || !strings.Contains(body, "min_tokens") {
		t.Errorf("asked of 0.8.1: %s", body)
	}
	if err := r.server.Check(shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: 1}, Prompt: shape.Prompt{Length: shape.Tokens(16)}, Output: shape.Output{Length: shape.Tokens(1)}, API: shape.Chat}); err == nil || !strings.Contains(err.Error(), "no chat template") {
		t.Errorf("a chat with it: %v", err)
	}
}

func serveMux(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestImpossiblePointsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	truthful := serve(t, truth.Plan{MaxModelLen: 2048})
	r := newRig(t, examine(t, truthful.URL()))
	for want, change := range map[string]func(*shape.Point){
		"arrival.clients":                 func(p *shape.Point) { p.Arrival.Clients = 0 },
		"2048 (max_model_len)":            func(p *shape.Point) { p.Prompt.Length = shape.Tokens(3000) },
		"an answer of up to 2000":         func(p *shape.Point) { p.Output.Length = shape.Tokens(2000) },
		"body.model":                      func(p *shape.Point) { p.Body = map[string]any{"model": "x"} },
		"body.cache_prompt":               func(p *shape.Point) { p.Body = map[string]any{"cache_prompt": true} },
		"body.timings_per_token":          func(p *shape.Point) { p.Body = map[string]any{"timings_per_token": false} },
		"headers.x-request-id":            func(p *shape.Point) { p.Headers = map[string]string{"x-request-id": "1"} },
		"headers.Content-Type":            func(p *shape.Point) { p.Headers = map[string]string{"Content-Type": "text/plain"} },
		"it can't be written as JSON":     func(p *shape.Point) { p.Body = map[string]any{"f": func() {}} },
		"decides how the request is sent": func(p *shape.Point) { p.Headers = map[string]string{"Te": "trailers"} },
	} {
		p := closedLoop(1, 64, 8)
		change(&p)
		err := r.Set(t.Context(), p, 1)
		if err == nil {
			t.Errorf("%s: taken", want)
			r.Stop()
			r.wait(t)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if answers, _ := truthful.Answers(); len(answers) != 0 || r.State().Active {
		t.Errorf("%d requests were sent", len(answers))
	}
}

func TestNoSecretIsInAnErrorARecordOrAnIdentity(t *testing.T) {
	const key, header, password = "sk-verysecretkey", "header-secret-value", "passw0rd-of-user"
	s := serveMux(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `{"object":"list","data":[{"id":"m"}]}`)
			return
		}
		http.Error(w, fmt.Sprintf(`{"error":{"message":"bad key %s, header %s, password %s, Authorization: Bearer abcdefghijk"}}`,
			strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.Header.Get("X-Secret"), password), http.StatusUnauthorized)
	}))
	server, err := load.Examine(t.Context(), load.Target{URL: strings.Replace(s, "http://", "http://user:"+password+"@", 1),
		Access: engine.Access{APIKey: key, Headers: http.Header{"X-Secret": {header}}}})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, server)
	p := closedLoop(1, 16, 1)
	p.Stop.Requests = 1
	r.set(t, p, 1)
	r.wait(t)
	tally := r.whole(t, 1)
	all := fmt.Sprintf("%+v %+v %+v %v", *r.of(1)[0], tally.First, r.State(), server.Target())
	for _, secret := range []string{key, header, password, "abcdefghijk"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is told: %s", secret, all)
		}
	}
	if !strings.Contains(tally.First[request.Status], "bad key") {
		t.Errorf("message %q", tally.First)
	}
	p.Headers = map[string]string{"Authorization": "Bearer mine"}
	if err := r.Set(t.Context(), p, 2); err == nil || strings.Contains(err.Error(), "mine") {
		t.Errorf("another key: %v", err)
	}
}

func TestTheSimulatedEngineGivesItsOwnTimesAndCachedTokens(t *testing.T) {
	s, err := sim.Start(t.Context(), sim.Options{Quiet: true, Speed: 20, RequestMetrics: true, TokenDetails: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r := newRig(t, examine(t, s.URL()))
	p := closedLoop(4, 512, 16)
	p.Stop.Requests, p.Cache = 12, shape.Warm
	p.Prompt.Shared = 256
	r.set(t, p, 1)
	r.wait(t)
	tally := r.whole(t, 1)
	if tally.Class[request.OK] != 12 || tally.Input != 12*512 || tally.Output != 12*16 || tally.Cached == 0 {
		t.Fatalf("%s %q %+v", named(tally), tally.First, tally)
	}
	for _, rec := range r.of(1) {
		if rec.Queue < 0 || rec.Prefill <= 0 || rec.Decode <= 0 || rec.CachedTokens < 0 {
			t.Errorf("server's times: queue %v prefill %v decode %v, cached %d", rec.Queue, rec.Prefill, rec.Decode, rec.CachedTokens)
		}
	}
	// What it does wrong by request comes under its class.
	for fault, class := range map[string]request.Class{
		"error-in-stream; after=3": request.InStream, "cut-stream; after=3": request.Cut, "error-5xx; status=503": request.Status, "stalled-stream; after=3": request.Stalled,
	} {
		run := uint32(class) + 10
		p := closedLoop(2, 32, 8)
		p.Stop.Requests, p.StallWithin, p.Headers = 2, 500*time.Millisecond, map[string]string{"X-Pitwall-Fault": fault}
		r.set(t, p, run)
		r.wait(t)
		if tally := r.whole(t, run); tally.Class[class] != 2 {
			t.Errorf("%s: %s %q", fault, named(tally), tally.First)
		}
	}
}
