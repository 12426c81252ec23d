// Package gpu reads NVIDIA GPUs the way an operator of a language model looks at them.
//
// In goes a Library: NVML (OpenNVML), or a simulation of it. Out comes a Collector: a prometheus.Collector and a
// probes.Teller with the names, units and labels of dcgm-exporter, so that expressions of a Grafana board work on it; what
// dcgm-exporter has no name for starts with pitwall_gpu_.
//
// The rules are:
//   - Collect never calls the driver. Calls run in goroutines of their own, per GPU and cadence; a pull hands out what is
//     there. What is older than two and a half cadences is not handed out any more.
//   - A call that hangs is left behind, named, and not made again until it has answered. It delays no other.
//   - A reading that could not be had is absent with its reason, never zero. What cannot work is asked once, what may work
//     is asked again.
//   - NVML's process-killing traps (a call after a failed Init, a function that the driver's library lacks) are met before
//     the call, in OpenNVML's Library.
//
// It changes no setting of any GPU, needs no privilege, and starts no process.
package gpu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"

	"pitwall/probes"
)

// Options are what a Collector has to be told. The zero value is good.
type Options struct {
	// Hostname becomes the label Hostname; empty means the machine's own.
	Hostname string
	// Library is the file that OpenNVML loads; empty means the dynamic linker's libnvidia-ml.so.1.
	Library string
	// NoPCIe leaves the PCIe throughput out: measuring it blocks a thread for 20 ms per direction, every 2 s per GPU.
	NoPCIe bool
	// Process tells what the process with this PID is; all three empty if it is nobody known. Called often, from many
	// goroutines: it should be a look-up. May be nil.
	Process func(pid int) (role, title, engine string)
	// Claims tells what the engines say about which GPUs they use, for GPUs that the memory of processes gives no engine.
	// It is asked whenever Facts is. May be nil.
	Claims func() []Claim
}

// Collector reads all GPUs of a Library. It implements prometheus.Collector and probes.Teller. Its methods may be called
// from any goroutine; they return within milliseconds.
type Collector struct {
	opts     Options
	hostname string
	ctx      context.Context
	cancel   context.CancelFunc
	cost     costs
	index    index
	// fields are read each at its cadence, cuts (MIG) before the others; probe is what a lost GPU is asked.
	fields, cuts []*field
	probe        *field

	// calls counts everything that may be inside the driver except watch, which counts the wait for XIDs; ready is closed
	// after the first reading of every GPU.
	calls, watch sync.WaitGroup
	ready        chan struct{}
	closing      sync.Once
	closed       chan struct{}
	closeErr     error

	mu sync.Mutex // guards everything below
	// status is "ok" or why there are no GPUs; doing is the call of the start-up that is under way.
	status   string
	doing    step
	lib      Library
	facts    map[string]string
	gpus     []*gpu
	watching string // "" while XIDs are watched, else why not
	events   []probes.Event
	dropped  int
	lastPull time.Time
}

// maxEvents is how many events wait for Events at most; later ones are dropped and counted.
const maxEvents = 1000

// New gives the Collector of a library that is open, and starts to read. Close ends it and the library.
func New(lib Library, opts Options) *Collector {
	return start(opts, func() (Library, error) { return lib, nil })
}

// Open is New for NVML: it returns at once and opens the library in the background, because that takes seconds where the
// driver is not persistent. When it can't be opened, the Collector is as Nothing's.
func Open(opts Options) *Collector {
	return start(opts, func() (Library, error) { return OpenNVML(opts) })
}

// Nothing gives a Collector without any GPU, whose Facts and Absent carry the reason.
func Nothing(reason string) *Collector {
	return start(Options{}, func() (Library, error) { return nil, errors.New(reason) })
}

