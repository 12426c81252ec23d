package host

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// machine reads what holds as long as pitwall runs: host/{name,kernel,cpu_model,cpus,memory_bytes,container,cgroup}.
func machine(proc string, pfs procfs.FS) map[string]string {
	f := map[string]string{}
	put := func(name, value string) {
		if value = strings.TrimSpace(value); value != "" {
			f["host/"+name] = value
		}
	}
	read := func(parts ...string) string {
		b, _ := os.ReadFile(filepath.Join(append([]string{proc}, parts...)...))
		return string(b)
	}
	put("name", read("sys", "kernel", "hostname"))
	put("kernel", read("sys", "kernel", "osrelease"))
	if cpus, err := pfs.CPUInfo(); err == nil && len(cpus) > 0 {
		put("cpu_model", cpus[0].ModelName)
		put("cpus", strconv.Itoa(len(cpus)))
	}
	if m, err := pfs.Meminfo(); err == nil && m.MemTotalBytes != nil {
		put("memory_bytes", strconv.FormatUint(*m.MemTotalBytes, 10))
	}
	groups := read("self", "cgroup")
	put("container", containerKind(proc, groups, pfs))
	put("cgroup", ownCgroup(groups))
	return f
}

// containerKind names what pitwall itself runs in; "none" for the plain machine.
func containerKind(proc, groups string, pfs procfs.FS) string {
	exists := func(p string) bool {
		_, err := os.Stat(filepath.Join(proc, "self", "root", p))
		return err == nil
	}
	switch {
	case exists("run/secrets/kubernetes.io"), strings.Contains(groups, "kubepods"):
		return "kubernetes"
	// A machine image made from a container's still has the file: then the PIDs are the machine's and the root is a disk.
	case exists(".dockerenv") && (!initialPIDs(proc) || overlayRoot(pfs)), strings.Contains(groups, "/docker"):
		return "docker"
	case exists("run/.containerenv"), strings.Contains(groups, "libpod"):
		return "podman"
	case strings.Contains(groups, "/lxc"):
		return "lxc"
	case !initialPIDs(proc):
		return "unknown (own PID namespace)"
	}
	return "none"
}

// overlayRoot tells whether / is made of layers, as a container's is.
func overlayRoot(pfs procfs.FS) bool {
	mounts, err := pfs.GetMounts()
	if err != nil {
		return false
	}
	m := mountOf(mounts, "/", "")
	return m != nil && m.FSType == "overlay"
}

// ownCgroup picks the line of /proc/self/cgroup to show: version 2's, unless that is the root and the memory controller's
// of version 1 says more.
func ownCgroup(groups string) string {
	var v2, memory string
	for line := range strings.Lines(groups) {
		p := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(p) != 3:
		case p[0] == "0" && p[1] == "":
			v2 = p[2]
		case p[1] == "memory":
			memory = p[2]
		}
	}
	if (v2 == "" || v2 == "/") && memory != "" {
		return memory
	}
	return v2
}

// initialPIDs tells whether pitwall sees the machine's own PIDs, those that the GPU driver reports, and not a container's.
// The inode of the initial PID namespace is fixed (PROC_PID_INIT_INO in the kernel's include/linux/proc_ns.h).
func initialPIDs(proc string) bool {
	const initial = "pid:[4026531836]"
	ns, err := os.Readlink(filepath.Join(proc, "self", "ns", "pid"))
	return err != nil || ns == initial
}

// processesNote says in words what of other processes can't be seen, and what to do; empty if nothing is hidden.
//
// hidden is what hidepid gave: /proc is not remounted while pitwall runs, and a host of many containers has thousands of
// mounts.
func processesNote(sc *scan, proc, hidden string, euid int) string {
	var notes []string
	denied := map[int][]string{}
	for _, p := range sc.procs {
		if p.Denied {
			denied[p.UID] = append(denied[p.UID], strconv.Itoa(p.PID))
		}
	}
	uids := make([]int, 0, len(denied))
	for uid := range denied {
		uids = append(uids, uid)
	}
	sort.Ints(uids)
	for _, uid := range uids {
		notes = append(notes, fmt.Sprintf("engine processes %s belong to another user (uid %d): their sockets and environment can't be read; run pitwall as that user or as root",
			strings.Join(denied[uid], ", "), uid))
	}
	if sc.unreadable > 0 {
		notes = append(notes, fmt.Sprintf("%d processes of other users can't be read", sc.unreadable))
	}
	if hidden != "" && euid != 0 {
		notes = append(notes, "/proc is mounted with hidepid="+hidden+": engines of other users can't be seen; run pitwall as that user or as root")
	}
	if !initialPIDs(proc) {
		notes = append(notes, "pitwall runs in a container: only the container's own processes can be seen")
	}
	for _, p := range sc.procs {
		if p.PID == p.Root && p.OtherNet && p.Published == 0 {
			notes = append(notes, fmt.Sprintf("engine process %d listens in a container's network: give its address with --engine", p.PID))
		}
	}
	return strings.Join(notes, "; ")
}

// hidepid gives the option of that name of /proc's mount, empty if it hides nothing.
func hidepid(pfs procfs.FS) string {
	mounts, err := pfs.GetMounts()
	if err != nil {
		return ""
	}
	for _, m := range mounts {
		if m.MountPoint != "/proc" || m.FSType != "proc" {
			continue
		}
		switch v := m.SuperOptions["hidepid"]; v {
		case "", "0", "off":
		default:
			return v
		}
	}
	return ""
}
