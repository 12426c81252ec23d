package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// logPlace is where an engine's output goes. It is found while the process lives and stays good after its death.
type logPlace struct {
	// file is a plain file, or a container's JSON log.
	file string
	json bool
	// unit is a systemd unit, user whether it belongs to a user's manager.
	unit string
	user bool
	// why says why there is none.
	why string
}

// String is the place in words, for the fact "log".
func (l logPlace) String() string {
	switch {
	case l.file != "" && l.json:
		return "container log " + l.file
	case l.file != "":
		return "file " + l.file
	case l.unit != "":
		return "journal of " + l.unit
	}
	return "none: " + l.why
}

const (
	// maxTail is how many bytes of a log's end are read, maxLines how many lines of it are kept, maxLine how long one is.
	maxTail  = 64 << 10
	maxLines = 6
	maxLine  = 400
	// journalWait limits the journal's answer: it is asked while the state changes, and the reading waits for it.
	journalWait = 2 * time.Second
)

// containerID is a container's id in a cgroup path: docker-<id>.scope, cri-containerd-<id>.scope, /docker/<id>.
var containerID = regexp.MustCompile(`(?m)[/:-]([0-9a-f]{64})(?:\.scope)?(?:/|$)`)

// findLog looks where process pid writes to: a plain file behind its standard output or error, then the container's log,
// then the journal of its systemd unit. root is the root of the file system, "/" but for tests.
func findLog(root string, pid int) logPlace {
	proc := filepath.Join(root, "proc", strconv.Itoa(pid))
	why := "its output goes nowhere that can be read again"
	for _, fd := range []string{"2", "1"} {
		link := filepath.Join(proc, "fd", fd)
		target, err := os.Readlink(link)
		if err != nil {
			why = "its open files may not be read"
			continue
		}
		if !filepath.IsAbs(target) {
			why = "its output goes to a " + strings.SplitN(target, ":", 2)[0]
			continue
		}
		info, err := os.Stat(link)
		if err != nil || !info.Mode().IsRegular() {
			if strings.HasPrefix(target, "/dev/") {
				why = "its output goes to " + target
			}
			continue
		}
		// The path is the process's own: in a container it names something else here, or nothing.
		for _, path := range []string{target, filepath.Join(proc, "root", target)} {
			if here, err := os.Stat(path); err == nil && os.SameFile(here, info) {
				return logPlace{file: path}
			}
		}
		why = "its log file " + target + " is not to be seen from here"
	}
	cgroup, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	if err != nil {
		return logPlace{why: why}
	}
	if m := containerID.FindSubmatch(cgroup); m != nil {
		id := string(m[1])
		for _, pattern := range []string{
			filepath.Join(root, "var/lib/docker/containers", id, id+"-json.log"),
			filepath.Join(root, "var/log/containers", "*-"+id+".log"),
		} {
			paths, _ := filepath.Glob(pattern) // the patterns are constant and good
			for _, p := range paths {
				f, err := os.Open(p)
				if err != nil {
					continue
				}
				f.Close()
				return logPlace{file: p, json: true}
			}
		}
		return logPlace{why: "the log of container " + id[:12] + " may not be read"}
	}
	if unit, user := unitOf(string(cgroup)); unit != "" {
		return logPlace{unit: unit, user: user}
	}
	return logPlace{why: why}
}

// unitOf gives the systemd service that a process's cgroup file names: the last one on the path, which for a user's own
// service stands below user@1000.service.
func unitOf(cgroup string) (unit string, user bool) {
	for line := range strings.Lines(cgroup) {
		_, path, ok := strings.Cut(strings.TrimSpace(line), ":/")
		if !ok {
			continue
		}
		inUser := false
		for part := range strings.SplitSeq(path, "/") {
			if strings.HasPrefix(part, "user@") && strings.HasSuffix(part, ".service") {
				inUser = true
				continue
			}
			if strings.HasSuffix(part, ".service") {
				unit, user = part, inUser
			}
		}
		if unit != "" {
			return unit, user
		}
	}
	return "", false
}

