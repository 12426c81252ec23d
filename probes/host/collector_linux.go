package host

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"
	"golang.org/x/sys/unix"

	"pitwall/probes"
)

// engine is the Address of the process's server; pid is as this host (or container) counts.
var (
	procCPU     = counter("pitwall_process_cpu_seconds_total", "Seconds of CPU time, user and system, that an engine's process used.", "pid", "role", "rank", "title", "engine")
	procRSS     = gauge("pitwall_process_resident_memory_bytes", "Resident memory of an engine's process; memory that several share counts in each.", "pid", "role", "rank", "title", "engine")
	procThreads = gauge("pitwall_process_threads", "Threads of an engine's process.", "pid", "role", "rank", "title", "engine")
	procStart   = gauge("pitwall_process_start_time_seconds", "When an engine's process was started, Unix seconds.", "pid", "role", "rank", "title", "engine")
)

// scanPatience is how long a reading waits for the look at the processes. It takes about a millisecond, unless the kernel
// holds it up at a process that is stuck.
const scanPatience = 250 * time.Millisecond

// Collector reads this machine. It is a prometheus.Collector and a probes.Teller. All methods may be called from several
// goroutines; readings follow one another.
type Collector struct {
	opts  Options
	err   error // /proc can't be read at all
	fs    procfs.FS
	block blockdevice.FS
	now   func() time.Time
	euid  int
	// hidden is /proc's hidepid option.
	hidden string
	own    map[string]string // pitwall's own environment, by the allow-list

	scanning errand[*scan]
	// last is the newest scan, read without waiting for a reading that hangs.
	last atomic.Pointer[scan]

	mu          sync.Mutex // guards all below
	tracker     *tracker
	cpu         cpu
	disks       disks
	filesystems filesystems
	cgroups     cgroups
	hostKills   float64
	haveKills   bool
	killed      float64 // kills on the host that nobody is known to have suffered yet
	dying       int     // for how many readings it is waited for that somebody has
	facts       map[string]string
	absent      map[string]string
	events      []probes.Event
}

// New makes a collector. It never fails: what can't be read shows in Absent.
func New(o Options) *Collector {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Sys == "" {
		o.Sys = "/sys"
	}
	if o.Cgroup == "" {
		o.Cgroup = filepath.Join(o.Sys, "fs", "cgroup")
	}
	c := &Collector{opts: o, now: time.Now, euid: os.Geteuid(), own: allowed(os.Environ()), absent: map[string]string{}, facts: map[string]string{}}
	if c.fs, c.err = procfs.NewFS(o.Proc); c.err != nil {
		return c
	}
	if c.tracker, c.err = newTracker(o.Proc); c.err != nil {
		return c
	}
	c.cpu.busiest = -1
	// Without /sys the disks are still in /proc; only the first argument is read.
	c.block, _ = blockdevice.NewFS(o.Proc, o.Proc)
	c.filesystems = filesystems{proc: o.Proc, fs: c.fs, statfs: unix.Statfs, errands: map[place]*errand[space]{}, patience: spacePatience}
	c.cgroups = cgroups{proc: o.Proc, root: o.Cgroup, fs: c.fs, mounts: cgroupMounts(c.fs), members: map[member]*limits{}, oom: map[string]float64{}}
	c.hidden = hidepid(c.fs)
	c.facts = machine(o.Proc, c.fs)
	return c
}

// Describe sends what Collect may give.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range []*family{
		cpuSeconds, cpuBusiest, cpuBusiestCore, cpuCount, bootTime, load1, load5, load15,
		cpuWaiting, memoryWaiting, memoryStalled, ioWaiting, ioStalled,
		swappedIn, swappedOut, oomKills,
		diskRead, diskWritten, diskBusy, netReceived, netSent, netReceiveErrs, netSendErrs, netReceiveDrops, netSendDrops,
		fsAvail, fsSize,
		cgCPULimit, cgThrottled, cgPeriods, cgThrottles, cgMemLimit, cgMemUsage, cgOOMKills,
		procCPU, procRSS, procThreads, procStart,
	} {
		ch <- f.desc
	}
	for _, f := range meminfo {
		ch <- f.family.desc
	}
}

