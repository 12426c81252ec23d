//go:build cgo && linux

package gpu

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
)

func a100(gpu int) string {
	return fmt.Sprintf(`Hostname="box", UUID="GPU-0000000%d-aaaa-bbbb-cccc-dddddddddddd", device="nvidia%d", gpu="%d", `+
		`modelName="NVIDIA A100-SXM4-80GB", pci_bus_id="00000000:%02X:00.0"`, gpu, gpu, gpu, 7+gpu)
}

func want(t *testing.T, samples map[string]float64, name string, value float64) {
	t.Helper()
	if got, ok := samples[name]; !ok {
		family, _, _ := strings.Cut(name, "{")
		var have []string
		for _, s := range slices.Sorted(maps.Keys(samples)) {
			if strings.HasPrefix(s, family+"{") {
				have = append(have, s)
			}
		}
		t.Errorf("%s is missing; of its family there are:\n%s", name, strings.Join(have, "\n"))
	} else if got != value {
		t.Errorf("%s = %v, want %v", name, got, value)
	}
}

func has(r childReading, family string) bool {
	for name := range r.Samples {
		if strings.HasPrefix(name, family+`{`) {
			return true
		}
	}
	return false
}

// closeInTime is Close's 100 ms and what a busy machine may add; the exact bound is tested on a fake clock.
const closeInTime = 300 * time.Millisecond

