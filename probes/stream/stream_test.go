package stream

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// body gives a recorded stream without the request and the headers that some recordings begin with.
func body(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.HasPrefix(b, []byte(">")) {
		_, b, _ = bytes.Cut(b, []byte("\n\n"))
	}
	return b
}

// told is what one event says: its kind, its type where it has one, and its data.
func told(e Event) string {
	s := e.Kind.String() + " "
	if e.Type != "" {
		s += "(" + e.Type + ") "
	}
	return s + string(e.Data)
}

func all(r *Reader) (events []string, err error) {
	for {
		e, err := r.Next()
		if err != nil {
			return events, err
		}
		events = append(events, told(e))
	}
}

func TestEvents(t *testing.T) {
	for _, c := range []struct {
		what, in string
		want     []string
		err      error
	}{
		{"one chunk and the end mark", "data: {\"a\":1}\n\ndata: [DONE]\n\n", []string{`data {"a":1}`, "done [DONE]"}, io.EOF},
		{"a space behind the colon is optional, and only one is cut", "data:x\n\ndata:  y\n\ndata:[DONE]\n\n", []string{"data x", "data  y", "done [DONE]"}, io.EOF},
		{"lines may end with CR LF", "data: x\r\n\r\ndata: [DONE]\r\n\r\n", []string{"data x", "done [DONE]"}, io.EOF},
		{"lines may end with CR", "data: x\r\rdata: [DONE]\r\r", []string{"data x", "done [DONE]"}, io.EOF},
		{"comments keep the connection open and are no events", ": ping\n\n: ping\n\ndata: x\n\n:\ndata: [DONE]\n\n", []string{"data x", "done [DONE]"}, io.EOF},
		{"data of several lines is one event", "data: a\ndata: b\n\ndata: [DONE]\n\n", []string{"data a\nb", "done [DONE]"}, io.EOF},
		{"a byte order mark is no part of the first field", mark + "data: x\n\ndata: [DONE]\n\n", []string{"data x", "done [DONE]"}, io.EOF},
		{"an event without data is none, and its type is forgotten", "event: error\n\ndata: x\n\ndata: [DONE]\n\n", []string{"data x", "done [DONE]"}, io.EOF},
		{"unknown fields mean nothing", "id: 7\nretry: 5\nfoo\ndata: x\n\ndata: [DONE]\n\n", []string{"data x", "done [DONE]"}, io.EOF},
		{"an error under a 200 is an error", "data: {\"error\": {\"message\": \"m\", \"code\": 500}}\n\ndata: [DONE]\n\n", []string{`error {"error": {"message": "m", "code": 500}}`, "done [DONE]"}, io.EOF},
		{"an error as vLLM wrote it before 0.10", "data: {\"object\":\"error\",\"message\":\"m\"}\n\ndata: [DONE]\n\n", []string{`error {"object":"error","message":"m"}`, "done [DONE]"}, io.EOF},
		{"an error as llama.cpp once wrote it", "error: {\"code\":500}\n\n", []string{`error (error) {"code":500}`}, ErrCut},
		{"an event of type error is an error", "event: error\ndata: {\"x\":1}\n\ndata: [DONE]\n\n", []string{`error (error) {"x":1}`, "done [DONE]"}, io.EOF},
		{"an error that is null is none", "data: {\"error\": null, \"choices\":[]}\n\ndata: [DONE]\n\n", []string{`data {"error": null, "choices":[]}`, "done [DONE]"}, io.EOF},
		{"a chunk whose text says error is none", "data: {\"choices\":[{\"text\":\"\\\"error\\\":\"}]}\n\ndata: [DONE]\n\n", []string{`data {"choices":[{"text":"\"error\":"}]}`, "done [DONE]"}, io.EOF},
		{"what comes behind the end mark is not read", "data: [DONE]\n\ndata: x\n\n", []string{"done [DONE]"}, io.EOF},
		{"a stream without the end mark was cut", "data: x\n\n", []string{"data x"}, ErrCut},
		{"a stream that ends within an event was cut, and gives nothing of it", "data: x\n\ndata: {\"cho", []string{"data x"}, ErrCut},
		{"a stream that ends before the empty line was cut", "data: x\n\ndata: y\n", []string{"data x"}, ErrCut},
		{"an end mark without its empty line was cut", "data: [DONE]\n", nil, ErrCut},
		{"an empty body was cut", "", nil, ErrCut},
		{"a web page was cut", "<!doctype html>\n<title>x</title>\n", nil, ErrCut},
		{"escape sequences and invalid UTF-8 are data", "data: \x1b[31m\xff\n\ndata: [DONE]\n\n", []string{"data \x1b[31m\xff", "done [DONE]"}, io.EOF},
	} {
		t.Run(c.what, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"at once":                  strings.NewReader(c.in),
				"byte by byte":             iotest.OneByteReader(strings.NewReader(c.in)),
				"with the error beside it": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				s := New(r)
				got, err := all(s)
				if !errors.Is(err, c.err) {
					t.Errorf("%s: error %v, want %v", how, err, c.err)
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Errorf("%s: %s", how, d)
				}
				if _, again := s.Next(); !errors.Is(again, c.err) {
					t.Errorf("%s: after the end: %v", how, again)
				}
			}
		})
	}
}

