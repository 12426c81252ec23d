//go:build cgo && linux

package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Rules of this file and nvml_device.go, the only ones that touch go-nvml:
//   - go-nvml is linked with its symbols unresolved. A call to a function that the loaded library lacks is not an error but
//     the end of the process ("symbol lookup error", exit 127). So every method asks need first.
//   - For the same reason nvml.Return's Error is never called: with a library loaded, it calls nvmlErrorString.
//   - After an nvmlInit that failed, nothing is called.

// OpenNVML loads the driver's library and initialises it, which may take seconds. The error says in plain words why there
// is none.
func OpenNVML(opts Options) (Library, error) {
	file := cmp.Or(opts.Library, "libnvidia-ml.so.1")
	// Before go-nvml does it: it would hide the linker's message, and call nvmlInit whether or not that exists.
	so := dl.New(file, dl.RTLD_LAZY|dl.RTLD_GLOBAL)
	if err := so.Open(); err != nil {
		if strings.Contains(err.Error(), "No such file") {
			return nil, fmt.Errorf("no NVIDIA driver: %s not found", file)
		}
		return nil, fmt.Errorf("the NVIDIA driver's library can't be loaded: %w", err)
	}
	missing := func() error {
		for _, symbol := range []string{"nvmlInit_v2", "nvmlShutdown", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"} {
			if so.Lookup(symbol) != nil && so.Lookup(strings.TrimSuffix(symbol, "_v2")) != nil {
				return fmt.Errorf("%s is not a usable NVML: it has no %s", file, symbol)
			}
		}
		return nil
	}()
	if missing != nil {
		_ = so.Close()
		return nil, missing
	}
	l := &nvmlLibrary{api: nvml.New(nvml.WithLibraryPath(file)), have: map[string]bool{}}
	if r := l.api.Init(); r != nvml.SUCCESS {
		return nil, initFailed(r)
	}
	for _, symbol := range nvmlSymbols() {
		l.have[symbol] = l.api.Extensions().LookupSymbol(symbol) == nil
	}
	return l, nil
}

func initFailed(r nvml.Return) error {
	switch r {
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return errors.New("the NVIDIA driver is not loaded: nvmlInit can't reach the kernel module")
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return errors.New("the NVIDIA kernel module and library are of different versions: reboot, or reload the module")
	case nvml.ERROR_NO_PERMISSION:
		return errors.New("no permission to talk to the NVIDIA driver: may you read and write /dev/nvidiactl?")
	case nvml.ERROR_GPU_IS_LOST, nvml.ERROR_GPU_NOT_FOUND:
		return errors.New("the NVIDIA driver finds no working GPU")
	}
	return fmt.Errorf("starting NVML: %w", failure("nvmlInit", r))
}

// nvmlLibrary is Library over go-nvml. have is the capability table: what this driver's library can do.
type nvmlLibrary struct {
	api  nvml.Interface
	have map[string]bool // not changed after OpenNVML
}

// nvmlSymbols lists every function that is called, in all of the versions that go-nvml may choose.
func nvmlSymbols() []string {
	return []string{
		"nvmlSystemGetDriverVersion", "nvmlSystemGetNVMLVersion",
		"nvmlSystemGetCudaDriverVersion", "nvmlSystemGetCudaDriverVersion_v2",
		"nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetArchitecture",
		"nvmlDeviceGetPciInfo", "nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetPciInfo_v3",
		"nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2",
		"nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetComputeRunningProcesses_v2",
		"nvmlDeviceGetComputeRunningProcesses_v3",
		"nvmlDeviceGetPowerUsage", "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimitConstraints",
		"nvmlDeviceGetTotalEnergyConsumption",
		"nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperatureThreshold", "nvmlDeviceGetFanSpeed",
		"nvmlDeviceGetClockInfo", "nvmlDeviceGetMaxClockInfo", "nvmlDeviceGetPerformanceState",
		"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons",
		"nvmlDeviceGetFieldValues", "nvmlDeviceGetViolationStatus",
		"nvmlDeviceGetPcieThroughput", "nvmlDeviceGetPcieReplayCounter",
		"nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetRemappedRows",
		"nvmlDeviceGetMigMode", "nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetMigDeviceHandleByIndex",
		"nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId",
		"nvmlEventSetCreate", "nvmlEventSetFree", "nvmlEventSetWait", "nvmlEventSetWait_v2", "nvmlDeviceRegisterEvents",
	}
}

// need tells whether the library has the function in any of its versions.
func (l *nvmlLibrary) need(function string) error {
	for _, version := range []string{"", "_v2", "_v3"} {
		if l.have[function+version] {
			return nil
		}
	}
	return fmt.Errorf("%s is %w", function, ErrSymbolMissing)
}

