//go:build linux

package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/probes/truth"
)

// What does the whole client cost and how near is it to the truth, beside the client that one would write over net/http, which
// counts frames and keeps nothing? Each is a process of its own, as the server is. Package wire has the same for the hot path
// alone.
//
//	PITWALL_NEAR=1 go test -run Near -v ./probes/load

func TestMain(m *testing.M) {
	switch os.Getenv("PITWALL_NEAR_ROLE") {
	case "":
		os.Exit(m.Run())
	case "truth":
		if err := truth.Run(context.Background(), os.Stdin, os.Stdout); err != nil {
			fatal(err)
		}
	case "client":
		wholeClient()
	case "reader":
		bareReader()
	case "nofiles":
		withoutFiles()
	case "noports":
		withoutPorts()
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func role(ctx context.Context, name string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), "PITWALL_NEAR_ROLE="+name), env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// cost is what a client's process says of its work.
type cost struct {
	CPU, RSS float64 // seconds and MB
	Tokens   int
	TTFT     map[string]time.Duration // by request id, of the client's own reckoning
	LagP99   time.Duration
	Bound    string
}

func used() cost {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		fatal(err)
	}
	c := cost{CPU: float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9, TTFT: map[string]time.Duration{}}
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(v)[0], 64)
			c.RSS = kb / 1024
		}
	}
	return c
}

func task() (streams, tokens int) {
	fmt.Sscan(os.Getenv("PITWALL_NEAR_WORK"), &streams, &tokens)
	return streams, tokens
}

// wholeClient is this package: examining, prompts, records, series, self-watch.
func wholeClient() {
	streams, tokens := task()
	s, err := load.Examine(context.Background(), load.Target{URL: os.Getenv("PITWALL_NEAR_URL")})
	if err != nil {
		fatal(err)
	}
	var records []*request.Record
	c := load.New(s, load.Options{Each: func(r *request.Record) { records = append(records, r) }})
	p := closedLoop(streams, 16, tokens)
	p.API, p.Stop.Requests = shape.Completions, 2*streams
	if err := c.Set(context.Background(), p, 1); err != nil {
		fatal(err)
	}
	src := c.Source()
	for idle := c.Idle(); idle != nil; {
		select {
		case <-idle:
			idle = nil
		case <-time.After(time.Second): // as a recorder would
			src.Read(context.Background())
		}
	}
	st := c.State()
	out := used()
	out.LagP99, out.Bound = st.LagP99, st.Runs[0].Bound
	for _, r := range records {
		if r.Class != request.OK {
			fatal(fmt.Errorf("%s %s", r.Class, r.Message))
		}
		out.Tokens += r.Tokens()
		d, _ := r.TTFT()
		out.TTFT[strconv.Itoa(int(r.Prompt))] = d
	}
	c.Close()
	_ = json.NewEncoder(os.Stdout).Encode(out)
}

