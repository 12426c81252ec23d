package host

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/prometheus/procfs"
)

var (
	cpuSeconds = counter("node_cpu_seconds_total",
		"Seconds the CPUs spent in each mode, summed over the CPUs (there is no cpu label: per core lives in memory only).", "mode")
	cpuBusiest = gauge("pitwall_cpu_busiest_core_ratio",
		"Busy share of the busiest CPU since the last reading, 0..1: all but idle and iowait; stolen time counts as busy.")
	cpuBusiestCore = gauge("pitwall_cpu_busiest_core", "Number of the busiest CPU since the last reading.")
	cpuCount       = gauge("pitwall_cpu_count", "CPUs that are online.")
	bootTime       = gauge("node_boot_time_seconds", "When the kernel was booted, Unix seconds.")
	load1          = gauge("node_load1", "1m load average.")
	load5          = gauge("node_load5", "5m load average.")
	load15         = gauge("node_load15", "15m load average.")
)

// modes are node_exporter's, in the kernel's order. Guest time is part of user and nice.
var modes = []struct {
	name string
	of   func(procfs.CPUStat) float64
}{
	{"user", func(s procfs.CPUStat) float64 { return s.User }},
	{"nice", func(s procfs.CPUStat) float64 { return s.Nice }},
	{"system", func(s procfs.CPUStat) float64 { return s.System }},
	{"idle", func(s procfs.CPUStat) float64 { return s.Idle }},
	{"iowait", func(s procfs.CPUStat) float64 { return s.Iowait }},
	{"irq", func(s procfs.CPUStat) float64 { return s.IRQ }},
	{"softirq", func(s procfs.CPUStat) float64 { return s.SoftIRQ }},
	{"steal", func(s procfs.CPUStat) float64 { return s.Steal }},
}

// jumpBack is how far a mode may fall and be held instead: idle and iowait are estimates that go back a little. Beyond it
// the counter did restart (CPUs taken away). The value is node_exporter's jumpBackSeconds.
const jumpBack = 3.0

// cpu remembers the last reading, to tell how busy each core was since.
type cpu struct {
	last  map[int64]procfs.CPUStat
	total map[string]float64
	cores []float64
	// busiest is the number of the busiest core, -1 until two readings have been taken.
	busiest int
}

func (c *cpu) collect(proc procfs.FS, out *sink) {
	st, err := proc.Stat()
	if err != nil {
		out.missing(err, cpuSeconds, cpuBusiest, cpuBusiestCore, cpuCount, bootTime)
	} else {
		c.stat(st, out)
	}
	l, err := proc.LoadAvg()
	if err != nil {
		out.missing(err, load1, load5, load15)
		return
	}
	out.emit(load1, l.Load1)
	out.emit(load5, l.Load5)
	out.emit(load15, l.Load15)
}

func (c *cpu) stat(st procfs.Stat, out *sink) {
	out.emit(bootTime, float64(st.BootTime))
	out.emit(cpuCount, float64(len(st.CPU)))
	if c.total == nil {
		c.total = make(map[string]float64, len(modes))
	}
	for _, m := range modes {
		v, last := m.of(st.CPUTotal), c.total[m.name]
		if v < last && last-v < jumpBack {
			v = last
		}
		c.total[m.name] = v
		out.emit(cpuSeconds, v, m.name)
	}
	c.measure(st.CPU)
	if c.busiest < 0 {
		out.missing(errors.New("needs two readings"), cpuBusiest, cpuBusiestCore)
		return
	}
	out.emit(cpuBusiest, c.cores[c.busiest])
	out.emit(cpuBusiestCore, float64(c.busiest))
}

// measure fills cores with each core's busy share since the last reading. A core that didn't move (two readings within a
// clock tick) keeps its share; one that is offline has 0.
func (c *cpu) measure(now map[int64]procfs.CPUStat) {
	if c.last == nil {
		c.last, c.busiest = now, -1
		return
	}
	n := 0
	for i := range now {
		n = max(n, int(i)+1)
	}
	cores, moved := make([]float64, n), false
	for i, s := range now {
		was, ok := c.last[i]
		if !ok {
			continue
		}
		busy, idle := split(s)
		busy0, idle0 := split(was)
		busy, idle = max(busy-busy0, 0), max(idle-idle0, 0)
		if busy+idle > 0 {
			cores[i], moved = busy/(busy+idle), true
		} else if int(i) < len(c.cores) {
			cores[i] = c.cores[i]
		}
	}
	if moved {
		c.cores, c.last = cores, now
		c.busiest = slices.Index(cores, slices.Max(cores))
	}
}

// split gives the seconds a core was busy and idle.
func split(s procfs.CPUStat) (busy, idle float64) {
	return s.User + s.Nice + s.System + s.IRQ + s.SoftIRQ + s.Steal, s.Idle + s.Iowait
}

// Pressure (PSI): node_exporter's names. There is no stalled time for the CPU: the kernel writes zeroes there for the
// whole system, because somebody always runs.
var (
	cpuWaiting    = counter("node_pressure_cpu_waiting_seconds_total", "Seconds in which processes waited for CPU time.")
	memoryWaiting = counter("node_pressure_memory_waiting_seconds_total", "Seconds in which processes waited for memory.")
	memoryStalled = counter("node_pressure_memory_stalled_seconds_total", "Seconds in which no process could run for lack of memory.")
	ioWaiting     = counter("node_pressure_io_waiting_seconds_total", "Seconds in which processes waited for input or output.")
	ioStalled     = counter("node_pressure_io_stalled_seconds_total", "Seconds in which no process could run for waiting on input or output.")
)

func collectPressure(proc procfs.FS, out *sink) {
	for _, r := range []struct {
		resource string
		some     *family
		full     *family
	}{
		{"cpu", cpuWaiting, nil},
		{"memory", memoryWaiting, memoryStalled},
		{"io", ioWaiting, ioStalled},
	} {
		s, err := proc.PSIStatsForResource(r.resource)
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("this kernel keeps no pressure (PSI is off: boot with psi=1)")
		}
		put := func(f *family, l *procfs.PSILine) {
			switch {
			case f == nil:
			case err != nil:
				out.missing(err, f)
			case l == nil:
				out.missing(fmt.Errorf("not in /proc/pressure/%s", r.resource), f)
			default:
				out.emit(f, float64(l.Total)/1e6) // microseconds
			}
		}
		put(r.some, s.Some)
		put(r.full, s.Full)
	}
}
