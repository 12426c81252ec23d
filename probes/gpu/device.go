package gpu

import "time"

// Library is the driver's management library as this package needs it. OpenNVML gives the real one; a simulation gives
// its own. Every method may block as long as the driver likes: the Collector calls them from goroutines that it is ready
// to give up, so an implementation needs no time limits of its own. All methods may be called at the same time.
type Library interface {
	// Driver is the version of the kernel driver ("550.54.15"), NVML that of the library ("12.550.54.15"), CUDA the
	// newest CUDA that the driver can run ("12.4").
	Driver() (string, error)
	NVML() (string, error)
	CUDA() (string, error)
	// Count is the number of GPUs; Device gives the one with this index, from 0. The order is NVML's: by PCI bus.
	Count() (int, error)
	Device(index int) (Device, error)
	// Watch registers the devices for XID errors. ErrNotSupported where no device can report them.
	Watch(devices []Device) (Watch, error)
	// Close ends the use of the library. It is called once, when no other call is running any more, or not at all
	// when a call hangs.
	Close() error
}

// Simulation is what a Library implements that is not a driver's: its Collector then carries the sample
// pitwall_simulated 1.
type Simulation interface {
	Simulated() bool
}

// Watch delivers critical errors of the devices that it was made for.
type Watch interface {
	// Next blocks until an error happens, or for the timeout, which gives ErrTimeout.
	Next(timeout time.Duration) (XID, error)
	// Close ends the registration. It is not called while Next runs.
	Close() error
}

// XID is one critical error that the driver reported for a device.
type XID struct {
	// Device is the index of the GPU, or -1 if the driver did not say which.
	Device int
	// Code is NVIDIA's XID number; 999 stands for one that the driver itself does not know.
	Code int
	// Instance is the MIG GPU instance that it can be blamed on, or -1.
	Instance int
}

// Device is one GPU, or one MIG instance of a GPU (Instance.Device). Each method is one NVML function and is named in
// reports by that function's name; what a device cannot give is an error that wraps ErrNotSupported, never a zero.
type Device interface {
	Name() (string, error)
	UUID() (string, error)
	// PCIBusID is in NVML's long form, "00000000:07:00.0".
	PCIBusID() (string, error)
	// Architecture is NVIDIA's name of the chip's generation: "Ampere".
	Architecture() (string, error)

	// Utilization is the share of the driver's last sample period (1/6 s to 1 s).
	Utilization() (Utilization, error)
	Memory() (Memory, error)
	// Processes lists the processes that hold a compute context, with PIDs of the host's namespace.
	Processes() ([]Process, error)

	// Power is the draw in watts: an average over 1 s from Ampere on, but instantaneous on A100 (GA100).
	Power() (float64, error)
	// PowerLimit is the limit in force in watts, MaxPowerLimit the highest that may be set.
	PowerLimit() (float64, error)
	MaxPowerLimit() (float64, error)
	// Energy is what the device used since the driver was loaded, in millijoules.
	Energy() (uint64, error)

	// Temperature is the GPU's, MemoryTemperature the HBM's, both in °C; TemperatureLimit is the given limit in °C.
	Temperature() (float64, error)
	MemoryTemperature() (float64, error)
	TemperatureLimit(Limit) (float64, error)
	// FanSpeed is in percent of the highest.
	FanSpeed() (float64, error)

	// Clock is the frequency in MHz now, MaxClock the highest.
	Clock(Clock) (float64, error)
	MaxClock(Clock) (float64, error)
	// PState is the performance state, 0 (highest) to 15.
	PState() (int, error)
	// ClockReasons is the mask of reasons why the clocks are not higher, at this instant, see ReasonNames.
	ClockReasons() (uint64, error)
	// ReasonTimes gives for how long each reason has held the clocks down since the driver was loaded. A reason that this
	// device does not count has its own Err; the error is for all of them.
	ReasonTimes() ([]ReasonTime, error)

	// PCIe is the throughput in bytes/s, as seen from the GPU, measured for 20 ms: the call takes that long.
	PCIe(Direction) (float64, error)
	// PCIeReplays counts retries on the bus.
	PCIeReplays() (uint64, error)
	// NVLink counts the bytes of payload over all links since the driver was loaded.
	NVLink() (transmitted, received uint64, err error)

	// ECCErrors counts memory errors: since the driver was loaded, or in the card's whole life.
	ECCErrors(ECC) (uint64, error)
	RemappedRows() (RemappedRows, error)
	// RecoveryAction is what the driver asks for, in its own words: "none", "reset the GPU", "reboot the node".
	RecoveryAction() (RecoveryAction, error)

	// MIG says whether the device is cut into instances; Instances lists those that exist.
	MIG() (bool, error)
	Instances() ([]Instance, error)
}

