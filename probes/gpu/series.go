package gpu

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// family is a metric family of this package.
type family struct {
	name, help string
	counter    bool
}

// families lists every family that a Collector can give, apart from its own costs. Names, units and meaning of those that
// start with DCGM_FI_ are those of DCGM's field list and of dcgm-exporter's default and DCP counters.
func families() []family {
	return []family{
		{"DCGM_FI_DEV_GPU_UTIL", "Share of the last sample period in which any kernel ran (in %).", false},
		{"DCGM_FI_DEV_MEM_COPY_UTIL", "Share of the last sample period in which device memory was read or written (in %).", false},
		{"DCGM_FI_DEV_FB_TOTAL", "Framebuffer memory total (in MiB).", false},
		{"DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", false},
		{"DCGM_FI_DEV_FB_USED", "Framebuffer memory used, without what is reserved (in MiB).", false},
		{"DCGM_FI_DEV_FB_RESERVED", "Framebuffer memory reserved by driver and firmware (in MiB).", false},
		{"DCGM_FI_DEV_POWER_USAGE", "Power draw, rounded (in W).", false},
		{"DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "Power limit in force (in W).", false},
		{"DCGM_FI_DEV_POWER_MGMT_LIMIT_MAX", "Highest power limit that may be set (in W).", false},
		{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Total energy consumption since the driver was loaded (in mJ).", true},
		{"DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", false},
		{"DCGM_FI_DEV_MEMORY_TEMP", "Memory temperature (in C).", false},
		{"DCGM_FI_DEV_SLOWDOWN_TEMP", "Temperature at which the hardware slows down (in C).", false},
		{"DCGM_FI_DEV_SHUTDOWN_TEMP", "Temperature at which the card shuts down (in C).", false},
		{"DCGM_FI_DEV_GPU_MAX_OP_TEMP", "Highest operating temperature of the GPU (in C).", false},
		{"DCGM_FI_DEV_MEM_MAX_OP_TEMP", "Highest operating temperature of the memory (in C).", false},
		{"DCGM_FI_DEV_FAN_SPEED", "Fan speed (in %).", false},
		{"DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).", false},
		{"DCGM_FI_DEV_MEM_CLOCK", "Memory clock frequency (in MHz).", false},
		{"DCGM_FI_DEV_MAX_SM_CLOCK", "Highest SM clock frequency (in MHz).", false},
		{"DCGM_FI_DEV_MAX_MEM_CLOCK", "Highest memory clock frequency (in MHz).", false},
		{"DCGM_FI_DEV_PSTATE", "Performance state, 0 is the highest.", false},
		{"DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "Mask of the reasons why the clocks are not higher, at this instant.", false},
		{"DCGM_FI_DEV_POWER_VIOLATION", "Throttling duration due to power constraints (in ns).", true},
		{"DCGM_FI_DEV_THERMAL_VIOLATION", "Throttling duration due to thermal constraints (in ns).", true},
		{"DCGM_FI_DEV_SYNC_BOOST_VIOLATION", "Throttling duration due to sync-boost constraints (in ns).", true},
		{"DCGM_FI_DEV_BOARD_LIMIT_VIOLATION", "Throttling duration due to board limit constraints (in ns).", true},
		{"DCGM_FI_DEV_LOW_UTIL_VIOLATION", "Throttling duration due to low utilization (in ns).", true},
		{"DCGM_FI_DEV_RELIABILITY_VIOLATION", "Throttling duration due to reliability constraints (in ns).", true},
		{"DCGM_FI_DEV_TOTAL_APP_CLOCKS_VIOLATION", "Duration below the application clocks (in ns).", true},
		{"DCGM_FI_DEV_TOTAL_BASE_CLOCKS_VIOLATION", "Duration below the base clocks (in ns).", true},
		{"pitwall_gpu_clocks_event_reason", "Whether this reason holds the clocks down at this instant.", false},
		{"pitwall_gpu_clocks_event_reason_seconds_total", "How long this reason has held the clocks down, as the GPU counts it.", true},
		{"DCGM_FI_PROF_PCIE_TX_BYTES", "Rate of data sent over PCIe, as NVML measures it in 20 ms (in bytes per second).", false},
		{"DCGM_FI_PROF_PCIE_RX_BYTES", "Rate of data received over PCIe, as NVML measures it in 20 ms (in bytes per second).", false},
		{"DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "Total number of PCIe retries.", true},
		{"pitwall_gpu_nvlink_transmit_bytes_total", "Payload sent over all NVLinks.", true},
		{"pitwall_gpu_nvlink_receive_bytes_total", "Payload received over all NVLinks.", true},
		{"DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "Total number of single-bit volatile ECC errors.", true},
		{"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "Total number of double-bit volatile ECC errors.", true},
		{"DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "Total number of single-bit persistent ECC errors.", true},
		{"DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "Total number of double-bit persistent ECC errors.", true},
		{"DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "Number of remapped rows for correctable errors.", true},
		{"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "Number of remapped rows for uncorrectable errors.", true},
		{"DCGM_FI_DEV_ROW_REMAP_FAILURE", "Whether remapping of rows has failed.", false},
		{"DCGM_FI_DEV_ROW_REMAP_PENDING", "Whether rows wait for a reset to be remapped.", false},
		{"pitwall_gpu_recovery_action", "What the driver asks for: 0 nothing, 1 reset, 2 reboot, 3 drain P2P, 4 drain and reset.", false},
		{"DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error since the start of pitwall, 0 for none.", false},
		{"pitwall_gpu_process_memory_bytes", "GPU memory of a process.", false},
		{simulated, "1 where what is read is simulated.", false},
	}
}

// simulated is the sample that marks a simulated source, and the session that records it, for ever.
const simulated = "pitwall_simulated"

// index finds families by name.
type index map[string]*described

type described struct {
	family
	desc *prometheus.Desc
}

func newIndex() index {
	all := families()
	x := make(index, len(all))
	for _, f := range all {
		x[f.name] = &described{f, prometheus.NewDesc(f.name, f.help, nil, nil)}
	}
	return x
}

// point is one sample: a prometheus.Metric whose labels are made once and shared, because making them anew for every GPU
// and second would cost more than everything else here.
type point struct {
	fam    *described
	labels []*dto.LabelPair
	value  float64
}

// Desc implements prometheus.Metric.
func (p point) Desc() *prometheus.Desc { return p.fam.desc }

// Write implements prometheus.Metric.
func (p point) Write(m *dto.Metric) error {
	m.Label = p.labels
	if p.fam.counter {
		m.Counter = &dto.Counter{Value: &p.value}
	} else {
		m.Gauge = &dto.Gauge{Value: &p.value}
	}
	return nil
}

// with gives base and the extra labels, name after value, sorted as prometheus wants them.
func with(base []*dto.LabelPair, extra ...string) []*dto.LabelPair {
	out := slices.Clone(base)
	for i := 0; i+1 < len(extra); i += 2 {
		out = append(out, label(extra[i], extra[i+1]))
	}
	slices.SortFunc(out, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return out
}

func toUTF8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
