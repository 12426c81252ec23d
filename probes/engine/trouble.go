package engine

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
)

// failure is an error of a request, with how far the request had come: "no answer" alone does not tell a firewall from a busy
// server.
type failure struct {
	err error
	// patience is how long the request was waited for, asked how long it lasted in fact.
	patience, asked time.Duration
	// connected is whether there was a connection, first when the answer began (zero: it did not), got how many bytes of
	// its body came.
	connected bool
	// shaking is whether a connection was made, be it that TLS did not come to an end on it.
	shaking bool
	first   time.Duration
	got     int
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// tooLarge is the error of an answer that is not read to its end.
type tooLarge struct {
	has, limit int64 // has is 0 where the server did not say how much comes
}

func (e tooLarge) Error() string {
	has := "more than " + size(e.limit)
	if e.has > 0 {
		has = size(e.has)
	}
	return fmt.Sprintf("its answer has %s, and up to %s are read: is it a page of metrics?", has, size(e.limit))
}

func size(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

// trouble is a failed request in plain words, and how it failed.
type trouble struct {
	what    string // "scrape http://127.0.0.1:8000/metrics"
	plain   string // "connection refused"
	outcome Outcome
	err     error
	// late is whether there was a connection and no whole answer on it in time: the server is busy, or the network slow.
	late bool
}

func (t *trouble) Error() string { return t.what + ": " + t.plain }

func (t *trouble) Unwrap() error { return t.err }

// trouble words an error of get: what happened, and what to do about it where that can be known.
func (c *client) trouble(what, path string, err error) *trouble {
	t := &trouble{what: what + " " + c.place.String() + path, outcome: Failed, err: err}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{err: err, patience: c.timeout}
	}
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		t.plain = "given up"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		t.plain = fmt.Sprintf("the proxy that HTTP_PROXY or HTTPS_PROXY names: %s; NO_PROXY=%s asks without it", c.words(f, op.Err), c.place.base.Hostname())
	case errors.Is(err, syscall.ECONNREFUSED):
		t.plain, t.outcome = "connection refused", Refused
	default:
		t.plain = c.words(f, err)
		t.late = f.connected && timedOut(err)
	}
	t.plain = shortened(c.hidden(t.plain), maxReason)
	return t
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// words says in plain words how a request failed.
func (c *client) words(f *failure, err error) string {
	if s := nameWords(err); s != "" {
		return s
	}
	if s := c.certificateWords(err); s != "" {
		return s
	}
	if s := c.schemeWords(err); s != "" {
		return s
	}
	var large tooLarge
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &large):
		return large.Error()
	case timedOut(err):
		return f.lateWords()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "no way to the host (no route, or it does not answer on its network)"
	case errors.Is(err, syscall.ENETUNREACH):
		return "this machine has no network that leads there"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "pitwall may open no more files: ulimit -n is too low"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		if f.first > 0 {
			return fmt.Sprintf("connection reset in the middle of the answer, after %s", size(int64(f.got)))
		}
		return "connection reset"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return "the answer says that it is compressed, and does not unpack"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if f.first == 0 {
			s := "the server closed the connection without an answer"
			if c.place.base.Scheme == "http" && !c.spoke {
				s += ": if it speaks TLS, the address begins with https://"
			}
			return s
		}
		return fmt.Sprintf("the connection ended in the middle of the answer, after %s", size(int64(f.got)))
	case strings.Contains(err.Error(), "server response headers exceeded"):
		return fmt.Sprintf("the headers of its answer are longer than %s", size(maxHeader))
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err.Error() // without the URL, which is named already
	}
	return err.Error()
}

// lateWords tells apart where the time went.
func (f *failure) lateWords() string {
	waited := f.patience
	if f.asked >= time.Millisecond && f.asked < waited { // whoever asked gave less time
		if waited = f.asked.Round(time.Millisecond); waited > time.Second {
			waited = waited.Round(100 * time.Millisecond)
		}
	}
	switch {
	case f.first > 0:
		return fmt.Sprintf("the answer began after %s and was not complete within %s (%s came): a slow network, or a server that stopped", f.first.Round(time.Millisecond), waited, size(int64(f.got)))
	case !f.connected && f.shaking:
		return fmt.Sprintf("connected, and the TLS handshake did not end within %s: does it speak TLS at all?", waited)
	case !f.connected:
		return fmt.Sprintf("no connection within %s: is the address right, and does a firewall let it through?", waited)
	}
	return fmt.Sprintf("no answer within %s", waited)
}

// nameWords words an error of the name service; empty if it is none.
func nameWords(err error) string {
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		return ""
	}
	switch {
	case dns.IsTimeout:
		return "no answer from the name server for " + dns.Name
	case dns.IsNotFound:
		return "host " + dns.Name + " not found: is the name right, and known to this machine's name server?"
	}
	return "the name server could not tell the address of " + dns.Name + " (" + dns.Err + ")"
}

