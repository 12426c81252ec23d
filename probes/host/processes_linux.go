package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// Processes lists every vLLM process of this host, by PID. The error is not nil only when procRoot itself can't be read;
// what a single process hides shows as Denied.
func Processes(procRoot string) ([]Process, error) {
	t, err := newTracker(procRoot)
	if err != nil {
		return nil, err
	}
	sc := t.scan(time.Now())
	if sc.err != nil {
		return nil, sc.err
	}
	out := make([]Process, len(sc.procs))
	for i, p := range sc.procs {
		out[i] = p.Process
	}
	return out, nil
}

// How often a process is looked at again.
const (
	// A process that was not recognised may become one of ours: by exec ("bash" turns into "vllm"), or when it sets its
	// title (an EngineCore is "python -c …" for its first ten seconds). The older it is, the rarer that gets.
	lookAgainMin = time.Second
	lookAgainMax = 30 * time.Second
	// A server's sockets are looked for until it listens, and then nearly never.
	portsWhileClosed = 15 * time.Second
	portsWhenOpen    = 5 * time.Minute
	// untitledAfter is the age from which a Python child of a server that has no title is taken for a process of a vLLM
	// older than 0.10.1, which sets none.
	untitledAfter = 2 * time.Minute
)

// clockTicks is USER_HZ, the unit of times in /proc: 100 on every architecture that Go supports.
const clockTicks = 100

// tracker finds the engines' processes again and again, and cheaply: only PIDs that it doesn't know are read, and the
// recognised ones. It is not safe for concurrent use.
type tracker struct {
	proc string
	fs   procfs.FS
	boot time.Time
	// net is this process's own network namespace, "net:[4026531833]"; empty if unknown.
	net   string
	known map[int]*entry
	// first is true during the first scan, when re-examinations have to be spread out.
	first bool
	// unreadable counts the PIDs of the last scan whose stat may not be read (hidepid=1).
	unreadable int
}

// entry is what is remembered of a PID.
type entry struct {
	sighting
	ppid    int
	started uint64 // clock ticks after boot: with the PID, the process's identity
	comm    string
	python  bool // runs an interpreter: its vector may change while its name stays
	spawned bool // started by multiprocessing
	next    time.Time

	// Only for the recognised, read once:
	uid    int
	argv   []string
	env    map[string]string
	denied bool
	// and these again:
	stat      procfs.ProcStat
	otherNet  bool
	listens   []listener
	portsNext time.Time
}

// seen is an engine's process with its readings.
type seen struct {
	Process
	engine  string // Address of its root
	cpu     float64
	rss     float64
	threads float64
	started float64 // Unix seconds
}

// scan is the outcome of one look at /proc.
type scan struct {
	procs []seen
	// gone are the engine processes that the scan before still saw.
	gone       []int
	unreadable int
	total      int
	err        error
}

func newTracker(procRoot string) (*tracker, error) {
	pfs, err := procfs.NewFS(procRoot)
	if err != nil {
		return nil, fmt.Errorf("reading processes: %w", err)
	}
	st, err := pfs.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the boot time: %w", err)
	}
	t := &tracker{proc: procRoot, fs: pfs, boot: time.Unix(int64(st.BootTime), 0), known: map[int]*entry{}, first: true}
	t.net, _ = os.Readlink(filepath.Join(procRoot, "self", "ns", "net"))
	return t, nil
}

func (t *tracker) scan(now time.Time) scan {
	dir, err := os.Open(t.proc)
	if err != nil {
		return scan{err: fmt.Errorf("reading processes: %w", err)}
	}
	names, err := dir.Readdirnames(-1)
	dir.Close()
	if err != nil {
		return scan{err: fmt.Errorf("reading processes: %w", err)}
	}
	var sc scan
	t.unreadable = 0
	before := make(map[int]uint64)
	for pid, e := range t.known {
		if e.kind != "" {
			before[pid] = e.started
		}
	}
	present := make(map[int]struct{}, len(names))
	for _, n := range names {
		if n[0] < '0' || n[0] > '9' {
			continue
		}
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if t.examine(pid, now) {
			present[pid] = struct{}{}
		}
	}
	for pid := range t.known {
		if _, ok := present[pid]; !ok {
			delete(t.known, pid)
		}
	}
	t.adopt(now)
	sc.total, sc.unreadable = len(present), t.unreadable
	for pid, started := range before {
		if e := t.known[pid]; e == nil || e.started != started {
			sc.gone = append(sc.gone, pid)
		}
	}
	slices.Sort(sc.gone)
	sc.procs = t.engines(now)
	t.first = false
	return sc
}

