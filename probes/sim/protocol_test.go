package sim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// captured is the model of the captures in testdata, which are from a real vLLM 0.32.0.
const captured = "HuggingFaceTB/SmolLM2-135M-Instruct"

// serve starts a fast engine without traffic, named and sized like the captured one.
func serve(t testing.TB, change func(*Options)) *Server {
	t.Helper()
	o := Options{Model: captured, Config: Config{MaxModelLen: 2048}, Quiet: true, Speed: 50}
	if change != nil {
		change(&o)
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func do(t testing.TB, s *Server, method, path string, body []byte, header ...string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, b
}

// shape reduces JSON to its keys, in their order, and the types of the values; a list to the kinds of its items.
func shape(t testing.TB, raw []byte) string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	s, err := shapeOf(dec)
	if err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return s
}

func shapeOf(dec *json.Decoder) (string, error) {
	tok, err := dec.Token()
	if err != nil {
		return "", err
	}
	open, ok := tok.(json.Delim)
	if !ok {
		if tok == nil {
			return "null", nil
		}
		return fmt.Sprintf("%T", tok), nil
	}
	var items []string
	for dec.More() {
		key := ""
		if open == '{' {
			tok, err := dec.Token()
			if err != nil {
				return "", err
			}
			key = fmt.Sprint(tok, ":")
		}
		value, err := shapeOf(dec)
		if err != nil {
			return "", err
		}
		if item := key + value; !slices.Contains(items, item) {
			items = append(items, item)
		}
	}
	_, err = dec.Token()
	return open.String() + strings.Join(items, " "), err
}

// capture reads a capture: its request, and its response's content type and body.
func capture(t testing.TB, name string) (method, path string, request []byte, contentType string, body []byte) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(raw), "\n")
	fields := strings.SplitN(strings.TrimPrefix(first, "> "), " ", 3)
	head, answer, _ := strings.Cut(rest, "\n\n")
	for line := range strings.Lines(head) {
		if v, ok := strings.CutPrefix(line, "content-type: "); ok {
			contentType = strings.TrimSpace(v)
		}
	}
	return fields[0], fields[1], []byte(fields[2]), contentType, []byte(answer)
}

var likeliest = regexp.MustCompile(`(?s)(top_logprobs:\[\{).*?:float64( finish_reason:)`)

// events reduces a stream to the shapes of its events, equal ones in a row as one.
func events(t testing.TB, body []byte) []string {
	t.Helper()
	var out []string
	scan := bufio.NewScanner(bytes.NewReader(body))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		data, ok := strings.CutPrefix(scan.Text(), "data: ")
		if !ok {
			if scan.Text() != "" {
				t.Fatalf("line %q", scan.Text())
			}
			continue
		}
		if data != "[DONE]" {
			data = shape(t, []byte(data))
		}
		if strings.Contains(data, "text_offset:") { // a completion's likeliest tokens are keys of an object
			data = likeliest.ReplaceAllString(data, "$1 TOKENS $2")
		}
		out = append(out, data)
	}
	return slices.Compact(out)
}

func TestStreamsHaveTheEventsOfARealServer(t *testing.T) {
	// At real speed: a reader that is late gets several tokens in one event, and the events in the middle are looked for.
	s := serve(t, func(o *Options) { o.Speed = 1 })
	files, _ := filepath.Glob("testdata/sse_*.txt")
	withFlags, _ := filepath.Glob("testdata/full_sse_*.txt")
	if files = append(files, withFlags...); len(files) < 16 {
		t.Fatalf("only %d captures", len(files))
	}
	full := serve(t, func(o *Options) { o.Speed, o.RequestMetrics, o.TokenDetails = 1, true, true })
	for _, f := range files {
		name := filepath.Base(f)
		t.Run(strings.TrimSuffix(name, ".txt"), func(t *testing.T) {
			method, path, request, contentType, body := capture(t, name)
			// The simulated vocabulary knows no capitalised colours.
			request = bytes.Replace(request, []byte(`"Blue"`), []byte(`"."`), 1)
			if !bytes.Contains(request, []byte("stop\":")) {
				request = bytes.Replace(request, []byte("{"), []byte(`{"ignore_eos": true, `), 1)
			}
			s := s
			if strings.HasPrefix(name, "full_") {
				s = full
			}
			status, header, got := do(t, s, method, path, request)
			if status != 200 || header.Get("Content-Type") != contentType {
				t.Fatalf("%d %s, want 200 %s: %s", status, header.Get("Content-Type"), contentType, got)
			}
			want, have := events(t, body), events(t, got)
			if strings.Join(want, "\n") != strings.Join(have, "\n") {
				t.Errorf("the real events:\n%s\nthe simulated:\n%s", strings.Join(want, "\n"), strings.Join(have, "\n"))
			}
		})
	}
}

