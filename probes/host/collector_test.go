//go:build linux

package host

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pitwall/probes"
)

var _ probes.Teller = (*Collector)(nil)

func TestAReadingOfARealMachine(t *testing.T) {
	tr := plant(t)
	r := read(t, tr.options())
	first := r.next()
	if why := first.Absent["pitwall_cpu_busiest_core_ratio"]; why != "needs two readings" {
		t.Errorf("the first reading can't know the busiest core; it says %q", why)
	}
	rd := r.next()
	for series, want := range map[string]float64{
		`node_boot_time_seconds`:                           bootedAt,
		`pitwall_cpu_count`:                                2,
		`node_disk_read_bytes_total{device="vda"}`:         field(t, tr, "proc/diskstats", "vda", 5) * 512,
		`node_disk_written_bytes_total{device="vda"}`:      field(t, tr, "proc/diskstats", "vda", 9) * 512,
		`node_disk_io_time_seconds_total{device="vda"}`:    field(t, tr, "proc/diskstats", "vda", 12) / 1000,
		`node_network_receive_bytes_total{device="eth0"}`:  field(t, tr, "proc/net/dev", "eth0:", 1),
		`node_network_transmit_bytes_total{device="eth0"}`: field(t, tr, "proc/net/dev", "eth0:", 9),
		`node_network_transmit_bytes_total{device="lo"}`:   field(t, tr, "proc/net/dev", "lo:", 9),
		`node_memory_MemTotal_bytes`:                       field(t, tr, "proc/meminfo", "MemTotal:", 1) * 1024,
		`node_memory_MemAvailable_bytes`:                   field(t, tr, "proc/meminfo", "MemAvailable:", 1) * 1024,
		`node_memory_Shmem_bytes`:                          field(t, tr, "proc/meminfo", "Shmem:", 1) * 1024,
		`node_load5`:                                       field(t, tr, "proc/loadavg", "", 1),
		`node_vmstat_oom_kill`:                             0,
		`node_vmstat_pswpin`:                               field(t, tr, "proc/vmstat", "pswpin", 1),
		`node_cpu_seconds_total{mode="user"}`:              field(t, tr, "proc/stat", "cpu", 1) / 100,
		`node_cpu_seconds_total{mode="steal"}`:             field(t, tr, "proc/stat", "cpu", 8) / 100,
		`node_pressure_cpu_waiting_seconds_total`:          psi(t, tr, "cpu", "some"),
		`node_pressure_io_stalled_seconds_total`:           psi(t, tr, "io", "full"),
		`pitwall_process_cpu_seconds_total{engine="127.0.0.1:8000",pid="8079",role="worker",title="VLLM::Worker"}`: (field(t, tr, "proc/8079/stat", "8079", 13) +
			field(t, tr, "proc/8079/stat", "8079", 14)) / 100,
		`pitwall_process_threads{engine="127.0.0.1:8000",pid="8067",role="engine_core",title="VLLM::EngineCore"}`:     15,
		`pitwall_process_start_time_seconds{engine="127.0.0.1:8000",pid="8033",role="api_server",title="vllm serve"}`: bootedAt + 357,
		`pitwall_cgroup_memory_usage_bytes{of="engine",path="/system.slice/vllm.service"}`:                            field(t, tr, "sys/fs/cgroup/memory/system.slice/vllm.service/memory.usage_in_bytes", "", 0),
		`pitwall_cgroup_oom_kills_total{of="pitwall",path="/user.slice/user-1000.slice"}`:                             0,
	} {
		if got := value(t, rd, series); math.Abs(got-want) > 1e-6 {
			t.Errorf("%s = %v, want %v", series, got, want)
		}
	}
	for _, s := range rd.Samples {
		n := seriesName(s)
		for _, never := range []string{"loop", "zram", "ifb0", "cpu="} {
			if strings.Contains(n, never) {
				t.Errorf("%s should not be there", n)
			}
		}
	}
	wantFacts := map[string]string{"host/name": "gpu01", "host/kernel": "6.18.44", "host/cpus": "2", "host/cpu_model": "AMD EPYC",
		"host/memory_bytes": "25276510208", "host/container": "none", "host/cgroup": "/user.slice/user-1000.slice"}
	if d := cmp.Diff(wantFacts, rd.Facts); d != "" {
		t.Error(d)
	}
	if why := rd.Absent[`pitwall_cgroup_memory_limit_bytes{of="engine",path="/system.slice/vllm.service"}`]; why != "no limit" {
		t.Errorf("a cgroup without a limit says %q", why)
	}
}

