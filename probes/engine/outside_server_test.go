package engine

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listen serves raw connections until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// answers serves one raw answer a connection.
func answers(t *testing.T, say func(*http.Request) string) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			_, _ = io.WriteString(c, say(req))
		}
	})
}

// speaks serves a protocol that is not HTTP: it says something and closes.
func speaks(t *testing.T, banner string) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		_, _ = io.WriteString(c, banner)
		_, _ = io.Copy(io.Discard, c)
	})
}

// web serves with a status, a content type and a body, whatever the path.
func web(t *testing.T, status int, contentType, body string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// Something answers at the address, and it is not an engine with a page of metrics. The reason says what it is and, where
// that can be known, what to do.
func TestWrongAddresses(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := web(t, 200, textType, "vllm:num_requests_running 1\n")
	for _, c := range []struct {
		what, address string
		access        Access
		// want is in the error and in the state's reason.
		want []string
	}{
		{what: "http to a server that speaks TLS", address: strings.Replace(secure.URL, "https", "http", 1), want: []string{"HTTP 400 Bad Request: it speaks TLS: the address begins with https://"}},
		{what: "http to a server that answers with a TLS alert", address: answers(t, func(*http.Request) string { return "\x15\x03\x01\x00\x02\x02\x46" }), want: []string{"it speaks TLS: the address begins with https://"}},
		{what: "https to a server that speaks plain HTTP", address: strings.Replace(plain, "http", "https", 1), want: []string{"it speaks HTTP without TLS: the address begins with http://"}},
		{what: "https to something else", address: "https://" + speaks(t, "SSH-2.0-OpenSSH_9.2\r\n"), want: []string{"does not speak TLS: is it the right port"}},
		{what: "https to a port where nothing is said", address: "https://" + listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), access: Access{Timeout: 100 * time.Millisecond}, want: []string{"connected, and the TLS handshake did not end within 100ms"}},
		{what: "an SSH server", address: speaks(t, "SSH-2.0-OpenSSH_9.2\r\n"), want: []string{"what answers does not speak HTTP (it s", "is it the right port?"}},
		{what: "something that answers in a language of its own", address: answers(t, func(*http.Request) string { return "-ERR unknown command 'GET'\r\n" }), want: []string{"what answers does not speak HTTP (it said \"unknown\")", "is it the right port?"}},
		{what: "a gRPC server", address: speaks(t, "\x00\x00\x12\x04\x00\x00\x00\x00\x00\n"), want: []string{"does not speak HTTP"}},
		{what: "a server that hangs up", address: listen(t, func(c net.Conn) { _, _ = http.ReadRequest(bufio.NewReader(c)) }), want: []string{"closed the connection without an answer: if it speaks TLS, the address begins with https://"}},
		{what: "a web page", address: web(t, 200, "text/html", "<!doctype html><html><head><title>Grafana</title>"), want: []string{`no page of metrics but a web page, "Grafana"; is it the right port?`}},
		{what: "a web page that says it is text", address: web(t, 200, "text/plain", "<!doctype html><title>x</title>\n"), want: []string{"line 1: "}},
		{what: "JSON", address: web(t, 200, "application/json", `{"status":"ok"}`), want: []string{`no page of metrics but "{\"status\":\"ok\"}"; is it the right port? (content type "application/json")`}},
		{what: "nothing, as JSON", address: web(t, 200, "application/json", ""), want: []string{"no page of metrics but nothing at all"}},
		{what: "protobuf", address: web(t, 200, "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", "\x0a\x02"), want: []string{"it answers with protobuf, which is not read here"}},
		{what: "another program's page of metrics", address: web(t, 200, textType, "# TYPE node_load1 gauge\nnode_load1 1\n"), want: []string{"not an engine, is it the right port? it has metrics like node_load1, none of vLLM's, and no list of models at /v1/models"}},
		{what: "an empty page that everything gets", address: web(t, 200, textType, ""), want: []string{"not an engine, is it the right port? its page of metrics is empty"}},
		{what: "401 without a key", address: web(t, 401, "application/json", `{"error":"Unauthorized"}`), want: []string{"HTTP 401 Unauthorized: it wants a key or a header (Unauthorized)"}},
		{what: "401 with one", address: web(t, 401, "application/json", `{"error":"Unauthorized"}`), access: Access{APIKey: "wrong"}, want: []string{"HTTP 401 Unauthorized: it does not accept the key, header or user that was sent"}},
		{what: "403", address: web(t, 403, "", ""), want: []string{"HTTP 403 Forbidden: it wants a key or a header"}},
		{what: "404", address: web(t, 404, "", `{"detail":"Not Found"}`), want: []string{"HTTP 404 Not Found: is this the engine's address? (Not Found)"}},
		{what: "407 of a proxy", address: web(t, 407, "", ""), want: []string{"HTTP 407 Proxy Authentication Required: the proxy that HTTP_PROXY names"}},
		{what: "429 of a gateway", address: web(t, 429, "", ""), want: []string{"HTTP 429 Too Many Requests: a gateway limits how often it is asked"}},
		{what: "503", address: web(t, 503, "", ""), want: []string{"HTTP 503 Service Unavailable: the server is there and can't answer now"}},
		{what: "504 of a proxy", address: web(t, 504, "", ""), want: []string{"HTTP 504 Gateway Timeout: a proxy answers, the engine behind it does not"}},
		{what: "a status that nobody knows", address: web(t, 599, "", ""), want: []string{"HTTP 599"}},
		{what: "headers without end", address: answers(t, func(*http.Request) string { return "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n" }), want: []string{"the headers of its answer are longer than 64 KiB"}},
		{what: "a content encoding that nobody asked for", address: answers(t, func(*http.Request) string {
			return "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nxx"
		}), want: []string{`it answers compressed as "br", which was not asked for`}},
		{what: "a redirect to nowhere", address: answers(t, func(*http.Request) string { return "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n" }), want: []string{"redirect"}},
		{what: "a message with escape sequences and no end", address: web(t, 418, "", `{"message":"`+strings.Repeat(`\u001b[31m`, 5000)+`"}`), want: []string{"HTTP 418"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := scraper(t, c.address, c.access)
			r := s.Read(context.Background())
			if len(own(r)) != 0 && r.Err != nil {
				t.Errorf("samples of what is no page: %v", own(r))
			}
			st := s.Status()
			if st.State != NoAnswer {
				t.Errorf("state %+v", st)
			}
			for _, w := range c.want {
				if !strings.Contains(st.Reason, w) {
					t.Errorf("reason %q does not say %q", st.Reason, w)
				}
				if r.Err != nil && !strings.Contains(r.Err.Error(), w) {
					t.Errorf("error %q does not say %q", r.Err, w)
				}
			}
			if len(st.Reason) > maxReason || len(st.Reason) == 0 {
				t.Errorf("a reason of %d bytes", len(st.Reason))
			}
		})
	}
}

