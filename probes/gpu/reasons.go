package gpu

import "strconv"

// clockReason is one bit of NVML's mask of clock event reasons (formerly throttle reasons).
type clockReason struct {
	bit  uint64
	name string
}

// clockReasons lists the bits that NVML 13.4's header names, by the names of dcgm-exporter's clock_event label where it
// has one. The last two are newer than it.
func clockReasons() []clockReason {
	return []clockReason{
		{0x001, "gpu_idle"},
		{0x002, "clocks_setting"},
		{0x004, "power_cap"},
		{0x008, "hw_slowdown"},
		{0x010, "sync_boost"},
		{0x020, "sw_thermal"},
		{0x040, "hw_thermal"},
		{0x080, "power_brake"},
		{0x100, "display_clocks"},
		{0x200, "board_limit"},
		{0x400, "reliability"},
	}
}

// ReasonNames gives the names of the bits that are set in a mask of Device.ClockReasons, lowest first; a bit without a
// name is given in hexadecimal ("0x800"), never dropped.
func ReasonNames(mask uint64) []string {
	var out []string
	for _, r := range clockReasons() {
		if mask&r.bit != 0 {
			out = append(out, r.name)
			mask &^= r.bit
		}
	}
	for bit := uint64(1); mask != 0; bit <<= 1 {
		if mask&bit != 0 {
			out = append(out, "0x"+strconv.FormatUint(bit, 16))
			mask &^= bit
		}
	}
	return out
}

// timedReason is a reason whose duration the GPU counts.
type timedReason struct {
	name string
	// field is NVML's field id, dcgm DCGM's name for it, empty where it has none.
	field uint32
	dcgm  string
	// policy is nvmlDeviceGetViolationStatus's number for it, -1 for none: the way of drivers that don't count the field.
	policy int
}

func timedReasons() []timedReason {
	return []timedReason{
		{"power_cap", 74, "DCGM_FI_DEV_POWER_VIOLATION", 0},
		{"thermal", 75, "DCGM_FI_DEV_THERMAL_VIOLATION", 1},
		{"sync_boost", 76, "DCGM_FI_DEV_SYNC_BOOST_VIOLATION", 2},
		{"board_limit", 77, "DCGM_FI_DEV_BOARD_LIMIT_VIOLATION", 3},
		{"low_util", 78, "DCGM_FI_DEV_LOW_UTIL_VIOLATION", 4},
		{"reliability", 79, "DCGM_FI_DEV_RELIABILITY_VIOLATION", 5},
		{"below_app_clocks", 80, "DCGM_FI_DEV_TOTAL_APP_CLOCKS_VIOLATION", 10},
		{"below_base_clocks", 81, "DCGM_FI_DEV_TOTAL_BASE_CLOCKS_VIOLATION", 11},
		{"sw_thermal", 269, "", -1},
		{"hw_thermal", 270, "", -1},
		{"power_brake", 271, "", -1},
	}
}

// TimedReasons are the reasons that Device.ReasonTimes may tell of, in the order of NVML's field ids.
func TimedReasons() []string {
	var out []string
	for _, r := range timedReasons() {
		out = append(out, r.name)
	}
	return out
}
