//go:build linux

package host

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitwall/probes"
)

// v2 plants a machine with cgroup version 2 only, an engine as PID 100 in a pod, and pitwall in the same place as said.
func v2(t *testing.T, own, engine string) tree {
	t.Helper()
	tr := bare(t)
	tr.remove("sys/fs/cgroup")
	tr.write("proc/4242/mountinfo", "27 1 254:0 / / rw - ext4 /dev/vda rw\n31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n")
	tr.write("proc/4242/cgroup", "0::"+own+"\n")
	tr.spawn(100, 1, "vllm", 10, "vllm", "serve", "m")
	tr.write("proc/100/cgroup", "0::"+engine+"\n")
	return tr
}

func (tr tree) cgroup(path string, files map[string]string) {
	for f, content := range files {
		tr.write("sys/fs/cgroup"+path+"/"+f, content)
	}
}

func TestLimitsOfAPodAreThoseOfTheTightestCgroupAbove(t *testing.T) {
	const pod, ctr = "/kubepods.slice/pod1.slice", "/kubepods.slice/pod1.slice/c1.scope"
	tr := v2(t, "/user.slice", ctr)
	tr.cgroup("/user.slice", map[string]string{"cpu.max": "max 100000\n", "memory.max": "max\n", "memory.current": "1000\n", "memory.events": "oom 0\noom_kill 0\n"})
	tr.cgroup(pod, map[string]string{"cpu.max": "400000 100000\n", "cpu.stat": "usage_usec 9\nnr_periods 100\nnr_throttled 25\nthrottled_usec 2500000\n",
		"memory.max": "64000000000\n", "memory.current": "40000000000\n", "memory.events": "oom_kill 3\n"})
	tr.cgroup(ctr, map[string]string{"cpu.max": "800000 100000\n", "cpu.stat": "nr_periods 7\nnr_throttled 7\nthrottled_usec 7\n",
		"memory.max": "max\n", "memory.current": "30000000000\n", "memory.events": "low 0\noom 1\noom_kill 2\n"})
	rd := read(t, tr.options()).next()
	labels := fmt.Sprintf(`{of="engine",path=%q}`, ctr)
	for name, want := range map[string]float64{
		"pitwall_cgroup_cpu_limit_cores":             4,
		"pitwall_cgroup_cpu_throttled_seconds_total": 2.5,
		"pitwall_cgroup_cpu_periods_total":           100,
		"pitwall_cgroup_cpu_throttled_periods_total": 25,
		"pitwall_cgroup_memory_limit_bytes":          64e9,
		"pitwall_cgroup_memory_usage_bytes":          40e9,
		"pitwall_cgroup_oom_kills_total":             2,
	} {
		if got := value(t, rd, name+labels); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"pitwall_cgroup_cpu_limit_cores", "pitwall_cgroup_cpu_throttled_seconds_total", "pitwall_cgroup_memory_limit_bytes"} {
		if why := rd.Absent[name+`{of="pitwall",path="/user.slice"}`]; why != "no limit" {
			t.Errorf("pitwall's %s: %q, want no limit", name, why)
		}
	}
	if got := value(t, rd, `pitwall_cgroup_memory_usage_bytes{of="pitwall",path="/user.slice"}`); got != 1000 {
		t.Errorf("usage without a limit: %v", got)
	}
}

func TestInsideAContainerTheRootIsItsOwnCgroup(t *testing.T) {
	tr := v2(t, "/", "/../../other.scope")
	tr.cgroup("", map[string]string{"cpu.max": "150000 100000\n", "cpu.stat": "nr_periods 1\nnr_throttled 0\nthrottled_usec 0\n",
		"memory.max": "1000000\n", "memory.current": "10\n", "memory.events": "oom_kill 0\n"})
	rd := read(t, tr.options()).next()
	if got := value(t, rd, `pitwall_cgroup_cpu_limit_cores{of="pitwall",path="/"}`); got != 1.5 {
		t.Errorf("limit %v, want 1.5", got)
	}
	want := "its cgroup (/../../other.scope) is outside the container that pitwall runs in"
	if why := rd.Absent[`pitwall_cgroup_memory_usage_bytes{of="engine",path="/../../other.scope"}`]; why != want {
		t.Errorf("the engine's: %q", why)
	}
}