func TestRedirectsStayOnTheServer(t *testing.T) {
	var leaked atomic.Pointer[http.Header]
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header.Clone()
		leaked.Store(&h)
	}))
	defer elsewhere.Close()
	// The same machine under another name and port is another server.
	other := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	for _, c := range []struct {
		what string
		to   func(own string, n int) string
		want string
	}{
		{"to a path of its own it is followed", func(_ string, n int) string { return "/metrics/" }, ""},
		{"three times and no more", func(_ string, n int) string { return fmt.Sprintf("/hop%d", n) }, "more than 3 redirects, the last to "},
		{"in a circle it ends", func(string, int) string { return "/metrics" }, "more than 3 redirects"},
		{"to another server it is not followed, and no key goes there", func(string, int) string { return other + "/metrics?token=abc" }, "it redirects to another server, " + other + "/metrics: give that address"},
		{"to another port it is not followed either", func(string, int) string { return elsewhere.URL + "/x" }, "it redirects to " + elsewhere.URL + "/x: give that address"},
		{"to https it says what to type", func(own string, _ int) string { return strings.Replace(own, "http:", "https:", 1) + "/metrics" }, "it redirects to https://"},
		{"to another scheme it is not followed", func(string, int) string { return "file:///etc/passwd" }, "it redirects to another server, file:///etc/passwd"},
	} {
		t.Run(c.what, func(t *testing.T) {
			n := 0
			var srv *httptest.Server
			srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/metrics/" {
					w.Header().Set("Content-Type", textType)
					_, _ = io.WriteString(w, "vllm:num_requests_running 1\n")
					return
				}
				n++
				http.Redirect(w, r, c.to(srv.URL, n), http.StatusTemporaryRedirect)
			}))
			defer srv.Close()
			r := scraper(t, srv.URL, Access{APIKey: "sk-not-for-others", Headers: http.Header{"X-Proxy": {"not-for-others"}}}).Read(context.Background())
			switch {
			case c.want == "" && (r.Err != nil || len(own(r)) != 1):
				t.Errorf("%v, %v", r.Err, own(r))
			case c.want != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), c.want)):
				t.Errorf("error %v does not say %q", r.Err, c.want)
			}
			if r.Err != nil && strings.Contains(r.Err.Error(), "token") {
				t.Errorf("error %v shows the query", r.Err)
			}
		})
	}
	if h := leaked.Load(); h != nil {
		t.Errorf("another server was asked, with %v", *h)
	}
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // in PEM form
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "box authority"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return authority{c, key, file}
}

