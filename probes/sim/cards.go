package sim

import (
	"fmt"
	"os"
	"time"

	"pitwall/probes/gpu"
)

// library answers for the simulated cards as an A100's driver would.
type library struct{ s *Server }

func (l *library) Driver() (string, error) { return "570.172.08", nil }
func (l *library) NVML() (string, error)   { return "12.570.172.08", nil }
func (l *library) CUDA() (string, error)   { return "12.8", nil }
func (l *library) Close() error            { return nil }
func (l *library) Simulated() bool         { return true }
func (l *library) Count() (int, error)     { return len(l.s.driver.engines), nil }

func (l *library) Device(index int) (gpu.Device, error) {
	if index < 0 || index >= len(l.s.driver.engines) {
		return nil, fmt.Errorf("no GPU %d among %d", index, len(l.s.driver.engines))
	}
	return &card{s: l.s, index: index}, nil
}

var _ gpu.Simulation = (*library)(nil)

// Watch waits for XID errors, which never come.
func (l *library) Watch([]gpu.Device) (gpu.Watch, error) { return &silence{l.s.stopped}, nil }

type silence struct{ stopped <-chan struct{} }

func (w *silence) Next(timeout time.Duration) (gpu.XID, error) {
	select {
	case <-w.stopped:
		return gpu.XID{}, gpu.ErrClosed
	case <-time.After(timeout):
		return gpu.XID{}, gpu.ErrTimeout
	}
}

func (w *silence) Close() error { return nil }

// Memory of an A100-SXM4-80GB in bytes: nvidia-smi's 81,920 MiB, of which CUDA sees 79.25 GiB.
const (
	cardMemory   = 81920 << 20
	cardReserved = 655 << 20
	// What vLLM logs for Llama-3.1-8B: "Model loading took 14.99 GiB", and 1.27 GiB of activations and what is not torch's.
	// With 28,193 blocks that makes 0.9 of the 79.25 GiB that CUDA sees.
	weightMemory   = uint64(1499) << 30 / 100
	overheadMemory = uint64(127) << 30 / 100
)

// card is one A100-SXM4-80GB.
type card struct {
	s     *Server
	index int
}

// look gives the card's state at this moment.
func (c *card) look() board {
	c.s.driver.mu.Lock()
	defer c.s.driver.mu.Unlock()
	return *c.s.driver.board(c.index)
}

func (c *card) Name() (string, error)         { return "NVIDIA A100-SXM4-80GB", nil }
func (c *card) Architecture() (string, error) { return "Ampere", nil }

func (c *card) UUID() (string, error) {
	a, b := mix(c.s.options.Seed^0x75756964, uint64(c.index)), mix(uint64(c.index), 0x67707573)
	return fmt.Sprintf("GPU-%08x-%04x-%04x-%04x-%012x", uint32(a>>32), uint16(a>>16), uint16(a), uint16(b>>48), b&0xffffffffffff), nil
}

func (c *card) PCIBusID() (string, error) {
	// The slots of a DGX A100.
	slots := [...]byte{0x07, 0x0f, 0x47, 0x4e, 0x87, 0x90, 0xb7, 0xbd}
	return fmt.Sprintf("%08X:%02X:00.0", c.index/len(slots), slots[c.index%len(slots)]), nil
}

func (c *card) Utilization() (gpu.Utilization, error) {
	b := c.look()
	return gpu.Utilization{GPU: float64(int(100*b.busyShare + 0.5)), Memory: float64(int(100*b.memShare + 0.5))}, nil
}

// taken is what the engine holds: weights, KV cache and what it needs besides.
func (c *card) taken() uint64 {
	return weightMemory + overheadMemory + uint64(c.s.config.Blocks)*BlockSize*kvBytesPerToken
}

func (c *card) Memory() (gpu.Memory, error) {
	used := min(c.taken(), cardMemory-cardReserved)
	return gpu.Memory{
		Total: cardMemory, Reserved: cardReserved, HasReserved: true, Used: used, Free: cardMemory - cardReserved - used,
	}, nil
}

// Processes has the engine's process.
func (c *card) Processes() ([]gpu.Process, error) {
	return []gpu.Process{{PID: c.s.pid(c.index), Memory: c.taken(), HasMemory: true, Instance: -1}}, nil
}

// noPID is above every PID that Linux gives (PID_MAX_LIMIT).
const noPID = 1 << 22