func TestTheRootCgroupOfAMachineCountsNothing(t *testing.T) {
	tr := v2(t, "/", "/")
	tr.cgroup("", map[string]string{"cgroup.procs": "1\n"})
	rd := read(t, tr.options()).next()
	if has(rd, "pitwall_cgroup_memory_usage_bytes") || has(rd, "pitwall_cgroup_oom_kills_total") {
		t.Error("samples of what isn't counted")
	}
	if why := rd.Absent[`pitwall_cgroup_oom_kills_total{of="engine",path="/"}`]; why != "the root cgroup doesn't count it" {
		t.Errorf("reason %q", why)
	}
}

func TestVersionOneInADockerContainerWithoutCgroupNamespace(t *testing.T) {
	tr := bare(t)
	tr.remove("sys/fs/cgroup")
	tr.write("proc/4242/mountinfo", `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
`)
	tr.write("proc/4242/cgroup", "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n")
	tr.cgroup("/cpu,cpuacct", map[string]string{"cpu.cfs_quota_us": "250000\n", "cpu.cfs_period_us": "100000\n", "cpu.stat": "nr_periods 10\nnr_throttled 4\nthrottled_time 3500000000\n"})
	tr.cgroup("/memory", map[string]string{"memory.limit_in_bytes": "2000000\n", "memory.usage_in_bytes": "7\n", "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"})
	rd := read(t, tr.options()).next()
	for name, want := range map[string]float64{
		"pitwall_cgroup_cpu_limit_cores": 2.5, "pitwall_cgroup_cpu_throttled_seconds_total": 3.5,
		"pitwall_cgroup_memory_limit_bytes": 2e6, "pitwall_cgroup_memory_usage_bytes": 7, "pitwall_cgroup_oom_kills_total": 1,
	} {
		if got := value(t, rd, name+`{of="pitwall",path="/docker/abc"}`); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

func TestOutOfMemory(t *testing.T) {
	const ctr = "/c1.scope"
	events := func(kills int) map[string]string {
		return map[string]string{"memory.max": "100\n", "memory.current": "1\n", "memory.events": fmt.Sprintf("oom_kill %d\n", kills)}
	}
	host := func(tr tree, kills int) {
		tr.write("proc/vmstat", fmt.Sprintf("pswpin 0\npswpout 0\noom_kill %d\n", kills))
	}
	for _, c := range []struct {
		name   string
		own    string
		change func(tree)
		want   []probes.Event
		later  func(tree) // what happens by the next reading, which is the one that tells
		wait   int        // how many readings it takes until it is told
	}{
		{"a counter that stands says nothing, however high", "/user.slice", func(tree) {}, nil, nil, 0},
		{"a kill in the engine's cgroup is critical, and told once although the host counts it too", "/user.slice",
			func(tr tree) { tr.cgroup(ctr, events(6)); host(tr, 11) },
			[]probes.Event{{Kind: KindOOMKill, Subject: "host", Severity: probes.Critical,
				Title: "out of memory: the kernel killed a process in the engine's cgroup (/c1.scope)",
				Attrs: map[string]string{"of": "engine", "path": ctr, "killed": "1", "total": "6"}}}, nil, 0},
		{"a cgroup that both share is told once", ctr,
			func(tr tree) { tr.cgroup(ctr, events(7)); host(tr, 12) },
			[]probes.Event{{Kind: KindOOMKill, Subject: "host", Severity: probes.Critical,
				Title: "out of memory: the kernel killed 2 processes in pitwall's cgroup (/c1.scope)",
				Attrs: map[string]string{"of": "pitwall", "path": ctr, "killed": "2", "total": "7"}}}, nil, 0},
		{"a kill elsewhere on the host is a warning", "/user.slice",
			func(tr tree) { host(tr, 11) },
			[]probes.Event{{Kind: KindOOMKill, Subject: "host", Severity: probes.Warning,
				Title: "out of memory: the kernel killed a process on this host, not in the cgroup of pitwall or of an engine",
				Attrs: map[string]string{"of": "host", "path": "", "killed": "1", "total": "11"}}}, nil, lastsDying},
		{"at once where there is no engine that it could have been", "/user.slice",
			func(tr tree) { tr.kill(100) },
			[]probes.Event{{Kind: KindOOMKill, Subject: "host", Severity: probes.Warning,
				Title: "out of memory: the kernel killed a process on this host, not in the cgroup of pitwall or of an engine",
				Attrs: map[string]string{"of": "host", "path": "", "killed": "1", "total": "11"}}},
			func(tr tree) { host(tr, 11) }, 1},
		{"an engine's process that takes a while to die went with it", "/user.slice",
			func(tr tree) { host(tr, 11) },
			[]probes.Event{{Kind: KindOOMKill, Subject: "host", Severity: probes.Critical,
				Title: "out of memory: the kernel killed a process on this host, and engine process 100 is gone",
				Attrs: map[string]string{"of": "host", "path": "", "killed": "1", "total": "11"}}},
			func(tr tree) { tr.kill(100) }, 1},
		{"and critical when an engine's process went with it, whose cgroup went too", "/user.slice",
			func(tr tree) { host(tr, 11); tr.kill(100); tr.remove("sys/fs/cgroup" + ctr) },
			[]probes.Event{{Kind: KindOOMKill, Subject: "host", Severity: probes.Critical,
				Title: "out of memory: the kernel killed a process on this host, and engine process 100 is gone",
				Attrs: map[string]string{"of": "host", "path": "", "killed": "1", "total": "11"}}}, nil, 0},
		{"a new cgroup of the same name starts at zero", "/user.slice",
			func(tr tree) { tr.cgroup(ctr, events(0)) }, nil, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := v2(t, c.own, ctr)
			tr.cgroup("/user.slice", map[string]string{"memory.current": "1\n", "memory.events": "oom_kill 0\n"})
			tr.cgroup(ctr, events(5))
			host(tr, 10)
			r := read(t, tr.options())
			if ev := r.next().Events; len(ev) != 0 {
				t.Errorf("the first reading tells of %v", ev)
			}
			c.change(tr)
			for range c.wait {
				if ev := r.next().Events; len(ev) != 0 {
					t.Errorf("told too early: %v", ev)
				}
				if c.later != nil {
					c.later(tr)
				}
			}
			if d := cmp.Diff(c.want, r.next().Events); d != "" {
				t.Error(d)
			}
			if ev := r.next().Events; len(ev) != 0 {
				t.Errorf("told again: %v", ev)
			}
		})
	}
}

func TestOnlyTheNamedFieldsAreRead(t *testing.T) {
	got, err := fields([]byte("a 1\nb 2\nbroken\nc x\n"), map[string]bool{"a": true, "b": true})
	if d := cmp.Diff(map[string]float64{"a": 1, "b": 2}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := fields[bool]([]byte("c x\n"), nil); err == nil || !strings.Contains(err.Error(), "field c") {
		t.Errorf("a value that is no number: %v", err)
	}
}

// FuzzFields: any content gives numbers or an error, and only what was asked for.
func FuzzFields(f *testing.F) {
	f.Add([]byte("oom_kill 3\nlow 0\n"))
	f.Add([]byte("oom_kill \n\x00 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := fields(b, map[string]bool{"oom_kill": true})
		for k := range got {
			if k != "oom_kill" {
				t.Errorf("field %q", k)
			}
		}
		_, _ = fields[struct{}](b, nil)
		_, _ = socketInode(string(b))
	})
}
