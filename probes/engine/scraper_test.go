package engine

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"pitwall/probes"
)

// fake is a vLLM over HTTP as far as watching it goes: recorded pages, and what else it answers.
type fake struct {
	*httptest.Server
	page    atomic.Pointer[string]
	typ     atomic.Pointer[string]
	version atomic.Pointer[string]
	model   atomic.Pointer[string]
	health  atomic.Int64
	metrics atomic.Int64 // status of /metrics
	asked   atomic.Int64 // pages asked for
	conns   atomic.Int64
}

func newFake(t *testing.T, file string) *fake {
	t.Helper()
	f := &fake{}
	typ, body := fixture(t, file)
	f.show(typ, string(body))
	v, m := "0.32.0", "tiny"
	f.version.Store(&v)
	f.model.Store(&m)
	f.health.Store(200)
	f.metrics.Store(200)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		f.asked.Add(1)
		w.Header().Set("Content-Type", *f.typ.Load())
		w.WriteHeader(int(f.metrics.Load()))
		fmt.Fprint(w, *f.page.Load())
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(f.health.Load())) })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"version":%q}`, *f.version.Load()) })
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"object":"list","data":[{"id":%q,"object":"model","owned_by":"vllm","root":"/models/tiny","parent":null,"max_model_len":2048},`+
			`{"id":"lora","object":"model","root":"/l","parent":"tiny","max_model_len":null}]}`, *f.model.Load())
	})
	f.Server = httptest.NewUnstartedServer(mux)
	f.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			f.conns.Add(1)
		}
	}
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *fake) show(typ, page string) {
	f.typ.Store(&typ)
	f.page.Store(&page)
}

func scraper(t *testing.T, url string, a Access) *Scraper {
	t.Helper()
	s, err := NewScraper(url, vllm(t), a)
	if err != nil {
		t.Fatal(err)
	}
	s.hold = 30 * time.Second // a busy machine is no late page
	t.Cleanup(s.Close)
	return s
}

func (f *fake) fact(r probes.Reading, name string) string {
	u, err := url.Parse(f.URL)
	if err != nil {
		panic(err)
	}
	return r.Facts["engine/"+u.Host+"/"+name]
}

func TestAReadingHoldsThePageItsFactsAndItsState(t *testing.T) {
	f := newFake(t, "vllm-0.32-preempting.prom")
	s := scraper(t, f.URL, Access{})
	r := s.Read(context.Background())
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	job, instance := s.Target()
	if job != "vllm" || "http://"+instance != f.URL {
		t.Errorf("target %s %s", job, instance)
	}
	if v := value(t, r, `{__name__="vllm:num_requests_running", engine="0", model_name="tiny"}`); v != 4 {
		t.Errorf("running %v", v)
	}
	for name, want := range map[string]string{
		"url": f.URL, "dialect": "vllm", "version": "0.32.0", "model": "tiny", "models": "tiny", "root": "/models/tiny", "max_model_len": "2048",
		"block_size": "128", "num_gpu_blocks": "10", "kv_tokens": "1280", "kv_max_concurrency": "1.25", "cache_dtype": "auto", "prefix_caching": "True",
		"gpu_memory_utilization": "0.92", "started": "2026-11-24T00:17:34Z", "verified": "verified on a running engine",
	} {
		if got := f.fact(r, name); got != want {
			t.Errorf("fact %s is %q, want %q", name, got, want)
		}
	}
	for _, st := range States() {
		want := 0.0
		if st == Ready {
			want = 1
		}
		if v := value(t, r, fmt.Sprintf(`{__name__="pitwall_engine_state", state=%q}`, st)); v != want {
			t.Errorf("state %s is %v", st, v)
		}
	}
	if v := value(t, r, "pitwall_engine_healthy"); v != 1 {
		t.Errorf("healthy %v", v)
	}
	if v := value(t, r, "pitwall_scrape_interval_seconds"); v < 1 || v > 5 {
		t.Errorf("interval %v", v)
	}
	if v := value(t, r, "pitwall_engine_scrape_duration_seconds_total"); v <= 0 || r.Took <= 0 {
		t.Errorf("watching cost %v s, the page took %v", v, r.Took)
	}
	if len(r.Events) != 1 || r.Events[0].Kind != probes.KindEngineState || r.Events[0].Attrs["state"] != "ready" || r.Events[0].Attrs["from"] != "" {
		t.Errorf("events %+v", r.Events)
	}
	for _, name := range []string{"dtype", "max_num_seqs", "max_num_batched_tokens"} {
		if r.Absent["engine/"+instance+"/"+name] == "" {
			t.Errorf("no reason why %s is unknown", name)
		}
	}
	seen := map[string]bool{}
	for _, smp := range r.Samples {
		if k := smp.Labels.String(); seen[k] {
			t.Errorf("%s is there twice", k)
		} else {
			seen[k] = true
		}
	}
	r = s.Read(context.Background())
	if len(r.Events) != 0 {
		t.Errorf("the same again makes events: %+v", r.Events)
	}
	if n := f.conns.Load(); n != 1 {
		t.Errorf("%d connections for two readings", n)
	}
}

