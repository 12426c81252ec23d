package load

import "net"

// address is host and port to connect to.
func (s *Server) address() string {
	port := s.base.Port()
	if port == "" {
		if port = "80"; s.base.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(s.base.Hostname(), port)
}
