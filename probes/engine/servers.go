package engine

import (
	"slices"

	"pitwall/probes/host"
)

// ServersOf picks the servers out of this host's engine processes: one for each that was started on the command line, at
// the address where it, or the API servers below it, answer. One that no address of this host leads to is left out.
func ServersOf(ps []host.Process) []Server {
	var out []Server
	for _, p := range ps {
		// A headless one is a rank of a server elsewhere.
		if p.Root != p.PID || slices.Contains(p.Args, "--headless") {
			continue
		}
		s := Server{Dialect: p.Kind, PID: p.PID, Start: p.Start, Address: p.Address(), Args: p.Args, Denied: p.Denied}
		if len(p.Ports) == 0 {
			// Several API servers share the port; the process that starts them may not have it open itself.
			for _, child := range ps {
				if child.Root == p.PID && child.Role == host.RoleAPIServer && len(child.Ports) > 0 {
					s.Address = child.Address()
					break
				}
			}
		}
		if s.Address != "" {
			out = append(out, s)
		}
	}
	return out
}
