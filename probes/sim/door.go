package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// listenLoopback refuses any other address: nothing simulated is for the network.
func listenLoopback(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("simulated engine: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("simulated engine: %s is not a loopback address", addr)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("simulated engine: %w", err)
	}
	return l, nil
}

// serve starts what runs in the background: the steps, the HTTP server, the one that opens and closes its door, and whoever
// stops all of them.
func (s *Server) serve(ctx context.Context, l net.Listener) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	s.open(l, &all)
	all.Go(func() { s.driver.run(ctx, s.tell) })
	kept := make(chan struct{})
	all.Go(func() { defer close(kept); s.keepDoor(ctx, &all) })
	go func() {
		select {
		case <-ctx.Done():
			s.stop()
		case <-s.stopped:
		}
		cancel()
		<-kept // it may have been about to open the door again
		s.shut()
		all.Wait()
		close(s.ended)
	}()
}

// open serves a listener with a new HTTP server.
func (s *Server) open(l net.Listener, all *sync.WaitGroup) {
	h := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Second}
	s.door.Lock()
	s.http = h
	s.door.Unlock()
	all.Go(func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.stop() // the listener broke: nothing can come any more
		}
	})
}

// shut ends the HTTP server. Streams get their last words; whoever doesn't read them is cut off.
func (s *Server) shut() {
	s.door.Lock()
	h := s.http
	s.door.Unlock()
	last, done := context.WithTimeout(context.Background(), 40*time.Millisecond)
	defer done()
	_ = h.Shutdown(last)
	_ = h.Close()
}

// tell passes on whether the engine is gone; only the latest word counts.
func (s *Server) tell(gone bool) {
	select {
	case <-s.gone:
	default:
	}
	s.gone <- gone // there is room: only this goroutine sends
}

// What a real 0.32.0 did when its EngineCore was killed: /health said 503 for 0.17 s, then the API server was gone too.
const lastWords = 170 * time.Millisecond

// keepDoor closes the door when the engine is gone and opens it on the same port when it is back.
func (s *Server) keepDoor(ctx context.Context, all *sync.WaitGroup) {
	isOpen := true
	retry := make(<-chan time.Time)
	gone := false
	for {
		select {
		case <-ctx.Done():
			return
		case gone = <-s.gone:
		case <-retry:
		}
		switch {
		case gone && isOpen:
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(float64(lastWords) / s.options.Speed)):
			}
			s.shut()
			isOpen = false
		case !gone && !isOpen:
			l, err := listenLoopback(ctx, s.addr)
			if err != nil {
				// Somebody has the port, perhaps only for a moment.
				retry = time.After(20 * time.Millisecond)
				continue
			}
			s.handled.reset()
			s.open(l, all)
			isOpen = true
		}
	}
}

func (s *Server) stop() { s.stopOnce.Do(func() { close(s.stopped) }) }

// Close stops the simulation and waits for its end, at most some 50 ms. Streams end as those of a vLLM that is told to stop:
// with an error in the stream. Closing twice is fine.
func (s *Server) Close() error {
	s.stop()
	<-s.ended
	return nil
}

// URL is where the server answers, "http://127.0.0.1:PORT".
func (s *Server) URL() string { return "http://" + s.addr }

// Model is the name under which the model is served.
func (s *Server) Model() string { return s.options.Model }

// health says 503 in the moment between the engine's death and the server's.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if s.driver.isGone() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}
