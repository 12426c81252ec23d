package host

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"pitwall/probes/engine/dialect"
)

// recognition says how to tell an engine's processes from others: what its dialect says, with the port where it listens
// unless told otherwise.
type recognition struct {
	kind string
	dialect.Process
	defaultPort int
}

// recognitions are those of all dialects that say anything of processes. Another engine is another dialect's file.
var recognitions = sync.OnceValue(func() []recognition {
	var out []recognition
	for _, d := range dialect.All() {
		if len(d.Process.Commands) > 0 {
			out = append(out, recognition{kind: d.Name, Process: d.Process, defaultPort: d.Port})
		}
	}
	return out
})

// titled is a process title: prefix, what it is, rank.
var titled = regexp.MustCompile(`^([^\s:]{1,32})::([A-Za-z]+)(?:_([A-Za-z0-9_]+))?$`)

// sighting is what a process was recognised as. Its zero value is "none of ours".
type sighting struct {
	kind              string
	role, rank, title string
	// serves is true for what was recognised by its command: a root.
	serves bool
	// by says how it was recognised, for serves.
	by *recognition
}

// commLength is how much of a title the kernel keeps as the process's name (TASK_COMM_LEN less the final zero).
const commLength = 15

// recognise tells what a process is by its argument vector, or by its name where that is all there is. A title that was
// set later replaces the vector: one argument, then zeroes.
func recognise(comm string, argv []string) sighting {
	title := ""
	if len(argv) > 0 {
		title = strings.TrimSpace(argv[0])
	}
	all := recognitions()
	for i := range all {
		r := &all[i]
		if m := titled.FindStringSubmatch(title); m != nil {
			if role, ok := r.Titles[m[2]]; ok {
				return sighting{kind: r.kind, role: role, rank: m[3], title: title}
			}
		}
		if name, ok := r.started(argv); ok {
			return sighting{kind: r.kind, role: r.serverRole(argv), title: name, serves: true, by: r}
		}
		// A zombie and a process whose memory can't be read have a name and no vector.
		if len(argv) == 0 {
			if m := titled.FindStringSubmatch(comm); m != nil {
				for t, role := range r.Titles {
					if t == m[2] || len(comm) == commLength && m[3] == "" && strings.HasPrefix(t, m[2]) {
						return sighting{kind: r.kind, role: role, rank: m[3], title: comm}
					}
				}
			}
		}
	}
	return sighting{}
}

// started tells whether the argument vector starts this engine's server, and by which command. Only a program or a
// Python interpreter counts: a shell, sudo, uv or docker that carries the same words is not the server.
func (r *recognition) started(argv []string) (name string, ok bool) {
	if len(argv) == 0 {
		return "", false
	}
	rest := argv
	if interpreter(argv[0]) {
		rest = argv[1:]
		for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
			opt := rest[0]
			rest = rest[1:]
			switch {
			case opt == "-m" && len(rest) > 0:
				return r.startedAs(func(c dialect.Command) bool { return c.Module == rest[0] }, rest)
			case opt == "-c":
				return "", false
			case opt == "-X", opt == "-W":
				if len(rest) > 0 {
					rest = rest[1:]
				}
			}
		}
		if len(rest) == 0 {
			return "", false
		}
	}
	return r.startedAs(func(c dialect.Command) bool { return c.Program != "" && c.Program == path.Base(rest[0]) }, rest)
}

func (r *recognition) startedAs(is func(dialect.Command) bool, argv []string) (string, bool) {
	for _, c := range r.Commands {
		if !is(c) || c.First != "" && (len(argv) < 2 || argv[1] != c.First) {
			continue
		}
		return strings.TrimSpace(c.Program + c.Module + " " + c.First), true
	}
	return "", false
}

// interpreter tells whether a program is Python: python, python3, python3.12, pypy3.
func interpreter(arg0 string) bool {
	b := path.Base(arg0)
	return strings.HasPrefix(b, "python") || strings.HasPrefix(b, "pypy")
}

// serverRole tells what the server will be from its command line, so that its labels don't change when its children
// appear. A server of several API servers, or without any, serves nothing itself.
func (r *recognition) serverRole(argv []string) string {
	for _, f := range r.FanOut {
		if v, ok := flagValue(argv, f); ok {
			// --api-server-count decides where it is given; the data-parallel size is its default.
			if n, err := strconv.Atoi(v); err == nil {
				if n > 1 {
					return RoleServe
				}
				return RoleAPIServer
			}
		}
	}
	if _, ok := flagValue(argv, "headless"); ok {
		return RoleServe
	}
	return RoleAPIServer
}

// flagValue finds --name VALUE, --name=VALUE, in either spelling of its dashes; a flag without a value has "". The last one
// counts, as in argparse. No flag has an empty name.
func flagValue(argv []string, name string) (value string, ok bool) {
	for i, a := range argv {
		flag, v, eq := strings.Cut(a, "=")
		if name == "" || !strings.HasPrefix(flag, "--") || strings.ReplaceAll(flag[2:], "_", "-") != name {
			continue
		}
		if !eq && i+1 < len(argv) && !strings.HasPrefix(argv[i+1], "-") {
			v = argv[i+1]
		}
		value, ok = v, true
	}
	return value, ok
}

// cut stands for a secret that was left out.
const cut = "…"

var userInfo = regexp.MustCompile(`://[^/@\s]+@`)

// withoutSecrets copies an argument vector without the values of flags whose name ends in the word key, token, secret or
// password (--api-key, --hf-token; not --tokenizer, --max-num-queued-tokens), and without user-info in URLs.
func withoutSecrets(argv []string) []string {
	out := make([]string, 0, len(argv))
	cutting := false
	for _, a := range argv {
		if strings.HasPrefix(a, "--") {
			flag, _, eq := strings.Cut(a, "=")
			words := strings.FieldsFunc(flag, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
			cutting = false
			if len(words) > 0 {
				switch strings.ToLower(words[len(words)-1]) {
				case "key", "token", "secret", "password":
					if cutting = !eq; eq {
						a = flag + "=" + cut
					}
				}
			}
		} else if cutting {
			a = cut // --api-key takes several
		}
		out = append(out, userInfo.ReplaceAllString(a, "://"+cut+"@"))
	}
	return out
}

// allowedEnv are the variables of a server that may be looked at: where it runs and where its models are.
var allowedEnv = []string{
	"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
	"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HOME", "VLLM_CACHE_ROOT",
	"VLLM_CPU_KVCACHE_SPACE", "VLLM_SERVER_DEV_MODE", "VLLM_USE_V1", "VLLM_ATTENTION_BACKEND",
	"VLLM_WORKER_MULTIPROC_METHOD", "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH", "VLLM_PROCESS_NAME_PREFIX",
}

func allowed(environ []string) map[string]string {
	out := map[string]string{}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		for _, a := range allowedEnv {
			if k == a {
				out[k] = userInfo.ReplaceAllString(v, "://"+cut+"@")
			}
		}
	}
	return out
}

// modelCache gives where Hugging Face's library keeps models for a process of that environment: HF_HUB_CACHE, HF_HOME,
// XDG_CACHE_HOME, ~/.cache, in its order. Empty if none of them is known.
func modelCache(env map[string]string) string {
	for _, k := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"} {
		if v := env[k]; path.IsAbs(v) {
			return v
		}
	}
	if v := env["XDG_CACHE_HOME"]; path.IsAbs(v) {
		return path.Join(v, "huggingface")
	}
	if v := env["HOME"]; path.IsAbs(v) {
		return path.Join(v, ".cache", "huggingface")
	}
	return ""
}