func TestNVML(t *testing.T) {
	lib, old := fakeLibrary(t), fakeLibrary(t, "-DOLD_DRIVER")

	t.Run("an A100 gives every value that NVML has, in dcgm's units", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, lib)
		b.do("wait")
		r := b.do("read")
		if r.Err != "" {
			t.Fatal(r.Err)
		}
		for name, v := range map[string]float64{
			"DCGM_FI_DEV_GPU_UTIL": 97, "DCGM_FI_DEV_MEM_COPY_UTIL": 61,
			"DCGM_FI_DEV_FB_TOTAL": 81920, "DCGM_FI_DEV_FB_USED": 70400, "DCGM_FI_DEV_FB_FREE": 10880, "DCGM_FI_DEV_FB_RESERVED": 640,
			"DCGM_FI_DEV_POWER_USAGE": 313, "DCGM_FI_DEV_ENFORCED_POWER_LIMIT": 400, "DCGM_FI_DEV_POWER_MGMT_LIMIT_MAX": 400,
			"DCGM_FI_DEV_GPU_TEMP": 64, "DCGM_FI_DEV_MEMORY_TEMP": 71, "DCGM_FI_DEV_SLOWDOWN_TEMP": 89,
			"DCGM_FI_DEV_SHUTDOWN_TEMP": 92, "DCGM_FI_DEV_GPU_MAX_OP_TEMP": 85, "DCGM_FI_DEV_MEM_MAX_OP_TEMP": 95,
			"DCGM_FI_DEV_SM_CLOCK": 1395, "DCGM_FI_DEV_MEM_CLOCK": 1593, "DCGM_FI_DEV_MAX_SM_CLOCK": 1410,
			"DCGM_FI_DEV_PSTATE": 0, "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": 0x8024,
			"DCGM_FI_DEV_POWER_VIOLATION": 1.5e9, "DCGM_FI_DEV_THERMAL_VIOLATION": 250e6,
			"DCGM_FI_PROF_PCIE_TX_BYTES": 12e6, "DCGM_FI_PROF_PCIE_RX_BYTES": 34e6, "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": 2,
			"pitwall_gpu_nvlink_transmit_bytes_total": 1000 * 1024, "pitwall_gpu_nvlink_receive_bytes_total": 2000 * 1024,
			"DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": 1, "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": 11,
			"DCGM_FI_DEV_ECC_SBE_AGG_TOTAL": 101, "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL": 111,
			"DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": 3, "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": 1,
			"DCGM_FI_DEV_ROW_REMAP_PENDING": 1, "DCGM_FI_DEV_ROW_REMAP_FAILURE": 0,
		} {
			want(t, r.Samples, name+`{`+a100(0)+`}`, v)
		}
		reason := `pitwall_gpu_clocks_event_reason{` + a100(0) + `, reason="R"}`
		for name, v := range map[string]float64{"power_cap": 1, "sw_thermal": 1, "hw_slowdown": 0, "gpu_idle": 0, "0x8000": 1} {
			want(t, r.Samples, strings.Replace(reason, `"R"`, `"`+name+`"`, 1), v)
		}
		want(t, r.Samples, `pitwall_gpu_clocks_event_reason_seconds_total{`+a100(0)+`, reason="sw_thermal"}`, 0.25)
		want(t, r.Samples, `pitwall_gpu_process_memory_bytes{engine="127.0.0.1:8000", gpu="0", pid="4242", `+
			`role="engine_core", title="VLLM::EngineCore"}`, 70000<<20)
		for series, why := range map[string]string{
			"DCGM_FI_DEV_FAN_SPEED":                                               "not supported on this GPU",
			"pitwall_gpu_recovery_action":                                         "not supported on this GPU",
			"DCGM_FI_DEV_RELIABILITY_VIOLATION":                                   "not supported on this GPU",
			`pitwall_gpu_clocks_event_reason_seconds_total{reason="reliability"}`: "not supported on this GPU",
			`pitwall_gpu_process_memory_bytes{pid="4343"}`:                        "the driver does not tell the memory of this process",
		} {
			if r.Absent[series] != why {
				t.Errorf("absent %s = %q, want %q", series, r.Absent[series], why)
			}
		}
		for fact, v := range map[string]string{
			"gpu/status": "ok", "gpu/driver": "550.54.15", "gpu/nvml": "12.550.54.15", "gpu/cuda": "12.4",
			"gpu/0/name": "NVIDIA A100-SXM4-80GB", "gpu/0/uuid": "GPU-00000000-aaaa-bbbb-cccc-dddddddddddd",
			"gpu/0/pci": "00000000:07:00.0", "gpu/0/arch": "Ampere", "gpu/0/memory_total_bytes": "85899345920",
			"gpu/0/power_limit_w": "400", "gpu/0/power_max_limit_w": "400", "gpu/0/temp_slowdown_c": "89",
			"gpu/0/temp_shutdown_c": "92", "gpu/0/temp_max_c": "85", "gpu/0/hbm_temp_max_c": "95",
			"gpu/0/sm_clock_max_mhz": "1410", "gpu/0/mem_clock_max_mhz": "1593", "gpu/0/mig": "off", "gpu/0/fan": "no",
			"gpu/0/engine": "127.0.0.1:8000", "gpu/0/engine_by": "process memory",
		} {
			if r.Facts[fact] != v {
				t.Errorf("fact %s = %q, want %q", fact, r.Facts[fact], v)
			}
		}
		if cost := r.Samples[`pitwall_gpu_nvml_seconds_total{call="nvmlDeviceGetPcieThroughput"}`]; cost < 0.04 {
			t.Errorf("two measurements of PCIe for 20 ms each are counted as %v s", cost)
		}
		energy := `DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{` + a100(0) + `}`
		first := r.Samples[energy]
		b.until("the energy counter moves", func(r childReading) bool { return r.Samples[energy] > first })
	})

	t.Run("an XID is an event with its meaning, and the last one a series", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, lib, "gpus 2")
		b.do("wait")
		xid := `DCGM_FI_DEV_XID_ERRORS{` + a100(1) + `}`
		b.until("XIDs are watched", func(r childReading) bool { v, ok := r.Samples[xid]; return ok && v == 0 })
		b.set("gpus 2", "xid 1 48")
		b.until("the XID arrives", func(r childReading) bool { return r.Samples[xid] == 48 })
		e := b.event("gpu.xid")
		if e == nil || e.Subject != "gpu/1" || e.Attrs["xid"] != "48" || e.Severity != probes.Critical ||
			e.Title != "GPU 1 XID 48: double-bit ECC error: reset the GPU" {
			t.Errorf("event: %+v", e)
		}
	})

	t.Run("eight GPUs each have their own series", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, lib, "gpus 8")
		b.do("wait")
		r := b.do("read")
		for i := range 8 {
			want(t, r.Samples, `DCGM_FI_DEV_GPU_UTIL{`+a100(i)+`}`, float64(97-i))
		}
		if why := r.Absent["DCGM_FI_DEV_FAN_SPEED"]; why != "not supported on this GPU" {
			t.Errorf("what holds for all GPUs is said once; absent: %v", r.Absent)
		}
		// The machine may be busy with other tests: what a pull costs is what the fastest of several took.
		took := r.Took
		for range 20 {
			took = min(took, b.do("read").Took)
		}
		if took > 20*time.Millisecond {
			t.Errorf("a pull of eight GPUs took %v", took)
		}
	})

	t.Run("an old driver's missing functions are absent, and older ones take their place", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, old)
		b.do("wait")
		r := b.do("read")
		for name, v := range map[string]float64{
			"DCGM_FI_DEV_GPU_UTIL": 97, "DCGM_FI_DEV_FB_USED": 71040, "DCGM_FI_DEV_GPU_TEMP": 64,
			"DCGM_FI_DEV_CLOCKS_EVENT_REASONS": 4, "DCGM_FI_DEV_POWER_VIOLATION": 7e9,
		} {
			want(t, r.Samples, name+`{`+a100(0)+`}`, v)
		}
		for series, why := range map[string]string{
			"DCGM_FI_DEV_FB_RESERVED":                 "this driver counts reserved memory as used",
			"DCGM_FI_DEV_ROW_REMAP_PENDING":           "nvmlDeviceGetRemappedRows is not in this driver's NVML",
			"DCGM_FI_DEV_MEMORY_TEMP":                 "nvmlDeviceGetFieldValues is not in this driver's NVML",
			"DCGM_FI_DEV_XID_ERRORS":                  "nvmlEventSetCreate is not in this driver's NVML",
			"pitwall_gpu_nvlink_transmit_bytes_total": "nvmlDeviceGetFieldValues is not in this driver's NVML",
		} {
			if got := b.until("XIDs were tried", func(r childReading) bool { return r.Absent["DCGM_FI_DEV_XID_ERRORS"] != "starting" }).
				Absent[series]; got != why {
				t.Errorf("absent %s = %q, want %q", series, got, why)
			}
		}
		if r.Facts["gpu/0/engine"] != "127.0.0.1:8000" || r.Facts["gpu/cuda"] != "12.4" {
			t.Errorf("facts: %v", r.Facts)
		}
	})

	t.Run("the same old driver kills a process that calls what it lacks", func(t *testing.T) {
		t.Parallel()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childLibrary+"="+old, childCall+"=1")
		out, err := cmd.CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 127 || !strings.Contains(string(out), "nvmlDeviceGetMigMode") {
			t.Errorf("want exit 127 and the symbol's name, so that the test before proves something; got %v\n%s", err, out)
		}
	})

	t.Run("a GPU lost mid-run has no values, and the others go on", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, lib, "gpus 3")
		b.do("wait")
		temp := func(i int) string { return `DCGM_FI_DEV_GPU_TEMP{` + a100(i) + `}` }
		want(t, b.do("read").Samples, temp(1), 64)
		b.set("gpus 3", "lost 1", "xid 1 79")
		r := b.until("it is seen as lost", func(r childReading) bool { _, ok := r.Samples[temp(1)]; return !ok })
		want(t, r.Samples, temp(0), 64)
		want(t, r.Samples, temp(2), 64)
		if why := r.Absent[`DCGM_FI_DEV_GPU_TEMP{gpu="1"}`]; !strings.HasPrefix(why, "GPU is lost since ") {
			t.Errorf("absent: %q", why)
		}
		e := b.event("gpu.lost")
		if e == nil || e.Severity != probes.Critical || e.Subject != "gpu/1" {
			t.Errorf("event: %+v", e)
		}
		b.until("the XID arrives too", func(childReading) bool { return b.event("gpu.xid") != nil })
	})

	t.Run("with MIG on, each instance has its memory and processes, and the GPU what is left", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, lib, "mig 0")
		b.do("wait")
		r := b.do("read")
		part := func(id int, profile string) string {
			return fmt.Sprintf(`DCGM_FI_DEV_FB_USED{GPU_I_ID="%d", GPU_I_PROFILE="%s", %s}`, id, profile, a100(0))
		}
		want(t, r.Samples, part(1, "3g.40gb"), 100)
		want(t, r.Samples, part(2, "4g.40gb"), 30000)
		want(t, r.Samples, `DCGM_FI_DEV_FB_USED{`+a100(0)+`}`, 70400)
		want(t, r.Samples, `pitwall_gpu_process_memory_bytes{GPU_I_ID="2", GPU_I_PROFILE="4g.40gb", `+
			`engine="127.0.0.1:8000", gpu="0", pid="4242", role="engine_core", title="VLLM::EngineCore"}`, 70000<<20)
		if why := r.Absent["DCGM_FI_DEV_GPU_UTIL"]; why != "not supported on this GPU while MIG is on" {
			t.Errorf("absent: %q", why)
		}
		for fact, v := range map[string]string{
			"gpu/0/mig": "on", "gpu/0/mig/2/profile": "4g.40gb", "gpu/0/mig/2/uuid": "MIG-0-2",
			"gpu/0/mig/2/engine": "127.0.0.1:8000", "gpu/0/engine": "127.0.0.1:8000", "gpu/0/mig/1/engine": "",
		} {
			if r.Facts[fact] != v {
				t.Errorf("fact %s = %q, want %q", fact, r.Facts[fact], v)
			}
		}
	})

	t.Run("without permission the reason is remembered", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, lib, "fail nvmlDeviceGetComputeRunningProcesses_v3 * 4", "fail nvmlDeviceGetTotalEnergyConsumption 0 4")
		b.do("wait")
		r := b.do("read")
		for _, name := range []string{"pitwall_gpu_process_memory_bytes", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"} {
			if r.Absent[name] != "no permission" {
				t.Errorf("absent %s = %q", name, r.Absent[name])
			}
		}
		if has(r, "pitwall_gpu_process_memory_bytes") || !has(r, "DCGM_FI_DEV_GPU_UTIL") {
			t.Error("only what is forbidden may be missing")
		}
	})

	t.Run("a call that hangs is named, and delays neither the others nor the end", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, lib, "gpus 2", "hang nvmlDeviceGetPcieThroughput 1")
		b.do("wait")
		var slowest time.Duration
		r := b.until("it is named", func(r childReading) bool {
			slowest = max(slowest, r.Took)
			return strings.HasPrefix(r.Absent[`DCGM_FI_PROF_PCIE_TX_BYTES{gpu="1"}`],
				"nvmlDeviceGetPcieThroughput on GPU 1 has not answered for ")
		})
		want(t, r.Samples, `DCGM_FI_PROF_PCIE_TX_BYTES{`+a100(0)+`}`, 12e6)
		want(t, r.Samples, `pitwall_gpu_nvlink_transmit_bytes_total{`+a100(1)+`}`, 1000*1024)
		if slowest > patience {
			t.Errorf("a pull waited for it: %v", slowest)
		}
		b.until("it is an event", func(childReading) bool { e := b.event("gpu.hang"); return e != nil && e.Subject == "gpu/1" })
		closed := b.do("close")
		if closed.Took > closeInTime || !strings.Contains(closed.Err, "nvmlDeviceGetPcieThroughput on GPU 1") {
			t.Errorf("closing took %v: %q", closed.Took, closed.Err)
		}
	})

	t.Run("an idle library is closed at once", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, lib, "gpus 8")
		b.do("wait")
		if closed := b.do("close"); closed.Took > closeInTime || closed.Err != "" {
			t.Errorf("closing took %v: %q", closed.Took, closed.Err)
		}
	})

	t.Run("after nvmlInit failed nothing is called and the status says why", func(t *testing.T) {
		for _, c := range []struct{ code, status string }{
			{"9", "the NVIDIA driver is not loaded: nvmlInit can't reach the kernel module"},
			{"18", "the NVIDIA kernel module and library are of different versions: reboot, or reload the module"},
			{"999", "starting NVML: nvmlInit: unknown error"},
		} {
			t.Run(c.code, func(t *testing.T) {
				t.Parallel()
				b := newBox(t, lib, "init "+c.code)
				b.do("wait")
				r := b.do("read")
				if r.Facts["gpu/status"] != c.status || r.Absent["DCGM_FI_DEV_GPU_UTIL"] != c.status {
					t.Errorf("status %q, absent %q, want %q", r.Facts["gpu/status"], r.Absent["DCGM_FI_DEV_GPU_UTIL"], c.status)
				}
				if closed := b.do("close"); closed.Err != "" {
					t.Error(closed.Err)
				}
			})
		}
	})

	t.Run("a driver that hangs in nvmlInit is named", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, lib, "hang nvmlSystemGetDriverVersion -1")
		b.until("it is named", func(r childReading) bool {
			return strings.HasPrefix(r.Facts["gpu/status"], "nvmlSystemGetDriverVersion has not answered for ")
		})
		if closed := b.do("close"); closed.Took > closeInTime || !strings.Contains(closed.Err, "nvmlSystemGetDriverVersion") {
			t.Errorf("closing took %v: %q", closed.Took, closed.Err)
		}
	})
}

func TestWithoutADriverTheReasonIsInPlainWords(t *testing.T) {
	_, err := OpenNVML(Options{Library: "libnvidia-ml-that-nobody-has.so.1"})
	if err == nil || err.Error() != "no NVIDIA driver: libnvidia-ml-that-nobody-has.so.1 not found" {
		t.Errorf("got %v", err)
	}
}

func TestALibraryThatIsNotNVMLIsRefusedBeforeItIsCalled(t *testing.T) {
	_, err := OpenNVML(Options{Library: "libm.so.6"})
	if err == nil || err.Error() != "libm.so.6 is not a usable NVML: it has no nvmlInit_v2" {
		t.Errorf("got %v", err)
	}
}

func TestProfileIsTheGPUInstances(t *testing.T) {
	for name, want := range map[string]string{
		"NVIDIA A100-SXM4-40GB MIG 1g.5gb":     "1g.5gb",
		"NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb": "3g.20gb",
		"NVIDIA A100-SXM4-40GB MIG 1g.5gb+me":  "1g.5gb+me",
		"NVIDIA A100-SXM4-40GB":                "",
	} {
		if got := profile(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
