package sessions

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pitwall/probes"
)

// DefaultDir is where sessions are kept unless told otherwise: pitwall/sessions under $XDG_DATA_HOME or ~/.local/share.
// When that lies on a network file system it is a directory of the user's own under /var/tmp, because SQLite's journal is
// not safe there; why then says so.
func DefaultDir() (dir, why string, err error) { return defaultDir(kernelDisks()) }

func defaultDir(d *disks) (dir, why string, err error) {
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" || !filepath.IsAbs(base) { // the XDG specification: a relative path is to be ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "", fmt.Errorf("no place for sessions: %w: set XDG_DATA_HOME or give --sessions", err)
		}
		base = filepath.Join(home, ".local", "share")
	}
	dir = filepath.Join(base, "pitwall", "sessions")
	if fs := d.network(dir); fs != "" {
		own := filepath.Join("/var/tmp", "pitwall-"+strconv.Itoa(os.Getuid()))
		if st, err := os.Lstat(own); err == nil && (!st.IsDir() || !ownedByUs(st)) {
			return "", "", fmt.Errorf("%s is on %s, where a live session is not safe, and %s belongs to somebody else: give a directory on a local disk with --sessions", dir, fs, own)
		}
		return filepath.Join(own, "sessions"), fmt.Sprintf("%s is on %s, where a live session is not safe", dir, fs), nil
	}
	return dir, "", nil
}

// ownedByUs says whether a file is this user's: anybody can make one in /var/tmp.
func ownedByUs(st os.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == os.Getuid()
}

// List gives the sessions of a directory, newest first. A file that can't be read is in the list with its Trouble. A
// directory that doesn't exist holds no sessions.
func List(dir string) ([]Info, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	var out []Info
	for _, f := range files {
		if f.Type().IsRegular() && strings.HasSuffix(f.Name(), Extension) {
			out = append(out, glance(filepath.Join(dir, f.Name())))
		}
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(b.ID, a.ID) })
	return out, nil
}

// glance reads what a session says of itself, without its series.
func glance(path string) Info {
	id := strings.TrimSuffix(filepath.Base(path), Extension)
	a, err := openArchive(path)
	if err != nil {
		return Info{ID: id, Path: path, Trouble: err.Error(), Bytes: fileBytes(path)}
	}
	defer a.db.Close()
	m, err := a.meta()
	if err != nil && !isDamage(err) {
		return Info{ID: id, Path: path, Trouble: err.Error(), Bytes: fileBytes(path)}
	}
	i := infoOf(path, m)
	if i.Trouble = a.cut; i.Trouble == "" && (err != nil || m[metaSum] != "" && m[metaSum] != sumOf(m)) {
		i.Trouble = "damaged: what it says of itself"
	}
	if i.Trouble == "" {
		i.Trouble = copied(m)
	}
	if i.ID == "" || strings.HasPrefix(id, i.ID+asideMark) { // one that was set aside says that it is the one in its place
		i.ID = id
	}
	i.Bytes, i.PID = fileBytes(path), recorderOf(path)
	var newest int64
	a.db.QueryRow("SELECT coalesce(max(t),0) FROM journal").Scan(&newest) //nolint:errcheck // then it stays 0
	i.Last = timeOf(max(newest, metaInt(m, "last"), metaInt(m, "ended")))
	if f := metaInt(m, "first"); f != 0 {
		i.Started = timeOf(f)
	}
	switch {
	case !i.Ended.IsZero():
	case i.PID != 0:
		i.Recording = RecordingElsewhere
	default:
		i.Recording = RecorderDied
	}
	return i
}

// Running gives the sessions of a directory that have a living recorder, newest first.
func Running(dir string) ([]Info, error) {
	locks, err := filepath.Glob(filepath.Join(dir, "*.lock"))
	if err != nil {
		return nil, fmt.Errorf("looking for recorders: %w", err)
	}
	var out []Info
	for _, l := range locks {
		path := strings.TrimSuffix(l, ".lock") + Extension
		if recorderOf(path) == 0 {
			continue
		}
		if i := glance(path); i.Recording == RecordingElsewhere {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(b.ID, a.ID) })
	return out, nil
}

// Find gives the file of a session named by its path, its ID, the beginning of its ID if only one has it, its name, or
// "last" for the newest.
func Find(dir, which string) (string, error) {
	if strings.ContainsRune(which, os.PathSeparator) || strings.HasSuffix(which, Extension) {
		if _, err := os.Stat(which); err != nil {
			return "", fmt.Errorf("no session: %w", err)
		}
		return which, nil
	}
	all, err := List(dir)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", fmt.Errorf("no sessions in %s", dir)
	}
	if which == "last" {
		return all[0].Path, nil
	}
	var found []string
	for _, i := range all {
		if i.ID == which || i.Name != "" && i.Name == which {
			return i.Path, nil
		}
		if which != "" && strings.HasPrefix(i.ID, which) {
			found = append(found, i.Path)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("no session %q in %s", which, dir)
	}
	return "", fmt.Errorf("%q is the beginning of %d sessions in %s: give more of it", which, len(found), dir)
}

// Prune deletes ended sessions: those that ended before now-keepAge, then the oldest until all together are within
// keepBytes. Zero keeps all. Never deleted are sessions that are being recorded, those whose recorder died, those that
// somebody gave a name or put a mark into, which are kept for a reason, and damaged ones, of which nobody knows whether they
// had either. It gives what was deleted.
func Prune(dir string, now time.Time, keepAge time.Duration, keepBytes int64) ([]Info, error) {
	all, err := List(dir)
	if err != nil {
		return nil, err
	}
	var total int64
	for _, i := range all {
		total += i.Bytes
	}
	var gone []Info
	for _, i := range slices.Backward(all) {
		old := keepAge > 0 && i.Ended.Before(now.Add(-keepAge))
		big := keepBytes > 0 && total > keepBytes
		if i.Recording != Saved || i.Ended.IsZero() || !old && !big || i.Name != "" || i.Trouble != "" || marked(i.Path) {
			continue
		}
		if err := removeFile(i.Path); err != nil {
			return gone, fmt.Errorf("deleting session: %w", err)
		}
		total -= i.Bytes
		gone = append(gone, i)
	}
	return gone, nil
}

// removeFile deletes a session's file, and what SQLite leaves beside it where somebody read while it ended.
func removeFile(path string) error {
	err := os.Remove(path)
	for _, suffix := range []string{"-wal", "-shm"} {
		os.Remove(path + suffix) //nolint:errcheck // mostly there is none
	}
	return err
}

// marked says whether an operator put a mark into a session; one that can't be read to its last event counts as marked.
func marked(path string) bool {
	a, err := openArchive(path)
	if err != nil {
		return true
	}
	defer a.db.Close()
	found := false
	lost, err := walk(a.db, "events", "seq", "crc, data", 0, func(rows *sql.Rows) (seq int64, err error) {
		var crc int64
		var text string
		if err := rows.Scan(&seq, &crc, &text); err != nil {
			return seq, err
		}
		var e probes.Event
		if checksum([]byte(text)) != crc || json.Unmarshal([]byte(text), &e) != nil || e.Kind == probes.KindMark {
			found = true
		}
		return seq, nil
	})
	return found || err != nil || len(lost) > 0
}
