package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pitwall/probes/request"
)

// scripted is a server that does with each of its connections, numbered from 0, what a test says.
func scripted(t testing.TB, serve func(n int, c *net.TCPConn, r *bufio.Reader)) *Endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(n, c.(*net.TCPConn), bufio.NewReader(c))
			}()
		}
	}()
	return &Endpoint{Address: l.Addr().String(), Clock: request.NewClock()}
}

// awaitStamps makes the kernel stamp for as long as the test runs, and exchanges something until it does.
func awaitStamps(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	stamps, err := KeepStamps()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stamps.Close() })
	conn := NewConn(scripted(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
		for takeRequest(r) {
			io.WriteString(c, streamed+first+last)
		}
	}))
	defer conn.Close()
	r := ask(t, "{}")
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		x, err := conn.Do(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if x.Stamped {
			return
		}
	}
	t.Fatal("the kernel stamps nothing")
}

// takeRequest reads one request; false at the end of the connection.
func takeRequest(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

func ask(t testing.TB, body string) *Request {
	t.Helper()
	head, err := Head("POST", "/v1/completions", "test", http.Header{"Content-Type": {"application/json"}}, len(body))
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Head: head, Body: []byte(body), Stream: true}
}

const streamed = sse + "Transfer-Encoding: chunked\r\n\r\n"

var (
	first = chunk("data: {\"choices\":[{\"text\":\"a\"}]}\n\n")
	last  = chunk("data: [DONE]\n\n") + "0\r\n\r\n"
)

// class is an error's class, OK without one.
func class(err error) request.Class {
	var e *Error
	switch {
	case err == nil:
		return request.OK
	case errors.As(err, &e):
		return e.Class
	}
	return request.Classes
}

func TestHowAnExchangeEnds(t *testing.T) {
	hold, seen := make(chan struct{}), make(chan struct{}, 4)
	t.Cleanup(func() { close(hold) })
	write := func(c net.Conn, s string) { io.WriteString(c, s) }
	for _, c := range []struct {
		name   string
		serve  func(c *net.TCPConn, r *bufio.Reader)
		change func(r *Request)
		want   request.Class
		pieces int
	}{
		{"a whole stream is OK", func(c *net.TCPConn, r *bufio.Reader) { takeRequest(r); write(c, streamed+first+last) }, nil, request.OK, 2},
		{"a server that closes without a word has reset", func(c *net.TCPConn, r *bufio.Reader) { takeRequest(r) }, nil, request.Reset, 0},
		{"one that resets before its head has reset", func(c *net.TCPConn, r *bufio.Reader) { takeRequest(r); c.SetLinger(0) }, nil, request.Reset, 0},
		{"one that resets in the middle has cut", func(c *net.TCPConn, r *bufio.Reader) {
			takeRequest(r)
			write(c, streamed+first)
			<-seen // else the piece would be lost with the connection
			c.SetLinger(0)
		}, nil, request.Cut, 1},
		{"one that closes in the middle has cut", func(c *net.TCPConn, r *bufio.Reader) { takeRequest(r); write(c, streamed+first) }, nil, request.Cut, 1},
		{"one that says nothing gave no first byte", func(c *net.TCPConn, r *bufio.Reader) { takeRequest(r); <-hold },
			func(r *Request) { r.FirstByteWithin = 30 * time.Millisecond }, request.NoFirstByte, 0},
		{"one that does not even read gave no first byte", func(c *net.TCPConn, r *bufio.Reader) { <-hold },
			func(r *Request) { r.FirstByteWithin, r.Body = 30*time.Millisecond, make([]byte, 64<<20) }, request.NoFirstByte, 0},
		{"one that stops has stalled", func(c *net.TCPConn, r *bufio.Reader) { takeRequest(r); write(c, streamed+first); <-hold },
			func(r *Request) { r.StallWithin = 30 * time.Millisecond }, request.Stalled, 1},
		{"one that never ends a complete stream is OK", func(c *net.TCPConn, r *bufio.Reader) {
			takeRequest(r)
			write(c, streamed+first+chunk("data: [DONE]\n\n"))
			<-hold
		}, nil, request.OK, 2},
		{"one that speaks something else is malformed", func(c *net.TCPConn, r *bufio.Reader) { write(c, "220 smtp ready\r\n\r\n") }, nil, request.Malformed, 0},
		{"one that answers before it has read everything is heard", func(c *net.TCPConn, r *bufio.Reader) {
			r.Peek(1)
			write(c, "HTTP/1.1 413 Too long\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
			c.CloseWrite()
			io.Copy(io.Discard, r)
		}, func(r *Request) { r.Body = make([]byte, 8<<20) }, request.OK, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := scripted(t, func(_ int, conn *net.TCPConn, r *bufio.Reader) { c.serve(conn, r) })
			r := ask(t, "{}")
			if c.change != nil {
				c.change(r)
				r.Head, _ = Head("POST", "/", "test", nil, len(r.Body))
			}
			conn := NewConn(to)
			defer conn.Close()
			pieces := 0
			x, err := conn.Do(t.Context(), r, func(p Piece) {
				if pieces++; c.want == request.Cut {
					seen <- struct{}{}
				}
			})
			if class(err) != c.want || pieces != c.pieces {
				t.Errorf("%v (%v) after %d pieces, want %v after %d", class(err), err, pieces, c.want, c.pieces)
			}
			if x.Sent == 0 || x.End < x.Sent {
				t.Errorf("sent %d, end %d", x.Sent, x.End)
			}
		})
	}
}

func TestNobodyListeningIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	conn := NewConn(&Endpoint{Address: l.Addr().String(), Clock: request.NewClock()})
	x, err := conn.Do(t.Context(), ask(t, "{}"), nil)
	if class(err) != request.Refused || x.Sent != 0 || x.End == 0 {
		t.Error(err, x)
	}
}

func TestWhatKeepsFromConnectingHasItsClass(t *testing.T) {
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped"))
	call := func(name string, no syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError(name, no)}
	}
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want request.Class
	}{
		{"a name that is none", t.Context(), &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}, request.DNS},
		{"a resolver that has no descriptor left", t.Context(), &net.DNSError{Err: "dial udp: socket: too many open files"}, request.NoFiles},
		{"no descriptor for the process", t.Context(), call("socket", syscall.EMFILE), request.NoFiles},
		{"no descriptor for the host", t.Context(), call("socket", syscall.ENFILE), request.NoFiles},
		{"no local port", t.Context(), call("connect", syscall.EADDRNOTAVAIL), request.NoPorts},
		{"refused", t.Context(), call("connect", syscall.ECONNREFUSED), request.Refused},
		{"no route", t.Context(), call("connect", syscall.EHOSTUNREACH), request.Unreachable},
		{"no network", t.Context(), call("connect", syscall.ENETUNREACH), request.Unreachable},
		{"not in time", t.Context(), &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, request.Unreachable},
		{"reset", t.Context(), call("connect", syscall.ECONNRESET), request.Reset},
		{"given up", gone, call("connect", syscall.ECONNREFUSED), request.Cancelled},
	} {
		if e := dialFailure(c.ctx, c.err); e.Class != c.want {
			t.Errorf("%s: %v, want %v", c.name, e.Class, c.want)
		}
	}
}

func TestAConnectionIsKeptUnlessAFreshOneIsAskedFor(t *testing.T) {
	var conns atomic.Int32
	to := scripted(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
		conns.Add(1)
		for takeRequest(r) {
			io.WriteString(c, streamed+first+last)
		}
	})
	conn := NewConn(to)
	defer conn.Close()
	for i, fresh := range []bool{false, false, false, true, true, false} {
		r := ask(t, "{}")
		r.Fresh = fresh
		x, err := conn.Do(t.Context(), r, nil)
		if err != nil || !x.Done || x.Events != 2 {
			t.Fatal(err, x)
		}
		if want := i == 0 || i >= 3; x.Opened != want || (x.Connect > 0) != want || x.Retried {
			t.Errorf("request %d: opened %v in %v, retried %v", i, x.Opened, x.Connect, x.Retried)
		}
	}
	if n := conns.Load(); n != 4 {
		t.Errorf("%d connections for one that was kept, two fresh ones and one after them", n)
	}
}

