package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitwall/probes/request"
	"pitwall/probes/stream"
)

// taken is what an answer's bytes came to.
type taken struct {
	Status int
	Events []string
	Body   string
	Done   bool
	Over   bool
	Keep   bool
	Class  string
}

// take feeds an answer in pieces as cut says, and ends it with the connection's end if it is not over by then.
func take(in []byte, asked bool, cut func(left int) int) taken {
	var got taken
	var x Exchange
	var a answer
	a.begin(&Request{Stream: asked}, &x, func(p Piece) { got.Events = append(got.Events, p.Kind.String()+" "+string(p.Data)) })
	at := request.Time(0)
	for a.stage != over && a.err == nil {
		if len(in) == 0 {
			a.closed(io.EOF)
			break
		}
		room := a.room()
		n := copy(room[:min(len(room), cut(len(in)))], in)
		in = in[n:]
		at++
		a.arrived(n, arrival{at: at})
	}
	a.settle()
	got.Status, got.Body, got.Done = x.Status, string(x.Body), x.Done
	got.Over, got.Keep = a.stage == over, a.keep
	if a.err != nil {
		got.Class = a.err.Class.String()
	}
	return got
}

func whole(left int) int { return left }

func chunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

const sse = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		in    string
		asked bool
		want  taken
	}{
		{"a stream in chunks ends with its mark and its last chunk, and the connection can be kept",
			sse + "Transfer-Encoding: chunked\r\n\r\n" + chunk("data: a\n\n") + chunk("data: [DONE]\n\n") + "0\r\n\r\n", true,
			taken{Status: 200, Events: []string{"data a", "done [DONE]"}, Done: true, Over: true, Keep: true}},
		{"events need not lie in chunks of their own",
			sse + "Transfer-Encoding: chunked\r\n\r\n" + chunk("da") + chunk("ta: a\n\ndata: b\n") + "1;x=y\r\n\n\r\n" + chunk("data: [DONE]\n\n") + "0\r\nT: 1\r\n\r\n", true,
			taken{Status: 200, Events: []string{"data a", "data b", "done [DONE]"}, Done: true, Over: true, Keep: true}},
		{"a stream until the connection closes is complete with its mark",
			sse + "\r\ndata: a\r\n\r\ndata: [DONE]\r\n\r\n", true,
			taken{Status: 200, Events: []string{"data a", "done [DONE]"}, Done: true, Over: true}},
		{"a stream that ends well and without its mark was cut",
			sse + "Transfer-Encoding: chunked\r\n\r\n" + chunk("data: a\n\n") + "0\r\n\r\n", true,
			taken{Status: 200, Events: []string{"data a"}, Over: true, Keep: true, Class: "cut"}},
		{"a stream that ends in the middle was cut",
			sse + "Transfer-Encoding: chunked\r\n\r\n" + chunk("data: a\n\n") + "5\r\nda", true,
			taken{Status: 200, Events: []string{"data a"}, Keep: true, Class: "cut"}},
		{"an error in a stream is handed on as one",
			sse + "Transfer-Encoding: chunked\r\n\r\n" + chunk("data: {\"error\":{\"code\":503}}\n\n") + chunk("data: [DONE]\n\n") + "0\r\n\r\n", true,
			taken{Status: 200, Events: []string{`error {"error":{"code":503}}`, "done [DONE]"}, Done: true, Over: true, Keep: true}},
		{"a JSON answer is a body, also where a stream was asked for",
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", true,
			taken{Status: 200, Body: "{}", Over: true, Keep: true}},
		{"a status other than 200 is a body",
			"HTTP/1.1 503 No\r\nContent-Type: text/event-stream\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull", true,
			taken{Status: 503, Body: "full", Over: true}},
		{"an answer without a body is over with its head", "HTTP/1.1 204 None\r\n\r\n", false, taken{Status: 204, Over: true, Keep: true}},
		{"preliminary answers are passed over",
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false,
			taken{Status: 200, Body: "x", Over: true, Keep: true}},
		{"without a Content-Type, what was asked for as a stream is one",
			"HTTP/1.1 200 OK\r\n\r\ndata: a\n\ndata: [DONE]\n\n", true,
			taken{Status: 200, Events: []string{"data a", "done [DONE]"}, Done: true, Over: true}},
		{"a page of a proxy is no stream",
			"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", true,
			taken{Status: 200, Over: true, Keep: true, Class: "malformed"}},
		{"what stands behind an answer is nobody's, and its connection is not kept",
			"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n", false, taken{Status: 200, Body: "x", Over: true}},
		{"HTTP/1.0 is not kept", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false, taken{Status: 200, Body: "x", Over: true}},
		{"a body that is too short was cut", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nx", false,
			taken{Status: 200, Body: "x", Keep: true, Class: "cut"}},
		{"the end before the head is a reset", "HTTP/1.1 200 OK\r\nContent-", false, taken{Class: "reset"}},
		{"nothing at all is a reset", "", false, taken{Class: "reset"}},
		{"another protocol is malformed", "SSH-2.0-OpenSSH_9.6\r\n\r\n", false, taken{Class: "malformed"}},
		{"switching protocols is malformed", "HTTP/1.1 101 Switch\r\nUpgrade: h2c\r\n\r\n", false, taken{Class: "malformed"}},
		{"a compressed answer is malformed", sse + "Content-Encoding: gzip\r\n\r\n", true, taken{Class: "malformed"}},
		{"a chunk without a size is malformed", sse + "Transfer-Encoding: chunked\r\n\r\nx\r\n", true, taken{Status: 200, Keep: true, Class: "malformed"}},
		{"two lengths are malformed", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy", false, taken{Class: "malformed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, take([]byte(c.in), c.asked, whole)); d != "" {
				t.Error("in one piece:", d)
			}
			if d := cmp.Diff(c.want, take([]byte(c.in), c.asked, func(int) int { return 1 })); d != "" && c.name != "what stands behind an answer is nobody's, and its connection is not kept" {
				t.Error("byte by byte:", d)
			}
		})
	}
}

