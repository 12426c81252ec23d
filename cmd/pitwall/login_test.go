package main

import (
	"strings"
	"testing"
)

func TestWhatLogoutEnds(t *testing.T) {
	const (
		scope   = "0::/user.slice/user-1000.slice/session-3.scope\n"
		manager = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n"
		service = "0::/system.slice/pitwall.service\n"
		kills   = "[Login]\n# KillUserProcesses=no\nKillUserProcesses=yes\n"
	)
	tests := []struct {
		name      string
		login     login
		why, what string // parts of them; no why: it lives on
	}{
		{name: "logind leaves a login's processes alone unless it is told otherwise", login: login{cgroup: scope, user: "ann"}},
		{name: "KillUserProcesses ends them", login: login{cgroup: scope, user: "ann", conf: []string{kills}}, why: "KillUserProcesses=yes", what: "loginctl enable-linger, then systemd-run"},
		{name: "lingering alone does not help in a login's scope", login: login{cgroup: scope, user: "ann", conf: []string{kills}, lingers: true}, why: "KillUserProcesses=yes", what: "systemd-run --user --scope"},
		{name: "a line that is commented out does not count", login: login{cgroup: scope, user: "ann", conf: []string{"[Login]\n#KillUserProcesses=yes\n"}}},
		{name: "a drop-in wins over the file", login: login{cgroup: scope, user: "ann", conf: []string{kills, "[Login]\nKillUserProcesses = no\n"}}},
		{name: "root is excluded unless somebody else is", login: login{cgroup: scope, user: "root", conf: []string{kills}}},
		{name: "root is not excluded when the list says otherwise", login: login{cgroup: scope, user: "root", conf: []string{kills + "KillExcludeUsers=ann\n"}}, why: "KillUserProcesses=yes"},
		{name: "only the users of a list are ended", login: login{cgroup: scope, user: "ann", conf: []string{kills + "KillOnlyUsers=bob eve\n"}}},
		{name: "the user's service manager ends with the last logout", login: login{cgroup: manager, user: "ann"}, why: "does not linger", what: "loginctl enable-linger"},
		{name: "a manager that lingers goes on", login: login{cgroup: manager, user: "ann", lingers: true, conf: []string{kills}}},
		{name: "a system service has no login", login: login{cgroup: service, user: "ann", conf: []string{kills}}},
		{name: "nor has a container", login: login{cgroup: "0::/\n", user: "root", conf: []string{kills}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			why, what := endsAtLogout(tt.login)
			if (why == "") != (tt.why == "") || !strings.Contains(why, tt.why) || !strings.Contains(what, tt.what) {
				t.Errorf("got %q, %q; want %q, %q", why, what, tt.why, tt.what)
			}
		})
	}
}