// Utilization is in percent, 0 to 100.
type Utilization struct {
	// GPU is the share of time in which any kernel ran, not how full the chip was.
	GPU float64
	// Memory is the share of time in which device memory was read or written.
	Memory float64
}

// Memory is in bytes. Used doesn't contain Reserved where HasReserved is set; where it is not (old drivers), Used does.
type Memory struct {
	Total, Free, Used, Reserved uint64
	HasReserved                 bool
}

// Process is one process on a GPU.
type Process struct {
	PID int
	// Memory is in bytes; HasMemory is false where the driver keeps it to itself.
	Memory    uint64
	HasMemory bool
	// Instance is the MIG GPU instance that it runs on, or -1.
	Instance int
}

// Limit names a temperature limit.
type Limit int

const (
	// ShutdownTemp is where the card turns itself off.
	ShutdownTemp Limit = iota
	// SlowdownTemp is where the hardware halves its clocks or worse.
	SlowdownTemp
	// MaxMemoryTemp is the memory's highest operating temperature; above it the driver slows down.
	MaxMemoryTemp
	// MaxGPUTemp is the chip's highest operating temperature; above it clocks may fall below base.
	MaxGPUTemp
)

// Clock names a clock domain.
type Clock int

const (
	SMClock Clock = iota
	MemoryClock
)

// Direction is that of a transfer, seen from the GPU.
type Direction int

const (
	Transmit Direction = iota
	Receive
)

// ECC names one counter of memory errors.
type ECC struct {
	// DoubleBit errors could not be corrected; single-bit ones were.
	DoubleBit bool
	// Aggregate counts over the card's life; otherwise since the driver was loaded.
	Aggregate bool
}

// ReasonTime is for how long one reason has held the clocks down since the driver was loaded.
type ReasonTime struct {
	// Reason is one of the names in TimedReasons.
	Reason string
	Total  time.Duration
	Err    error
}

// RemappedRows is the state of memory rows that were replaced by spare ones (Ampere and newer).
type RemappedRows struct {
	Correctable, Uncorrectable int
	// Pending rows will be remapped by the next reset; Failed means that no spare row was left.
	Pending, Failed bool
}

// RecoveryAction is what the driver wants done with a GPU, by NVML's number; 0 is nothing.
type RecoveryAction int

// String gives the action in plain words.
func (a RecoveryAction) String() string {
	switch a {
	case 0:
		return "none"
	case 1:
		return "reset the GPU"
	case 2:
		return "reboot the node"
	case 3:
		return "drain peer-to-peer traffic"
	case 4:
		return "drain and reset the GPU"
	case 5:
		return "recover the IMEX domain"
	case 6:
		return "reset the PCIe bus"
	case 7:
		return "reboot the system"
	}
	return "unknown action"
}

// Instance is one MIG instance of a GPU.
type Instance struct {
	// GPUInstance and ComputeInstance are NVML's ids, Profile is "1g.5gb", UUID "MIG-…" as CUDA_VISIBLE_DEVICES takes it.
	GPUInstance, ComputeInstance int
	Profile, UUID                string
	// Device answers Memory and Processes for this instance alone.
	Device Device
}
