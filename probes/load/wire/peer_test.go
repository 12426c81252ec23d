package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"pitwall/probes/load/wire/tokens"
	"pitwall/probes/request"
	"pitwall/probes/stream"
)

// report is what a client's process says of its work.
type report struct {
	Requests []timed
	CPU      float64 // seconds, user and system, since the process began
	RSS      float64 // MB at the most
	LateP99  int64   // ns
}

// timed is one request: when it was sent, and when each piece with a token came.
type timed struct {
	ID     string
	Sent   request.Time
	At     []request.Time
	Merged int
	// Unstamped is set by a client that asks for stamps and did not get all.
	Unstamped bool
}

// streamer does one stream's requests; the room for times is made before.
type streamer func(clock request.Clock, to *url.URL, requests []timed, tokens int) (late []time.Duration, err error)

// client is a client's process.
func client(do streamer) {
	clock := request.NewClock()
	target, n, k, tokens, spread := work()
	to, err := url.Parse(target)
	if err != nil {
		fatal(err)
	}
	all := make([]timed, k*n)
	for i := range all {
		all[i] = timed{ID: strconv.Itoa(i), At: make([]request.Time, 0, tokens)}
	}
	lates := make([][]time.Duration, n)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range n {
		wg.Go(func() {
			time.Sleep(time.Until(begin.Add(spreadStart(i, n, spread))))
			var err error
			if lates[i], err = do(clock, to, all[k*i:k*i+k], tokens); err != nil {
				fatal(err)
			}
		})
	}
	wg.Wait()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		fatal(err)
	}
	r := report{Requests: all, CPU: float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9, RSS: peak()}
	if late := slices.Concat(lates...); len(late) > 0 {
		r.LateP99 = int64(quantile(late, 0.99))
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// peak is the most memory this process has had, in MB. (Rusage's maximum begins with that of the process which started it.)
func peak() float64 {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

func bodyOf(tokens int) []byte {
	return fmt.Appendf(nil, `{"model":"truth","prompt":[1,2,3,4],"stream":true,"return_token_ids":true,"max_tokens":%d,"min_tokens":%d,"ignore_eos":true}`, tokens, tokens)
}

// streamOfWire is this package.
func streamOfWire(clock request.Clock, to *url.URL, requests []timed, n int) (late []time.Duration, err error) {
	conn := NewConn(&Endpoint{Address: to.Host, Clock: clock})
	defer conn.Close()
	body := bodyOf(n)
	late = make([]time.Duration, 0, len(requests)*n)
	for i := range requests {
		r := &requests[i]
		head, err := Head("POST", "/v1/completions", to.Host, http.Header{"X-Request-Id": {r.ID}, "Content-Type": {"application/json"}}, len(body))
		if err != nil {
			return nil, err
		}
		var count tokens.Counter
		x, err := conn.Do(context.Background(), &Request{Head: head, Body: body, Stream: true, FirstByteWithin: time.Minute, StallWithin: time.Minute},
			func(p Piece) {
				if p.Kind != stream.Data || count.Chunk(p.Data) == 0 {
					return
				}
				r.At = append(r.At, p.At)
				late = append(late, p.Late)
				if p.Merged {
					r.Merged++
				}
			})
		if err != nil {
			return nil, fmt.Errorf("%w: %+v", err, x)
		}
		if r.Sent, r.Unstamped = x.Sent, !x.Stamped; x.Status != http.StatusOK {
			return nil, fmt.Errorf("status %d", x.Status)
		}
	}
	return late, nil
}

var reader = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000}}

// streamOfReader is the peer: it only takes the time when a Read has returned, and counts the frames in what was read.
func streamOfReader(clock request.Clock, to *url.URL, requests []timed, n int) (late []time.Duration, err error) {
	body := bodyOf(n)
	buf := make([]byte, 4096)
	for i := range requests {
		r := &requests[i]
		q, err := http.NewRequest("POST", to.String()+"/v1/completions", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("X-Request-Id", r.ID)
		r.Sent = clock.Now()
		a, err := reader.Do(q)
		if err != nil {
			return nil, err
		}
		for {
			k, err := a.Body.Read(buf)
			now := clock.Now()
			for range bytes.Count(buf[:k], []byte("\n\n")) {
				if len(r.At) < n { // the end mark is no token
					r.At = append(r.At, now)
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, err
			}
		}
		a.Body.Close()
		if a.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("status %d", a.StatusCode)
		}
	}
	return nil, nil
}
