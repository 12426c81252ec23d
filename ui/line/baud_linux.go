package line

import "golang.org/x/sys/unix"

// speeds of serial lines by their termios code; pseudo terminals say 38,400, which means nothing.
var speeds = map[uint32]int{unix.B300: 300, unix.B600: 600, unix.B1200: 1200, unix.B2400: 2400, unix.B4800: 4800, unix.B9600: 9600, unix.B19200: 19200}

// Baud is the speed that a slow serial line is set to; 0 for pseudo terminals and anything faster than 19,200.
func Baud(fd uintptr) int {
	t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
	if err != nil {
		return 0
	}
	return speeds[t.Cflag&unix.CBAUD]
}
