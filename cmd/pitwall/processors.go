package main

import (
	"os"
	"runtime"
	"sync"
	"time"
)

// processors keeps a console or a recorder on one processor while it only watches. What it does each second is a few
// milliseconds long and wakes often; on several processors a fifth of that goes into handing goroutines from one thread to
// another and into the runtime's looking after them (measured with eight GPUs: 1.8 % of a core instead of 2.3 %). Load gets all of them.
type processors struct {
	mu   sync.Mutex
	wide bool
}

// narrowAfter is how long after its start a program goes down to one: until then the first screen is made, the faster the better.
const narrowAfter = 4 * time.Second

// watch goes down to one processor, unless load has come by then or $GOMAXPROCS says how many there are to be.
func (p *processors) watch() {
	if _, set := os.LookupEnv("GOMAXPROCS"); set {
		return
	}
	time.AfterFunc(narrowAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.wide {
			runtime.GOMAXPROCS(1)
		}
	})
}

// load gives back all that the program may have.
func (p *processors) load() {
	if _, set := os.LookupEnv("GOMAXPROCS"); set {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.wide {
		p.wide = true
		runtime.SetDefaultGOMAXPROCS()
	}
}
