package truth

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"pitwall/probes/request"
	"pitwall/probes/stream"
)

// TestMain makes this binary a truth server's own process where a test starts it as one.
func TestMain(m *testing.M) {
	if os.Getenv("PITWALL_TRUTH_CHILD") != "" {
		if err := Run(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serve(t *testing.T, plan Plan) *Server {
	t.Helper()
	s, err := Listen("", plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// said is what a client saw of an answer.
type said struct {
	status   int
	pieces   []piece // with tokens
	roles    int
	input    int
	tokens   int // by the final usage, -1 without
	finish   string
	failed   bool // an error object within the stream
	broken   bool // an event that is no JSON
	err      error
	sent     request.Time
	body     string
	complete bool
}

type piece struct {
	at    request.Time
	text  string
	ids   []int
	soFar int
}

// ask1 makes one request and reads the answer to its end. The client shares nothing with the server but the clock.
func ask1(t *testing.T, s *Server, id, path, body, fault string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Request-Id", id)
	if fault != "" {
		r.Header.Set("X-Truth-Fault", fault)
	}
	out := said{tokens: -1, sent: s.Clock().Now()}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		out.err = err
		return out
	}
	defer resp.Body.Close()
	out.status = resp.StatusCode
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		b, err := io.ReadAll(resp.Body)
		out.body, out.err = string(b), err
		return out
	}
	events := stream.New(resp.Body)
	for {
		e, err := events.Next()
		at := s.Clock().Now()
		if err != nil {
			out.err = err
			return out
		}
		switch e.Kind {
		case stream.Done:
			out.complete = true
			return out
		case stream.Error:
			out.failed = true
			continue
		}
		var c struct {
			Choices []struct {
				Text  *string
				Delta struct{ Role, Content string }
				IDs   []int `json:"token_ids"`

				Finish string `json:"finish_reason"`
			}
			Usage *struct {
				Input  int `json:"prompt_tokens"`
				Output int `json:"completion_tokens"`
			}
		}
		if err := json.Unmarshal(e.Data, &c); err != nil {
			out.broken = true
			continue
		}
		soFar := -1
		if c.Usage != nil {
			soFar, out.input = c.Usage.Output, c.Usage.Input
		}
		if len(c.Choices) == 0 {
			out.tokens = soFar
			continue
		}
		x := c.Choices[0]
		text := x.Delta.Content
		if x.Text != nil {
			text = *x.Text
		}
		if x.Delta.Role != "" && text == "" {
			out.roles++
			continue
		}
		if x.Finish != "" {
			out.finish = x.Finish
		}
		out.pieces = append(out.pieces, piece{at, text, x.IDs, soFar})
	}
}

const (
	completion = `{"prompt":[5,6,7],"max_tokens":10,"stream":true,"return_token_ids":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`
	chat       = `{"messages":[{"role":"user","content":"three words here"}],"max_tokens":10,"stream":true,"stream_options":{"include_usage":true}}`
)

func wait(t *testing.T, s *Server, id string) Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a, err := s.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestEveryPieceLeftWhenItsStampSaysAndNoEarlierThanPlanned(t *testing.T) {
	for _, c := range []struct {
		name, path, body string
		plan             Plan
		pieces           []int // tokens of each
		roles            int
	}{
		{"completions, one token a piece", "/v1/completions", completion, Plan{TTFT: 20 * time.Millisecond, Gap: 3 * time.Millisecond}, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 0},
		{"four at a time, the last has the rest", "/v1/completions", completion, Plan{TTFT: 5 * time.Millisecond, Gap: 2 * time.Millisecond, Chunk: 4}, []int{4, 4, 2}, 0},
		{"no time at all", "/v1/completions", completion, Plan{Chunk: 5}, []int{5, 5}, 0},
		{"in steps", "/v1/completions", completion, Plan{TTFT: time.Millisecond, Gap: 4 * time.Millisecond, Steps: true, Chunk: 5}, []int{5, 5}, 0},
		{"spread", "/v1/completions", completion, Plan{Gap: time.Millisecond, Spread: 5 * time.Millisecond, Chunk: 5}, []int{5, 5}, 0},
		{"head at once", "/v1/completions", completion, Plan{TTFT: 10 * time.Millisecond, Head: true, Chunk: 5}, []int{5, 5}, 0},
		{"chat, the role with the first token", "/v1/chat/completions", chat, Plan{TTFT: 10 * time.Millisecond, Chunk: 5}, []int{5, 5}, 1},
		{"chat, the role apart", "/v1/chat/completions", chat, Plan{TTFT: 10 * time.Millisecond, Chunk: 5, Role: RoleApart}, []int{5, 5}, 1},
		{"chat, the role early", "/v1/chat/completions", chat, Plan{TTFT: 10 * time.Millisecond, Chunk: 5, Role: RoleEarly}, []int{5, 5}, 1},
		{"chat, no role", "/v1/chat/completions", chat, Plan{TTFT: 10 * time.Millisecond, Chunk: 5, Role: RoleNone}, []int{5, 5}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.plan)
			got := ask1(t, s, "one", c.path, c.body, "")
			if got.err != nil || !got.complete || got.status != 200 {
				t.Fatalf("the client saw %+v", got)
			}
			a := wait(t, s, "one")
			if len(got.pieces) != len(c.pieces) || len(a.Chunks) != len(c.pieces) {
				t.Fatalf("%d pieces came, %d are said to have left, %d were planned", len(got.pieces), len(a.Chunks), len(c.pieces))
			}
			begin := a.Received + request.Time(c.plan.TTFT)
			total := 0
			for i, k := range c.pieces {
				if n := len(strings.Fields(got.pieces[i].text)); n != k || a.Chunks[i].Tokens != k {
					t.Errorf("piece %d: %d words came, %d tokens are said, %d were planned", i, n, a.Chunks[i].Tokens, k)
				}
				total += k
				if c.path == "/v1/completions" && (len(got.pieces[i].ids) != k || got.pieces[i].soFar != total) {
					t.Errorf("piece %d: %d token ids, usage so far %d; want %d and %d", i, len(got.pieces[i].ids), got.pieces[i].soFar, k, total)
				}
				if at := a.Chunks[i].At; at < begin+request.Time(i)*request.Time(c.plan.Gap) {
					t.Errorf("piece %d left %v before it was due", i, (begin + request.Time(i)*request.Time(c.plan.Gap)).Sub(at))
				}
			}
			for i := range a.Chunks {
				if got.pieces[i].at < a.Chunks[i].At {
					t.Errorf("piece %d was read %v before it left", i, a.Chunks[i].At.Sub(got.pieces[i].at))
				}
			}
			if got.roles != c.roles || (a.Role != 0) != (c.roles > 0) {
				t.Errorf("%d role chunks, its time is %d; want %d", got.roles, a.Role, c.roles)
			}
			if got.tokens != 10 || a.Tokens != 10 || got.finish != "length" || got.input != a.InputTokens {
				t.Errorf("usage says %d of %d, finish %q; the truth is %d of %d", got.tokens, got.input, got.finish, a.Tokens, a.InputTokens)
			}
			if a.Arrived < got.sent || a.Arrived > a.Received || a.Received > a.Head {
				t.Errorf("sent %d, arrived %d, received %d, head %d: not in this order", got.sent, a.Arrived, a.Received, a.Head)
			}
			if early := c.plan.Head || c.plan.Role == RoleEarly; early && a.Head >= begin {
				t.Error("the head was not early")
			}
		})
	}
}

func TestThePageCountsWhatTheAnswersSay(t *testing.T) {
	s := serve(t, Plan{})
	for i, fault := range []string{"", "", "short@4", "error@2", "cut@3", "refuse@503", "empty"} {
		ask1(t, s, fmt.Sprint(i), "/v1/completions", completion, fault)
		wait(t, s, fmt.Sprint(i))
	}
	resp, err := http.Get(s.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	const of = `{engine="0",model_name="truth"`
	for _, want := range []string{
		"pitwall_simulated 1", "vllm:num_requests_running" + of + "} 0",
		"vllm:prompt_tokens_total" + of + "} 15", "vllm:generation_tokens_total" + of + "} 29",
		"vllm:request_success_total" + of + `,finished_reason="length"} 2`, "vllm:request_success_total" + of + `,finished_reason="stop"} 2`,
		"vllm:request_success_total" + of + `,finished_reason="abort"} 1`, "vllm:request_success_total" + of + `,finished_reason="error"} 1`,
	} {
		if !strings.Contains(string(page), want+"\n") {
			t.Errorf("no line %q in\n%s", want, page)
		}
	}
}

func TestOnlyTheNewestAnswersAreKept(t *testing.T) {
	s := serve(t, Plan{Keep: 3, Tokens: 1})
	for i := range 5 {
		ask1(t, s, fmt.Sprint(i), "/v1/completions", `{"prompt":"x","stream":true}`, "")
		wait(t, s, fmt.Sprint(i))
	}
	all, forgotten := s.Answers()
	var ids []string
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	if fmt.Sprint(ids) != "[2 3 4]" || forgotten != 2 {
		t.Errorf("kept %v, forgotten %d", ids, forgotten)
	}
	if _, ok := s.Answer("1"); ok {
		t.Error("a forgotten one is still found by its id")
	}
	s.Forget()
	if all, _ := s.Answers(); len(all) != 0 {
		t.Error("Forget kept some")
	}
}

func TestItListensOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "localhost:0", "[::]:0", "nowhere"} {
		if s, err := Listen(address, Plan{}); err == nil {
			s.Close()
			t.Errorf("it listens at %q", address)
		}
	}
}

func TestAProcessOfItsOwnServesUntilItsParentIsGone(t *testing.T) {
	start := func(plan Plan) (*Child, error) {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "PITWALL_TRUTH_CHILD=1")
		return Start(t.Context(), cmd, plan)
	}
	c, err := start(Plan{TTFT: time.Millisecond, Tokens: 3})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(c.URL+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"x","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	all, err := c.Answers(t.Context())
	if err != nil || len(all) != 1 || all[0].Tokens != 3 || len(all[0].Chunks) != 3 {
		t.Fatalf("it says %+v, %v", all, err)
	}
	if ttft, ok := all[0].TTFT(); !ok || ttft < time.Millisecond {
		t.Errorf("TTFT %v", ttft)
	}
	c.Close()
	if _, err := c.Answers(t.Context()); err == nil {
		t.Error("it serves after its end")
	}
	if _, err := start(Plan{Gap: -1}); err == nil {
		t.Error("an impossible plan was started")
	}
}

func TestWhoHasTheEndOfAnAnswerCanAskForItAtOnce(t *testing.T) {
	s := serve(t, Plan{Tokens: 2})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			ask, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Error(err)
				return
			}
			defer ask.Close()
			asked := bufio.NewReader(ask)
			for j := range 500 {
				id := fmt.Sprintf("%d-%d", i, j)
				body := `{"prompt":"x","stream":true}`
				fmt.Fprintf(ask, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
				for line := ""; !strings.Contains(line, "[DONE]"); {
					if line, err = asked.ReadString('\n'); err != nil {
						t.Error(err)
						return
					}
				}
				if _, ok := s.Answer(id); !ok {
					t.Errorf("%s has ended, and the server knows nothing of it", id)
					return
				}
				for line := ""; line != "0\r\n"; { // the chunked body's end, for the next answer
					if line, err = asked.ReadString('\n'); err != nil {
						t.Error(err)
						return
					}
				}
				_, _ = asked.ReadString('\n')
			}
		})
	}
	clients.Wait()
}

func TestImpossiblePlansAreNamed(t *testing.T) {
	for want, p := range map[string]Plan{
		"negative":       {TTFT: -1},
		"counts":         {Tokens: -1},
		"at most 4096":   {Chunk: 5000},
		"gap between":    {Steps: true},
		"one of them":    {Steps: true, Gap: 1, Spread: 1},
		"cannot stand":   {Model: "a\r\nb"},
		"role chunk":     {Role: "sometimes"},
		"no fault":       {Faults: []Fault{{Trouble: "x"}}},
		"needs a status": {Faults: []Fault{{Trouble: Refuse}}},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
}

func TestSpreadAnswersBeginEvenlyApart(t *testing.T) {
	s := serve(t, Plan{Spread: time.Second})
	taken := map[int]bool{}
	for n := range uint64(100) {
		f := &flow{server: s, plan: &s.plan, answer: &Answer{N: n + 1}, stream: true, tokens: 1}
		f.start()
		taken[int(time.Duration(f.begin)/(20*time.Millisecond))] = true
	}
	if len(taken) != 50 {
		t.Errorf("100 answers begin in %d of 50 parts of the second", len(taken))
	}
}

func TestStepsAreTheSameMomentsForAll(t *testing.T) {
	s := serve(t, Plan{TTFT: 7, Gap: 10, Steps: true})
	for _, received := range []request.Time{1000, 1001, 1002, 1003} {
		f := &flow{server: s, plan: &s.plan, answer: &Answer{Received: received}, stream: true, tokens: 1}
		f.start()
		if f.begin != 1010 {
			t.Errorf("received at %d it begins at %d, not at 1010", received, f.begin)
		}
	}
}
