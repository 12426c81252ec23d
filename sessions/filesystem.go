package sessions

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// disks asks the kernel about file systems. SQLite's journal of a live session (WAL) keeps its index in memory that is
// shared through the file system; on network file systems that memory isn't shared, and two readers can destroy a file. A
// session is never recorded there: the default directory moves to a local disk, a chosen one is refused in words, and the
// recording goes on in memory.
type disks struct {
	statfs func(path string, st *unix.Statfs_t) error
	// mounts gives /proc/self/mountinfo: FUSE has one type for everything, and only there the name of what is behind it.
	mounts func() ([]byte, error)
}

func kernelDisks() *disks {
	return &disks{statfs: unix.Statfs, mounts: func() ([]byte, error) { return os.ReadFile("/proc/self/mountinfo") }}
}

// fuseType is statfs's type of every FUSE file system, local or not.
const fuseType = 0x65735546

// networkTypes are the types of statfs(2) and linux/magic.h whose files several machines can have open.
func networkTypes() map[uint32]string {
	return map[uint32]string{
		0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x517b: "SMB", 0x0bd00bd0: "Lustre", 0x00c36400: "CephFS",
		0x01021997: "9P", 0x5346414f: "AFS", 0x6b414653: "AFS", 0x47504653: "GPFS", 0x19830326: "BeeGFS", 0x7461636f: "OCFS2",
		0x01161970: "GFS2", 0x20030528: "OrangeFS", 0xaad7aaea: "PanFS", 0x73757245: "Coda", 0x564c: "NCP", 0x786f4256: "vboxsf",
		0xbacbacbc: "vmhgfs", 0x61636673: "ACFS",
	}
}

// localFUSE are the FUSE file systems that are known to lie on this machine's own disks, as mountinfo names them.
func localFUSE() []string {
	return []string{"fuseblk", "virtiofs", "fuse.ntfs-3g", "fuse.exfat", "fuse.mergerfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs", "fuse.bindfs", "fuse.fuse-overlayfs"}
}

// network names the network file system that a directory, or its nearest parent that exists, is on; empty for a local one.
// A FUSE file system that isn't known to be local counts as one.
func (d *disks) network(dir string) string {
	var st unix.Statfs_t
	at := dir
	for ; at != "" && d.statfs(at, &st) != nil; at = filepath.Dir(at) {
		if at == "/" || at == "." {
			return ""
		}
	}
	if at == "" {
		return ""
	}
	if uint32(st.Type) != fuseType { //nolint:gosec // the type is 32 bits wide whatever the field is
		return networkTypes()[uint32(st.Type)] //nolint:gosec // as above
	}
	b, err := d.mounts()
	if err != nil {
		return "FUSE"
	}
	kind := mountOf(string(b), at)
	if slices.Contains(localFUSE(), kind) {
		return ""
	}
	return strings.TrimSpace("FUSE " + strings.TrimPrefix(strings.TrimPrefix(kind, "fuse"), "."))
}

// mountOf gives the type of the file system that a path is on, out of mountinfo (proc(5)).
func mountOf(mountinfo, path string) (kind string) {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	longest := -1
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(g) < 1 {
			continue
		}
		point := unescape.Replace(f[4])
		if path != point && !strings.HasPrefix(path, strings.TrimSuffix(point, "/")+"/") {
			continue
		}
		if len(point) >= longest { // of two mounts on one point the later one lies on top
			longest, kind = len(point), g[0]
		}
	}
	return kind
}

// free gives the bytes that an ordinary user can still write beside a file.
func (d *disks) free(path string) (uint64, error) {
	var st unix.Statfs_t
	if err := d.statfs(filepath.Dir(path), &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil //nolint:gosec // a block size is positive
}

// fullText says how full a disk is that takes nothing more; waiting is how many bytes of readings wait in memory.
func (d *disks) fullText(path string, waiting int) string {
	free, err := d.free(path)
	if err != nil {
		return "disk full"
	}
	return "disk full: " + humanize.IBytes(uint64(waiting)) + " wait in memory, " + humanize.IBytes(free) + " free" //nolint:gosec // a length
}

// isFull says whether an error means that there is no room, whoever says so.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}
