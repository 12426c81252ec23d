//go:build cgo && linux

package gpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// nvmlDevice is Device over go-nvml, for a GPU or a MIG instance.
type nvmlDevice struct {
	lib   *nvmlLibrary
	h     nvml.Device
	index int // of the GPU
}

func (d *nvmlDevice) Name() (string, error) { return ask(d.lib, "nvmlDeviceGetName", d.h.GetName) }
func (d *nvmlDevice) UUID() (string, error) { return ask(d.lib, "nvmlDeviceGetUUID", d.h.GetUUID) }

func (d *nvmlDevice) PCIBusID() (string, error) {
	p, err := ask(d.lib, "nvmlDeviceGetPciInfo", d.h.GetPciInfo)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, c := range p.BusId {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String(), nil
}

func (d *nvmlDevice) Architecture() (string, error) {
	a, err := ask(d.lib, "nvmlDeviceGetArchitecture", d.h.GetArchitecture)
	if err != nil {
		return "", err
	}
	switch a {
	case nvml.DEVICE_ARCH_KEPLER:
		return "Kepler", nil
	case nvml.DEVICE_ARCH_MAXWELL:
		return "Maxwell", nil
	case nvml.DEVICE_ARCH_PASCAL:
		return "Pascal", nil
	case nvml.DEVICE_ARCH_VOLTA:
		return "Volta", nil
	case nvml.DEVICE_ARCH_TURING:
		return "Turing", nil
	case nvml.DEVICE_ARCH_AMPERE:
		return "Ampere", nil
	case nvml.DEVICE_ARCH_ADA:
		return "Ada", nil
	case nvml.DEVICE_ARCH_HOPPER:
		return "Hopper", nil
	case nvml.DEVICE_ARCH_BLACKWELL:
		return "Blackwell", nil
	case nvml.DEVICE_ARCH_RUBIN:
		return "Rubin", nil
	}
	return fmt.Sprintf("architecture %d", uint32(a)), nil
}

func (d *nvmlDevice) Utilization() (Utilization, error) {
	u, err := ask(d.lib, "nvmlDeviceGetUtilizationRates", d.h.GetUtilizationRates)
	return Utilization{GPU: float64(u.Gpu), Memory: float64(u.Memory)}, err
}

func (d *nvmlDevice) Memory() (Memory, error) {
	// Only the second version tells reserved memory from used; some drivers have it and don't give it for every device.
	if d.lib.have["nvmlDeviceGetMemoryInfo_v2"] {
		m, r := d.h.GetMemoryInfo_v2()
		err := failure("nvmlDeviceGetMemoryInfo_v2", r)
		if err == nil {
			return Memory{Total: m.Total, Free: m.Free, Used: m.Used, Reserved: m.Reserved, HasReserved: true}, nil
		}
		if !permanent(err) || !d.lib.have["nvmlDeviceGetMemoryInfo"] {
			return Memory{}, err
		}
	}
	if !d.lib.have["nvmlDeviceGetMemoryInfo"] {
		return Memory{}, d.lib.need("nvmlDeviceGetMemoryInfo")
	}
	m, r := d.h.GetMemoryInfo()
	return Memory{Total: m.Total, Free: m.Free, Used: m.Used}, failure("nvmlDeviceGetMemoryInfo", r)
}

func (d *nvmlDevice) Processes() ([]Process, error) {
	ps, err := ask(d.lib, "nvmlDeviceGetComputeRunningProcesses", d.h.GetComputeRunningProcesses)
	if err != nil {
		return nil, err
	}
	out := make([]Process, 0, len(ps))
	for _, p := range ps {
		one := Process{PID: int(p.Pid), Memory: p.UsedGpuMemory, HasMemory: true, Instance: -1}
		if p.UsedGpuMemory == math.MaxUint64 { // NVML_VALUE_NOT_AVAILABLE
			one.Memory, one.HasMemory = 0, false
		}
		if p.GpuInstanceId != none {
			one.Instance = int(p.GpuInstanceId)
		}
		out = append(out, one)
	}
	return out, nil
}

func (d *nvmlDevice) Power() (float64, error) {
	mw, err := ask(d.lib, "nvmlDeviceGetPowerUsage", d.h.GetPowerUsage)
	return float64(mw) / 1000, err
}

func (d *nvmlDevice) PowerLimit() (float64, error) {
	mw, err := ask(d.lib, "nvmlDeviceGetEnforcedPowerLimit", d.h.GetEnforcedPowerLimit)
	return float64(mw) / 1000, err
}

func (d *nvmlDevice) MaxPowerLimit() (float64, error) {
	mw, err := ask(d.lib, "nvmlDeviceGetPowerManagementLimitConstraints", func() (uint32, nvml.Return) {
		_, highest, r := d.h.GetPowerManagementLimitConstraints()
		return highest, r
	})
	return float64(mw) / 1000, err
}

func (d *nvmlDevice) Energy() (uint64, error) {
	return ask(d.lib, "nvmlDeviceGetTotalEnergyConsumption", d.h.GetTotalEnergyConsumption)
}

func (d *nvmlDevice) Temperature() (float64, error) {
	// The older function is deprecated since NVML 13, the newer one unknown to older drivers.
	if d.lib.have["nvmlDeviceGetTemperatureV"] {
		t, r := d.h.GetTemperatureV().V1()
		err := failure("nvmlDeviceGetTemperatureV", r)
		if err == nil {
			return float64(t.Temperature), nil
		}
		if !permanent(err) || !d.lib.have["nvmlDeviceGetTemperature"] {
			return 0, err
		}
	}
	if !d.lib.have["nvmlDeviceGetTemperature"] {
		return 0, fmt.Errorf("nvmlDeviceGetTemperature is %w", ErrSymbolMissing)
	}
	t, r := d.h.GetTemperature(nvml.TEMPERATURE_GPU)
	return float64(t), failure("nvmlDeviceGetTemperature", r)
}

func (d *nvmlDevice) MemoryTemperature() (float64, error) {
	return d.one(nvml.FI_DEV_MEMORY_TEMP, 0)
}

func (d *nvmlDevice) TemperatureLimit(l Limit) (float64, error) {
	which := nvml.TEMPERATURE_THRESHOLD_SHUTDOWN
	switch l {
	case SlowdownTemp:
		which = nvml.TEMPERATURE_THRESHOLD_SLOWDOWN
	case MaxMemoryTemp:
		which = nvml.TEMPERATURE_THRESHOLD_MEM_MAX
	case MaxGPUTemp:
		which = nvml.TEMPERATURE_THRESHOLD_GPU_MAX
	}
	t, err := ask(d.lib, "nvmlDeviceGetTemperatureThreshold", func() (uint32, nvml.Return) {
		return d.h.GetTemperatureThreshold(which)
	})
	return float64(t), err
}

func (d *nvmlDevice) FanSpeed() (float64, error) {
	p, err := ask(d.lib, "nvmlDeviceGetFanSpeed", d.h.GetFanSpeed)
	return float64(p), err
}

func clockType(c Clock) nvml.ClockType {
	if c == MemoryClock {
		return nvml.CLOCK_MEM
	}
	return nvml.CLOCK_SM
}

func (d *nvmlDevice) Clock(c Clock) (float64, error) {
	mhz, err := ask(d.lib, "nvmlDeviceGetClockInfo", func() (uint32, nvml.Return) { return d.h.GetClockInfo(clockType(c)) })
	return float64(mhz), err
}

func (d *nvmlDevice) MaxClock(c Clock) (float64, error) {
	mhz, err := ask(d.lib, "nvmlDeviceGetMaxClockInfo", func() (uint32, nvml.Return) { return d.h.GetMaxClockInfo(clockType(c)) })
	return float64(mhz), err
}

func (d *nvmlDevice) PState() (int, error) {
	p, err := ask(d.lib, "nvmlDeviceGetPerformanceState", d.h.GetPerformanceState)
	if err == nil && p == nvml.PSTATE_UNKNOWN {
		return 0, errors.New("nvmlDeviceGetPerformanceState: unknown state")
	}
	return int(p), err
}

func (d *nvmlDevice) ClockReasons() (uint64, error) {
	if !d.lib.have["nvmlDeviceGetCurrentClocksEventReasons"] {
		// The name before driver 535.
		return ask(d.lib, "nvmlDeviceGetCurrentClocksThrottleReasons", d.h.GetCurrentClocksThrottleReasons)
	}
	return ask(d.lib, "nvmlDeviceGetCurrentClocksEventReasons", d.h.GetCurrentClocksEventReasons)
}

func (d *nvmlDevice) ReasonTimes() ([]ReasonTime, error) {
	reasons := timedReasons()
	out := make([]ReasonTime, len(reasons))
	ids := make([]uint32, len(reasons))
	for i, r := range reasons {
		out[i].Reason = r.name
		ids[i] = r.field
	}
	vs, err := d.values(ids, 0)
	if err != nil && !permanent(err) {
		return nil, err
	}
	worked := false
	for i, r := range reasons {
		var ns float64
		e := err
		if e == nil {
			ns, e = decode(vs[i])
		}
		// Deprecated since NVML 13, but all that drivers without the fields have.
		if e != nil && permanent(e) && r.policy >= 0 {
			v, old := ask(d.lib, "nvmlDeviceGetViolationStatus", func() (nvml.ViolationTime, nvml.Return) {
				return d.h.GetViolationStatus(nvml.PerfPolicyType(r.policy))
			})
			if old == nil {
				ns, e = float64(v.ViolationTime), nil
			}
		}
		if errors.Is(e, ErrGPULost) {
			return nil, e
		}
		out[i].Total, out[i].Err = time.Duration(ns), e
		worked = worked || e == nil
	}
	if !worked && permanent(out[0].Err) {
		return nil, out[0].Err
	}
	return out, nil
}

func (d *nvmlDevice) PCIe(dir Direction) (float64, error) {
	counter := nvml.PCIE_UTIL_TX_BYTES
	if dir == Receive {
		counter = nvml.PCIE_UTIL_RX_BYTES
	}
	kb, err := ask(d.lib, "nvmlDeviceGetPcieThroughput", func() (uint32, nvml.Return) { return d.h.GetPcieThroughput(counter) })
	return float64(kb) * 1000, err
}

func (d *nvmlDevice) PCIeReplays() (uint64, error) {
	n, err := ask(d.lib, "nvmlDeviceGetPcieReplayCounter", d.h.GetPcieReplayCounter)
	return uint64(n), err
}

func (d *nvmlDevice) NVLink() (transmitted, received uint64, err error) {
	// Scope: all links.
	vs, err := d.values([]uint32{nvml.FI_DEV_NVLINK_THROUGHPUT_DATA_TX, nvml.FI_DEV_NVLINK_THROUGHPUT_DATA_RX}, math.MaxUint32)
	if err != nil {
		return 0, 0, err
	}
	tx, err := decode(vs[0])
	if err != nil {
		return 0, 0, err
	}
	rx, err := decode(vs[1])
	if err != nil {
		return 0, 0, err
	}
	return uint64(tx) * 1024, uint64(rx) * 1024, nil
}

func (d *nvmlDevice) ECCErrors(e ECC) (uint64, error) {
	kind, counter := nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.VOLATILE_ECC
	if e.DoubleBit {
		kind = nvml.MEMORY_ERROR_TYPE_UNCORRECTED
	}
	if e.Aggregate {
		counter = nvml.AGGREGATE_ECC
	}
	return ask(d.lib, "nvmlDeviceGetTotalEccErrors", func() (uint64, nvml.Return) { return d.h.GetTotalEccErrors(kind, counter) })
}

func (d *nvmlDevice) RemappedRows() (RemappedRows, error) {
	return ask(d.lib, "nvmlDeviceGetRemappedRows", func() (RemappedRows, nvml.Return) {
		c, u, pending, failed, r := d.h.GetRemappedRows()
		return RemappedRows{Correctable: c, Uncorrectable: u, Pending: pending, Failed: failed}, r
	})
}

func (d *nvmlDevice) RecoveryAction() (RecoveryAction, error) {
	a, err := d.one(nvml.FI_DEV_GET_GPU_RECOVERY_ACTION, 0)
	return RecoveryAction(a), err
}

func (d *nvmlDevice) MIG() (bool, error) {
	mode, err := ask(d.lib, "nvmlDeviceGetMigMode", func() (int, nvml.Return) {
		now, _, r := d.h.GetMigMode()
		return now, r
	})
	return mode == nvml.DEVICE_MIG_ENABLE, err
}

func (d *nvmlDevice) Instances() ([]Instance, error) {
	for _, function := range []string{"nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceGetGpuInstanceId"} {
		if err := d.lib.need(function); err != nil {
			return nil, err
		}
	}
	n, err := ask(d.lib, "nvmlDeviceGetMaxMigDeviceCount", d.h.GetMaxMigDeviceCount)
	if err != nil {
		return nil, err
	}
	var out []Instance
	for i := range n {
		h, r := d.h.GetMigDeviceHandleByIndex(i)
		if r == nvml.ERROR_NOT_FOUND {
			continue // a slot that nobody has made an instance of
		}
		if err := failure("nvmlDeviceGetMigDeviceHandleByIndex", r); err != nil {
			return nil, err
		}
		in := &nvmlDevice{d.lib, h, d.index}
		gi, r := h.GetGpuInstanceId()
		if err := failure("nvmlDeviceGetGpuInstanceId", r); err != nil {
			return nil, err
		}
		// What follows only names it.
		ci, err := ask(d.lib, "nvmlDeviceGetComputeInstanceId", h.GetComputeInstanceId)
		if err != nil {
			ci = -1
		}
		name, _ := in.Name()
		uuid, _ := in.UUID()
		out = append(out, Instance{GPUInstance: gi, ComputeInstance: ci, Profile: profile(name), UUID: uuid, Device: in})
	}
	return out, nil
}

// profile finds "3g.20gb" in a MIG device's name, "NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb": dcgm names the GPU instance's
// profile, without the compute instance's share of it.
func profile(name string) string {
	_, p, ok := strings.Cut(name, " MIG ")
	if !ok {
		return ""
	}
	if before, after, ok := strings.Cut(p, "c."); ok && len(before) == 1 {
		return after
	}
	return p
}

// values reads fields in one call; each has its own result, see decode.
func (d *nvmlDevice) values(ids []uint32, scope uint32) ([]nvml.FieldValue, error) {
	if err := d.lib.need("nvmlDeviceGetFieldValues"); err != nil {
		return nil, err
	}
	vs := make([]nvml.FieldValue, len(ids))
	for i, id := range ids {
		vs[i].FieldId, vs[i].ScopeId = id, scope
	}
	return vs, failure("nvmlDeviceGetFieldValues", d.h.GetFieldValues(vs))
}

func (d *nvmlDevice) one(id, scope uint32) (float64, error) {
	vs, err := d.values([]uint32{id}, scope)
	if err != nil {
		return 0, err
	}
	return decode(vs[0])
}

func decode(v nvml.FieldValue) (float64, error) {
	r := nvml.Return(v.NvmlReturn)
	if r == nvml.ERROR_INVALID_ARGUMENT {
		// A field that this driver has never heard of.
		r = nvml.ERROR_NOT_SUPPORTED
	}
	if err := failure(fmt.Sprintf("nvmlDeviceGetFieldValues(%d)", v.FieldId), r); err != nil {
		return 0, err
	}
	n := binary.NativeEndian.Uint64(v.Value[:])
	switch nvml.ValueType(v.ValueType) {
	case nvml.VALUE_TYPE_DOUBLE:
		return math.Float64frombits(n), nil
	case nvml.VALUE_TYPE_UNSIGNED_INT:
		return float64(binary.NativeEndian.Uint32(v.Value[:])), nil
	case nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG_LONG:
		return float64(n), nil
	case nvml.VALUE_TYPE_SIGNED_LONG_LONG:
		return float64(int64(n)), nil
	case nvml.VALUE_TYPE_SIGNED_INT:
		return float64(int32(binary.NativeEndian.Uint32(v.Value[:]))), nil
	case nvml.VALUE_TYPE_UNSIGNED_SHORT:
		return float64(binary.NativeEndian.Uint16(v.Value[:])), nil
	}
	return 0, fmt.Errorf("nvmlDeviceGetFieldValues(%d): unknown type %d of value", v.FieldId, v.ValueType)
}
