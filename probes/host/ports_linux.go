package host

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// listener is one listening TCP socket.
type listener struct {
	addr  netip.AddrPort
	inode uint64
	uid   int
}

// stateListen is TCP_LISTEN in /proc/net/tcp.
const stateListen = 0x0A

// ports finds the sockets that a server listens on: those of its network namespace whose inode it holds. Where its open
// files are hidden, the port of its command line counts if its user listens on it: the table of sockets is everybody's.
func (t *tracker) ports(pid int, e *entry, argvPort int) {
	dir := filepath.Join(t.proc, strconv.Itoa(pid))
	if ns, err := os.Readlink(filepath.Join(dir, "ns", "net")); err == nil && t.net != "" {
		e.otherNet = ns != t.net
	}
	inodes, err := sockets(dir)
	if errors.Is(err, fs.ErrPermission) {
		e.denied = true
	}
	e.listens = nil
	if len(inodes) == 0 && !e.denied {
		return
	}
	for _, l := range listening(dir) {
		_, mine := inodes[l.inode]
		if mine || e.denied && int(l.addr.Port()) == argvPort && l.uid == e.uid {
			e.listens = append(e.listens, l)
		}
	}
	slices.SortFunc(e.listens, func(a, b listener) int { return a.addr.Compare(b.addr) })
}

// sockets gives the inodes of a process's open sockets.
func sockets(procDir string) (map[uint64]struct{}, error) {
	dir := filepath.Join(procDir, "fd")
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		return nil, err
	}
	inodes := map[uint64]struct{}{}
	var denied error
	for _, n := range names {
		target, err := os.Readlink(filepath.Join(dir, n))
		if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
		if inode, ok := socketInode(target); ok {
			inodes[inode] = struct{}{}
		}
	}
	return inodes, denied
}

// socketInode reads "socket:[15184]".
func socketInode(target string) (uint64, bool) {
	s, ok := strings.CutPrefix(target, "socket:[")
	if !ok {
		return 0, false
	}
	s, ok = strings.CutSuffix(s, "]")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// listening reads the listening sockets of a process's network namespace. A file that isn't there (no IPv6) has none.
func listening(procDir string) []listener {
	// A process's directory has the same net/ below it as /proc itself.
	ns, err := procfs.NewFS(procDir)
	if err != nil {
		return nil
	}
	var out []listener
	add := func(ip net.IP, port, inode, uid uint64) {
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, listener{addr: netip.AddrPortFrom(a.Unmap(), uint16(port)), inode: inode, uid: int(uid)})
		}
	}
	// The alternative that the deprecation names, netlink, answers for pitwall's own network namespace only.
	//lint:ignore SA1019 see above
	v4, _ := ns.NetTCP()
	for _, s := range v4 {
		if s.St == stateListen {
			add(s.LocalAddr, s.LocalPort, s.Inode, s.UID)
		}
	}
	//lint:ignore SA1019 see above
	v6, _ := ns.NetTCP6()
	for _, s := range v6 {
		if s.St == stateListen {
			add(s.LocalAddr, s.LocalPort, s.Inode, s.UID)
		}
	}
	return out
}

// published gives the port of this host that one docker-proxy, and only one, forwards to the server's port in its container; 0 if that can't be told.
func (t *tracker) published(p Process) int {
	want := p.port
	if len(p.Ports) > 0 && !slices.Contains(p.Ports, want) {
		want = p.Ports[0]
	}
	found := 0
	for _, e := range t.known {
		if e.comm != "docker-proxy" || len(e.argv) == 0 {
			continue
		}
		var hostPort, containerPort int
		for i := 0; i+1 < len(e.argv); i++ {
			switch e.argv[i] {
			case "-host-port":
				hostPort, _ = strconv.Atoi(e.argv[i+1])
			case "-container-port":
				containerPort, _ = strconv.Atoi(e.argv[i+1])
			}
		}
		// There is one proxy for IPv4 and one for IPv6 of the same port.
		if containerPort == want && hostPort != 0 && hostPort != found {
			if found != 0 {
				return 0
			}
			found = hostPort
		}
	}
	return found
}
