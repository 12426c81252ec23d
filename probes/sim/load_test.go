package sim

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// asServer makes the test binary serve a simulation for a benchmark, so that the server's CPU time can be told from the
// client's.
const asServer = "TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) == "" {
		os.Exit(m.Run())
	}
	runtime.GOMAXPROCS(1)
	o := Options{Quiet: true, Config: Config{MaxNumSeqs: 1024, Blocks: 70000}}
	if step, err := time.ParseDuration(os.Getenv(asServer)); err == nil {
		o.Config.Steps = &StepTimes{Parameters: 1, WeightBytes: 1, KVBytesPerToken: 1, Bandwidth: 1e12, Compute: 1e12, BandwidthShare: 1, ComputeShare: 1, PerStep: step}
	}
	s, err := Start(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.addr)
	// One line in is one question for the CPU time used so far.
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(u.Utime.Nano() + u.Stime.Nano())
	}
	_ = s.Close()
}

// BenchmarkAThousandStreams serves 1,000 streams in real time on one core, and reports what share of that core the server
// takes, and how many events there were per token: below 1 where several tokens had to go out in one event because the server
// was late. With the step times of Llama-3-8B on an A100 a batch of 1,000 steps about ten times a second.
func BenchmarkAThousandStreams(b *testing.B) {
	b.Run("Llama-3-8B on an A100", func(b *testing.B) { thousandStreams(b, "a100") })
	b.Run("a step every 25 ms", func(b *testing.B) { thousandStreams(b, "25ms") })
}

func thousandStreams(b *testing.B, steps string) {
	const streams = 1000
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asServer+"="+steps)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	outPipe, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	out := bufio.NewScanner(outPipe)
	line := func() string {
		if !out.Scan() {
			b.Fatal("the server ended")
		}
		return out.Text()
	}
	addr := line()
	cpu := func() time.Duration {
		fmt.Fprintln(in, "cpu")
		var n int64
		if _, err := fmt.Sscan(line(), &n); err != nil {
			b.Fatal(err)
		}
		return time.Duration(n)
	}

	var events, tokens atomic.Int64
	var ready, all sync.WaitGroup
	ready.Add(streams)
	conns := make([]net.Conn, streams)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = c
		body := fmt.Sprintf(`{"prompt": [%d, 5, 6, 7, 8, 9, 10, 11], "max_tokens": 8000, "ignore_eos": true, "stream": true, "return_token_ids": true}`, 300+i)
		fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		all.Go(func() {
			first := true
			buf := make([]byte, 16<<10)
			for {
				n, err := c.Read(buf)
				if err != nil {
					if err != io.EOF && !strings.Contains(err.Error(), "closed") {
						b.Error(err)
					}
					return
				}
				got := bytes.Count(buf[:n], []byte("data: "))
				if first && got > 0 {
					first = false
					ready.Done()
				}
				events.Add(int64(got))
				at := buf[:n]
				for {
					i := bytes.Index(at, []byte(`,"token_ids":[`))
					if i < 0 {
						break
					}
					at = at[i+len(`,"token_ids":[`):]
					end := bytes.IndexByte(at, ']')
					tokens.Add(1 + int64(bytes.Count(at[:max(0, end)], []byte(","))))
				}
			}
		})
	}
	ready.Wait()
	for b.Loop() {
		e, t, c, start := events.Load(), tokens.Load(), cpu(), time.Now()
		time.Sleep(5 * time.Second) // the benchmark's length, not a wait for something
		wall := time.Since(start).Seconds()
		cores := (cpu() - c).Seconds() / wall
		if cores > 1 {
			b.Errorf("1,000 streams take %.2f cores", cores)
		}
		b.ReportMetric(cores, "cores")
		b.ReportMetric(float64(tokens.Load()-t)/wall, "tokens/s")
		b.ReportMetric(float64(events.Load()-e)/float64(tokens.Load()-t), "events/token")
	}
	for _, c := range conns {
		_ = c.Close()
	}
	all.Wait()
}
