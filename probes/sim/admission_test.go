package sim

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// unanswered sends streams that the engine, which hangs, never answers, and waits until it has them.
func unanswered(t testing.TB, s *Server, n int, prompt string) {
	t.Helper()
	if err := s.Inject(schedule(t, "- {fault: hang, for: 900h}")...); err != nil {
		t.Fatal(err)
	}
	for range n {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/v1/completions", strings.NewReader(`{"stream": true, "prompt": "`+prompt+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		s.driver.mu.Lock()
		e := s.driver.engines[0]
		have := len(e.inbox) + len(e.waiting) + len(e.running)
		s.driver.mu.Unlock()
		if have == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the engine has %d of %d requests", have, n)
		}
	}
}

// What a real 0.32.0 with --max-num-queued-reqs 24 sent to who came too late.
const (
	realRejection         = `{"error":{"message":"The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.","type":"Service Unavailable","param":null,"code":503}}`
	realRejectionInStream = `data: {"error": {"message": "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.", "type": "Service Unavailable", "param": null, "code": 503}}` + "\n\ndata: [DONE]\n\n"
)

func TestWhoComesToAFullQueueIsRefusedInTheWordsOfARealServer(t *testing.T) {
	s := serve(t, func(o *Options) { o.Config.MaxNumQueuedReqs = 2 })
	unanswered(t, s, 2, "x")
	seen := s.driver.now()
	for s.driver.now() < seen+frontEnd { // a quarter of a millisecond
	}
	for _, c := range []struct{ name, path, body string }{
		{"a stream", "/v1/completions", `{"prompt": "late", "stream": true}`},
		{"an answer in one piece", "/v1/completions", `{"prompt": "late"}`},
		{"a chat", "/v1/chat/completions", `{"messages": [{"role": "user", "content": "late"}], "stream": true}`},
		{"n that no limit has room for, before it is found that it isn't simulated", "/v1/completions", `{"prompt": "late", "n": 100000}`},
	} {
		status, head, body := do(t, s, http.MethodPost, c.path, []byte(c.body))
		if status != 503 || string(body) != realRejection || head.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v\n%s\nreal\n%s", c.name, status, head, body, realRejection)
		}
	}
	if status, _, _ := do(t, s, http.MethodPost, "/v1/completions", []byte(`{"prompt": "late", "model": "other"}`)); status != 404 {
		t.Errorf("an unknown model gives %d: it is looked at first", status)
	}
	rejections(t, s, 4, 0)
}

func rejections(t testing.TB, s *Server, requests, tokens float64) {
	t.Helper()
	got := map[string]float64{}
	for _, m := range scrape(t, s)["vllm:admission_rejections_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "reason" {
				got[l.GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if got["max_num_queued_reqs"] != requests || got["max_num_queued_tokens"] != tokens {
		t.Errorf("admission_rejections_total: %v", got)
	}
}

func TestABurstIsRefusedInsideOfItsStreams(t *testing.T) {
	// A second lasts 1,000: all comes within the time of the front end.
	s := serve(t, func(o *Options) { o.Config.MaxNumQueuedReqs, o.Speed = 2, 0.001 })
	unanswered(t, s, 2, "x")
	status, head, body := do(t, s, http.MethodPost, "/v1/completions", []byte(`{"prompt": "x", "stream": true}`))
	if status != 200 || string(body) != realRejectionInStream || head.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Errorf("%d %v %q\nreal 200 %q", status, head, body, realRejectionInStream)
	}
	if status, _, body := do(t, s, http.MethodPost, "/v1/completions", []byte(`{"prompt": "x"}`)); status != 503 || string(body) != realRejection {
		t.Errorf("who wants no stream gets %d %s", status, body)
	}
	rejections(t, s, 2, 0)
	_, _, page := do(t, s, http.MethodGet, "/metrics", nil)
	if want := `http_requests_total{handler="/v1/completions",method="POST",status="2xx"} 1.0`; !bytes.Contains(page, []byte(want)) {
		t.Errorf("the refused stream is not counted as %s", want)
	}
}

func TestPromptsThatWaitForTheirFirstTokenCountTowardsTheLimitOfTokens(t *testing.T) {
	e := engine(t, Config{MaxNumQueuedTokens: 100})
	at := func(prompt int) *refusal {
		var r *refusal
		if err := e.Submit(request(prompt, 50, 0), e.Now()); err != nil && !errors.As(err, &r) {
			t.Fatal(err)
		}
		return r
	}
	if at(99) != nil || at(500) != nil {
		t.Error("below the limit there is room, however long the prompt")
	}
	if r := at(1); r == nil || r.Code != 503 || !strings.Contains(r.Message, "reached its prefill token backlog limit") {
		t.Errorf("at the limit: %+v", r)
	}
	e.Advance() // both have their first token
	if r := at(1); r != nil {
		t.Errorf("when nobody waits for a first token: %v", r)
	}
	if e.tally.rejections != [limits]uint64{queuedTokens: 1} {
		t.Errorf("counted: %v", e.tally.rejections)
	}
}

func TestWhoEndsOrLeavesMakesRoomInTheQueue(t *testing.T) {
	e := engine(t, Config{MaxNumQueuedReqs: 2})
	full := func() bool { return e.admission(e.Now(), 1) != nil }
	a, b := request(10, 2, 0), request(10, 1000, 0)
	submit(t, e, a, b)
	if !full() {
		t.Error("two of two are there before the scheduler has seen them")
	}
	e.Advance()
	if !full() {
		t.Error("those that run count")
	}
	e.Advance()
	if full() {
		t.Error("one has ended")
	}
	submit(t, e, request(10, 1000, 0))
	e.Abort(b)
	if full() {
		t.Error("one has left")
	}
}

func TestTheTrafficIsRefusedToo(t *testing.T) {
	e := engine(t, Config{Traffic: NewTraffic(1, time.Minute, 8192), MaxNumQueuedReqs: 20, Trace: 1 << 14})
	most, refused := 0, uint64(0)
	for e.Now() < 3*time.Minute {
		if _, ok := e.Advance(); !ok {
			e.wait(3 * time.Minute)
		}
		most = max(most, len(e.running)+len(e.waiting)+len(e.inbox))
	}
	for _, h := range e.trace.since(0) {
		if h.What == wasRefused {
			refused++
		}
	}
	if most != 20 {
		t.Errorf("at most %d were there, the limit is 20", most)
	}
	if n := e.tally.rejections[queuedRequests]; n == 0 || n != refused || e.tally.refused == 0 || e.tally.refused > n {
		t.Errorf("%d rejections, %d in the trace, %d with status 503", n, refused, e.tally.refused)
	}
}
