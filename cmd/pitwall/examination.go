package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/colorprofile"
	"github.com/dustin/go-humanize"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"pitwall/cmd/config"
	"pitwall/probes/engine/dialect"
	"pitwall/sessions"
)

func (p *program) examineBuild() []finding {
	b := thisBuild()
	out := []finding{{"build", good, fmt.Sprintf("pitwall %s, %s %s, %s", b.Version, b.Go, b.Platform, b.nvml()), "", ""}}
	if !b.CGO {
		out[0].Grade = note
		out[0].Why = "GPUs can only be read by a build with a C compiler"
		out[0].Next = "CGO_ENABLED=1 go build ./cmd/pitwall, or a release binary"
	}
	if b.CGO {
		// It can't be seen from here: where it is set, the dynamic linker ends the program before main.
		out[0].Why = "where LD_BIND_NOW is set (hardened hosts) such a binary ends with \"undefined symbol: nvml…\""
		out[0].Next = "there: env -u LD_BIND_NOW pitwall"
	}
	return out
}

// examineSecrets tells where secrets come from, and who else could read them.
func (p *program) examineSecrets(c *config.Config) []finding {
	var out []finding
	for _, q := range config.UnknownEnv(os.Environ()) {
		out = append(out, finding{"config", note, q.Error(), "", q.Hint})
	}
	_, from, err := c.APIKey(p.env)
	switch {
	case err != nil:
		out = append(out, finding{"config", broken, err.Error(), "", "api_key_file names a file with one line"})
	case from != "":
		out = append(out, finding{"config", good, "an API key comes from " + from, "", ""})
	}
	if st, err := os.Stat(c.APIKeyFile); err == nil && st.Mode().Perm()&0o077 != 0 {
		out = append(out, finding{"config", note, fmt.Sprintf("the API key in %s can be read by others (%s)", c.APIKeyFile, st.Mode().Perm()), "", "chmod 600 " + c.APIKeyFile})
	}
	if c.CAFile != "" {
		if _, err := os.ReadFile(c.CAFile); err != nil {
			out = append(out, finding{"config", broken, "ca_file: " + err.Error(), "", "ca_file names a PEM file"})
		}
	}
	return out
}

func (p *program) examineTerminal(c *config.Config) []finding {
	if err := p.needTerminal(""); err != nil {
		return []finding{{"terminal", note, strings.TrimPrefix(err.Error(), "the console needs a terminal, and "), "the console can't run here; record, snapshot and query can", ""}}
	}
	out := p.stdout.(*os.File) // needTerminal has looked
	w, h, err := term.GetSize(int(out.Fd()))
	size := fmt.Sprintf("%dx%d", w, h)
	if err != nil {
		size = "size unknown: " + err.Error()
	}
	t, _ := p.env("TERM")
	f := finding{Area: "terminal", Grade: good, What: fmt.Sprintf("%s, %s, %s", t, size, colorprofile.Detect(out, os.Environ()))}
	if c != nil && c.NoColor {
		f.What += ", drawn without colour"
	}
	if err == nil && (w < 60 || h < 15) {
		f.Grade, f.Why = note, "the console needs 60x15, and likes 160x45"
	}
	found := []finding{f}
	if !p.utf8() {
		found = append(found, finding{"terminal", note, "the locale is not UTF-8", "the console draws in plain ASCII", "LANG=C.UTF-8 pitwall"})
	}
	return found
}

