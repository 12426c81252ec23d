package dialect_test

import (
	"errors"
	"strings"
	"testing"

	"pitwall/probes/engine/dialect"
)

const head = `name: x
detect: ["x:"]
paths: {metrics: /metrics}
`

func TestAFaultyFileIsNamedWithLineAndKey(t *testing.T) {
	cases := []struct{ what, file, want string }{
		{"an unknown key", head + "nams: []\n", "x.yaml:4: field nams not found"},
		{"an unknown key in a name", head + "names:\n  - {name: 'engine:a', kind: gauge, unit: s, help: h, exp: 'x:a'}\n", "x.yaml:5: field exp not found"},
		{"a value of the wrong type", head + "port: lots\n", "x.yaml:4: cannot unmarshal"},
		{"text that is no YAML", "name: [", "x.yaml:1:"},
		{"a template that does not parse", head + "names:\n  - name: engine:a\n    kind: gauge\n    unit: s\n    help: h\n    expr: sum(x:a{$sel}\n", "x.yaml:9: names[engine:a].expr: 1:10: parse error"},
		{"a counter", head + "names:\n  - name: engine:a\n    kind: gauge\n    unit: s\n    help: h\n    expr: sum(x:a_total{$sel})\n", "names[engine:a].expr: x:a_total is a counter"},
		{"a rate without a window", head + "names:\n  - name: engine:a\n    kind: rate\n    unit: s\n    help: h\n    expr: sum(x:a{$sel})\n", "names[engine:a].expr: a rate needs its window"},
		{"buckets by something else", head + "names:\n  - name: engine:a\n    kind: buckets\n    unit: s\n    help: h\n    expr: sum(rate(x:a_bucket{$sel}[$w]))\n", "names[engine:a].expr: buckets must be sum by (le)"},
		{"a range vector", head + "names:\n  - name: engine:a\n    kind: rate\n    unit: s\n    help: h\n    expr: x:a{$sel}[$w]\n", "not an instant vector"},
		{"a kind of its own", head + "names:\n  - {name: 'engine:a', kind: counter, unit: s, help: h, expr: 'x:a'}\n", "x.yaml:5: names[engine:a].kind: \"counter\" is none of"},
		{"a name that is no engine: name", head + "names:\n  - {name: 'a', kind: gauge, unit: s, help: h, expr: 'x:a'}\n", "x.yaml:5: names[a].name:"},
		{"a name given twice", head + "names:\n  - &a {name: 'engine:a', kind: gauge, unit: s, help: h, expr: 'x:a'}\n  - *a\n", "names[engine:a].name: given twice"},
		{"no help", head + "names:\n  - {name: 'engine:a', kind: gauge, unit: s, expr: 'x:a'}\n", "names[engine:a].help: missing"},
		{"no names", head, "names: missing"},
		{"no prefixes", "name: x\npaths: {metrics: /m}\nnames:\n  - {name: 'engine:a', kind: gauge, unit: s, help: h, expr: 'x:a'}\n", "detect:"},
		{"two documents", head + "names:\n  - {name: 'engine:a', kind: gauge, unit: s, help: h, expr: 'x:a'}\n---\nname: y\n", "more than one"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			_, err := dialect.Parse("x.yaml", []byte(c.file))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
			var se *dialect.SyntaxError
			if !errors.As(err, &se) || se.File != "x.yaml" || se.Line < 1 {
				t.Errorf("error %v is not a SyntaxError with its place", err)
			}
		})
	}
}

func TestAllAreNamedDifferentlyAndFindThemselves(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range dialect.All() {
		if seen[d.Name] {
			t.Errorf("%s is there twice", d.Name)
		}
		seen[d.Name] = true
		if again, ok := dialect.Named(d.Name); !ok || again != d {
			t.Errorf("%s is not found by its name", d.Name)
		}
	}
	if !seen["vllm"] {
		t.Error("vllm is not embedded")
	}
	if _, ok := dialect.Named("nobody"); ok {
		t.Error("an unknown name is found")
	}
}

func TestAnEngineIsKnownByItsMetrics(t *testing.T) {
	for names, want := range map[string]string{"up vllm:num_requests_running": "vllm", "up go_goroutines": "", "": "", "vllm_is_not_it": ""} {
		d, ok := dialect.Detected(func(yield func(string) bool) {
			for _, n := range strings.Fields(names) {
				if !yield(n) {
					return
				}
			}
		})
		if ok != (want != "") || ok && d.Name != want {
			t.Errorf("%q is taken for %v", names, d)
		}
	}
}
