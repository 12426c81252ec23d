package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/prometheus/procfs"
)

var meminfo = []struct {
	family *family
	of     func(procfs.Meminfo) *uint64
}{
	{gauge("node_memory_MemTotal_bytes", "Memory information field MemTotal_bytes."), func(m procfs.Meminfo) *uint64 { return m.MemTotalBytes }},
	{gauge("node_memory_MemAvailable_bytes", "Memory information field MemAvailable_bytes."), func(m procfs.Meminfo) *uint64 { return m.MemAvailableBytes }},
	{gauge("node_memory_MemFree_bytes", "Memory information field MemFree_bytes."), func(m procfs.Meminfo) *uint64 { return m.MemFreeBytes }},
	{gauge("node_memory_Cached_bytes", "Memory information field Cached_bytes."), func(m procfs.Meminfo) *uint64 { return m.CachedBytes }},
	{gauge("node_memory_Buffers_bytes", "Memory information field Buffers_bytes."), func(m procfs.Meminfo) *uint64 { return m.BuffersBytes }},
	{gauge("node_memory_SwapTotal_bytes", "Memory information field SwapTotal_bytes."), func(m procfs.Meminfo) *uint64 { return m.SwapTotalBytes }},
	{gauge("node_memory_SwapFree_bytes", "Memory information field SwapFree_bytes."), func(m procfs.Meminfo) *uint64 { return m.SwapFreeBytes }},
	{gauge("node_memory_Shmem_bytes", "Memory information field Shmem_bytes."), func(m procfs.Meminfo) *uint64 { return m.ShmemBytes }},
}

// Fields of /proc/vmstat are untyped in node_exporter, and so here.
var (
	swappedIn  = untyped("node_vmstat_pswpin", "/proc/vmstat information field pswpin: pages swapped in.")
	swappedOut = untyped("node_vmstat_pswpout", "/proc/vmstat information field pswpout: pages swapped out.")
	oomKills   = untyped("node_vmstat_oom_kill", "/proc/vmstat information field oom_kill: processes of this host killed for lack of memory.")
)

func collectMemory(proc procfs.FS, out *sink) {
	m, err := proc.Meminfo()
	for _, f := range meminfo {
		switch v := f.of(m); {
		case err != nil:
			out.missing(err, f.family)
		case v == nil:
			out.missing(errors.New("not in /proc/meminfo"), f.family)
		default:
			out.emit(f.family, float64(*v))
		}
	}
}

// collectVMStat gives the host's counter of OOM kills as well; ok is false where the kernel has none (before 4.13).
func collectVMStat(procRoot string, out *sink) (kills float64, ok bool) {
	want := map[string]*family{"pswpin": swappedIn, "pswpout": swappedOut, "oom_kill": oomKills}
	values, err := vmstat(filepath.Join(procRoot, "vmstat"), want)
	for field, f := range want {
		switch v, found := values[field]; {
		case err != nil:
			out.missing(err, f)
		case !found:
			out.missing(errors.New("not in /proc/vmstat"), f)
		default:
			out.emit(f, v)
		}
	}
	kills, ok = values["oom_kill"]
	return kills, ok
}

// vmstat reads the wanted fields of a file of "name value" lines; procfs has no reader for this one.
func vmstat[V any](file string, want map[string]V) (map[string]float64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return fields(b, want)
}

// fields reads "name value" lines, the wanted names only; a nil want takes all.
func fields[V any](b []byte, want map[string]V) (map[string]float64, error) {
	out := make(map[string]float64, len(want))
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		name, value, found := bytes.Cut(sc.Bytes(), []byte{' '})
		if !found {
			continue
		}
		if _, ok := want[string(name)]; !ok && want != nil {
			continue
		}
		v, err := strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", name, err)
		}
		out[string(name)] = v
	}
	return out, nil
}