func (a authority) sign(t *testing.T, from, to time.Time, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "engine"}, NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestCertificates(t *testing.T) {
	ca := newAuthority(t)
	now := time.Now()
	day := 24 * time.Hour
	for _, c := range []struct {
		what  string
		cert  tls.Certificate
		setup func(*tls.Config)
		known bool // the authority is given
		want  []string
	}{
		{what: "one that is good is accepted", cert: ca.sign(t, now.Add(-day), now.Add(day), "127.0.0.1"), known: true},
		{what: "one that has expired says when", cert: ca.sign(t, now.Add(-2*day), now.Add(-day), "127.0.0.1"), known: true,
			want: []string{"its certificate expired at " + now.Add(-day).UTC().Format(time.RFC3339), "clock"}},
		{what: "one that is not valid yet asks for the clock", cert: ca.sign(t, now.Add(day), now.Add(2*day), "127.0.0.1"), known: true,
			want: []string{"its certificate is valid only from " + now.Add(day).UTC().Format(time.RFC3339), "is this machine's clock right"}},
		{what: "one of an unknown authority names it, and the flag", cert: ca.sign(t, now.Add(-day), now.Add(day), "127.0.0.1"),
			want: []string{"signed by an authority that is unknown here", "box authority", "--ca-file"}},
		{what: "one for other hosts names them", cert: ca.sign(t, now.Add(-day), now.Add(day), "box.example", "10.0.0.1"), known: true,
			want: []string{"its certificate is for box.example, 10.0.0.1 and not for 127.0.0.1"}},
		{what: "one for many other hosts names a few", cert: ca.sign(t, now.Add(-day), now.Add(day), "a.example", "b.example", "c.example", "d.example", "e.example", "f.example"), known: true,
			want: []string{"a.example, b.example, c.example, d.example and 2 more"}},
		{what: "one for no host says so", cert: ca.sign(t, now.Add(-day), now.Add(day)), known: true,
			want: []string{"its certificate names no host"}},
		{what: "a server that wants the client's says so", cert: ca.sign(t, now.Add(-day), now.Add(day), "127.0.0.1"), known: true,
			setup: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, want: []string{"it wants a certificate of the client's"}},
		{what: "a server that speaks only old TLS says so", cert: ca.sign(t, now.Add(-day), now.Add(day), "127.0.0.1"), known: true,
			setup: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, want: []string{"protocol version"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", textType)
				_, _ = io.WriteString(w, "vllm:num_requests_running 1\n")
			}))
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{c.cert}}
			if c.setup != nil {
				c.setup(srv.TLS)
			}
			srv.StartTLS()
			defer srv.Close()
			var a Access
			if c.known {
				a.CAFile = ca.file
			}
			s := scraper(t, srv.URL, a)
			r := s.Read(context.Background())
			if len(c.want) == 0 {
				if r.Err != nil || s.Status().State != Ready {
					t.Errorf("%+v, %v", s.Status(), r.Err)
				}
				return
			}
			if st := s.Status(); st.State != NoAnswer || r.Err == nil || len(own(r)) != 0 {
				t.Fatalf("%+v, %v", st, r.Err)
			}
			for _, w := range c.want {
				if !strings.Contains(r.Err.Error(), w) {
					t.Errorf("error %q does not say %q", r.Err, w)
				}
			}
		})
	}
}
