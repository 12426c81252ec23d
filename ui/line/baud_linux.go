package line

import "golang.org/x/sys/unix"

// speeds of serial lines by their termios code.
var speeds = map[uint32]int{unix.B300: 300, unix.B600: 600, unix.B1200: 1200, unix.B2400: 2400, unix.B4800: 4800, unix.B9600: 9600, unix.B19200: 19200}

// Baud is the speed that a slow serial line is set to; 0 for anything faster than 19,200, and for pseudo terminals, whose
// speed means nothing: GNU screen sets its own to 9,600.
func Baud(fd uintptr) int {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return 0
	}
	if m := unix.Major(uint64(st.Rdev)); m >= 136 && m <= 143 {
		return 0
	}
	t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
	if err != nil {
		return 0
	}
	return speeds[t.Cflag&unix.CBAUD]
}