func TestAnEndlessHeadIsMalformed(t *testing.T) {
	in := []byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", maxHead+1))
	if got := take(in, false, whole); got.Class != "malformed" {
		t.Error(got)
	}
}

func TestPiecesThatCameTogetherAreMarkedButTheLast(t *testing.T) {
	var marks []bool
	var at []request.Time
	var x Exchange
	var a answer
	a.begin(&Request{Stream: true}, &x, func(p Piece) { marks, at = append(marks, p.Merged), append(at, p.At) })
	feed := func(s string, came arrival) { a.arrived(copy(a.room(), s), came) }
	feed(sse+"Transfer-Encoding: chunked\r\n\r\n", arrival{at: 1})
	feed(chunk("data: a\n\n"), arrival{at: 2})
	feed(chunk("data: b\r\n\r\n")+chunk("data: c\n\n"), arrival{at: 3})
	feed(chunk("data: d\n\n")+"9\r\ndata", arrival{at: 4})
	feed(": e\n\n\r\n", arrival{at: 5})
	feed(chunk("data: f\n\n"), arrival{at: 6, behind: true})
	if a.err != nil {
		t.Fatal(a.err)
	}
	if d := cmp.Diff([]bool{false, true, false, true, false, true}, marks); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]request.Time{2, 3, 3, 4, 5, 6}, at); d != "" {
		t.Error(d)
	}
}

func TestAPieceComesWithItsLastByte(t *testing.T) {
	var got []request.Time
	var marks []bool
	var x Exchange
	var a answer
	a.begin(&Request{Stream: true}, &x, func(p Piece) { got, marks = append(got, p.At), append(marks, p.Merged) })
	for i, s := range []string{sse + "\r\ndata: a", "\n\ndata: b\n", "\ndata: [DONE]\n\n"} {
		a.arrived(copy(a.room(), s), arrival{at: request.Time(i + 1), behind: i == 1})
	}
	if d := cmp.Diff([]request.Time{2, 3, 3}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]bool{true, true, false}, marks); d != "" {
		t.Error(d)
	}
	if x.FirstByte != 1 || x.End != 3 {
		t.Errorf("first byte at %d, end at %d", x.FirstByte, x.End)
	}
}