func TestAKeptConnectionThatTheServerClosedIsReplaced(t *testing.T) {
	closed := make(chan struct{}, 1)
	for _, c := range []struct {
		name    string
		serve   func(n int, c *net.TCPConn, r *bufio.Reader)
		retried bool
		want    request.Class
	}{
		{"seen before anything is sent", func(n int, c *net.TCPConn, r *bufio.Reader) {
			takeRequest(r)
			io.WriteString(c, streamed+first+last)
			c.Close()
			closed <- struct{}{}
		}, false, request.OK},
		{"seen when the request was sent already: sent again, once", func(n int, c *net.TCPConn, r *bufio.Reader) {
			for i := 0; takeRequest(r) && (i == 0 || n > 0); i++ {
				if io.WriteString(c, streamed+first+last); i == 0 && n == 0 {
					closed <- struct{}{}
				}
			}
		}, true, request.OK},
		{"a server that closes fresh connections too has reset", func(n int, c *net.TCPConn, r *bufio.Reader) {
			for i := 0; takeRequest(r) && n == 0 && i == 0; i++ {
				io.WriteString(c, streamed+first+last)
				closed <- struct{}{}
			}
		}, true, request.Reset},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := NewConn(scripted(t, c.serve))
			defer conn.Close()
			if _, err := conn.Do(t.Context(), ask(t, "{}"), nil); err != nil {
				t.Fatal(err)
			}
			<-closed
			x, err := conn.Do(t.Context(), ask(t, "{}"), nil)
			if class(err) != c.want || !x.Opened || x.Retried != c.retried {
				t.Errorf("%v, opened %v, retried %v", err, x.Opened, x.Retried)
			}
		})
	}
}

func TestCancellingEndsAnExchangeAtOnce(t *testing.T) {
	gone := make(chan struct{})
	to := scripted(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
		takeRequest(r)
		io.WriteString(c, streamed+first)
		io.Copy(io.Discard, r) // ends when the client has gone
		close(gone)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	conn := NewConn(to)
	x, err := conn.Do(ctx, ask(t, "{}"), func(Piece) { cancel(errors.New("the load was stopped")) })
	if class(err) != request.Cancelled || !strings.Contains(err.Error(), "the load was stopped") || x.Events != 1 || x.End == 0 {
		t.Error(err, x)
	}
	<-gone
	if _, err := conn.Do(ctx, ask(t, "{}"), nil); class(err) != request.Cancelled {
		t.Error("after the end:", err)
	}
}

func TestTheStampIsOfTheArrivalAndNotOfTheReading(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED, kernel stamps are NOT tested: there are none on", runtime.GOOS)
	}
	awaitStamps(t)
	read, wrote, goOn := make(chan struct{}), make(chan request.Time, 1), make(chan struct{})
	var to *Endpoint
	to = scripted(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
		takeRequest(r)
		io.WriteString(c, streamed+first)
		<-read
		io.WriteString(c, first)
		wrote <- to.Clock.Now()
		<-goOn
		io.WriteString(c, last)
	})
	conn := NewConn(to)
	defer conn.Close()
	n, before := 0, request.Time(0)
	x, err := conn.Do(t.Context(), ask(t, "{}"), func(p Piece) {
		switch n++; n {
		case 1: // hold the goroutine until the next piece has come, and then some
			before = to.Clock.Now()
			close(read)
			after := <-wrote
			wrote <- after
			for to.Clock.Now().Sub(after) < 20*time.Millisecond {
				runtime.Gosched()
			}
		case 2:
			if after := <-wrote; p.At < before || p.At > after {
				t.Errorf("came %v after it was written", p.At.Sub(after))
			}
			if p.Late < 20*time.Millisecond || p.Merged {
				t.Errorf("the goroutine was %v late, merged %v", p.Late, p.Merged)
			}
			close(goOn)
		}
	})
	if err != nil || !x.Stamped || x.LateMax < 20*time.Millisecond || x.LateMean <= 0 || x.LateMean > x.LateMax {
		t.Error(err, x.Stamped, x.LateMean, x.LateMax)
	}
}