// examine looks at one PID if it is due, and tells whether there is a process.
func (t *tracker) examine(pid int, now time.Time) bool {
	e := t.known[pid]
	if e != nil && e.kind == "" && now.Before(e.next) {
		return true
	}
	p, err := t.fs.Proc(pid)
	if err != nil {
		return false // gone since the directory was read
	}
	st, err := p.Stat()
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			t.unreadable++
		}
		return false
	}
	if st.State == "Z" || st.State == "X" {
		return false
	}
	started := st.Starttime
	if e != nil && e.started != started {
		e = nil // the PID has another owner
	}
	fresh := e == nil
	if fresh {
		e = &entry{started: started}
		t.known[pid] = e
	}
	renamed := e.comm != st.Comm
	e.ppid, e.comm, e.stat = st.PPID, st.Comm, st
	const kernelThread = 0x00200000 // PF_KTHREAD
	if st.Flags&kernelThread == 0 && (fresh || renamed || e.kind == "" && e.python) {
		argv, err := p.CmdLine()
		if err == nil {
			argv = trimTitle(argv)
		}
		e.python = len(argv) > 0 && interpreter(argv[0])
		e.spawned = e.python && slices.ContainsFunc(argv, func(a string) bool { return strings.Contains(a, "multiprocessing.spawn ") })
		was := e.sighting
		e.sighting = recognise(st.Comm, argv)
		if was.serves && !e.serves && e.kind == was.kind {
			e.sighting, argv = was, e.argv // a server that gave itself a title is the same server
		}
		e.argv = nil
		if e.serves || st.Comm == "docker-proxy" {
			e.argv = argv
		}
	}
	age := now.Sub(t.startTime(started))
	wait := min(max(age/4, lookAgainMin), lookAgainMax)
	if t.first {
		wait = min(wait, lookAgainMin*time.Duration(1+pid%int(lookAgainMax/lookAgainMin)))
	}
	e.next = now.Add(wait)
	return true
}

// trimTitle drops the empty arguments at the end: setproctitle writes its title over the vector and zeroes the rest.
func trimTitle(argv []string) []string {
	for len(argv) > 0 && argv[len(argv)-1] == "" {
		argv = argv[:len(argv)-1]
	}
	return argv
}

func (t *tracker) startTime(ticks uint64) time.Time {
	return t.boot.Add(time.Duration(ticks) * (time.Second / clockTicks))
}

// adopt settles what only the family tells: who is a root, who is a child without a title, which Python program holds an
// engine that nobody else serves.
func (t *tracker) adopt(now time.Time) {
	for pid, e := range t.known {
		switch {
		case e.serves:
			// A forked child of an old vLLM has its server's vector.
			if depth := t.depthBelowServer(pid); depth > 0 && e.by != nil {
				e.sighting = sighting{kind: e.kind, role: untitledRole(depth), title: e.title}
				e.argv = nil
			}
		case e.kind == "" && e.spawned:
			depth := t.depthBelowServer(pid)
			if depth > 0 && now.Sub(t.startTime(e.started)) > untitledAfter {
				e.sighting = sighting{kind: t.known[t.root(pid)].kind, role: untitledRole(depth), title: "multiprocessing.spawn"}
			}
		case e.kind != "" && t.root(pid) == 0:
			// vLLM inside somebody's own Python program: that one is the server.
			if parent := t.known[e.ppid]; parent != nil && parent.kind == "" && parent.python && e.ppid > 1 {
				parent.sighting = sighting{kind: e.kind, role: RoleAPIServer, title: parent.comm, serves: true}
			}
		}
	}
}

// untitledRole is what a process without a title is, by its depth below the server.
func untitledRole(depth int) string {
	if depth == 1 {
		return RoleEngineCore
	}
	return RoleWorker
}

// root walks up to the topmost server above pid, or pid itself; 0 if there is none.
func (t *tracker) root(pid int) int {
	root := 0
	for hops := 0; hops < 64; hops++ {
		e := t.known[pid]
		if e == nil {
			break
		}
		if e.serves {
			root = pid
		}
		pid = e.ppid
	}
	return root
}

