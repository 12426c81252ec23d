package load_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"

	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/probes/truth"
)

func TestEachFaultHasItsClassAndTheFirstMessageIsKept(t *testing.T) {
	for fault, want := range map[string]struct {
		class   request.Class
		message string
	}{
		"cut@2":      {request.Cut, "in the middle of its answer"},
		"unmarked@3": {request.Cut, "without [DONE]"},
		"reset@2":    {request.Cut, "reset"},
		"stall@2":    {request.Stalled, "nothing came for"},
		"stall":      {request.NoFirstByte, "no answer began within"},
		"error@2":    {request.InStream, "500"},
		"error@0":    {request.InStream, "500"},
		"short@3":    {request.WrongLength, "3 tokens came, 8 were asked for"},
		"empty":      {request.Empty, "without a single token"},
		"garbage@1":  {request.Malformed, "no chunk"},
		"refuse@503": {request.Status, "HTTP 503"},
		"refuse@429": {request.Status, "HTTP 429"},
	} {
		for _, api := range []shape.API{shape.Chat, shape.Completions} {
			t.Run(fault+" "+string(api), func(t *testing.T) {
				t.Parallel()
				s := serve(t, truth.Plan{Gap: time.Millisecond})
				r := newRig(t, examine(t, s.URL()))
				p := closedLoop(2, 16, 8)
				p.API, p.Stop.Requests = api, 4
				p.FirstByteWithin, p.StallWithin = 300*time.Millisecond, 300*time.Millisecond
				p.Headers = map[string]string{"X-Truth-Fault": fault}
				r.set(t, p, 1)
				r.wait(t)
				tally := r.whole(t, 1)
				if tally.Class[want.class] != 4 || !strings.Contains(tally.First[want.class], want.message) {
					t.Errorf("ended as %s, messages %q; want 4 of %s with %q", named(tally), tally.First, want.class, want.message)
				}
			})
		}
	}
}

// named lists the classes of a tally.
func named(t load.Tally) string {
	var out []string
	for c, n := range t.Class {
		if n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, request.Class(c)))
		}
	}
	return strings.Join(out, ", ")
}

// fake is a server whose every answer to a request for tokens is written by hand.
func fake(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"object":"list","data":[{"id":"m","object":"model","owned_by":"nobody"}]}`)
	})
	mux.HandleFunc("POST /v1/", answer)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestAnswersOfServersThatNoDialectKnows(t *testing.T) {
	stream := func(events ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for _, e := range events {
				fmt.Fprintf(w, "data: %s\n\n", e)
			}
		}
	}
	whole := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	role := `{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`
	word := `{"choices":[{"index":0,"delta":{"content":"a"}}]}`
	last := `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	for _, c := range []struct {
		name       string
		unstreamed bool
		answer     http.HandlerFunc
		class      request.Class
		message    string
		tokens     int
	}{
		{"a good answer without usage counts its chunks", false, stream(role, word, word, last, "[DONE]"), request.OK, "", 2},
		{"usage wins over chunks", false, stream(role, word, word, last, `{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}`, "[DONE]"), request.OK, "", 5},
		{"503 inside 200, with an end mark", false, stream(`{"error":{"message":"The engine is currently busy","type":"Service Unavailable","code":503}}`, "[DONE]"), request.InStream, "503: The engine is currently busy", 0},
		{"an error after tokens", false, stream(role, word, `{"error":"it broke"}`, "[DONE]"), request.InStream, "it broke", 1},
		{"an error of the old form", false, stream(`{"object":"error","message":"old","code":400}`, "[DONE]"), request.InStream, "400: old", 0},
		{"the role and no token", false, stream(role, last, "[DONE]"), request.Empty, "without a single token", 0},
		{"nothing but the end mark", false, stream("[DONE]"), request.Empty, "", 0},
		{"no end mark", false, stream(role, word, last), request.Cut, "without [DONE]", 1},
		{"aborted by the server", false, stream(role, word, `{"choices":[{"index":0,"delta":{},"finish_reason":"abort"}]}`, "[DONE]"), request.Cut, "abort", 1},
		{"a whole answer in place of a stream", false, whole(200, `{"choices":[{"message":{"content":"a"}}]}`), request.Malformed, "a stream was asked for", 0},
		{"a page", false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>login</html>")
		}, request.Malformed, "text/html", 0},
		{"a detail", false, whole(404, `{"detail":"Not Found"}`), request.Status, "HTTP 404 Not Found: Not Found", 0},
		{"a whole answer that was asked for", true, whole(200, `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`), request.OK, "", 3},
		{"a whole answer without usage", true, whole(200, `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}`), request.OK, "", request.Unknown},
		{"a whole answer without text", true, whole(200, `{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}`), request.Empty, "", request.Unknown},
		{"an error in a whole answer of status 200", true, whole(200, `{"error":{"message":"no","code":500}}`), request.InStream, "500: no", request.Unknown},
		{"no JSON", true, whole(200, `oops`), request.Malformed, "no JSON", request.Unknown},
		{"JSON that is no answer", true, whole(200, `{"a":1}`), request.Malformed, "no choices", request.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := examine(t, fake(t, c.answer).URL)
			r := newRig(t, s)
			p := closedLoop(1, 16, 8)
			p.Unstreamed, p.Stop.Requests = c.unstreamed, 1
			r.set(t, p, 1)
			r.wait(t)
			tally := r.whole(t, 1)
			rec := r.of(1)[0]
			if rec.Class != c.class || !strings.Contains(rec.Message, c.message) || tally.First[c.class] != rec.Message {
				t.Errorf("%s %q, want %s with %q", rec.Class, rec.Message, c.class, c.message)
			}
			if n := rec.Tokens(); n != c.tokens && !(n == request.Unknown && c.tokens == 0) {
				t.Errorf("%d tokens, want %d", n, c.tokens)
			}
			if rec.Streamed == c.unstreamed {
				t.Errorf("streamed %v", rec.Streamed)
			}
		})
	}
}