// FuzzAnswer compares with net/http: what this package takes for a whole answer is one, with the same body and the same events.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(sse+"Transfer-Encoding: chunked\r\n\r\n"+chunk("data: a\n\n")+chunk("data: [DONE]\n\n")+"0\r\n\r\n"), uint64(1))
	f.Add([]byte("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd"), uint64(2))
	f.Add([]byte("HTTP/1.0 500 x\n\nbody"), uint64(3))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n3;a=b\r\nabc\r\n0\r\na: b\r\n\r\n"), uint64(4))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		got := take(in, false, whole)
		rng := rand.New(rand.NewPCG(seed, 1))
		again := take(in, false, func(int) int { return 1 + rng.IntN(40) })
		again.Keep = got.Keep // bytes behind the answer may not have been seen
		if d := cmp.Diff(got, again); d != "" {
			t.Fatal("in pieces:", d)
		}
		if !got.Over {
			return
		}
		r := bufio.NewReader(bytes.NewReader(in))
		var h *http.Response
		for {
			var err error
			if h, err = http.ReadResponse(r, &http.Request{Method: "POST"}); err != nil {
				t.Fatalf("%+v, net/http: %v", got, err)
			}
			if h.StatusCode >= 200 {
				break
			}
		}
		body, err := io.ReadAll(h.Body)
		if err != nil && !strings.Contains(err.Error(), "too much") && !strings.Contains(err.Error(), "trailer") && !strings.Contains(err.Error(), "MIME") {
			t.Fatalf("%+v, net/http: %v", got, err)
		}
		if err != nil || got.Class == "malformed" {
			return
		}
		if h.StatusCode != got.Status {
			t.Fatalf("status %d, net/http %d", got.Status, h.StatusCode)
		}
		if !strings.HasPrefix(strings.ToLower(h.Header.Get("Content-Type")), "text/event-stream") || h.StatusCode != 200 {
			if string(body) != got.Body {
				t.Fatalf("%q, net/http %q", got.Body, body)
			}
			return
		}
		var events []string
		s := stream.New(bytes.NewReader(body))
		for {
			e, err := s.Next()
			if err != nil {
				if errors.Is(err, io.EOF) != got.Done {
					t.Fatalf("done %v, %v", got.Done, err)
				}
				break
			}
			events = append(events, e.Kind.String()+" "+string(e.Data))
		}
		if d := cmp.Diff(events, got.Events); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzRecords compares where records end with a walk over their heads.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x17\x03\x03\x00\x02ab\x15\x03\x03\x00\x00\x17\x03\x03\x00\x01"), uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		ends := map[int]bool{}
		for at := 0; at+5 <= len(in); {
			at += 5 + int(in[at+3])<<8 + int(in[at+4])
			ends[at] = true
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		var r records
		for at := 0; at < len(in); {
			p := in[at:min(len(in), at+1+rng.IntN(30))]
			n := r.pass(p)
			if n <= 0 || n > len(p) {
				t.Fatalf("%d of %d", n, len(p))
			}
			for end := range ends {
				if at < end && end < at+n {
					t.Fatalf("bytes %d to %d cross the end of a record at %d", at, at+n, end)
				}
			}
			if n < len(p) && !ends[at+n] {
				t.Fatalf("stopped at %d, where no record ends", at+n)
			}
			at += n
		}
	})
}

// BenchmarkArrived is the hot path without the kernel: a piece of a stream as vLLM sends it.
func BenchmarkArrived(b *testing.B) {
	var x Exchange
	var a answer
	n := 0
	a.begin(&Request{Stream: true}, &x, func(p Piece) { n += len(p.Data) })
	a.arrived(copy(a.room(), sse+"Transfer-Encoding: chunked\r\n\r\n"), arrival{at: 1})
	piece := chunk(`data: {"id":"chatcmpl-9ed1fff0552a68c3","object":"chat.completion.chunk","created":1795596604,"model":"some/model-8B-Instruct","choices":[{"index":0,"delta":{"content":" can"},"logprobs":null,"finish_reason":null,"token_ids":[416]}]}` + "\n\n")
	b.ReportAllocs()
	for b.Loop() {
		if a.arrived(copy(a.room(), piece), arrival{at: 2}) {
			b.Fatal(a.err)
		}
	}
}
