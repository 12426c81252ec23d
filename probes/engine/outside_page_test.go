package engine

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pitwall/probes"
)

// serve answers every question for a page of metrics with what write does; everything else is what a vLLM says.
func serve(t testing.TB, write http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", write)
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"version":"0.32.0"}`) })
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":[{"id":"tiny"}]}`) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func text(page string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", textType)
		_, _ = io.WriteString(w, page)
	}
}

// heapAround gives by how much the heap that is in use grew at most while f ran, and how much was allocated in all. What is
// garbage already does not count: how long that stays depends on how busy the machine is.
func heapAround(f func()) (most, all uint64) {
	runtime.GC()
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			runtime.GC()
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > before.HeapAlloc {
				most = max(most, m.HeapAlloc-before.HeapAlloc)
			}
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	runtime.ReadMemStats(&m)
	return most, m.TotalAlloc - before.TotalAlloc
}

// A page that is too large is not read to its end, whichever way it comes, and says how large it is and what is too large.
// An engine and any other page have the same bounds.
func TestAPageOf50MBIsRefusedInBoundedMemory(t *testing.T) {
	line := []byte("vllm:request_total{id=\"0123456789012345678901234567890123456789\"} 1\n")
	chunk := bytes.Repeat(line, 4096)
	const total = 50 << 20
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < total; n += len(chunk) {
		if _, err := z.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	send := func(w http.ResponseWriter) {
		for n := 0; n < total; n += len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	for _, c := range []struct {
		what  string
		write http.HandlerFunc
		want  string
	}{
		{"one that says how large it is is not read at all", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(total))
			send(w)
		}, "its answer has 50 MiB, and up to 16 MiB are read"},
		{"one that does not say is read up to the bound", func(w http.ResponseWriter, _ *http.Request) { send(w) }, "its answer has more than 16 MiB, and up to 16 MiB are read"},
		{"one that is packed counts as what it unpacks to", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
		}, "its answer has more than 16 MiB, and up to 16 MiB are read"},
	} {
		t.Run(c.what, func(t *testing.T) {
			address := serve(t, c.write)
			patient := Access{Timeout: 5 * time.Minute} // a busy machine is no late page
			other, err := newPage("scrape", address, patient)
			if err != nil {
				t.Fatal(err)
			}
			engine := scraper(t, address, patient)
			engine.hold = patient.Timeout
			for what, source := range map[string]probes.Source{"engine": engine, "page": other} {
				var r probes.Reading
				most, all := heapAround(func() { r = source.Read(context.Background()) })
				if r.Err == nil || !strings.Contains(r.Err.Error(), c.want) || len(own(r)) != 0 {
					t.Errorf("%s: %v", what, r.Err)
				}
				// io.ReadAll collects pieces and then joins them: twice the page, and twice that under the race detector.
				if most > 4*maxPage || all > 5*maxPage {
					t.Errorf("%s: %d MB at once, %d MB in all, for a bound of %d MB", what, most>>20, all>>20, maxPage>>20)
				}
				t.Logf("%s: %d MB at once, %d MB in all", what, most>>20, all>>20)
			}
		})
	}
}

func TestAPackedPageIsReadThoughItWasNotAskedFor(t *testing.T) {
	_, body := fixture(t, "vllm-0.32-after.prom")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, want string
		body       []byte
	}{
		{"whole", "", packed.Bytes()},
		{"cut", "ended in the middle of the answer", packed.Bytes()[:packed.Len()/2]},
		{"with a bit that is flipped", "does not unpack", flipped(packed.Bytes(), packed.Len()-6)},
		{"not packed at all", "does not unpack", body},
	} {
		s := scraper(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", textType)
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(c.body)
		}), Access{})
		r := s.Read(context.Background())
		if c.want == "" && (r.Err != nil || len(own(r)) < 300) || c.want != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), c.want) || len(own(r)) != 0) {
			t.Errorf("%s: %v, %d samples", c.what, r.Err, len(own(r)))
		}
	}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 4
	return b
}