// tail gives the last error lines of the log, without secrets, oldest first; its last lines where none looks like an error.
func (l logPlace) tail(ctx context.Context) ([]string, error) {
	var text []byte
	var err error
	switch {
	case l.file != "":
		if text, err = fileEnd(l.file); l.json {
			text = unwrapJSON(text)
		}
	case l.unit != "":
		text, err = journalEnd(ctx, l.unit, l.user)
	default:
		return nil, errors.New(l.why)
	}
	if err != nil {
		return nil, err
	}
	return errorLines(text), nil
}

func fileEnd(path string) ([]byte, error) {
	// What is a pipe by now must not be waited for until somebody writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the engine's log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the engine's log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the engine's log %s is no plain file any more", path)
	}
	from := max(0, info.Size()-maxTail)
	b, err := io.ReadAll(io.NewSectionReader(f, from, maxTail))
	if err != nil {
		return nil, fmt.Errorf("reading the engine's log: %w", err)
	}
	if from > 0 {
		// The first line is cut.
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	return b, nil
}

func journalEnd(ctx context.Context, unit string, user bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, journalWait)
	defer cancel()
	which := "--unit=" + unit
	if user {
		which = "--user-unit=" + unit
	}
	cmd := exec.CommandContext(ctx, "journalctl", which, "--lines=400", "--no-pager", "--quiet", "--output=cat")
	cmd.WaitDelay = time.Second
	var out, errOut limited
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("journalctl gave no answer within %s", journalWait)
		}
		return nil, fmt.Errorf("journalctl %s: %w %s", which, err, strings.TrimSpace(string(errOut.b)))
	}
	if len(bytes.TrimSpace(out.b)) == 0 {
		return nil, fmt.Errorf("the journal shows nothing of %s; reading it may need group systemd-journal", unit)
	}
	return out.b, nil
}

// limited keeps the last maxTail bytes written to it.
type limited struct{ b []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	if len(l.b) > maxTail {
		l.b = append(l.b[:0], l.b[len(l.b)-maxTail:]...)
	}
	return len(p), nil
}

// unwrapJSON takes the lines out of a container log: docker's {"log":"…\n"} or CRI's "time stdout F …".
func unwrapJSON(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		var l struct {
			Log string `json:"log"`
		}
		if json.Unmarshal(line, &l) == nil {
			out = append(out, l.Log...)
			continue
		}
		if f := bytes.SplitN(line, []byte(" "), 4); len(f) == 4 && (string(f[1]) == "stdout" || string(f[1]) == "stderr") {
			out = append(out, f[3]...)
		}
	}
	return out
}

// errorLine is a line worth showing of a log in Python's manner: a record of level ERROR or CRITICAL, an exception's last
// line, a kernel's or a runtime's word about a death.
var errorLine = regexp.MustCompile(`\b(ERROR|CRITICAL|FATAL)\b|^(\([^)]*\) )?[\w.]*(Error|Exception|Interrupt)\b(:|$)|\b(Killed|Aborted|Segmentation fault|core dumped)\b|died unexpectedly|out of memory|Out of memory`)

// traceLine is a line of a Python traceback inside a log record: of the many that one record has, its last says what
// happened.
var traceLine = regexp.MustCompile(`^[^\]]*\](\s{3,}|\s*$| Traceback )`)

// escapes are a terminal's colour codes, which carry no meaning here.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

func errorLines(text []byte) []string {
	var bad, any []string
	keep := func(to []string, line string) []string {
		if n := len(to); n > 0 && to[n-1] == line {
			return to
		}
		if to = append(to, line); len(to) > maxLines {
			to = to[1:]
		}
		return to
	}
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, maxTail+1)
	for sc.Scan() {
		line := strings.TrimRight(escapes.ReplaceAllString(sc.Text(), ""), " \t\r")
		if line == "" {
			continue
		}
		line = redact(line)
		if r := []rune(line); len(r) > maxLine {
			line = string(r[:maxLine]) + "…"
		}
		any = keep(any, line)
		if errorLine.MatchString(line) && !traceLine.MatchString(line) {
			bad = keep(bad, line)
		}
	}
	if len(bad) > 0 {
		return bad
	}
	if len(any) > 3 {
		any = any[len(any)-3:]
	}
	return any
}