// field reads a whitespace-separated field, from 0, of the first line of a planted file that has a word ("" is any).
func field(t *testing.T, tr tree, file, word string, n int) float64 {
	t.Helper()
	for line := range strings.Lines(tr.content(file)) {
		f := strings.Fields(line)
		if word != "" && !slices.Contains(f, word) {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(f[n], &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Fatalf("no %s in %s", word, file)
	return 0
}

func psi(t *testing.T, tr tree, resource, line string) float64 {
	t.Helper()
	for l := range strings.Lines(tr.content("proc/pressure/" + resource)) {
		var v float64
		if _, total, ok := strings.Cut(l, "total="); ok && strings.HasPrefix(l, line) {
			fmt.Sscan(total, &v)
			return v / 1e6
		}
	}
	t.Fatal("no such line")
	return 0
}

func TestBusiestCore(t *testing.T) {
	tr := bare(t)
	stat := func(cpu0, cpu1 string) {
		tr.write("proc/stat", fmt.Sprintf("cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 %s\ncpu1 %s\nbtime %d\n", cpu0, cpu1, bootedAt))
	}
	//     user nice system idle iowait irq softirq steal
	stat("1000 0 0 5000 0 0 0 0 0 0", "1000 0 0 5000 0 0 0 0 0 0")
	r := read(t, tr.options())
	r.next()
	for _, c := range []struct {
		name       string
		cpu0, cpu1 string
		core       float64
		ratio      float64
	}{
		{"half busy beside a quarter", "1050 0 0 5050 0 0 0 0 0 0", "1025 0 0 5075 0 0 0 0 0 0", 0, .5},
		{"waiting for a disk is not busy, stolen time is", "1050 0 0 5050 100 0 0 0 0 0", "1025 0 0 5075 0 0 0 100 0 0", 1, 1},
		{"two readings within a tick keep the last answer", "1050 0 0 5050 100 0 0 0 0 0", "1025 0 0 5075 0 0 0 100 0 0", 1, 1},
		{"all kinds of work count", "1060 10 10 5060 110 10 10 10 0 0", "1025 0 0 5175 0 0 0 100 0 0", 0, .75},
		{"idle time that goes back does not make a core busy", "1060 10 10 5160 110 10 10 10 0 0", "1025 0 0 5170 100 0 0 100 0 0", 0, 0},
	} {
		stat(c.cpu0, c.cpu1)
		rd := r.next()
		if core, ratio := value(t, rd, "pitwall_cpu_busiest_core"), value(t, rd, "pitwall_cpu_busiest_core_ratio"); core != c.core || math.Abs(ratio-c.ratio) > 1e-9 {
			t.Errorf("%s: core %v at %v, want %v at %v", c.name, core, ratio, c.core, c.ratio)
		}
	}
	if cores := r.c.Cores(); len(cores) != 2 {
		t.Errorf("Cores() = %v", cores)
	}
}

func TestACounterOfIdleTimeNeverGoesBackALittle(t *testing.T) {
	tr := bare(t)
	r := read(t, tr.options())
	idle := func(ticks int) float64 {
		tr.write("proc/stat", fmt.Sprintf("cpu  0 0 0 %d 0 0 0 0 0 0\ncpu0 0 0 0 %d 0 0 0 0 0 0\nbtime %d\n", ticks, ticks, bootedAt))
		return value(t, r.next(), `node_cpu_seconds_total{mode="idle"}`)
	}
	idle(100000)
	if got := idle(99990); got != 1000 {
		t.Errorf("0.1 s back: %v, want it held at 1000", got)
	}
	if got := idle(50000); got != 500 {
		t.Errorf("half of it gone (CPUs taken away): %v, want 500, a reset", got)
	}
}

func TestWhatCantBeReadIsAbsentWithItsReason(t *testing.T) {
	for _, c := range []struct {
		name, remove, series, why string
	}{
		{"a kernel without pressure", "proc/pressure", "node_pressure_io_stalled_seconds_total", "this kernel keeps no pressure (PSI is off: boot with psi=1)"},
		{"no meminfo", "proc/meminfo", "node_memory_MemAvailable_bytes", "no such file"},
		{"no diskstats", "proc/diskstats", "node_disk_read_bytes_total", "no such file"},
		{"no vmstat", "proc/vmstat", "node_vmstat_pswpin", "no such file"},
		{"no network table", "proc/net", "node_network_receive_bytes_total", "no such file"},
		{"no engine", "proc/8033", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := plant(t)
			tr.remove(c.remove)
			rd := read(t, tr.options()).next()
			if c.series == "" {
				for _, pid := range []int{8067, 8079} {
					tr.kill(pid)
				}
				rd = read(t, tr.options()).next()
				c.series, c.why = "pitwall_process_cpu_seconds_total", "no engine process on this host"
			}
			if has(rd, c.series) {
				t.Errorf("%s has a sample", c.series)
			}
			if !strings.Contains(rd.Absent[c.series], c.why) {
				t.Errorf("%s is absent because %q, want %q", c.series, rd.Absent[c.series], c.why)
			}
			if !has(rd, "node_load1") {
				t.Error("the rest of the reading is gone too")
			}
		})
	}
}

func TestWithoutProcTheCollectorSaysSo(t *testing.T) {
	rd := read(t, Options{Proc: filepath.Join(t.TempDir(), "none")}).next()
	if len(rd.Samples) != 0 || !strings.Contains(rd.Absent["node_cpu_seconds_total"], "none") {
		t.Errorf("%d samples, absent %v", len(rd.Samples), rd.Absent)
	}
}

func TestProcessTellsWhoAPIDIs(t *testing.T) {
	tr := plant(t)
	r := read(t, tr.options())
	r.next()
	check := func(pid int, want string) {
		t.Helper()
		role, title, engine := r.c.Process(pid)
		if got := role + "|" + title + "|" + engine; got != want {
			t.Errorf("pid %d: %s, want %s", pid, got, want)
		}
	}
	check(8079, "worker|VLLM::Worker|127.0.0.1:8000")
	check(8031, "|bash|")
	check(99999, "|pid 99999 (gone)|")
	tr.spawn(9000, 8033, "VLLM::Worker_TP1", 999, "VLLM::Worker_TP1")
	check(9000, "worker|VLLM::Worker_TP|")
	tr.write("proc/4242/ns/pid -> pid:[4026539999]", "")
	check(8079, "worker|VLLM::Worker|127.0.0.1:8000")
	check(8031, "|pid 8031 (other namespace)|")
	check(99999, "|pid 99999 (other namespace)|")
}

func TestAScanThatHangsHoldsNothingUp(t *testing.T) {
	tr := plant(t)
	// A named pipe that nobody writes is a file whose opening never returns, as a stuck process's cmdline.
	tr.spawn(7000, 1, "stuck", 999, "stuck")
	tr.remove("proc/7000/cmdline")
	pipe := filepath.Join(tr.proc(), "7000", "cmdline")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	r := read(t, tr.options())
	begin := time.Now()
	rd := r.next()
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("the reading took %s", d)
	}
	if why := rd.Absent["pitwall_process_cpu_seconds_total"]; why != "the first look at the processes has not ended yet" {
		t.Errorf("reason %q", why)
	}
	if !has(rd, "node_load1") {
		t.Error("nothing else was read")
	}
	fd, err := unix.Open(pipe, unix.O_WRONLY, 0) // lets it go
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	for range 100 {
		if rd = r.next(); has(rd, "pitwall_process_cpu_seconds_total") {
			return
		}
	}
	t.Error("the processes never came back")
}

func TestErrandsDontPileUp(t *testing.T) {
	var e errand[int]
	var mu sync.Mutex
	calls, let := 0, make(chan struct{})
	fn := func() int {
		mu.Lock()
		calls++
		n := calls
		mu.Unlock()
		<-let
		return n
	}
	t0 := uptime(0)
	if _, ok, out := e.run(t0, time.Second, 0, fn); ok || out == 0 {
		t.Errorf("a call that is out has no result: ok %v, out %v", ok, out)
	}
	if _, ok, out := e.run(t0.Add(7*time.Second), time.Second, 0, fn); ok || out != 7*time.Second {
		t.Errorf("ok %v, out for %v, want 7s", ok, out)
	}
	close(let)
	if v, ok, out := e.run(t0.Add(8*time.Second), time.Hour, time.Minute, fn); v != 1 || !ok || out != 0 {
		t.Errorf("got %v %v %v, want the first call's 1", v, ok, out)
	}
	if v, _, _ := e.run(t0.Add(9*time.Second), time.Hour, time.Minute, fn); v != 1 {
		t.Errorf("got %v: called again before its time", v)
	}
	if v, _, _ := e.run(t0.Add(2*time.Hour), time.Hour, time.Minute, fn); v != 2 {
		t.Errorf("got %v, want a second call after an hour", v)
	}
}

func TestContainers(t *testing.T) {
	for _, c := range []struct{ name, file, content, want string }{
		{"the plain machine", "proc/4242/comm", "pitwall\n", "none"},
		{"docker leaves its file and has its own PIDs", "proc/4242/ns/pid -> pid:[4026539999]", "", "docker"},
		{"a machine image made from a container's has the file only", "proc/4242/comm", "pitwall\n", "none"},
		{"kubernetes names its cgroup", "proc/4242/cgroup", "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope\n", "kubernetes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := bare(t)
			if c.name != "the plain machine" {
				tr.write("proc/4242/root/.dockerenv", "")
			}
			tr.write(c.file, c.content)
			if got := New(tr.options()).Facts()["host/container"]; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
