package truth

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkAThousandStreams is a thousand streams of 50 tokens a second from a server in a process of its own: how late pieces
// leave, how long a write takes, and what part of a core the server needs.
func BenchmarkAThousandStreams(b *testing.B) {
	const streams, tokens = 1000, 150
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		plan Plan
	}{
		{"spread", Plan{TTFT: time.Second, Gap: 20 * time.Millisecond, Spread: 20 * time.Millisecond, Tokens: tokens}},
		{"steps", Plan{TTFT: time.Second, Gap: 20 * time.Millisecond, Steps: true, Tokens: tokens}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				cmd := exec.Command(exe)
				cmd.Env = append(os.Environ(), "PITWALL_TRUTH_CHILD=1")
				server, err := Start(b.Context(), cmd, c.plan)
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				var all sync.WaitGroup
				for i := range streams {
					conn, err := net.Dial("tcp", server.URL[len("http://"):])
					if err != nil {
						b.Fatal(err)
					}
					all.Go(func() {
						defer conn.Close()
						body := `{"prompt":[1,2,3],"stream":true,"return_token_ids":true}`
						fmt.Fprintf(conn, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\nContent-Length: %d\r\n\r\n%s", i, len(body), body)
						in := bufio.NewReader(conn)
						for {
							line, err := in.ReadSlice('\n')
							if err != nil {
								b.Error(err)
								return
							}
							if string(line) == "data: [DONE]\n" {
								return
							}
						}
					})
				}
				all.Wait()
				took := time.Since(began)
				answers, err := server.Answers(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				server.Close()
				if len(answers) != streams {
					b.Fatalf("%d answers", len(answers))
				}
				var late, took1 []time.Duration
				for _, a := range answers {
					if a.Tokens != tokens {
						b.Fatalf("an answer of %d tokens", a.Tokens)
					}
					plan := c.plan.filled()
					f := flow{server: &Server{}, plan: &plan, answer: &a, stream: true}
					f.start()
					for i, x := range a.Chunks {
						late = append(late, x.At.Sub(f.begin)-time.Duration(i)*c.plan.Gap)
						took1 = append(took1, x.Took)
					}
				}
				slices.Sort(late)
				slices.Sort(took1)
				cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
				b.ReportMetric(cpu.Seconds()/took.Seconds(), "cores")
				b.ReportMetric(float64(late[len(late)/2].Microseconds()), "late-p50-µs")
				b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "late-p99-µs")
				b.ReportMetric(float64(took1[len(took1)/2].Microseconds()), "write-p50-µs")
				b.ReportMetric(float64(took1[len(took1)*99/100].Microseconds()), "write-p99-µs")
			}
		})
	}
}
