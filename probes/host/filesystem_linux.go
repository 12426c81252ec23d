package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// The labels are node_exporter's, and purpose: why this file system is watched.
var (
	fsAvail = gauge("node_filesystem_avail_bytes", "Bytes that an ordinary user can still write.", "device", "fstype", "mountpoint", "purpose")
	fsSize  = gauge("node_filesystem_size_bytes", "Size of the file system in bytes.", "device", "fstype", "mountpoint", "purpose")
)

const (
	// Free space moves slowly, and statfs on a network file system is a round trip.
	spaceEvery = 5 * time.Second
	// spacePatience is how long a reading waits for the very first answer; later ones are taken as they come.
	spacePatience = 100 * time.Millisecond
)

// place is a directory whose free space is watched.
type place struct {
	purpose, path string
	// pid is the process whose mounts count, for a directory inside another container; 0 is pitwall's own.
	pid int
}

// space is the free space of a place.
type space struct {
	device, fstype, mountpoint string
	avail, size                float64
	err                        error
}

// filesystems watches the places that it was asked about.
type filesystems struct {
	proc     string
	fs       procfs.FS
	statfs   func(string, *unix.Statfs_t) error // unix.Statfs; a test's may hang
	errands  map[place]*errand[space]
	patience time.Duration
}

func (f *filesystems) collect(places []place, now time.Time, out *sink) {
	type series struct{ device, fstype, mountpoint, purpose string }
	seen := map[series]bool{}
	wanted := make(map[place]bool, len(places))
	for _, p := range places {
		if wanted[p] {
			continue
		}
		wanted[p] = true
		e := f.errands[p]
		patience := time.Duration(0)
		if e == nil {
			e, patience = &errand[space]{}, f.patience
			f.errands[p] = e
		}
		s, ok, waiting := e.run(now, spaceEvery, patience, func() space { return f.measure(p) })
		matchers := `purpose="` + p.purpose + `"`
		switch {
		case waiting > 2*spaceEvery, !ok:
			out.missingSeries(fmt.Sprintf("the file system of %s has not answered for %s", p.path, waiting.Round(time.Second)), matchers, fsAvail, fsSize)
		case s.err != nil:
			out.missingSeries(s.err.Error(), matchers, fsAvail, fsSize)
		default:
			// Two engines with one cache are one series.
			if k := (series{s.device, s.fstype, s.mountpoint, p.purpose}); !seen[k] {
				seen[k] = true
				out.emit(fsAvail, s.avail, s.device, s.fstype, s.mountpoint, p.purpose)
				out.emit(fsSize, s.size, s.device, s.fstype, s.mountpoint, p.purpose)
			}
		}
	}
	for p := range f.errands {
		if !wanted[p] {
			delete(f.errands, p) // one that hangs keeps its own state and ends with it
		}
	}
}

// measure asks the file system that a directory is on, or will be: the nearest parent that exists.
func (f *filesystems) measure(p place) space {
	root := ""
	if p.pid != 0 {
		root = filepath.Join(f.proc, strconv.Itoa(p.pid), "root")
	}
	dir := filepath.Clean(p.path)
	var st unix.Stat_t
	for {
		err := unix.Stat(root+dir, &st)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" || dir == "." {
			return space{err: fmt.Errorf("stat %s: %w", p.path, err)}
		}
		dir = filepath.Dir(dir)
	}
	var s unix.Statfs_t
	if err := f.statfs(root+dir, &s); err != nil {
		return space{err: fmt.Errorf("statfs %s: %w", p.path, err)}
	}
	unit := float64(s.Frsize)
	if unit == 0 {
		unit = float64(s.Bsize)
	}
	out := space{avail: float64(s.Bavail) * unit, size: float64(s.Blocks) * unit}
	mounts, err := f.mounts(p.pid)
	if err != nil {
		return space{err: fmt.Errorf("mounts of %s: %w", p.path, err)}
	}
	if abs, err := filepath.EvalSymlinks(dir); p.pid == 0 && err == nil {
		dir = abs
	}
	dev := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	if m := mountOf(mounts, dir, dev); m != nil {
		out.device, out.fstype, out.mountpoint = m.Source, m.FSType, m.MountPoint
	}
	return out
}

func (f *filesystems) mounts(pid int) ([]*procfs.MountInfo, error) {
	if pid != 0 {
		return f.fs.GetProcMounts(pid)
	}
	return f.fs.GetMounts()
}

// mountOf finds the mount that a directory is on: of those with its device number the deepest above it. Some file
// systems (btrfs) give other numbers to stat than to the mount; then the deepest above it decides alone. Of two mounts at
// one point the later one lies on top.
func mountOf(mounts []*procfs.MountInfo, dir, dev string) *procfs.MountInfo {
	var best, bestDev *procfs.MountInfo
	for _, m := range mounts {
		if !below(dir, m.MountPoint) {
			continue
		}
		if best == nil || len(m.MountPoint) >= len(best.MountPoint) {
			best = m
		}
		if m.MajorMinorVer == dev && (bestDev == nil || len(m.MountPoint) >= len(bestDev.MountPoint)) {
			bestDev = m
		}
	}
	if bestDev != nil {
		return bestDev
	}
	return best
}

// below tells whether a path is dir or inside it.
func below(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

// places lists what to watch: what the options say, and where the engines load their models. hidden is true when an
// engine has a model cache that can't be told, because it is another user's: pitwall's own user's would be the wrong one.
func places(fixed map[string]string, procs []seen, sameMounts func(pid int) bool, own map[string]string) (out []place, hidden bool) {
	add := func(purpose, path string, pid int) {
		if _, ok := fixed[purpose]; !ok && filepath.IsAbs(path) {
			out = append(out, place{purpose, path, pid})
		}
	}
	found := false
	for _, p := range procs {
		if p.PID != p.Root {
			continue
		}
		if p.Denied {
			_, told := fixed["model_cache"]
			hidden = hidden || !told
			continue
		}
		pid := p.PID
		if sameMounts(pid) {
			pid = 0
		}
		cache := modelCache(p.Env)
		found = found || cache != ""
		add("model_cache", cache, pid)
		for _, r := range recognitions() {
			if dir, ok := flagValue(p.Args, r.Models); ok && r.kind == p.Kind {
				add("download_dir", dir, pid)
			}
		}
		if pid != 0 {
			add("shm", "/dev/shm", pid) // a container has its own, and docker's 64 MB is too small for tensor parallelism
		}
	}
	if !found && !hidden {
		add("model_cache", modelCache(own), 0)
	}
	add("shm", "/dev/shm", 0)
	for purpose, path := range fixed {
		if path != "" {
			out = append(out, place{purpose, path, 0})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.purpose != b.purpose {
			return a.purpose < b.purpose
		}
		return a.pid < b.pid
	})
	return out, hidden && !found
}

// sameNamespace tells whether a process shares pitwall's namespace of that kind ("mnt", "net", "pid"). Where that can't be
// read, it is taken to.
func sameNamespace(proc string, pid int, kind string) bool {
	own, err1 := os.Readlink(filepath.Join(proc, "self", "ns", kind))
	other, err2 := os.Readlink(filepath.Join(proc, strconv.Itoa(pid), "ns", kind))
	return err1 != nil || err2 != nil || own == other
}
