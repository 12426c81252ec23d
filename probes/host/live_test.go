//go:build linux

package host

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// play makes this test binary act as a process of an engine: "serve" listens on a port of the loopback and starts a
// worker, "worker" does nothing. Both end when their input does.
const play = "PITWALL_TEST_PLAY"

func TestMain(m *testing.M) {
	switch os.Getenv(play) {
	case "serve":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		w, in, out, err := act("worker", "VLLM::Worker_TP0")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		bufio.NewReader(out).ReadString('\n')
		fmt.Printf("%d %d\n", l.Addr().(*net.TCPAddr).Port, w.Process.Pid)
		io.Copy(io.Discard, os.Stdin)
		in.Close()
		w.Wait()
		os.Exit(0)
	case "worker":
		fmt.Println("up")
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// act starts this binary in a role, under an argument vector of its own.
func act(role string, argv ...string) (*exec.Cmd, io.WriteCloser, io.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd := &exec.Cmd{Path: self, Args: argv, Env: append(os.Environ(), play+"="+role, "CUDA_VISIBLE_DEVICES=2,3"), Stderr: os.Stderr}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	return cmd, in, out, cmd.Start()
}

// TestOnTheKernelsOwnProc: real processes, real sockets, a real /proc.
func TestOnTheKernelsOwnProc(t *testing.T) {
	cmd, in, out, err := act("serve", "/opt/bin/vllm", "serve", "some/model", "--port", "1", "--api-key", "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	var port, worker int
	if _, scanErr := fmt.Sscan(line, &port, &worker); err != nil || scanErr != nil {
		t.Fatalf("the server said %q: %v", line, err)
	}
	r := read(t, Options{})
	rd := r.next()
	engine := fmt.Sprintf("127.0.0.1:%d", port)
	pid := cmd.Process.Pid
	if got := value(t, rd, fmt.Sprintf(`pitwall_process_threads{engine=%q,pid="%d",role="api_server",title="vllm serve"}`, engine, pid)); got < 1 {
		t.Errorf("%v threads", got)
	}
	if got := value(t, rd, fmt.Sprintf(`pitwall_process_resident_memory_bytes{engine=%q,pid="%d",rank="TP0",role="worker",title="VLLM::Worker_TP0"}`, engine, worker)); got < 1<<20 {
		t.Errorf("RSS %v bytes", got)
	}
	all, err := Processes("/proc")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(p Process) bool { return p.PID == pid })
	j := slices.IndexFunc(all, func(p Process) bool { return p.PID == worker })
	if i < 0 || j < 0 {
		t.Fatalf("not found in %+v", all)
	}
	s := all[i]
	if s.Root != pid || all[j].Root != pid || !slices.Equal(s.Ports, []int{port}) || s.Env["CUDA_VISIBLE_DEVICES"] != "2,3" || s.Denied || s.UID != os.Geteuid() {
		t.Errorf("%+v", s)
	}
	if strings.Contains(fmt.Sprintf("%+v", all), "hunter2") {
		t.Error("the API key was handed out")
	}
	// The kernel gives the boot time in whole seconds.
	if d := time.Since(s.Start); d < -2*time.Second || d > time.Minute {
		t.Errorf("started %s ago", d)
	}

	in.Close()
	cmd.Wait()
	for _, s := range r.next().Samples {
		if p := s.Labels.Get("pid"); p == fmt.Sprint(pid) || p == fmt.Sprint(worker) {
			t.Errorf("still there after its end: %s", s.Labels)
		}
	}
}
