package sessions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pitwall/probes"
)

// disksOf are disks on which everything is of one type.
func disksOf(typ uint32, mountinfo string) *disks {
	return &disks{
		statfs: func(_ string, st *unix.Statfs_t) error { st.Type = int64(typ); return nil },
		mounts: func() ([]byte, error) {
			if mountinfo == "" {
				return nil, errors.New("no /proc")
			}
			return []byte(mountinfo), nil
		},
	}
}

// The types are those of statfs(2) and linux/magic.h; the lines of mountinfo are proc(5)'s.
func TestNetworkFileSystemsAreToldByTheirType(t *testing.T) {
	for _, tt := range []struct {
		name      string
		typ       uint32
		mountinfo string
		want      string
	}{
		{"ext4 is local", 0xef53, "", ""},
		{"XFS is local", 0x58465342, "", ""},
		{"Btrfs is local", 0x9123683e, "", ""},
		{"ZFS is local", 0x2fc12fc1, "", ""},
		{"tmpfs is local", 0x01021994, "", ""},
		{"overlayfs is local", 0x794c7630, "", ""},
		{"NFS", 0x6969, "", "NFS"},
		{"CIFS", 0xff534d42, "", "CIFS"},
		{"SMB 2 and later", 0xfe534d42, "", "SMB"},
		{"9P, as in WSL and virtual machines", 0x01021997, "", "9P"},
		{"Lustre", 0x0bd00bd0, "", "Lustre"},
		{"GPFS", 0x47504653, "", "GPFS"},
		{"BeeGFS", 0x19830326, "", "BeeGFS"},
		{"CephFS of the kernel", 0x00c36400, "", "CephFS"},
		{"AFS", 0x5346414f, "", "AFS"},
		{"sshfs is told by its mount", fuseType, "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:40 / /mnt/a\\040b rw - fuse.sshfs box:/ rw\n", "FUSE sshfs"},
		{"NTFS through FUSE is local", fuseType, "30 22 0:40 / /mnt/a\\040b rw - fuseblk /dev/sdb1 rw\n", ""},
		{"what lies on top counts", fuseType, "30 22 0:40 / /mnt/a\\040b rw - fuse.mergerfs x rw\n31 30 0:41 / /mnt/a\\040b rw - fuse.rclone y rw\n", "FUSE rclone"},
		{"a mount of a like name doesn't count", fuseType, "30 22 0:40 / /mnt rw - fuse.bindfs x rw\n31 30 0:41 / /mnt/a rw - fuse.s3fs y rw\n", ""},
		{"FUSE of which nothing is known counts as a network", fuseType, "", "FUSE"},
	} {
		if got := disksOf(tt.typ, tt.mountinfo).network("/mnt/a b/pitwall"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTheNearestDirectoryThatExistsCounts(t *testing.T) {
	d := &disks{statfs: func(path string, st *unix.Statfs_t) error {
		if path != "/home" {
			return unix.ENOENT
		}
		st.Type = 0x6969
		return nil
	}}
	if got := d.network("/home/a/.local/share/pitwall/sessions"); got != "NFS" {
		t.Errorf("%q", got)
	}
	if got := d.network("relative/path"); got != "" {
		t.Errorf("%q", got)
	}
}

// On a network file system nothing is stored: it is said, and the screen goes on in memory.
func TestNothingIsStoredOnANetworkFileSystem(t *testing.T) {
	nfs := disksOf(0x6969, "")
	dir := t.TempDir()
	src := engine()
	opt := Options{Dir: dir, Alone: "all", Sources: func() []probes.Source { return []probes.Source{src} }, disks: nfs}
	r, err := Record(context.Background(), opt)
	must(t, err)
	if i := r.Info(); i.Recording != NotStored || !strings.Contains(i.Trouble, "is on NFS, where SQLite's journal is not safe") {
		t.Errorf("%s: %s", i.Recording, i.Trouble)
	}
	waitFor(t, func() bool { _, last := r.Bounds(); return !last.IsZero() })
	must(t, r.Close())
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left there: %v", left)
	}
	if _, err := Resume(context.Background(), filepath.Join(dir, "x"+Extension), opt); err == nil || !strings.Contains(err.Error(), "is on NFS") {
		t.Errorf("going on with one there: %v", err)
	}
	t.Setenv("XDG_DATA_HOME", dir)
	got, why, err := defaultDir(nfs)
	if err != nil || !strings.HasPrefix(got, "/var/tmp/pitwall-") || !strings.Contains(why, "is on NFS") {
		t.Errorf("the default directory is %s (%s), %v", got, why, err)
	}
	if got, why, err := defaultDir(disksOf(0xef53, "")); err != nil || got != filepath.Join(dir, "pitwall", "sessions") || why != "" {
		t.Errorf("on a local disk it is %s (%s), %v", got, why, err)
	}
}
