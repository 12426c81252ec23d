//go:build !linux

package host

import (
	"errors"
	"maps"
	"os"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"pitwall/probes"
)

const needLinux = "host metrics need Linux"

// Collector gives nothing but the reason: host metrics need Linux.
type Collector struct{ facts map[string]string }

// New makes a collector that says that host metrics need Linux.
func New(Options) *Collector {
	f := map[string]string{"host/kernel": runtime.GOOS, "host/cpus": strconv.Itoa(runtime.NumCPU()), "host/processes_note": needLinux}
	if name, err := os.Hostname(); err == nil {
		f["host/name"] = name
	}
	return &Collector{facts: f}
}

// Describe sends nothing: the collector gives nothing.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect gives nothing.
func (c *Collector) Collect(chan<- prometheus.Metric) {}

// Facts gives host/{name,kernel,cpus} and the reason in host/processes_note.
func (c *Collector) Facts() map[string]string { return maps.Clone(c.facts) }

// Absent names the series that a screen asks for first, with the reason.
func (c *Collector) Absent() map[string]string {
	out := map[string]string{}
	for _, name := range []string{
		"node_cpu_seconds_total", "pitwall_cpu_busiest_core_ratio", "node_load1", "node_memory_MemTotal_bytes",
		"node_memory_MemAvailable_bytes", "node_disk_read_bytes_total", "node_network_receive_bytes_total",
		"node_filesystem_avail_bytes", "pitwall_process_cpu_seconds_total",
	} {
		out[name] = needLinux
	}
	return out
}

// Events gives none.
func (c *Collector) Events() []probes.Event { return nil }

// Cores gives nil.
func (c *Collector) Cores() []float64 { return nil }

// Processes gives nil.
func (c *Collector) Processes() []Process { return nil }

// Process knows nobody.
func (c *Collector) Process(pid int) (role, title, engine string) {
	return "", "pid " + strconv.Itoa(pid), ""
}

// Processes can't be listed here.
func Processes(string) ([]Process, error) { return nil, errors.New(needLinux) }
