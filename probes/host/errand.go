package host

import (
	"sync"
	"time"
)

// errand runs a call that may hang (a dead NFS server behind statfs, a stuck process behind its cmdline) without hanging
// with it: whoever asks waits a little, and goes on with the last result. A call that hangs is left alone and never
// started twice, so that at most one goroutine is lost to it.
type errand[T any] struct {
	mu      sync.Mutex
	running bool
	started time.Time // of the last call
	result  T
	have    bool // one call has ended
	done    chan struct{}
}

// run starts fn unless it still runs or ran less than every ago, waits for it at most patience, and gives the newest
// result (ok false while there is none) and for how long the call has been out (0 if it is not).
func (e *errand[T]) run(now time.Time, every, patience time.Duration, fn func() T) (result T, ok bool, out time.Duration) {
	e.mu.Lock()
	if !e.running && (!e.have || now.Sub(e.started) >= every) {
		e.running, e.started = true, now
		done := make(chan struct{})
		e.done = done
		go func() {
			r := fn()
			e.mu.Lock()
			e.result, e.have, e.running = r, true, false
			e.mu.Unlock()
			close(done)
		}()
	}
	running, done := e.running, e.done
	e.mu.Unlock()
	if running {
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case <-done:
		case <-t.C:
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running {
		out = max(now.Sub(e.started), time.Nanosecond)
	}
	return e.result, e.have, out
}
