package engine

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

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
	if i := strings.Index(s, "://"); i >= 0 && i < at && !strings.ContainsAny(s[:i], "@:/") {
		scheme = s[:i+3]
	}
	return scheme + "…@" + s[at+1:]
}
