package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Access is how to get at servers that do not stand open on the loopback: everything is sent to the engine's own address
// only, and none of it is in an error, a fact, or a String.
type Access struct {
	// Headers are added to every request.
	Headers http.Header
	// APIKey is sent as a bearer token.
	APIKey string
	// CAFile is a PEM file of certificates that are trusted beside the system's.
	CAFile string
	// Timeout limits one request; zero means 5 s. Under load a vLLM has been seen to take 2 s for its metrics.
	Timeout time.Duration
}

// String tells which kinds of access are set, and no values.
func (a Access) String() string {
	var has []string
	if len(a.Headers) > 0 {
		has = append(has, fmt.Sprintf("%d extra headers", len(a.Headers)))
	}
	if a.APIKey != "" {
		has = append(has, "an API key")
	}
	if a.CAFile != "" {
		has = append(has, "CA file "+a.CAFile)
	}
	if len(has) == 0 {
		return "no extra headers, API key or CA file"
	}
	return strings.Join(has, ", ")
}

// GoString keeps %#v from printing the key.
func (a Access) GoString() string { return "engine.Access{" + a.String() + "}" }

// place is a server's address, split from what must not be shown.
type place struct {
	base     *url.URL // scheme, host and path prefix, never user-info
	user     *url.Userinfo
	instance string
}

// String is the address without user-info.
func (p place) String() string { return p.base.String() }

// parsePlace reads an address as an operator types it: "127.0.0.1:8000", "http://host", "https://host/prefix/v1".
func parsePlace(s string) (place, error) {
	in := strings.TrimSpace(s)
	if !strings.Contains(in, "://") {
		in = "http://" + in
	}
	u, err := url.Parse(in)
	if err != nil {
		// The error repeats the address, and with it a password.
		return place{}, fmt.Errorf("engine address %q does not parse", withoutUser(s))
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return place{}, fmt.Errorf("engine address %q: only http and https are spoken", withoutUser(s))
	}
	if u.Hostname() == "" {
		return place{}, fmt.Errorf("engine address %q has no host", withoutUser(s))
	}
	p := place{user: u.User}
	path := strings.TrimRight(u.Path, "/")
	for _, end := range []string{"/metrics", "/v1"} {
		path = strings.TrimSuffix(path, end)
	}
	p.base = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(path, "/")}
	p.instance = hostPort(u) + p.base.Path
	return p, nil
}

// hostPort gives host:port of a URL, the port also where it is the scheme's own.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		if port = "80"; u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// local says whether the place is on this host's loopback.
func (p place) local() bool {
	h := p.base.Hostname()
	ip := net.ParseIP(h)
	return strings.EqualFold(h, "localhost") || ip != nil && ip.IsLoopback()
}

// withoutUser cuts user-info out of an address that may not even parse.
func withoutUser(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	scheme := ""
	if i := strings.Index(s, "://"); i >= 0 && i < at {
		scheme = s[:i+3]
	}
	return scheme + "…@" + s[at+1:]
}

// client asks one server, over one connection that is kept.
type client struct {
	http    *http.Client
	place   place
	headers http.Header
	key     string
	timeout time.Duration
	hide    []string // never to be seen in an error
	// asked and spent are how many requests were sent and how long they took together: what watching costs the server, at
	// most.
	asked atomic.Uint64
	spent atomic.Int64
}

// idle is below the 5 s after which uvicorn closes an idle connection, so that we close first.
const idle = 4 * time.Second

func newClient(p place, a Access) (*client, error) {
	c := &client{place: p, headers: a.Headers.Clone(), key: a.APIKey, timeout: a.Timeout}
	if c.timeout <= 0 {
		c.timeout = 5 * time.Second
	}
	if c.key != "" {
		c.hide = append(c.hide, c.key)
	}
	for _, vs := range a.Headers {
		for _, v := range vs {
			if len(v) > 3 { // cutting "1" out of an error would spoil it and hide nothing
				c.hide = append(c.hide, v)
			}
		}
	}
	if p.user != nil {
		if pw, ok := p.user.Password(); ok && pw != "" {
			c.hide = append(c.hide, pw)
		}
	}
	tr := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: c.timeout}).DialContext,
		MaxIdleConnsPerHost: 1,
		MaxConnsPerHost:     1,
		IdleConnTimeout:     idle,
		// On the loopback compressing costs the server more than it saves.
		DisableCompression: p.local(),
	}
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the CA file: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s holds no certificate in PEM form", a.CAFile)
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	c.http = &http.Client{
		Transport: tr,
		// Keys and headers must not follow a redirect to another host.
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) >= 3 {
				return errors.New("more than 3 redirects")
			}
			if req.URL.Scheme != via[0].URL.Scheme || req.URL.Host != via[0].URL.Host {
				return fmt.Errorf("it redirects to another server, %s", req.URL.Host)
			}
			return nil
		},
	}
	return c, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is one response, read to its end.
