package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/rs/zerolog"

	"pitwall/probes"
)

// between puts a proxy in front of a server that does to its connections what a network can do.
func between(t *testing.T, server string) (*toxiproxy.Proxy, string) {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled)
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()),
		"engine", "127.0.0.1:0", strings.TrimPrefix(server, "http://"))
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p, "http://" + p.Listen
}

func poison(t *testing.T, p *toxiproxy.Proxy, toxic string) {
	t.Helper()
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		t.Fatal(err)
	}
}

// own gives the samples of the engine's own page, by their labels; what pitwall says about it is left out.
func own(r probes.Reading) map[string]float64 {
	out := map[string]float64{}
	for _, s := range r.Samples {
		if !strings.HasPrefix(s.Labels.Get(model.MetricNameLabel), "pitwall_") {
			out[s.Labels.String()] = s.Value
		}
	}
	return out
}

func equal(a, b map[string]float64) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// An engine is read once through a sound network. Then something happens to the network, and it is read again, three times.
// Every reading has the whole page, number by number, or nothing of it and a reason. When the network is sound again, so is
// the reading.
func TestWhatANetworkCanDo(t *testing.T) {
	const wait = 400 * time.Millisecond
	for _, c := range []struct {
		what   string
		toxics []string
		// first and then are the states after the first and the second reading.
		first, then State
		// reason is in the error of every reading, and in the state's reason; empty where the page comes.
		reason string
		slower bool // the engine must be asked less often from then on
	}{
		{"a page that comes late but in time is read, and asked for less often", []string{`{"type":"latency","attributes":{"latency":70}}`}, Ready, Ready, "", true},
		// The jitter is drawn: with the least that can be drawn, 30 ms each time, the mean of the readings is still above 10 ms, from which on it is asked less often.
		{"a page whose pieces come at odd times is read", []string{`{"type":"latency","attributes":{"latency":60,"jitter":30}}`}, Ready, Ready, "", true},
		{"a page in a thousand pieces is read", []string{`{"type":"slicer","attributes":{"average_size":100,"size_variation":50,"delay":5}}`}, Ready, Ready, "", false},
		{"a connection that is slow to close does no harm", []string{`{"type":"slow_close","attributes":{"delay":3000}}`}, Ready, Ready, "", false},
		{"a page that comes too late is no page, and one alone is a busy server", []string{`{"type":"latency","attributes":{"latency":5000}}`}, Ready, NoAnswer, "no answer within 400ms", true},
		{"a network too slow for the page says how much of it came", []string{`{"type":"bandwidth","attributes":{"rate":20}}`}, Ready, NoAnswer, "was not complete within 400ms (", true},
		{"a reset at once is a reset", []string{`{"type":"reset_peer","attributes":{"timeout":0}}`}, Ready, NoAnswer, "connection reset", false},
		{"a page cut in the middle of a line gives nothing", []string{`{"type":"limit_data","attributes":{"bytes":20011}}`}, Ready, NoAnswer, "the connection ended in the middle of the answer, after 19 KiB", false},
		{"an answer cut in its headers gives nothing", []string{`{"type":"limit_data","attributes":{"bytes":40}}`}, Ready, NoAnswer, "", false},
		{"a connection on which nothing comes is given up", []string{`{"type":"timeout","attributes":{"timeout":0}}`}, Ready, NoAnswer, "no answer within 400ms", true},
		{"a connection that is closed without a word says so", []string{`{"type":"timeout","attributes":{"timeout":20}}`}, Ready, NoAnswer, "the server closed the connection without an answer", false},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, "vllm-0.32-after.prom")
			p, address := between(t, f.URL)
			s := scraper(t, address, Access{Timeout: wait})
			sound := s.Read(context.Background())
			if sound.Err != nil || s.Status().State != Ready {
				t.Fatalf("%+v, %v", s.Status(), sound.Err)
			}
			page := own(sound)
			for _, toxic := range c.toxics {
				poison(t, p, toxic)
			}
			comes := c.then == Ready
			for i, want := range []State{c.first, c.then, c.then} {
				begun := time.Now()
				r := s.Read(context.Background())
				if d := time.Since(begun); d > 3*wait {
					t.Errorf("reading %d took %v", i, d)
				}
				if st := s.Status(); st.State != want {
					t.Errorf("reading %d: %+v, want %s", i, st, want)
				}
				if comes {
					if r.Err != nil || !equal(page, own(r)) {
						t.Errorf("reading %d: %v, %d samples of %d", i, r.Err, len(own(r)), len(page))
					}
					continue
				}
				if r.Err == nil || len(own(r)) != 0 {
					t.Fatalf("reading %d: no error, or %d samples of a page that did not come", i, len(own(r)))
				}
				if !strings.HasPrefix(r.Err.Error(), "scrape "+address+"/metrics: ") || !strings.Contains(r.Err.Error(), c.reason) {
					t.Errorf("reading %d: error %q does not say %q", i, r.Err, c.reason)
				}
				if why := s.Status().Reason; i > 0 && (!strings.Contains(r.Err.Error(), why) || why == "") {
					t.Errorf("reading %d: the state's reason is %q, the error %q", i, why, r.Err)
				}
			}
			if c.slower && s.Every() == minInterval {
				t.Errorf("it is asked every %v", s.Every())
			}
			p.Toxics.ResetToxics(context.Background())
			var r probes.Reading
			for range 2 { // a connection that is broken may be found out by the first
				if r = s.Read(context.Background()); r.Err == nil {
					break
				}
			}
			if r.Err != nil || !equal(page, own(r)) || !s.Status().State.Answers() {
				t.Errorf("when all is well again: %+v, %v", s.Status(), r.Err)
			}
		})
	}
}

