//go:build linux

package load_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/probes/truth"
)

// What this host runs out of is not the server's fault, and has classes of its own. Each needs a process of its own, because the
// limits are the process's.

// starve runs the client in a process whose files or ports are few, and gives what it says.
func starve(t *testing.T, name string, attr *syscall.SysProcAttr) (load.Tally, string) {
	t.Helper()
	cmd := role(t.Context(), name)
	cmd.SysProcAttr = attr
	out, err := cmd.Output()
	if err != nil {
		if attr != nil {
			t.Skipf("NOT TESTED: no network namespace of one's own here: %v %s", err, out)
		}
		t.Fatalf("%v: %s", err, out)
	}
	var got struct {
		Tally load.Tally
		Bound string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return got.Tally, got.Bound
}

func TestFileDescriptorsRunOutInMidRun(t *testing.T) {
	tally, _ := starve(t, "nofiles", nil)
	if tally.Class[request.NoFiles] == 0 || tally.Class[request.OK] == 0 || tally.Begun != tally.Ends() || tally.Failed() != tally.Class[request.NoFiles] {
		t.Errorf("%s %q", named(tally), tally.First)
	}
	if m := tally.First[request.NoFiles]; !strings.Contains(m, "ulimit -n") {
		t.Errorf("no hint: %q", m)
	}
}

func TestLocalPortsRunOutInMidRun(t *testing.T) {
	tally, _ := starve(t, "noports", &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	})
	if tally.Class[request.NoPorts] == 0 || tally.Class[request.OK] == 0 || tally.Begun != tally.Ends() || tally.Failed() != tally.Class[request.NoPorts] {
		t.Errorf("%s %q", named(tally), tally.First)
	}
	if m := tally.First[request.NoPorts]; !strings.Contains(m, "ip_local_port_range") {
		t.Errorf("no hint: %q", m)
	}
}

// run sends load until both some good and some of class have ended, and prints the tally. spoil is called once it runs.
func run(p shape.Point, class request.Class, plan truth.Plan, spoil func()) {
	// The server is another process, or it would be starved too.
	s, err := truth.Start(context.Background(), role(context.Background(), "truth"), plan)
	if err != nil {
		fatal(err)
	}
	defer s.Close()
	server, err := load.Examine(context.Background(), load.Target{URL: s.URL})
	if err != nil {
		fatal(err)
	}
	c := load.New(server, load.Options{})
	if err := c.Set(context.Background(), p, 1); err != nil {
		fatal(err)
	}
	wait := func(what string, ok func(load.Tally) bool) {
		for end := time.Now().Add(15 * time.Second); ; time.Sleep(time.Millisecond) {
			st := c.State()
			if tally, _ := st.Of(1); ok(tally) {
				return
			} else if time.Now().After(end) {
				fatal(fmt.Errorf("never came: %s; %s %q", what, named(tally), tally.First))
			}
		}
	}
	wait("good ones", func(t load.Tally) bool { return t.Class[request.OK] >= 10 })
	spoil()
	wait(class.String(), func(t load.Tally) bool { return t.Class[class] >= 3 })
	c.Stop()
	<-c.Idle()
	st := c.State()
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"Tally": st.Runs[0], "Bound": st.Bound})
}

func withoutFiles() {
	p := closedLoop(4, 16, 2)
	p.Fresh = true // so that connections are needed all the time
	run(p, request.NoFiles, truth.Plan{TTFT: time.Millisecond}, func() {
		var l unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			fatal(err)
		}
		l.Cur = 64
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			fatal(err)
		}
		// Takes them all, also those that the clients give back now and then.
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
			_, _ = unix.Open("/dev/null", unix.O_RDONLY, 0)
		}
	})
}

func withoutPorts() {
	// The loopback of a network of its own is down, and has all ports.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		fatal(err)
	}
	req, err := unix.NewIfreq("lo")
	if err != nil {
		fatal(err)
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		fatal(err)
	}
	unix.Close(fd)
	p := closedLoop(2, 16, 2)
	p.Fresh = true
	// Each connection that this side closes first keeps its port for a minute.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40063"), 0); err != nil {
		fatal(err)
	}
	run(p, request.NoPorts, truth.Plan{}, func() {})
}
