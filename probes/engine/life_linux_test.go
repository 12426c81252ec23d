package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
	"pitwall/probes/host"
)

// TestMain lets the test binary play a "vllm serve" whose process is to be found: it is started under that name, says that
// it is there, waits for a line, opens its port, says so, and serves a recorded page until it is killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && filepath.Base(os.Args[0]) == "vllm" && os.Args[1] == "serve" {
		if err := playServer(os.Args[3]); err != nil {
			fmt.Println("ERROR", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func playServer(port string) error {
	say := os.NewFile(3, "say")
	page, err := os.ReadFile("testdata/vllm-0.32-after.prom")
	if err != nil {
		return err
	}
	fmt.Println("INFO loading weights")
	fmt.Fprintln(say, "there")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return fmt.Errorf("RuntimeError: Engine core initialization failed: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	fmt.Fprintln(say, "open")
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			w.Header().Set("Content-Type", textType)
			w.Write(page)
		}
	}))
}

// played is such a server.
type played struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  *bufio.Reader
}

func play(t *testing.T, port int, log *os.File) *played {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &played{cmd: &exec.Cmd{Path: exe, Args: []string{"vllm", "serve", "--port", strconv.Itoa(port), "--max-num-seqs", "8", "--api-key", "hunter2"}, Stdout: log, Stderr: log}}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.ExtraFiles = []*os.File{w}
	p.said = bufio.NewReader(r)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		r.Close()
	})
	p.hear(t, "there")
	return p
}

func (p *played) hear(t *testing.T, want string) {
	t.Helper()
	if got, err := p.said.ReadString('\n'); err != nil || strings.TrimSpace(got) != want {
		t.Fatalf("the played server said %q, %v; want %q", got, err, want)
	}
}

func (p *played) open(t *testing.T) {
	t.Helper()
	fmt.Fprintln(p.stdin)
	p.hear(t, "open")
}

func TestALifeOfAnEngineThroughItsRealProcess(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	log, err := os.Create(filepath.Join(t.TempDir(), "vllm.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	instance := fmt.Sprintf("127.0.0.1:%d", port)
	w := watch(t, Options{URLs: []string{instance}, Servers: func() ([]Server, error) {
		ps, err := host.Processes("/proc")
		return ServersOf(ps), err
	}})
	s := w.Engines()[0]
	see := func(want State, reason string) probes.Reading {
		t.Helper()
		w.look(time.Now())
		r := s.Read(context.Background())
		if st := s.Status(); st.State != want || !strings.Contains(st.Reason, reason) {
			t.Fatalf("%s: %s, want %s: %s", st.State, st.Reason, want, reason)
		}
		return r
	}
	see(NoEngine, "no engine process is there")

	first := play(t, port, log)
	see(Starting, fmt.Sprintf("process %d is there, port %d is not open yet", first.cmd.Process.Pid, port))
	first.open(t)
	r := see(Ready, "")
	for name, want := range map[string]string{
		"pid": fmt.Sprint(first.cmd.Process.Pid), "flags": fmt.Sprintf("--port %d --max-num-seqs 8", port), "max_num_seqs": "8", "log": "file " + log.Name(),
	} {
		if got := r.Facts["engine/"+instance+"/"+name]; got != want {
			t.Errorf("fact %s is %q, want %q", name, got, want)
		}
	}
	first.cmd.Process.Kill()
	first.cmd.Wait()
	r = see(NoEngine, fmt.Sprintf("process %d is gone", first.cmd.Process.Pid))
	if len(r.Events) != 1 || r.Events[0].Severity != probes.Critical || r.Events[0].Attrs["log"] != "INFO loading weights" {
		t.Errorf("events %+v", r.Events)
	}

	failing := play(t, port, log)
	see(Starting, "")
	failing.stdin.Close()
	failing.cmd.Wait()
	r = see(NoEngine, "ended before it was ready")
	if len(r.Events) != 1 || !strings.Contains(r.Events[0].Attrs["log"], "Engine core initialization failed") || !strings.HasPrefix(r.Events[0].Title, "start failed") {
		t.Errorf("events %+v", r.Events)
	}

	again := play(t, port, log)
	again.open(t)
	see(Restarted, fmt.Sprintf("process %d instead of %d", again.cmd.Process.Pid, first.cmd.Process.Pid))
}
