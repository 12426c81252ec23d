package load

import "sync"

// ahead holds requests that are made and not due yet. Whoever makes them waits when there are enough; whoever takes them waits
// when there are none.
type ahead struct {
	mu     sync.Mutex
	moved  sync.Cond
	ready  []*order
	bytes  int
	want   int  // how many to have ready, as long as they are not larger than aheadBytes
	closed bool // nobody takes any more
	done   bool // no more will be made
	taking int  // waiting for one
}

const (
	// aheadBytes bounds the memory of requests that are ready: a thousand prompts of 100,000 tokens would take 700 MB.
	aheadBytes = 16 << 20
	// aheadLeast are ready whatever they take.
	aheadLeast = 4
)

func newAhead(want int) *ahead {
	a := &ahead{want: max(aheadLeast, want)}
	a.moved.L = &a.mu
	return a
}

// put adds one, once there is room. False: nobody takes it any more.
func (a *ahead) put(o *order) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.closed && a.full() {
		a.moved.Wait()
	}
	if a.closed {
		return false
	}
	a.ready = append(a.ready, o)
	a.bytes += o.size()
	a.moved.Broadcast()
	return true
}

func (a *ahead) full() bool {
	n := len(a.ready)
	return n >= a.want || n >= aheadLeast+a.taking && a.bytes >= aheadBytes
}

// take gives the first, and waits for it. Nil: there will be none.
func (a *ahead) take() *order {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.ready) == 0 && !a.closed && !a.done {
		a.taking++
		a.moved.Broadcast()
		a.moved.Wait()
		a.taking--
	}
	if a.closed || len(a.ready) == 0 {
		return nil
	}
	o := a.ready[0]
	a.ready[0] = nil
	a.ready = a.ready[1:]
	a.bytes -= o.size()
	a.moved.Broadcast()
	return o
}

// filled waits until n are ready, or as many as there will be.
func (a *ahead) filled(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.ready) < n && !a.full() && !a.closed && !a.done {
		a.moved.Wait()
	}
}

// finish says that no more will be made, close that nobody takes any more.
func (a *ahead) finish() { a.set(&a.done) }

func (a *ahead) close() { a.set(&a.closed) }

func (a *ahead) set(flag *bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*flag = true
	if flag == &a.closed {
		a.ready, a.bytes = nil, 0
	}
	a.moved.Broadcast()
}
