package sim

import (
	"fmt"
	"os"

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
	c := &card{s: l.s, index: index}
	if _, err := c.look(); err != nil {
		return nil, err
	}
	return c, nil
}

var _ gpu.Simulation = (*library)(nil)

// Memory of an A100-SXM4-80GB in bytes: nvidia-smi's 81,920 MiB, of which CUDA sees 79.25 GiB.
const (
	cardMemory   = 81920 << 20
	cardReserved = 655 << 20
	// 1.27 GiB of activations and what is not torch's; with the weights of Llama-3.1-8B ("Model loading took 14.99 GiB") and
	// 28,193 blocks that makes 0.9 of the 79.25 GiB that CUDA sees.
	overheadMemory = uint64(127) << 30 / 100
)

// card is one A100-SXM4-80GB.
type card struct {
	s     *Server
	index int
}

// look gives the card's state at this moment; gpu.ErrGPULost while a fault has taken it off the bus.
func (c *card) look() (board, error) {
	c.s.driver.mu.Lock()
	defer c.s.driver.mu.Unlock()
	b := *c.s.driver.board(c.index)
	if b.lost > 0 {
		return b, gpu.ErrGPULost
	}
	return b, nil
}

// fixed gives what never changes, as long as the card is there.
func fixed[T any](c *card, v T) (T, error) {
	_, err := c.look()
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// read gives what a function makes of the card's state.
func read[T any](c *card, f func(b *board) T) (T, error) {
	b, err := c.look()
	if err != nil {
		var none T
		return none, err
	}
	return f(&b), nil
}

func (c *card) Name() (string, error)         { return fixed(c, "NVIDIA A100-SXM4-80GB") }
func (c *card) Architecture() (string, error) { return fixed(c, "Ampere") }

func (c *card) UUID() (string, error) {
	a, b := mix(c.s.options.Seed^0x75756964, uint64(c.index)), mix(uint64(c.index), 0x67707573)
	return fixed(c, fmt.Sprintf("GPU-%08x-%04x-%04x-%04x-%012x", uint32(a>>32), uint16(a>>16), uint16(a), uint16(b>>48), b&0xffffffffffff))
}

func (c *card) PCIBusID() (string, error) {
	// The slots of a DGX A100.
	slots := [...]byte{0x07, 0x0f, 0x47, 0x4e, 0x87, 0x90, 0xb7, 0xbd}
	return fixed(c, fmt.Sprintf("%08X:%02X:00.0", c.index/len(slots), slots[c.index%len(slots)]))
}

func (c *card) Utilization() (gpu.Utilization, error) {
	return read(c, func(b *board) gpu.Utilization {
		return gpu.Utilization{GPU: float64(int(100*b.busyShare + 0.5)), Memory: float64(int(100*b.memShare + 0.5))}
	})
}

// taken is what the engine holds: weights, KV cache and what it needs besides; nothing while it is gone.
func (c *card) taken() uint64 {
	c.s.driver.mu.Lock()
	defer c.s.driver.mu.Unlock()
	e := c.s.driver.engines[c.index]
	if e.down > 0 {
		return 0
	}
	if e.asleep > 0 {
		return overheadMemory
	}
	m := e.cfg.Steps
	return uint64(m.WeightBytes) + overheadMemory + uint64(float64(e.cfg.Blocks*e.cfg.BlockSize)*m.KVBytesPerToken)
}

func (c *card) Memory() (gpu.Memory, error) {
	used := min(c.taken(), cardMemory-cardReserved)
	return fixed(c, gpu.Memory{
		Total: cardMemory, Reserved: cardReserved, HasReserved: true, Used: used, Free: cardMemory - cardReserved - used,
	})
}

// Processes has the engine's process.
func (c *card) Processes() ([]gpu.Process, error) {
	var out []gpu.Process
	if n := c.taken(); n > 0 {
		out = append(out, gpu.Process{PID: c.s.pid(c.index), Memory: n, HasMemory: true, Instance: -1})
	}
	return fixed(c, out)
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
			engine = s.addr
		}
		return "engine_core", "VLLM::EngineCore", engine
	}
	return "", "", ""
}

func (c *card) Power() (float64, error) {
	return read(c, func(b *board) float64 { return float64(int(1000*b.watts)) / 1000 })
}

func (c *card) PowerLimit() (float64, error) {
	return read(c, func(b *board) float64 { return b.limit })
}
func (c *card) MaxPowerLimit() (float64, error) { return fixed(c, boardLimitWatts) }
func (c *card) Energy() (uint64, error) {
	return read(c, func(b *board) uint64 { return uint64(1000 * b.joules) })
}

