package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"pitwall/probes/request"
)

// Error is why an exchange failed.
type Error struct {
	// Class is what kind of failure it is. This package gives DNS, Refused, Unreachable, NoPorts, NoFiles, TLS, Reset,
	// NoFirstByte, Stalled, Cut, Malformed and Cancelled; the others are about what stood in an answer.
	Class request.Class
	// Err is the cause, with a hint where there is something to do about it.
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// fail makes an Error.
func fail(class request.Class, format string, args ...any) *Error {
	return &Error{Class: class, Err: fmt.Errorf(format, args...)}
}

// dialFailure says what kept a connection from being made. The order matters: what this host lacks says nothing about the
// server, and a name look-up that fails for want of a socket is no fault of the name.
func dialFailure(ctx context.Context, err error) *Error {
	var name *net.DNSError
	switch {
	case ctx.Err() != nil:
		return &Error{request.Cancelled, context.Cause(ctx)}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), isText(err, "too many open files"):
		return fail(request.NoFiles, "no file descriptor left for a connection (raise ulimit -n, or have fewer in flight): %w", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE):
		return fail(request.NoPorts, "no local port left for a connection (reuse connections, or widen net.ipv4.ip_local_port_range): %w", err)
	case errors.As(err, &name):
		return &Error{request.DNS, err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{request.Refused, err}
	case errors.Is(err, syscall.ECONNRESET):
		return &Error{request.Reset, err}
	default: // no route, no network, no answer in time
		return &Error{request.Unreachable, err}
	}
}

// isText finds a cause that a resolver has left as words only.
func isText(err error, words string) bool { return err != nil && strings.Contains(err.Error(), words) }

// tlsFailure says what kept a connection from being secure.
func tlsFailure(ctx context.Context, err error) *Error {
	var plain tls.RecordHeaderError
	switch {
	case ctx.Err() != nil:
		return &Error{request.Cancelled, context.Cause(ctx)}
	case errors.As(err, &plain):
		return fail(request.TLS, "the server does not speak TLS there (is it http:// ?): %w", err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fail(request.TLS, "no TLS handshake in time: %w", err)
	default:
		return fail(request.TLS, "TLS: %w", err)
	}
}

// gone says whether an error is the other side's closing.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

// isTLS says whether an error is one that crypto/tls raised or was told.
func isTLS(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}