// pid is the process on a card: on the first this one, which computes the engine that is served; on the others one that
// cannot be taken for any process of this machine.
func (s *Server) pid(index int) int {
	if index == 0 {
		return os.Getpid()
	}
	return noPID + index
}

// Process tells what a PID from the simulated cards is, as gpu.Options.Process wants to know it; all empty for others.
func (s *Server) Process(pid int) (role, title, engine string) {
	for i := range s.driver.engines {
		if s.pid(i) != pid {
			continue
		}
		if i == 0 {
			engine = s.listener.Addr().String()
		}
		return "engine_core", "VLLM::EngineCore", engine
	}
	return "", "", ""
}

func (c *card) Power() (float64, error)         { return float64(int(1000*c.look().watts)) / 1000, nil }
func (c *card) PowerLimit() (float64, error)    { return boardLimitWatts, nil }
func (c *card) MaxPowerLimit() (float64, error) { return boardLimitWatts, nil }
func (c *card) Energy() (uint64, error)         { return uint64(1000 * c.look().joules), nil }

func (c *card) Temperature() (float64, error)       { return float64(int(c.look().temp)), nil }
func (c *card) MemoryTemperature() (float64, error) { return float64(int(c.look().memory)), nil }

func (c *card) TemperatureLimit(l gpu.Limit) (float64, error) {
	switch l {
	case gpu.ShutdownTemp:
		return shutdownTemp, nil
	case gpu.SlowdownTemp:
		return slowdownTemp, nil
	case gpu.MaxMemoryTemp:
		return maxMemoryTemp, nil
	case gpu.MaxGPUTemp:
		return maxGPUTemp, nil
	}
	return 0, gpu.ErrNotSupported
}

// FanSpeed is not there: the server's fans cool an SXM card.
func (c *card) FanSpeed() (float64, error) { return 0, gpu.ErrNotSupported }

func (c *card) Clock(k gpu.Clock) (float64, error) {
	if k == gpu.MemoryClock {
		return memMHz, nil
	}
	// Clocks move in steps of 15 MHz.
	return float64(int(c.look().clock/15) * 15), nil
}

func (c *card) MaxClock(k gpu.Clock) (float64, error) {
	if k == gpu.MemoryClock {
		return memMHz, nil
	}
	return smMaxMHz, nil
}

// PState is always 0: an A100 has no other.
func (c *card) PState() (int, error) { return 0, nil }

// The bits of NVML's nvmlClocksEventReasons that can be set here.
const (
	reasonIdle     = 0x1
	reasonPowerCap = 0x4
)

func (c *card) ClockReasons() (uint64, error) {
	b := c.look()
	switch {
	case b.isCapped:
		return reasonPowerCap, nil
	case b.clock == smIdleMHz:
		return reasonIdle, nil
	}
	return 0, nil
}

// PCIe needs no 20 ms here.
func (c *card) PCIe(d gpu.Direction) (float64, error) {
	b := c.look()
	if d == gpu.Transmit {
		return b.tx, nil
	}
	return b.rx, nil
}

func (c *card) PCIeReplays() (uint64, error) { return 0, nil }

// NVLink is silent: every card runs its own engine, nothing is split over several.
func (c *card) NVLink() (transmitted, received uint64, err error) { return 0, 0, nil }

func (c *card) ECCErrors(gpu.ECC) (uint64, error)           { return 0, nil }
func (c *card) RemappedRows() (gpu.RemappedRows, error)     { return gpu.RemappedRows{}, nil }
func (c *card) MIG() (bool, error)                          { return false, nil }
func (c *card) Instances() ([]gpu.Instance, error)          { return nil, nil }
func (c *card) RecoveryAction() (gpu.RecoveryAction, error) { return 0, nil }

// ReasonTimes counts the power cap and idleness; what never happens here stays zero, and what depends on a base clock that
// this card's clocks never get near is not counted.
func (c *card) ReasonTimes() ([]gpu.ReasonTime, error) {
	b := c.look()
	var out []gpu.ReasonTime
	for _, name := range gpu.TimedReasons() {
		t := gpu.ReasonTime{Reason: name}
		switch name {
		case "power_cap":
			t.Total = b.capped
		case "low_util":
			t.Total = b.idle
		case "below_app_clocks", "below_base_clocks":
			t.Err = gpu.ErrNotSupported
		}
		out = append(out, t)
	}
	return out, nil
}
