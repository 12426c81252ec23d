//go:build linux

package host

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestProcessesOfARealVLLM(t *testing.T) {
	tr := plant(t)
	got, err := Processes(tr.proc())
	if err != nil {
		t.Fatal(err)
	}
	want := []Process{
		{
			PID: 8033, PPID: 8031, Kind: "vllm", Role: RoleAPIServer, Title: "vllm serve", Start: uptime(357), Root: 8033,
			Ports: []int{8000}, Listens: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8000")},
			Args: []string{"/opt/vllm/bin/python", "/opt/vllm/bin/vllm", "serve", "./smollm2", "--served-model-name",
				"HuggingFaceTB/SmolLM2-135M-Instruct", "--host", "127.0.0.1", "--port", "8000", "--dtype", "float32",
				"--enforce-eager", "--max-model-len", "2048", "--max-num-seqs", "8"},
			Env: map[string]string{"HOME": "/home/ann", "VLLM_CPU_KVCACHE_SPACE": "1"},
		},
		{PID: 8067, PPID: 8033, Kind: "vllm", Role: RoleEngineCore, Title: "VLLM::EngineCore", Start: uptime(383.52), Root: 8033},
		{PID: 8079, PPID: 8067, Kind: "vllm", Role: RoleWorker, Title: "VLLM::Worker", Start: uptime(394.08), Root: 8033},
	}
	opts := cmp.Options{
		cmpopts.IgnoreUnexported(Process{}), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	}
	if d := cmp.Diff(want, got, opts); d != "" {
		t.Error(d)
	}
	if a := got[0].Address(); a != "127.0.0.1:8000" {
		t.Errorf("Address() = %q", a)
	}
	if strings.Contains(fmt.Sprintf("%+v", got), "must-not-be-seen") {
		t.Error("a secret of the environment was handed out")
	}
}

func TestProcessesNeedsAProcTree(t *testing.T) {
	if _, err := Processes(filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("no error for a root that isn't there")
	}
}

// who gives "role rank@engine" by PID.
func who(sc scan) map[int]string {
	out := map[int]string{}
	for _, p := range sc.procs {
		s := p.Role
		if p.Rank != "" {
			s += " " + p.Rank
		}
		out[p.PID] = s + "@" + p.engine
	}
	return out
}

