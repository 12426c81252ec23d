package host

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestRecognise(t *testing.T) {
	for _, c := range []struct {
		name, comm string
		argv       []string
		role, rank string
		title      string
	}{
		{"vllm serve", "vllm", []string{"/opt/bin/vllm", "serve", "m"}, RoleAPIServer, "", "vllm serve"},
		{"vllm serve through its interpreter with options", "vllm", []string{"/opt/bin/python3.12", "-X", "dev", "-u", "/opt/bin/vllm", "serve"}, RoleAPIServer, "", "vllm serve"},
		{"the module of old", "python3", []string{"python3", "-m", "vllm.entrypoints.openai.api_server"}, RoleAPIServer, "", "vllm.entrypoints.openai.api_server"},
		{"the command line's module", "python3", []string{"python", "-m", "vllm.entrypoints.cli.main", "serve", "m"}, RoleAPIServer, "", "vllm.entrypoints.cli.main serve"},
		{"its other commands are not servers", "python3", []string{"python", "-m", "vllm.entrypoints.cli.main", "bench"}, "", "", ""},
		{"one API server although two engines", "vllm", []string{"vllm", "serve", "--data_parallel_size=2", "--api-server-count", "1"}, RoleAPIServer, "", "vllm serve"},
		{"two API servers", "vllm", []string{"vllm", "serve", "--api_server_count=2"}, RoleServe, "", "vllm serve"},
		{"a headless node serves nothing", "vllm", []string{"vllm", "serve", "--headless"}, RoleServe, "", "vllm serve"},
		{"a worker with all its ranks", "VLLM::Worker_DP", []string{"VLLM::Worker_DP1_PP0_TP3_EP7"}, RoleWorker, "DP1_PP0_TP3_EP7", "VLLM::Worker_DP1_PP0_TP3_EP7"},
		{"the name alone, cut at 15 bytes", "VLLM::EngineCor", nil, RoleEngineCore, "", "VLLM::EngineCor"},
		{"the name alone, whole", "VLLM::Worker_TP", nil, RoleWorker, "TP", "VLLM::Worker_TP"},
		{"the coordinator's name, cut", "VLLM::DPCoordin", nil, RoleDPCoordinator, "", "VLLM::DPCoordin"},
		{"somebody else's title", "x", []string{"nginx: worker process"}, "", "", ""},
		{"a C++ name is no title", "x", []string{"std::Worker<int>"}, "", "", ""},
		{"a kernel thread", "kworker/0:0", nil, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := recognise(c.comm, c.argv)
			if s.role != c.role || s.rank != c.rank || s.title != c.title {
				t.Errorf("got role %q rank %q title %q, want %q %q %q", s.role, s.rank, s.title, c.role, c.rank, c.title)
			}
			if (s.kind == "vllm") != (c.role != "") {
				t.Errorf("kind %q", s.kind)
			}
		})
	}
}

func TestEachDialectsServerIsRecognised(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		argv       []string
		port       int
	}{
		{"llama.cpp", "llamacpp", []string{"./llama-server", "-m", "model.gguf", "--port", "18080", "-np", "4"}, 18080},
		{"llama.cpp on its default port", "llamacpp", []string{"/usr/bin/llama-server", "-m", "model.gguf"}, 8080},
		{"llama.cpp's other programs serve nothing", "", []string{"llama-cli", "-m", "model.gguf"}, 0},
		{"SGLang", "sglang", []string{"python3", "-m", "sglang.launch_server", "--model-path", "m", "--port=30001"}, 30001},
		{"SGLang's command", "sglang", []string{"/opt/bin/python", "/opt/bin/sglang", "serve", "m"}, 30000},
		{"TGI", "tgi", []string{"text-generation-launcher", "--model-id", "m", "--port", "80"}, 80},
		{"TensorRT-LLM", "trtllm", []string{"/opt/bin/python3", "/opt/bin/trtllm-serve", "m"}, 8000},
		{"a bare -- is no flag", "llamacpp", []string{"llama-server", "--", "x"}, 8080},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := recognise("x", c.argv)
			if s.kind != c.kind {
				t.Fatalf("it is taken for %q", s.kind)
			}
			if s.by == nil {
				return
			}
			if port, _ := s.by.willListen(c.argv); port != c.port || s.role != RoleAPIServer {
				t.Errorf("role %s, port %d", s.role, port)
			}
		})
	}
}