// utf8 reads the locale as setlocale does: the first that is set counts.
func (p *program) utf8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v, _ := p.env(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

func (p *program) examineSessions(c *config.Config) []finding {
	dir := c.SessionsDir
	var out []finding
	if dir == "" {
		return []finding{{"sessions", broken, errNoSessionsDir.Error(), "nothing can be recorded", "set HOME or XDG_DATA_HOME, or give --sessions"}}
	}
	if def, why, err := sessions.DefaultDir(); err == nil && why != "" && def == dir {
		out = append(out, finding{"sessions", note, "kept in " + dir, why, ""})
	}
	if err := writable(dir); err != nil {
		return append(out, finding{"sessions", broken, fmt.Sprintf("%s: %v", dir, err), "nothing can be recorded there", "--sessions names another directory"})
	}
	f := finding{Area: "sessions", Grade: good, What: dir}
	var st unix.Statfs_t
	if err := unix.Statfs(existing(dir), &st); err == nil {
		free := st.Bavail * uint64(st.Bsize)
		f.What += ", " + humanize.IBytes(free) + " free"
		if free < 1<<30 {
			f.Grade, f.Why, f.Next = note, "a day takes up to 250 MB", "--sessions names another directory; --keep-size bounds what is kept"
		}
	}
	if st, err := os.Stat(dir); err == nil && st.Mode().Perm()&0o077 != 0 {
		out = append(out, finding{"sessions", note, fmt.Sprintf("%s can be entered by others (%s)", dir, st.Mode().Perm()), "", "chmod 700 " + dir})
	}
	out = append(out, f)
	all, err := sessions.List(dir)
	if err != nil {
		return append(out, finding{"sessions", broken, err.Error(), "", ""})
	}
	var bytes int64
	for _, s := range all {
		bytes += s.Bytes
		switch {
		case s.PID != 0:
			out = append(out, finding{"sessions", good, fmt.Sprintf("pid %d records session %s", s.PID, s.ID), "pitwall attaches to it", ""})
		case s.Recording == sessions.RecorderDied:
			out = append(out, finding{"sessions", note, "session " + s.ID + " was not ended: its recorder is gone", "it can be read as it is", "pitwall record --session " + s.ID + " goes on with it"})
		case s.Trouble != "":
			out = append(out, finding{"sessions", note, s.ID + ": " + s.Trouble, "", ""})
		}
	}
	if why, what := endsAtLogout(thisLogin()); why != "" {
		out = append(out, finding{"sessions", note, why, "pitwall's key B starts one too", what})
	}
	keep := "for ever"
	if c.KeepAge > 0 {
		keep = model.Duration(c.KeepAge).String()
	}
	size := "any size"
	if c.KeepSize > 0 {
		size = humanize.IBytes(uint64(c.KeepSize))
	}
	return append(out, finding{"sessions", good, fmt.Sprintf("%d recorded, %s; kept %s, %s", len(all), humanize.IBytes(uint64(max(0, bytes))), keep, size),
		"pitwall record removes what is beyond that, but never what has a name or a mark", ""})
}

// writable tries what a recorder would do in a directory, and leaves nothing behind.
func writable(dir string) error {
	at := existing(dir)
	st, err := os.Stat(at)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is not a directory", at)
	}
	f, err := os.CreateTemp(at, ".pitwall-doctor-*")
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return fmt.Errorf("can't write: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// existing gives the nearest directory above that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return dir
		}
		dir = up
	}
}

func examineGPU(ctx context.Context, l *look, s snapshot) []finding {
	status := s.Facts["gpu/status"]
	if status != "ok" {
		if status == "" {
			status = "nothing was said about GPUs"
		}
		f := finding{"gpu", absent, status, "the console shows engine and host without it", ""}
		if strings.Contains(status, "libnvidia-ml") {
			f.Next = "nvidia-smi should work first: install the driver, or start the container with --gpus all"
		}
		return []finding{f}
	}
	out := []finding{{"gpu", good, fmt.Sprintf("driver %s, NVML %s, CUDA %s", s.Facts["gpu/driver"], s.Facts["gpu/nvml"], s.Facts["gpu/cuda"]), "", ""}}
	for i := 0; ; i++ {
		name, ok := s.Facts[fmt.Sprintf("gpu/%d/name", i)]
		if !ok {
			break
		}
		what := fmt.Sprintf("%d: %s", i, name)
		if e := s.Facts[fmt.Sprintf("gpu/%d/engine", i)]; e != "" {
			what += ", used by " + e
		}
		out = append(out, finding{"gpu", good, what, "", ""})
	}
	for _, r := range s.GPU {
		if len(r.Absent) > 0 {
			names := make([]string, 0, len(r.Absent))
			for n, why := range r.Absent {
				names = append(names, n+" ("+why+")")
			}
			slices.Sort(names)
			out = append(out, finding{"gpu", note, fmt.Sprintf("%d readings are not there", len(names)), strings.Join(names, ", "), ""})
		}
		out = append(out, finding{"gpu", good, fmt.Sprintf("a reading takes %s", span(time.Duration(r.TookSeconds*float64(time.Second)))), "", ""})
	}
	cost := l.one(ctx, line{expr: `sum(rate(pitwall_gpu_nvml_seconds_total[$w]))`, unit: "ratio"}, "dcgm")
	return append(out, finding{"gpu", good, "NVML's calls take " + cost + " of one core's time while watching", "they wait in the driver; a slow one delays no other reading", ""})
}

