package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What this host itself can do to a question: its name service, its routes, its limits, its proxy.
func TestTheHostsOwnTroubles(t *testing.T) {
	dial := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}
	}
	for _, c := range []struct {
		what string
		err  error
		want string
	}{
		{"a name that does not exist", &net.DNSError{Err: "no such host", Name: "gpu-bx", IsNotFound: true}, "host gpu-bx not found: is the name right, and known to this machine's name server?"},
		{"a name server that does not answer", &net.DNSError{Err: "i/o timeout", Name: "gpu-box", IsTimeout: true}, "no answer from the name server for gpu-box"},
		{"a name server that fails", &net.DNSError{Err: "server misbehaving", Name: "gpu-box", IsTemporary: true}, "the name server could not tell the address of gpu-box (server misbehaving)"},
		{"no route", syscall.EHOSTUNREACH, "no way to the host"},
		{"no network", syscall.ENETUNREACH, "this machine has no network that leads there"},
		{"a firewall that drops", syscall.ETIMEDOUT, "no connection within 5s: is the address right, and does a firewall let it through?"},
		{"too many open files", syscall.EMFILE, "ulimit -n is too low"},
		{"something without a name", errors.New("strange"), "strange"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := scraper(t, "http://gpu-box:8000", Access{})
			s.c.http.Transport.(*http.Transport).DialContext = dial(c.err)
			r := s.Read(context.Background())
			if r.Err == nil || !strings.HasPrefix(r.Err.Error(), "scrape http://gpu-box:8000/metrics: ") || !strings.Contains(r.Err.Error(), c.want) {
				t.Errorf("error %v does not say %q", r.Err, c.want)
			}
			if st := s.Status(); st.State != NoAnswer || !strings.Contains(st.Reason, c.want) {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestANameThatDoesNotExist(t *testing.T) {
	s := scraper(t, "http://no-such-host.invalid:8000", Access{Timeout: 2 * time.Second})
	r := s.Read(context.Background())
	// Which of the three depends on this machine's name server.
	got := fmt.Sprint(r.Err)
	if !strings.Contains(got, "no-such-host.invalid not found") && !strings.Contains(got, "name server") || s.Status().State != NoAnswer {
		t.Errorf("%v, %+v", r.Err, s.Status())
	}
}

func TestAProxyOfTheEnvironmentThatIsDownIsNotTheEngine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	s := scraper(t, "http://gpu-box:8000", Access{})
	s.c.http.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: closed})
	r := s.Read(context.Background())
	if r.Err == nil || !strings.Contains(r.Err.Error(), "the proxy that HTTP_PROXY or HTTPS_PROXY names: connection refused; NO_PROXY=gpu-box asks without it") {
		t.Errorf("error %v", r.Err)
	}
	if st := s.Status(); st.State != NoAnswer {
		t.Errorf("%+v", st)
	}
}

// relay passes connections on to a server. Those that are there when the machine falls asleep are dead afterwards, and
// nothing tells: what is sent on them vanishes.
type relay struct {
	to string
	mu sync.Mutex
	// asleep is closed for the connections that a sleep has killed.
	asleep chan struct{}
	conns  int
}

func (r *relay) serve(c net.Conn) {
	r.mu.Lock()
	dead := r.asleep
	r.conns++
	r.mu.Unlock()
	out, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer out.Close()
	go func() { _, _ = io.Copy(c, out) }()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-dead:
			continue
		default:
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (r *relay) sleep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.asleep)
	r.asleep = make(chan struct{})
}

// After a suspend the kept connection is one that only this end still believes in. The wall clock has run on and the
// monotonic one has not: so a new connection is made, and the engine is not said to give no answer.
func TestASuspendIsNoMissingAnswer(t *testing.T) {
	for _, c := range []struct {
		what  string
		jump  time.Duration // of the wall clock against the other
		sleep bool
		fails bool
		conns int
	}{
		{"nothing happens, and the connection is kept", 0, false, false, 1},
		{"a suspend of an hour, and another connection is made", time.Hour, true, false, 2},
		{"a clock that is set back, and another connection is made", -time.Hour, false, false, 2},
		{"a clock that is corrected a little, and the connection is kept", 500 * time.Millisecond, false, false, 1},
		{"connections that die without a suspend are no answer, and only once", 0, true, true, 2},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFake(t, "vllm-0.32-after.prom")
			way := &relay{to: strings.TrimPrefix(f.URL, "http://"), asleep: make(chan struct{})}
			s := scraper(t, listen(t, way.serve), Access{Timeout: 300 * time.Millisecond})
			real, ahead := s.c.watches, time.Duration(0)
			s.c.watches = func() watches {
				w := real()
				w.wall = w.wall.Add(ahead)
				return w
			}
			if r := s.Read(context.Background()); r.Err != nil {
				t.Fatal(r.Err)
			}
			if c.sleep {
				way.sleep()
			}
			ahead = c.jump
			r := s.Read(context.Background())
			if (r.Err != nil) != c.fails {
				t.Errorf("error %v", r.Err)
			}
			if r = s.Read(context.Background()); r.Err != nil || s.Status().State != Ready {
				t.Errorf("then: %+v, %v", s.Status(), r.Err)
			}
			way.mu.Lock()
			defer way.mu.Unlock()
			if way.conns != c.conns {
				t.Errorf("%d connections, want %d", way.conns, c.conns)
			}
		})
	}
}

// A clock of the server's that is wrong makes no restart, no stall and no age: only times of the server's own are compared.
func TestAServerWithAWrongClockIsReady(t *testing.T) {
	for what, began := range map[string]time.Time{
		"a day ahead":    time.Now().Add(24 * time.Hour),
		"years behind":   time.Unix(5, 0),
		"of this minute": time.Now(),
	} {
		s := scraper(t, serve(t, text(fmt.Sprintf("process_start_time_seconds %d\nvllm:num_requests_running 0\n", began.Unix()))), Access{})
		before := time.Now()
		for range 3 {
			s.Read(context.Background())
		}
		st := s.Status()
		if st.State != Ready || st.Since.Before(before) || st.Since.After(time.Now()) {
			t.Errorf("%s: %+v", what, st)
		}
	}
}