// A page that takes longer than the patience is waited for longer the next time, so that it is read in the end and says how
// old it is; once pages are quick again, the patience is short again.
func TestAPageThatTakesVeryLongIsReadInTheEnd(t *testing.T) {
	var takes atomic.Int64
	s := scraper(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(time.Duration(takes.Load())):
			text("vllm:num_requests_running 1\n")(w, r)
		case <-r.Context().Done():
		}
	}), Access{})
	s.c.timeout, s.c.patience, s.c.most = 100*time.Millisecond, 100*time.Millisecond, 1000*time.Millisecond
	s.Read(context.Background())
	takes.Store(int64(300 * time.Millisecond))
	var why []string
	for range 5 {
		r := s.Read(context.Background())
		if r.Err == nil {
			break
		}
		why = append(why, r.Err.Error()[strings.LastIndex(r.Err.Error(), ": ")+2:])
	}
	if want := "no answer within 100ms, no answer within 100ms, no answer within 200ms"; strings.Join(why, ", ") != want {
		t.Errorf("%q, want %s", why, want)
	}
	if st := s.Status(); st.State != Ready || s.last.total < 300*time.Millisecond {
		t.Errorf("%+v after %v", st, s.last.total)
	}
	takes.Store(0)
	s.Read(context.Background())
	if s.c.patience != s.c.timeout {
		t.Errorf("the patience is still %v", s.c.patience)
	}
}

func TestASlowPageIsReadyAndSaysThatItIsOld(t *testing.T) {
	var m machine
	m.observe(Observation{At: at(0), Outcome: Answered, Took: time.Second})
	if m.now.State != Ready || m.now.Reason != "" {
		t.Errorf("%+v", m.now)
	}
	m.observe(Observation{At: at(5), Outcome: Answered, Took: 9970 * time.Millisecond})
	if m.now.State != Ready || !strings.Contains(m.now.Reason, "its page of metrics took 10s") {
		t.Errorf("%+v", m.now)
	}
}

// What a page may hold, and what is made of it. An error says the line.
func TestPagesOfEveryKind(t *testing.T) {
	for _, c := range []struct {
		what, typ, page string
		want            map[string]float64
		err             string
	}{
		{"NaN and infinities are values", textType, "a NaN\nb +Inf\nc -Inf\n", map[string]float64{`{__name__="a"}`: math.NaN(), `{__name__="b"}`: math.Inf(1), `{__name__="c"}`: math.Inf(-1)}, ""},
		{"a number too large for one is infinite", textType, "a 1e999\n", nil, "line 1:"},
		{"of a series that is there twice the first counts", textType, "a 1\na 2\n", map[string]float64{`{__name__="a"}`: 1}, ""},
		{"a label that is not UTF-8 spoils the page and says where", textType, "a 1\nb{x=\"\xff\xfe\"} 1\n", nil, "line 2: invalid UTF-8 label value"},
		{"a help that is not UTF-8 as well", textType, "a 1\n# HELP a \xff\n", nil, "line 2: help text"},
		{"exemplars are passed over", openType, "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1 # {trace_id=\"x\"} 0.5 1.7e9\na_count 1\na_sum 1\n# EOF\n",
			map[string]float64{`{__name__="a_bucket", le="+Inf"}`: 1, `{__name__="a_count"}`: 1, `{__name__="a_sum"}`: 1}, ""},
		{"timestamps of any year are passed over", textType, "a 1 1\nb 1 99999999999999\n", map[string]float64{`{__name__="a"}`: 1, `{__name__="b"}`: 1}, ""},
		{"a name in UTF-8 is a name", textType, "{\"κ.λ\",x=\"1\"} 1\n", map[string]float64{`{__name__="κ.λ", x="1"}`: 1}, ""},
		{"a label without end", textType, "a{x=\"" + strings.Repeat("y", 100_000), nil, "line 1:"},
		{"marks that turn the writing direction stay data", textType, "a{x=\"\u202eabc\"} 1\n", map[string]float64{`{__name__="a", x="\u202eabc"}`: 1}, ""},
		{"a page that was cut in OpenMetrics lacks its end", openType, "# TYPE a gauge\na 1\n", nil, "EOF"},
		{"protobuf is refused by its name", "application/vnd.google.protobuf;proto=x", "\x00", nil, "it answers with protobuf"},
	} {
		t.Run(c.what, func(t *testing.T) {
			samples, _, err := Parse(c.typ, []byte(c.page))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || samples != nil {
					t.Errorf("%v, %v", err, samples)
				}
				return
			}
			got := map[string]float64{}
			for _, s := range samples {
				got[s.Labels.String()] = s.Value
			}
			if err != nil || len(got) != len(c.want) {
				t.Fatalf("%v, %v", err, got)
			}
			for k, v := range c.want {
				if w, ok := got[k]; !ok || w != v && !(math.IsNaN(w) && math.IsNaN(v)) {
					t.Errorf("%s is %v, want %v", k, w, v)
				}
			}
		})
	}
}

// NaN is no request: a gauge that says nothing must not make an engine look busy, or stalled.
func TestAGaugeOfNaNMakesNoStall(t *testing.T) {
	s := scraper(t, serve(t, text("vllm:num_requests_running NaN\nvllm:num_requests_waiting NaN\nvllm:generation_tokens_total 5\n")), Access{})
	now := at(0)
	s.clock = func() time.Time { return now }
	for range 5 {
		s.Read(context.Background())
		now = now.Add(time.Minute)
	}
	if st := s.Status(); st.State != Ready {
		t.Errorf("%+v", st)
	}
}

// flood is a server whose metric gets a thousand new label values with every page.
type flood struct {
	n    int
	keep bool // the old ones stay on the page
}

func (f *flood) page() string {
	var b strings.Builder
	b.WriteString("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 3\n# TYPE seen_total counter\n")
	first := f.n * 1000
	if f.keep {
		first = 0
	}
	f.n++
	for i := first; i < f.n*1000; i++ {
		fmt.Fprintf(&b, "seen_total{request=\"%d\"} 1\n", i)
	}
	b.WriteString("# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total " + strconv.Itoa(f.n) + "\n")
	return b.String()
}

// A thousand new series a second, for two minutes: what the engine says of itself is read every time; of the flood no more
// than the bound comes through, and the reason says so. That holds for an engine and for any other page.
func TestAThousandNewSeriesASecondAreBoundedAndSaid(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("old ones stay on the page: %v", keep), func(t *testing.T) {
			f := flood{keep: keep}
			s := scraper(t, serve(t, func(w http.ResponseWriter, r *http.Request) { text(f.page())(w, r) }), Access{})
			now := at(0)
			s.clock = func() time.Time { return now }
			seen := map[string]bool{}
			seconds := 120
			if keep {
				seconds = 45 // its page has 45,000 series in the end
			}
			dropped := 0
			for i := range seconds {
				r := s.Read(context.Background())
				for r.Late != "" { // on a busy machine the page itself takes its time
					r = s.Read(context.Background())
				}
				if r.Err != nil || s.Status().State != Ready {
					t.Fatalf("after %d s: %+v, %v", i, s.Status(), r.Err)
				}
				got := own(r)
				if got[`{__name__="vllm:num_requests_running"}`] != 3 || got[`{__name__="vllm:generation_tokens_total"}`] != float64(i+1) {
					t.Fatalf("after %d s the engine's own metrics are not read", i)
				}
				for k := range got {
					seen[k] = true
				}
				why := r.Absent["seen_total"]
				if why != "" {
					dropped++
					if !strings.Contains(why, "000 new series dropped: up to 20,000 series of a source are kept, and then 2 new ones a second; sums of this metric are too low") {
						t.Fatalf("reason %q", why)
					}
				}
				if (why != "") != (value(t, r, "pitwall_scrape_series_dropped") > 0) {
					t.Fatalf("%q, and %v dropped", why, value(t, r, "pitwall_scrape_series_dropped"))
				}
				now = now.Add(time.Second)
			}
			if len(seen) > maxSeries+newASecond*seconds+2 {
				t.Errorf("%d series came through", len(seen))
			}
			if dropped < seconds/2 {
				t.Errorf("series were dropped from %d pages of %d", dropped, seconds)
			}
			if n := len(s.pages.byText); n > 2*maxSeries+1000 {
				t.Errorf("%d series are remembered", n)
			}
		})
	}
}

