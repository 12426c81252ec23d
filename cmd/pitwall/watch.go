package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pitwall/cmd/config"
	"pitwall/probes"
	"pitwall/probes/engine"
	"pitwall/probes/engine/dialect"
	"pitwall/probes/gpu"
	"pitwall/probes/host"
	"pitwall/probes/sim"
	"pitwall/sessions"
	"pitwall/sessions/events"
)

// watched is every probe that is open, as one list of sources.
type watched struct {
	engines   *engine.Watch
	gpus      *gpu.Collector
	fixed     []probes.Source
	events    *events.Source
	load      func() []probes.Source // those of the load from here; nil without
	simulated bool
}

// watch opens the probes. It doesn't wait for a driver or an engine: what isn't there yet comes with a later tick. known is
// what the session that they go on with knew of its engines.
func (p *program) watch(c *config.Config, known []engine.Known) (*watched, error) {
	machine := p.machine(c)
	gpus := gpu.Open(gpu.Options{Hostname: hostname(), Process: machine.Process, Claims: claims(machine)})
	return p.assemble(c, machine, gpus, known, false)
}

// machine is the probe of this host; the disk of the sessions is watched too, where there is one.
func (p *program) machine(c *config.Config) *host.Collector {
	o := host.Options{}
	if c.SessionsDir != "" {
		o.Paths = map[string]string{"sessions": c.SessionsDir}
	}
	return host.New(o)
}

// watchSimulated opens the same probes on a simulation.
func (p *program) watchSimulated(c *config.Config, s *sim.Server) (*watched, error) {
	machine := p.machine(c)
	w, err := p.assemble(c, machine, gpu.New(s.GPU(), gpu.Options{Hostname: hostname(), Process: s.Process}), nil, true)
	if err == nil {
		w.fixed[0] = s.OnHost(w.fixed[0]) // the machine's source is the first
	}
	return w, err
}

func (p *program) assemble(c *config.Config, machine *host.Collector, gpus *gpu.Collector, known []engine.Known, simulated bool) (*watched, error) {
	rules, err := p.rules(c)
	if err != nil {
		return nil, errors.Join(err, gpus.Close())
	}
	w := &watched{gpus: gpus, simulated: simulated, events: events.NewSource(rules)}
	node, err := probes.FromCollector("node", hostname(), machine)
	if err == nil {
		w.fixed = append(w.fixed, node)
	}
	dcgm, gpuErr := probes.FromCollector("dcgm", hostname(), gpus)
	if gpuErr == nil {
		w.fixed = append(w.fixed, dcgm)
	}
	if err := errors.Join(err, gpuErr); err != nil {
		return nil, errors.Join(err, gpus.Close())
	}
	access, err := p.access(c)
	var as *dialect.Dialect
	if err == nil {
		as, err = forcedDialect(c)
	}
	if err == nil {
		w.engines, err = engine.Open(engine.Options{URLs: c.Engine, Dialect: as, Scrapes: c.Scrape, Access: access, Servers: servers(machine), Known: known, NoExporters: simulated})
		if err != nil {
			err = fail(exitUsage, "pitwall config shows what is in force, and whence", "%w", err)
		}
	}
	if err != nil {
		_ = gpus.Close() // the first error is the one to tell
		return nil, err
	}
	return w, nil
}

// access is what opens an engine behind a proxy.
func (p *program) access(c *config.Config) (engine.Access, error) {
	key, _, err := c.APIKey(p.env)
	if err != nil {
		return engine.Access{}, fail(exitUsage, "api_key_file names a file with one line; without it "+c.APIKeyEnv+" is read", "%w", err)
	}
	a := engine.Access{APIKey: key, CAFile: c.CAFile, Headers: http.Header{}}
	for _, h := range c.Header {
		name, value, _ := strings.Cut(h, ":") // config has seen that there is a colon
		a.Headers.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return a, nil
}

// servers tells the engine probe which processes of this host serve engines.
func servers(machine *host.Collector) func() ([]engine.Server, error) {
	return func() ([]engine.Server, error) {
		all, err := processes(machine)
		return engine.ServersOf(all), err
	}
}

// processes gives the engines' processes of this host.
func processes(machine *host.Collector) ([]host.Process, error) {
	if all := machine.Processes(); all != nil {
		return all, nil
	}
	return host.Processes("/proc") // the collector has not been read yet
}

// claims tells the GPU probe what the engines' command lines and environments say about GPUs.
func claims(machine *host.Collector) func() []gpu.Claim {
	return func() []gpu.Claim {
		var out []gpu.Claim
		all, err := processes(machine)
		if err != nil {
			return nil // the host's own reading reports it
		}
		for _, s := range all {
			if s.Root != s.PID || s.Denied || s.Address() == "" {
				continue // what was not started on a command line, or can't be read, claims nothing
			}
			visible, set := s.Env["CUDA_VISIBLE_DEVICES"]
			out = append(out, gpu.Claim{Engine: s.Address(), Visible: visible, Set: set,
				PCIOrder: s.Env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID", TensorParallel: tensorParallel(s.Args)})
		}
		return out
	}
}

// tensorParallel reads --tensor-parallel-size out of a command line; 0 when it isn't there.
func tensorParallel(args []string) int {
	for i, a := range args {
		name, v, joined := strings.Cut(a, "=")
		if name = strings.ReplaceAll(name, "_", "-"); name != "--tensor-parallel-size" && name != "-tp" {
			continue
		}
		if !joined && i+1 < len(args) {
			v = args[i+1]
		}
		if n, err := strconv.Atoi(v); err == nil {
			return n
		}
	}
	return 0
}

// Sources is asked at every tick.
func (w *watched) Sources() []probes.Source {
	all := append(w.engines.Sources(), w.fixed...)
	if w.load != nil {
		all = append(all, w.load()...)
	}
	if w.events.Following() {
		all = append(all, w.events)
	}
	return all
}

// follow names the recorder that these sources belong to: events are found in what it has.
func (w *watched) follow(rec sessions.Reader) { w.events.Follow(rec) }

// settle waits until the engines have been looked for, and until the GPUs have been read once, each within its time: a driver
// that hangs delays nobody.
func (w *watched) settle(ctx context.Context, engines, gpus time.Duration) {
	within := func(d time.Duration, wait func(context.Context) error) {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		_ = wait(ctx) // what is not there in time comes with a later tick
	}
	within(engines, w.engines.Wait)
	within(gpus, w.gpus.Wait)
}

// Close closes the probes; calls that hang are left behind.
func (w *watched) Close() error { return errors.Join(w.engines.Close(), w.gpus.Close()) }
