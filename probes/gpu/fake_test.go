package gpu

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"pitwall/probes"
)

// fakeBox is a Library of made-up GPUs. on is asked before every call; it may block, sleep, or fail the call.
type fakeBox struct {
	gpus []*fakeGPU
	on   func(gpu int, call string, n int) error
	xids chan XID

	mu     sync.Mutex // guards the rest
	calls  map[string]int
	times  map[string][]time.Time
	inside int
	most   int
	closed bool
}

func newFakeBox(n int, on func(gpu int, call string, n int) error) *fakeBox {
	b := &fakeBox{on: on, xids: make(chan XID, 1), calls: map[string]int{}, times: map[string][]time.Time{}}
	for i := range n {
		b.gpus = append(b.gpus, &fakeGPU{box: b, index: i, title: "A100"})
	}
	return b
}

func (b *fakeBox) did(gpu int, call string) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		panic(call + " after Close")
	}
	key := fmt.Sprintf("%s on %d", call, gpu)
	b.calls[key]++
	n := b.calls[key]
	b.times[key] = append(b.times[key], time.Now())
	b.inside++
	b.most = max(b.most, b.inside)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.inside--
		b.mu.Unlock()
	}()
	if b.on == nil {
		return nil
	}
	return b.on(gpu, call, n)
}

func (b *fakeBox) count(gpu int, call string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[fmt.Sprintf("%s on %d", call, gpu)]
}

func (b *fakeBox) Driver() (string, error) { return "1.2", b.did(-1, "Driver") }
func (b *fakeBox) NVML() (string, error)   { return "12.1.2", b.did(-1, "NVML") }
func (b *fakeBox) CUDA() (string, error)   { return "12.4", b.did(-1, "CUDA") }
func (b *fakeBox) Count() (int, error)     { return len(b.gpus), b.did(-1, "Count") }
func (b *fakeBox) Device(i int) (Device, error) {
	return b.gpus[i], b.did(i, "Device")
}
func (b *fakeBox) Watch([]Device) (Watch, error) { return b, b.did(-1, "Watch") }
func (b *fakeBox) Next(timeout time.Duration) (XID, error) {
	select {
	case x := <-b.xids:
		return x, nil
	case <-time.After(timeout):
		return XID{}, ErrTimeout
	}
}

// Close is the Library's and the Watch's.
func (b *fakeBox) Close() error { return nil }

// fakeGPU answers every call with the same values.
type fakeGPU struct {
	box       *fakeBox
	index     int
	title     string
	mu        sync.Mutex // guards the rest
	mig       bool
	reasons   uint64
	processes []Process
}

func (g *fakeGPU) did(call string) error { return g.box.did(g.index, call) }

func (g *fakeGPU) Name() (string, error) { return g.title, g.did("Name") }
func (g *fakeGPU) UUID() (string, error) { return fmt.Sprintf("GPU-%d", g.index), g.did("UUID") }
func (g *fakeGPU) PCIBusID() (string, error) {
	return fmt.Sprintf("00000000:%02X:00.0", g.index), g.did("PCIBusID")
}
func (g *fakeGPU) Architecture() (string, error) { return "Ampere", g.did("Architecture") }
func (g *fakeGPU) Utilization() (Utilization, error) {
	return Utilization{90, 50}, g.did("Utilization")
}
func (g *fakeGPU) Memory() (Memory, error) {
	return Memory{Total: 80 << 30, Used: 70 << 30, Free: 9 << 30, Reserved: 1 << 30, HasReserved: true}, g.did("Memory")
}
func (g *fakeGPU) Processes() ([]Process, error) {
	err := g.did("Processes")
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.processes, err
}
func (g *fakeGPU) Power() (float64, error)                 { return 300.4, g.did("Power") }
func (g *fakeGPU) PowerLimit() (float64, error)            { return 400, g.did("PowerLimit") }
func (g *fakeGPU) MaxPowerLimit() (float64, error)         { return 400, g.did("MaxPowerLimit") }
func (g *fakeGPU) Energy() (uint64, error)                 { return 1000, g.did("Energy") }
func (g *fakeGPU) Temperature() (float64, error)           { return 60, g.did("Temperature") }
func (g *fakeGPU) MemoryTemperature() (float64, error)     { return 70, g.did("MemoryTemperature") }
func (g *fakeGPU) TemperatureLimit(Limit) (float64, error) { return 90, g.did("TemperatureLimit") }
func (g *fakeGPU) FanSpeed() (float64, error)              { return 30, g.did("FanSpeed") }
func (g *fakeGPU) Clock(Clock) (float64, error)            { return 1400, g.did("Clock") }
func (g *fakeGPU) MaxClock(Clock) (float64, error)         { return 1410, g.did("MaxClock") }
func (g *fakeGPU) PState() (int, error)                    { return 0, g.did("PState") }
func (g *fakeGPU) ClockReasons() (uint64, error) {
	err := g.did("ClockReasons")
	g.mu.Lock()
	defer g.mu.Unlock()
	return 4 | g.reasons, err
}
func (g *fakeGPU) ReasonTimes() ([]ReasonTime, error) {
	return []ReasonTime{{Reason: "power_cap", Total: time.Second}}, g.did("ReasonTimes")
}
func (g *fakeGPU) PCIe(Direction) (float64, error)         { return 1e9, g.did("PCIe") }
func (g *fakeGPU) PCIeReplays() (uint64, error)            { return 0, g.did("PCIeReplays") }
func (g *fakeGPU) NVLink() (uint64, uint64, error)         { return 1, 2, g.did("NVLink") }
func (g *fakeGPU) ECCErrors(ECC) (uint64, error)           { return 0, g.did("ECCErrors") }
func (g *fakeGPU) RemappedRows() (RemappedRows, error)     { return RemappedRows{}, g.did("RemappedRows") }
func (g *fakeGPU) RecoveryAction() (RecoveryAction, error) { return 0, g.did("RecoveryAction") }
func (g *fakeGPU) MIG() (bool, error) {
	err := g.did("MIG")
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mig, err
}
func (g *fakeGPU) Instances() ([]Instance, error) { return nil, g.did("Instances") }

// reader reads a Collector as the recorder does, and keeps the events.
type reader struct {
	t      *testing.T
	src    probes.Source
	events []probes.Event
}

func newReader(t *testing.T, c *Collector) *reader {
	t.Helper()
	src, err := probes.FromCollector("dcgm", "box", c)
	if err != nil {
		t.Fatal(err)
	}
	return &reader{t: t, src: src}
}

// read pulls once; samples are by family and GPU, of which there is one each in these tests.
func (r *reader) read() (map[string]float64, probes.Reading) {
	r.t.Helper()
	began := time.Now()
	got := r.src.Read(context.Background())
	if got.Err != nil {
		r.t.Fatal(got.Err)
	}
	if took := time.Since(began); took > 20*time.Millisecond {
		r.t.Errorf("a pull took %v", took)
	}
	r.events = append(r.events, got.Events...)
	out := map[string]float64{}
	for _, s := range got.Samples {
		out[s.Labels.Get("__name__")+" "+s.Labels.Get("gpu")] = s.Value
	}
	return out, got
}

func (r *reader) titles(kind string) []string {
	var out []string
	for _, e := range r.events {
		if e.Kind == kind {
			out = append(out, e.Title)
		}
	}
	return out
}
