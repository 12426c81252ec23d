package load

import "os"

// spareFiles are left for everything that is no connection of the load: the session, the engine's page, the terminal.
const spareFiles = 48

// openFiles is how many files this process has open, 0 where the system doesn't show them.
func openFiles() int {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return 0
	}
	return len(names) - 1 // the directory itself
}