// failure gives the error for a return value, nil for success.
func failure(function string, r nvml.Return) error {
	var kind error
	switch r {
	case nvml.SUCCESS:
		return nil
	case nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_VGPU_ECC_NOT_SUPPORTED, nvml.ERROR_FREQ_NOT_SUPPORTED, nvml.ERROR_DEPRECATED:
		kind = ErrNotSupported
	case nvml.ERROR_NO_PERMISSION:
		kind = ErrNoPermission
	case nvml.ERROR_FUNCTION_NOT_FOUND, nvml.ERROR_ARGUMENT_VERSION_MISMATCH:
		kind = ErrSymbolMissing
	case nvml.ERROR_GPU_IS_LOST, nvml.ERROR_GPU_NOT_FOUND:
		kind = ErrGPULost
	case nvml.ERROR_TIMEOUT:
		kind = ErrTimeout
	case nvml.ERROR_UNINITIALIZED:
		kind = ErrClosed
	case nvml.ERROR_RESET_REQUIRED:
		kind = errors.New("the GPU needs a reset")
	case nvml.ERROR_NO_DATA, nvml.ERROR_NOT_FOUND, nvml.ERROR_NOT_READY:
		kind = errors.New("no data yet")
	case nvml.ERROR_IN_USE:
		kind = errors.New("in use by another process")
	case nvml.ERROR_IRQ_ISSUE:
		kind = errors.New("interrupts of the GPU don't work")
	case nvml.ERROR_OPERATING_SYSTEM:
		kind = errors.New("the operating system refuses")
	case nvml.ERROR_UNKNOWN:
		kind = errors.New("unknown error")
	default:
		kind = fmt.Errorf("NVML error %d", int32(r))
	}
	return fmt.Errorf("%s: %w", function, kind)
}

func (l *nvmlLibrary) Driver() (string, error) {
	return ask(l, "nvmlSystemGetDriverVersion", l.api.SystemGetDriverVersion)
}

func (l *nvmlLibrary) NVML() (string, error) {
	return ask(l, "nvmlSystemGetNVMLVersion", l.api.SystemGetNVMLVersion)
}

func (l *nvmlLibrary) CUDA() (string, error) {
	read := l.api.SystemGetCudaDriverVersion_v2
	if !l.have["nvmlSystemGetCudaDriverVersion_v2"] {
		read = l.api.SystemGetCudaDriverVersion
	}
	v, err := ask(l, "nvmlSystemGetCudaDriverVersion", read)
	if err != nil {
		return "", err
	}
	// CUDA's own coding: 1000 times major and 10 times minor.
	return fmt.Sprintf("%d.%d", v/1000, v%1000/10), nil
}

// ask calls a function without arguments.
func ask[T any](l *nvmlLibrary, function string, read func() (T, nvml.Return)) (T, error) {
	var zero T
	if err := l.need(function); err != nil {
		return zero, err
	}
	v, r := read()
	if err := failure(function, r); err != nil {
		return zero, err
	}
	return v, nil
}

func (l *nvmlLibrary) Count() (int, error) {
	n, r := l.api.DeviceGetCount()
	return n, failure("nvmlDeviceGetCount", r)
}

func (l *nvmlLibrary) Device(index int) (Device, error) {
	h, r := l.api.DeviceGetHandleByIndex(index)
	if err := failure("nvmlDeviceGetHandleByIndex", r); err != nil {
		return nil, err
	}
	return &nvmlDevice{l, h, index}, nil
}

func (l *nvmlLibrary) Close() error {
	return failure("nvmlShutdown", l.api.Shutdown())
}

func (l *nvmlLibrary) Watch(devices []Device) (Watch, error) {
	for _, function := range []string{"nvmlEventSetCreate", "nvmlEventSetFree", "nvmlEventSetWait", "nvmlDeviceRegisterEvents"} {
		if err := l.need(function); err != nil {
			return nil, err
		}
	}
	set, r := l.api.EventSetCreate()
	if err := failure("nvmlEventSetCreate", r); err != nil {
		return nil, err
	}
	w := &nvmlWatch{set: set}
	var refused error
	for _, d := range devices {
		d, ok := d.(*nvmlDevice)
		if !ok {
			continue
		}
		if err := failure("nvmlDeviceRegisterEvents", d.h.RegisterEvents(nvml.EventTypeXidCriticalError, set)); err != nil {
			refused = err
			continue
		}
		w.devices = append(w.devices, d)
	}
	if len(w.devices) == 0 {
		_ = set.Free() // the refusal is what counts
		return nil, refused
	}
	return w, nil
}

type nvmlWatch struct {
	set     nvml.EventSet
	devices []*nvmlDevice
}

func (w *nvmlWatch) Next(timeout time.Duration) (XID, error) {
	e, r := w.set.Wait(uint32(timeout.Milliseconds()))
	if err := failure("nvmlEventSetWait", r); err != nil {
		return XID{}, err
	}
	x := XID{Device: -1, Code: int(e.EventData), Instance: -1}
	for _, d := range w.devices {
		if d.h == e.Device {
			x.Device = d.index
		}
	}
	if e.GpuInstanceId != none {
		x.Instance = int(e.GpuInstanceId)
	}
	return x, nil
}

// none is NVML's "no such instance".
const none = 0xFFFFFFFF

func (w *nvmlWatch) Close() error { return failure("nvmlEventSetFree", w.set.Free()) }
