package gpu

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Cadences: from one reading to the next. fast is for what moves with every batch, medium for calls that take long,
// slow for what changes rarely, static for what changes only when somebody sets it.
const (
	fast   = time.Second
	medium = 2 * time.Second
	slow   = 10 * time.Second
	static = 5 * time.Minute
)

// stale is the age at which a reading of this cadence counts no more.
func stale(every time.Duration) time.Duration {
	return max(every*5/2, 3*time.Second)
}

// field is one call to the driver and what it gives.
type field struct {
	// call is the NVML function, as it stands in reports and costs.
	call string
	// gives names the families that the call gives when all is well.
	gives []string
	every time.Duration
	// instances is set where MIG instances answer the call too; instancesOnly where only they do, once there are some.
	instances, instancesOnly bool
	read                     func(d Device, out *reading) error
}

// mib is the unit of dcgm's framebuffer fields.
const mib = 1 << 20

// fields lists everything that is read of a GPU, in the order in which it is read.
func fields(opts Options) []*field {
	fs := []*field{
		{call: "nvmlDeviceGetUtilizationRates", every: fast,
			gives: []string{"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_MEM_COPY_UTIL"},
			read: func(d Device, out *reading) error {
				u, err := d.Utilization()
				if err == nil {
					out.put("DCGM_FI_DEV_GPU_UTIL", u.GPU)
					out.put("DCGM_FI_DEV_MEM_COPY_UTIL", u.Memory)
				}
				return err
			}},
		{call: "nvmlDeviceGetPowerUsage", every: fast, gives: []string{"DCGM_FI_DEV_POWER_USAGE"},
			read: func(d Device, out *reading) error {
				w, err := d.Power()
				if err == nil {
					// Whole watts: the noise below them makes the series three times as long, and the energy counter
					// keeps what it loses.
					out.put("DCGM_FI_DEV_POWER_USAGE", math.Round(w))
				}
				return err
			}},
		{call: "nvmlDeviceGetTotalEnergyConsumption", every: fast,
			gives: []string{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"},
			read: func(d Device, out *reading) error {
				mj, err := d.Energy()
				return out.maybe("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", float64(mj), err)
			}},
		clock("DCGM_FI_DEV_SM_CLOCK", SMClock),
		clock("DCGM_FI_DEV_MEM_CLOCK", MemoryClock),
		{call: "nvmlDeviceGetCurrentClocksEventReasons", every: fast,
			gives: []string{"DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "pitwall_gpu_clocks_event_reason"},
			read:  readClockReasons},
		{call: "nvmlDeviceGetFieldValues(clock event reasons)", every: fast,
			gives: timedFamilies(), read: readReasonTimes},
		{call: "nvmlDeviceGetTemperature", every: fast, gives: []string{"DCGM_FI_DEV_GPU_TEMP"},
			read: func(d Device, out *reading) error {
				t, err := d.Temperature()
				return out.maybe("DCGM_FI_DEV_GPU_TEMP", t, err)
			}},
		{call: "nvmlDeviceGetFieldValues(memory temperature)", every: fast, gives: []string{"DCGM_FI_DEV_MEMORY_TEMP"},
			read: func(d Device, out *reading) error {
				t, err := d.MemoryTemperature()
				return out.maybe("DCGM_FI_DEV_MEMORY_TEMP", t, err)
			}},
		{call: "nvmlDeviceGetMemoryInfo", every: fast, instances: true,
			gives: []string{"DCGM_FI_DEV_FB_TOTAL", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_RESERVED"},
			read:  readMemory},
		{call: "nvmlDeviceGetComputeRunningProcesses", every: fast, instances: true, instancesOnly: true,
			gives: []string{"pitwall_gpu_process_memory_bytes"}, read: readProcesses(opts)},

		{call: "nvmlDeviceGetFieldValues(NVLink)", every: medium,
			gives: []string{"pitwall_gpu_nvlink_transmit_bytes_total", "pitwall_gpu_nvlink_receive_bytes_total"},
			read: func(d Device, out *reading) error {
				tx, rx, err := d.NVLink()
				if err == nil {
					out.put("pitwall_gpu_nvlink_transmit_bytes_total", float64(tx))
					out.put("pitwall_gpu_nvlink_receive_bytes_total", float64(rx))
				}
				return err
			}},

		{call: "nvmlDeviceGetPerformanceState", every: slow, gives: []string{"DCGM_FI_DEV_PSTATE"},
			read: func(d Device, out *reading) error {
				p, err := d.PState()
				return out.maybe("DCGM_FI_DEV_PSTATE", float64(p), err)
			}},
		{call: "nvmlDeviceGetEnforcedPowerLimit", every: slow, gives: []string{"DCGM_FI_DEV_ENFORCED_POWER_LIMIT"},
			read: func(d Device, out *reading) error {
				w, err := d.PowerLimit()
				return out.fact("power_limit_w", "DCGM_FI_DEV_ENFORCED_POWER_LIMIT", w, err)
			}},
		{call: "nvmlDeviceGetFanSpeed", every: slow, gives: []string{"DCGM_FI_DEV_FAN_SPEED"},
			read: func(d Device, out *reading) error {
				p, err := d.FanSpeed()
				return out.maybe("DCGM_FI_DEV_FAN_SPEED", p, err)
			}},
		{call: "nvmlDeviceGetPcieReplayCounter", every: slow, gives: []string{"DCGM_FI_DEV_PCIE_REPLAY_COUNTER"},
			read: func(d Device, out *reading) error {
				n, err := d.PCIeReplays()
				return out.maybe("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", float64(n), err)
			}},
		ecc("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", ECC{}),
		ecc("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", ECC{DoubleBit: true}),
		ecc("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", ECC{Aggregate: true}),
		ecc("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", ECC{DoubleBit: true, Aggregate: true}),
		{call: "nvmlDeviceGetRemappedRows", every: slow,
			gives: []string{"DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
				"DCGM_FI_DEV_ROW_REMAP_PENDING", "DCGM_FI_DEV_ROW_REMAP_FAILURE"},
			read: func(d Device, out *reading) error {
				r, err := d.RemappedRows()
				if err == nil {
					out.put("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", float64(r.Correctable))
					out.put("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", float64(r.Uncorrectable))
					out.put("DCGM_FI_DEV_ROW_REMAP_PENDING", float01(r.Pending))
					out.put("DCGM_FI_DEV_ROW_REMAP_FAILURE", float01(r.Failed))
				}
				return err
			}},
		{call: "nvmlDeviceGetFieldValues(recovery action)", every: slow, gives: []string{"pitwall_gpu_recovery_action"},
			read: func(d Device, out *reading) error {
				a, err := d.RecoveryAction()
				return out.maybe("pitwall_gpu_recovery_action", float64(a), err)
			}},

		{call: "nvmlDeviceGetArchitecture", every: static, read: func(d Device, out *reading) error {
			a, err := d.Architecture()
			if err == nil {
				out.facts["arch"] = a
			}
			return err
		}},
		{call: "nvmlDeviceGetPowerManagementLimitConstraints", every: static,
			gives: []string{"DCGM_FI_DEV_POWER_MGMT_LIMIT_MAX"},
			read: func(d Device, out *reading) error {
				w, err := d.MaxPowerLimit()
				return out.fact("power_max_limit_w", "DCGM_FI_DEV_POWER_MGMT_LIMIT_MAX", w, err)
			}},
		limit("temp_slowdown_c", "DCGM_FI_DEV_SLOWDOWN_TEMP", SlowdownTemp),
		limit("temp_shutdown_c", "DCGM_FI_DEV_SHUTDOWN_TEMP", ShutdownTemp),
		limit("temp_max_c", "DCGM_FI_DEV_GPU_MAX_OP_TEMP", MaxGPUTemp),
		limit("hbm_temp_max_c", "DCGM_FI_DEV_MEM_MAX_OP_TEMP", MaxMemoryTemp),
		maxClock("sm_clock_max_mhz", "DCGM_FI_DEV_MAX_SM_CLOCK", SMClock),
		maxClock("mem_clock_max_mhz", "DCGM_FI_DEV_MAX_MEM_CLOCK", MemoryClock),
	}
	if !opts.NoPCIe {
		fs = append(fs, pcie("DCGM_FI_PROF_PCIE_TX_BYTES", Transmit), pcie("DCGM_FI_PROF_PCIE_RX_BYTES", Receive))
	}
	return fs
}

// cuts lists the calls that tell how a GPU is cut into MIG instances.
func cuts() []*field {
	return []*field{
		{call: "nvmlDeviceGetMigMode", every: slow, read: func(d Device, out *reading) error {
			on, err := d.MIG()
			if err == nil {
				out.cut = &on
			}
			return err
		}},
		{call: "nvmlDeviceGetMigDeviceHandleByIndex", every: slow, read: func(d Device, out *reading) error {
			in, err := d.Instances()
			if err == nil {
				out.instances = &in
			}
			return err
		}},
	}
}

func clock(name string, c Clock) *field {
	return &field{call: "nvmlDeviceGetClockInfo", every: fast, gives: []string{name},
		read: func(d Device, out *reading) error {
			mhz, err := d.Clock(c)
			return out.maybe(name, mhz, err)
		}}
}

func maxClock(fact, name string, c Clock) *field {
	return &field{call: "nvmlDeviceGetMaxClockInfo", every: static, gives: []string{name},
		read: func(d Device, out *reading) error {
			mhz, err := d.MaxClock(c)
			return out.fact(fact, name, mhz, err)
		}}
}

func limit(fact, name string, l Limit) *field {
	return &field{call: "nvmlDeviceGetTemperatureThreshold", every: static, gives: []string{name},
		read: func(d Device, out *reading) error {
			t, err := d.TemperatureLimit(l)
			return out.fact(fact, name, t, err)
		}}
}

func pcie(name string, dir Direction) *field {
	return &field{call: "nvmlDeviceGetPcieThroughput", every: medium, gives: []string{name},
		read: func(d Device, out *reading) error {
			rate, err := d.PCIe(dir)
			return out.maybe(name, rate, err)
		}}
}

func ecc(name string, e ECC) *field {
	return &field{call: "nvmlDeviceGetTotalEccErrors", every: slow, gives: []string{name},
		read: func(d Device, out *reading) error {
			n, err := d.ECCErrors(e)
			return out.maybe(name, float64(n), err)
		}}
}

func readMemory(d Device, out *reading) error {
	m, err := d.Memory()
	if err != nil {
		return err
	}
	if !out.instance {
		out.facts["memory_total_bytes"] = strconv.FormatUint(m.Total, 10)
	}
	out.put("DCGM_FI_DEV_FB_TOTAL", float64(m.Total/mib))
	out.put("DCGM_FI_DEV_FB_FREE", float64(m.Free/mib))
	out.put("DCGM_FI_DEV_FB_USED", float64(m.Used/mib))
	if m.HasReserved {
		out.put("DCGM_FI_DEV_FB_RESERVED", float64(m.Reserved/mib))
	} else {
		out.miss("DCGM_FI_DEV_FB_RESERVED", "this driver counts reserved memory as used")
	}
	return nil
}

// readClockReasons gives the mask, and each bit as a series of its own: all named ones, so that a rule on one of them
// sees 0 rather than nothing, and unnamed ones while they are set.
func readClockReasons(d Device, out *reading) error {
	mask, err := d.ClockReasons()
	if err != nil {
		return err
	}
	out.mask = &mask
	out.put("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", float64(mask))
	unnamed := mask
	for _, r := range clockReasons() {
		unnamed &^= r.bit
		out.put("pitwall_gpu_clocks_event_reason", float01(mask&r.bit != 0), "reason", r.name)
	}
	for _, name := range ReasonNames(unnamed) {
		out.put("pitwall_gpu_clocks_event_reason", 1, "reason", name)
	}
	return nil
}

// readReasonTimes gives every counted reason in seconds under pitwall's name, so that one expression shows all of them,
// and those that DCGM has a name for under that name too, in DCGM's nanoseconds.
func readReasonTimes(d Device, out *reading) error {
	times, err := d.ReasonTimes()
	if err != nil {
		return err
	}
	dcgm := map[string]string{}
	for _, r := range timedReasons() {
		dcgm[r.name] = r.dcgm
	}
	for _, t := range times {
		name := dcgm[t.Reason]
		if t.Err != nil {
			out.miss("pitwall_gpu_clocks_event_reason_seconds_total", plain(t.Err), "reason", t.Reason)
			if name != "" {
				out.miss(name, plain(t.Err))
			}
			continue
		}
		out.put("pitwall_gpu_clocks_event_reason_seconds_total", t.Total.Seconds(), "reason", t.Reason)
		if name != "" {
			out.put(name, float64(t.Total.Nanoseconds()))
		}
	}
	return nil
}

func timedFamilies() []string {
	out := []string{"pitwall_gpu_clocks_event_reason_seconds_total"}
	for _, r := range timedReasons() {
		if r.dcgm != "" {
			out = append(out, r.dcgm)
		}
	}
	return out
}

func readProcesses(opts Options) func(Device, *reading) error {
	return func(d Device, out *reading) error {
		ps, err := d.Processes()
		out.answered()
		if err != nil {
			return err
		}
		for _, p := range ps {
			u := user{pid: p.PID, memory: p.Memory, known: p.HasMemory}
			if opts.Process != nil {
				u.role, u.title, u.engine = opts.Process(p.PID)
			}
			// One process may have several contexts; a series of the same labels may come only once.
			merged := false
			for i := range out.users {
				if out.users[i].pid == u.pid {
					out.users[i].memory += u.memory
					out.users[i].known = out.users[i].known && u.known
					merged = true
				}
			}
			if !merged {
				out.users = append(out.users, u)
			}
		}
		for _, u := range out.users {
			if !u.known {
				out.miss("pitwall_gpu_process_memory_bytes", "the driver does not tell the memory of this process",
					"pid", strconv.Itoa(u.pid))
				continue
			}
			out.putProcess(u)
		}
		return nil
	}
}

// user is a process on a GPU, with what Options.Process knows of it.
type user struct {
	pid                 int
	memory              uint64
	known               bool
	role, title, engine string
}

func float01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func formatFact(v float64) string { return fmt.Sprint(math.Round(v*1000) / 1000) }