// Collect takes one reading. It waits at most about half a second for what hangs, and goes on with what it had.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := &sink{ch: ch, absent: map[string]string{}}
	c.absent = out.absent
	if c.err != nil {
		out.missing(c.err, cpuSeconds, cpuCount, bootTime, load1, procCPU)
		for _, f := range meminfo {
			out.missing(c.err, f.family)
		}
		return
	}
	now := c.now()
	fresh := c.look(now, out)
	c.cpu.collect(c.fs, out)
	collectPressure(c.fs, out)
	collectMemory(c.fs, out)
	c.disks.collect(c.block, c.opts.Sys, out)
	collectNetwork(c.fs, out)
	watched, hidden := c.places()
	c.filesystems.collect(watched, now, out)
	if hidden {
		out.missingSeries("the engine is another user's: where its model cache is can't be read", `purpose="model_cache"`, fsAvail, fsSize)
	}
	c.outOfMemory(now, fresh, out)
}

// look scans the processes and gives their samples; fresh is false when the scan hangs and the last one stands in.
func (c *Collector) look(now time.Time, out *sink) (fresh bool) {
	sc, ok, waiting := c.scanning.run(now, 0, scanPatience, func() *scan { s := c.tracker.scan(now); return &s })
	switch {
	case !ok:
		out.missing(errors.New("the first look at the processes has not ended yet"), procCPU, procRSS, procThreads, procStart)
		return false
	case sc.err != nil:
		out.missing(sc.err, procCPU, procRSS, procThreads, procStart)
		return false
	case waiting > 2*time.Second:
		out.missing(fmt.Errorf("reading the processes has hung for %s: one of them is stuck in the kernel", waiting.Round(time.Second)),
			procCPU, procRSS, procThreads, procStart)
		return false
	}
	fresh = c.last.Swap(sc) != sc
	for _, p := range sc.procs {
		// emit may change what it is given, so each call has its own.
		l := func() []string { return []string{strconv.Itoa(p.PID), p.Role, p.Rank, p.Title, p.engine} }
		out.emit(procCPU, p.cpu, l()...)
		out.emit(procRSS, p.rss, l()...)
		out.emit(procThreads, p.threads, l()...)
		out.emit(procStart, p.started, l()...)
	}
	note := c.facts["host/processes_note"]
	if fresh {
		if note = processesNote(sc, c.opts.Proc, c.hidden, c.euid); note != "" {
			c.facts["host/processes_note"] = note
		} else {
			delete(c.facts, "host/processes_note")
		}
	}
	if len(sc.procs) == 0 {
		why := "no engine process on this host"
		if note != "" {
			why += " that can be seen: " + note
		}
		out.missing(errors.New(why), procCPU, procRSS, procThreads, procStart)
	}
	return fresh
}

func (c *Collector) places() (watched []place, hidden bool) {
	var procs []seen
	if last := c.last.Load(); last != nil {
		procs = last.procs
	}
	return places(c.opts.Paths, procs, func(pid int) bool { return sameNamespace(c.opts.Proc, pid, "mnt") }, c.own)
}

// lastsDying is for how many readings it is waited for that a killed process is gone: the kernel counts the kill first, and
// then takes back the memory, which may be much.
const lastsDying = 2

