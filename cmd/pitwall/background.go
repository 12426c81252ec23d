package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pitwall/cmd/config"
)

// The rules of a background recorder are: it is this very binary, started in a session of its own (setsid), so that
// neither a hang-up nor a closed tmux reaches it; stdin is empty, stdout and stderr go to a log file beside the sessions;
// what is in force reaches it through the environment, never through its command line, which every user of the host can
// read; and it says through a pipe, once, that it records or why it can't.

// started is what a background recorder says of itself, one line of JSON.
type started struct {
	PID     int    `json:"pid"`
	Session string `json:"session"`
	Path    string `json:"path"`
	Error   string `json:"error,omitempty"`
	Hint    string `json:"hint,omitempty"`
	Code    int    `json:"code,omitempty"`
	Log     string `json:"log,omitempty"`
}

// startPatience is how long a background recorder may take to say how it stands: finding a GPU and an engine that does not
// answer takes seconds.
const startPatience = 20 * time.Second

// startInBackground starts pitwall record with these arguments and waits until it records.
func (p *program) startInBackground(ctx context.Context, c *config.Config, args ...string) (started, error) {
	exe, err := p.exe()
	if err != nil {
		return started{}, fmt.Errorf("finding this program's own file: %w", err)
	}
	if err := os.MkdirAll(c.SessionsDir, 0o700); err != nil {
		return started{}, fail(exitFailed, "--sessions names another directory", "making the sessions directory: %w", err)
	}
	logPath := filepath.Join(c.SessionsDir, "record.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return started{}, fail(exitFailed, "--sessions names another directory", "opening the background recorder's log: %w", err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return started{}, fmt.Errorf("making a pipe: %w", err)
	}
	defer r.Close()
	// Not CommandContext: the recorder must live on when this program ends.
	cmd := exec.Command(exe, append([]string{"record", "--ready-fd", "3"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.Env = environment(os.Environ(), c, p.named)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return started{}, fmt.Errorf("starting the background recorder: %w", err)
	}
	go func() { _ = cmd.Wait() }() // so that it doesn't stay a zombie while this program lives

	type answer struct {
		line []byte
		err  error
	}
	said := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(r).ReadBytes('\n')
		said <- answer{line, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	select {
	case a := <-said:
		var s started
		if errors.Is(a.err, io.EOF) {
			return s, fail(exitFailed, "its log is "+logPath, "the background recorder ended before it recorded anything")
		}
		if err := json.Unmarshal(a.line, &s); err != nil {
			return s, fmt.Errorf("reading what the background recorder says: %w", err)
		}
		s.Log = logPath
		if s.Error != "" {
			return s, fail(s.Code, s.Hint, "%s", s.Error)
		}
		return s, nil
	case <-ctx.Done():
		_ = cmd.Process.Signal(os.Interrupt)
		return started{}, fail(exitFailed, "its log is "+logPath, "the background recorder did not start: %w", context.Cause(ctx))
	}
}

// environment gives a child what is in force here. Whatever the configuration file says stays in it; paths become
// absolute, because the child may be started elsewhere the next time.
func environment(environ []string, c *config.Config, file string) []string {
	set := map[string]string{
		"PITWALL_CONFIG":       file,
		"PITWALL_ENGINE":       strings.Join(c.Engine, ","),
		"PITWALL_SCRAPE":       strings.Join(c.Scrape, ","),
		"PITWALL_HEADER":       strings.Join(c.Header, "\n"),
		"PITWALL_CA_FILE":      absolute(c.CAFile),
		"PITWALL_API_KEY_FILE": absolute(c.APIKeyFile),
		"PITWALL_API_KEY_ENV":  c.APIKeyEnv,
		"PITWALL_SESSIONS_DIR": absolute(c.SessionsDir),
		"PITWALL_KEEP_AGE":     fmt.Sprintf("%ds", int64(c.KeepAge/time.Second)),
		"PITWALL_KEEP_SIZE":    fmt.Sprintf("%dB", c.KeepSize),
	}
	out := make([]string, 0, len(environ)+len(set))
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if _, ours := set[name]; !ours {
			out = append(out, kv)
		}
	}
	for name, v := range set {
		if v != "" {
			out = append(out, name+"="+v)
		}
	}
	return out
}