func TestWholeAnswersHaveTheKeysOfARealServer(t *testing.T) {
	plain := serve(t, nil)
	full := serve(t, func(o *Options) { o.RequestMetrics, o.TokenDetails = true, true })
	for _, name := range []string{"chat_nonstream.json", "completion_nonstream.json", "full_chat_nonstream.json"} {
		s := plain
		if strings.HasPrefix(name, "full_") {
			s = full
		}
		method, path, request, contentType, body := capture(t, name)
		status, header, got := do(t, s, method, path, request)
		if status != 200 || header.Get("Content-Type") != contentType || shape(t, got) != shape(t, body) {
			t.Errorf("%s: %d %s\nreal:      %s\nsimulated: %s", name, status, header.Get("Content-Type"), shape(t, body), shape(t, got))
		}
	}
}

// exchange is one request and its answer in testdata.
type exchange struct {
	Name, Request string
	RequestBody   json.RawMessage `json:"request_body"`
	Status        int
	Body          json.RawMessage
}

func exchanges(t testing.TB, name string) []exchange {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var out []exchange
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestErrorsAreThoseOfARealServer(t *testing.T) {
	s := serve(t, nil)
	long := strings.Repeat("word ", 3000)
	bodies := map[string]string{ // what the captures left out
		"prompt_too_long":        `{"prompt": "` + long + `"}`,
		"prompt_too_long_chat":   `{"messages": [{"role": "user", "content": "` + long + `"}]}`,
		"prompt_too_long_stream": `{"stream": true, "messages": [{"role": "user", "content": "` + long + `"}]}`,
		"bad_json":               `{"model": "x", "messages": [`,
	}
	for _, e := range exchanges(t, "errors.json") {
		t.Run(e.Name, func(t *testing.T) {
			method, path, _ := strings.Cut(e.Request, " ")
			body := []byte(e.RequestBody)
			if b, ok := bodies[e.Name]; ok {
				body = []byte(b)
			}
			var header []string
			if e.Name == "no_content_type" {
				header = []string{"Content-Type", "text/plain"}
			}
			if method == http.MethodGet {
				body = nil
			}
			status, _, got := do(t, s, method, path, body, header...)
			if status != e.Status {
				t.Fatalf("status %d, want %d: %s", status, e.Status, got)
			}
			var real, mine struct {
				Detail string
				Error  refusal
			}
			if json.Unmarshal(e.Body, &real) != nil || json.Unmarshal(got, &mine) != nil {
				t.Fatalf("not JSON: %s", got)
			}
			// A schema's error ends with the input.
			real.Error.Message, _, _ = strings.Cut(real.Error.Message, ", 'input'")
			mine.Error.Message, _, _ = strings.Cut(mine.Error.Message, ", 'input'")
			if a, b := fmt.Sprint(text(real.Error.Param), real), fmt.Sprint(text(mine.Error.Param), mine); shape(t, e.Body) != shape(t, got) ||
				text(real.Error.Param) != text(mine.Error.Param) || real.Error.Message != mine.Error.Message ||
				real.Error.Type != mine.Error.Type || real.Error.Code != mine.Error.Code || real.Detail != mine.Detail {
				t.Errorf("real:      %s\nsimulated: %s", a, b)
			}
		})
	}
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func TestTheOtherEndpointsHaveTheShapesOfARealServer(t *testing.T) {
	s := serve(t, nil)
	for _, e := range exchanges(t, "endpoints.json") {
		method, path, _ := strings.Cut(e.Request, " ")
		body := []byte(e.RequestBody)
		if method == http.MethodGet {
			body = nil
		}
		status, _, got := do(t, s, method, path, body)
		if status != e.Status || shape(t, got) != shape(t, e.Body) {
			t.Errorf("%s: %d\nreal:      %s\nsimulated: %s", e.Name, status, e.Body, got)
		}
	}
	for _, path := range []string{"/health", "/ping"} {
		if status, _, body := do(t, s, http.MethodGet, path, nil); status != 200 || len(body) != 0 {
			t.Errorf("%s: %d %q, want 200 and nothing", path, status, body)
		}
	}
}

func TestTokenizeCountsWhatUsageCounts(t *testing.T) {
	s := serve(t, nil)
	for _, c := range []struct{ path, ask string }{
		{"/v1/completions", `"prompt": "The capital of France is café 🏁"`},
		{"/v1/completions", `"prompt": [1, 2, 3, 40000]`},
		{"/v1/chat/completions", `"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name three colours."}]`},
		{"/v1/chat/completions", `"messages": [{"role": "user", "content": [{"type": "text", "text": "Name three colours."}]}]`},
	} {
		_, _, counted := do(t, s, http.MethodPost, "/tokenize", []byte("{"+c.ask+"}"))
		_, _, used := do(t, s, http.MethodPost, c.path, []byte("{"+c.ask+`, "max_tokens": 3}`))
		var count struct {
			Count  int
			Tokens []int
		}
		var use struct {
			Usage struct {
				PromptTokens int `json:"prompt_tokens"`
			}
		}
		_ = json.Unmarshal(counted, &count)
		_ = json.Unmarshal(used, &use)
		if count.Count == 0 || count.Count != len(count.Tokens) || count.Count != use.Usage.PromptTokens {
			t.Errorf("%s: tokenize says %d (%d ids), usage %d", c.ask, count.Count, len(count.Tokens), use.Usage.PromptTokens)
		}
	}
	_, _, ids := do(t, s, http.MethodPost, "/tokenize", []byte(`{"prompt": "caf\u00e9 and tea", "add_special_tokens": false}`))
	_, _, back := do(t, s, http.MethodPost, "/detokenize", ids)
	if string(back) != `{"prompt":"café and tea"}` {
		t.Errorf("detokenize gave %s", back)
	}
}

func TestARequestsOwnIDIsUsed(t *testing.T) {
	s := serve(t, nil)
	_, _, body := do(t, s, http.MethodPost, "/v1/completions", []byte(`{"prompt": "x", "max_tokens": 1}`), "X-Request-Id", "run1-0001")
	if !bytes.Contains(body, []byte(`"id":"cmpl-run1-0001"`)) {
		t.Errorf("%s", body)
	}
}

func TestStreamIntervalGathersTokensAndLeavesTheFirstAlone(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 1 })
	_, _, body := do(t, s, http.MethodPost, "/v1/completions",
		[]byte(`{"prompt": "x", "max_tokens": 24, "ignore_eos": true, "stream": true, "stream_interval": 4, "return_token_ids": true}`))
	var sizes []int
	for line := range strings.Lines(string(body)) {
		var c struct {
			Choices []struct {
				TokenIDs []int `json:"token_ids"`
			}
		}
		if data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: "); ok && json.Unmarshal([]byte(data), &c) == nil && len(c.Choices) > 0 {
			sizes = append(sizes, len(c.Choices[0].TokenIDs))
		}
	}
	sum := 0
	for i, n := range sizes {
		sum += n
		if i == 0 && n != 1 || i > 0 && i < len(sizes)-1 && n < 4 {
			t.Errorf("chunks of %v tokens: want 1, then 4 or, where the reader is late, more", sizes)
			break
		}
	}
	if sum != 24 || len(sizes) > 7 {
		t.Errorf("chunks of %v tokens: want 24 in at most 7", sizes)
	}
}