func TestRecordedStreams(t *testing.T) {
	for _, c := range []struct {
		file                 string
		data, failures, done int
		err                  error
	}{
		{"vllm-0.32-chat.txt", 13, 0, 1, io.EOF},
		{"vllm-0.32-chat-multibyte.txt", 41, 0, 1, io.EOF},
		{"vllm-0.32-completion-usage.txt", 13, 0, 1, io.EOF},
		{"vllm-0.32-rejected.txt", 0, 1, 1, io.EOF},
		{"vllm-died.txt", 2, 1, 1, io.EOF},
		{"llamacpp-chat.txt", 9, 0, 1, io.EOF},
		{"inference-sim-killed.txt", 29, 0, 0, ErrCut},
	} {
		b := body(t, c.file)
		r := New(bytes.NewReader(b))
		n := map[Kind]int{}
		var err error
		for err == nil {
			var e Event
			if e, err = r.Next(); err == nil {
				n[e.Kind]++
			}
		}
		if !errors.Is(err, c.err) || n[Data] != c.data || n[Error] != c.failures || n[Done] != c.done {
			t.Errorf("%s: %v, %v", c.file, n, err)
		}
		if r.Events() != c.data+c.failures+c.done || r.Bytes() != int64(len(b)) {
			t.Errorf("%s: %d events in %d bytes of %d", c.file, r.Events(), r.Bytes(), len(b))
		}
	}
}

func TestAStreamThatIsCutAnywhereGivesItsWholeEventsAndSaysSo(t *testing.T) {
	b := body(t, "vllm-0.32-chat.txt")
	whole, err := all(New(bytes.NewReader(b)))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	cut := errors.New("connection reset by peer")
	for at := range len(bytes.TrimRight(b, "\n")) {
		got, err := all(New(io.MultiReader(bytes.NewReader(b[:at]), iotest.ErrReader(cut))))
		if !errors.Is(err, ErrCut) || !errors.Is(err, cut) {
			t.Fatalf("cut at %d: %v", at, err)
		}
		if len(got) >= len(whole) || !cmp.Equal(got, whole[:len(got)], cmp.Transformer("", func(s []string) string { return strings.Join(s, "\n") })) {
			t.Fatalf("cut at %d: %d events", at, len(got))
		}
	}
}

func TestAnEventMayBeLongButNotEndless(t *testing.T) {
	long := strings.Repeat("x", MaxEvent-100)
	got, err := all(New(strings.NewReader("data: " + long + "\n\ndata: [DONE]\n\n")))
	if !errors.Is(err, io.EOF) || len(got) != 2 || len(got[0]) != len("data ")+len(long) {
		t.Errorf("%d events, %v", len(got), err)
	}
	for what, in := range map[string]io.Reader{
		"a line without end":  endless("x"),
		"lines without end":   io.MultiReader(strings.NewReader("data: a\n"), endless("data: abcdefgh\n")),
		"a reader that gives": nothing{},
	} {
		r := New(in)
		if _, err := r.Next(); !errors.Is(err, ErrTooLong) && !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("%s: %v", what, err)
		}
		if r.Bytes() > 4*MaxEvent {
			t.Errorf("%s: %d bytes were read", what, r.Bytes())
		}
	}
}

type endless string

func (s endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(s) <= len(p) {
		n += copy(p[n:], s)
	}
	if n == 0 {
		n = copy(p, s[:len(p)])
	}
	return n, nil
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// pieces reads a text in pieces of random sizes.
type pieces struct {
	b   []byte
	rng *rand.Rand
}

func (p *pieces) Read(to []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := min(len(p.b), len(to), 1+p.rng.IntN(9))
	copy(to, p.b[:n])
	p.b = p.b[n:]
	return n, nil
}

func FuzzReader(f *testing.F) {
	for _, file := range []string{"vllm-0.32-rejected.txt", "vllm-died.txt", "llamacpp-chat.txt"} {
		f.Add(body(f, file), uint64(1))
	}
	f.Add([]byte("data: a\r\ndata: b\r\r\n: c\nevent: error\ndata\n\ndata: [DONE]\n\nx"), uint64(2))
	f.Add([]byte("\xef\xbb\xbfdata: {\"error\":null}\n\n"), uint64(3))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		whole := New(bytes.NewReader(in))
		events, err := all(whole)
		if err == nil || len(events) != whole.Events() || whole.Bytes() > int64(len(in)) {
			t.Fatalf("%d events, %d of %d bytes, %v", whole.Events(), whole.Bytes(), len(in), err)
		}
		// However the network cuts it, it says the same.
		again, err2 := all(New(&pieces{in, rand.New(rand.NewPCG(seed, 0))}))
		if !cmp.Equal(events, again) || !errors.Is(err2, err) && err.Error() != err2.Error() {
			t.Fatalf("%q and %v, in pieces %q and %v", events, err, again, err2)
		}
		done := 0
		for _, e := range events {
			if strings.HasPrefix(e, "done ") {
				done++
			}
		}
		if (done == 1) != errors.Is(err, io.EOF) || done > 1 {
			t.Fatalf("%d end marks and %v", done, err)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	in := body(b, "vllm-0.32-completion-usage.txt")
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		r := New(bytes.NewReader(in))
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
}
