package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pitwall/probes/engine/dialect"
)

// outside starts something that an operator may find where an engine should be; $ENGINE is its URL:
//
//	outside KIND
func outside(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: outside KIND")
	}
	if args[0] == "banner" {
		at := speaksFirst(ts)
		ts.Setenv("ENGINE", "http://"+at)
		ts.Setenv("PITWALL_ENGINE", "http://"+at)
		return
	}
	h, ok := strangers()[args[0]]
	if !ok {
		ts.Fatalf("outside: no kind %q", args[0])
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if strings.HasPrefix(args[0], "tls") {
		srv.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		srv.StartTLS()
	} else {
		srv.Start()
	}
	ts.Defer(srv.Close)
	ts.Defer(srv.CloseClientConnections)
	ts.Setenv("ENGINE", srv.URL)
	ts.Setenv("INSTANCE", instance(srv.URL))
	ts.Setenv("PITWALL_ENGINE", srv.URL)
}

// speaksFirst listens as an SSH server does: it says something to whoever comes, before it is asked.
func speaksFirst(ts *testscript.TestScript) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n")
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return l.Addr().String()
}

// strangers are what outside can start.
func strangers() map[string]http.Handler {
	own := dialect.All()[0].Paths.Metrics // any engine's: they agree on it
	page := func(write func(io.Writer)) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("GET "+own, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			write(w)
		})
		mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"data":[{"id":"tiny","owned_by":"vllm"}]}`)
		})
		return mux
	}
	status := func(code int, typ, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", typ)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		})
	}
	running := func(w io.Writer) {
		_, _ = io.WriteString(w, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\",model_name=\"tiny\"} 3\n")
	}
	return map[string]http.Handler{
		"html":     status(200, "text/html", "<!doctype html><title>Grafana</title>"),
		"exporter": status(200, "text/plain", "# TYPE node_load1 gauge\nnode_load1 1\n"),
		"401":      status(401, "application/json", `{"error":"Unauthorized"}`),
		"escapes":  status(418, "application/json", `{"message":"\u001b]0;owned\u0007\u001b[2J\u202e`+strings.Repeat("x", 10_000)+`"}`),
		"tls":      page(running),
		"cut": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			running(w)
		}),
		"huge": page(func(w io.Writer) {
			line := strings.Repeat("vllm:x{a=\"b\"} 1\n", 4096)
			for range 50 << 20 / len(line) {
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
			}
		}),
		"flood": page(func(w io.Writer) {
			running(w)
			_, _ = io.WriteString(w, "# TYPE vllm:seen_total counter\n")
			for i := range 30_000 {
				fmt.Fprintf(w, "vllm:seen_total{request=\"%d\"} 1\n", i)
			}
		}),
		"hangs": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
		}),
	}
}