func TestAPageWithTooManySeriesKeepsWholeMetrics(t *testing.T) {
	var b strings.Builder
	b.WriteString("# TYPE few gauge\nfew 1\n# TYPE h histogram\n")
	for i := range 15_000 {
		fmt.Fprintf(&b, "h_bucket{id=\"%d\",le=\"1\"} 1\nh_bucket{id=\"%d\",le=\"+Inf\"} 1\n", i, i)
	}
	b.WriteString("# TYPE last gauge\nlast{a=\"1\"} 2\nlast{a=\"2\"} 2\n")
	p, err := newPage("scrape", serve(t, text(b.String())), Access{})
	if err != nil {
		t.Fatal(err)
	}
	r := p.Read(context.Background())
	if r.Err != nil || len(own(r)) != 3 || value(t, r, "pitwall_scrape_series_dropped") != 30_000 {
		t.Errorf("%v, %v", r.Err, own(r))
	}
	if why := r.Absent["h"]; !strings.HasPrefix(why, "30,000 new series dropped: ") {
		t.Errorf("absent %q", r.Absent)
	}
}

func TestLongLabelsCountAsSeveralSeries(t *testing.T) {
	var p pages
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, "# TYPE m%d gauge\nm%d{x=\"%s\"} 1\n", i, i, strings.Repeat("x", 10_000))
		if b.Len() > maxPage-20_000 {
			break
		}
	}
	page := []byte(b.String())
	total := 0
	for range 3 { // other names on every page
		samples, _, err := p.parse(textType, page)
		if err != nil {
			t.Fatal(err)
		}
		total += len(samples)
		page = bytes.ReplaceAll(page, []byte("m"), []byte("mm"))
		page = page[:min(len(page), maxPage)]
		page = page[:bytes.LastIndexByte(page, '\n')+1]
	}
	if total*11 > maxSeries {
		t.Errorf("%d series of 10,000 bytes were kept", total)
	}
	if len(p.reasons()) > maxDropped+1 {
		t.Errorf("%d reasons", len(p.reasons()))
	}
}

// Another model behind the same address is told by the next page, not by the next look at the list of models.
func TestAModelThatChangesIsToldAtOnce(t *testing.T) {
	f := newFake(t, "vllm-0.32-after.prom")
	s := scraper(t, f.URL, Access{})
	s.Read(context.Background())
	m := "large"
	f.model.Store(&m)
	f.show(textType, strings.ReplaceAll(*f.page.Load(), `model_name="tiny"`, `model_name="large"`))
	r := s.Read(context.Background())
	var told []string
	for _, e := range r.Events {
		if e.Kind == KindChanged {
			told = append(told, e.Title)
		}
	}
	if len(told) != 1 || told[0] != "model changed: tiny → large" {
		t.Errorf("%q", told)
	}
}

func TestALongListOfModelsAndLongNamesAreBounded(t *testing.T) {
	name := strings.Repeat("x", 10_000)
	list := make([]servedModel, 10_000)
	for i := range list {
		list[i].ID = name
	}
	facts := modelFacts(list)
	if len(facts["model"]) > maxReason || len(facts["models"]) > (maxModels+1)*(maxReason+1) || !strings.HasSuffix(facts["models"], "and 9950 more") {
		t.Errorf("%d and %d bytes", len(facts["model"]), len(facts["models"]))
	}
	f := newFake(t, "vllm-0.32-after.prom")
	long := strings.Repeat("ж", 10_000)
	f.model.Store(&long)
	r := scraper(t, f.URL, Access{}).Read(context.Background())
	for k, v := range r.Facts {
		if len(v) > maxFact {
			t.Errorf("%s has %d bytes", k, len(v))
		}
	}
}