func (p *program) examineEngines(c *config.Config, s snapshot) []finding {
	var out []finding
	for _, e := range s.Engines {
		d, _ := dialect.Named(e.Dialect)
		what := fmt.Sprintf("%s at %s, %s", strings.TrimSpace(e.Dialect+" "+e.Version), e.Instance, strings.ReplaceAll(e.State, "_", " "))
		if e.Model != "" {
			what += ", serves " + e.Model
		}
		f := finding{Area: "engine", Grade: good, What: what, Why: e.Reason}
		if _, code := worst([]engineReading{e}); code != exitOK {
			f.Grade = absent
			if len(c.Engine) > 0 {
				f.Grade = broken
			}
			f.Next = engineAdvice(e)
		}
		out = append(out, f)
		if d != nil && e.answered() {
			how := finding{Area: "engine", Grade: good, What: fmt.Sprintf("dialect %s (%s): %s", d.Name, d.Title, e.Facts["verified"])}
			if !strings.HasPrefix(e.Facts["verified"], "verified") {
				how.Grade = note
			}
			out = append(out, how)
		}
		if e.Error == "" && e.IntervalSeconds > 0 && e.answered() {
			out = append(out, finding{"engine", good, fmt.Sprintf("watching costs %s of the API server's time: a scrape of %d series takes %s, every %s",
				percent(e.TookSeconds/e.IntervalSeconds), len(e.Samples), span(time.Duration(e.TookSeconds*float64(time.Second))), span(time.Duration(e.IntervalSeconds*float64(time.Second)))), "", ""})
		}
		out = append(out, absences(e.Absent)...)
	}
	if len(s.Engines) == 0 {
		out = append(out, finding{"engine", absent, "none was found", "looked at the engine processes of this host, then at 127.0.0.1:8000", "vllm serve MODEL, or pitwall --engine URL"})
	}
	for _, o := range s.Other {
		if o.Job == "pitwall" {
			continue
		}
		f := finding{Area: "scrape", Grade: good, What: fmt.Sprintf("%s at %s, %d series", o.Job, o.Instance, len(o.Samples))}
		if o.Error != "" {
			f.Grade, f.Why = absent, o.Error
			if o.Job == "scrape" {
				f.Grade = broken
			}
		}
		out = append(out, f)
		for _, name := range slices.Sorted(maps.Keys(o.Absent)) {
			out = append(out, finding{"scrape", note, name + " is not there in full", o.Absent[name], ""})
		}
	}
	return out
}

// absences tells what an engine lacks, a line a reason: an engine of another kind may lack half of what the screens ask for.
// Where series of a metric were left out because they were too many, the metric is not gone.
func absences(reasons map[string]string) []finding {
	names := map[[2]string][]string{}
	for name, why := range reasons {
		how := "not there"
		if strings.Contains(why, "series dropped") {
			how = "not there in full"
		}
		names[[2]string{why, how}] = append(names[[2]string{why, how}], name)
	}
	var out []finding
	for key, list := range names {
		slices.Sort(list)
		verb := "is"
		if len(list) > 1 {
			verb = "are"
		}
		out = append(out, finding{"engine", note, fmt.Sprintf("%s %s %s", strings.Join(list, ", "), verb, key[1]), key[0], ""})
	}
	slices.SortFunc(out, func(a, b finding) int { return cmp.Or(cmp.Compare(a.Why, b.Why), cmp.Compare(a.What, b.What)) })
	return out
}

// engineAdvice says what to type about an engine that is not ready.
func engineAdvice(e engineReading) string {
	switch {
	case strings.Contains(e.Reason, "--ca-file"):
		return "--ca-file names the file (PEM) of the authority that signed it"
	case strings.Contains(e.Reason, "HTTP 401") || strings.Contains(e.Reason, "HTTP 403"):
		return "PITWALL_API_KEY or --api-key-file gives the engine's key, --header what a proxy wants"
	}
	switch e.State {
	case "starting":
		return "wait until the model is loaded"
	case "sleeping":
		return "curl -X POST " + e.URL + "/wake_up wakes it"
	case "stalled":
		return "look at the engine's log and at the GPU"
	case "no_engine":
		return "vllm serve MODEL, or --engine URL for one that is elsewhere"
	}
	return "curl -i " + e.URL + "/metrics shows what it answers"
}

func examineHost(s snapshot) []finding {
	var out []finding
	for _, r := range s.Node {
		if r.Error != "" {
			out = append(out, finding{"host", absent, r.Error, "", ""})
			continue
		}
		out = append(out, finding{"host", good, strings.TrimSpace(fmt.Sprintf("%s, %s CPUs, %s", s.Facts["host/kernel"], s.Facts["host/cpus"], s.Facts["host/cpu_model"])), "", ""})
	}
	if n := s.Facts["host/processes_note"]; n != "" {
		out = append(out, finding{"host", note, n, "the engine's processes are shown without their details", "sudo pitwall sees them"})
	}
	return out
}

func percent(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }
