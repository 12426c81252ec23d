package truth

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"pitwall/probes/stream"
)

func TestWhatGoesWrongGoesWrongInTheWayThatWasAsked(t *testing.T) {
	for _, c := range []struct {
		fault string
		want  func(said) bool
		left  int // tokens that left
	}{
		{"cut@3", func(g said) bool { return len(g.pieces) == 3 && errors.Is(g.err, io.ErrUnexpectedEOF) }, 3},
		{"reset@3", func(g said) bool { return len(g.pieces) <= 3 && errors.Is(g.err, syscall.ECONNRESET) }, 3},
		{"cut", func(g said) bool { return len(g.pieces) == 0 && g.err != nil && !g.complete }, 0},
		{"unmarked@4", func(g said) bool { return len(g.pieces) == 4 && errors.Is(g.err, stream.ErrCut) }, 4},
		{"error@2", func(g said) bool { return len(g.pieces) == 2 && g.failed && g.complete }, 2},
		{"error", func(g said) bool { return g.status == 200 && len(g.pieces) == 0 && g.failed && g.complete }, 0},
		{"short@4", func(g said) bool { return len(g.pieces) == 4 && g.complete && g.tokens == 4 && g.finish == "stop" }, 4},
		{"empty", func(g said) bool { return len(g.pieces) == 0 && g.complete && g.tokens == 0 }, 0},
		{"garbage@2", func(g said) bool { return len(g.pieces) == 10 && g.broken && g.complete }, 10},
		{"refuse@503", func(g said) bool { return g.status == 503 && strings.Contains(g.body, `"code":503`) }, 0},
		{"refuse@429", func(g said) bool { return g.status == 429 }, 0},
		{"nonsense", func(g said) bool { return g.status == 400 && strings.Contains(g.body, "no fault is called") }, 0},
	} {
		t.Run(c.fault, func(t *testing.T) {
			s := serve(t, Plan{})
			got := ask1(t, s, "one", "/v1/completions", completion, c.fault)
			if !c.want(got) {
				t.Errorf("the client saw %+v", got)
			}
			if a := wait(t, s, "one"); a.Tokens != c.left || c.fault != "nonsense" && a.Fault != c.fault {
				t.Errorf("the truth is %+v", a)
			}
		})
	}
}

func TestAFaultOfThePlanHitsEachSoManythRequest(t *testing.T) {
	s := serve(t, Plan{Faults: []Fault{{Trouble: Refuse, After: 503, Every: 3}}})
	var seen []int
	for i := range 7 {
		seen = append(seen, ask1(t, s, fmt.Sprint(i), "/v1/completions", completion, "").status)
	}
	if fmt.Sprint(seen) != "[200 200 503 200 200 503 200]" {
		t.Errorf("the answers had status %v", seen)
	}
}

func TestAStallLastsUntilTheClientGoes(t *testing.T) {
	for _, fault := range []string{"stall@2", "stall"} {
		t.Run(fault, func(t *testing.T) {
			s := serve(t, Plan{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/v1/completions", strings.NewReader(completion))
			r.Header.Set("X-Request-Id", "one")
			r.Header.Set("X-Truth-Fault", fault)
			if fault == "stall" {
				time.AfterFunc(50*time.Millisecond, cancel) // it has nothing to wait for: nothing comes
				if _, err := http.DefaultClient.Do(r); !errors.Is(err, context.Canceled) {
					t.Fatalf("an answer began: %v", err)
				}
			} else {
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(resp.Body)
				for n := 0; n < 2 && lines.Scan(); {
					if strings.HasPrefix(lines.Text(), "data: ") {
						n++
					}
				}
				if _, over := s.Answer("one"); over {
					t.Error("it is said to be over while it stalls")
				}
				cancel()
				resp.Body.Close()
			}
			if a := wait(t, s, "one"); !a.Left || a.Fault != fault {
				t.Errorf("the truth is %+v", a)
			}
		})
	}
}

func TestAClientThatDoesNotReadGetsEverythingLaterAndItIsSaid(t *testing.T) {
	s := serve(t, Plan{Chunk: 4096, MaxModelLen: 10_000_000})
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	body := `{"prompt":"x","max_tokens":2000000,"stream":true,"return_token_ids":true,"stream_options":{"include_usage":true}}`
	fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: one\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	// Others' streams are served meanwhile, until the socket is full.
	for i := 0; s.counters.choked.Load() == 0; i++ {
		if got := ask1(t, s, fmt.Sprint("other", i), "/v1/completions", completion, ""); !got.complete {
			t.Fatalf("another client saw %+v", got)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.HasSuffix(all, []byte("data: [DONE]\n\n")) {
		t.Fatalf("%d bytes came, the end is %q: %v", len(all), all[max(0, len(all)-80):], err)
	}
	if !bytes.Contains(all, []byte(`"completion_tokens":2000000}`)) {
		t.Error("usage does not say two million tokens")
	}
	if n := bytes.Count(all, []byte(" the")) * 16; n != 2_000_000 {
		t.Errorf("%d tokens came", n)
	}
	if a := wait(t, s, "one"); !a.Choked || a.Left || a.Tokens != 2_000_000 {
		t.Errorf("choked %v, left %v, %d tokens", a.Choked, a.Left, a.Tokens)
	}
}

func FuzzParseFault(f *testing.F) {
	for _, s := range []string{"cut@5/10", "stall", "refuse@503", "refuse", "cut@-1", "error@/", "short@1/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, err := ParseFault(s)
		if err != nil {
			return
		}
		again, err := ParseFault(x.String())
		if err != nil || again.String() != x.String() || again.After != x.After || again.hits(6) != x.hits(6) {
			t.Errorf("%q is %+v, and its text %q is %+v (%v)", s, x, x.String(), again, err)
		}
	})
}