// bareReader stamps on read and counts frames.
func bareReader() {
	streams, tokens := task()
	url := os.Getenv("PITWALL_NEAR_URL")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000}}
	body := fmt.Appendf(nil, `{"model":"truth","prompt":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16],"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true},"max_tokens":%d,"ignore_eos":true}`, tokens)
	var mu sync.Mutex
	ttft := map[string]time.Duration{}
	var wg sync.WaitGroup
	frames := 0
	for i := range streams {
		wg.Go(func() {
			buf := make([]byte, 4096)
			for k := range 2 {
				id := strconv.Itoa(2*i + k)
				q, _ := http.NewRequest("POST", url+"/v1/completions", bytes.NewReader(body))
				q.Header.Set("Content-Type", "application/json")
				q.Header.Set("X-Request-Id", "reader-1-"+id)
				sent := time.Now()
				a, err := client.Do(q)
				if err != nil {
					fatal(err)
				}
				n := 0
				var first time.Duration
				for {
					k, err := a.Body.Read(buf)
					if n == 0 && k > 0 {
						first = time.Since(sent)
					}
					n += bytes.Count(buf[:k], []byte("\n\n"))
					if err == io.EOF {
						break
					} else if err != nil {
						fatal(err)
					}
				}
				a.Body.Close()
				mu.Lock()
				frames += n
				ttft[id] = first
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	out := used()
	out.TTFT, out.Tokens = ttft, 2*streams*tokens
	if frames < out.Tokens {
		fatal(fmt.Errorf("%d frames of %d", frames, out.Tokens))
	}
	_ = json.NewEncoder(os.Stdout).Encode(out)
}

// result is one client's cost and error.
type result struct {
	cost
	per1000  float64
	p50, p99 time.Duration
	first    time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("%.4f CPU-s per 1,000 tokens, %.0f MB, TTFT error p50 %v p99 %v, first request %v after start, lag p99 %v %s", r.per1000, r.RSS, r.p50, r.p99, r.first, r.LagP99, r.Bound)
}

func measure(t testing.TB, who string, streams, tokens int, gap time.Duration) (r result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	server, err := truth.Start(ctx, role(ctx, "truth"), truth.Plan{TTFT: 50 * time.Millisecond, Gap: gap})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	var out bytes.Buffer
	cmd := role(ctx, who, "PITWALL_NEAR_URL="+server.URL, fmt.Sprintf("PITWALL_NEAR_WORK=%d %d", streams, tokens))
	cmd.Stdout = &out
	began := request.NewClock().Now()
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &r.cost); err != nil {
		t.Fatal(err)
	}
	answers, err := server.Answers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var wrong []time.Duration
	first := request.Time(math.MaxInt64)
	for i := range answers {
		a := &answers[i]
		first = min(first, a.Arrived)
		d, known := r.TTFT[a.ID[strings.LastIndexByte(a.ID, '-')+1:]]
		true, ok := a.TTFT()
		if !known || !ok {
			t.Fatalf("request %s: no TTFT", a.ID)
		}
		wrong = append(wrong, (d - true).Abs())
	}
	slices.Sort(wrong)
	at := func(q float64) time.Duration { return wrong[int(q*float64(len(wrong)-1))].Round(time.Microsecond) }
	r.p50, r.p99, r.per1000, r.first = at(0.5), at(0.99), r.CPU/float64(r.Tokens)*1000, first.Sub(began).Round(time.Millisecond)
	return r
}

// TestNearTheCostOfAReaderOverNetHTTP holds the budget: of three tries the best counts, because the machine has other work.
func TestNearTheCostOfAReaderOverNetHTTP(t *testing.T) {
	if os.Getenv("PITWALL_NEAR") == "" {
		t.Skip("NOT TESTED HERE, what the client costs takes a minute and wants the machine for itself: PITWALL_NEAR=1, as .ci/run sets it")
	}
	for _, c := range []struct {
		streams, tokens int
		gap             time.Duration
	}{{64, 250, 20 * time.Millisecond}, {256, 80, 50 * time.Millisecond}, {1000, 24, 200 * time.Millisecond}} {
		t.Run(fmt.Sprintf("%d streams", c.streams), func(t *testing.T) {
			for range 3 {
				ours, theirs := measure(t, "client", c.streams, c.tokens, c.gap), measure(t, "reader", c.streams, c.tokens, c.gap)
				t.Logf("\nclient %v\nreader %v", ours, theirs)
				if ours.per1000 <= 1.1*theirs.per1000 && ours.RSS <= 60 && ours.first <= 100*time.Millisecond && 3*ours.p50 <= theirs.p50 && 3*ours.p99 <= theirs.p99 {
					return
				}
			}
			t.Error("three tries did not keep the budget: 1.1 times the CPU, 60 MB, 100 ms to the first request, TTFT 3 times nearer")
		})
	}
}

// TestNearTheScheduleOfAnOpenLoop holds the send lag below 1 ms at p99 where a core is free: of five tries the best counts.
func TestNearTheScheduleOfAnOpenLoop(t *testing.T) {
	if os.Getenv("PITWALL_NEAR") == "" {
		t.Skip("NOT TESTED HERE, the schedule wants the machine for itself: PITWALL_NEAR=1, as .ci/run sets it")
	}
	server, err := truth.Start(t.Context(), role(t.Context(), "truth"), truth.Plan{TTFT: 20 * time.Millisecond, Gap: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r := newRig(t, examine(t, server.URL))
	for try := range uint32(5) {
		p := openLoop(100, 64, 8)
		p.Stop.After = 3 * time.Second
		r.set(t, p, try+1)
		r.wait(t)
		tally := r.whole(t, try+1)
		var lags []time.Duration
		for _, rec := range r.of(try + 1) {
			lag, _ := rec.Lag()
			if lag < 0 {
				t.Fatalf("sent %v early", -lag)
			}
			lags = append(lags, lag)
		}
		slices.Sort(lags)
		p50, p99 := lags[len(lags)/2], lags[len(lags)*99/100]
		t.Logf("%s: lag p50 %v, p99 %v, most %v", named(tally), p50, p99, lags[len(lags)-1])
		if p99 < time.Millisecond {
			return
		}
	}
	t.Error("no try had its p99 below 1 ms")
}
