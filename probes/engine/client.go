package engine

import (
	"compress/gzip"
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
	"slices"
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
	// Timeout limits one request; zero means 5 s, and up to 12 s for a page while none comes. Under load a vLLM has been
	// seen to take 2 s for its metrics.
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

// client asks one server, over one connection that is kept. Its methods are for one goroutine, close apart.
type client struct {
	http    *http.Client
	place   place
	headers http.Header
	key     string
	timeout time.Duration
	hide    []string // never to be seen in an error
	// spoke is whether anything was ever answered.
	spoke bool
	// page is whether it asks another page of metrics than an engine's; for the words of its errors.
	page bool
	// patience is how long a page of metrics is waited for now, and most how long it may become; late is how many in a row
	// did not come in time.
	patience, most time.Duration
	late           int
	// watches gives the wall clock and one that does not go on while the machine sleeps; last is what they said when a
	// request ended.
	watches func() watches
	last    watches
	// asked and spent are how many requests were sent and how long they took together: what watching costs the server, at
	// most.
	asked atomic.Uint64
	spent atomic.Int64
}

const (
	// idle is below the 5 s after which uvicorn closes an idle connection, so that we close first.
	idle = 4 * time.Second
	// patience is how long an answer is waited for where nothing else is said. A page is made by the thread that serves
	// requests, and comes late from a busy server: waiting grows to longPatience while it does not come, so that one that
	// takes 10 s is read in the end. A recorder gives a reading of another page than an engine's 15 s.
	patience, longPatience = 5 * time.Second, 12 * time.Second
	// sidePatience is for what is asked besides the page and must not hold it up.
	sidePatience = 3 * time.Second
	// slept is by how much the two clocks of watches may differ between two requests until connections are held to be dead.
	slept = 2 * time.Second
)

// watches are two clocks at one moment.
type watches struct {
	wall  time.Time
	awake time.Duration
}

// ofThisHost reads the clocks. Go's monotonic clock stands still while a Linux machine is suspended.
func ofThisHost() func() watches {
	start := time.Now()
	return func() watches {
		now := time.Now()
		return watches{now.Round(0), now.Sub(start)}
	}
}

// apart is by how much the wall clock has run ahead since an earlier moment (behind, if negative).
func (w watches) apart(earlier watches) time.Duration {
	return w.wall.Sub(earlier.wall) - (w.awake - earlier.awake)
}

func newClient(p place, a Access) (*client, error) {
	c := &client{place: p, headers: a.Headers.Clone(), key: a.APIKey, timeout: a.Timeout, most: a.Timeout, watches: ofThisHost()}
	if c.timeout <= 0 {
		c.timeout, c.most = patience, longPatience
	}
	c.patience, c.last = c.timeout, c.watches()
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
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: min(c.timeout, patience)}).DialContext,
		MaxIdleConnsPerHost:    1,
		MaxConnsPerHost:        1,
		IdleConnTimeout:        idle,
		MaxResponseHeaderBytes: maxHeader,
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
	c.http = &http.Client{Transport: tr, CheckRedirect: sentOn}
	return c, nil
}

// sentOn lets a request be sent on within the same server only: keys and headers must not follow to another.
func sentOn(req *http.Request, via []*http.Request) error {
	from, to := via[0].URL, req.URL
	where := (&url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}).String() // a query may hold a token
	switch {
	case to.Host != from.Host && to.Hostname() != from.Hostname():
		return fmt.Errorf("it redirects to another server, %s: give that address if it is the right one", where)
	case to.Scheme != from.Scheme || to.Host != from.Host:
		return fmt.Errorf("it redirects to %s: give that address", where)
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects, the last to %s", maxRedirects, where)
	}
	return nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is one response, read to its end.
type answer struct {
	status      int
	contentType string
	body        []byte
	// size is the body's length; it stays when the body is let go.
	size int
	// path is where it came from in the end, after redirects.
	path string
	// connect is the time to a connection (zero on a kept one), first that to the first byte, total that to the last; all
	// from the start.
	connect, first, total time.Duration
}

