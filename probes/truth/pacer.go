package truth

import (
	"container/heap"
	"sync"
	"time"

	"pitwall/probes/request"
)

// pacer writes all streams, from one goroutine, each piece when it is due.
type pacer struct {
	server *Server
	alarm  *alarm
	ended  chan struct{}

	mu     sync.Mutex
	fresh  []*flow
	next   request.Time // what the goroutine waits for; 0: it does not wait, maxTime: for ever
	lost   bool         // look was called
	closed bool
	asked  []chan struct{} // that settle waits for

	queue queue
}

const maxTime = request.Time(1<<63 - 1)

func newPacer(s *Server) (*pacer, error) {
	a, err := newAlarm()
	if err != nil {
		return nil, err
	}
	p := &pacer{server: s, alarm: a, ended: make(chan struct{})}
	go p.run()
	return p, nil
}

// add takes a stream whose first write is due at its due. It is the pacer's until its done is closed.
func (p *pacer) add(f *flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		f.abandon()
		return
	}
	p.fresh = append(p.fresh, f)
	if f.due < p.next {
		p.alarm.ring()
	}
}

// look makes the pacer look at its streams: one of them has lost its client.
func (p *pacer) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.lost = true
		p.alarm.ring()
	}
}

// settle returns when all that was written before it is written down too: a client that has the last piece asks at once.
func (p *pacer) settle() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.ended
		return
	}
	done := make(chan struct{})
	p.asked = append(p.asked, done)
	p.alarm.ring()
	p.mu.Unlock()
	<-done
}

func (p *pacer) close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.alarm.ring()
	}
	p.mu.Unlock()
	<-p.ended
}

func (p *pacer) run() {
	defer close(p.ended)
	clock := p.server.clock
	for {
		p.mu.Lock()
		for _, f := range p.fresh {
			heap.Push(&p.queue, f)
		}
		clear(p.fresh)
		closed, lost := p.closed, p.lost
		p.fresh, p.next, p.lost = p.fresh[:0], 0, false
		for _, done := range p.asked { // nothing is between its last write and finish here
			close(done)
		}
		p.asked = nil
		p.mu.Unlock()
		if closed {
			for _, f := range p.queue {
				f.abandon()
			}
			p.alarm.close()
			return
		}
		if lost {
			p.sweep()
		}
		// Not for long without a look at what is fresh: a machine that cannot keep up must still be fair to it.
		for range 64 {
			if len(p.queue) == 0 || p.queue[0].due > clock.Now() {
				break
			}
			if f := p.queue[0]; f.step() {
				heap.Fix(&p.queue, 0)
			} else {
				heap.Pop(&p.queue)
				f.finish()
			}
		}
		p.rest(clock.Now())
	}
}

// rest waits until the next piece is due, something fresh is due before that, or the alarm is rung otherwise.
func (p *pacer) rest(now request.Time) {
	next, wait := maxTime, time.Duration(-1)
	if len(p.queue) > 0 && p.queue[0].due != maxTime {
		next = p.queue[0].due
		if wait = next.Sub(now); wait <= 0 {
			return
		}
	}
	p.mu.Lock()
	if len(p.fresh) > 0 || p.lost || p.closed || len(p.asked) > 0 {
		p.mu.Unlock()
		return
	}
	p.next = next
	p.mu.Unlock()
	p.alarm.wait(wait)
}

// sweep takes out the stalled whose client has gone. Others find out when they write.
func (p *pacer) sweep() {
	for i := 0; i < len(p.queue); {
		if f := p.queue[i]; f.due == maxTime && f.gone.Load() {
			heap.Remove(&p.queue, i)
			f.answer.Left = true
			f.finish()
			i = 0 // the heap has another order now
		} else {
			i++
		}
	}
}

// queue is a heap by due.
type queue []*flow

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*flow)) }
func (q *queue) Pop() any {
	old := *q
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return f
}
