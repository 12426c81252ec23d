package events

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
)

func TestAFileOfRulesIsReadOrItsMistakesAreNamedWithTheirLines(t *testing.T) {
	const good = "rules:\n  - kind: my.rule\n    scope: host\n    title: a title\n    expr: x > 1\n"
	for name, c := range map[string]struct {
		text string
		want []string // errors; none: it is read
	}{
		"the shortest rule":                   {good, nil},
		"an empty file has no rules":          {"", nil},
		"a file with comments only":           {"# nothing yet\n", nil},
		"no rules":                            {"rules: []\n", nil},
		"a rule that is switched off":         {"rules: [{kind: engine.kv_full, off: true}]", nil},
		"an engine's names":                   {"rules: [{kind: a.b, scope: engine, title: t, expr: engine:waiting > 5}]", nil},
		"engine: names without an engine":     {good + "    cause: [\"{x}\"]\n    with: [{name: x, expr: engine:waiting}]\n", []string{"f:7: my.rule: with[x].expr: engine: names need scope: engine"}},
		"an engine: name that nobody has":     {"rules: [{kind: a.b, scope: engine, title: t, expr: engine:wating > 5}]", []string{"engine:wating"}},
		"no expression":                       {"rules:\n  - {kind: a.b, scope: host, title: t}\n", []string{"f:2: a.b: expr: it needs one, in PromQL"}},
		"an expression that compares nothing": {"rules:\n  - {kind: a.b, scope: host, title: t, expr: x}\n", []string{"f:2: a.b: expr: it compares nothing"}},
		"a comparison that gives 0 or 1":      {"rules:\n  - {kind: a.b, scope: host, title: t, expr: x > bool 1}\n", []string{"f:2: a.b: expr: it compares nothing"}},
		"an expression that does not parse":   {strings.Replace(good, "x > 1", "x >", 1), []string{"f:5: my.rule: expr: "}},
		"an expression that gives a range":    {strings.Replace(good, "x > 1", "x[5m]", 1), []string{"f:5: my.rule: expr: it gives a range vector"}},
		"several mistakes are named at once": {"rules:\n  - kind: nodot\n    scope: planet\n    title: t\n    expr: x > 1\n    severity: grave\n    for: soon\n    critical: many\n    cause: [\"{open\"]\n    depends_on: [nodot]\n", []string{
			`f:2: nodot: kind: "nodot" is not a dotted word`, `f:3: nodot: scope: "planet" is none of`, `f:6: nodot: severity: "grave" is none of`, `f:7: nodot: for: "soon" is not a time`,
			`f:8: nodot: critical: "many" is not a number`, `f:9: nodot: cause: "{open": a brace`, `f:10: nodot: depends_on: "nodot" is not the kind`}},
		"a key that a rule has not got":   {good + "    treshold: x\n", []string{"f:6: my.rule: treshold: no such key"}},
		"a key that a number has not got": {good + "    with: [{name: a, expr: x, units: s}]\n", []string{"f:6: my.rule: units: no such key"}},
		"a key beside rules":              {"rulez: []\n", []string{"f:1: field rulez not found"}},
		"one kind twice":                  {good + strings.TrimPrefix(good, "rules:\n"), []string{"f:6: my.rule: kind: there is such a rule already"}},
		"one name twice":                  {good + "    with: [{name: a, expr: x}, {name: a, expr: y}]\n", []string{"f:6: my.rule: with: a is there twice"}},
		"a kind that probes tell":         {strings.Replace(good, "my.rule", "gpu.xid", 1), []string{"f:2: gpu.xid: kind: gpu.xid is what a probe tells by itself"}},
		"no YAML":                         {"rules: [\n", []string{"f:"}},
		"two documents":                   {good + "---\n" + good, []string{"more than one YAML document"}},
		"a list in place of a rule":       {"rules: [[1]]", []string{"f:1: a rule is a list of keys and values"}},
		"a word where a list belongs":     {good + "    with: x\n", []string{"f:6: "}},
		"a title that is a mapping":       {"rules:\n  - kind: a.b\n    title: {a: b}\n", []string{"f:3: "}},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := Parse("f", []byte(c.text))
			if len(c.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(c.text, "kind:"); len(rules) != n {
					t.Errorf("%d rules, want %d", len(rules), n)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.Split(err.Error(), "\n")
			for i, want := range c.want {
				if i >= len(got) || !strings.Contains(got[i], want) {
					t.Errorf("error %d: want %q in\n  %s", i, want, strings.Join(got, "\n  "))
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("%d errors, want %d:\n  %s", len(got), len(c.want), strings.Join(got, "\n  "))
			}
		})
	}
}

func TestDefaultsOfARule(t *testing.T) {
	rules, err := Parse("f", []byte("rules: [{kind: a.b, scope: host, title: t, expr: x > 1, every: 1500ms}]"))
	if err != nil {
		t.Fatal(err)
	}
	r := rules[0]
	if r.Severity != probes.Warning || r.Keep != 30*time.Second || r.For != 0 || r.Every != time.Second || r.HasCritical {
		t.Errorf("%+v", r)
	}
}

func TestOnesOwnRulesStandOverPitwalls(t *testing.T) {
	base := []Rule{{Kind: "a.a", Title: "one"}, {Kind: "a.b", Title: "two"}, {Kind: "a.c", Title: "three"}}
	var got []string
	for _, r := range Join(base, []Rule{{Kind: "a.b", Off: true}, {Kind: "a.c", Title: "mine"}, {Kind: "a.d", Title: "new"}, {Kind: "a.e", Off: true}}) {
		got = append(got, r.Title)
	}
	if want := []string{"one", "mine", "new"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if base[1].Title != "two" || len(base) != 3 {
		t.Error("Join must leave what it is given alone")
	}
}

func TestEveryRuleOfPitwallsSaysWhatItIs(t *testing.T) {
	kinds := map[string]bool{}
	for _, r := range Builtin() {
		kinds[r.Kind] = true
		if r.Help == "" || r.Threshold == "" || len(r.Cause) == 0 {
			t.Errorf("%s: help %q, threshold %q, cause %q", r.Kind, r.Help, r.Threshold, r.Cause)
		}
	}
	for _, r := range Builtin() {
		for _, d := range r.DependsOn {
			if !kinds[d] && !slices.Contains(taken(), d) {
				t.Errorf("%s depends on %s, which nothing tells", r.Kind, d)
			}
		}
	}
}

func TestCausesAreWrittenOfWhatIsKnown(t *testing.T) {
	known := func(name string) (string, bool) {
		v, ok := map[string]string{"a": "1", "evil": "{a} | {b}", "empty": ""}[name]
		return v, ok
	}
	for template, want := range map[string]string{
		"{a} of it":           "1 of it",
		"{b} | {a} alone":     "1 alone",
		"{b} | {c}":           "",
		"no field":            "no field",
		"{evil} is not read":  "{a} | {b} is not read",
		"{a}{a}":              "11",
		"{empty} is a value":  "is a value",
		"{a} of {b} | only a": "only a",
	} {
		if got, ok := fill(template, known); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", template, got, ok, want)
		}
	}
}

func TestAmountsHaveTheirUnits(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.972, "ratio", "97 %"}, {1, "ratio", "100 %"}, {0.0001, "ratio", "< 0.1 %"}, {0.035, "ratio", "3.5 %"}, {0.9999, "ratio", "99.9 %"}, {0, "ratio", "0 %"},
		{3 << 30, "bytes", "3.0 GiB"}, {-1024, "bytes", "-1.0 KiB"}, {995, "s", "16m35s"}, {0.25, "s", "250ms"}, {7200, "s", "2h"},
		{2.1234, "requests/s", "2.12 requests/s"}, {1234.5, "W", "1234 W"}, {4, "", "4"},
	} {
		if got := amount(c.v, c.unit); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

// Whatever a file of rules holds, it is read or refused with a place, and nothing panics.
func FuzzParse(f *testing.F) {
	// The whole of rules.yaml would be a seed that takes minutes to be made smaller: one rule is enough of it.
	first, _, _ := strings.Cut(string(builtin), "\n\n  - kind: engine.kv_full")
	f.Add([]byte(first[strings.Index(first, "rules:"):]))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := Parse("f", data)
		if err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("an error without a place: %v", err)
		}
		for _, r := range rules {
			if err == nil && !r.Off && (r.Every < time.Second || r.Title == "" || r.Expr == "") {
				t.Errorf("a rule that can't be asked: %+v", r)
			}
		}
	})
}
