package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// of says whose cgroup it is, "pitwall" or "engine"; path is the cgroup of the process itself. A limit may stand on a
// cgroup above it; the tightest one counts, and throttling and memory usage are those of the cgroup that has it.
var (
	cgCPULimit  = gauge("pitwall_cgroup_cpu_limit_cores", "CPU time that the cgroup may use a second (quota over period), in cores.", "of", "path")
	cgThrottled = counter("pitwall_cgroup_cpu_throttled_seconds_total", "Seconds that the cgroup's tasks were held back by the CPU limit.", "of", "path")
	cgPeriods   = counter("pitwall_cgroup_cpu_periods_total", "Periods of the CPU limit in which the cgroup could run.", "of", "path")
	cgThrottles = counter("pitwall_cgroup_cpu_throttled_periods_total", "Periods in which the CPU limit was reached.", "of", "path")
	cgMemLimit  = gauge("pitwall_cgroup_memory_limit_bytes", "Memory that the cgroup may use.", "of", "path")
	cgMemUsage  = gauge("pitwall_cgroup_memory_usage_bytes", "Memory charged to the cgroup, its page cache included.", "of", "path")
	cgOOMKills  = counter("pitwall_cgroup_oom_kills_total", "Processes of the cgroup killed for lack of memory.", "of", "path")
)

// limitsEvery is how often it is looked which cgroup holds the tightest limit; its counters are read every time.
const limitsEvery = 10 * time.Second

// errNoLimit is the reason for the series that only a limit gives a meaning.
var errNoLimit = errors.New("no limit")

// cgroups follows the cgroups of pitwall and of the engines.
type cgroups struct {
	proc, root string // /proc and /sys/fs/cgroup
	fs         procfs.FS
	mounts     []*procfs.MountInfo // of the cgroup file systems: they stay as they are
	members    map[member]*limits
	oom        map[string]float64 // the last counter, by path
}

// cgroupMounts gives the mounts of cgroup file systems, both versions.
func cgroupMounts(pfs procfs.FS) (out []*procfs.MountInfo) {
	mounts, err := pfs.GetMounts()
	if err != nil {
		return nil // every look then says that none is mounted
	}
	for _, m := range mounts {
		if m.FSType == "cgroup" || m.FSType == "cgroup2" {
			out = append(out, m)
		}
	}
	return out
}

// member is a process whose cgroup is of interest.
type member struct {
	of  string
	pid int // 0 is pitwall itself
}

// limits is where to read for one member.
type limits struct {
	looked time.Time
	// path is the cgroup's name for people: the memory controller's.
	path string
	// cpu and memory are directories: where the limit is, or the process's own where there is none.
	cpu, memory  string
	cpuV2, memV2 bool
	// own is the memory directory of the process's own cgroup: OOM kills are counted there.
	own string
	// cores and bytes are the limits; +Inf is none.
	cores, bytes   float64
	cpuErr, memErr error
}

// kills is a rise of an OOM counter.
type kills struct {
	of, path      string
	killed, total float64
}

func (c *cgroups) collect(members []member, now time.Time, out *sink) []kills {
	var rose []kills
	done := map[[2]string]bool{}
	read := map[string]bool{}
	wanted := map[member]bool{}
	for _, m := range members {
		wanted[m] = true
		l := c.members[m]
		if l == nil || now.Sub(l.looked) >= limitsEvery {
			l = c.look(m.pid, now)
			c.members[m] = l
		}
		if done[[2]string{m.of, l.path}] {
			continue // several engines in one cgroup
		}
		done[[2]string{m.of, l.path}] = true
		total, ok := c.emit(m.of, l, out)
		if !ok {
			continue
		}
		if last, known := c.oom[l.path]; known && total > last {
			rose = append(rose, kills{of: m.of, path: l.path, killed: total - last, total: total})
		}
		read[l.path] = true
		c.oom[l.path] = total
	}
	for m := range c.members {
		if !wanted[m] {
			delete(c.members, m)
		}
	}
	for p := range c.oom {
		if !read[p] {
			delete(c.oom, p)
		}
	}
	return rose
}