func TestFactsOfDataParallelEnginesAreAdded(t *testing.T) {
	f := newFake(t, "vllm-0.26-dp2.prom")
	r := scraper(t, f.URL, Access{}).Read(context.Background())
	for name, want := range map[string]string{"kv_tokens": "315872", "num_gpu_blocks": "19742", "block_size": "16", "kv_max_concurrency": "38.55859375", "kv_tokens_note": ""} {
		if got := f.fact(r, name); got != want {
			t.Errorf("fact %s is %q, want %q", name, got, want)
		}
	}
}

func TestAnOldVersionSaysWhatItLacks(t *testing.T) {
	f := newFake(t, "vllm-0.10.prom")
	v := "0.10.1"
	f.version.Store(&v)
	r := scraper(t, f.URL, Access{}).Read(context.Background())
	if got := f.fact(r, "kv_tokens"); got != "157936" || f.fact(r, "kv_tokens_note") == "" {
		t.Errorf("kv_tokens %q, note %q: want blocks times block size, with a note", got, f.fact(r, "kv_tokens_note"))
	}
	if got := f.fact(r, "verified"); !strings.HasPrefix(got, "mapped from documentation") {
		t.Errorf("verified %q", got)
	}
	for metric, want := range map[string]string{
		"vllm:num_requests_waiting_by_reason": "needs vLLM 0.20", "vllm:admission_rejections_total": "needs vLLM 0.32", "vllm:engine_sleep_state": "needs vLLM 0.11.1",
	} {
		if !strings.Contains(r.Absent[metric], want) {
			t.Errorf("%s is absent because %q, want %q", metric, r.Absent[metric], want)
		}
	}
	if why, ok := r.Absent["vllm:num_requests_running"]; ok {
		t.Errorf("running is there and absent because %q", why)
	}
}

func TestAServerWithoutStatsIsReadyAndSaysWhyThereIsNothing(t *testing.T) {
	f := newFake(t, "vllm-0.32-fresh.prom")
	var page strings.Builder
	for line := range strings.Lines(*f.page.Load()) {
		if !strings.Contains(line, "vllm:") {
			page.WriteString(line)
		}
	}
	f.show(textType, page.String())
	s := scraper(t, f.URL, Access{})
	r := s.Read(context.Background())
	if r.Err != nil || s.Status().State != Ready {
		t.Fatalf("state %+v, error %v", s.Status(), r.Err)
	}
	for _, m := range []string{"vllm:num_requests_running", "vllm:kv_cache_usage_perc", "vllm:generation_tokens_total"} {
		if r.Absent[m] != "engine started with --disable-log-stats" {
			t.Errorf("%s is absent because %q", m, r.Absent[m])
		}
	}
	if f.fact(r, "model") != "tiny" {
		t.Errorf("model %q", f.fact(r, "model"))
	}
}

func TestOpenMetricsIsRead(t *testing.T) {
	f := newFake(t, "vllm-rust.openmetrics")
	r := scraper(t, f.URL, Access{}).Read(context.Background())
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if v := value(t, r, `{__name__="vllm:generation_tokens_total", engine="0", model_name="Qwen/Qwen3-0.6B"}`); v != 3 {
		t.Errorf("tokens %v", v)
	}
	if !strings.Contains(r.Absent["vllm:cache_config_info"], "Rust") {
		t.Errorf("absent %v", r.Absent)
	}
}

func TestChangesOfModelAndVersionAreEvents(t *testing.T) {
	f := newFake(t, "vllm-0.32-after.prom")
	s := scraper(t, f.URL, Access{})
	now := at(0)
	s.clock = func() time.Time { return now }
	s.Read(context.Background())
	v, m := "0.33.0", "large"
	f.version.Store(&v)
	f.model.Store(&m)
	now = now.Add(61 * time.Second)
	r := s.Read(context.Background())
	got := map[string]string{}
	for _, e := range r.Events {
		if e.Kind == KindChanged {
			got[e.Attrs["what"]] = e.Attrs["from"] + " " + e.Attrs["to"]
		}
	}
	if got["version"] != "0.32.0 0.33.0" || got["model"] != "tiny large" || len(got) != 2 {
		t.Errorf("events %v", got)
	}
	if r = s.Read(context.Background()); len(r.Events) != 0 {
		t.Errorf("told twice: %v", r.Events)
	}
}

