package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
)

// guardScript waits for a word or for the end of its input. The end means that pitwall is gone without having put the
// terminal back: killed, or crashed where nothing could catch it. Then it leaves the alternate screen and ends every mode
// that a console may have set. Lines are only repaired when nobody else has: an interactive shell does that for a child
// that was killed, and then already edits its next line; but no shell switches output processing off.
const guardScript = `trap '' INT HUP TERM QUIT TSTP TTIN TTOU PIPE
read -r word
[ "$word" = calm ] && exit 0
printf '\033[?2026l\033[<u\033[?1000l\033[?1002l\033[?1003l\033[?1006l\033[?1004l\033[?2004l\033[?1049l\033[?25h\033[0m\r\npitwall: it was killed; what it recorded is kept: pitwall sessions\r\n' >&3
if [ -s "$CRASH" ]; then printf 'pitwall: it crashed, and the file %s says where\r\n' "$CRASH" >&3; elif [ -n "$CRASH" ]; then rm -f "$CRASH"; fi
sleep 0.1
case $(stty -a <&3) in *-opost*) stty sane <&3 ;; esac
`

// guard starts a shell that puts the terminal back should this process die without doing so; nothing that runs in the
// process itself outlives a kill -9. A shell takes 1 MB, a second pitwall would take twenty. The function it gives calls
// the guard off. Where there is no shell there is no guard.
//
// A crash ends with a signal, not with an exit code: only then does a shell take its own terminal settings for the right
// ones, and not those that it finds. What Go says about a crash would be lost with the alternate screen, so that it goes
// to a file in dir too.
func (p *program) guard(dir string) (calm func()) {
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
	debug.SetTraceback("crash")
	path, forget := crashFile(dir)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "CRASH=" + path}
	if err := cmd.Start(); err != nil {
		w.Close()
		return forget
	}
	return func() {
		forget()
		_, _ = io.WriteString(w, "calm\n") // a guard that is gone needs no calming
		w.Close()
		_ = cmd.Wait()
	}
}

// crashFile gives Go a file to write to should it crash; without a crash forget takes it away again. Where it can't be made
// there is none: the console lives without one.
func crashFile(dir string) (path string, forget func()) {
	path = filepath.Join(dir, fmt.Sprintf("crash-%d.log", os.Getpid()))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", func() {}
	}
	defer f.Close() // SetCrashOutput has its own
	if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
		_ = os.Remove(path)
		return "", func() {}
	}
	return path, func() {
		_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
		_ = os.Remove(path) // nothing is in it
	}
}
