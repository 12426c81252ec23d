package main

import (
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// login is what decides whether a process of a user outlives that user's logout.
type login struct {
	// cgroup is /proc/self/cgroup: a login's own scope, or the user's service manager.
	cgroup string
	// conf are the texts of logind.conf and its drop-ins in the order in which they count.
	conf []string
	user string
	// lingers is whether the user's service manager outlives the last logout (loginctl enable-linger).
	lingers bool
}

// loginScope is where logind puts what a login starts, also when it has called setsid.
var loginScope = regexp.MustCompile(`/session-[^/\n]+\.scope(/|\n|$)`)

// endsAtLogout says why a background recorder that is started here will be killed when its user logs out, and what to do
// about it; both are empty when it won't be. The rules are those of logind.conf(5), KillUserProcesses.
func endsAtLogout(l login) (why, what string) {
	const apart = "systemd-run --user --scope pitwall record --background"
	set := logindSettings(l.conf)
	excluded, named := set["KillExcludeUsers"]
	if !named {
		excluded = "root"
	}
	kills := slices.Contains([]string{"yes", "true", "on", "1"}, strings.ToLower(set["KillUserProcesses"])) &&
		!slices.Contains(strings.Fields(excluded), l.user) &&
		(set["KillOnlyUsers"] == "" || slices.Contains(strings.Fields(set["KillOnlyUsers"]), l.user))
	switch {
	case loginScope.MatchString(l.cgroup) && kills:
		what = apart + " starts one that logind leaves alone"
		if !l.lingers {
			what = "loginctl enable-linger, then " + apart
		}
		return "logind ends a background recorder when you log out (KillUserProcesses=yes)", what
	case strings.Contains(l.cgroup, "/user@") && !l.lingers:
		return "systemd ends a background recorder when you log out for the last time (it runs under your service manager, which does not linger)",
			"loginctl enable-linger"
	}
	return "", ""
}

// logindSettings reads the keys of [Login]; a later text wins.
func logindSettings(conf []string) map[string]string {
	out := map[string]string{}
	for _, text := range conf {
		for line := range strings.Lines(text) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(k, "#") && !strings.HasPrefix(k, ";") {
				out[strings.TrimSpace(k)] = strings.TrimSpace(v)
			}
		}
	}
	return out
}

// thisLogin reads how it is here. What can't be read is as if it were not there: then logind kills nothing.
func thisLogin() login {
	var l login
	read := func(path string) string {
		b, _ := os.ReadFile(path) // absent where there is no systemd
		return string(b)
	}
	l.cgroup = read("/proc/self/cgroup")
	// A drop-in of the same name counts once, the administrator's over the distribution's.
	dropIns := map[string]string{}
	for _, root := range []string{"/usr/lib", "/usr/local/lib", "/run", "/etc"} {
		if main := read(root + "/systemd/logind.conf"); main != "" {
			l.conf = []string{main}
		}
		paths, _ := filepath.Glob(root + "/systemd/logind.conf.d/*.conf") // the pattern is a good one
		for _, path := range paths {
			dropIns[filepath.Base(path)] = path
		}
	}
	for _, name := range slices.Sorted(maps.Keys(dropIns)) {
		l.conf = append(l.conf, read(dropIns[name]))
	}
	if u, err := user.Current(); err == nil {
		l.user = u.Username
		_, err := os.Stat("/var/lib/systemd/linger/" + u.Username)
		l.lingers = err == nil
	}
	return l
}