func TestSecretsAreCut(t *testing.T) {
	got := withoutSecrets([]string{"vllm", "serve", "--api-key", "k1", "k2", "--tokenizer", "t", "--hf-token=h", "--api_key=k3",
		"--max-num-queued-tokens", "9", "--ssl-keyfile", "f", "--otlp-traces-endpoint", "grpc://me:pw@host:4317"})
	want := []string{"vllm", "serve", "--api-key", "…", "…", "--tokenizer", "t", "--hf-token=…", "--api_key=…",
		"--max-num-queued-tokens", "9", "--ssl-keyfile", "f", "--otlp-traces-endpoint", "grpc://…@host:4317"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAddress(t *testing.T) {
	at := func(s ...string) (out []netip.AddrPort) {
		for _, a := range s {
			out = append(out, netip.MustParseAddrPort(a))
		}
		return out
	}
	for _, c := range []struct {
		name string
		p    Process
		want string
	}{
		{"bound to every address", Process{Listens: at("0.0.0.0:8000"), port: 8000}, "127.0.0.1:8000"},
		{"bound to every IPv6 address", Process{Listens: at("[::]:8000"), port: 8000}, "127.0.0.1:8000"},
		{"bound to one address", Process{Listens: at("10.0.0.5:8000"), port: 8000}, "10.0.0.5:8000"},
		{"bound to IPv6's loopback", Process{Listens: at("[::1]:8000"), port: 8000}, "[::1]:8000"},
		{"listens elsewhere too: the command line decides", Process{Listens: at("0.0.0.0:29500", "0.0.0.0:8000"), port: 8000}, "127.0.0.1:8000"},
		{"listens, but not where its command line says", Process{Listens: at("0.0.0.0:8081"), port: 8000}, "127.0.0.1:8081"},
		{"loads", Process{port: 8000, host: "0.0.0.0"}, "127.0.0.1:8000"},
		{"loads, for one address", Process{port: 8000, host: "10.0.0.5"}, "10.0.0.5:8000"},
		{"loads, for a name", Process{port: 8000, host: "gpu01"}, "127.0.0.1:8000"},
		{"a worker", Process{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.p.Address(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestModelCache(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"HF_HUB_CACHE comes first", map[string]string{"HF_HUB_CACHE": "/a", "HF_HOME": "/b", "HOME": "/h"}, "/a"},
		{"then HF_HOME", map[string]string{"HF_HOME": "/b", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/b"},
		{"then the XDG cache", map[string]string{"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/huggingface"},
		{"then the home directory", map[string]string{"HOME": "/h"}, "/h/.cache/huggingface"},
		{"unknown without any", map[string]string{"HF_HOME": "relative"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := modelCache(c.env); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// FuzzRecognise: whatever a process calls itself, it is nobody, or it has one of the roles; and no secret comes through.
func FuzzRecognise(f *testing.F) {
	f.Add("vllm", "vllm\x00serve\x00--api-key\x00hunter2")
	f.Add("VLLM::EngineCor", "VLLM::EngineCore\x00\x00\x00")
	f.Add("python3", "python3\x00-X\x00-m\x00vllm.entrypoints.openai.api_server")
	f.Add("python3", "python3\x00-m")
	f.Add("x", "")
	f.Fuzz(func(t *testing.T, comm, cmdline string) {
		argv := strings.Split(cmdline, "\x00")
		s := recognise(comm, argv)
		roles := []string{"", RoleServe, RoleAPIServer, RoleEngineCore, RoleWorker, RoleDPCoordinator}
		if !slices.Contains(roles, s.role) || (s.kind == "") != (s.role == "") {
			t.Errorf("%+v", s)
		}
		out := withoutSecrets(append(argv, "--api-key", "hunter2"))
		if len(out) != len(argv)+2 || out[len(out)-1] != cut {
			t.Errorf("%q", out)
		}
		_, _ = flagValue(argv, "port")
	})
}