func TestAProxyThatIsGoneIsAClosedPortAndComesBack(t *testing.T) {
	f := newFake(t, "vllm-0.32-after.prom")
	p, address := between(t, f.URL)
	s := scraper(t, address, Access{})
	s.Read(context.Background())
	p.Stop()
	r := s.Read(context.Background())
	if st := s.Status(); st.State != NoEngine || r.Err == nil || !strings.HasSuffix(r.Err.Error(), "/metrics: connection refused") {
		t.Errorf("%+v, %v", st, r.Err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if r := s.Read(context.Background()); r.Err != nil || s.Status().State != Ready {
		t.Errorf("%+v, %v", s.Status(), r.Err)
	}
}

// Whatever becomes of one engine, the others and the other pages are read in time.
func TestASourceThatHangsHoldsUpNoOther(t *testing.T) {
	sick, well := newFake(t, "vllm-0.32-after.prom"), newFake(t, "vllm-0.32-after.prom")
	p, address := between(t, sick.URL)
	poison(t, p, `{"type":"timeout","attributes":{"timeout":0}}`)
	w, err := Open(Options{URLs: []string{address, well.URL}, Scrapes: []string{well.URL + "/metrics"}, NoExporters: true, Access: Access{Timeout: 30 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	sources := w.Sources()
	if len(sources) != 3 {
		t.Fatalf("%d sources", len(sources))
	}
	for range 3 {
		for i, s := range sources {
			begun := time.Now()
			r := s.Read(context.Background())
			if hangs := i == 0; r.Err != nil || hangs != (r.Late != "") || hangs && len(own(r)) != 0 {
				t.Errorf("%d: late %q, %v", i, r.Late, r.Err)
			}
			if d := time.Since(begun); d > 2*waitInRead {
				t.Errorf("%d: it took %v", i, d)
			}
		}
	}
	giveUp, cancel := context.WithCancel(context.Background())
	cancel()
	if r := sources[0].Read(giveUp); r.Err == nil || !strings.Contains(r.Err.Error(), "given up") {
		t.Errorf("error %v", r.Err)
	}
}

// openFiles counts this process's file descriptors by what they are.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("NOT TESTED: no /proc/self/fd: %v", err)
	}
	return len(entries)
}

func TestFaultsLeaveNoGoroutineAndNoFileBehind(t *testing.T) {
	f := newFake(t, "vllm-0.32-after.prom")
	around := func() {
		for _, toxic := range []string{
			`{"type":"timeout","attributes":{"timeout":0}}`, `{"type":"timeout","attributes":{"timeout":5}}`, `{"type":"limit_data","attributes":{"bytes":9999}}`,
			`{"type":"reset_peer","attributes":{"timeout":0}}`, `{"type":"bandwidth","attributes":{"rate":1}}`,
		} {
			p, address := between(t, f.URL)
			s, err := NewScraper(address, vllm(t), Access{Timeout: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			s.Read(context.Background())
			poison(t, p, toxic)
			for range 5 {
				s.Read(context.Background())
			}
			s.Close()
			p.Stop()
		}
		f.CloseClientConnections()
	}
	around() // what is made once and kept is made now
	settled := func() (goroutines, files int) {
		deadline := time.Now().Add(5 * time.Second)
		for {
			g, n := runtime.NumGoroutine(), openFiles(t)
			for range 50 { // it counts as settled when it does not change any more
				time.Sleep(2 * time.Millisecond)
				if g2, n2 := runtime.NumGoroutine(), openFiles(t); g2 != g || n2 != n {
					g, n = -1, -1
					break
				}
			}
			if g >= 0 || time.Now().After(deadline) {
				return runtime.NumGoroutine(), openFiles(t)
			}
		}
	}
	g, n := settled()
	for range 3 {
		around()
	}
	g2, n2 := settled()
	if n2 > n+2 {
		t.Errorf("%d open files became %d", n, n2)
	}
	// The proxy's own links may be left; pitwall's goroutines have its package or the HTTP client in their stack.
	if left := stacks(t, "pitwall/probes/engine.(*client)", "net/http.(*persistConn)"); len(left) > 0 {
		t.Errorf("%d goroutines became %d; left are\n%s", g, g2, strings.Join(left, "\n\n"))
	}
}

// stacks gives the goroutines that have one of these functions in their stack.
func stacks(t *testing.T, functions ...string) []string {
	t.Helper()
	b := make([]byte, 4<<20)
	b = b[:runtime.Stack(b, true)]
	var out []string
	for s := range strings.SplitSeq(string(b), "\n\n") {
		if slices.ContainsFunc(functions, func(f string) bool { return strings.Contains(s, f) }) {
			out = append(out, s)
		}
	}
	return out
}

// An answer whose end nothing tells but the end of the connection is a whole page only if its last line has an end.
func TestAPageWithoutALengthMustEndItsLastLine(t *testing.T) {
	for what, c := range map[string]struct {
		body string
		ok   bool
	}{
		"whole": {"vllm:num_requests_running 12\n", true},
		"cut":   {"vllm:num_requests_running 1", false},
	} {
		address := answers(t, func(*http.Request) string {
			return "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + c.body
		})
		r := scraper(t, address, Access{}).Read(context.Background())
		if ok := r.Err == nil; ok != c.ok || len(own(r)) > 0 != c.ok {
			t.Errorf("%s: %v, %v", what, r.Err, own(r))
		}
		if !c.ok && !strings.Contains(fmt.Sprint(r.Err), "ended in the middle of the answer") {
			t.Errorf("%s: %v", what, r.Err)
		}
	}
}

func TestAResetInTheMiddleOfThePageSaysWhere(t *testing.T) {
	address := listen(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9999\r\n\r\nvllm:num_requests_running 1\n")
		time.Sleep(50 * time.Millisecond) // a reset throws away what the client has not read yet
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	r := scraper(t, address, Access{}).Read(context.Background())
	if r.Err == nil || len(own(r)) != 0 || !strings.Contains(r.Err.Error(), "connection reset in the middle of the answer, after 28 B") {
		t.Errorf("%v, %v", r.Err, own(r))
	}
}
