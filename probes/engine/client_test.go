package engine

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAccessIsSentAndNeverSeen(t *testing.T) {
	const key, header, password = "sk-very-secret-key", "header-secret-value", "user-secret-pw"
	var got atomic.Pointer[http.Request]
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r)
		w.WriteHeader(403)
		// A careless proxy tells what it was sent.
		fmt.Fprintf(w, `{"detail":"refused %s %s %s"}`, r.Header.Get("Authorization"), r.Header.Get("X-Proxy"), password)
	}))
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert, err := x509.ParseCertificate(srv.Certificate().Raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	a := Access{Headers: http.Header{"X-Proxy": {header}}, APIKey: key, CAFile: ca}
	address := strings.Replace(srv.URL, "https://", "https://ann:"+password+"@", 1)
	s := scraper(t, address, a)
	r := s.Read(context.Background())
	if req := got.Load(); req == nil || req.Header.Get("Authorization") != "Bearer "+key || req.Header.Get("X-Proxy") != header {
		t.Fatalf("the server got %+v", req)
	}
	_, instance := s.Target()
	shown := fmt.Sprint(r.Err, s.URL(), instance, s.Status(), r.Facts, r.Absent, r.Events, fmt.Sprintf("%v %+v %#v", a, a, a))
	for _, secret := range []string{key, header, password, "ann"} {
		if strings.Contains(shown, secret) {
			t.Errorf("%s can be seen in %s", secret, shown)
		}
	}
	if !strings.Contains(fmt.Sprint(r.Err), "HTTP 403") {
		t.Errorf("error %v", r.Err)
	}
	// Without the key, the user of the address is sent.
	s = scraper(t, address, Access{CAFile: ca})
	s.Read(context.Background())
	if u, pw, ok := got.Load().BasicAuth(); !ok || u != "ann" || pw != password {
		t.Errorf("user %q %q", u, pw)
	}
	// Without the CA file, the certificate is not trusted.
	s = scraper(t, srv.URL, Access{})
	if r := s.Read(context.Background()); r.Err == nil || !strings.Contains(r.Err.Error(), "certificate") {
		t.Errorf("error %v", r.Err)
	}
}

func TestABadCAFileIsAnErrorAtOnce(t *testing.T) {
	if _, err := NewScraper("https://h", vllm(t), Access{CAFile: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("no error without the file")
	}
	file := filepath.Join(t.TempDir(), "x.pem")
	if err := os.WriteFile(file, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewScraper("https://h", vllm(t), Access{CAFile: file}); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("error %v", err)
	}
}

func TestAddressesAsTheyAreTyped(t *testing.T) {
	for in, want := range map[string][2]string{
		"127.0.0.1:8000":                 {"http://127.0.0.1:8000", "127.0.0.1:8000"},
		"localhost:8000":                 {"http://localhost:8000", "localhost:8000"},
		"http://box":                     {"http://box", "box:80"},
		"https://box/":                   {"https://box", "box:443"},
		"http://box:8000/metrics":        {"http://box:8000", "box:8000"},
		"http://box:8000/v1":             {"http://box:8000", "box:8000"},
		"http://box:8000/v1/":            {"http://box:8000", "box:8000"},
		"https://proxy/team/llama/v1":    {"https://proxy/team/llama", "proxy:443/team/llama"},
		"http://ann:pw@box:8000":         {"http://box:8000", "box:8000"},
		"http://[::1]:8000":              {"http://[::1]:8000", "[::1]:8000"},
		" http://box:8000/metrics?x=1  ": {"http://box:8000", "box:8000"},
	} {
		p, err := parsePlace(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if p.String() != want[0] || p.instance != want[1] {
			t.Errorf("%q is %s, %s; want %v", in, p, p.instance, want)
		}
	}
	for _, in := range []string{"", "http://", "ftp://box", "http://ann:secret@bo x", "://secret@x", "http://ann:secret@%zz"} {
		if _, err := parsePlace(in); err == nil {
			t.Errorf("%q is taken for an address", in)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v shows the password", err)
		}
	}
}

// BenchmarkRead is one whole reading over the loopback, the server's part in it too.
func BenchmarkRead(b *testing.B) {
	typ, body := fixture(b, "vllm-0.32-after.prom")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", typ)
		w.Write(body)
	}))
	defer srv.Close()
	s, err := NewScraper(srv.URL, vllm(b), Access{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := s.Read(context.Background()); r.Err != nil {
			b.Fatal(r.Err)
		}
	}
}

// However an address is typed, what stands before an @ in it is shown nowhere.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"127.0.0.1:8000", "http://ann:pw@box:8000/v1/", "https://[::1]:1/metrics?x=1", "ann:pw@box", "http://a:b@c@d/", "http://%zz@x", "x://y@z", "http://a/b@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const secret = "s3cr3t-w0rd"
		in := strings.Replace(s, "@", ":"+secret+"@", 1)
		p, err := parsePlace(in)
		before, _, ok := strings.Cut(in, "@")
		behind := before
		if _, after, has := strings.Cut(before, "://"); has {
			behind = after
		}
		if !ok || strings.ContainsAny(behind, "/?#") {
			return // the @ is in the path: what stands before it is no password
		}
		shown := p.instance
		if p.base != nil {
			shown += p.String()
		}
		if err != nil {
			shown = err.Error()
		}
		if strings.Contains(shown, secret) {
			t.Fatalf("%q is shown as %q", in, shown)
		}
	})
}
