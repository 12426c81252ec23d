package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// server is an engine of any kind, as what it answers by path.
type server struct {
	*httptest.Server
	answers atomic.Pointer[map[string]saying]
	asked   atomic.Int64
}

type saying struct {
	status    int
	typ, body string
}

func serves(t *testing.T, answers map[string]saying) *server {
	t.Helper()
	s := &server{}
	s.answers.Store(&answers)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		all := *s.answers.Load()
		a, ok := all[r.URL.Path]
		if !ok {
			a, ok = all["*"]
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		if a.typ != "" {
			w.Header().Set("Content-Type", a.typ)
		}
		w.WriteHeader(a.status)
		fmt.Fprint(w, a.body)
	}))
	t.Cleanup(s.Close)
	return s
}

func pageOfFile(t *testing.T, file string) saying {
	t.Helper()
	typ, body := fixture(t, file)
	return saying{200, typ, string(body)}
}

// models is a list of models as that owner's engine gives it.
func models(owner string) saying {
	return saying{200, "application/json", fmt.Sprintf(`{"object":"list","data":[{"id":"tiny","object":"model","created":1,"owned_by":%q}]}`, owner)}
}

const llamaProps = `{"default_generation_settings":{"params":{},"n_ctx":2048},"total_slots":4,"model_alias":"tiny","model_ftype":"Q4_1",
	"model_path":"model.gguf","chat_template":"…","build_info":"b1-0c1e570","is_sleeping":false}`

func llama(t *testing.T, file string) map[string]saying {
	return map[string]saying{
		"/metrics": pageOfFile(t, file), "/health": {200, "application/json", `{"status":"ok"}`}, "/v1/models": models("llamacpp"),
		"/props": {200, "application/json", llamaProps},
	}
}

// loading is what a llama.cpp server answers to everything until its model is loaded; captured from a running one.
var loading = saying{503, "application/json; charset=utf-8", `{"error":{"message":"Loading model","type":"unavailable_error","code":503}}`}

func watched(t *testing.T, s *server, o Options) *Watch {
	t.Helper()
	o.URLs = []string{s.URL}
	return watch(t, o)
}

// turns makes a look of the Watch's goroutine, which the test has stopped, and gives the first engine after it.
func turns(w *Watch) *Scraper {
	w.look(time.Now())
	w.Engines()[0].hold = 30 * time.Second // a busy machine is no late page
	return w.Engines()[0]
}

func job(s *Scraper) string { j, _ := s.Target(); return j }

func factOf(r probes.Reading, s *server, name string) string {
	u, err := url.Parse(s.URL)
	if err != nil {
		panic(err)
	}
	return r.Facts["engine/"+u.Host+"/"+name]
}