// get asks for a path. An answer with any status is no error; an error is a *failure.
func (c *client) get(ctx context.Context, path, accept string, limit int64) (answer, error) {
	if d := c.watches().apart(c.last); d > slept || d < -slept {
		// The machine has slept, or its clock was set. After a sleep the kept connection is most likely one that only this
		// end still believes in: asking on it would wait in vain.
		c.http.CloseIdleConnections()
	}
	a, reused, err := c.once(ctx, path, accept, limit)
	if err != nil && reused && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)) && ctx.Err() == nil {
		// The server closed the kept connection just as we asked.
		a, _, err = c.once(ctx, path, accept, limit)
	}
	c.last = c.watches()
	return a, err
}

// wait is how long an answer is waited for.
func (c *client) wait(accept string) time.Duration {
	if accept == acceptMetrics {
		return c.patience
	}
	return min(c.timeout, sidePatience)
}

// waited learns from how a page came: late is whether there was none in time. It is not before the second that the patience
// grows, so that a server that hangs is called so after twice the usual time and not later.
func (c *client) waited(took time.Duration, late bool) {
	if !late {
		if c.late = 0; took < c.timeout/2 {
			c.patience = c.timeout
		}
		return
	}
	if c.late++; c.late > 1 {
		c.patience = min(2*c.patience, c.most)
	}
}

func (c *client) once(ctx context.Context, path, accept string, limit int64) (a answer, reused bool, err error) {
	f := &failure{patience: c.wait(accept)}
	ctx, cancel := context.WithTimeout(ctx, f.patience)
	defer cancel()
	start := time.Now()
	// Atomics, because the transport's goroutines may still call after a timeout.
	var connect, first atomic.Int64
	var kept, reached atomic.Bool
	defer func() {
		a.total = time.Since(start)
		a.connect, a.first = time.Duration(connect.Load()), time.Duration(first.Load())
		c.asked.Add(1)
		c.spent.Add(int64(a.total))
		if err != nil {
			f.err, f.asked, f.connected, f.shaking, f.first, f.got = err, a.total, kept.Load() || connect.Load() > 0, reached.Load(), a.first, a.size
			err = f
		}
	}()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				reached.Store(true)
			}
		},
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
	c.sign(req)
	req.Header.Set("Accept", accept)
	resp, err := c.http.Do(req)
	reused = kept.Load()
	if err != nil {
		return a, reused, err
	}
	defer resp.Body.Close()
	c.spoke = true
	a.status, a.contentType = resp.StatusCode, shortened(resp.Header.Get("Content-Type"), 200)
	a.path = strings.TrimPrefix(resp.Request.URL.Path, c.place.base.Path)
	a.body, err = bodyOf(resp, limit)
	a.size = len(a.body)
	if err == nil && accept == acceptMetrics && endless(resp) && a.size > 0 && a.body[a.size-1] != '\n' {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		a.body = nil
	}
	return a, reused, err
}

// sign adds the headers that every request carries.
func (c *client) sign(req *http.Request) {
	req.Header = c.header()
	if h := req.Header["Host"]; len(h) > 0 {
		req.Host = h[0]
		delete(req.Header, "Host")
	}
}

// header is what every request carries, Host too if that is set.
func (c *client) header() http.Header {
	h := http.Header{}
	for k, vs := range c.headers {
		h[http.CanonicalHeaderKey(k)] = slices.Clone(vs)
	}
	if c.place.user != nil {
		pw, _ := c.place.user.Password()
		r := http.Request{Header: h}
		r.SetBasicAuth(c.place.user.Username(), pw)
	}
	if c.key != "" {
		h.Set("Authorization", "Bearer "+c.key)
	}
	return h
}

// bodyOf reads a body to its end, up to a limit that counts what is unpacked: a few kilobytes of gzip can hold gigabytes.
func bodyOf(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, tooLarge{resp.ContentLength, limit}
	}
	var r io.Reader = resp.Body
	switch enc := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))); enc {
	case "", "identity":
	case "gzip", "x-gzip":
		// Not asked for, or the transport would have unpacked it; some proxies don't care.
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	default:
		return nil, fmt.Errorf("it answers compressed as %q, which was not asked for", shortened(enc, 40))
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, tooLarge{0, limit}
	}
	return b, err
}

// endless says whether nothing but the end of the connection tells where a body ends. Then one that was cut looks whole.
func endless(resp *http.Response) bool {
	return resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && !resp.Uncompressed && resp.ProtoMajor < 2
}