func TestAPromptAndMaxTokensAboveTheModelsLengthAreCut(t *testing.T) {
	s := serve(t, nil)
	_, _, body := do(t, s, http.MethodPost, "/v1/completions",
		[]byte(`{"prompt": "`+strings.Repeat(" word", 1900)+`", "max_tokens": 500, "ignore_eos": true}`))
	var use struct {
		Choices []struct {
			FinishReason string `json:"finish_reason"`
		}
		Usage struct {
			Total int `json:"total_tokens"`
		}
	}
	if err := json.Unmarshal(body, &use); err != nil || use.Usage.Total != 2048 || use.Choices[0].FinishReason != "length" {
		t.Errorf("%v %+v, want 2048 tokens in all and length", err, use)
	}
}

func TestStopEndsABodyOfStreamsWithinATenthOfASecond(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 1 })
	res, err := http.Post(s.URL()+"/v1/completions", "application/json",
		strings.NewReader(`{"prompt": "x", "max_tokens": 2000, "ignore_eos": true, "stream": true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	if _, err := in.ReadString('\n'); err != nil { // the first token is there
		t.Fatal(err)
	}
	start := time.Now()
	_ = s.Close()
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("closing took %v", took)
	}
	rest, _ := io.ReadAll(in)
	if !bytes.HasSuffix(rest, []byte(realEnd)) {
		t.Errorf("the stream ended with %q, want an error and [DONE]", rest[max(0, len(rest)-300):])
	}
	if _, err := http.Get(s.URL() + "/health"); err == nil {
		t.Error("it still answers")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestItListensOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:80", "nonsense"} {
		if s, err := Start(t.Context(), Options{Addr: addr, Quiet: true}); err == nil {
			_ = s.Close()
			t.Errorf("%s was accepted", addr)
		}
	}
}

func TestWhoGivesUpDuringTheWarmUpGetsNoServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{Warm: 100 * 24 * time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
