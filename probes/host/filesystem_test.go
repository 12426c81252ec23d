//go:build linux

package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

func TestPlaces(t *testing.T) {
	engine := func(pid int, args []string, env map[string]string) seen {
		return seen{Process: Process{PID: pid, Root: pid, Kind: "vllm", Args: args, Env: env}}
	}
	own := map[string]string{"HOME": "/home/ann"}
	for _, c := range []struct {
		name  string
		fixed map[string]string
		procs []seen
		inner []int // PIDs with mounts of their own
		want  []place
	}{
		{"without an engine, the cache of pitwall's user", nil, nil, nil,
			[]place{{"model_cache", "/home/ann/.cache/huggingface", 0}, {"shm", "/dev/shm", 0}}},
		{"the engine's cache and its download directory", nil,
			[]seen{engine(9, []string{"vllm", "serve", "m", "--download-dir", "/models"}, map[string]string{"HF_HOME": "/hf"})}, nil,
			[]place{{"download_dir", "/models", 0}, {"model_cache", "/hf", 0}, {"shm", "/dev/shm", 0}}},
		{"a container's engine has its own cache and its own shared memory", nil,
			[]seen{engine(9, nil, map[string]string{"HOME": "/root"})}, []int{9},
			[]place{{"model_cache", "/root/.cache/huggingface", 9}, {"shm", "/dev/shm", 0}, {"shm", "/dev/shm", 9}}},
		{"what the options say replaces what would be found", map[string]string{"model_cache": "/m", "sessions": "/s", "shm": ""},
			[]seen{engine(9, nil, map[string]string{"HOME": "/root"})}, nil,
			[]place{{"model_cache", "/m", 0}, {"sessions", "/s", 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			same := func(pid int) bool {
				for _, p := range c.inner {
					if p == pid {
						return false
					}
				}
				return true
			}
			got, _ := places(c.fixed, c.procs, same, own)
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(place{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMountOf(t *testing.T) {
	mounts := []*procfs.MountInfo{
		{MountPoint: "/", MajorMinorVer: "8:1", Source: "root"},
		{MountPoint: "/data", MajorMinorVer: "8:2", Source: "data"},
		{MountPoint: "/data/x", MajorMinorVer: "0:40", Source: "btrfs"},
		{MountPoint: "/dev/shm", MajorMinorVer: "0:20", Source: "lower"},
		{MountPoint: "/dev/shm", MajorMinorVer: "0:21", Source: "upper"},
	}
	for _, c := range []struct{ name, dir, dev, want string }{
		{"the deepest mount above it", "/data/models", "8:2", "data"},
		{"a name that only begins alike is not below", "/database", "8:1", "root"},
		{"another device number than the mount's (btrfs)", "/data/x/y", "0:99", "btrfs"},
		{"a bind of the device above wins over a deeper path of another", "/data/x/y", "8:2", "data"},
		{"of two mounts at one point the later", "/dev/shm", "0:99", "upper"},
	} {
		if got := mountOf(mounts, c.dir, c.dev); got == nil || got.Source != c.want {
			t.Errorf("%s: got %+v, want %s", c.name, got, c.want)
		}
	}
}

func TestFreeSpaceOfARealFileSystem(t *testing.T) {
	dir := t.TempDir()
	r := read(t, Options{Paths: map[string]string{"sessions": filepath.Join(dir, "not", "made", "yet")}})
	rd := r.next()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, s := range rd.Samples {
		if s.Labels.Get("__name__") != "node_filesystem_size_bytes" || s.Labels.Get("purpose") != "sessions" {
			continue
		}
		found = true
		if want := float64(st.Blocks) * float64(st.Frsize); s.Value != want {
			t.Errorf("size %v, want %v, that of the nearest directory that exists", s.Value, want)
		}
		if mp := s.Labels.Get("mountpoint"); !below(dir, mp) || s.Labels.Get("fstype") == "" {
			t.Errorf("labels %s", s.Labels)
		}
	}
	if !found {
		t.Errorf("no sample; absent: %v", rd.Absent)
	}
}

func TestAFileSystemThatHangsIsNamed(t *testing.T) {
	tr := bare(t)
	o := tr.options()
	o.Paths = map[string]string{"sessions": "/mnt/dead", "shm": os.TempDir(), "model_cache": ""}
	r := read(t, o)
	let := make(chan struct{})
	t.Cleanup(func() { close(let) })
	r.c.filesystems.patience = time.Minute // ends at once for the one that answers
	r.c.filesystems.statfs = func(p string, st *unix.Statfs_t) error { return unix.Statfs(os.TempDir(), st) }
	if rd := r.next(); !has(rd, "node_filesystem_avail_bytes") {
		t.Fatalf("absent: %v", rd.Absent)
	}
	r.c.filesystems.statfs = func(string, *unix.Statfs_t) error { <-let; return nil }
	const series = `node_filesystem_avail_bytes{purpose="sessions"}`
	for i := range 20 {
		rd := r.next()
		if i < 10 {
			continue // the last answer stands for ten seconds after the call went out
		}
		if i > 16 && !strings.HasPrefix(rd.Absent[series], "the file system of /mnt/dead has not answered for 1") {
			t.Fatalf("after %d s: %q", i, rd.Absent[series])
		}
	}
}

func TestAFileSystemThatFailsIsNamed(t *testing.T) {
	tr := bare(t)
	o := tr.options()
	o.Paths = map[string]string{"sessions": "/", "shm": "", "model_cache": ""}
	r := read(t, o)
	r.c.filesystems.patience = time.Minute
	r.c.filesystems.statfs = func(string, *unix.Statfs_t) error { return errors.New("stale file handle") }
	if why := r.next().Absent[`node_filesystem_avail_bytes{purpose="sessions"}`]; why != "statfs /: stale file handle" {
		t.Errorf("reason %q", why)
	}
}