// certificateWords words an error of TLS; empty if it is none.
func (c *client) certificateWords(err error) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var roots x509.SystemRootsError
	var alert tls.AlertError
	switch {
	case errors.As(err, &name):
		for_ := slices.Concat(name.Certificate.DNSNames, addresses(name.Certificate.IPAddresses))
		if len(for_) == 0 {
			return fmt.Sprintf("its certificate names no host, so it can't be for %s", name.Host)
		}
		return fmt.Sprintf("its certificate is for %s and not for %s: use a name that it has", some(for_, 4), name.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		now, from, to := time.Now(), invalid.Cert.NotBefore, invalid.Cert.NotAfter
		if now.Before(from) {
			return fmt.Sprintf("its certificate is valid only from %s: is this machine's clock right (%s)?", stamp(from), stamp(now))
		}
		return fmt.Sprintf("its certificate expired at %s: the server needs a new one (this machine's clock says %s)", stamp(to), stamp(now))
	case errors.As(err, &unknown):
		by := ""
		if unknown.Cert != nil {
			by = fmt.Sprintf(" (%q)", shortened(unknown.Cert.Issuer.String(), 80))
		}
		return "its certificate is signed by an authority that is unknown here" + by + ": --ca-file names the file (PEM) of that authority"
	case errors.As(err, &invalid):
		return "its certificate can't be used: " + invalid.Error()
	case errors.As(err, &roots):
		return "this machine has no list of certificate authorities: install ca-certificates, or give --ca-file"
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls: "):
		_, what, _ := strings.Cut(err.Error(), "tls: ")
		if strings.Contains(what, "certificate required") || strings.Contains(what, "bad certificate") {
			return "it wants a certificate of the client's, which pitwall does not send: ask through a proxy that does"
		}
		return "it ended the TLS handshake: " + what
	}
	return ""
}

func addresses(ips []net.IP) []string {
	var out []string
	for _, ip := range ips {
		out = append(out, ip.String())
	}
	return out
}

// some lists up to n of a list and says how many more there are.
func some(list []string, n int) string {
	if len(list) <= n {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:n], ", "), len(list)-n)
}

// schemeWords words an answer in another protocol than the one that was spoken; empty if there was none.
func (c *client) schemeWords(err error) string {
	s := err.Error()
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "it speaks HTTP without TLS: the address begins with http://"
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		return "what answers does not speak TLS: is it the right port, and does the address begin with http://?"
	}
	if strings.Contains(s, "readLoopPeekFailLocked") { // net/http's words for an answer that was there before the question
		return "what answers does not speak HTTP (it spoke before it was asked): is it the right port?"
	}
	if _, said, ok := strings.Cut(s, "malformed "); ok {
		if i := strings.IndexByte(said, '"'); i >= 0 { // behind what of it is malformed
			said = said[i:]
		}
		if strings.HasPrefix(said, `"\x15\x03`) { // an alert, the only thing that TLS says to plain text
			return tlsInstead
		}
		return "what answers does not speak HTTP (it said " + shortened(said, 60) + "): is it the right port?"
	}
	return ""
}

const tlsInstead = "it speaks TLS: the address begins with https://"

// refused words an answer that is not 200, with the server's own message.
func (c *client) refused(a answer) string {
	s := strings.TrimSpace(fmt.Sprintf("HTTP %d %s", a.status, http.StatusText(a.status)))
	sent := c.key != "" || c.place.user != nil || len(c.headers) > 0
	switch {
	case a.status == http.StatusBadRequest && c.place.base.Scheme == "http" && strings.Contains(string(a.body[:min(len(a.body), 512)]), "HTTPS"):
		return s + ": " + tlsInstead
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		if sent {
			s += ": it does not accept the key, header or user that was sent"
		} else {
			s += ": it wants a key or a header"
		}
	case a.status == http.StatusNotFound:
		s += ": is this the engine's address?"
		if c.page {
			s += " (the path may be another than /metrics)"
		}
	case a.status == http.StatusProxyAuthRequired:
		s += ": the proxy that HTTP_PROXY names wants a user and a password"
	case a.status == http.StatusTooManyRequests:
		s += ": a gateway limits how often it is asked, so it is asked less often"
	case a.status >= 300 && a.status < 400:
		s += ": it redirects without saying where"
	case a.status == http.StatusServiceUnavailable:
		s += ": the server is there and can't answer now: it loads, is full, or is a proxy without an engine behind it"
	case a.status == http.StatusBadGateway || a.status == http.StatusGatewayTimeout:
		s += ": a proxy answers, the engine behind it does not"
	}
	return shortened(c.hidden(s+apiMessage(a.body)), maxReason)
}

// hidden cuts what must not be seen out of a text.
func (c *client) hidden(s string) string {
	for _, h := range c.hide {
		s = strings.ReplaceAll(s, h, "…")
	}
	return s
}