// outOfMemory reads the limits and the OOM counters, and tells of a rise: of a cgroup's that is watched, or else of the
// host's. The latter is critical only if an engine's process went with it; it may have been anybody's.
func (c *Collector) outOfMemory(now time.Time, fresh bool, out *sink) {
	members := []member{{of: "pitwall"}}
	var gone []int
	if last := c.last.Load(); last != nil {
		for _, p := range last.procs {
			if p.PID == p.Root {
				members = append(members, member{"engine", p.PID})
			}
		}
		if fresh {
			gone = last.gone
		}
	}
	rose := c.cgroups.collect(members, now, out)
	for _, k := range rose {
		c.events = append(c.events, oomEvent(probes.Critical, k.of, k.path, "in "+map[string]string{"pitwall": "pitwall's", "engine": "the engine's"}[k.of]+" cgroup ("+k.path+")", k.killed, k.total))
	}
	total, ok := collectVMStat(c.opts.Proc, out)
	if c.haveKills && ok && total > c.hostKills && len(rose) == 0 {
		c.killed, c.dying = c.killed+total-c.hostKills, lastsDying
	}
	c.hostKills, c.haveKills = total, ok
	switch {
	case c.killed == 0:
	case len(gone) > 0:
		c.events = append(c.events, oomEvent(probes.Critical, "host", "", "on this host, and engine process "+joined(gone)+" is gone", c.killed, total))
		c.killed = 0
	case c.dying == 0 || len(members) == 1: // there is no engine that it could have been
		c.events = append(c.events, oomEvent(probes.Warning, "host", "", "on this host, not in the cgroup of pitwall or of an engine", c.killed, total))
		c.killed = 0
	default:
		c.dying--
	}
}

func joined(pids []int) string {
	s := make([]string, len(pids))
	for i, p := range pids {
		s[i] = strconv.Itoa(p)
	}
	return strings.Join(s, ", ")
}

func oomEvent(sev probes.Severity, of, path, where string, killed, total float64) probes.Event {
	what := "a process"
	if killed > 1 {
		what = strconv.FormatFloat(killed, 'f', -1, 64) + " processes"
	}
	return probes.Event{
		Kind: KindOOMKill, Subject: "host", Severity: sev,
		Title: "out of memory: the kernel killed " + what + " " + where,
		Attrs: map[string]string{
			"of": of, "path": path,
			"killed": strconv.FormatFloat(killed, 'f', -1, 64), "total": strconv.FormatFloat(total, 'f', -1, 64),
		},
	}
}

// Facts gives host/… : name, kernel, cpu_model, cpus, memory_bytes, container, cgroup, and processes_note where something
// is hidden.
func (c *Collector) Facts() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.facts)
}

// Absent says why series of the last reading are missing.
func (c *Collector) Absent() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.absent)
}

// Events gives the OOM kills since the last call.
func (c *Collector) Events() []probes.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.events
	c.events = nil
	return e
}

// Cores gives each CPU's busy share (0..1) between the last two readings, by number; nil before the second. It is not
// recorded.
func (c *Collector) Cores() []float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]float64(nil), c.cpu.cores...)
}

// Processes gives the engines' processes as of the last reading, by PID.
func (c *Collector) Processes() []Process {
	last := c.last.Load()
	if last == nil {
		return nil
	}
	out := make([]Process, len(last.procs))
	for i, p := range last.procs {
		out[i] = p.Process
	}
	return out
}

// Process tells who a PID is, for a probe that knows only the number: its role and the address of its engine, both empty
// for what is no engine's, and a title, the process's name where it has none. The GPU driver reports the machine's own
// PIDs, also to a container, where the same number is somebody else: there only an engine's process is believed, and any
// other is "pid N (other namespace)". On the machine itself one that is not there is "pid N (gone)".
func (c *Collector) Process(pid int) (role, title, engine string) {
	if last := c.last.Load(); last != nil {
		for _, p := range last.procs {
			if p.PID == pid {
				return p.Role, p.Title, p.engine
			}
		}
	}
	if !initialPIDs(c.opts.Proc) {
		return "", fmt.Sprintf("pid %d (other namespace)", pid), ""
	}
	name := fmt.Sprintf("pid %d (gone)", pid)
	if b, err := os.ReadFile(filepath.Join(c.opts.Proc, strconv.Itoa(pid), "comm")); err == nil {
		name = strings.TrimSpace(string(b))
		// Not yet seen by a reading: its name tells the role already.
		s := recognise(name, nil)
		role = s.role
	}
	return role, name, ""
}