func TestALateReaderSeesTheEndOfItsConnection(t *testing.T) {
	for _, c := range []struct {
		name   string
		linger int
		rest   string
		want   request.Class
	}{
		{"closed behind the last piece", -1, first, request.Cut},
		{"closed behind a complete answer", -1, first + last, request.OK},
		{"reset behind the last piece", 0, first, request.Cut},
	} {
		t.Run(c.name, func(t *testing.T) {
			read, gone := make(chan struct{}), make(chan struct{})
			to := scripted(t, func(_ int, conn *net.TCPConn, r *bufio.Reader) {
				takeRequest(r)
				io.WriteString(conn, streamed+first)
				<-read
				io.WriteString(conn, c.rest)
				conn.SetLinger(c.linger)
				conn.Close()
				close(gone)
			})
			n := 0
			began := time.Now()
			x, err := NewConn(to).Do(t.Context(), ask(t, "{}"), func(Piece) {
				if n++; n == 1 {
					close(read)
					<-gone
				}
			})
			if class(err) != c.want || x.Events < 1 {
				t.Error(class(err), err, x.Events)
			}
			if took := time.Since(began); took > 2*look {
				t.Errorf("noticed after %v", took)
			}
		})
	}
}

func TestWithoutStampsAnArrivalIsTheReading(t *testing.T) {
	to := scripted(t, func(_ int, c *net.TCPConn, r *bufio.Reader) { takeRequest(r); io.WriteString(c, streamed+first+last) })
	to.ReadTimes = true
	x, err := NewConn(to).Do(t.Context(), ask(t, "{}"), func(p Piece) {
		if p.Late != 0 || p.At == 0 {
			t.Error(p)
		}
	})
	if err != nil || x.Stamped || x.LateMax != 0 || x.Events != 2 {
		t.Error(err, x)
	}
}

func TestTimesAreInTheirOrder(t *testing.T) {
	to := scripted(t, func(_ int, c *net.TCPConn, r *bufio.Reader) { takeRequest(r); io.WriteString(c, streamed+first+last) })
	before := to.Clock.Now()
	var at []request.Time
	x, err := NewConn(to).Do(t.Context(), ask(t, "{}"), func(p Piece) { at = append(at, p.At) })
	if err != nil {
		t.Fatal(err)
	}
	all := []request.Time{before, x.Sent, x.FirstByte, at[0], at[1], x.End, to.Clock.Now()}
	for i := 1; i < len(all); i++ {
		if all[i] < all[i-1] {
			t.Errorf("time %d lies %v before the one before it", i, all[i-1].Sub(all[i]))
		}
	}
	if x.Wrote < x.Sent || x.End != at[1] {
		t.Error(x)
	}
}

func TestTLS(t *testing.T) {
	awaitStamps(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 50 {
			fmt.Fprintf(w, "data: %d %s\n\n", i, strings.Repeat("x", i*200))
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, "data: [DONE]\n\n")
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	trusted := s.Client().Transport.(*http.Transport).TLSClientConfig
	for _, c := range []struct {
		name   string
		config *tls.Config
		to     string
		want   request.Class
	}{
		{"events come through it, and the connection is kept", &tls.Config{RootCAs: trusted.RootCAs, ServerName: "example.com"}, "", request.OK},
		{"a certificate that nobody vouches for", &tls.Config{ServerName: "example.com"}, "", request.TLS},
		{"a certificate for another host", &tls.Config{RootCAs: trusted.RootCAs, ServerName: "other.invalid"}, "", request.TLS},
		{"a server that speaks none", &tls.Config{}, scripted(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}).Address, request.TLS},
	} {
		for _, readTimes := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, " read times ", readTimes), func(t *testing.T) {
				to := &Endpoint{Address: s.Listener.Addr().String(), TLS: c.config, Clock: request.NewClock(), ReadTimes: readTimes}
				if c.to != "" {
					to.Address = c.to
				}
				conn := NewConn(to)
				defer conn.Close()
				for i := range 3 {
					n := 0
					var at request.Time
					x, err := conn.Do(t.Context(), ask(t, strings.Repeat("p", i*20_000)), func(p Piece) {
						if p.At < at {
							t.Errorf("piece %d came %v before the one before it", n, at.Sub(p.At))
						}
						at = p.At
						n++
					})
					if class(err) != c.want {
						t.Fatal(err)
					}
					if c.want != request.OK {
						return
					}
					if n != 51 || x.Opened != (i == 0) || x.Stamped != (runtime.GOOS == "linux" && !readTimes) {
						t.Errorf("%d pieces, opened %v, stamped %v", n, x.Opened, x.Stamped)
					}
				}
			})
		}
	}
}

