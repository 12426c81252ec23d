// Package host reads what the machine under an engine does: CPU, memory, disks, network, pressure, free space, the limits
// of the container, and the engine's own processes.
//
// In goes the kernel's word, /proc, /sys and the cgroup file systems, at roots that a test may move; out come
// node_exporter's series (job "node"), the pitwall_process_* and pitwall_cgroup_* series that nobody has named yet, and
// the list of engine processes, which the engine probe and the GPU probe use to say who is who. It starts no program, sends
// nothing, signals no process, and asks for no privilege: what another user's process hides is reported as hidden. It
// needs Linux; elsewhere it builds to a collector that says so.
package host

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Options says where to read. The zero value reads this machine.
type Options struct {
	// Proc, Sys and Cgroup are the roots; empty means /proc, /sys and /sys/fs/cgroup.
	Proc, Sys, Cgroup string
	// Paths are places whose free space matters, by purpose: {"sessions": "/home/ann/.local/share/pitwall"}. The engine's
	// model cache ("model_cache"), its --download-dir ("download_dir") and /dev/shm ("shm") are found without it; an
	// entry of the same purpose replaces what would be found.
	Paths map[string]string
}

// KindOOMKill is the Kind of the event that tells that the kernel killed a process for lack of memory. Attrs: "of"
// ("pitwall", "engine" or "host"), "path" (the cgroup; empty for "host"), "killed" (how many since the last reading) and
// "total" (the kernel's counter).
const KindOOMKill = "host.oom_kill"

// The roles a process can have, the values of the label role.
const (
	RoleServe         = "serve"          // the "vllm serve" that only starts others: it has API servers below it
	RoleAPIServer     = "api_server"     // answers HTTP
	RoleEngineCore    = "engine_core"    // runs the scheduler
	RoleWorker        = "worker"         // one rank of the model
	RoleDPCoordinator = "dp_coordinator" // balances data-parallel engines
)

// Process is one process of an engine on this host.
type Process struct {
	PID, PPID int
	// Kind is the engine's dialect, "vllm".
	Kind string
	// Role is one of the Role constants; Rank is what the title says of it ("DP0_TP1", "0"), empty if nothing.
	Role, Rank string
	// Title is the process title ("VLLM::Worker_TP0"); for the server itself the command ("vllm serve").
	Title string
	// Start is when it was started, by the kernel's boot time and clock ticks (10 ms). PID and Start together name a
	// process for ever.
	Start time.Time
	// Root is the PID of the "vllm serve" process this one belongs to, its own for that one; 0 if there is none (any more).
	Root int
	UID  int
	// Ports are the TCP ports it listens on, ascending, and Listens what they are bound to. In Processes they are read for
	// the server and its API servers only: the others listen for each other. Empty while the server loads: vLLM listens
	// only when it is ready.
	Ports   []int
	Listens []netip.AddrPort
	// OtherNet is true when it lives in another network namespace (a container), so that Ports are not this host's.
	// Published is then the port of this host that docker forwards to it, 0 if none is known.
	OtherNet  bool
	Published int
	// Args is the argument vector of a serve process, nil for others. The values of flags that carry a secret (--api-key)
	// are cut, and so is user-info in URLs.
	Args []string
	// Env holds the variables of a serve process that an allow-list names: CUDA_VISIBLE_DEVICES, HF_HOME and the like.
	Env map[string]string
	// Denied is true for another user's process whose sockets and environment may not be read. Ports then only holds the
	// port of its command line, if that user listens on it.
	Denied bool

	port int    // what the command line says
	host string // likewise
}

// Address gives host:port where a serve or API server process answers, or will once it has loaded, as seen from this host: "127.0.0.1:8000".
// It is the port it listens on; before it listens, that of its command line, or the engine's default. Empty when it
// can't be told: the port is another network namespace's and not published, or the engine listens on a Unix socket.
func (p Process) Address() string {
	const loopback = "127.0.0.1"
	if p.OtherNet {
		if p.Published == 0 {
			return ""
		}
		return net.JoinHostPort(loopback, strconv.Itoa(p.Published))
	}
	if p.port == 0 && len(p.Listens) == 0 {
		return ""
	}
	// A server may listen elsewhere too (the coordination of data-parallel ranks): its command line decides.
	listens := p.Listens
	if i := slices.IndexFunc(listens, func(a netip.AddrPort) bool { return int(a.Port()) == p.port }); i >= 0 {
		listens = listens[i:]
	}
	if len(listens) == 0 {
		host := loopback
		if a, err := netip.ParseAddr(p.host); err == nil {
			host = reachable(a)
		}
		return net.JoinHostPort(host, strconv.Itoa(p.port))
	}
	return net.JoinHostPort(reachable(listens[0].Addr()), strconv.Itoa(int(listens[0].Port())))
}

// reachable gives the address at which this host reaches a server bound to a.
func reachable(a netip.Addr) string {
	a = a.Unmap()
	switch {
	case a.IsUnspecified(), a.Is4() && a.IsLoopback():
		return "127.0.0.1"
	}
	return a.String()
}