func (c *card) Temperature() (float64, error) {
	return read(c, func(b *board) float64 { return float64(int(b.temp)) })
}

func (c *card) MemoryTemperature() (float64, error) {
	return read(c, func(b *board) float64 { return float64(int(b.memory)) })
}

func (c *card) TemperatureLimit(l gpu.Limit) (float64, error) {
	switch l {
	case gpu.ShutdownTemp:
		return fixed(c, shutdownTemp)
	case gpu.SlowdownTemp:
		return fixed(c, slowdownTemp)
	case gpu.MaxMemoryTemp:
		return fixed(c, maxMemoryTemp)
	case gpu.MaxGPUTemp:
		return fixed(c, maxGPUTemp)
	}
	return 0, gpu.ErrNotSupported
}

// FanSpeed is not there: the server's fans cool an SXM card.
func (c *card) FanSpeed() (float64, error) { return 0, gpu.ErrNotSupported }

func (c *card) Clock(k gpu.Clock) (float64, error) {
	if k == gpu.MemoryClock {
		return fixed(c, memMHz)
	}
	// Clocks move in steps of 15 MHz.
	return read(c, func(b *board) float64 { return float64(int(b.clock/15) * 15) })
}

func (c *card) MaxClock(k gpu.Clock) (float64, error) {
	if k == gpu.MemoryClock {
		return fixed(c, memMHz)
	}
	return fixed(c, smMaxMHz)
}

// PState is always 0: an A100 has no other.
func (c *card) PState() (int, error) { return fixed(c, 0) }

// The bits of NVML's nvmlClocksEventReasons that can be set here.
const (
	reasonIdle     = 0x1
	reasonPowerCap = 0x4
	reasonHeat     = 0x20 // software thermal slowdown
)

func (c *card) ClockReasons() (uint64, error) {
	return read(c, func(b *board) uint64 {
		var mask uint64
		if b.heldTo > 0 {
			mask |= reasonHeat
		}
		if b.isCapped {
			mask |= reasonPowerCap
		}
		if mask == 0 && b.clock == smIdleMHz {
			mask = reasonIdle
		}
		return mask
	})
}

// PCIe needs no 20 ms here.
func (c *card) PCIe(d gpu.Direction) (float64, error) {
	return read(c, func(b *board) float64 {
		if d == gpu.Transmit {
			return b.tx
		}
		return b.rx
	})
}

func (c *card) PCIeReplays() (uint64, error) { return fixed[uint64](c, 0) }

// NVLink is silent: every card runs its own engine, nothing is split over several.
func (c *card) NVLink() (transmitted, received uint64, err error) {
	_, err = c.look()
	return 0, 0, err
}

// ECCErrors has the same numbers since the driver was loaded and over the card's life: the card is new.
func (c *card) ECCErrors(which gpu.ECC) (uint64, error) {
	return read(c, func(b *board) uint64 {
		if which.DoubleBit {
			return uint64(b.double)
		}
		return uint64(b.single)
	})
}

func (c *card) RemappedRows() (gpu.RemappedRows, error) {
	return read(c, func(b *board) gpu.RemappedRows {
		return gpu.RemappedRows{Uncorrectable: b.remapped, Pending: b.remapped > 0, Failed: b.remapFailed}
	})
}

func (c *card) MIG() (bool, error)                 { return fixed(c, false) }
func (c *card) Instances() ([]gpu.Instance, error) { return fixed[[]gpu.Instance](c, nil) }

// RecoveryAction is to reset the GPU when a row waits for being remapped or could not be.
func (c *card) RecoveryAction() (gpu.RecoveryAction, error) {
	return read(c, func(b *board) gpu.RecoveryAction {
		if b.remapped > 0 || b.remapFailed {
			return 1
		}
		return 0
	})
}

// ReasonTimes counts the power cap, heat and idleness; what never happens here stays zero, and what depends on a base clock
// that this card's clocks only get near by a fault is not counted.
func (c *card) ReasonTimes() ([]gpu.ReasonTime, error) {
	b, err := c.look()
	if err != nil {
		return nil, err
	}
	var out []gpu.ReasonTime
	for _, name := range gpu.TimedReasons() {
		t := gpu.ReasonTime{Reason: name}
		switch name {
		case "power_cap":
			t.Total = b.capped
		case "low_util":
			t.Total = b.idle
		case "thermal", "sw_thermal":
			t.Total = b.hot
		case "below_app_clocks", "below_base_clocks":
			t.Err = gpu.ErrNotSupported
		}
		out = append(out, t)
	}
	return out, nil
}