func TestAServerThatWantsACertificateOfOursIsATLSFailure(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	to := &Endpoint{Address: s.Listener.Addr().String(), TLS: &tls.Config{RootCAs: pool, ServerName: "example.com"}, Clock: request.NewClock()}
	_, err := NewConn(to).Do(t.Context(), ask(t, "{}"), nil)
	if class(err) != request.TLS {
		t.Error(class(err), err)
	}
}

func TestHead(t *testing.T) {
	got, err := Head("POST", "/v1/x?a=b", "h:1", http.Header{"X-B": {"2", "3"}, "Authorization": {"Bearer k"}}, 12)
	want := "POST /v1/x?a=b HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer k\r\nX-B: 2\r\nX-B: 3\r\nContent-Length: 12\r\n\r\n"
	if err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if got, err = Head("GET", "/", "h", http.Header{"Host": {"other"}}, 0); err != nil || !strings.Contains(string(got), "Host: other\r\n") {
		t.Errorf("%q, %v", got, err)
	}
	for name, f := range map[string]func() ([]byte, error){
		"a line end in a value":   func() ([]byte, error) { return Head("POST", "/", "h", http.Header{"X": {"a\r\nB: c"}}, 0) },
		"a line end in a name":    func() ([]byte, error) { return Head("POST", "/", "h", http.Header{"X\r\nY": {"a"}}, 0) },
		"a space in the path":     func() ([]byte, error) { return Head("POST", "/a b", "h", nil, 0) },
		"a path that is relative": func() ([]byte, error) { return Head("POST", "a", "h", nil, 0) },
		"a method that is none":   func() ([]byte, error) { return Head("PO ST", "/", "h", nil, 0) },
		"no host":                 func() ([]byte, error) { return Head("POST", "/", "", nil, 0) },
		"user info in the host":   func() ([]byte, error) { return Head("POST", "/", "u:p@h", nil, 0) },
		"the framing": func() ([]byte, error) {
			return Head("POST", "/", "h", http.Header{"transfer-encoding": {"chunked"}}, 0)
		},
		"compression": func() ([]byte, error) { return Head("POST", "/", "h", http.Header{"Accept-Encoding": {"gzip"}}, 0) },
	} {
		if got, err := f(); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestARequestAllocatesNothingForAPiece(t *testing.T) {
	const pieces = 2000
	piece := []byte(first)
	to := scripted(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
		for takeRequest(r) {
			io.WriteString(c, streamed)
			for range pieces {
				c.Write(piece)
			}
			io.WriteString(c, last)
		}
	})
	conn := NewConn(to)
	defer conn.Close()
	r := ask(t, "{}")
	run := func() (mallocs uint64) {
		var from, after runtime.MemStats
		runtime.ReadMemStats(&from)
		if x, err := conn.Do(t.Context(), r, nil); err != nil || x.Events != pieces+1 {
			t.Fatal(err, x.Events)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - from.Mallocs
	}
	least := run() // makes the connection and its buffer
	for range 5 {
		least = min(least, run()) // the runtime and tests that have ended allocate too
	}
	if least > pieces/10 {
		t.Errorf("%d allocations for %d pieces, the server's included", least, pieces)
	}
}

func TestAnErrorIsItsCause(t *testing.T) {
	e := fail(request.Stalled, "nothing came: %w", io.EOF)
	if e.Error() != "nothing came: EOF" || !errors.Is(e, io.EOF) {
		t.Error(e)
	}
}