// emit gives the samples of one member, and its counter of OOM kills.
func (c *cgroups) emit(of string, l *limits, out *sink) (oom float64, ok bool) {
	matchers := fmt.Sprintf(`of=%q,path=%q`, of, l.path)
	cpuErr := l.cpuErr
	if cpuErr == nil && math.IsInf(l.cores, 1) {
		cpuErr = errNoLimit
	}
	var stat map[string]float64
	if cpuErr == nil {
		var b []byte
		if b, cpuErr = os.ReadFile(filepath.Join(l.cpu, "cpu.stat")); cpuErr == nil {
			stat, cpuErr = fields[struct{}](b, nil)
		}
	}
	if cpuErr == nil {
		out.emit(cgCPULimit, l.cores, of, l.path)
		throttled := stat["throttled_usec"] / 1e6
		if !l.cpuV2 {
			throttled = stat["throttled_time"] / 1e9
		}
		out.emit(cgThrottled, throttled, of, l.path)
		out.emit(cgPeriods, stat["nr_periods"], of, l.path)
		out.emit(cgThrottles, stat["nr_throttled"], of, l.path)
	} else {
		out.missingSeries(cpuErr.Error(), matchers, cgCPULimit, cgThrottled, cgPeriods, cgThrottles)
	}

	if l.memErr != nil {
		out.missingSeries(l.memErr.Error(), matchers, cgMemLimit, cgMemUsage, cgOOMKills)
		return 0, false
	}
	if math.IsInf(l.bytes, 1) {
		out.missingSeries(errNoLimit.Error(), matchers, cgMemLimit)
	} else {
		out.emit(cgMemLimit, l.bytes, of, l.path)
	}
	usage, events := "memory.usage_in_bytes", "memory.oom_control"
	if l.memV2 {
		usage, events = "memory.current", "memory.events"
	}
	if v, err := number(filepath.Join(l.memory, usage)); err != nil {
		out.missingSeries(reason(err), matchers, cgMemUsage)
	} else {
		out.emit(cgMemUsage, v, of, l.path)
	}
	b, err := os.ReadFile(filepath.Join(l.own, events))
	if err == nil {
		var f map[string]float64
		if f, err = fields[struct{}](b, nil); err == nil {
			if oom, ok = f["oom_kill"]; !ok {
				err = fmt.Errorf("this kernel doesn't count OOM kills in %s", events)
			}
		}
	}
	if err != nil {
		out.missingSeries(reason(err), matchers, cgOOMKills)
		return 0, false
	}
	out.emit(cgOOMKills, oom, of, l.path)
	return oom, true
}

// reason is an error without the path of a file system that the reader doesn't know.
func reason(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "the root cgroup doesn't count it"
	}
	return err.Error()
}

// look finds a process's cgroups and the tightest limits on the way up.
func (c *cgroups) look(pid int, now time.Time) *limits {
	l := &limits{looked: now, cores: math.Inf(1), bytes: math.Inf(1)}
	proc, err := c.fs.Self()
	if pid != 0 {
		proc, err = c.fs.Proc(pid)
	}
	var groups []procfs.Cgroup
	if err == nil {
		groups, err = proc.Cgroups()
	}
	if err != nil {
		l.cpuErr = fmt.Errorf("reading its cgroup: %w", err)
		l.memErr = l.cpuErr
		return l
	}
	cpu := c.find("cpu", groups)
	memory := c.find("memory", groups)
	l.path, l.cpuV2, l.memV2 = memory.path, cpu.v2, memory.v2
	if l.path == "" {
		l.path = cpu.path
	}
	l.cpu, l.cpuErr = cpu.dir, cpu.err
	l.memory, l.own, l.memErr = memory.dir, memory.dir, memory.err
	if l.cpuErr == nil {
		cpu.up(func(dir string) {
			if v := cores(dir, cpu.v2); v < l.cores {
				l.cores, l.cpu = v, dir
			}
		})
	}
	if l.memErr == nil {
		memory.up(func(dir string) {
			if v := memoryLimit(dir, memory.v2); v < l.bytes {
				l.bytes, l.memory = v, dir
			}
		})
	}
	return l
}