func scanner(t *testing.T, tr tree) *tracker {
	t.Helper()
	tk, err := newTracker(tr.proc())
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

func TestFamilies(t *testing.T) {
	serve := []string{"/usr/bin/python3", "/usr/local/bin/vllm", "serve", "m"}
	with := func(flags ...string) []string { return append(append([]string(nil), serve...), flags...) }
	for _, c := range []struct {
		name  string
		plant func(tree)
		want  map[int]string
	}{
		{
			"data-parallel ranks, tensor-parallel workers and two API servers belong to one server that only starts them",
			func(tr tree) {
				tr.spawn(100, 1, "vllm", 10, with("--data-parallel-size", "2", "--port", "9000")...)
				tr.spawn(101, 100, "VLLM::DPCoordinator", 20, "VLLM::DPCoordinator", "")
				tr.spawn(102, 100, "VLLM::EngineCore_DP0", 20, "VLLM::EngineCore_DP0", "")
				tr.spawn(103, 100, "VLLM::EngineCore_DP1", 20, "VLLM::EngineCore_DP1", "")
				tr.spawn(104, 102, "VLLM::Worker_DP0_TP0", 30, "VLLM::Worker_DP0_TP0", "")
				tr.spawn(105, 102, "VLLM::Worker_DP0_TP1_EP1", 30, "VLLM::Worker_DP0_TP1_EP1", "")
				tr.spawn(106, 100, "VLLM::APIServer_0", 30, "VLLM::APIServer_0", "")
				tr.spawn(107, 100, "VLLM::APIServer_1", 30, "VLLM::APIServer_1", "")
				tr.listen(106, 555, "00000000:2328")
			},
			map[int]string{100: "serve@127.0.0.1:9000", 101: "dp_coordinator@127.0.0.1:9000", 102: "engine_core DP0@127.0.0.1:9000",
				103: "engine_core DP1@127.0.0.1:9000", 104: "worker DP0_TP0@127.0.0.1:9000", 105: "worker DP0_TP1_EP1@127.0.0.1:9000",
				106: "api_server 0@127.0.0.1:9000", 107: "api_server 1@127.0.0.1:9000"},
		},
		{
			"a server whose port comes from a config file is known by the port that it listens on",
			func(tr tree) {
				tr.spawn(100, 1, "vllm", 10, with("--config", "c.yaml")...)
				tr.listen(100, 77, "00000000:1F91")
				tr.spawn(102, 100, "VLLM::EngineCore", 20, "VLLM::EngineCore")
			},
			map[int]string{100: "api_server@127.0.0.1:8081", 102: "engine_core@127.0.0.1:8081"},
		},
		{
			"two engines on one host keep their processes apart, and one that loads has its port from the command line",
			func(tr tree) {
				tr.spawn(100, 1, "vllm", 10, with("--port", "8000")...)
				tr.spawn(200, 1, "python3", 10, "python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "m", "--port=8001")
				tr.spawn(101, 100, "VLLM::EngineCore", 20, "VLLM::EngineCore")
				tr.spawn(201, 200, "VLLM::EngineCore", 20, "VLLM::EngineCore")
			},
			map[int]string{100: "api_server@127.0.0.1:8000", 101: "engine_core@127.0.0.1:8000", 200: "api_server@127.0.0.1:8001", 201: "engine_core@127.0.0.1:8001"},
		},
		{
			"a shell, sudo, uv, docker and a program that only names vllm are not servers",
			func(tr tree) {
				tr.spawn(100, 1, "bash", 10, "bash", "-c", "vllm serve m")
				tr.spawn(101, 1, "bash", 10, "bash", "/usr/bin/vllm", "serve", "m")
				tr.spawn(102, 1, "sudo", 10, "sudo", "vllm", "serve", "m")
				tr.spawn(103, 1, "uv", 10, "uv", "run", "vllm", "serve", "m")
				tr.spawn(104, 1, "docker", 10, "docker", "run", "vllm/vllm-openai", "vllm", "serve")
				tr.spawn(105, 1, "vllm", 10, "/usr/bin/python3", "/usr/bin/vllm", "bench", "serve", "--port", "8000")
				tr.spawn(106, 1, "grep", 10, "grep", "VLLM::EngineCore")
				tr.spawn(107, 1, "python3", 10, "python3", "-c", "import vllm", "vllm", "serve")
			},
			map[int]string{},
		},
		{
			"an engine core whose server is gone belongs to nobody",
			func(tr tree) { tr.spawn(102, 1, "VLLM::EngineCore", 20, "VLLM::EngineCore") },
			map[int]string{102: "engine_core@"},
		},
		{
			"a Python program that embeds vLLM is its server, at the port it listens on",
			func(tr tree) {
				tr.spawn(100, 7, "python3", 10, "python3", "app.py")
				tr.listen(100, 77, "00000000:0050")
				tr.spawn(102, 100, "VLLM::EngineCore", 20, "VLLM::EngineCore")
			},
			map[int]string{100: "api_server@127.0.0.1:80", 102: "engine_core@127.0.0.1:80"},
		},
		{
			"another title prefix is vLLM all the same",
			func(tr tree) {
				tr.spawn(100, 1, "vllm", 10, serve...)
				tr.spawn(102, 100, "CHAT::EngineCore", 20, "CHAT::EngineCore")
			},
			map[int]string{100: "api_server@127.0.0.1:8000", 102: "engine_core@127.0.0.1:8000"},
		},
		{
			"children without titles of a vLLM before 0.10.1 are told by their generation",
			func(tr tree) {
				spawned := []string{"python3", "-c", "from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5)", "--multiprocessing-fork"}
				tr.spawn(100, 1, "vllm", 10, serve...)
				tr.spawn(101, 100, "python3", 20, "python3", "-c", "from multiprocessing.resource_tracker import main;main(31)")
				tr.spawn(102, 100, "python3", 20, spawned...)
				tr.spawn(103, 102, "python3", 20, spawned...)
				tr.spawn(104, 100, "vllm", 20, serve...) // forked
			},
			map[int]string{100: "api_server@127.0.0.1:8000", 102: "engine_core@127.0.0.1:8000", 103: "worker@127.0.0.1:8000", 104: "engine_core@127.0.0.1:8000"},
		},
		{
			"a server that has API servers below it serves nothing itself, whatever its command line says",
			func(tr tree) {
				tr.spawn(100, 1, "vllm", 10, with("-dp", "2")...)
				tr.spawn(106, 100, "VLLM::APIServer_0", 30, "VLLM::APIServer_0")
			},
			map[int]string{100: "serve@127.0.0.1:8000", 106: "api_server 0@127.0.0.1:8000"},
		},
		{
			"a server on a Unix socket has no address",
			func(tr tree) { tr.spawn(100, 1, "vllm", 10, with("--uds", "/run/vllm.sock")...) },
			map[int]string{100: "api_server@"},
		},
		{
			"a server in a container is known by the port that docker publishes",
			func(tr tree) {
				tr.spawn(100, 1, "vllm", 10, serve...)
				tr.write("proc/100/ns/net -> net:[4026532999]", "")
				tr.listen(100, 77, "00000000:1F40")
				for i, ip := range []string{"0.0.0.0", "::"} {
					tr.spawn(300+i, 1, "docker-proxy", 5, "/usr/bin/docker-proxy", "-proto", "tcp", "-host-ip", ip, "-host-port", "18000", "-container-ip", "172.17.0.2", "-container-port", "8000")
				}
			},
			map[int]string{100: "api_server@127.0.0.1:18000"},
		},
		{
			"a server in a container whose port nobody publishes has no address here",
			func(tr tree) {
				tr.spawn(100, 1, "vllm", 10, serve...)
				tr.write("proc/100/ns/net -> net:[4026532999]", "")
				tr.listen(100, 77, "00000000:1F40")
			},
			map[int]string{100: "api_server@"},
		},
		{
			"a zombie is gone",
			func(tr tree) {
				tr.spawn(100, 1, "vllm", 10, serve...)
				stat := filepath.Join(tr.proc(), "100", "stat")
				b, _ := os.ReadFile(stat)
				tr.write("proc/100/stat", strings.Replace(string(b), ") S ", ") Z ", 1))
			},
			map[int]string{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := bare(t)
			c.plant(tr)
			if d := cmp.Diff(c.want, who(scanner(t, tr).scan(uptime(1000)))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestALookEverySecondSeesWhatHappens(t *testing.T) {
	tr := bare(t)
	for pid := 500; pid < 540; pid++ {
		tr.spawn(pid, 1, "sleep", 5, "sleep", "1000")
	}
	tk := scanner(t, tr)
	now := uptime(1000)
	look := func() scan { now = now.Add(time.Second); return tk.scan(now) }
	expect := func(what string, sc scan, want map[int]string) {
		t.Helper()
		if d := cmp.Diff(want, who(sc)); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	expect("nobody yet", look(), map[int]string{})

	tr.spawn(100, 1, "bash", 1001, "bash", "start.sh")
	expect("a script", look(), map[int]string{})
	tr.spawn(100, 1, "vllm", 1001, "python", "/bin/vllm", "serve", "m")
	expect("exec makes it a server, and it is seen within a second", look(), map[int]string{100: "api_server@127.0.0.1:8000"})

	tr.spawn(101, 100, "python", 1003, "python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()")
	expect("a child that has no title yet", look(), map[int]string{100: "api_server@127.0.0.1:8000"})
	tr.spawn(101, 100, "VLLM::EngineCore", 1003, "VLLM::EngineCore", "", "")
	sc := look()
	for range 2 { // ten seconds old at most: looked at again after a second or two
		if len(sc.procs) < 2 {
			sc = look()
		}
	}
	both := map[int]string{100: "api_server@127.0.0.1:8000", 101: "engine_core@127.0.0.1:8000"}
	expect("its title", sc, both)

	tr.spawn(101, 100, "VLLM::EngineCore", 1010, "VLLM::EngineCore")
	sc = look()
	expect("the PID has a new owner of the same name", sc, both)
	if d := cmp.Diff([]int{101}, sc.gone); d != "" {
		t.Errorf("the old owner is gone: %s", d)
	}
	if got := sc.procs[1].started; got != bootedAt+1010 {
		t.Errorf("started %v, want the new owner's", got)
	}

	tr.kill(100)
	tr.kill(101)
	sc = look()
	expect("all ended", sc, map[int]string{})
	if d := cmp.Diff([]int{100, 101}, sc.gone); d != "" {
		t.Error(d)
	}

	// An old PID of no interest is taken over between two looks.
	tr.spawn(510, 1, "vllm", 1012, "python", "/bin/vllm", "serve", "m")
	seenAfter := 0
	for i := 1; i <= 40 && seenAfter == 0; i++ {
		if len(look().procs) > 0 {
			seenAfter = i
		}
	}
	if seenAfter == 0 || seenAfter > 31 {
		t.Errorf("the new owner of an old PID was seen after %d looks, want at most 31", seenAfter)
	}
}

func TestAServerIsLookedAtAgainUntilItListens(t *testing.T) {
	tr := bare(t)
	tr.spawn(100, 1, "vllm", 990, "vllm", "serve", "--config", "c.yaml")
	tk := scanner(t, tr)
	if got := who(tk.scan(uptime(1000)))[100]; got != "api_server@127.0.0.1:8000" {
		t.Fatal(got)
	}
	tr.listen(100, 77, "00000000:1F91")
	if got := who(tk.scan(uptime(1001)))[100]; got != "api_server@127.0.0.1:8000" {
		t.Errorf("sockets were read again after a second: %s", got)
	}
	if got := who(tk.scan(uptime(1016)))[100]; got != "api_server@127.0.0.1:8081" {
		t.Errorf("after 16 s: %s", got)
	}
}

// asNobody runs f on a thread that may do only what any user may, where the test runs as root.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		const nobody = 65534
		syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		if got, _, _ := syscall.RawSyscall(syscall.SYS_SETFSUID, ^uintptr(0), 0, 0); got != nobody {
			t.Errorf("setfsuid: still uid %d", got)
			return
		}
		f()
	}()
	<-done
}

func TestAnotherUsersEngine(t *testing.T) {
	tr := bare(t)
	os.Chmod(filepath.Dir(tr.root), 0o755)
	tr.spawn(100, 1, "vllm", 10, "vllm", "serve", "m", "--port", "8005")
	tr.listen(100, 77, "00000000:1F45")
	for _, f := range []string{"fd", "environ"} {
		if err := os.Chmod(filepath.Join(tr.proc(), "100", f), 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(filepath.Join(tr.proc(), "100", f), 0o755) })
	}
	asNobody(t, func() {
		tk := scanner(t, tr)
		sc := tk.scan(uptime(1000))
		if len(sc.procs) != 1 {
			t.Fatalf("%d processes, want 1", len(sc.procs))
		}
		p := sc.procs[0]
		if !p.Denied || p.UID != 1000 {
			t.Errorf("Denied %v, uid %d; want true, 1000", p.Denied, p.UID)
		}
		if d := cmp.Diff([]int{8005}, p.Ports); d != "" {
			t.Errorf("the port of its command line, on which its user listens: %s", d)
		}
		if p.cpu != 3 || p.rss == 0 {
			t.Errorf("CPU %v s, RSS %v: everybody may read them", p.cpu, p.rss)
		}
		want := "engine processes 100 belong to another user (uid 1000): their sockets and environment can't be read; run pitwall as that user or as root"
		if note := processesNote(&sc, tr.proc(), hidepid(tk.fs), 1001); note != want {
			t.Errorf("note %q", note)
		}
		watched, hidden := places(nil, sc.procs, func(int) bool { return true }, map[string]string{"HOME": "/home/me"})
		if !hidden {
			t.Error("its model cache should be said to be hidden")
		}
		for _, w := range watched {
			if w.purpose == "model_cache" {
				t.Errorf("%s is pitwall's user's cache, not the engine's", w.path)
			}
		}
	})
}

func TestWhatIsHiddenIsSaid(t *testing.T) {
	for _, c := range []struct {
		name, file, content string
		euid                int
		want                string
	}{
		{"nothing", "proc/4242/comm", "pitwall\n", 1000, ""},
		{"hidepid hides others", "proc/4242/mountinfo", "22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=2\n", 1000,
			"/proc is mounted with hidepid=2: engines of other users can't be seen; run pitwall as that user or as root"},
		{"hidepid hides nothing from root", "proc/4242/mountinfo", "22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=2\n", 0, ""},
		{"a container hides the host's", "proc/4242/ns/pid -> pid:[4026539999]", "", 0,
			"pitwall runs in a container: only the container's own processes can be seen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := plant(t)
			tr.write(c.file, c.content)
			tk := scanner(t, tr)
			sc := tk.scan(uptime(1000))
			if got := processesNote(&sc, tr.proc(), hidepid(tk.fs), c.euid); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
