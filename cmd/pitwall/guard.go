package main

import (
	"io"
	"os"
	"os/exec"
)

// guardScript waits for a word or for the end of its input. The end means that pitwall is gone without having put the
// terminal back: killed, or crashed where nothing could catch it. Then it leaves the alternate screen and ends every mode
// that a console may have set. Lines are only repaired when nobody else has: an interactive shell does that for a child
// that was killed, and then already edits its next line; but no shell switches output processing off.
const guardScript = `trap '' INT HUP TERM QUIT TSTP TTIN TTOU PIPE
read -r word
[ "$word" = calm ] && exit 0
printf '\033[?2026l\033[<u\033[?1000l\033[?1002l\033[?1003l\033[?1006l\033[?1004l\033[?2004l\033[?1049l\033[?25h\033[0m\r\npitwall: it was killed; what it recorded is kept: pitwall sessions\r\n' >&3
sleep 0.1
case $(stty -a <&3) in *-opost*) stty sane <&3 ;; esac
`

// guard starts a shell that puts the terminal back should this process die without doing so; nothing that runs in the
// process itself outlives a kill -9. A shell takes 1 MB, a second pitwall would take twenty. The function it gives calls
// the guard off. Where there is no shell there is no guard.
func (p *program) guard() (calm func()) {
	tty, ok := p.stdout.(*os.File)
	if !ok {
		return func() {}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", guardScript)
	cmd.Stdin, cmd.ExtraFiles = r, []*os.File{tty}
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	if err := cmd.Start(); err != nil {
		w.Close()
		return func() {}
	}
	return func() {
		_, _ = io.WriteString(w, "calm\n") // a guard that is gone needs no calming
		w.Close()
		_ = cmd.Wait()
	}
}
