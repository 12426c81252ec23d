package engine

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// slowPages serves pages of an engine: each answer is what gate gives for its number, once it gives it.
func slowPages(t *testing.T, gate func(n int64, gone <-chan struct{}) string) (*Scraper, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", textType)
		w.Write([]byte(gate(asked.Add(1), r.Context().Done())))
	}))
	t.Cleanup(srv.Close)
	s, err := NewScraper(srv.URL, vllm(t), Access{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, &asked
}

func TestAFirstPageThatIsLateHasNoTimeOfAState(t *testing.T) {
	s, _ := slowPages(t, func(_ int64, gone <-chan struct{}) string { <-gone; return "" })
	s.hold = time.Millisecond
	r := s.Read(context.Background())
	if r.Late == "" {
		t.Fatalf("not late: %v", r.Err)
	}
	for _, x := range r.Samples {
		if strings.HasSuffix(x.Labels.Get(model.MetricNameLabel), "start_time_seconds") {
			t.Errorf("%v is %v: no state has been seen", x.Labels, x.Value)
		}
	}
}

// A machine sleeps, or a recorder is held up, between a late page and the next reading.
func TestAnAnswerThatHasLainAboutIsNotHowTheEngineIsNow(t *testing.T) {
	running := func(n string) string {
		return "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\",model_name=\"m\"} " + n + "\n"
	}
	for _, c := range []struct {
		what string
		ago  time.Duration
		want float64
	}{
		{"an answer of just now is taken", 0, 5},
		{"one of an hour ago is thrown away, and the engine asked again", time.Hour, 2},
	} {
		t.Run(c.what, func(t *testing.T) {
			free := make(chan struct{})
			s, asked := slowPages(t, func(n int64, gone <-chan struct{}) string {
				if n > 1 {
					return running("2.0")
				}
				select {
				case <-free:
				case <-gone:
				}
				return running("5.0")
			})
			s.hold = time.Millisecond
			if r := s.Read(context.Background()); r.Late == "" {
				t.Fatalf("not late: %v", r.Err)
			}
			close(free)
			q := s.asking.Load()
			<-q.done
			q.came = q.came.Add(-c.ago)
			s.hold = 30 * time.Second
			r := s.Read(context.Background())
			if r.Err != nil || r.Late != "" {
				t.Fatalf("%v, late %q", r.Err, r.Late)
			}
			if v := value(t, r, `{__name__="vllm:num_requests_running", engine="0", model_name="m"}`); v != c.want {
				t.Errorf("%v running, want %v (asked %d times)", v, c.want, asked.Load())
			}
		})
	}
}

// A server that begins an answer and does not end it is in trouble, and is not asked besides which engine it is.
func TestAnAnswerWithoutAnEndIsNoReasonToDoubtTheEngine(t *testing.T) {
	var others atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			others.Add(1)
			return
		}
		w.Header().Set("Content-Type", textType)
		w.Write([]byte("vllm:num_requests_running 1\n"))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer srv.Close()
	w := watch(t, Options{URLs: []string{srv.URL}})
	s := w.Engines()[0]
	s.hold = 30 * time.Second
	r := s.Read(context.Background())
	if r.Err == nil || !strings.Contains(r.Err.Error(), "in the middle of the answer") {
		t.Fatalf("error %v", r.Err)
	}
	if n := others.Load(); n > 1 { // the health check
		t.Errorf("asked %d other things", n)
	}
}
