package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

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

// background is a background recorder that has everything it needs and is not started yet.
type background struct {
	cmd          *exec.Cmd
	logPath      string
	log          *os.File
	ready, heard *os.File // the pipe through which it says how it stands
}

// background prepares pitwall record with these arguments.
func (p *program) background(c *config.Config, args ...string) (*background, error) {
	exe, err := p.exe()
	if err == nil {
		_, err = os.Stat(exe) // an upgrade may have removed it
	}
	if err != nil {
		return nil, fail(exitFailed, "start the new pitwall for that", "finding this program's own file: %w", err)
	}
	if err := os.MkdirAll(c.SessionsDir, 0o700); err != nil {
		return nil, fail(exitFailed, "--sessions names another directory", "making the sessions directory: %w", err)
	}
	b := &background{logPath: filepath.Join(c.SessionsDir, "record.log")}
	b.log, err = os.OpenFile(b.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fail(exitFailed, "--sessions names another directory", "opening the background recorder's log: %w", err)
	}
	b.heard, b.ready, err = os.Pipe()
	if err != nil {
		b.log.Close()
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	// Not CommandContext: the recorder must live on when this program ends.
	b.cmd = exec.Command(exe, append([]string{"record", "--ready-fd", "3"}, args...)...)
	b.cmd.Stdout, b.cmd.Stderr = b.log, b.log
	b.cmd.ExtraFiles = []*os.File{b.ready}
	b.cmd.Env = environment(os.Environ(), c, p.named)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return b, nil
}

// Close lets go of the log and the pipe; a recorder that was started lives on.
func (b *background) Close() {
	b.log.Close()
	b.ready.Close()
	b.heard.Close()
}

// start starts it and waits until it records.
func (b *background) start(ctx context.Context) (started, error) {
	keepFilesHere()
	if err := b.cmd.Start(); err != nil {
		return started{}, fmt.Errorf("starting the background recorder: %w", err)
	}
	b.ready.Close()                  // so that the pipe ends with the recorder
	go func() { _ = b.cmd.Wait() }() // so that it doesn't stay a zombie while this program lives

	type answer struct {
		line []byte
		err  error
	}
	said := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(b.heard).ReadBytes('\n')
		said <- answer{line, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	select {
	case a := <-said:
		var s started
		if errors.Is(a.err, io.EOF) {
			return s, fail(exitFailed, "its log is "+b.logPath, "the background recorder ended before it recorded anything")
		}
		if err := json.Unmarshal(a.line, &s); err != nil {
			return s, fmt.Errorf("reading what the background recorder says: %w", err)
		}
		s.Log = b.logPath
		if s.Error != "" {
			return s, fail(s.Code, s.Hint, "%s", s.Error)
		}
		return s, nil
	case <-ctx.Done():
		_ = b.cmd.Process.Signal(os.Interrupt)
		return started{}, fail(exitFailed, "its log is "+b.logPath, "the background recorder did not start: %w", context.Cause(ctx))
	}
}

// keepFilesHere keeps every file that is open in this process, beyond what is named for the child, from being open in the
// recorder as well: those that a shell or a script left open here without close-on-exec would stay open as long as it records,
// and whoever waits for the end of such a pipe would wait as long. What can't be set stays as it was.
func keepFilesHere() {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil { // Linux 5.11
		return
	}
	open, _ := os.ReadDir("/proc/self/fd")
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
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
		"PITWALL_RULES":        absolute(c.Rules),
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
