package engine

import (
	"maps"
	"strings"
	"testing"
)

func TestFlagsOfTheCommandLine(t *testing.T) {
	cases := []struct {
		what, args, line string
		facts            map[string]string
	}{
		{"nothing", "", "", map[string]string{}},
		{"values and switches that are on the list", "vllm serve m --max-num-seqs 8 --enforce-eager --dtype float32", "--max-num-seqs 8 --enforce-eager --dtype float32", map[string]string{"max_num_seqs": "8", "dtype": "float32"}},
		{"with = and with _", "vllm serve --max_num_seqs=8 --gpu-memory-utilization=0.9", "--max-num-seqs 8 --gpu-memory-utilization 0.9", map[string]string{"max_num_seqs": "8"}},
		{"counts of tokens are no secrets", "--max-num-batched-tokens 2048", "--max-num-batched-tokens 2048", map[string]string{"max_num_batched_tokens": "2048"}},
		{"short names", "vllm serve -tp 4 -q awq", "--tensor-parallel-size 4 --quantization awq", map[string]string{"tensor_parallel": "4"}},
		{"several values", "--served-model-name a b --port 1", "--served-model-name a b --port 1", map[string]string{}},
		{"a negative number is a value", "--seed -1", "--seed -1", map[string]string{}},
		{"the last of two counts", "--dtype half --dtype auto", "--dtype half --dtype auto", map[string]string{"dtype": "auto"}},
		{"an API key is never read", "--api-key sk-1 sk-2 --port 1", "--port 1", map[string]string{}},
		{"nor anything that is not on the list", "--hf-token x --override-generation-config {} --ssl-keyfile f --otlp-traces-endpoint http://u:p@h --port 1", "--port 1", map[string]string{}},
		{"a switch takes no value away", "--enforce-eager secret --port 1", "--enforce-eager --port 1", map[string]string{}},
		{"user-info is cut out of values", "--model https://ann:pw@hub/x", "--model https://…@hub/x", map[string]string{"root": "https://…@hub/x"}},
		{"a flag without its value", "--dtype", "", map[string]string{}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			line, facts := flags(vllm(t), strings.Fields(c.args))
			if line != c.line || !maps.Equal(facts, c.facts) {
				t.Errorf("got %q %v, want %q %v", line, facts, c.line, c.facts)
			}
		})
	}
}

func TestTheListOfFlagsNamesNoSecret(t *testing.T) {
	for _, f := range vllm(t).Flags {
		for _, n := range append(f.Aliases, f.Flag) {
			if secretName.MatchString(n) {
				t.Errorf("--%s is on the list", n)
			}
		}
	}
	for _, n := range []string{"api-key", "hf-token", "token", "secret", "db-password", "ssl-key", "api-keys"} {
		if !secretName.MatchString(n) {
			t.Errorf("--%s is not taken for a secret", n)
		}
	}
}
