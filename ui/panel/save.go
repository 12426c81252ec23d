package panel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Save puts a file in the place of another in one step. A new one is readable by its owner only; one that is there keeps
// its permissions, and is left alone if these forbid writing.
func Save(path string, text []byte) error {
	path = target(path)
	mode := fs.FileMode(0o600)
	switch st, err := os.Stat(path); {
	case err == nil && st.Mode().Perm()&0o200 == 0:
		return fmt.Errorf("%s may not be written (mode %04o)", path, st.Mode().Perm())
	case err == nil:
		mode = st.Mode().Perm()
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // a no-op once it is renamed
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// target is the file that a link means, as with an editor.
func target(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// lockBeside keeps other writers of a file waiting until it is given back. The lock is on the directory: the file itself is
// replaced, and one more file would be left lying there.
func lockBeside(path string) (unlock func(), err error) {
	dir := filepath.Dir(target(path))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	// Some network file systems have no locks. Two writers at one moment are unlikely enough to go on without.
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOLCK) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EBADF) {
		d.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return func() { d.Close() }, nil
}