func TestNobodyListensAndNamesThatDoNotResolve(t *testing.T) {
	s := serve(t, truth.Plan{})
	server := examine(t, s.URL())
	s.Close()
	r := newRig(t, server)
	p := closedLoop(2, 16, 1)
	p.Stop.Requests = 6
	from := time.Now()
	r.set(t, p, 1)
	r.wait(t)
	if tally := r.whole(t, 1); tally.Class[request.Refused] != 6 || !strings.Contains(tally.First[request.Refused], "refused") {
		t.Errorf("%s %q", named(tally), tally.First)
	}
	if took := time.Since(from); took < 100*time.Millisecond {
		t.Errorf("three tries in a row of a client took %v: a server that is down is being hammered", took)
	}
	for _, rec := range r.of(1) {
		if rec.Sent != 0 || rec.End == 0 || rec.FirstByte != 0 {
			t.Errorf("a request that found nobody: %+v", rec)
		}
	}
}

// network is a proxy in front of a server, whose faults are set as it runs.
func network(t *testing.T, upstream string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func toxic(t *testing.T, p *toxiproxy.Proxy, json string) {
	t.Helper()
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(json)); err != nil {
		t.Fatal(err)
	}
}

var _ toxics.Toxic // the kinds that the JSON names are registered by that package

func TestTheNetworkFailsInMidRun(t *testing.T) {
	for _, c := range []struct {
		name  string
		fail  func(*testing.T, *toxiproxy.Proxy)
		class []request.Class
	}{
		{"cut: streams under way are cut, later ones find nobody", func(_ *testing.T, p *toxiproxy.Proxy) { p.Stop() }, []request.Class{request.Cut, request.Refused}},
		{"black: nothing comes any more", func(t *testing.T, p *toxiproxy.Proxy) { toxic(t, p, `{"type":"timeout","attributes":{"timeout":0}}`) }, []request.Class{request.Stalled, request.NoFirstByte}},
		{"reset: connections are reset", func(t *testing.T, p *toxiproxy.Proxy) {
			toxic(t, p, `{"type":"reset_peer","attributes":{"timeout":0}}`)
		}, []request.Class{request.Cut, request.Reset}},
		{"throttled: all ends well, late", func(t *testing.T, p *toxiproxy.Proxy) { toxic(t, p, `{"type":"bandwidth","attributes":{"rate":20}}`) }, nil},
		{"delayed: all ends well, late", func(t *testing.T, p *toxiproxy.Proxy) { toxic(t, p, `{"type":"latency","attributes":{"latency":80}}`) }, nil},
		{"cut into crumbs: all ends well", func(t *testing.T, p *toxiproxy.Proxy) {
			toxic(t, p, `{"type":"slicer","attributes":{"average_size":11,"size_variation":5,"delay":200}}`)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, truth.Plan{TTFT: 5 * time.Millisecond, Gap: 3 * time.Millisecond})
			proxy := network(t, s.Addr())
			r := newRig(t, examine(t, "http://"+proxy.Listen))
			p := closedLoop(4, 16, 12)
			p.FirstByteWithin, p.StallWithin = 700*time.Millisecond, 700*time.Millisecond
			r.set(t, p, 1)
			ends := func() int { st := r.State(); tally, _ := st.Of(1); return tally.Ends() }
			until(t, "some good ones", func() bool { return ends() >= 20 })
			before := ends()
			c.fail(t, proxy)
			until(t, "a dozen more", func() bool { return ends() >= before+12 })
			r.Stop()
			r.wait(t)
			tally := r.whole(t, 1)
			bad := tally.Failed()
			for _, class := range c.class {
				if tally.Class[class] == 0 && class != request.Stalled && class != request.Reset && class != request.Cut {
					t.Errorf("none of class %s: %s %q", class, named(tally), tally.First)
				}
				bad -= tally.Class[class]
			}
			if bad != 0 || (tally.Failed() > 0) != (c.class != nil) {
				t.Errorf("%s, messages %q; failures may be of %v only", named(tally), tally.First, c.class)
			}
		})
	}
}

func TestTheServerIsKilledInMidRunAndComesBack(t *testing.T) {
	s, err := truth.Listen("127.0.0.1:0", truth.Plan{TTFT: 5 * time.Millisecond, Gap: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, examine(t, s.URL()))
	r.set(t, closedLoop(6, 16, 20), 1)
	tally := func() load.Tally { st := r.State(); got, _ := st.Of(1); return got }
	src := r.Source()
	until(t, "answers in the middle", func() bool {
		had := find(t, src.Read(t.Context()), "tokens_total", "kind", "output").Value
		return tally().Ends() >= 6 && int(had) >= 20*tally().Ends()+12
	})
	address := s.Addr()
	s.Close()
	until(t, "refusals", func() bool { return tally().Class[request.Refused] >= 6 })
	before := tally().Class[request.OK]
	again, err := truth.Listen(address, truth.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	until(t, "good ones again", func() bool { return tally().Class[request.OK] > before+6 })
	r.Stop()
	r.wait(t)
	got := r.whole(t, 1)
	if bad := got.Failed() - got.Class[request.Refused] - got.Class[request.Cut] - got.Class[request.Reset]; bad != 0 || got.Class[request.Cut]+got.Class[request.Reset] == 0 {
		t.Errorf("%s %q", named(got), got.First)
	}
}