func TestARestartIsSeenByTheCounters(t *testing.T) {
	f := newFake(t, "vllm-0.32-after.prom")
	s := scraper(t, f.URL, Access{})
	r := s.Read(context.Background())
	_, body := fixture(t, "vllm-0.32-fresh.prom")
	page := strings.ReplaceAll(string(body), "HuggingFaceTB/SmolLM2-135M-Instruct", "tiny")
	// The recordings are of two servers, the fresh one being the older.
	page = regexp.MustCompile(`(?m)^process_start_time_seconds .*$`).ReplaceAllString(page, "process_start_time_seconds 1.79548e+09")
	// The new one has not made up its mind about its cache yet.
	page = regexp.MustCompile(`(?m)^vllm:cache_config_info.*\n`).ReplaceAllString(page, "")
	if f.fact(r, "num_gpu_blocks") == "" || f.fact(r, "version") == "" {
		t.Errorf("facts of the first %v", r.Facts)
	}
	f.show(textType, page)
	r = s.Read(context.Background())
	if st := s.Status(); st.State != Restarted {
		t.Errorf("state %+v", st)
	}
	if v := f.fact(r, "num_gpu_blocks"); v != "" {
		t.Errorf("the new engine has %s blocks by what the old one said", v)
	}
	if f.fact(r, "version") == "" || f.fact(r, "model") == "" {
		t.Errorf("it was not asked again: %v", r.Facts)
	}
	if len(r.Events) != 1 || r.Events[0].Severity != probes.Warning {
		t.Errorf("events %+v", r.Events)
	}
}

func TestADeadEngineBehindALivingServerIsNoAnswer(t *testing.T) {
	f := newFake(t, "vllm-0.32-after.prom")
	s := scraper(t, f.URL, Access{})
	now := at(0)
	s.clock = func() time.Time { return now }
	s.Read(context.Background())
	f.health.Store(503)
	for _, after := range []time.Duration{11 * time.Second, time.Second, time.Second} {
		now = now.Add(after)
		r := s.Read(context.Background())
		if st := s.Status(); st.State != NoAnswer || !strings.Contains(st.Reason, "dead") {
			t.Errorf("state %+v", st)
		}
		if v := value(t, r, "pitwall_engine_healthy"); v != 0 {
			t.Errorf("healthy %v", v)
		}
	}
	f.health.Store(200)
	now = now.Add(time.Second)
	if s.Read(context.Background()); s.Status().State != Ready {
		t.Errorf("state %+v", s.Status())
	}
}

func TestWhatIsNoEngineSaysWhatItIs(t *testing.T) {
	handlers := map[string]struct {
		h    http.HandlerFunc
		want []string
	}{
		"HTML": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!doctype html><h1>Welcome to nginx")
		}, []string{"/metrics: no page of metrics but ", "nginx"}},
		"garbage": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Write([]byte{0xff, 0xfe, 0, 1, 2})
		}, []string{"line 1:"}},
		"a page with a broken line": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, "vllm:num_requests_running 1\nvllm:num_requests_waiting one\n")
		}, []string{"line 2:"}},
		"401 of a proxy": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, []string{"HTTP 401 Unauthorized", "it wants a key or a header"}},
		"404":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, []string{"HTTP 404 Not Found", "is this the engine's address?"}},
		"502 of a proxy": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, []string{"HTTP 502 Bad Gateway", "the engine behind it does not"}},
		"an error with vLLM's message": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			fmt.Fprint(w, `{"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError","code":500}}`)
		}, []string{"HTTP 500 Internal Server Error (EngineCore encountered an issue.)"}},
		"a redirect to another server": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.invalid/metrics", http.StatusFound)
		}, []string{"it redirects to another server, http://elsewhere.invalid/metrics: give that address"}},
		"a redirect without end": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"/x", http.StatusTemporaryRedirect)
		}, []string{"more than 3 redirects"}},
		"a connection that is cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "vllm:num_requests_running 1\n")
		}, []string{"the connection ended in the middle of the answer"}},
	}
	for what, c := range handlers {
		t.Run(what, func(t *testing.T) {
			srv := httptest.NewServer(c.h)
			defer srv.Close()
			s := scraper(t, srv.URL, Access{})
			r := s.Read(context.Background())
			if r.Err == nil {
				t.Fatal("no error")
			}
			if st := s.Status(); st.State != NoAnswer {
				t.Errorf("state %+v", st)
			}
			for _, w := range append(c.want, "scrape "+srv.URL+"/metrics: ") {
				if !strings.Contains(r.Err.Error(), w) {
					t.Errorf("error %q does not say %q", r.Err, w)
				}
			}
			for _, smp := range r.Samples {
				if !strings.HasPrefix(smp.Labels.Get(model.MetricNameLabel), "pitwall_") {
					t.Errorf("%s of a page that failed", smp.Labels)
				}
			}
		})
	}
}

