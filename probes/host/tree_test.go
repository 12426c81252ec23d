//go:build linux

package host

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/txtar"

	"pitwall/probes"
)

// bootedAt is the btime of every tree.
const bootedAt = 1795562210

// realVLLM is the recorded tree.
const realVLLM = "testdata/vllm-0.32.0.txtar"

// tree is a planted /proc and /sys.
type tree struct {
	t    testing.TB
	root string
}

// plant unpacks the recorded tree.
func plant(t testing.TB) tree {
	t.Helper()
	a, err := txtar.ParseFile(realVLLM)
	if err != nil {
		t.Fatal(err)
	}
	tr := tree{t, t.TempDir()}
	tr.unpack(a)
	return tr
}

// bare plants a machine with nothing but itself: the recorded one without its processes, and pitwall as 4242.
func bare(t *testing.T) tree {
	t.Helper()
	tr := plant(t)
	for _, pid := range []int{8030, 8031, 8033, 8066, 8067, 8079} {
		tr.kill(pid)
	}
	return tr
}

func (tr tree) unpack(a *txtar.Archive) {
	tr.t.Helper()
	for _, f := range a.Files {
		tr.write(f.Name, string(f.Data))
	}
}

// write makes a file, or the symbolic link "name -> target". In cmdline and environ a line end stands for a zero byte.
func (tr tree) write(name, content string) {
	tr.t.Helper()
	name, target, link := strings.Cut(name, " -> ")
	p := filepath.Join(tr.root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if link {
		os.Remove(p)
		if err := os.Symlink(target, p); err != nil {
			tr.t.Fatal(err)
		}
		return
	}
	b := []byte(content)
	switch filepath.Base(name) {
	case "cmdline", "environ":
		b = bytes.ReplaceAll(b, []byte{'\n'}, []byte{0})
	}
	if err := os.WriteFile(p, b, 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) content(name string) string {
	tr.t.Helper()
	b, err := os.ReadFile(filepath.Join(tr.root, name))
	if err != nil {
		tr.t.Fatal(err)
	}
	return string(b)
}

func (tr tree) remove(name string) {
	tr.t.Helper()
	if err := os.RemoveAll(filepath.Join(tr.root, name)); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) kill(pid int) { tr.t.Helper(); tr.remove(fmt.Sprintf("proc/%d", pid)) }

// spawn plants a process that was started some seconds after boot.
func (tr tree) spawn(pid, ppid int, comm string, after float64, argv ...string) {
	tr.t.Helper()
	tr.spawnTicks(pid, ppid, comm, int(after*100))
	tr.write(fmt.Sprintf("proc/%d/cmdline", pid), strings.Join(argv, "\n")+"\n")
}

func (tr tree) spawnTicks(pid, ppid int, comm string, ticks int) {
	tr.t.Helper()
	if len(comm) > commLength {
		comm = comm[:commLength]
	}
	tr.write(fmt.Sprintf("proc/%d/stat", pid), fmt.Sprintf(
		"%d (%s) S %d %d %d 0 -1 4194304 0 0 0 0 250 50 0 0 20 0 7 0 %d 1000000 2560 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		pid, comm, ppid, pid, pid, ticks))
	tr.write(fmt.Sprintf("proc/%d/comm", pid), comm+"\n")
	tr.write(fmt.Sprintf("proc/%d/status", pid), fmt.Sprintf("Name:\t%s\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\n", comm))
	tr.write(fmt.Sprintf("proc/%d/environ", pid), "")
	tr.write(fmt.Sprintf("proc/%d/fd/1", pid), "")
}

// listen opens a listening socket for a process; at is as in /proc/net/tcp, "0100007F:1F40".
func (tr tree) listen(pid, inode int, at string) {
	tr.t.Helper()
	tr.write(fmt.Sprintf("proc/%d/fd/7 -> socket:[%d]", pid, inode), "")
	tr.write(fmt.Sprintf("proc/%d/net/tcp", pid), "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"+
		fmt.Sprintf("   0: %s 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 %d 1 0000000000000000 100 0 0 10 0\n", at, inode))
}

func (tr tree) proc() string { return filepath.Join(tr.root, "proc") }

func (tr tree) options() Options {
	return Options{Proc: tr.proc(), Sys: filepath.Join(tr.root, "sys"), Paths: map[string]string{"sessions": tr.root, "model_cache": tr.root}}
}

// uptime gives the time so many seconds after boot.
func uptime(s float64) time.Time {
	return time.Unix(bootedAt, 0).Add(time.Duration(s * float64(time.Second)))
}

// readings pulls a collector as the recorder would, with every check that client_golang has.
type readings struct {
	t      *testing.T
	c      *Collector
	source probes.Source
	now    time.Time
}

func read(t *testing.T, o Options) *readings {
	t.Helper()
	c := New(o)
	c.own = map[string]string{}
	r := &readings{t: t, c: c, now: uptime(1000)}
	c.now = func() time.Time { return r.now }
	if err := prometheus.NewPedanticRegistry().Register(c); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.source, err = probes.FromCollector("node", "gpu01", c); err != nil {
		t.Fatal(err)
	}
	return r
}

// next takes a reading one second after the last.
func (r *readings) next() probes.Reading {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	rd := r.source.Read(context.Background())
	if rd.Err != nil {
		r.t.Fatal(rd.Err)
	}
	return rd
}

// value gives one series of a reading, written as in PromQL.
func value(t *testing.T, rd probes.Reading, series string) float64 {
	t.Helper()
	for _, s := range rd.Samples {
		if seriesName(s) == series {
			return s.Value
		}
	}
	var have []string
	name, _, _ := strings.Cut(series, "{")
	for _, s := range rd.Samples {
		if strings.HasPrefix(seriesName(s), name) {
			have = append(have, seriesName(s))
		}
	}
	t.Fatalf("no %s; there are %q, absent: %v", series, have, rd.Absent)
	return 0
}

func seriesName(s probes.Sample) string {
	name := s.Labels.Get("__name__")
	var ls []string
	for k, v := range s.Labels.Map() {
		if k != "__name__" && v != "" {
			ls = append(ls, fmt.Sprintf("%s=%q", k, v))
		}
	}
	if len(ls) == 0 {
		return name
	}
	sort.Strings(ls)
	return name + "{" + strings.Join(ls, ",") + "}"
}

func has(rd probes.Reading, name string) bool {
	for _, s := range rd.Samples {
		if s.Labels.Get("__name__") == name {
			return true
		}
	}
	return false
}