// depthBelowServer is how many generations below its server a process is; 0 if it is none's child.
func (t *tracker) depthBelowServer(pid int) int {
	root := t.root(pid)
	if root == 0 {
		return 0
	}
	depth := 0
	for ; pid != root && depth < 64; depth++ {
		pid = t.known[pid].ppid
	}
	return depth
}

// engines gives the recognised processes by PID, with what is still to be read of them.
func (t *tracker) engines(now time.Time) []seen {
	var out []seen
	fanned := map[int]bool{} // servers that have API servers below them
	for pid, e := range t.known {
		if e.kind != "" && !e.serves && e.role == RoleAPIServer {
			fanned[t.root(pid)] = true
		}
	}
	for pid, e := range t.known {
		if e.kind == "" {
			continue
		}
		root := t.root(pid)
		p := Process{
			PID: pid, PPID: e.ppid, Kind: e.kind, Role: e.role, Rank: e.rank, Title: e.title,
			Start: t.startTime(e.started), Root: root,
		}
		if e.serves && fanned[pid] {
			p.Role = RoleServe
		}
		t.details(pid, e)
		p.UID, p.Denied = e.uid, e.denied
		if e.serves {
			p.Args, p.Env = withoutSecrets(e.argv), e.env
		}
		if p.Role == RoleServe || p.Role == RoleAPIServer {
			if r := t.known[root]; r != nil && r.by != nil {
				p.port, p.host = r.by.willListen(r.argv)
			}
			if !now.Before(e.portsNext) {
				t.ports(pid, e, p.port)
				e.portsNext = now.Add(portsWhileClosed)
				if len(e.listens) > 0 {
					e.portsNext = now.Add(portsWhenOpen)
				}
			}
			p.OtherNet = e.otherNet
			for _, l := range e.listens {
				p.Listens = append(p.Listens, l.addr)
				p.Ports = append(p.Ports, int(l.addr.Port()))
			}
			slices.Sort(p.Ports)
			p.Ports = slices.Compact(p.Ports)
			if e.otherNet {
				p.Published = t.published(p)
			}
		}
		out = append(out, seen{
			Process: p,
			cpu:     e.stat.CPUTime(), rss: float64(e.stat.ResidentMemory()), threads: float64(e.stat.NumThreads),
			started: float64(t.boot.Unix()) + float64(e.started)/clockTicks,
		})
	}
	slices.SortFunc(out, func(a, b seen) int { return a.PID - b.PID })
	address := map[int]string{}
	for _, p := range out {
		if p.Role != RoleServe && p.Role != RoleAPIServer {
			continue
		}
		// Of a server and its API servers the first that listens tells; else what the command line says.
		if a := p.Address(); a != "" && (address[p.Root] == "" || len(p.Ports) > 0 && p.PID != p.Root && !t.listening(p.Root)) {
			address[p.Root] = a
		}
	}
	for i := range out {
		if out[i].Root != 0 {
			out[i].engine = address[out[i].Root]
		}
	}
	return out
}

func (t *tracker) listening(pid int) bool { e := t.known[pid]; return e != nil && len(e.listens) > 0 }

// details reads once what doesn't change in a recognised process.
func (t *tracker) details(pid int, e *entry) {
	if e.env != nil {
		return
	}
	p, err := t.fs.Proc(pid)
	if err != nil {
		return
	}
	if st, err := p.NewStatus(); err == nil {
		e.uid = int(st.UIDs[1]) // the effective one
	}
	environ, err := p.Environ()
	e.denied = errors.Is(err, fs.ErrPermission)
	e.env = map[string]string{}
	if e.serves {
		e.env = allowed(environ)
	}
}

// willListen tells where a server of that command line will listen; port 0 if not on TCP.
func (r *recognition) willListen(argv []string) (port int, host string) {
	if _, ok := flagValue(argv, r.Socket); ok {
		return 0, ""
	}
	if _, ok := flagValue(argv, "headless"); ok {
		return 0, ""
	}
	port = r.defaultPort
	if v, ok := flagValue(argv, r.Port); ok {
		if n, err := strconv.Atoi(v); err == nil && n > 0 && n < 1<<16 {
			port = n
		}
	}
	host, _ = flagValue(argv, r.Host)
	return port, host
}