func TestAServerThatHangsIsGivenUpAndNotAskedTwiceAtOnce(t *testing.T) {
	var now, most atomic.Int64
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(release)
	s := scraper(t, srv.URL, Access{Timeout: 50 * time.Millisecond})
	for range 2 {
		r := s.Read(context.Background())
		if r.Err == nil || !strings.HasSuffix(r.Err.Error(), "/metrics: no answer within 50ms") {
			t.Errorf("error %v", r.Err)
		}
	}
	if st := s.Status(); st.State != NoAnswer || st.Reason != "no answer within 50ms" {
		t.Errorf("state %+v", st)
	}
	if most.Load() != 1 {
		t.Errorf("%d requests at once", most.Load())
	}
	if s.Every() != 5*time.Second {
		t.Errorf("a server that does not answer in time is asked every %v", s.Every())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := s.Read(ctx); r.Err == nil {
		t.Error("no error from an ended context")
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := scraper(t, address, Access{})
	r := s.Read(context.Background())
	if r.Err == nil || r.Err.Error() != "scrape http://"+address+"/metrics: connection refused" {
		t.Errorf("error %v", r.Err)
	}
	if s.Status().State != NoEngine || s.Every() != time.Second {
		t.Errorf("state %+v, every %v", s.Status(), s.Every())
	}
	if r.Facts["engine/"+address+"/url"] != "http://"+address {
		t.Errorf("facts %v", r.Facts)
	}
}

func TestOldServersRedirectOnceAndAreAskedThereAfterwards(t *testing.T) {
	var direct, there atomic.Int64
	_, body := fixture(t, "vllm-0.10.prom")
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		direct.Add(1)
		http.Redirect(w, r, "/metrics/", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/metrics/", func(w http.ResponseWriter, _ *http.Request) {
		there.Add(1)
		w.Header().Set("Content-Type", textType)
		w.Write(body)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	s := scraper(t, srv.URL, Access{})
	for range 3 {
		if r := s.Read(context.Background()); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if direct.Load() != 1 || there.Load() != 3 {
		t.Errorf("%d times redirected, %d times read", direct.Load(), there.Load())
	}
}

func TestAConnectionThatTheServerClosedIsOpenedAgain(t *testing.T) {
	f := newFake(t, "vllm-0.32-after.prom")
	s := scraper(t, f.URL, Access{})
	for range 5 {
		if r := s.Read(context.Background()); r.Err != nil {
			t.Fatal(r.Err)
		}
		f.CloseClientConnections()
	}
}

func TestWorkThatStandsStillIsStalledAndThenWorksAgain(t *testing.T) {
	f := newFake(t, "vllm-0.32-preempting.prom")
	s := scraper(t, f.URL, Access{})
	now := at(0)
	s.clock = func() time.Time { return now }
	var states []State
	var last probes.Reading
	for _, second := range []float64{0, 4, 8, 9, 10, 12} {
		now = at(second)
		last = s.Read(context.Background())
		states = append(states, s.Status().State)
		if second == 10 && (len(last.Events) != 1 || last.Events[0].Severity != probes.Critical || !strings.Contains(last.Events[0].Title, "4 running, 1 waiting")) {
			t.Errorf("events %+v", last.Events)
		}
	}
	if got := fmt.Sprint(states); got != "[ready ready ready ready stalled stalled]" {
		t.Errorf("states %s", got)
	}
	if v := value(t, last, "pitwall_engine_state_start_time_seconds"); v != float64(at(0).Unix()) {
		t.Errorf("stalled since %v, want the last token's page", v)
	}
	_, body := fixture(t, "vllm-0.32-after.prom")
	f.show(textType, string(body))
	now = at(13)
	if s.Read(context.Background()); s.Status().State != Ready {
		t.Errorf("state %+v", s.Status())
	}
}

func TestASimulatedPageKeepsItsMark(t *testing.T) {
	f := newFake(t, "vllm-0.32-after.prom")
	f.show(textType, *f.page.Load()+"# TYPE pitwall_simulated gauge\npitwall_simulated 1\n# TYPE pitwall_engine_state gauge\npitwall_engine_state{state=\"ready\"} 0\n")
	r := scraper(t, f.URL, Access{}).Read(context.Background())
	if value(t, r, "pitwall_simulated") != 1 {
		t.Error("the mark is lost")
	}
	n := 0
	for _, smp := range r.Samples {
		if smp.Labels.String() == `{__name__="pitwall_engine_state", state="ready"}` {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the state is there %d times", n)
	}
}