// branch is a process's place in the hierarchy of one controller.
type branch struct {
	path string // as /proc/PID/cgroup has it
	top  string // directory of the hierarchy's mount
	dir  string // top or below it
	v2   bool
	err  error
}

// up visits the directory and those above it, to the mount.
func (b branch) up(visit func(dir string)) {
	for dir := b.dir; ; dir = filepath.Dir(dir) {
		visit(dir)
		if dir == b.top || len(dir) <= len(b.top) {
			return
		}
	}
}

// find gives a process's place for a controller: in its version 1 hierarchy where that is mounted, else in version 2.
func (c *cgroups) find(controller string, groups []procfs.Cgroup) branch {
	for _, v2 := range []bool{false, true} {
		for _, g := range groups {
			if v2 && g.HierarchyID != 0 || !v2 && !slices.Contains(g.Controllers, controller) {
				continue
			}
			for _, m := range c.mounts {
				_, has := m.SuperOptions[controller]
				if v2 && m.FSType != "cgroup2" || !v2 && (m.FSType != "cgroup" || !has) {
					continue
				}
				return c.place(g.Path, m, v2)
			}
		}
	}
	return branch{path: "/", err: errors.New("no cgroup file system is mounted")}
}

// place turns a cgroup's path into a directory of a mount. A container without a cgroup namespace mounts only its own
// subtree, and its paths begin with that subtree's.
func (c *cgroups) place(p string, m *procfs.MountInfo, v2 bool) branch {
	b := branch{path: p, v2: v2, top: m.MountPoint}
	if rest, ok := strings.CutPrefix(m.MountPoint, "/sys/fs/cgroup"); ok {
		b.top = filepath.Join(c.root, rest)
	}
	rel := p
	if m.Root != "/" && below(p, m.Root) {
		rel = strings.TrimPrefix(p, m.Root)
	}
	b.dir = filepath.Join(b.top, rel)
	if p == "/.." || strings.HasPrefix(p, "/../") {
		b.err = fmt.Errorf("its cgroup (%s) is outside the container that pitwall runs in", p)
	} else if _, err := os.Stat(b.dir); err != nil {
		b.err = fmt.Errorf("its cgroup (%s) can't be seen from here", p)
	}
	return b
}

// cores reads a directory's CPU limit; +Inf is none.
func cores(dir string, v2 bool) float64 {
	var quota, period float64
	if v2 {
		b, err := os.ReadFile(filepath.Join(dir, "cpu.max"))
		f := bytes.Fields(b)
		if err != nil || len(f) != 2 || string(f[0]) == "max" {
			return math.Inf(1)
		}
		quota, _ = strconv.ParseFloat(string(f[0]), 64)
		period, _ = strconv.ParseFloat(string(f[1]), 64)
	} else {
		quota, _ = number(filepath.Join(dir, "cpu.cfs_quota_us"))
		period, _ = number(filepath.Join(dir, "cpu.cfs_period_us"))
	}
	if quota <= 0 || period <= 0 {
		return math.Inf(1) // version 1 writes -1 for none
	}
	return quota / period
}

// memoryLimit reads a directory's memory limit; +Inf is none.
func memoryLimit(dir string, v2 bool) float64 {
	file := "memory.limit_in_bytes"
	if v2 {
		file = "memory.max"
	}
	v, err := number(filepath.Join(dir, file))
	// Version 1 writes the largest number of whole pages for none, version 2 "max", which isn't a number.
	const none = 1 << 62
	if err != nil || v >= none {
		return math.Inf(1)
	}
	return v
}

func number(file string) (float64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(string(bytes.TrimSpace(b)), 64)
}
