package engine

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pitwall/probes/host"
)

func TestFind(t *testing.T) {
	cases := []struct {
		what    string
		urls    []string
		servers []Server
		want    string
	}{
		{"the addresses given, in their order", []string{"http://b:1", "a:2"}, []Server{{Address: "127.0.0.1:8000"}}, "http://b:1 a:2"},
		{"else the servers of this host, by port", nil, []Server{{Address: "127.0.0.1:8001"}, {Address: "127.0.0.1:8000"}, {Address: "127.0.0.1:10000"}}, "127.0.0.1:8000 127.0.0.1:8001 127.0.0.1:10000"},
		{"one that no address leads to is none", nil, []Server{{}}, "127.0.0.1:8000"},
		{"the same address twice is one", nil, []Server{{Address: "127.0.0.1:9"}, {Address: "127.0.0.1:9"}}, "127.0.0.1:9"},
		{"else the default port on the loopback", nil, nil, "127.0.0.1:8000"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			if got := strings.Join(Find(c.urls, c.servers, vllm(t)), " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// watch is a Watch whose looks are made by the test.
func watch(t *testing.T, o Options) *Watch {
	t.Helper()
	o.NoExporters = true
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	w.cancel()
	w.stopped.Wait()
	return w
}

func instances(w *Watch) string {
	var out []string
	for _, s := range w.Sources() {
		job, instance := s.Target()
		out = append(out, job+" "+instance)
	}
	return strings.Join(out, ", ")
}

func TestEnginesComeAndGo(t *testing.T) {
	var servers atomic.Pointer[[]Server]
	set := func(s ...Server) { servers.Store(&s) }
	set()
	w := watch(t, Options{Servers: func() ([]Server, error) { return *servers.Load(), nil }})
	step := func(what string, now time.Time, want string) {
		t.Helper()
		w.look(now)
		if got := instances(w); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	read := func(n int) { w.Engines()[n].Read(context.Background()) }
	me := func(port string) Server {
		return Server{PID: 1 << 30, Address: "127.0.0.1:" + port} // a PID that no Linux gives
	}
	now := time.Now().Add(time.Hour)
	step("nothing found: the default port is watched", now, "vllm 127.0.0.1:8000")
	set(me("18001"))
	step("a server elsewhere takes the place of the guess", now.Add(1*time.Second), "vllm 127.0.0.1:18001")
	set(me("18001"), me("8000"))
	step("two servers, by port", now.Add(2*time.Second), "vllm 127.0.0.1:8000, vllm 127.0.0.1:18001")
	read(0)
	w.Engines()[1].alive = func(int) bool { return true }
	read(1)
	if st := w.Engines()[1].Status().State; st != Starting {
		t.Errorf("a server with a closed port is %s", st)
	}
	w.Engines()[0].alive = func(int) bool { return true }
	read(0)
	set(me("8000"))
	step("a server that is gone is still shown", now.Add(3*time.Second), "vllm 127.0.0.1:8000, vllm 127.0.0.1:18001")
	step("but not for ever, if there is another", now.Add(11*time.Minute), "vllm 127.0.0.1:8000")
	set()
	step("the last one stays", now.Add(12*time.Minute), "vllm 127.0.0.1:8000")
	step("however long it is gone", now.Add(24*time.Hour), "vllm 127.0.0.1:8000")
}

func TestGivenEnginesStayAsGiven(t *testing.T) {
	w := watch(t, Options{URLs: []string{"http://b.invalid:1", "127.0.0.1:2"}, Scrapes: []string{"127.0.0.1:3", "http://127.0.0.1:3/other?x=1"},
		Servers: func() ([]Server, error) { return []Server{{PID: 1, Address: "127.0.0.1:8000"}}, nil }})
	want := "vllm b.invalid:1, vllm 127.0.0.1:2, scrape 127.0.0.1:3, scrape 127.0.0.1:3/other"
	for range 3 {
		w.look(time.Now())
		if got := instances(w); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	w.Score(true)
	w.Engines()[1].Read(context.Background())
	if every := w.Engines()[1].Every(); every != 5*time.Second {
		t.Errorf("every %v during a scored run", every)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestWaitGivesTheEnginesWhateverTheFirstLookTakes(t *testing.T) {
	held := make(chan struct{})
	w, err := Open(Options{URLs: []string{"http://127.0.0.1:1"}, NoExporters: true, Servers: func() ([]Server, error) { <-held; return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Wait(ctx); !errors.Is(err, context.Canceled) || len(w.Engines()) != 0 {
		t.Errorf("while the first look lasts: error %v and %d engines, want that of the context and none", err, len(w.Engines()))
	}
	close(held)
	if err := w.Wait(t.Context()); err != nil || len(w.Engines()) != 1 {
		t.Errorf("after it: error %v and %d engines, want the one that was given", err, len(w.Engines()))
	}
}

func TestOptionsThatCannotBeAreErrorsAtOnce(t *testing.T) {
	for what, o := range map[string]Options{
		"a bad engine":          {URLs: []string{"ftp://x"}},
		"a bad page":            {Scrapes: []string{"gopher://x"}},
		"a page twice":          {Scrapes: []string{"x:1", "http://x:1/metrics"}},
		"a CA file that is not": {URLs: []string{"https://x"}, Access: Access{CAFile: "/nonexistent"}},
	} {
		if w, err := Open(o); err == nil {
			t.Errorf("%s: no error", what)
			w.Close()
		}
	}
}

func TestProcessesThatCannotBeReadAreTheReason(t *testing.T) {
	w := watch(t, Options{URLs: []string{"127.0.0.1:1"}, Servers: func() ([]Server, error) { return nil, errors.New("reading processes: permission denied") }})
	w.Engines()[0].Read(context.Background())
	if st := w.Engines()[0].Status(); st.State != NoEngine || !strings.Contains(st.Reason, "permission denied") {
		t.Errorf("%+v", st)
	}
}

func TestOtherPagesAreReadWithTheirOwnNames(t *testing.T) {
	var auth atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.Store(r.Header.Get("Authorization") + r.Header.Get("X-Proxy"))
		w.Header().Set("Content-Type", textType)
		w.Write([]byte("# TYPE node_load1 gauge\nnode_load1 0.5\n"))
	}))
	defer srv.Close()
	w := watch(t, Options{Scrapes: []string{srv.URL}, URLs: []string{"127.0.0.1:1"}, Access: Access{APIKey: "k", Headers: http.Header{"X-Proxy": {"v"}}}})
	p := w.Sources()[1]
	r := p.Read(context.Background())
	if r.Err != nil || len(r.Samples) != 1 || r.Samples[0].Value != 0.5 || r.Meta["node_load1"].Type != "gauge" {
		t.Errorf("%+v", r)
	}
	if auth.Load() != "" {
		t.Errorf("the engine's key or headers went to another server: %v", auth.Load())
	}
	if p.Every() != time.Second {
		t.Errorf("every %v", p.Every())
	}
	srv.Close()
	if r := p.Read(context.Background()); r.Err == nil || !strings.HasSuffix(r.Err.Error(), "/metrics: connection refused") {
		t.Errorf("error %v", r.Err)
	}
}

func TestAnExporterIsKnownByItsMetrics(t *testing.T) {
	for page, want := range map[string]bool{
		"DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 5\n": true,
		"some_other_program 1\n":              false,
		"":                                    false,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", textType)
			w.Write([]byte(page))
		}))
		e := exporter{job: "dcgm-exporter", address: srv.URL + "/metrics", prefix: "DCGM_FI_"}
		p, ok := tryExporter(context.Background(), e)
		if ok != want {
			t.Errorf("%q: %v", page, ok)
		}
		if ok {
			if job, _ := p.Target(); job != "dcgm-exporter" {
				t.Errorf("job %s", job)
			}
		}
		srv.Close()
		if _, ok := tryExporter(context.Background(), e); ok {
			t.Error("found where nothing listens")
		}
	}
}

func TestOfTwoServersOnOnePortTheAddressDecides(t *testing.T) {
	one, two := Server{PID: 1, Address: "127.0.0.1:8000"}, Server{PID: 2, Address: "127.0.0.2:8000"}
	for address, want := range map[string]int{"127.0.0.1:8000": 1, "127.0.0.2:8000": 2, "localhost:8000": 1, "127.0.0.3:8001": 0, "engine.invalid:8000": 0} {
		w := watch(t, Options{URLs: []string{address}, Servers: func() ([]Server, error) { return []Server{one, two}, nil }})
		srv, ok, _ := w.Engines()[0].server()
		if srv.PID != want || ok != (want != 0) {
			t.Errorf("%s is served by %d (%v), want %d", address, srv.PID, ok, want)
		}
	}
}

func TestServersAreTheProcessesThatWereStarted(t *testing.T) {
	got := ServersOf([]host.Process{
		{PID: 5, Root: 5, Kind: "vllm", Role: host.RoleServe, Args: []string{"vllm", "serve", "--headless"}},
		{PID: 6, Root: 5, Kind: "vllm", Role: host.RoleWorker},
	})
	if len(got) != 0 {
		t.Errorf("a headless rank is a server: %+v", got)
	}
	here, err := host.Processes("/proc")
	if err != nil {
		t.Skipf("NOT TESTED ON REAL PROCESSES: %v", err)
	}
	for _, s := range ServersOf(here) {
		if !slices.ContainsFunc(here, func(p host.Process) bool { return p.PID == s.PID && p.Root == p.PID }) || s.Address == "" {
			t.Errorf("%+v", s)
		}
	}
}