func start(opts Options, open func() (Library, error)) *Collector {
	c := &Collector{
		opts: opts, hostname: opts.Hostname, ready: make(chan struct{}), closed: make(chan struct{}),
		status: "starting", watching: "starting", facts: map[string]string{},
	}
	if c.hostname == "" {
		c.hostname, _ = os.Hostname() // without a name the label is empty, which says as much
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.cost.init()
	c.index = newIndex()
	c.fields, c.cuts = fields(opts), cuts()
	for _, f := range c.fields {
		if f.call == "nvmlDeviceGetTemperature" {
			c.probe = f
		}
	}
	c.calls.Add(1)
	c.doing = step{"opening NVML", time.Now()}
	go func() {
		defer c.calls.Done()
		c.discover(open)
	}()
	return c
}

// discover opens the library and starts the reading of each GPU.
func (c *Collector) discover(open func() (Library, error)) {
	lib, err := open()
	if err == nil {
		c.mu.Lock()
		c.lib = lib
		c.mu.Unlock()
		err = c.inventory(lib)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doing = step{}
	if err != nil {
		c.status = err.Error()
		c.watching = c.status
		close(c.ready)
		return
	}
	c.status = "ok"
	if c.ctx.Err() != nil {
		return
	}
	var first sync.WaitGroup
	for _, g := range c.gpus {
		first.Add(1)
		c.calls.Add(1)
		go func() {
			defer c.calls.Done()
			g.run(first.Done)
		}()
	}
	go func() {
		first.Wait()
		close(c.ready)
	}()
	c.watch.Add(1)
	go func() {
		defer c.watch.Done()
		c.watchXIDs(lib)
	}()
}

// inventory asks for the versions and the number of GPUs. The versions may fail alone.
func (c *Collector) inventory(lib Library) error {
	for _, v := range []struct {
		fact, call string
		read       func() (string, error)
	}{
		{"gpu/driver", "nvmlSystemGetDriverVersion", lib.Driver},
		{"gpu/nvml", "nvmlSystemGetNVMLVersion", lib.NVML},
		{"gpu/cuda", "nvmlSystemGetCudaDriverVersion", lib.CUDA},
	} {
		c.step(v.call)
		if s, err := v.read(); err == nil {
			c.mu.Lock()
			c.facts[v.fact] = s
			c.mu.Unlock()
		}
	}
	c.step("nvmlDeviceGetCount")
	n, err := lib.Count()
	if err != nil {
		return fmt.Errorf("counting GPUs: %w", err)
	}
	if n == 0 {
		return errors.New("the NVIDIA driver has no GPU")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range n {
		c.gpus = append(c.gpus, newGPU(c, lib, i))
	}
	return nil
}

func (c *Collector) step(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doing = step{call, time.Now()}
}

// Wait blocks until every GPU was read once, or given up, or there is none to read. Its error is ctx's.
func (c *Collector) Wait(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-c.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// closeWithin is what Close allows the driver.
const closeWithin = 80 * time.Millisecond

// Close stops the reading and closes the library, within 100 ms: calls that have not come back by then are left behind,
// and the error names them. The library is then closed when they do, if ever. Further Closes return the same.
func (c *Collector) Close() error {
	c.closing.Do(func() {
		c.cancel()
		idle, shut := make(chan struct{}), make(chan struct{})
		go func() {
			c.calls.Wait()
			close(idle)
			c.watch.Wait()
			c.mu.Lock()
			lib := c.lib
			c.mu.Unlock()
			if lib != nil {
				// Nobody is left to tell: the readings are over and the process is about to end.
				_ = lib.Close()
			}
			close(shut)
		}()
		deadline := time.NewTimer(closeWithin)
		defer deadline.Stop()
		select {
		case <-idle:
			// The wait for XIDs may take a second to end. Nothing depends on it, so neither does Close.
			select {
			case <-shut:
			case <-time.After(5 * time.Millisecond):
			}
		case <-deadline.C:
			c.closeErr = fmt.Errorf("closing NVML: left behind: %s", c.unanswered(time.Now()))
		}
		close(c.closed)
	})
	<-c.closed
	return c.closeErr
}

// step is a call under way; the zero value is none.
type step struct {
	call  string
	since time.Time
}

// hangs is the time after which a call is said to hang.
const hangs = 3 * time.Second

// told gives the report of a call that hangs, empty if it doesn't.
func (s step) told(where string, now time.Time) string {
	if s.call == "" || now.Sub(s.since) < hangs {
		return ""
	}
	return fmt.Sprintf("%s%s has not answered for %d s", s.call, where, int(now.Sub(s.since).Seconds()))
}

// label makes a label pair; prometheus takes no text that is not UTF-8.
func label(name, value string) *dto.LabelPair {
	value = toUTF8(value)
	return &dto.LabelPair{Name: &name, Value: &value}
}
