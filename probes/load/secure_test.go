package load_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pitwall/probes/engine"
	"pitwall/probes/load"
	"pitwall/probes/request"
	"pitwall/probes/truth"
)

// secured puts TLS and a path in front of a truth server, and gives the URL and the file of its certificate.
func secured(t *testing.T, upstream string, see func(*http.Request)) (*httptest.Server, string) {
	t.Helper()
	to, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.FlushInterval = -1
	s := httptest.NewUnstartedServer(http.StripPrefix("/team a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		see(r)
		proxy.ServeHTTP(w, r)
	})))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are meant to fail
	s.EnableHTTP2 = true                           // what is offered and must not be taken
	s.StartTLS()
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, file
}

func TestTLSAKeyHeadersAndAPathPrefixGoToEveryRequest(t *testing.T) {
	s := serve(t, truth.Plan{TTFT: 5 * time.Millisecond, Gap: time.Millisecond})
	var mu sync.Mutex
	var wrong []string
	front, ca := secured(t, s.URL(), func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer k-1" || r.Header.Get("X-Team") != "blue" || r.Host != "front.example" || r.ProtoMajor != 1 && r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/v1/") {
			wrong = append(wrong, fmt.Sprintf("%s %s %s %v", r.Proto, r.Host, r.URL.Path, r.Header))
		}
	})
	server, err := load.Examine(t.Context(), load.Target{URL: front.URL + "/team%20a/v1/", Access: engine.Access{
		APIKey: "k-1", CAFile: ca, Headers: http.Header{"X-Team": {"blue"}, "Host": {"front.example"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, server)
	p := closedLoop(3, 32, 8)
	p.Stop.Requests = 12
	r.set(t, p, 1)
	r.wait(t)
	tally := r.whole(t, 1)
	if tally.Class[request.OK] != 12 || len(wrong) > 0 {
		t.Errorf("%s %q\n%s", named(tally), tally.First, strings.Join(wrong, "\n"))
	}
	for _, rec := range r.of(1) {
		if !rec.Stamped && runtime.GOOS == "linux" {
			t.Error("no stamps below TLS")
		}
	}
	// Without the certificate it is no connection, and says so.
	if _, err := load.Examine(t.Context(), load.Target{URL: front.URL + "/team%20a"}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the certificate: %v", err)
	}
}

func TestACertificateThatTurnsBadHasItsClass(t *testing.T) {
	s := serve(t, truth.Plan{})
	front, ca := secured(t, s.URL(), func(*http.Request) {})
	server, err := load.Examine(t.Context(), load.Target{URL: front.URL + "/team%20a", Access: engine.Access{CAFile: ca}})
	if err != nil {
		t.Fatal(err)
	}
	// Another server, with plain HTTP, comes up in its place.
	r := newRig(t, server)
	address := front.Listener.Addr().String()
	front.Close()
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	other.Listener.Close()
	if other.Listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	other.Start()
	defer other.Close()
	p := closedLoop(1, 32, 8)
	p.Stop.Requests = 2
	r.set(t, p, 1)
	r.wait(t)
	if tally := r.whole(t, 1); tally.Class[request.TLS] != 2 || !strings.Contains(tally.First[request.TLS], "http://") {
		t.Errorf("%s %q", named(tally), tally.First)
	}
}
