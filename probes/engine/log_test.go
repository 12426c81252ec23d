package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTheLastErrorLinesTellWhatHappened(t *testing.T) {
	cases := []struct {
		file string
		want []string // each in one of the lines
		last string
	}{
		{"engine_core_kill9_server.log", []string{"EngineDeadError: EngineCore encountered an issue"}, ""},
		{"startup_kv_too_small.log", []string{"ValueError: To serve at least one request"}, "RuntimeError: Engine core initialization failed"},
	}
	for _, c := range cases {
		t.Run(c.file, func(t *testing.T) {
			got, err := logPlace{file: filepath.Join("testdata", c.file)}.tail(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(got, "\n")
			for _, w := range c.want {
				if !strings.Contains(all, w) {
					t.Errorf("%q is not in:\n%s", w, all)
				}
			}
			if len(got) == 0 || len(got) > maxLines || !strings.Contains(got[len(got)-1], c.last) {
				t.Errorf("%d lines:\n%s", len(got), all)
			}
			for _, l := range got {
				if strings.Contains(l, "  File ") || strings.Contains(l, "^^^") {
					t.Errorf("a line of a traceback: %s", l)
				}
			}
		})
	}
}

func TestErrorLines(t *testing.T) {
	cases := []struct {
		what, in string
		want     []string
	}{
		{"nothing of an empty log", "", nil},
		{"without an error the last three lines", "a\nb\nc\nd\n", []string{"b", "c", "d"}},
		{"errors before everything else", "INFO a\nERROR x\nINFO b\n", []string{"ERROR x"}},
		{"an exception's last line counts, its traceback does not", "Traceback (most recent call last):\n  File \"x.py\", line 1\ntorch.OutOfMemoryError: CUDA out of memory\nbye\n", []string{"torch.OutOfMemoryError: CUDA out of memory"}},
		{"the same line twice is one", "ERROR x\nERROR x\n", []string{"ERROR x"}},
		{"colours are cut", "\x1b[31mERROR\x1b[0m x\n", []string{"ERROR x"}},
		{"an access line is no error", "INFO:     1.2.3.4 - \"GET /metrics HTTP/1.1\" 200 OK\n", []string{"INFO:     1.2.3.4 - \"GET /metrics HTTP/1.1\" 200 OK"}},
		{"no more than six", "ERROR 1\nERROR 2\nERROR 3\nERROR 4\nERROR 5\nERROR 6\nERROR 7\n", []string{"ERROR 2", "ERROR 3", "ERROR 4", "ERROR 5", "ERROR 6", "ERROR 7"}},
		{"a long line is cut", "ERROR " + strings.Repeat("é", 1000) + "\n", []string{"ERROR " + strings.Repeat("é", maxLine-6) + "…"}},
		{"a secret is cut", "ERROR args: {'api_key': ['sk-abc12345'], 'hf_token': 'hf_abcdefgh1'}\n", []string{"ERROR args: {'api_key': ['…'], 'hf_token': '…'}"}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			got := errorLines([]byte(c.in))
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSecretsAreCut(t *testing.T) {
	for in, want := range map[string]string{
		"--api-key hunter2 --port 8000":                     "--api-key … --port 8000",
		"--api-key=hunter2":                                 "--api-key=…",
		"VLLM_API_KEY=hunter2 vllm serve":                   "VLLM_API_KEY=… vllm serve",
		`{"hf_token": "abc def", "x": 1}`:                   `{"hf_token": "…", "x": 1}`,
		"Authorization: Bearer abcdefghij":                  "Authorization: Bearer …",
		"'authorization': 'Basic YWJjOmRlZg=='":             "'authorization': 'Basic …'",
		"http://ann:pw@box:8000/x":                          "http://…@box:8000/x",
		"token hf_AbCdEfGh12 refused":                       "token hf_… refused",
		"Incorrect API key provided: sk-AbCdEfGh1234":       "Incorrect API key provided: sk-…",
		"max_num_batched_tokens=2048, num_tokens: 5":        "max_num_batched_tokens=2048, num_tokens: 5",
		"Maximum concurrency for 2,048 tokens per request":  "Maximum concurrency for 2,048 tokens per request",
		"tokenizer='smollm2', skip_tokenizer_init=False":    "tokenizer='smollm2', skip_tokenizer_init=False",
		"password=hunter2&user=ann":                         "password=…&user=ann",
		"KeyError: 'model'":                                 "KeyError: 'model'",
		"the next token is 5":                               "the next token is 5",
		"GET /v1/models?token=abc HTTP/1.1":                 "GET /v1/models?token=… HTTP/1.1",
		"secret = \"hunter2\"":                              "secret = \"…\"",
		"ValueError: To serve at least one request (0.02 G": "ValueError: To serve at least one request (0.02 G",
	} {
		if got := redact(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// Somebody has put a pipe in the place of the log, which nobody writes to: reading it must not wait for that.
func TestALogThatIsAPipeByNowIsNoLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	said := make(chan error, 1)
	go func() {
		_, err := logPlace{file: path}.tail(context.Background())
		said <- err
	}()
	select {
	case err := <-said:
		if err == nil || !strings.Contains(err.Error(), "is no plain file any more") {
			t.Errorf("error %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it waits for somebody to write")
	}
}

func TestALongLogIsReadFromItsEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("ERROR first\n"+strings.Repeat("INFO all is well\n", 20_000)+"ERROR last\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := logPlace{file: file}.tail(context.Background())
	if err != nil || len(got) != 1 || got[0] != "ERROR last" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := (logPlace{file: file + "x"}).tail(context.Background()); err == nil {
		t.Error("no error for a log that is gone")
	}
}

// tree writes files below a directory that plays the root of a file system.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(strings.ReplaceAll(to, "ROOT", root), path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestTheLogIsFound(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	cases := []struct {
		what  string
		files map[string]string
		want  string // of String, ROOT being the root
	}{
		{"a file behind standard error", map[string]string{"proc/5/fd/1": "-> pipe:[7]", "proc/5/fd/2": "-> ROOT/var/log/vllm.log", "var/log/vllm.log": ""}, "file ROOT/var/log/vllm.log"},
		{"a file behind standard output only", map[string]string{"proc/5/fd/1": "-> ROOT/vllm.log", "proc/5/fd/2": "-> pipe:[7]", "vllm.log": ""}, "file ROOT/vllm.log"},
		{"a systemd unit", map[string]string{"proc/5/fd/2": "-> socket:[7]", "proc/5/cgroup": "0::/system.slice/vllm.service\n"}, "journal of vllm.service"},
		{"a user's own unit", map[string]string{"proc/5/cgroup": "0::/user.slice/user-1000.slice/user@1000.service/app.slice/llm.service\n"}, "journal of llm.service"},
		{"a container's log by docker", map[string]string{"proc/5/cgroup": "0::/system.slice/docker-" + id + ".scope\n", "var/lib/docker/containers/" + id + "/" + id + "-json.log": ""},
			"container log ROOT/var/lib/docker/containers/" + id + "/" + id + "-json.log"},
		{"a container's log by kubernetes", map[string]string{"proc/5/cgroup": "0::/kubepods.slice/cri-containerd-" + id + ".scope\n", "var/log/containers/vllm-0_llm_vllm-" + id + ".log": ""},
			"container log ROOT/var/log/containers/vllm-0_llm_vllm-" + id + ".log"},
		{"a container whose log may not be read", map[string]string{"proc/5/cgroup": "12:cpu:/docker/" + id + "\n"}, "none: the log of container 0123456789ab may not be read"},
		{"a pipe to another program", map[string]string{"proc/5/fd/1": "-> pipe:[7]", "proc/5/fd/2": "-> pipe:[7]", "proc/5/cgroup": "0::/\n"}, "none: its output goes to a pipe"},
		{"another user's process", map[string]string{"proc/5/cgroup": "0::/user.slice/session-3.scope\n"}, "none: its open files may not be read"},
		{"no such process", nil, "none: its open files may not be read"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			root := tree(t, c.files)
			if got := strings.ReplaceAll(findLog(root, 5).String(), root, "ROOT"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestContainerLogsAreUnwrapped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	text := `{"log":"INFO a\n","stream":"stdout"}` + "\n" + `{"log":"ERROR b\n","stream":"stderr"}` + "\n2026-11-24T00:00:00Z stderr F CRITICAL c\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := logPlace{file: file, json: true}.tail(context.Background())
	if err != nil || strings.Join(got, "|") != "ERROR b|CRITICAL c" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTheJournalIsAskedForTheUnit(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$@\" >&2\n[ \"$1\" = --unit=vllm.service ] && echo 'ERROR it died' && exit 0\n[ \"$1\" = --user-unit=llm.service ] && exit 0\nexec sleep 60\n"
	if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	got, err := logPlace{unit: "vllm.service"}.tail(context.Background())
	if err != nil || len(got) != 1 || got[0] != "ERROR it died" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := (logPlace{unit: "llm.service", user: true}).tail(context.Background()); err == nil || !strings.Contains(err.Error(), "systemd-journal") {
		t.Errorf("an empty journal gives %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := (logPlace{unit: "slow.service"}).tail(ctx); err == nil {
		t.Error("a journal that hangs gives no error")
	}
}

func TestADeadEnginesLogIsInTheEvent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vllm.log")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// A process that really writes there and really dies.
	proc := exec.Command("sh", "-c", "echo 'ERROR 11-24 EngineCore died unexpectedly, api_key=hunter2'; echo >&3; exec sleep 600 3>&-")
	proc.Stdout, proc.Stderr = out, out
	written, there, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer written.Close()
	proc.ExtraFiles = []*os.File{there}
	if err := proc.Start(); err != nil {
		t.Fatal(err)
	}
	there.Close()
	defer proc.Process.Kill()
	if _, err := written.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	f := newFake(t, "vllm-0.32-after.prom")
	srv := Server{PID: proc.Process.Pid, Start: time.Now(), Address: strings.TrimPrefix(f.URL, "http://"), Args: []string{"vllm", "serve", "--dtype", "half", "--api-key", "hunter2"}}
	p, err := parsePlace(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newScraper(p, vllm(t), Access{}, func() (Server, bool, string) { return srv, true, "" })
	if err != nil {
		t.Fatal(err)
	}
	r := s.Read(context.Background())
	if got := f.fact(r, "log"); got != "file "+file {
		t.Errorf("log is %q", got)
	}
	if got := f.fact(r, "flags"); got != "--dtype half" || f.fact(r, "dtype") != "half" || f.fact(r, "pid") != fmt.Sprint(srv.PID) {
		t.Errorf("flags %q, facts %v", got, r.Facts)
	}
	f.Server.Close()
	if err := proc.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := proc.Wait(); err == nil {
		t.Fatal("the process ended well although it was killed")
	}
	r = s.Read(context.Background())
	if len(r.Events) != 1 || r.Events[0].Attrs["state"] != "no_engine" || r.Events[0].Attrs["reason"] != fmt.Sprintf("process %d is gone", srv.PID) {
		b, _ := json.Marshal(r.Events)
		t.Fatalf("events %s", b)
	}
	if got := r.Events[0].Attrs["log"]; got != "ERROR 11-24 EngineCore died unexpectedly, api_key=…" {
		t.Errorf("log lines %q", got)
	}
	if got := f.fact(r, "last_error"); got != r.Events[0].Attrs["log"] {
		t.Errorf("last_error %q", got)
	}
}
