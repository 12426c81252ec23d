package truth

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"pitwall/probes/request"
)

// Server is a truth server that serves.
type Server struct {
	plan  Plan
	clock request.Clock
	ln    net.Listener
	pacer *pacer

	requests, conns atomic.Uint64
	counters        counters

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
	kept   []*Answer // a ring once it has plan.Keep
	next   int       // where the ring goes on
	byID   map[string]*Answer
	lost   int
	wake   chan struct{} // closed and made anew when an answer is over

	handlers sync.WaitGroup
}

// Listen serves at address, host and port, of which the host must be a loopback address; port 0 takes a free one. An empty
// address is 127.0.0.1:0.
func Listen(address string, plan Plan) (*Server, error) {
	return listen(address, plan, request.NewClock())
}

// ListenWith does it with a clock of the caller's, whose Times can then be compared with the answers' exactly.
func ListenWith(address string, plan Plan, clock request.Clock) (*Server, error) {
	return listen(address, plan, clock)
}

func listen(address string, plan Plan, clock request.Clock) (*Server, error) {
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	if address == "" {
		address = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("truth server: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("truth server: %q is no loopback address; it listens nowhere else", host)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("truth server: %w", err)
	}
	s := &Server{
		plan: plan.filled(), clock: clock, ln: ln, open: map[net.Conn]struct{}{}, byID: map[string]*Answer{},
		wake: make(chan struct{}),
	}
	if s.pacer, err = newPacer(s); err != nil {
		ln.Close()
		return nil, err
	}
	s.handlers.Add(1)
	go s.accept()
	return s, nil
}

// Addr is its host and port, URL the same as a URL without a path.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// URL is where it serves.
func (s *Server) URL() string { return "http://" + s.Addr() }

// Clock is what its times are of.
func (s *Server) Clock() request.Clock { return s.clock }

// Close ends it, with all connections, and waits until nothing of it runs.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.ln.Close()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.pacer.close()
	s.handlers.Wait()
}

// Answer gives what happened to the request with an id, once it is over: whoever has its end can ask.
func (s *Server) Answer(id string) (Answer, bool) {
	s.pacer.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.byID[id]
	if !ok {
		return Answer{}, false
	}
	return *a, true
}

// Wait is Answer for a request that may not be over yet.
func (s *Server) Wait(ctx context.Context, id string) (Answer, error) {
	for {
		s.mu.Lock()
		a, ok := s.byID[id]
		wake := s.wake
		s.mu.Unlock()
		if ok {
			return *a, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return Answer{}, fmt.Errorf("request %s is not over: %w", id, context.Cause(ctx))
		}
	}
}

// Answers gives what happened to all requests that are over, in the order of their ends, and how many before them were
// forgotten because of Plan.Keep. It has those whose end any client has.
func (s *Server) Answers() (all []Answer, forgotten int) {
	s.pacer.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	all = make([]Answer, 0, len(s.kept))
	for i := range s.kept {
		all = append(all, *s.kept[(s.next+i)%len(s.kept)])
	}
	return all, s.lost
}

// Forget drops what is kept.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept, s.next, s.lost, s.byID = nil, 0, 0, map[string]*Answer{}
}

// keep takes an answer that is over. From here on it does not change.
func (s *Server) keep(a *Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) < s.plan.Keep {
		s.kept = append(s.kept, a)
	} else {
		old := s.kept[s.next]
		if s.byID[old.ID] == old {
			delete(s.byID, old.ID)
		}
		s.kept[s.next] = a
		s.next = (s.next + 1) % len(s.kept)
		s.lost++
	}
	s.byID[a.ID] = a
	close(s.wake)
	s.wake = make(chan struct{})
}

func (s *Server) accept() {
	defer s.handlers.Done()
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.open[c] = struct{}{}
		s.handlers.Add(1)
		s.mu.Unlock()
		go func() {
			defer s.handlers.Done()
			s.serve(c.(*net.TCPConn), s.conns.Add(1))
			c.Close()
			s.mu.Lock()
			delete(s.open, c)
			s.mu.Unlock()
		}()
	}
}