type answer struct {
	status      int
	contentType string
	body        []byte
	// path is where it came from in the end, after redirects.
	path string
	// connect is the time to a connection (zero on a kept one), first that to the first byte, total that to the last; all
	// from the start.
	connect, first, total time.Duration
}

// get asks for a path. An answer with any status is no error.
func (c *client) get(ctx context.Context, path, accept string, limit int64) (answer, error) {
	a, reused, err := c.once(ctx, path, accept, limit)
	if err != nil && reused && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)) && ctx.Err() == nil {
		// The server closed the kept connection just as we asked.
		a, _, err = c.once(ctx, path, accept, limit)
	}
	return a, err
}

func (c *client) once(ctx context.Context, path, accept string, limit int64) (a answer, reused bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	start := time.Now()
	defer func() {
		a.total = time.Since(start)
		c.asked.Add(1)
		c.spent.Add(int64(a.total))
	}()
	// Atomics, because the transport's goroutines may still call after a timeout.
	var connect, first atomic.Int64
	defer func() { a.connect, a.first = time.Duration(connect.Load()), time.Duration(first.Load()) }()
	var kept atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			kept.Store(i.Reused)
			if !i.Reused {
				connect.Store(int64(time.Since(start)))
			}
		},
		GotFirstResponseByte: func() { first.Store(int64(time.Since(start))) },
	})
	u := *c.place.base
	path, u.RawQuery, _ = strings.Cut(path, "?")
	u.Path += path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return a, false, err
	}
	for k, vs := range c.headers {
		if http.CanonicalHeaderKey(k) == "Host" && len(vs) > 0 {
			req.Host = vs[0]
			continue
		}
		req.Header[http.CanonicalHeaderKey(k)] = vs
	}
	req.Header.Set("Accept", accept)
	if c.place.user != nil {
		pw, _ := c.place.user.Password()
		req.SetBasicAuth(c.place.user.Username(), pw)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	reused = kept.Load()
	if err != nil {
		return a, reused, err
	}
	defer resp.Body.Close()
	a.status, a.contentType = resp.StatusCode, resp.Header.Get("Content-Type")
	a.path = strings.TrimPrefix(resp.Request.URL.Path, c.place.base.Path)
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return a, reused, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(a.body)) > limit {
		return a, reused, fmt.Errorf("the answer has more than %d MB", limit>>20)
	}
	return a, reused, nil
}

// trouble is a failed request in plain words, and how it failed.
type trouble struct {
	what    string // "scrape http://127.0.0.1:8000/metrics"
	plain   string // "connection refused"
	outcome Outcome
	err     error
}

func (t *trouble) Error() string { return t.what + ": " + t.plain }

func (t *trouble) Unwrap() error { return t.err }

// trouble words an error of get.
func (c *client) trouble(what, path string, err error) *trouble {
	t := &trouble{what: what + " " + c.place.String() + path, outcome: Failed, err: err}
	var dns *net.DNSError
	var ue *url.Error
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		t.plain, t.outcome = "connection refused", Refused
	case errors.Is(err, context.Canceled):
		t.plain = "given up"
	case errors.As(err, &dns):
		t.plain = "host " + dns.Name + " not found"
		if dns.IsTimeout {
			t.plain = "no answer from the name server for " + dns.Name
		}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		t.plain = fmt.Sprintf("no answer within %s", c.timeout)
	case errors.Is(err, syscall.ECONNRESET):
		t.plain = "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		t.plain = "the connection ended in the middle of the answer"
	default:
		t.plain = err.Error()
		if errors.As(err, &ue) {
			t.plain = ue.Err.Error() // without the URL, which is named already
		}
	}
	t.plain = c.hidden(t.plain)
	return t
}

// hidden cuts what must not be seen out of a text.
func (c *client) hidden(s string) string {
	for _, h := range c.hide {
		s = strings.ReplaceAll(s, h, "…")
	}
	return s
}

// status words an answer that is not 200.
func status(code int) string {
	s := fmt.Sprintf("HTTP %d %s", code, http.StatusText(code))
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		s += ": it wants a key or a header"
	case http.StatusNotFound:
		s += ": is this the engine's address?"
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		s += ": a proxy answers, the engine behind it does not"
	}
	return s
}
