//go:build unix

package load

import "golang.org/x/sys/unix"

// openFileLimit is how many files this process may have open, 0 if there is no telling. The Go runtime has raised it as far as
// the system lets it before main began (os.adjustFileLimit), so nothing needs to be raised here.
func openFileLimit() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > 1<<30 {
		return 0
	}
	return int(l.Cur)
}
