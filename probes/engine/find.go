package engine

import (
	"cmp"
	"net"
	"slices"
	"strconv"

	"pitwall/probes/engine/dialect"
)

// Find gives the addresses of the engines to watch: those given; else the servers of this host, by port; else the
// default port on the loopback, where a starting engine will most likely appear.
func Find(urls []string, servers []Server, d *dialect.Dialect) []string {
	if len(urls) > 0 {
		return urls
	}
	var out []string
	for _, s := range servers {
		if s.Address != "" && !slices.Contains(out, s.Address) {
			out = append(out, s.Address)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(portNumber(a), portNumber(b)), cmp.Compare(a, b))
	})
	if len(out) == 0 {
		out = append(out, net.JoinHostPort("127.0.0.1", strconv.Itoa(d.Port)))
	}
	return out
}

func portNumber(address string) int {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		return 0
	}
	return n
}

func portOf(p place) string {
	_, port, err := net.SplitHostPort(hostPort(p.base))
	if err != nil {
		return ""
	}
	return port
}

// onThisHost says whether a place is this host.
func onThisHost(p place) bool { return p.local() || ownAddress(p) }

// ownAddress says whether the place's host is an address of this host's own network interfaces.
func ownAddress(p place) bool {
	ip := net.ParseIP(p.base.Hostname())
	if ip == nil {
		return false
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}

// serves says whether a process on this host is the one behind a place, here being whether the place is on this host.
func (s Server) serves(p place, here bool) bool {
	if s.Address == "" {
		return false
	}
	_, port, err := net.SplitHostPort(s.Address)
	return err == nil && port == portOf(p) && (here || hostPort(p.base) == s.Address)
}
