package engine

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// The health check of a dead engine that hangs the next time, and one that never answered.
func TestAHealthCheckThatDoesNotAnswer(t *testing.T) {
	var health, asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			w.Header().Set("Content-Type", textType)
			w.Write([]byte("vllm:num_requests_running 0\n"))
		case "/health":
			asked.Add(1)
			if health.Load() == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(int(health.Load()))
		}
	}))
	defer srv.Close()
	s := scraper(t, srv.URL, Access{})
	now := time.Now()
	s.clock = func() time.Time { return now }
	step := func(status int64, want State, asks int64) {
		t.Helper()
		health.Store(status)
		asked.Store(0)
		now = now.Add(time.Second)
		r := s.Read(context.Background())
		// A request that is cut off is sent once more where the connection was an old one.
		if got := s.Status().State; got != want || r.Err != nil || min(asked.Load(), 1) != asks {
			t.Errorf("health %d: %s, error %v, asked %d times; want %s, %d", status, got, r.Err, asked.Load(), want, asks)
		}
	}
	step(0, Ready, 1)
	step(0, Ready, 0) // its pages come: the question would hold up each of them
	now = now.Add(healthEvery)
	step(503, NoAnswer, 1)
	step(0, NoAnswer, 1) // silence is no recovery
	step(503, NoAnswer, 1)
	step(200, Ready, 1)
}