func TestEachEngineIsToldByWhatItServes(t *testing.T) {
	json200 := func(body string) saying { return saying{200, "application/json", body} }
	cases := []struct {
		what    string
		answers map[string]saying
		want    string
	}{
		{"vLLM by its metrics", map[string]saying{"/metrics": pageOfFile(t, "vllm-0.32-fresh.prom"), "/v1/models": models("vllm")}, "vllm"},
		{"vLLM that publishes none, by its models", map[string]saying{"/metrics": {200, textType, "python_info 1\n"}, "/v1/models": models("vllm")}, "vllm"},
		{"llama.cpp by its metrics", llama(t, "llamacpp-b1-idle.prom"), "llamacpp"},
		{"llama.cpp without a page, by its models", map[string]saying{"/metrics": {501, "application/json", `{"error":{"message":"This server does not support metrics endpoint. Start it with --metrics"}}`}, "/v1/models": models("llamacpp"), "/health": json200("{}")}, "llamacpp"},
		{"llama.cpp while it loads", map[string]saying{"*": loading}, "llamacpp"},
		{"SGLang by its metrics", map[string]saying{"/metrics": pageOfFile(t, "sglang-dp2-tp2.prom"), "/v1/models": models("sglang")}, "sglang"},
		{"SGLang without a page, by its models", map[string]saying{"/v1/models": models("sglang"), "/health": json200("")}, "sglang"},
		{"TGI by its metrics, whatever it says of its models", map[string]saying{"/metrics": pageOfFile(t, "tgi.prom"), "/v1/models": models("org/model")}, "tgi"},
		{"TensorRT-LLM by a page that is elsewhere", map[string]saying{"/metrics": json200("[]"), "/prometheus/metrics": pageOfFile(t, "trtllm.prom"), "/v1/models": models("tensorrt_llm")}, "trtllm"},
		{"an engine that nobody knows, by its list of models", map[string]saying{"/metrics": pageOfFile(t, "unknown.prom"), "/v1/models": models("nova")}, "other"},
		{"an API without any page", map[string]saying{"/v1/models": models("nova")}, "other"},
		{"an exporter is no engine, so it is nothing else either", map[string]saying{"/metrics": {200, textType, "node_load1 1\n"}}, "vllm"},
		{"a site that is no engine", map[string]saying{"*": {200, "text/html", "<h1>Welcome"}}, "vllm"},
		{"a gateway that wants a key tells nothing", map[string]saying{"*": {401, "", ""}}, "vllm"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			srv := serves(t, c.answers)
			w := watched(t, srv, Options{})
			if got := job(turns(w)); got != c.want {
				t.Errorf("at the first look it is %s, want %s", got, c.want)
			}
			// The same comes out where the first look had no time for it.
			s, err := newScraper(w.Engines()[0].c.place, vllm(t), Access{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.Read(context.Background())
			got := "vllm"
			if d := s.turned.Load(); d != nil {
				got = d.Name
			}
			if got != c.want {
				t.Errorf("when it is read it is %s, want %s", got, c.want)
			}
			// And nothing of it is thought to be another when it is read again as what it is.
			e := w.Engines()[0]
			for range 3 {
				e.Read(context.Background())
			}
			if d := e.turned.Load(); d != nil {
				t.Errorf("read as %s it is taken for %s", job(e), d)
			}
		})
	}
}

func TestAGivenDialectIsNotDoubted(t *testing.T) {
	srv := serves(t, llama(t, "llamacpp-b1-idle.prom"))
	w := watched(t, srv, Options{Dialect: vllm(t)})
	for range 2 {
		if s := turns(w); job(s) != "vllm" {
			t.Fatalf("it is read as %s", job(s))
		} else {
			s.Read(context.Background())
		}
	}
}

func TestAnEngineThatTurnsOutToBeAnotherKeepsItsState(t *testing.T) {
	srv := serves(t, map[string]saying{"*": {500, "", "starting"}})
	w := watched(t, srv, Options{})
	old := w.Engines()[0]
	now := at(0)
	old.clock = func() time.Time { return now }
	old.Read(context.Background())
	now = at(1)
	old.Read(context.Background())
	if st := old.Status(); st.State != NoAnswer {
		t.Fatalf("state %+v", st)
	}
	answers := llama(t, "llamacpp-b1-idle.prom")
	srv.answers.Store(&answers)
	now = at(60)
	if r := old.Read(context.Background()); len(r.Samples)+len(r.Facts)+len(r.Events) != 0 || r.Err != nil {
		t.Errorf("the reading that finds it out says %+v", r)
	}
	s := turns(w)
	if job(s) != "llamacpp" || s == old || s.Status().State != NoAnswer {
		t.Fatalf("%s, %+v", job(s), s.Status())
	}
	if got := instances(w); strings.Contains(got, "vllm") {
		t.Errorf("both are read: %s", got)
	}
	r := s.Read(context.Background())
	if len(r.Events) != 1 || r.Events[0].Attrs["from"] != "no_answer" || r.Events[0].Attrs["state"] != "ready" {
		t.Errorf("events %+v", r.Events)
	}
	if r := old.Read(context.Background()); len(r.Samples) != 0 {
		t.Error("the former one still reads")
	}
}

func TestFactsOfLlamaCppComeFromItsProps(t *testing.T) {
	srv := serves(t, llama(t, "llamacpp-b1-loaded.prom"))
	s := turns(watched(t, srv, Options{}))
	r := s.Read(context.Background())
	for name, want := range map[string]string{
		"dialect": "llamacpp", "version": "b1-0c1e570", "model": "tiny", "max_num_seqs": "4", "max_model_len": "2048", "root": "model.gguf", "dtype": "Q4_1",
		"verified": "verified on a running engine",
	} {
		if got := factOf(r, srv, name); got != want {
			t.Errorf("fact %s is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"engine:ttft_buckets": "llama.cpp has no histograms", "engine:preemptions": "llama.cpp does not preempt", "llamacpp:kv_cache_usage_ratio": "llama.cpp does not tell it",
	} {
		if r.Absent[name] != want {
			t.Errorf("%s is absent because %q", name, r.Absent[name])
		}
	}
	for name, why := range r.Absent {
		if strings.Contains(name, "max_num_batched_tokens") || strings.Contains(name, "/dtype") {
			t.Errorf("%s is absent because %q: no such thing is expected of llama.cpp", name, why)
		}
	}
	if v := value(t, r, "llamacpp:requests_deferred"); v != 4 {
		t.Errorf("deferred %v", v)
	}
}

func TestAnEngineThatNobodyKnowsIsRecordedUnderItsOwnNames(t *testing.T) {
	srv := serves(t, map[string]saying{"/metrics": pageOfFile(t, "unknown.prom"), "/v1/models": models("nova"), "/version": {200, "application/json", `{"version":"3.1"}`}})
	s := turns(watched(t, srv, Options{}))
	r := s.Read(context.Background())
	if v := value(t, r, `{__name__="nova_active_streams", pool="a"}`); v != 3 || s.Status().State != Ready {
		t.Errorf("%v streams, state %+v", v, s.Status())
	}
	if factOf(r, srv, "version") != "3.1" || factOf(r, srv, "model") != "tiny" || factOf(r, srv, "started") == "" {
		t.Errorf("facts %v", r.Facts)
	}
	for _, w := range dialect.Vocabulary() {
		if r.Absent[w] == "" {
			t.Errorf("no reason why there is no %s", w)
		}
	}
}

// One kind of engine is stopped and another started in its place, between two looks.
func TestAnotherKindOfEngineAtTheSamePlaceIsAnEvent(t *testing.T) {
	srv := serves(t, map[string]saying{"/metrics": pageOfFile(t, "vllm-0.32-fresh.prom"), "/v1/models": models("vllm")})
	w := watched(t, srv, Options{})
	old := w.Engines()[0]
	for _, e := range old.Read(context.Background()).Events {
		if e.Kind == KindChanged {
			t.Errorf("at first sight %+v", e)
		}
	}
	answers := llama(t, "llamacpp-b1-idle.prom")
	srv.answers.Store(&answers)
	old.Read(context.Background())
	s := turns(w)
	var said []string
	for _, e := range s.Read(context.Background()).Events {
		if e.Kind == KindChanged {
			said = append(said, e.Attrs["what"]+" "+e.Attrs["from"]+" "+e.Attrs["to"])
		}
	}
	if job(s) != "llamacpp" || !slices.Contains(said, "dialect vllm llamacpp") {
		t.Errorf("%s, events %q", job(s), said)
	}
}

// What nobody needs of a list of models may be of any type: it is a list all the same.
func TestAListOfModelsNeedsOnlyWhatIsReadOfIt(t *testing.T) {
	list := saying{200, "application/json", `{"data":[{"id":"tiny","owned_by":"nova","created":1732.5,"permission":"all","root":null}]}`}
	srv := serves(t, map[string]saying{"/metrics": pageOfFile(t, "unknown.prom"), "/v1/models": list})
	s := turns(watched(t, srv, Options{}))
	r := s.Read(context.Background())
	if job(s) != "other" || s.Status().State != Ready || factOf(r, srv, "model") != "tiny" {
		t.Errorf("%s, %+v, model %q", job(s), s.Status(), factOf(r, srv, "model"))
	}
}

func TestAnEngineWithoutAPageIsReadyAndSaysWhyThereIsNothing(t *testing.T) {
	answers := llama(t, "llamacpp-b1-idle.prom")
	answers["/metrics"] = saying{501, "application/json", `{"error":{"code":501,"message":"This server does not support metrics endpoint. Start it with --metrics","type":"not_supported_error"}}`}
	srv := serves(t, answers)
	s := turns(watched(t, srv, Options{}))
	r := s.Read(context.Background())
	if st := s.Status(); st.State != Ready || st.Reason != "the server was started without --metrics" {
		t.Errorf("state %+v", st)
	}
	if r.Err == nil || r.Absent["engine:running"] != "the server was started without --metrics" || factOf(r, srv, "model") != "tiny" {
		t.Errorf("error %v, running is absent because %q, facts %v", r.Err, r.Absent["engine:running"], r.Facts)
	}
	answers["/health"] = saying{500, "", ""}
	srv.answers.Store(&answers)
	s.askWell = time.Time{}
	s.Read(context.Background())
	if s.Read(context.Background()); s.Status().State != NoAnswer {
		t.Errorf("without health the state is %+v", s.Status())
	}
}

func TestAModelThatLoadsIsStartingAndThenReady(t *testing.T) {
	srv := serves(t, map[string]saying{"*": loading})
	s := turns(watched(t, srv, Options{}))
	now := at(0)
	s.clock = func() time.Time { return now }
	r := s.Read(context.Background())
	if st := s.Status(); job(s) != "llamacpp" || st.State != Starting || !strings.Contains(st.Reason, "Loading model") || r.Err == nil {
		t.Errorf("%s, state %+v, error %v", job(s), st, r.Err)
	}
	answers := llama(t, "llamacpp-b1-idle.prom")
	srv.answers.Store(&answers)
	now = at(42)
	r = s.Read(context.Background())
	if len(r.Events) != 1 || r.Events[0].Title != "ready after 42s" {
		t.Errorf("events %+v", r.Events)
	}
	if v := value(t, r, "pitwall_engine_healthy"); v != 1 {
		t.Errorf("healthy %v", v)
	}
}

func TestTheReasonNamesTheStatusThatTheHealthCheckHad(t *testing.T) {
	f := newFake(t, "vllm-0.32-after.prom")
	s := scraper(t, f.URL, Access{})
	s.Read(context.Background())
	f.metrics.Store(500)
	f.health.Store(500)
	s.Read(context.Background())
	if st := s.Status(); st.State != NoAnswer || !strings.Contains(st.Reason, "health check: 500") {
		t.Errorf("state %+v", st)
	}
}

func TestAPageThatComesAsAJSONStringIsRead(t *testing.T) {
	_, body := fixture(t, "llamacpp-b1-loaded.prom")
	quoted, err := json.Marshal(string(body))
	if err != nil {
		t.Fatal(err)
	}
	answers := llama(t, "llamacpp-b1-idle.prom")
	answers["/metrics"] = saying{200, "application/json", string(quoted)}
	s := turns(watched(t, serves(t, answers), Options{}))
	if r := s.Read(context.Background()); job(s) != "llamacpp" || r.Err != nil || value(t, r, "llamacpp:requests_processing") != 4 {
		t.Errorf("read as %s: %v", job(s), r.Err)
	}
}

func TestValuesThatAreNaNAreReadAndAreNoWork(t *testing.T) {
	answers := llama(t, "llamacpp-b1-idle.prom")
	page := answers["/metrics"]
	page.body = strings.ReplaceAll(page.body, "llamacpp:n_busy_slots_per_decode 0", "llamacpp:n_busy_slots_per_decode nan")
	page.body = strings.ReplaceAll(page.body, "llamacpp:requests_processing 0", "llamacpp:requests_processing nan")
	answers["/metrics"] = page
	s := turns(watched(t, serves(t, answers), Options{}))
	r := s.Read(context.Background())
	if v := value(t, r, "llamacpp:n_busy_slots_per_decode"); r.Err != nil || v == v || s.Status().State != Ready {
		t.Errorf("%v, error %v, state %+v", v, r.Err, s.Status())
	}
}

// A page that waits for a thread of the server: asked for once, awaited over several readings, and no silence of the engine.
func TestAPageThatIsLateIsAwaitedAndAskedForOnce(t *testing.T) {
	_, body := fixture(t, "llamacpp-b1-loaded.prom")
	var asked atomic.Int64
	free := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			if asked.Add(1) == 2 {
				select {
				case <-free:
				case <-r.Context().Done():
				}
			}
			w.Write(body)
		}
	}))
	defer srv.Close()
	s, err := NewScraper(srv.URL, llamacpp(t), Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r := s.Read(context.Background()); r.Err != nil || r.Late != "" {
		t.Fatalf("%v, late %q", r.Err, r.Late)
	}
	for range 2 {
		r := s.Read(context.Background())
		if r.Late == "" || r.Err != nil || s.Status().State != Ready || s.Every() != time.Second {
			t.Errorf("late %q, error %v, state %+v, every %v", r.Late, r.Err, s.Status(), s.Every())
		}
		if v := value(t, r, `{__name__="pitwall_engine_state", state="ready"}`); v != 1 {
			t.Errorf("its state is not told while it is late: %v", v)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("asked %d times while one answer is awaited", asked.Load())
	}
	close(free)
	if r := s.Read(context.Background()); r.Err != nil || r.Late != "" || value(t, r, "llamacpp:requests_processing") != 4 {
		t.Errorf("the page that came late: %v, late %q", r.Err, r.Late)
	}
}

func TestAPageThatNeverComesIsAFailureInTheEnd(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer srv.Close()
	s, err := NewScraper(srv.URL, llamacpp(t), Access{Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r := s.Read(context.Background()); r.Err == nil || r.Late != "" || s.Status().State != NoAnswer {
		t.Errorf("%v, late %q, state %+v", r.Err, r.Late, s.Status())
	}
}

func llamacpp(t testing.TB) *dialect.Dialect {
	t.Helper()
	d, ok := dialect.Named("llamacpp")
	if !ok {
		t.Fatal("no dialect llamacpp")
	}
	return d
}

func TestAStallOfLlamaCppIsToldByItsStepsAlone(t *testing.T) {
	page := func(running, steps, tokens int) string {
		return fmt.Sprintf("# TYPE llamacpp:n_decode_total counter\nllamacpp:n_decode_total %d\n# TYPE llamacpp:tokens_predicted_total counter\nllamacpp:tokens_predicted_total %d\n"+
			"llamacpp:requests_processing %d\nllamacpp:requests_deferred 0\n", steps, tokens, running)
	}
	tr := newTracker(llamacpp(t))
	for s := range 60 { // a minute of one long answer: no token is counted, and every second there are steps
		if w := tr.page(at(float64(s)), lines(t, page(4, 100*s, 0))); w.Still != 0 {
			t.Fatalf("after %d s of work it stands still for %v", s, w.Still)
		}
	}
	var w Work
	for s := 60; s < 75; s++ {
		w = tr.page(at(float64(s)), lines(t, page(4, 5900, 0)))
	}
	if w.Still < 14*time.Second {
		t.Errorf("without steps it stands still for %v", w.Still)
	}
	why := stall(w, llamacpp(t).State.Still, "")
	if !strings.HasPrefix(why, "4 running, and no step was counted (n_decode_total) for 1") {
		t.Errorf("%q", why)
	}
}

func TestAnEngineWithoutACounterOfProgressIsNeverStalled(t *testing.T) {
	d, _ := dialect.Named("sglang")
	tr := newTracker(d)
	_, body := fixture(t, "sglang-2024.prom")
	for s := range 100 {
		if w := tr.page(at(float64(s)), lines(t, string(body))); w.Still != 0 || w.Running != 162 || w.Waiting != 2826 {
			t.Fatalf("%+v", w)
		}
	}
	const stalled = `pitwall_engine_state{state="stalled"}`
	if why := absentMetrics(d, tr.page(at(100), lines(t, string(body))), "", nil, nil)[stalled]; !strings.Contains(why, "can't be told") {
		t.Errorf("that is not said: %q", why)
	}
	if why, there := absentMetrics(d, Work{Own: true, Counts: true}, "", nil, nil)[stalled]; there {
		t.Errorf("said of one that has such a counter: %q", why)
	}
}

func TestRanksThatSayTheSameAreCountedOnce(t *testing.T) {
	d, _ := dialect.Named("sglang")
	_, body := fixture(t, "sglang-dp2-tp2.prom")
	if w := newTracker(d).page(at(0), lines(t, string(body))); w.Running != 12+7 || w.Waiting != 3+1 || !w.Counts {
		t.Errorf("%+v", w)
	}
}
