package wire

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Head makes a request's head: its request line, Host and Content-Length, the headers given and the empty line. What could
// smuggle in a second request or break the framing is an error: control characters, a header that sets the framing, and names
// that are none. A host given in headers replaces the first.
func Head(method, target, host string, headers http.Header, body int) ([]byte, error) {
	if !isToken(method) {
		return nil, fmt.Errorf("%q is no HTTP method", method)
	}
	if !strings.HasPrefix(target, "/") || strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("%q is no path for a request: it must begin with / and have no spaces, escaped where need be", target)
	}
	names := make([]string, 0, len(headers))
	for name, values := range headers {
		if !isToken(name) {
			return nil, fmt.Errorf("%q is no name of an HTTP header", name)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return nil, fmt.Errorf("header %s has a value with control characters", name)
			}
		}
		switch http.CanonicalHeaderKey(name) {
		case "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Expect", "Trailer", "Te":
			return nil, fmt.Errorf("header %s decides how the request is sent and cannot be set", name)
		case "Accept-Encoding":
			return nil, fmt.Errorf("header %s cannot be set: an answer that is compressed has no pieces to stamp", name)
		case "Host":
			if len(values) > 0 {
				host = values[0]
			}
			continue
		}
		names = append(names, name)
	}
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' || r == '@' }) {
		return nil, errors.New("the request's host is empty, or has characters that no host has")
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.WriteString(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, name := range names {
		for _, v := range headers[name] {
			b.WriteString(name + ": " + strings.TrimSpace(v) + "\r\n")
		}
	}
	b.WriteString("Content-Length: " + strconv.Itoa(body) + "\r\n\r\n")
	return b.Bytes(), nil
}

// isToken says whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}
