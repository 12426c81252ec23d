//go:build cgo && linux

package gpu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/prometheus/common/model"

	"pitwall/probes"
)

// The tests of NVML run go-nvml for real, against the library that testdata/nvml.c makes. A process binds to the
// first library that it loads, so each scenario is a process of its own: this test binary again, told by the environment.

const (
	childLibrary = "PITWALL_TEST_NVML"     // the library to open; makes a child
	childCall    = "PITWALL_TEST_RAW_CALL" // calls a function with no look at the capability table
)

func TestMain(m *testing.M) {
	if lib := os.Getenv(childLibrary); lib != "" {
		child(lib)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// childReading is a Reading in the form that goes over the pipe.
type childReading struct {
	Samples map[string]float64
	Facts   map[string]string
	Absent  map[string]string
	Events  []probes.Event
	Err     string
	Took    time.Duration
}

// child obeys the lines of its input: wait, read, close.
func child(lib string) {
	if os.Getenv(childCall) != "" {
		api := nvml.New(nvml.WithLibraryPath(lib))
		fmt.Println(int(api.Init()))
		d, _ := api.DeviceGetHandleByIndex(0)
		_, _, _ = d.GetMigMode()
		fmt.Println("still there")
		return
	}
	c := Open(Options{Library: lib, Hostname: "box", Process: func(pid int) (string, string, string) {
		if pid == 4242 {
			return "engine_core", "VLLM::EngineCore", "127.0.0.1:8000"
		}
		return "", "", ""
	}})
	src, err := probes.FromCollector("dcgm", "box", c)
	if err != nil {
		panic(err)
	}
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var answer childReading
		switch in.Text() {
		case "wait":
			if err := c.Wait(context.Background()); err != nil {
				answer.Err = err.Error()
			}
		case "read":
			r := src.Read(context.Background())
			answer = childReading{map[string]float64{}, r.Facts, r.Absent, r.Events, "", r.Took}
			for _, s := range r.Samples {
				// As in a query: the name, then the labels in their order.
				name := s.Labels.Get(model.MetricNameLabel)
				rest := s.Labels.MatchLabels(false, model.MetricNameLabel)
				answer.Samples[name+rest.String()] = s.Value
			}
			if r.Err != nil {
				answer.Err = r.Err.Error()
			}
		case "close":
			began := time.Now()
			if err := c.Close(); err != nil {
				answer.Err = err.Error()
			}
			answer.Took = time.Since(began)
		}
		if err := out.Encode(answer); err != nil {
			panic(err)
		}
	}
}

// box is a child and the file that says what its GPUs are like.
type box struct {
	t       *testing.T
	control string
	in      io.WriteCloser
	out     *json.Decoder
	events  []probes.Event
}

func newBox(t *testing.T, lib string, control ...string) *box {
	t.Helper()
	b := &box{t: t, control: filepath.Join(t.TempDir(), "control")}
	b.set(control...)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childLibrary+"="+lib, "FAKE_NVML="+b.control)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if b.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	b.out = json.NewDecoder(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.set() // frees what hangs
		b.in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process that reads NVML ended badly: %v\n%s", err, stderr.String())
		}
	})
	return b
}

// set replaces the control file in one step, because the library may be reading it.
func (b *box) set(lines ...string) {
	next := b.control + ".next"
	if err := os.WriteFile(next, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(next, b.control); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) do(command string) childReading {
	b.t.Helper()
	if _, err := fmt.Fprintln(b.in, command); err != nil {
		b.t.Fatalf("%s: %v", command, err)
	}
	var r childReading
	if err := b.out.Decode(&r); err != nil {
		b.t.Fatalf("%s: the process that reads NVML is gone: %v", command, err)
	}
	b.events = append(b.events, r.Events...)
	return r
}

// until reads until the condition holds, for ten seconds at most.
func (b *box) until(what string, ok func(childReading) bool) childReading {
	b.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		r := b.do("read")
		if ok(r) {
			return r
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("not within 10 s: %s\nabsent: %v\nfacts: %v\nevents: %v", what, r.Absent, r.Facts, b.events)
		}
		<-tick.C
	}
}

func (b *box) event(kind string) *probes.Event {
	for i, e := range b.events {
		if e.Kind == kind {
			return &b.events[i]
		}
	}
	return nil
}

// fakeLibrary compiles testdata/nvml.c.
func fakeLibrary(t *testing.T, flags ...string) string {
	t.Helper()
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	if _, err := exec.LookPath(strings.Fields(cc)[0]); err != nil {
		t.Skipf("SKIPPED, NVML IS NOT TESTED: no C compiler for the fake libnvidia-ml.so (CC=%q): %v", cc, err)
	}
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/NVIDIA/go-nvml/pkg/nvml").Output()
	if err != nil {
		t.Fatalf("finding nvml.h: %v", err)
	}
	lib := filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	args := append(strings.Fields(cc)[1:], "-shared", "-fPIC", "-O1", "-Wall", "-DNVML_NO_UNVERSIONED_FUNC_DEFS=1",
		"-I", strings.TrimSpace(string(dir)), "-o", lib)
	args = append(append(args, flags...), "testdata/nvml.c", "-lpthread")
	if out, err := exec.Command(strings.Fields(cc)[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("compiling the fake NVML: %v\n%s", err, out)
	}
	return lib
}
