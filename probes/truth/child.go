package truth

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"runtime"
	"time"
)

// hello is what a child says when it serves: one line of JSON.
type hello struct {
	URL string `json:"url,omitempty"`
	Err string `json:"error,omitempty"`
}

// Run is a truth server's own process: it reads a Plan, one line of JSON, from in, says where it serves, one line of JSON, on
// out, and serves until in ends or ctx does. Start is its other side.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	// One thread waits for the next piece to be due, and that must not keep requests from being read.
	if runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
	lines := bufio.NewReader(in)
	s, err := serveFirst(lines)
	if err != nil {
		return errors.Join(err, json.NewEncoder(out).Encode(hello{Err: err.Error()}))
	}
	defer s.Close()
	if err := json.NewEncoder(out).Encode(hello{URL: s.URL()}); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, lines) // until the parent closes it, or dies
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return nil
}

func serveFirst(lines *bufio.Reader) (*Server, error) {
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("truth server: no plan came: %w", err)
	}
	var plan Plan
	if err := json.Unmarshal(line, &plan); err != nil {
		return nil, fmt.Errorf("truth server: the plan: %w", err)
	}
	return Listen("", plan)
}

// Child is a truth server in a process of its own.
type Child struct {
	// URL is where it serves.
	URL string

	cmd *exec.Cmd
	in  io.WriteCloser
}

// Start runs cmd, which must end up in Run with its standard input and output, and waits until it serves. cmd's Stdin and
// Stdout must not be set. Close ends it; so does the end of this process.
func Start(ctx context.Context, cmd *exec.Cmd, plan Plan) (*Child, error) {
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("truth server: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("truth server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("truth server: %w", err)
	}
	c := &Child{cmd: cmd, in: in}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	err = c.hear(out, plan)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("truth server: it did not start: %w", err)
	}
	return c, nil
}

func (c *Child) hear(out io.Reader, plan Plan) error {
	if err := json.NewEncoder(c.in).Encode(plan); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return err
	}
	var h hello
	if err := json.Unmarshal(line, &h); err != nil {
		return fmt.Errorf("it said %.80q", line)
	}
	if h.Err != "" {
		return errors.New(h.Err)
	}
	c.URL = h.URL
	return nil
}

// Answers gives what happened to all requests that are over, as Server.Answers does.
func (c *Child) Answers(ctx context.Context) ([]Answer, error) { return Fetch(ctx, c.URL) }

// Pid is its process.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// Close ends it and waits for that.
func (c *Child) Close() {
	c.in.Close()
	t := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer t.Stop()
	_ = c.cmd.Wait() // how it ended is of no interest
}

// Fetch gets the answers of a truth server in another process over HTTP (GET /truth, one JSON object a line).
func Fetch(ctx context.Context, url string) ([]Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/truth", nil)
	if err != nil {
		return nil, fmt.Errorf("truth: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("truth: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("truth: %s from %s", resp.Status, url)
	}
	var all []Answer
	for d := json.NewDecoder(resp.Body); ; {
		var a Answer
		switch err := d.Decode(&a); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("truth: the answers of %s: %w", url, err)
		}
		all = append(all, a)
	}
}
